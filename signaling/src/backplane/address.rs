//! Where a Redis is.

use std::fmt;
use std::str::FromStr;

use redis::sentinel::{SentinelClientBuilder, SentinelServerType};
use redis::{
    Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _, ProtocolVersion, RedisConnectionInfo, RedisResult,
    TlsCertificates, TlsMode,
};

/// Where a Redis is: `redis://[[USER]:PASSWORD@]HOST[:PORT][/DB]`, `rediss://…` for TLS, `redis+unix:///PATH`, or
/// `redis-sentinel://[[USER]:PASSWORD@]HOST[:PORT][,HOST[:PORT]…][/DB]#MASTER` (`rediss-sentinel://…` for TLS), where
/// the hosts are those of the sentinels, and user and password those of the Redis behind them.
#[derive(Clone)]
pub struct RedisUrl(Kind);

#[derive(Clone)]
enum Kind {
    Server(Box<ConnectionInfo>),
    Sentinels { sentinels: Vec<ConnectionInfo>, master: String, server: Box<ConnectionInfo> },
}

/// Why a text does not say where a Redis is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRedisUrl {
    /// Another scheme, or something after it that cannot be read.
    #[error(
        "a Redis is named as in redis://HOST:6379, rediss://:PASSWORD@HOST, or redis-sentinel://HOST:26379,HOST:26379#MASTER"
    )]
    Form,
    /// Sentinels without the name of what they watch.
    #[error("the name of the master is missing, as in redis-sentinel://HOST:26379#MASTER")]
    Master,
}

/// The usual port of a sentinel.
const SENTINEL_PORT: u16 = 26_379;

impl FromStr for RedisUrl {
    type Err = InvalidRedisUrl;

    fn from_str(text: &str) -> Result<Self, InvalidRedisUrl> {
        let (scheme, rest) = text.trim().split_once("://").ok_or(InvalidRedisUrl::Form)?;
        match scheme {
            "redis" | "rediss" | "redis+unix" | "unix" => Ok(Self(Kind::Server(Box::new(server(text.trim())?)))),
            "redis-sentinel" => sentinels(rest, false),
            "rediss-sentinel" => sentinels(rest, true),
            _ => Err(InvalidRedisUrl::Form),
        }
    }
}

fn server(url: &str) -> Result<ConnectionInfo, InvalidRedisUrl> {
    url.into_connection_info().map_err(|_| InvalidRedisUrl::Form)
}

fn sentinels(rest: &str, secure: bool) -> Result<RedisUrl, InvalidRedisUrl> {
    let (rest, master) = rest.split_once('#').ok_or(InvalidRedisUrl::Master)?;
    if master.is_empty() {
        return Err(InvalidRedisUrl::Master);
    }
    let (rest, db) = rest.split_once('/').unwrap_or((rest, ""));
    let (credentials, hosts) = rest.rsplit_once('@').map_or(("", rest), |(credentials, hosts)| (credentials, hosts));
    let scheme = if secure { "rediss" } else { "redis" };
    let sentinel = |host: &str| {
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| !port.is_empty() && !port.ends_with(']'));
        let port = if has_port { String::new() } else { format!(":{SENTINEL_PORT}") };
        server(&format!("{scheme}://{host}{port}"))
    };
    let sentinels = hosts.split(',').map(sentinel).collect::<Result<Vec<_>, _>>()?;
    // The host is the sentinels' to name; credentials and database are read as in any other of these URLs.
    let at = if credentials.is_empty() { "" } else { "@" };
    let server = server(&format!("{scheme}://{credentials}{at}localhost/{db}"))?;
    Ok(RedisUrl(Kind::Sentinels { sentinels, master: master.to_owned(), server: Box::new(server) }))
}

impl RedisUrl {
    /// Whether it is reached over TLS.
    pub fn is_secure(&self) -> bool {
        let (Kind::Server(server) | Kind::Sentinels { server, .. }) = &self.0;
        matches!(server.addr(), ConnectionAddr::TcpTls { .. })
    }

    /// A client of the Redis that takes writes at this moment. It speaks RESP3, so that what is heard can be bounded.
    pub(super) async fn client(&self, certificates: Option<TlsCertificates>) -> RedisResult<Client> {
        match &self.0 {
            Kind::Server(server) => {
                let settings = server.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
                let server = ConnectionInfo::clone(server).set_redis_settings(settings);
                match certificates {
                    Some(certificates) => Client::build_with_tls(server, certificates),
                    None => Client::open(server),
                }
            }
            Kind::Sentinels { sentinels, master, server } => {
                let addresses = sentinels.iter().map(|sentinel| sentinel.addr().clone());
                let builder = SentinelClientBuilder::new(addresses, master, SentinelServerType::Master)?;
                let builder = with_settings(builder, server.redis_settings());
                let builder = if self.is_secure() { with_tls(builder, certificates) } else { builder };
                builder.build()?.async_get_client().await
            }
        }
    }
}

