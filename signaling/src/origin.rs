//! Whose pages may open a WebSocket here.
//!
//! A browser lets any page of any site try, with the visitor's address; what it adds is who the page is from (RFC 6455
//! §10.2). Other programs say nothing of the kind, and could say anything.

use std::fmt;
use std::str::FromStr;

use axum::http::uri::{Scheme, Uri};
use axum::http::{HeaderMap, header};

/// Scheme, host and, where it is not the usual one, port, as browsers write it (RFC 6454 §6.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(String);

/// Why a text is no origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it must look like https://call.example.org, with a port where it is not the usual one, and without a path")]
pub struct InvalidOrigin;

impl FromStr for Origin {
    type Err = InvalidOrigin;

    fn from_str(text: &str) -> Result<Self, InvalidOrigin> {
        let uri: Uri = text.trim().parse().map_err(|_| InvalidOrigin)?;
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else { return Err(InvalidOrigin) };
        let usual_port = match scheme {
            scheme if *scheme == Scheme::HTTPS => 443,
            scheme if *scheme == Scheme::HTTP => 80,
            _ => return Err(InvalidOrigin),
        };
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() || authority.as_str().contains('@') {
            return Err(InvalidOrigin);
        }
        let port = authority.port_u16().filter(|port| *port != usual_port).map(|port| format!(":{port}"));
        let host = authority.host().to_ascii_lowercase();
        Ok(Self(format!("{scheme}://{host}{}", port.unwrap_or_default())))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Whether this request comes from a page of this server, of one of `allowed`, or from no page at all.
pub(crate) fn is_allowed(headers: &HeaderMap, allowed: &[Origin]) -> bool {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let Some(origin) = origins.next() else { return true };
    if origins.next().is_some() {
        return false;
    }
    let Some(Origin(origin)) = origin.to_str().ok().and_then(|text| text.parse().ok()) else { return false };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    // Behind a proxy that ends the encryption, the scheme is not known here; the host is what tells sites apart.
    let is_own = |scheme: &str| {
        let own: Option<Origin> = host.and_then(|host| format!("{scheme}://{host}").parse().ok());
        own.is_some_and(|own| own.0 == origin)
    };
    is_own("https") || is_own("http") || allowed.iter().any(|allowed| allowed.0 == origin)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn allows(host: &str, origins: &[&str]) -> bool {
        let allowed = ["https://friends.example.org".parse().unwrap(), "http://[::1]:8000/".parse().unwrap()];
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_str(host).unwrap());
        for origin in origins {
            headers.append(header::ORIGIN, HeaderValue::from_str(origin).unwrap());
        }
        is_allowed(&headers, &allowed)
    }

    #[test]
    fn own_pages_allowed_ones_and_other_programs_come_in() {
        for (host, origins) in [
            ("call.example.org", &[][..]),
            ("call.example.org", &["https://call.example.org"]),
            ("call.example.org", &["http://CALL.example.org"]),
            ("call.example.org:8443", &["https://call.example.org:8443"]),
            ("call.example.org:443", &["https://call.example.org"]),
            ("[2001:db8::1]:8080", &["http://[2001:db8::1]:8080"]),
            ("call.example.org", &["https://friends.example.org"]),
            ("call.example.org", &["http://[::1]:8000"]),
        ] {
            assert!(allows(host, origins), "{host} {origins:?}");
        }
    }

    #[test]
    fn pages_of_other_sites_do_not() {
        for (host, origins) in [
            ("call.example.org", &["https://evil.example"][..]),
            ("call.example.org", &["https://call.example.org.evil.example"]),
            ("call.example.org", &["https://call.example.org:8443"]),
            ("call.example.org", &["http://friends.example.org"]),
            ("call.example.org", &["null"]),
            ("call.example.org", &["https://call.example.org@evil.example"]),
            ("call.example.org", &["https://call.example.org", "https://evil.example"]),
            ("call.example.org", &["file://"]),
        ] {
            assert!(!allows(host, origins), "{host} {origins:?}");
        }
    }

    #[test]
    fn what_is_no_origin_says_what_one_looks_like() {
        for text in ["", "call.example.org", "ftp://a", "https://a/path", "https://a/?q", "https://u@a"] {
            assert_eq!(text.parse::<Origin>(), Err(InvalidOrigin), "{text}");
        }
        assert_eq!("HTTPS://Call.example.org:443/".parse::<Origin>().unwrap().to_string(), "https://call.example.org");
    }
}
