//! Where a client comes from: for limits that many connections of one person share.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::http::{HeaderMap, HeaderName, header};
use ipnet::IpNet;

/// A client's address, as far as it tells one person from another: an IPv4 address, or the /64 of an IPv6 address, which
/// as a rule is one household's or one machine's (RFC 6177 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddressGroup(IpAddr);

impl From<IpAddr> for AddressGroup {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(address) => Self(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()),
            address @ IpAddr::V4(_) => Self(address),
        }
    }
}

impl fmt::Display for AddressGroup {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(address) => address.fmt(formatter),
            IpAddr::V6(address) => write!(formatter, "{address}/64"),
        }
    }
}

/// The header in which proxies name who came to them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`, which most proxies write.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

/// The proxies in front of the server. Only what they say of a client's address is believed, and only in one header:
/// a proxy that writes one passes the other on as the client sent it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies {
    /// Their addresses. None: nobody is believed.
    pub networks: Vec<IpNet>,
    /// Where they write.
    pub header: ForwardedHeader,
}

impl TrustedProxies {
    /// Whether this is one of them.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks.iter().any(|network| network.contains(&address))
    }

    /// The client's address: the last one named that is no proxy of ours. Whatever stands left of it was written by
    /// the client itself, or by machines we know nothing of.
    pub(crate) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        for named in self.named(headers).iter().rev() {
            if !self.contains(client) {
                break;
            }
            // What a proxy does not name, or hides, stays the proxy's.
            let Some(address) = named else { break };
            client = *address;
        }
        client
    }

    /// Who is named, in the order of the hops; none for who is named by something else than an address.
    fn named(&self, headers: &HeaderMap) -> Vec<Option<IpAddr>> {
        let (name, address): (HeaderName, fn(&str) -> Option<IpAddr>) = match self.header {
            ForwardedHeader::XForwardedFor => (HeaderName::from_static("x-forwarded-for"), node_address),
            ForwardedHeader::Forwarded => (header::FORWARDED, forwarded_address),
        };
        let lines = headers.get_all(name).iter().map(|line| line.to_str().unwrap_or_default());
        lines.flat_map(|line| line.split(',')).map(address).collect()
    }
}

/// The `for` of one hop (RFC 7239 §4). A quoted text with a comma in it, which no address has, is read as none.
fn forwarded_address(element: &str) -> Option<IpAddr> {
    let value = element.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then_some(value.trim())
    })?;
    node_address(value.trim_matches('"'))
}

/// An address with or without its port (RFC 7239 §6); IPv6 in brackets, or bare as `X-Forwarded-For` has it.
fn node_address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip()));
    address.map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn client(header: ForwardedHeader, peer: &str, lines: &[&str]) -> String {
        let networks = ["127.0.0.0/8", "10.0.0.0/8", "2001:db8:1::/48"].map(|text| text.parse().unwrap()).into();
        let proxies = TrustedProxies { networks, header };
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("x-forwarded-for", HeaderValue::from_str(line).unwrap());
            headers.append("forwarded", HeaderValue::from_str(line).unwrap());
        }
        proxies.client(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn the_last_address_that_is_no_proxy_of_ours_counts() {
        let client = |peer, lines: &[&str]| client(ForwardedHeader::XForwardedFor, peer, lines);
        assert_eq!(client("127.0.0.1", &["203.0.113.7"]), "203.0.113.7");
        assert_eq!(client("::ffff:127.0.0.1", &["203.0.113.7, 10.1.1.1"]), "203.0.113.7");
        assert_eq!(
            client("127.0.0.1", &["192.0.2.1, 203.0.113.7", "10.1.1.1"]),
            "203.0.113.7",
            "the left was written by it"
        );
        assert_eq!(client("127.0.0.1", &["[2001:db8:2::9]:4711"]), "2001:db8:2::9");
        assert_eq!(client("127.0.0.1", &["2001:db8:2::9"]), "2001:db8:2::9");
        assert_eq!(client("127.0.0.1", &["203.0.113.7:4711"]), "203.0.113.7");
        assert_eq!(
            client("127.0.0.1", &["10.2.2.2, 10.1.1.1"]),
            "10.2.2.2",
            "a proxy itself, if it names only proxies"
        );
    }

    #[test]
    fn nobody_else_is_believed_and_what_hides_is_the_proxys_own() {
        let client = |peer, lines: &[&str]| client(ForwardedHeader::XForwardedFor, peer, lines);
        assert_eq!(client("203.0.113.9", &["192.0.2.1"]), "203.0.113.9");
        assert_eq!(client("127.0.0.1", &[]), "127.0.0.1");
        assert_eq!(client("127.0.0.1", &["192.0.2.1, unknown"]), "127.0.0.1");
        assert_eq!(client("127.0.0.1", &["192.0.2.1, 10.1.1.1, nonsense, 10.1.1.2"]), "10.1.1.2");
    }

    #[test]
    fn the_header_of_the_rfc_is_read_where_it_is_the_one() {
        let client = |lines: &[&str]| client(ForwardedHeader::Forwarded, "127.0.0.1", lines);
        assert_eq!(client(&["for=192.0.2.43, For=\"[2001:db8:cafe::17]:4711\";proto=https"]), "2001:db8:cafe::17");
        assert_eq!(client(&["proto=http; for=192.0.2.60;by=203.0.113.43"]), "192.0.2.60");
        assert_eq!(client(&["for=192.0.2.60, for=_hidden"]), "127.0.0.1");
        assert_eq!(client(&["192.0.2.60"]), "127.0.0.1");
    }

    #[test]
    fn one_header_is_not_taken_for_the_other() {
        let proxies = TrustedProxies { networks: vec!["127.0.0.0/8".parse().unwrap()], ..TrustedProxies::default() };
        let headers = HeaderMap::from_iter([(header::FORWARDED, HeaderValue::from_static("for=192.0.2.1"))]);
        assert_eq!(proxies.client([127, 0, 0, 1].into(), &headers).to_string(), "127.0.0.1");
    }

    #[test]
    fn ipv6_addresses_of_one_network_are_one_and_ipv4_in_ipv6_is_ipv4() {
        let group = |text: &str| AddressGroup::from(text.parse::<IpAddr>().unwrap());
        assert_eq!(group("2001:db8:1:2:3::4"), group("2001:db8:1:2:ffff::"));
        assert_ne!(group("2001:db8:1:2::"), group("2001:db8:1:3::"));
        assert_eq!(group("::ffff:192.0.2.1"), group("192.0.2.1"));
        assert_ne!(group("192.0.2.1"), group("192.0.2.2"));
        assert_eq!(group("2001:db8:1:2:3::4").to_string(), "2001:db8:1:2::/64");
    }
}