/// Sentinels are asked without a password; the Redis behind them has what the URL says.
fn with_settings(builder: SentinelClientBuilder, settings: &RedisConnectionInfo) -> SentinelClientBuilder {
    let mut builder =
        builder.set_client_to_redis_db(settings.db()).set_client_to_redis_protocol(ProtocolVersion::RESP3);
    if let Some(username) = settings.username() {
        builder = builder.set_client_to_redis_username(username);
    }
    if let Some(password) = settings.password() {
        builder = builder.set_client_to_redis_password(password);
    }
    builder
}

fn with_tls(builder: SentinelClientBuilder, certificates: Option<TlsCertificates>) -> SentinelClientBuilder {
    let builder =
        builder.set_client_to_redis_tls_mode(TlsMode::Secure).set_client_to_sentinel_tls_mode(TlsMode::Secure);
    match certificates {
        Some(certificates) => builder
            .set_client_to_redis_certificates(certificates.clone())
            .set_client_to_sentinel_certificates(certificates),
        None => builder,
    }
}

/// Without user and password.
impl fmt::Display for RedisUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Server(info) => write!(formatter, "{}", info.addr()),
            Kind::Sentinels { sentinels, master, .. } => {
                let sentinels: Vec<_> = sentinels.iter().map(|info| info.addr().to_string()).collect();
                write!(formatter, "{master} of the sentinels {}", sentinels.join(", "))
            }
        }
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "RedisUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, InvalidRedisUrl> {
        text.parse::<RedisUrl>().map(|url| url.to_string())
    }

    #[test]
    fn every_form_is_read_and_shown_without_its_password() {
        for (text, shown) in [
            ("redis://redis.example.org", "redis.example.org:6379"),
            ("rediss://ana:secret@redis.example.org:7000/3", "redis.example.org:7000"),
            ("redis+unix:///run/redis.sock", "/run/redis.sock"),
            (" redis://[::1]:7000 ", "::1:7000"),
            ("redis-sentinel://a,b:7000/2#calls", "calls of the sentinels a:26379, b:7000"),
            ("rediss-sentinel://:secret@a:1,[::1]#calls", "calls of the sentinels a:1, ::1:26379"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(shown), "{text}");
        }
        let url = "redis://ana:secret@redis.example.org".parse::<RedisUrl>().unwrap();
        assert!(!format!("{url:?}").contains("secret"));
    }

    #[test]
    fn only_what_says_so_is_reached_over_tls() {
        for (text, is_secure) in [
            ("redis://a", false),
            ("rediss://a", true),
            ("redis+unix:///run/redis.sock", false),
            ("redis-sentinel://a#calls", false),
            ("rediss-sentinel://a#calls", true),
        ] {
            assert_eq!(text.parse::<RedisUrl>().unwrap().is_secure(), is_secure, "{text}");
        }
    }

    #[test]
    fn credentials_and_database_go_to_the_redis_behind_the_sentinels() {
        let url = "redis-sentinel://ana:p%40ss@a,b/2#calls".parse::<RedisUrl>().unwrap();
        let Kind::Sentinels { server, sentinels, .. } = url.0 else { panic!("no sentinels") };
        let settings = server.redis_settings();
        assert_eq!((settings.username(), settings.password(), settings.db()), (Some("ana"), Some("p@ss"), 2));
        assert!(sentinels.iter().all(|sentinel| sentinel.redis_settings().password().is_none()));
    }

    #[test]
    fn what_names_no_redis_says_how_one_is_named() {
        for (text, why) in [
            ("", InvalidRedisUrl::Form),
            ("redis.example.org:6379", InvalidRedisUrl::Form),
            ("http://redis.example.org", InvalidRedisUrl::Form),
            ("redis://redis.example.org/three", InvalidRedisUrl::Form),
            ("redis-sentinel://a,b", InvalidRedisUrl::Master),
            ("redis-sentinel://a,b#", InvalidRedisUrl::Master),
            ("redis-sentinel://#calls", InvalidRedisUrl::Form),
        ] {
            assert_eq!(read(text), Err(why), "{text}");
        }
    }
}
