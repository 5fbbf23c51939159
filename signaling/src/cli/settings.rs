//! Every setting, declared once: its flag, its variable and its key in the file follow from the field's name, its
//! explanation in `--help` and in `config example` from the comment.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, ValueEnum, value_parser};
use parlor_proto::IceServer;
use parlor_signaling::{
    DEFAULT_ICE_SERVER, HubConfig, Secret, ServerConfig, SocketConfig, Tls, TurnConfig, TurnFile, default_state_dir,
    parse_ice_server, parse_turn_url,
};

/// All settings, as they are before they are looked at together.
#[derive(Debug, Args)]
pub(crate) struct Settings {
    #[command(flatten)]
    listen: Listen,
    #[command(flatten)]
    encryption: Encryption,
    #[command(flatten)]
    rooms: Rooms,
    #[command(flatten)]
    access: Access,
    #[command(flatten)]
    limits: Limits,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Where to listen, what to keep")]
struct Listen {
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "0.0.0.0:8080")]
    bind: SocketAddr,

    /// Where the secret and the self-signed certificate are kept [default: this user's state folder]
    #[arg(long, value_name = "FOLDER")]
    state_dir: Option<PathBuf>,

    /// The secret that lets people resume after a restart; made if missing [default: `secret` in the state folder]
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Encryption")]
struct Encryption {
    /// Encrypt with a certificate of the server's own, kept between starts
    #[arg(long, value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true")]
    tls_self_signed: bool,

    /// Encrypt with this certificate (PEM, with those it hangs on)
    #[arg(long, value_name = "FILE")]
    tls_cert: Option<PathBuf>,

    /// The certificate's private key (PEM)
    #[arg(long, value_name = "FILE")]
    tls_key: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Rooms")]
struct Rooms {
    /// A STUN or TURN server for the clients, repeatable; `none` for none at all
    #[arg(long = "ice-server", value_name = "URL", default_value = DEFAULT_ICE_SERVER, value_parser = ice_server)]
    ice_servers: Vec<IceServerArg>,

    /// A TURN server that shares a secret with this one (coturn's use-auth-secret), repeatable. Browsers use all; the desktop
    /// program relays over UDP only, so give it one like turn:turn.example.org:3478
    #[arg(long = "turn-url", value_name = "URL", value_parser = turn_url)]
    turn_urls: Vec<String>,

    /// The file with that secret, from which each person gets credentials
    #[arg(long, value_name = "FILE")]
    turn_secret_file: Option<PathBuf>,

    /// How long such credentials are good for; clients renew them after half of it
    #[arg(long, value_name = "SECONDS", default_value_t = TurnConfig::LIFETIME.as_secs(), value_parser = value_parser!(u64).range(60..=2_592_000))]
    turn_lifetime_secs: u64,

    /// People in one room. Each sends its picture to all others, so that more than 8 need a fast line
    #[arg(long, value_name = "N", default_value_t = HubConfig::default().room_capacity, value_parser = value_parser!(u32).range(2..=64))]
    room_capacity: u32,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Who may come in")]
struct Access {
    /// `open`: whoever knows a room's name; `token`: who brings an access token for it (`parlor-server token` makes one)
    #[arg(long, value_name = "WHO", default_value = "open", value_enum)]
    access: AccessArg,

