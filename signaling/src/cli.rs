//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, value_parser};
use parlor_proto::IceServer;
use parlor_signaling::{DEFAULT_ICE_SERVER, HubConfig, Secret, ServerConfig, Tls, default_state_dir, parse_ice_server};

const EXAMPLES: &str = "\
Examples:
  parlor-server                                  every interface, port 8080
  parlor-server --bind 127.0.0.1:0               this machine only, any free port
  parlor-server --tls-self-signed                encrypted, so that browsers elsewhere give camera and microphone
  parlor-server --bind 0.0.0.0:443 --tls-cert cert.pem --tls-key key.pem
  parlor-server --ice-server stun:stun.example.org:3478 --ice-server turn:USER:PASSWORD@turn.example.org:3478
  parlor-server --ice-server none                no STUN: calls within one network only

Standard output gets one line for each address (\"listening on http://…\"), standard error the log (RUST_LOG filters it).
Exit codes: 0 stopped by a signal, 1 failed, 2 wrong usage.";

/// The signaling server of Parlor calls: it brings people together, and serves the page for browsers. Pictures and
/// sound go from person to person, not through it.
#[derive(Debug, Parser)]
#[command(name = "parlor-server", version, after_help = EXAMPLES)]
pub(crate) struct Cli {
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "0.0.0.0:8080")]
    bind: SocketAddr,

    /// A STUN or TURN server for the clients, repeatable; `none` for none at all
    #[arg(long = "ice-server", value_name = "URL", default_value = DEFAULT_ICE_SERVER, value_parser = ice_server)]
    ice_servers: Vec<IceServerArg>,

    /// People in one room. Each sends its picture to all others, so that more than 8 need a fast line
    #[arg(long, value_name = "N", default_value_t = HubConfig::default().room_capacity, value_parser = value_parser!(u32).range(2..=64))]
    room_capacity: u32,

    /// Clients at one time; one more is answered with 503
    #[arg(long, value_name = "N", default_value_t = 4_000, value_parser = value_parser!(u32).range(1..))]
    max_connections: u32,

    /// Where the secret and the self-signed certificate are kept [default: this user's state folder]
    #[arg(long, value_name = "FOLDER")]
    state_dir: Option<PathBuf>,

    /// The secret that lets people resume after a restart; made if missing [default: `secret` in the state folder]
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,

    /// Encrypt with a certificate of the server's own, kept between starts
    #[arg(long, conflicts_with_all = ["tls_cert", "tls_key"])]
    tls_self_signed: bool,

    /// Encrypt with this certificate (PEM, with those it hangs on)
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,

    /// The certificate's private key (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
}

#[derive(Clone, Debug)]
enum IceServerArg {
    None,
    Server(IceServer),
}

fn ice_server(text: &str) -> Result<IceServerArg, String> {
    if text == "none" {
        return Ok(IceServerArg::None);
    }
    parse_ice_server(text).map(IceServerArg::Server).map_err(|error| error.to_string())
}

impl Cli {
    pub(crate) fn into_config(self) -> ServerConfig {
        let ice_servers = self.ice_servers.into_iter().filter_map(|arg| match arg {
            IceServerArg::None => None,
            IceServerArg::Server(server) => Some(server),
        });
        let tls = match (self.tls_self_signed, self.tls_cert, self.tls_key) {
            (true, _, _) => Tls::SelfSigned,
            (false, Some(cert), Some(key)) => Tls::Files { cert, key },
            (false, _, _) => Tls::Off,
        };
        let defaults = ServerConfig::default();
        ServerConfig {
            bind: self.bind,
            hub: HubConfig { room_capacity: self.room_capacity, ice_servers: ice_servers.collect(), ..defaults.hub },
            tls,
            secret: self.secret_file.map_or(Secret::StateDir, Secret::File),
            state_dir: self.state_dir.or_else(default_state_dir),
            connections_max: usize::try_from(self.max_connections).unwrap_or(usize::MAX),
            sockets: defaults.sockets,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(args: &[&str]) -> ServerConfig {
        Cli::parse_from([&["parlor-server"], args].concat()).into_config()
    }

    #[test]
    fn without_flags_the_documented_defaults_hold() {
        let config = config(&[]);
        assert_eq!(config.bind.to_string(), "0.0.0.0:8080");
        assert_eq!(config.hub.ice_servers[0].urls, [DEFAULT_ICE_SERVER]);
        assert_eq!(config.hub.room_capacity, 8);
        assert_eq!(config.tls, Tls::Off);
        assert_eq!(config.connections_max, ServerConfig::default().connections_max);
    }

    #[test]
    fn ice_servers_replace_the_default_and_none_means_none() {
        assert!(config(&["--ice-server", "none"]).hub.ice_servers.is_empty());
        let servers = config(&["--ice-server", "stun:a", "--ice-server", "turn:u:p@b"]).hub.ice_servers;
        assert_eq!(servers.len(), 2);
        assert_eq!(servers[1].username.as_deref(), Some("u"));
    }

    #[test]
    fn half_a_certificate_is_a_usage_error() {
        assert!(Cli::try_parse_from(["parlor-server", "--tls-cert", "a"]).is_err());
        assert!(
            Cli::try_parse_from(["parlor-server", "--tls-self-signed", "--tls-cert", "a", "--tls-key", "b"]).is_err()
        );
        assert!(Cli::try_parse_from(["parlor-server", "--room-capacity", "1"]).is_err());
    }
}
