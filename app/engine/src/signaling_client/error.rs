//! Why there is no connection to the server, in sentences for people.

use std::io;

use tokio_rustls::rustls;
use tokio_tungstenite::tungstenite::Error as SocketError;

/// Why connecting failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// The address is none.
    #[error("“{url}” is not the address of a server")]
    InvalidAddress { url: String },
    /// No TCP connection.
    #[error("The server at {server} can't be reached: {why}")]
    Unreachable { server: String, why: String },
    /// No answer in time.
    #[error("The server at {server} can't be reached: it does not answer")]
    Timeout { server: String },
    /// A certificate that neither the link nor the system vouches for.
    #[error("The server at {server} uses a certificate this link does not vouch for")]
    Certificate { server: String },
    /// Something else in TLS.
    #[error("The server at {server} can't be reached securely: {why}")]
    Tls { server: String, why: String },
    /// No room for another connection (HTTP 503).
    #[error("The server at {server} takes no more people at the moment")]
    Full { server: String },
    /// Something that speaks no Parlor.
    #[error("There is no Parlor server at {server}")]
    NotParlor { server: String },
}

impl ConnectError {
    /// What a failed TCP connection means.
    pub(crate) fn tcp(server: &str, error: &io::Error) -> Self {
        let why = match error.kind() {
            io::ErrorKind::ConnectionRefused => "connection refused",
            io::ErrorKind::TimedOut => "it does not answer",
            io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => "there is no way to it",
            io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => "it hung up",
            // The resolver's errors have no kind of their own.
            _ if error.to_string().contains("lookup") => "nobody knows this name",
            _ => return Self::Unreachable { server: server.to_owned(), why: error.to_string() },
        };
        Self::Unreachable { server: server.to_owned(), why: why.to_owned() }
    }

    /// What a failed TLS handshake means.
    pub(crate) fn tls(server: &str, error: &io::Error) -> Self {
        let server = server.to_owned();
        let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match tls {
            Some(rustls::Error::InvalidCertificate(_)) => Self::Certificate { server },
            Some(rustls::Error::InvalidMessage(_)) => Self::Tls { server, why: "it does not speak TLS".to_owned() },
            Some(other) => Self::Tls { server, why: other.to_string() },
            None => Self::tcp(&server, error),
        }
    }

    /// What a failed WebSocket handshake means.
    pub(crate) fn upgrade(server: &str, error: &SocketError) -> Self {
        let server = server.to_owned();
        match error {
            SocketError::Http(response) if response.status().as_u16() == 503 => Self::Full { server },
            SocketError::Io(error) => Self::tcp(&server, error),
            _ => Self::NotParlor { server },
        }
    }
}
