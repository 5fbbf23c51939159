//! Why there is no connection to the server, in sentences for people.

use std::io;

use parlor_session::OpenFailure;
use tokio_rustls::rustls::{self, CertificateError};
use tokio_tungstenite::tungstenite::Error as SocketError;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::http::{HeaderMap, Response, StatusCode, header};

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
    /// A certificate that is not the one of the link.
    #[error(
        "The server at {server} shows another certificate than its link names: it was set up anew, or someone is in \
         between"
    )]
    OtherCertificate { server: String },
    /// A certificate that the system does not vouch for; `why` is its end.
    #[error("The certificate of the server at {server} {why}")]
    Certificate { server: String, why: String },
    /// The server wants TLS and was spoken to without.
    #[error("The server at {server} speaks TLS only: its address starts with https")]
    WantsTls { server: String },
    /// The other way round.
    #[error("The server at {server} does not speak TLS: its address starts with http, without the s")]
    WantsPlain { server: String },
    /// Something else in TLS.
    #[error("The server at {server} can't be reached securely: {why}")]
    Tls { server: String, why: String },
    /// No room for another connection (HTTP 503).
    #[error("The server at {server} takes no more people at the moment")]
    Full { server: String, retry_after_ms: Option<u64> },
    /// Too many connections from one address (HTTP 429).
    #[error("The server at {server} takes no more connections from your network at the moment")]
    TooMany { server: String, retry_after_ms: Option<u64> },
    /// It, or what stands before it, lets nobody in from here (HTTP 403).
    #[error("The server at {server} lets nobody in from here (HTTP 403)")]
    Forbidden { server: String },
    /// It, or what stands before it, is not well (HTTP 5xx).
    #[error("The server at {server} is in trouble (HTTP {status})")]
    InTrouble { server: String, status: u16 },
    /// Something that speaks no Parlor.
    #[error("There is no Parlor server at {server}")]
    NotParlor { server: String },
}

impl ConnectError {
    /// Whether another attempt may go better.
    pub(crate) fn failure(&self) -> OpenFailure {
        match self {
            Self::Unreachable { .. }
            | Self::Timeout { .. }
            | Self::Full { .. }
            | Self::TooMany { .. }
            | Self::InTrouble { .. } => OpenFailure::Passing,
            Self::OtherCertificate { .. } | Self::Certificate { .. } => OpenFailure::Certificate,
            Self::InvalidAddress { .. }
            | Self::WantsTls { .. }
            | Self::WantsPlain { .. }
            | Self::Tls { .. }
            | Self::Forbidden { .. }
            | Self::NotParlor { .. } => OpenFailure::WrongAddress,
        }
    }

    /// When the server wants to see us again.
    pub(crate) fn retry_after_ms(&self) -> Option<u64> {
        match self {
            Self::Full { retry_after_ms, .. } | Self::TooMany { retry_after_ms, .. } => *retry_after_ms,
            _ => None,
        }
    }

    /// What a failed TCP connection means.
    pub(crate) fn tcp(server: &str, error: &io::Error) -> Self {
        let why = match error.kind() {
            io::ErrorKind::ConnectionRefused => "connection refused",
            io::ErrorKind::TimedOut => "it does not answer",
            io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => "there is no way to it",
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::UnexpectedEof => "it hung up",
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
            Some(rustls::Error::InvalidCertificate(error)) => Self::certificate(server, error),
            Some(rustls::Error::InvalidMessage(_)) => Self::WantsPlain { server },
            Some(other) => Self::Tls { server, why: other.to_string() },
            None => Self::tcp(&server, error),
        }
    }

