//! A signaling server inside this program, for calls among people who have none.
//!
//! It listens on all interfaces with a self-signed certificate, since browsers on other machines give camera and
//! microphone to secure pages only. The certificate's fingerprint goes into the links.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use parlor_proto::{Fingerprint, RoomId, RoomLink};
use parlor_signaling::{
    HubConfig, InvalidIceServer, RunningServer, ServerConfig, StartError, Tls, is_link_local, parse_ice_server,
};
use tokio::runtime::Handle;

/// Links keep working between runs where the port stays the same, so this one is tried first; 443's usual stand-in.
const PREFERRED_PORT: u16 = 8443;

/// A server that runs for as long as this value lives.
pub struct Hosted {
    server: Option<RunningServer>,
    runtime: Handle,
    address: SocketAddr,
    fingerprint: Option<Fingerprint>,
    reach: String,
}

/// Why no room can be opened on this computer.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The server does not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The settings name something that is no STUN or TURN server.
    #[error("“{text}” in `ice_servers` of config.toml is not understood: {reason}")]
    IceServer {
        /// What the settings say.
        text: String,
        /// What is wrong with it.
        reason: InvalidIceServer,
    },
}

/// Starts a server on all interfaces; its tasks run on `runtime`. `ice_servers` is what the settings say.
///
/// Not to be called from a task of a runtime, which it would block for some milliseconds.
///
/// # Errors
/// When there is no port or no certificate to be had, or the settings are wrong, in words.
pub fn host(runtime: &Handle, ice_servers: Option<&[String]>) -> Result<Hosted, HostError> {
    let config = hosting_config(ice_servers)?;
    let at = |port| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    Ok(host_at(runtime, &config, [at(PREFERRED_PORT), at(0)])?)
}

/// Takes the second address when another program has the first. What else goes wrong would do so again.
fn host_at(runtime: &Handle, config: &ServerConfig, [first, second]: [SocketAddr; 2]) -> Result<Hosted, StartError> {
    let config = |bind| ServerConfig { bind, ..config.clone() };
    match host_with(runtime, config(first)) {
        Err(StartError::AddressInUse { .. }) => host_with(runtime, config(second)),
        hosted => hosted,
    }
}

fn hosting_config(ice_servers: Option<&[String]>) -> Result<ServerConfig, HostError> {
    let mut config = ServerConfig { tls: Tls::SelfSigned, ..ServerConfig::default() };
    if let Some(texts) = ice_servers {
        let parse = |text: &String| {
            parse_ice_server(text).map_err(|reason| HostError::IceServer { text: text.clone(), reason })
        };
        let ice_servers = texts.iter().filter(|text| *text != "none").map(parse).collect::<Result<_, _>>()?;
        config.hub = HubConfig { ice_servers, ..config.hub };
    }
    Ok(config)
}

fn host_with(runtime: &Handle, config: ServerConfig) -> Result<Hosted, StartError> {
    let server = runtime.block_on(parlor_signaling::serve(config))?;
    let addresses = hosts_of(server.urls());
    let ip = best_address(&addresses, outward_address());
    let address = SocketAddr::new(ip, server.local_addr().port());
    let (fingerprint, reach) = (server.fingerprint(), reach_in_words(ip));
    Ok(Hosted { server: Some(server), runtime: runtime.clone(), address, fingerprint, reach })
}

impl Hosted {
    /// The link that leads others to a room on this server.
    pub fn link(&self, room: &RoomId) -> RoomLink {
        RoomLink {
            secure: true,
            authority: self.address.to_string(),
            room: room.clone(),
            fingerprint: self.fingerprint,
            password: None,
            access: None,
        }
    }

    /// Who can reach this server, in words for its user.
    pub fn reach(&self) -> &str {
        &self.reach
    }

    /// Stops the server, in the background; dropping it does the same. Running calls go on, new people can't join.
    pub fn shutdown(mut self) {
        self.stop();
    }

    fn stop(&mut self) {
        if let Some(server) = self.server.take() {
            self.runtime.spawn(server.shutdown());
        }
    }
}

