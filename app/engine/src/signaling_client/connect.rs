//! From an address to an open WebSocket.

use std::sync::Arc;
use std::time::Duration;

use parlor_proto::MESSAGE_BYTES_MAX;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::ServerAddress;
use super::error::ConnectError;
use super::tls;

/// What a WebSocket may run over.
pub(crate) trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

/// An open WebSocket, encrypted or not.
pub(crate) type Socket = WebSocketStream<Box<dyn Transport>>;

/// Read at once: signaling messages are small, and the default buffer is not.
const READ_BUFFER_BYTES: usize = 4_096;
/// Unsent bytes after which a send fails instead of growing.
const WRITE_BUFFER_BYTES_MAX: usize = 16 * MESSAGE_BYTES_MAX;

struct Target {
    request: Request,
    secure: bool,
    host: String,
    port: u16,
    /// For people: host, and port where it is not the usual one.
    server: String,
}

fn parse(url: &str) -> Result<Target, ConnectError> {
    let invalid = || ConnectError::InvalidAddress { url: url.to_owned() };
    let request = url.into_client_request().map_err(|_| invalid())?;
    let uri = request.uri();
    let secure = match uri.scheme_str() {
        Some("wss") => true,
        Some("ws") => false,
        Some(_) | None => return Err(invalid()),
    };
    let server = uri.authority().ok_or_else(invalid)?.to_string();
    let host = uri.host().ok_or_else(invalid)?.trim_matches(['[', ']']).to_owned();
    let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
    Ok(Target { request, secure, host, port, server })
}

/// Connects within `patience`.
///
/// # Errors
/// A sentence for people; see [`ConnectError`].
pub(crate) async fn connect(address: &ServerAddress, patience: Duration) -> Result<Socket, ConnectError> {
    let target = parse(&address.websocket_url)?;
    let server = target.server.clone();
    match tokio::time::timeout(patience, open(target, address)).await {
        Ok(result) => result,
        Err(_elapsed) => Err(ConnectError::Timeout { server }),
    }
}

async fn open(target: Target, address: &ServerAddress) -> Result<Socket, ConnectError> {
    let Target { request, secure, host, port, server } = target;
    let tcp = TcpStream::connect((host.as_str(), port)).await.map_err(|error| ConnectError::tcp(&server, &error))?;
    if let Err(error) = tcp.set_nodelay(true) {
        tracing::debug!(%error, "small messages may wait");
    }
    let transport: Box<dyn Transport> =
        if secure { Box::new(encrypt(tcp, host, &server, address).await?) } else { Box::new(tcp) };
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .max_write_buffer_size(WRITE_BUFFER_BYTES_MAX)
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX));
    let upgraded = client_async_with_config(request, transport, Some(config)).await;
    let (socket, _response) = upgraded.map_err(|error| ConnectError::upgrade(&server, &error))?;
    Ok(socket)
}

async fn encrypt(
    tcp: TcpStream,
    host: String,
    server: &str,
    address: &ServerAddress,
) -> Result<impl Transport + use<>, ConnectError> {
    let failed = |why: String| ConnectError::Tls { server: server.to_owned(), why };
    let fingerprint = address.fingerprint;
    let config = tokio::task::spawn_blocking(move || tls::client_config(fingerprint));
    let config = config.await.map_err(|error| failed(error.to_string()))?.map_err(|error| failed(error.to_string()))?;
    let name = ServerName::try_from(host)
        .map_err(|_invalid| ConnectError::InvalidAddress { url: address.websocket_url.clone() })?;
    let connected = TlsConnector::from(Arc::new(config)).connect(name, tcp).await;
    connected.map_err(|error| ConnectError::tls(server, &error))
}