    fn certificate(server: String, error: &CertificateError) -> Self {
        let why = match error {
            // Said by our own verifier only, which knows one fingerprint.
            CertificateError::ApplicationVerificationFailure => return Self::OtherCertificate { server },
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "has expired, or this computer's clock is wrong"
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "is not valid yet, or this computer's clock is wrong"
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "was made out to another name"
            }
            CertificateError::Revoked => "was revoked",
            _ => "is vouched for neither by its link, which would end in #fp=…, nor by anybody this computer trusts",
        };
        Self::Certificate { server, why: why.to_owned() }
    }

    /// What a failed WebSocket handshake means.
    pub(crate) fn upgrade(server: &str, error: &SocketError) -> Self {
        let server = server.to_owned();
        match error {
            SocketError::Http(response) => Self::refused(server, response),
            SocketError::Io(error) => Self::tcp(&server, error),
            SocketError::ConnectionClosed | SocketError::Protocol(ProtocolError::HandshakeIncomplete) => {
                Self::Unreachable { server, why: "it hung up".to_owned() }
            }
            _ => Self::NotParlor { server },
        }
    }

    fn refused<T>(server: String, response: &Response<T>) -> Self {
        let location = response.headers().get(header::LOCATION).map_or(&b""[..], |location| location.as_bytes());
        let retry_after_ms = retry_after_ms(response.headers());
        match response.status() {
            StatusCode::SERVICE_UNAVAILABLE => Self::Full { server, retry_after_ms },
            StatusCode::TOO_MANY_REQUESTS => Self::TooMany { server, retry_after_ms },
            StatusCode::FORBIDDEN => Self::Forbidden { server },
            status if status.is_server_error() => Self::InTrouble { server, status: status.as_u16() },
            status if status.is_redirection() && location.starts_with(b"https:") => Self::WantsTls { server },
            _ => Self::NotParlor { server },
        }
    }
}

/// RFC 9110 §10.2.3, in seconds; a date is as good as nothing.
fn retry_after_ms(headers: &HeaderMap) -> Option<u64> {
    let seconds: u64 = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(seconds.saturating_mul(1_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_answer_means_for_the_next_attempt() {
        for (status, location, failure, words) in [
            (503, "", OpenFailure::Passing, "takes no more people"),
            (502, "", OpenFailure::Passing, "HTTP 502"),
            (429, "", OpenFailure::Passing, "no more connections from your network"),
            (403, "", OpenFailure::WrongAddress, "lets nobody in from here"),
            (200, "", OpenFailure::WrongAddress, "no Parlor server at tea:1"),
            (404, "", OpenFailure::WrongAddress, "no Parlor server at tea:1"),
            (301, "http://elsewhere/ws", OpenFailure::WrongAddress, "no Parlor server at tea:1"),
            (308, "https://tea:1/ws", OpenFailure::WrongAddress, "starts with https"),
        ] {
            let response = Response::builder().status(status).header("location", location).body(None).unwrap();
            let error = ConnectError::upgrade("tea:1", &SocketError::Http(Box::new(response)));
            assert_eq!(error.failure(), failure, "{status}");
            assert!(error.to_string().contains(words), "{error}");
        }
    }

    #[test]
    fn the_server_says_when_to_come_back() {
        for (status, header, wait) in [
            (503, "5", Some(5_000)),
            (429, " 60 ", Some(60_000)),
            (429, "99999999999999999999", None),
            (429, "Wed, 21 Oct 2026 07:28:00 GMT", None),
            (502, "5", None),
        ] {
            let response = Response::builder().status(status).header("retry-after", header).body(None).unwrap();
            let error = ConnectError::upgrade("tea:1", &SocketError::Http(Box::new(response)));
            assert_eq!(error.retry_after_ms(), wait, "{status} {header}");
        }
    }

    #[test]
    fn a_server_that_hangs_up_is_tried_again() {
        for error in [
            SocketError::Io(io::ErrorKind::ConnectionReset.into()),
            SocketError::Io(io::ErrorKind::UnexpectedEof.into()),
            SocketError::Protocol(ProtocolError::HandshakeIncomplete),
        ] {
            let error = ConnectError::upgrade("tea", &error);
            assert_eq!(error.failure(), OpenFailure::Passing);
            assert_eq!(error.to_string(), "The server at tea can't be reached: it hung up");
        }
    }

    #[test]
    fn each_fault_of_a_certificate_has_its_words() {
        for (fault, words) in [
            (CertificateError::ApplicationVerificationFailure, "another certificate than its link names"),
            (CertificateError::UnknownIssuer, "#fp="),
            (CertificateError::Expired, "clock"),
            (CertificateError::NotValidYet, "not valid yet"),
            (CertificateError::NotValidForName, "another name"),
            (CertificateError::Revoked, "revoked"),
        ] {
            let error = io::Error::other(rustls::Error::InvalidCertificate(fault));
            let error = ConnectError::tls("tea", &error);
            assert_eq!(error.failure(), OpenFailure::Certificate);
            assert!(error.to_string().contains(words), "{error}");
        }
    }
}