impl Drop for Hosted {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The hosts of `https://HOST:PORT` texts.
fn hosts_of(urls: &[String]) -> Vec<IpAddr> {
    let host = |url: &String| Some(url.split_once("://")?.1.parse::<SocketAddr>().ok()?.ip());
    urls.iter().filter_map(host).collect()
}

/// The address from which this machine would speak to the world, where it has a way there.
fn outward_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    // RFC 5737 §3: no such host. Connecting a datagram socket sends nothing; it only looks up the way.
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// The address to put into links: the one on the way out, since others (of virtual networks, often) lead nowhere.
fn best_address(addresses: &[IpAddr], outward: Option<IpAddr>) -> IpAddr {
    outward
        .filter(|address| addresses.contains(address))
        .or_else(|| addresses.iter().copied().find(|address| !address.is_loopback()))
        .unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

/// Who can reach a server at this address.
fn reach_in_words(address: IpAddr) -> String {
    if address.is_loopback() {
        "Only programs on this computer can join: it is on no network.".to_owned()
    } else if is_private(address) {
        "People on the same network as you can join. For others, use a server that all of you can reach.".to_owned()
    } else {
        "Anyone with the link can join, unless a firewall stands between.".to_owned()
    }
}

/// RFC 1918, RFC 6598 (shared by a provider's customers), RFC 4193, and link-local addresses.
fn is_private(address: IpAddr) -> bool {
    let private = match address {
        IpAddr::V4(address) => {
            let [first, second, ..] = address.octets();
            address.is_private() || (first == 100 && second & 0xc0 == 64)
        }
        IpAddr::V6(address) => address.is_unique_local(),
    };
    private || is_link_local(&address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hosted_room_has_a_link_with_the_fingerprint() {
        let folder = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let config = ServerConfig {
            bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            tls: Tls::SelfSigned,
            state_dir: Some(folder.path().to_owned()),
            ..ServerConfig::default()
        };
        let hosted = host_with(runtime.handle(), config.clone()).unwrap();
        let link = hosted.link(&"tea".parse().unwrap());
        assert!(link.to_string().starts_with("https://127.0.0.1:"), "{link}");
        assert!(link.fingerprint.is_some());
        assert!(hosted.reach().contains("this computer"), "{}", hosted.reach());

        let taken = hosted.address;
        let second = host_at(runtime.handle(), &config, [taken, config.bind]).unwrap();
        assert_ne!(second.address, taken, "another program has the first address");
        drop((hosted, second));

        let file = folder.path().join("file");
        std::fs::write(&file, "no folder").unwrap();
        let broken = ServerConfig { state_dir: Some(file), ..config };
        assert!(host_at(runtime.handle(), &broken, [broken.bind; 2]).is_err(), "no other port helps there");
    }

    #[test]
    fn the_settings_name_the_ice_servers_of_hosted_calls() {
        let urls = |texts: Option<&[&str]>| -> Result<Vec<String>, HostError> {
            let texts: Option<Vec<String>> = texts.map(|texts| texts.iter().map(|&text| text.to_owned()).collect());
            let servers = hosting_config(texts.as_deref())?.hub.ice_servers;
            Ok(servers.into_iter().flat_map(|server| server.urls).collect())
        };
        assert_eq!(urls(None).unwrap(), [parlor_signaling::DEFAULT_ICE_SERVER]);
        assert!(urls(Some(&[])).unwrap().is_empty());
        assert!(urls(Some(&["none"])).unwrap().is_empty());
        assert_eq!(urls(Some(&["stun:a.example:3478"])).unwrap(), ["stun:a.example:3478"]);
        let error = urls(Some(&["a.example"])).unwrap_err().to_string();
        assert!(error.contains("“a.example”") && error.contains("stun:"), "{error}");
    }

    #[test]
    fn the_address_on_the_way_out_goes_into_links() {
        let addresses = ["127.0.0.1", "172.17.0.1", "192.168.1.7"].map(ip);
        assert_eq!(best_address(&addresses, Some(ip("192.168.1.7"))), ip("192.168.1.7"));
        assert_eq!(best_address(&addresses, Some(ip("203.0.113.9"))), ip("172.17.0.1"));
        assert_eq!(best_address(&addresses, None), ip("172.17.0.1"));
        assert_eq!(best_address(&addresses[..1], None), ip("127.0.0.1"));
    }

    #[test]
    fn who_can_join_is_said_in_words() {
        for (address, words) in [
            ("127.0.0.1", "Only programs on this computer"),
            ("192.168.1.7", "same network"),
            ("100.64.0.3", "same network"),
            ("fd00::1", "same network"),
            ("100.128.0.3", "Anyone with the link"),
            ("203.0.113.5", "Anyone with the link"),
        ] {
            assert!(reach_in_words(ip(address)).contains(words), "{address}");
        }
    }

    #[test]
    fn hosts_are_read_out_of_urls() {
        let urls = ["https://127.0.0.1:8443", "https://[::1]:8443", "https://name:1"].map(str::to_owned);
        assert_eq!(hosts_of(&urls), ["127.0.0.1", "::1"].map(ip));
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }
}
