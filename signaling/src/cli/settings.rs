//! Every setting, declared once: its flag, its variable and its key in the file follow from the field's name, its
//! explanation in `--help` and in `config example` from the comment.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, ValueEnum, value_parser};
use ipnet::IpNet;
use parlor_proto::{IceServer, MESSAGE_BYTES_MAX};
use parlor_signaling::backplane::{InvalidRedisUrl, RedisTls, RedisUrl};
use parlor_signaling::{
    DEFAULT_ICE_SERVER, DrainConfig, ForwardedHeader, GuessConfig, HubConfig, Origin, Secret, ServerConfig,
    SocketConfig, Tls, TrustedProxies, TurnConfig, TurnFile, default_state_dir, parse_ice_server, parse_turn_url,
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
    operation: Operation,
    #[command(flatten)]
    limits: Limits,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Where to listen, what to keep")]
struct Listen {
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "0.0.0.0:8080")]
    bind: SocketAddr,

    /// The address that people know, if it is another than the one listened on: behind a proxy, such as https://call.example.org
    #[arg(long, value_name = "URL")]
    public_url: Option<Origin>,

    /// The proxies (addresses or networks, with commas between) whose word is taken on who came to them. Without, nobody is believed
    #[arg(long, value_name = "CIDR", value_delimiter = ',', value_parser = network)]
    trusted_proxies: Vec<IpNet>,

    /// The header in which these proxies name who came to them. Only this one is read: the other would be passed on as the
    /// client wrote it
    #[arg(long, value_name = "HEADER", default_value = "x-forwarded-for")]
    forwarded_header: ForwardedHeaderArg,

    /// Another site whose pages may connect, such as https://friends.example.org; repeatable. Pages of this server always may
    #[arg(long = "allow-origin", value_name = "ORIGIN")]
    allow_origins: Vec<Origin>,

    /// Where the secret and the self-signed certificate are kept [default: this user's state folder]
    #[arg(long, value_name = "FOLDER")]
    state_dir: Option<PathBuf>,

    /// The secret that lets people resume after a restart; made if missing [default: `secret` in the state folder]
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,

    /// The Redis where this server meets others, so that a room spans all of them: redis://HOST:6379, rediss://… for TLS,
    /// redis-sentinel://HOST:26379,HOST:26379#MASTER. All need the same `secret_file`
    #[arg(long, value_name = "URL", value_parser = redis_url)]
    redis: Option<RedisUrl>,

    /// How long what a server says of its people holds for the others: those of one that has died are gone after this and a
    /// third more. 7: within 10 s, though two of its messages, which come every two seconds, may be lost
    #[arg(long, value_name = "SECONDS", default_value_t = HubConfig::default().lease.as_secs(), value_parser = value_parser!(u64).range(1..=60))]
    redis_lease_seconds: u64,

    /// The authorities (PEM) that may have signed the certificate of a Redis with TLS [default: those of the system]
    #[arg(long, value_name = "FILE")]
    redis_ca: Option<PathBuf>,

    /// The certificate (PEM) that this server shows to a Redis that asks for one, as those with TLS do unless `tls-auth-clients` is off
    #[arg(long, value_name = "FILE")]
    redis_cert: Option<PathBuf>,

    /// That certificate's private key (PEM)
    #[arg(long, value_name = "FILE")]
    redis_key: Option<PathBuf>,
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
    #[arg(long, value_name = "SECONDS", default_value_t = TurnConfig::LIFETIME.as_secs(), value_parser = value_parser!(u64).range(10..=2_592_000))]
    turn_lifetime_seconds: u64,

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
#[command(next_help_heading = "Operation")]
struct Operation {
    /// The file with the bearer token that /metrics asks for. Without one they are for this machine only
    #[arg(long, value_name = "FILE")]
    metrics_token_file: Option<PathBuf>,

    /// How the log is written: text for people, or a JSON object a line
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    log_format: LogFormat,