    /// What access tokens are verified with: a secret of at least 32 bytes (HS256), or an Ed25519 public key in PEM form
    /// (EdDSA)
    #[arg(long, value_name = "FILE")]
    access_key_file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum AccessArg {
    Open,
    Token,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
struct Limits {
    /// Clients at one time; one more is answered with 503. One costs about 4 KiB when idle, and one file descriptor
    #[arg(long, value_name = "N", default_value_t = ServerConfig::default().connections_max, value_parser = at_least_one)]
    max_connections: usize,

    /// Rooms at one time, so that room names cannot fill the memory
    #[arg(long, value_name = "N", default_value_t = HubConfig::default().rooms_max, value_parser = at_least_one)]
    max_rooms: usize,

    /// Bytes that may wait for one client. 256 KiB: the offers of a full room, several times over. Who does not read them
    /// is closed with `too_slow`
    #[arg(long, value_name = "BYTES", default_value_t = SocketConfig::default().outbox_bytes_max, value_parser = at_least_one)]
    outbox_bytes: usize,
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

fn turn_url(text: &str) -> Result<String, String> {
    parse_turn_url(text).map_err(|error| error.to_string())
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("it must be at least 1".to_owned()),
        Ok(number) => Ok(number),
        Err(_) => Err("it is not a whole number".to_owned()),
    }
}

impl Settings {
    /// The key of the access tokens, whether they are asked for or not.
    pub(crate) fn access_key_file(&self) -> Option<PathBuf> {
        self.access.access_key_file.clone()
    }

    /// Looks at the settings together.
    ///
    /// # Errors
    /// A sentence for each that does not go with the others.
    pub(crate) fn into_config(self) -> Result<ServerConfig, Vec<String>> {
        let Self { listen, encryption, rooms, access, limits } = self;
        let mut problems = Vec::new();
        let tls = encryption.into_tls().unwrap_or_else(|problem| {
            problems.push(problem.to_owned());
            Tls::Off
        });
        let turn = rooms.turn().unwrap_or_else(|problem| {
            problems.push(problem.to_owned());
            None
        });
        let access_key_file = access.into_key_file().unwrap_or_else(|problem| {
            problems.push(problem.to_owned());
            None
        });
        if !problems.is_empty() {
            return Err(problems);
        }
        let ice_servers = rooms.ice_servers.into_iter().filter_map(|arg| match arg {
            IceServerArg::None => None,
            IceServerArg::Server(server) => Some(server),
        });
        let defaults = ServerConfig::default();
        Ok(ServerConfig {
            bind: listen.bind,
            hub: HubConfig {
                room_capacity: rooms.room_capacity,
                rooms_max: limits.max_rooms,
                ice_servers: ice_servers.collect(),
                ..defaults.hub
            },
            tls,
            turn,
            access_key_file,
            secret: listen.secret_file.map_or(Secret::StateDir, Secret::File),
            state_dir: listen.state_dir.or_else(default_state_dir),
            connections_max: limits.max_connections,
            sockets: SocketConfig { outbox_bytes_max: limits.outbox_bytes, ..defaults.sockets },
        })
    }
}

impl Rooms {
    fn turn(&self) -> Result<Option<TurnFile>, &'static str> {
        match (&self.turn_secret_file, self.turn_urls.is_empty()) {
            (None, true) => Ok(None),
            (None, false) => Err("turn_urls need their turn_secret_file: name the file with the secret they know too."),
            (Some(_), true) => Err("turn_secret_file needs turn_urls: name the TURN servers that know the secret."),
            (Some(secret), false) => Ok(Some(TurnFile {
                urls: self.turn_urls.clone(),
                secret: secret.clone(),
                lifetime: Duration::from_secs(self.turn_lifetime_secs),
            })),
        }
    }
}

impl Access {
    fn into_key_file(self) -> Result<Option<PathBuf>, &'static str> {
        match (self.access, self.access_key_file) {
            (AccessArg::Open, None) => Ok(None),
            (AccessArg::Token, Some(path)) => Ok(Some(path)),
            (AccessArg::Token, None) => {
                Err("access = token needs an access_key_file: name the file that access tokens are verified with.")
            }
            (AccessArg::Open, Some(_)) => {
                Err("access_key_file does nothing while access is open: set access to token, or leave the file out.")
            }
        }
    }
}

impl Encryption {
    fn into_tls(self) -> Result<Tls, &'static str> {
        match (self.tls_self_signed, self.tls_cert, self.tls_key) {
            (false, None, None) => Ok(Tls::Off),
            (true, None, None) => Ok(Tls::SelfSigned),
            (false, Some(cert), Some(key)) => Ok(Tls::Files { cert, key }),
            (false, Some(_), None) => Err("tls_cert needs its tls_key: name the certificate's private key too."),
            (false, None, Some(_)) => Err("tls_key needs its tls_cert: name the key's certificate too."),
            (true, _, _) => Err("tls_self_signed and tls_cert exclude each other: choose one."),
        }
    }
}
