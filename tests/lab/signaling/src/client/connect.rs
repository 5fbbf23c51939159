//! Connections from many source addresses, so that one does not run out of ports.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, LazyLock};

use anyhow::Context as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::Target;

/// Small, so that ten thousand clients have room.
const READ_BUFFER_BYTES: usize = 4_096;

/// A connection, encrypted or not.
pub type Socket = Box<dyn Stream>;

/// What a connection can do.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A plain TCP connection of the client of this number.
pub(super) async fn tcp(target: &Target, number: usize) -> anyhow::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    if let Some(turn) = number.checked_rem(usize::from(target.sources)) {
        // 127.0.0.1 stays with the server.
        let source = Ipv4Addr::new(127, 0, 0, u8::try_from(turn)?.saturating_add(2));
        socket.bind(SocketAddr::new(IpAddr::V4(source), 0))?;
    }
    let tcp = socket.connect(target.addr(number)?).await.context("cannot connect")?;
    tcp.set_nodelay(true)?;
    Ok(tcp)
}

/// A connection on which nothing was said yet.
///
/// # Errors
/// Where the server or this machine refuses.
pub async fn raw(target: &Target, number: usize) -> anyhow::Result<Socket> {
    let tcp = tcp(target, number).await?;
    if !target.tls {
        return Ok(Box::new(tcp));
    }
    static CONNECTOR: LazyLock<TlsConnector> = LazyLock::new(connector);
    let name = ServerName::IpAddress(target.addr(number)?.ip().into());
    Ok(Box::new(CONNECTOR.connect(name, tcp).await?))
}

pub(super) async fn websocket(target: &Target, number: usize, path: &str) -> anyhow::Result<WebSocketStream<Socket>> {
    let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER_BYTES).write_buffer_size(0);
    let url = format!("ws://{}{path}", target.addr(number)?);
    let (websocket, _) = client_async_with_config(url, raw(target, number).await?, Some(config)).await?;
    Ok(websocket)
}

fn connector() -> TlsConnector {
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("ring knows the default versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

/// Takes any certificate: what is measured is the cost of encryption, to a server on this machine.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