    /// When stopped: how long /readyz says "draining" before anybody is told to go. 0: a single server has nobody to send
    /// people to; behind a load balancer, longer than it takes to notice
    #[arg(long, value_name = "SECONDS", default_value_t = DrainConfig::default().delay.as_secs(), value_parser = value_parser!(u64).range(0..=3_600))]
    drain_delay_seconds: u64,

    /// When stopped: over how long a time people are told to come back at most. 5: well within what a call does without its server
    #[arg(long, value_name = "SECONDS", default_value_t = DrainConfig::default().spread_max.as_secs(), value_parser = value_parser!(u64).range(0..=60))]
    drain_spread_seconds: u64,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ForwardedHeaderArg {
    XForwardedFor,
    Forwarded,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
struct Limits {
    /// Clients at one time; one more is answered with 503. One costs about 2.5 KiB when idle (10 KiB
    /// over TLS), and one file descriptor [default: 256 fewer than the descriptors that this process may have, and not more than 20000]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    max_connections: Option<usize>,

    /// Clients of one address at one time; one more is answered with 429. 200: an office or a school behind one address. IPv6
    /// addresses count by their first 64 bits, loopback addresses not at all: they are this machine's own
    #[arg(long, value_name = "N", default_value_t = ServerConfig::default().connections_per_address, value_parser = at_least_one)]
    connections_per_address: usize,

    /// Rooms at one time, so that room names cannot fill the memory
    #[arg(long, value_name = "N", default_value_t = HubConfig::default().rooms_max, value_parser = at_least_one)]
    max_rooms: usize,

    /// Bytes that all rooms may hold, a person counted as 1 KiB and a room as 2 KiB. 64 MiB: 20,000 people in 10,000 rooms, one
    /// and a half times. With more, nobody new comes in: `too_many_rooms`
    #[arg(long, value_name = "BYTES", default_value_t = HubConfig::default().rooms_bytes_max, value_parser = at_least_one)]
    rooms_bytes: usize,

    /// Bytes of one message. 64 KiB: the longest there is in the protocol; the offers of some browsers have 20. Whoever sends more
    /// is closed with `message_too_large`
    #[arg(long, value_name = "BYTES", default_value_t = longest_message(), value_parser = value_parser!(u32).range(32_768..=i64::from(longest_message())))]
    message_bytes: u32,

    /// Messages that one client may send at once. 600: a call of eight, negotiating anew all at the same time, sends about
    /// 200. What is over is dropped with `rate_limited`; who goes on and on is closed with `flooding`
    #[arg(long, value_name = "N", default_value_t = HubConfig::default().message_burst, value_parser = value_parser!(u32).range(10..=1_000_000))]
    message_burst: u32,

    /// Messages a second that a client earns back
    #[arg(long, value_name = "N", default_value_t = HubConfig::default().messages_per_sec, value_parser = value_parser!(u32).range(1..=1_000_000))]
    messages_per_second: u32,

    /// Bytes of messages that one client may send at once. 4 MiB: those 200 messages, were each a large offer of 20 KiB
    #[arg(long, value_name = "BYTES", default_value_t = HubConfig::default().byte_burst, value_parser = value_parser!(u32).range(65_536..=1_073_741_824))]
    byte_burst: u32,

    /// Bytes a second that a client earns back. 256 KiB: four messages of the longest kind
    #[arg(long, value_name = "BYTES", default_value_t = HubConfig::default().bytes_per_sec, value_parser = value_parser!(u32).range(1_024..=1_073_741_824))]
    bytes_per_second: u32,

    /// New people from one address in a minute, and at once; who resumes is not counted. 60: a class or an office behind one
    /// address. IPv6 addresses count by their first 64 bits, loopback addresses not at all: they are this machine's own
    #[arg(long, value_name = "N", default_value_t = HubConfig::default().joins_per_address_per_min, value_parser = value_parser!(u32).range(1..=1_000_000))]
    joins_per_address_per_minute: u32,

    /// How long a client may be connected without being in a room. 2 minutes: somebody looks for a password meanwhile
    #[arg(long, value_name = "SECONDS", default_value_t = HubConfig::default().idle_max.as_secs(), value_parser = value_parser!(u64).range(1..=86_400))]
    idle_seconds: u64,

    /// How often a client is asked with a ping whether it is there. 5: soon enough for the others to see who is lost
    #[arg(long, value_name = "SECONDS", default_value_t = SocketConfig::default().ping_interval.as_secs(), value_parser = value_parser!(u64).range(1..=300))]
    ping_seconds: u64,

    /// How long a client may be silent, answers to pings included, before it is closed with `idle`. 15: three pings
    #[arg(long, value_name = "SECONDS", default_value_t = SocketConfig::default().silence_max.as_secs(), value_parser = value_parser!(u64).range(2..=3_600))]
    silence_seconds: u64,

    /// The longest life of a connection that only fetches the page. 60: a phone on a bad line
    #[arg(long, value_name = "SECONDS", default_value_t = SocketConfig::default().page_timeout.as_secs(), value_parser = value_parser!(u64).range(1..=3_600))]
    page_seconds: u64,

    /// Wrong passwords from one address, at once and then in each `guess_window_seconds`. 10: a person who mistypes
    #[arg(long, value_name = "N", default_value_t = GuessConfig::default().per_address, value_parser = value_parser!(u32).range(1..=1_000_000))]
    guesses_per_address: u32,

    /// Wrong passwords for one room, the same way. 100: many who mistype, and no dictionary
    #[arg(long, value_name = "N", default_value_t = GuessConfig::default().per_room, value_parser = value_parser!(u32).range(1..=1_000_000))]
    guesses_per_room: u32,

    /// The time in which all that may be guessed again, bit by bit. 600: one more a minute from an address, ten for a room
    #[arg(long, value_name = "SECONDS", default_value_t = GuessConfig::default().window.as_secs(), value_parser = value_parser!(u64).range(1..=86_400))]
    guess_window_seconds: u64,

    /// Passwords of one address that are hashed at once, right ones too: an office that comes to a meeting
    #[arg(long, value_name = "N", default_value_t = GuessConfig::default().address_hash_burst, value_parser = value_parser!(u32).range(1..=1_000_000))]
    password_burst: u32,

    /// Passwords a second that an address earns back
    #[arg(long, value_name = "N", default_value_t = GuessConfig::default().address_hashes_per_sec, value_parser = value_parser!(u32).range(1..=1_000_000))]
    passwords_per_second: u32,

    /// Bytes that may wait for one client. 256 KiB: the offers of a full room, several times over. Who does not read them
    /// is closed with `too_slow`
    #[arg(long, value_name = "BYTES", default_value_t = SocketConfig::default().outbox_bytes_max, value_parser = at_least_one)]
    outbox_bytes: usize,

    /// Bytes that may wait for all clients together. 64 MiB: a quarter of the outboxes of 1,000 clients full. With more,
    /// whoever reads least is closed with `too_slow`
    #[arg(long, value_name = "BYTES", default_value_t = SocketConfig::default().outboxes_bytes_max, value_parser = at_least_one)]
    outboxes_bytes: usize,

    /// From the TCP connection to the end of the request, encryption included. 10: a slow phone needs about two
    #[arg(long, value_name = "SECONDS", default_value_t = SocketConfig::default().handshake_timeout.as_secs(), value_parser = value_parser!(u64).range(1..=600))]
    handshake_seconds: u64,
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

fn network(text: &str) -> Result<IpNet, String> {
    let address = text.trim().parse::<IpAddr>().map(IpNet::from);
    address.or_else(|_| text.trim().parse()).map_err(|_| "it must look like 10.0.0.1 or 10.0.0.0/8".to_owned())
}

fn redis_url(text: &str) -> Result<RedisUrl, String> {
    text.parse().map_err(|error: InvalidRedisUrl| error.to_string())
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

    pub(crate) fn log_format(&self) -> LogFormat {
        self.operation.log_format
    }

    /// Looks at the settings together.
    ///
    /// # Errors
    /// A sentence for each that does not go with the others.
    pub(crate) fn into_config(self) -> Result<ServerConfig, Vec<String>> {
        let Self { listen, encryption, rooms, access, operation, limits } = self;
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
        problems.extend(limits.silence_problem());
        let redis_tls = listen.redis_tls().unwrap_or_else(|problem| {
            problems.push(problem.to_owned());
            RedisTls::default()
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
                rooms_bytes_max: limits.rooms_bytes,
                message_bytes_max: usize::try_from(limits.message_bytes).unwrap_or(usize::MAX),
                message_burst: limits.message_burst,
                messages_per_sec: limits.messages_per_second,
                byte_burst: limits.byte_burst,
                bytes_per_sec: limits.bytes_per_second,
                joins_per_address_per_min: limits.joins_per_address_per_minute,
                idle_max: Duration::from_secs(limits.idle_seconds),
                lease: Duration::from_secs(listen.redis_lease_seconds),
                ice_servers: ice_servers.collect(),
                guesses: limits.guesses(),
                ..defaults.hub
            },
            tls,
            turn,
            access_key_file,
            secret: listen.secret_file.map_or(Secret::StateDir, Secret::File),
            state_dir: listen.state_dir.or_else(default_state_dir),
            connections_max: limits.max_connections,
            redis: listen.redis,
            redis_tls,
            connections_per_address: limits.connections_per_address,
            public_url: listen.public_url,
            proxies: TrustedProxies {
                networks: listen.trusted_proxies,
                header: match listen.forwarded_header {
                    ForwardedHeaderArg::XForwardedFor => ForwardedHeader::XForwardedFor,
                    ForwardedHeaderArg::Forwarded => ForwardedHeader::Forwarded,
                },
            },
            allow_origins: listen.allow_origins,
            metrics_token_file: operation.metrics_token_file,
            sockets: SocketConfig {
                outbox_bytes_max: limits.outbox_bytes,
                outboxes_bytes_max: limits.outboxes_bytes,
                handshake_timeout: Duration::from_secs(limits.handshake_seconds),
                page_timeout: Duration::from_secs(limits.page_seconds),
                ping_interval: Duration::from_secs(limits.ping_seconds),
                silence_max: Duration::from_secs(limits.silence_seconds),
                ..defaults.sockets
            },
            drain: DrainConfig {
                delay: Duration::from_secs(operation.drain_delay_seconds),
                spread_max: Duration::from_secs(operation.drain_spread_seconds),
            },
        })
    }
}

impl Listen {
    fn redis_tls(&self) -> Result<RedisTls, &'static str> {
        let identity = match (&self.redis_cert, &self.redis_key) {
            (None, None) => None,
            (Some(cert), Some(key)) => Some((cert.clone(), key.clone())),
            (Some(_), None) => return Err("redis_cert needs its redis_key: name the certificate's private key too."),
            (None, Some(_)) => return Err("redis_key needs its redis_cert: name the key's certificate too."),
        };
        let tls = RedisTls { ca: self.redis_ca.clone(), identity };
        let is_secure = self.redis.as_ref().is_some_and(RedisUrl::is_secure);
        if tls != RedisTls::default() && !is_secure {
            return Err("redis_ca, redis_cert and redis_key are for a Redis with TLS: name it as rediss://… in redis.");
        }
        Ok(tls)
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
                lifetime: Duration::from_secs(self.turn_lifetime_seconds),
            })),
        }
    }
}

impl Limits {
    fn guesses(&self) -> GuessConfig {
        GuessConfig {
            per_address: self.guesses_per_address,
            per_room: self.guesses_per_room,
            window: Duration::from_secs(self.guess_window_seconds),
            address_hash_burst: self.password_burst,
            address_hashes_per_sec: self.passwords_per_second,
        }
    }

    /// A client that answers every ping must never be silent for too long.
    fn silence_problem(&self) -> Option<String> {
        let Self { ping_seconds, silence_seconds, .. } = self;
        (silence_seconds <= ping_seconds).then(|| {
            format!("silence_seconds ({silence_seconds}) must be more than ping_seconds ({ping_seconds}): three times is good.")
        })
    }
}

/// What the clients take.
fn longest_message() -> u32 {
    u32::try_from(MESSAGE_BYTES_MAX).unwrap_or(u32::MAX)
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
