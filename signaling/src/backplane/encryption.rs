//! What a Redis with TLS is trusted by, and what it is shown.

use std::error::Error;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redis::{ClientTlsConfig, RedisError, TlsCertificates};
use tokio_rustls::rustls;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{AlertDescription, CertificateError};

/// Files in PEM form. They are read for each new link, so that renewed certificates need no restart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RedisTls {
    /// The authorities that may have signed the certificate of Redis; none: those that the system trusts.
    pub ca: Option<PathBuf>,
    /// This server's certificate and its private key, for a Redis that asks for them (its `tls-auth-clients`).
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// Why one of these files is of no use.
#[derive(Debug, thiserror::Error)]
pub enum InvalidRedisTls {
    /// It could not be read.
    #[error("Cannot read {} ({source})", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is nothing of the kind in it.
    #[error("{} holds no usable {what} in PEM form", path.display())]
    Pem {
        /// Which.
        path: PathBuf,
        /// Certificate or private key.
        what: &'static str,
    },
}

impl RedisTls {
    /// What the files hold; none where nothing is named.
    ///
    /// # Errors
    /// The first file that is of no use.
    pub(crate) fn read(&self) -> Result<Option<TlsCertificates>, InvalidRedisTls> {
        if *self == Self::default() {
            return Ok(None);
        }
        let root_cert = self.ca.as_deref().map(read_certificates).transpose()?;
        let client_tls = match &self.identity {
            Some((cert, key)) => {
                Some(ClientTlsConfig { client_cert: read_certificates(cert)?, client_key: read_key(key)? })
            }
            None => None,
        };
        Ok(Some(TlsCertificates { client_tls, root_cert }))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, InvalidRedisTls> {
    fs::read(path).map_err(|source| InvalidRedisTls::Read { path: path.to_owned(), source })
}

fn read_certificates(path: &Path) -> Result<Vec<u8>, InvalidRedisTls> {
    let pem = read(path)?;
    let certificates = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>().unwrap_or_default();
    if certificates.is_empty() {
        return Err(InvalidRedisTls::Pem { path: path.to_owned(), what: "certificate" });
    }
    Ok(pem)
}

fn read_key(path: &Path) -> Result<Vec<u8>, InvalidRedisTls> {
    let pem = read(path)?;
    match PrivateKeyDer::from_pem_slice(&pem) {
        Ok(_) => Ok(pem),
        Err(_) => Err(InvalidRedisTls::Pem { path: path.to_owned(), what: "private key" }),
    }
}

/// What to do about a link that TLS refuses; none where it was something else.
pub(super) fn explain(error: &RedisError) -> Option<String> {
    let text = match tls_error(error)? {
        // The latter where an authority of the same name is trusted.
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            "its certificate is signed by nobody who is trusted here; name the authority that did in redis_ca"
                .to_owned()
        }
        rustls::Error::InvalidCertificate(reason) => format!("its certificate is not good ({reason})"),
        rustls::Error::AlertReceived(alert) if is_about_certificates(*alert) => format!(
            "it wants a certificate of this server that it trusts ({alert:?}); name one in redis_cert and redis_key, or \
             set its tls-auth-clients to no"
        ),
        _ => return None,
    };
    Some(text)
}

/// RFC 8446 §6.2; with TLS 1.2, a client without a certificate is told of a failed handshake.
fn is_about_certificates(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateRequired
            | AlertDescription::UnknownCA
            | AlertDescription::HandshakeFailure
            // Its signature is not that of an authority of this name.
            | AlertDescription::DecryptError
    )
}

fn tls_error(error: &RedisError) -> Option<&rustls::Error> {
    let shared = error.source()?.downcast_ref::<Arc<dyn Error + Send + Sync>>()?;
    shared.downcast_ref::<io::Error>()?.get_ref()?.downcast_ref()
}
