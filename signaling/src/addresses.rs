//! How others can reach this machine.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The addresses of this machine, loopback first, without link-local ones, which a URL cannot name portably.
pub(crate) fn local_addresses() -> Vec<IpAddr> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_else(|error| {
        tracing::warn!(%error, "cannot list the network interfaces");
        Vec::new()
    });
    let mut addresses: Vec<IpAddr> = interfaces.iter().map(if_addrs::Interface::ip).collect();
    addresses.push(IpAddr::V4(Ipv4Addr::LOCALHOST));
    addresses.retain(|address| !is_link_local(address));
    addresses.sort_by_key(|address| (!address.is_loopback(), address.is_ipv6(), *address));
    addresses.dedup();
    addresses
}

/// Whether an address is good on one link only (RFC 3927; RFC 4291 §2.5.6).
pub fn is_link_local(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

/// This machine's name on the network, where it can be learnt without asking the network.
pub(crate) fn host_name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .or_else(|| std::env::var("HOSTNAME").ok())
        .or_else(|| std::env::var("COMPUTERNAME").ok())?;
    let name = name.trim().to_ascii_lowercase();
    let is_host = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.'));
    is_host.then_some(name)
}

/// The addresses at which a socket bound to `bound` is reached, out of `local` ones.
pub(crate) fn reachable(bound: SocketAddr, local: &[IpAddr]) -> Vec<SocketAddr> {
    if !bound.ip().is_unspecified() {
        return vec![bound];
    }
    // An IPv6 socket on all interfaces takes IPv4 too, by default of the systems we run on.
    let takes = |address: &&IpAddr| bound.is_ipv6() || address.is_ipv4();
    local.iter().filter(takes).map(|address| SocketAddr::new(*address, bound.port())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_on_all_interfaces_is_reached_at_each() {
        let local: Vec<IpAddr> = ["127.0.0.1", "192.168.1.5", "::1"].map(|text| text.parse().unwrap()).into();
        let texts = |bound: &str| -> Vec<String> {
            reachable(bound.parse().unwrap(), &local).iter().map(ToString::to_string).collect()
        };
        assert_eq!(texts("0.0.0.0:80"), ["127.0.0.1:80", "192.168.1.5:80"]);
        assert_eq!(texts("[::]:80"), ["127.0.0.1:80", "192.168.1.5:80", "[::1]:80"]);
        assert_eq!(texts("192.168.1.5:80"), ["192.168.1.5:80"]);
    }

    #[test]
    fn loopback_comes_first_and_once() {
        let addresses = local_addresses();
        assert!(addresses[0].is_loopback());
        assert_eq!(addresses.iter().filter(|address| **address == IpAddr::V4(Ipv4Addr::LOCALHOST)).count(), 1);
    }
}
