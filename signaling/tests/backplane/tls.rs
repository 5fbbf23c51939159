//! Redis over TLS: a real one, with certificates of an authority of the test's own.

use std::path::{Path, PathBuf};

use parlor_signaling::backplane::RedisTls;
use parlor_signaling::{ServerConfig, StartError};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;

use crate::contract::until;
use crate::redis_server::{RedisServer, free_port};
use crate::servers::{hear_signal, readiness, ready, signal, spawn};
use crate::support::{Client, config, start};

#[tokio::test]
async fn servers_meet_over_tls_under_an_authority_that_only_they_know() {
    let authority = Authority::new();
    let (_redis, url) = authority.redis("127.0.0.1", "no").await;
    let one = ready(over(&url, RedisTls { ca: Some(authority.ca()), identity: None })).await;
    // By its flags too.
    let (_program, addr) = spawn(&["--redis", &url, "--redis-ca", authority.ca().to_str().unwrap()]).await;
    let (mut ana, ana_joined) = Client::joined(one.local_addr(), "a", "Ana").await;
    let (mut bo, bo_joined) = Client::joined(addr, "a", "Bo").await;
    assert_eq!(bo_joined.peers.len(), 1);
    bo.say(&signal(&ana_joined.peer_id, 1)).await;
    assert_eq!(hear_signal(&mut ana).await, (bo_joined.peer_id, 1));
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_refused_in_words_until_that_one_is_named() {
    let (authority, other) = (Authority::new(), Authority::new());
    let (_redis, url) = authority.redis("127.0.0.1", "no").await;
    let sentence = "ready, but alone: Redis is out of reach: its certificate is signed by nobody who is trusted here; \
                    name the authority that did in redis_ca";
    // The authorities of the system have not signed it either.
    let alone = start(over(&url, RedisTls::default())).await;
    until(async || readiness(&alone).await == sentence).await;
    let server = start(over(&url, RedisTls { ca: Some(other.ca()), identity: None })).await;
    until(async || readiness(&server).await == sentence).await;
    // The file is read again for each try: nothing has to be restarted.
    std::fs::copy(authority.ca(), other.ca()).unwrap();
    until(async || readiness(&server).await == "ready").await;
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused_in_words() {
    let authority = Authority::new();
    let (_redis, url) = authority.redis("elsewhere.example.org", "no").await;
    let server = start(over(&url, RedisTls { ca: Some(authority.ca()), identity: None })).await;
    let sentence = "ready, but alone: Redis is out of reach: its certificate is not good (";
    until(async || readiness(&server).await.starts_with(sentence)).await;
    assert!(readiness(&server).await.contains("elsewhere.example.org"), "{}", readiness(&server).await);
}

#[tokio::test]
async fn a_redis_that_asks_for_a_certificate_is_shown_one() {
    let authority = Authority::new();
    // What Redis does where nothing is set.
    let (_redis, url) = authority.redis("127.0.0.1", "yes").await;
    let ca = Some(authority.ca());
    let without = start(over(&url, RedisTls { ca: ca.clone(), identity: None })).await;
    let sentence = "ready, but alone: Redis is out of reach: it wants a certificate of this server that it trusts";
    until(async || readiness(&without).await.starts_with(sentence)).await;
    let stranger = Authority::new().issue("parlor.example.org");
    let of_a_stranger = start(over(&url, RedisTls { ca: ca.clone(), identity: Some(stranger.files()) })).await;
    until(async || readiness(&of_a_stranger).await.starts_with(sentence)).await;
    let mine = authority.issue("parlor.example.org");
    ready(over(&url, RedisTls { ca, identity: Some(mine.files()) })).await;
}

#[tokio::test]
async fn sentinels_over_tls_name_a_redis_over_tls() {
    let authority = Authority::new();
    let identity = authority.issue("127.0.0.1");
    let (redis, _) = authority.redis("127.0.0.1", "no").await;
    let tls_port = free_port();
    let arguments = tls_arguments(&authority, &identity.files(), tls_port, "no");
    let mut lines: String = arguments.chunks(2).map(|line| format!("{} {}\n", &line[0][2..], line[1])).collect();
    lines += &format!("tls-replication yes\nsentinel monitor calls 127.0.0.1 {} 1\n", redis.tls_port);
    let _sentinel = RedisServer::sentinel(&lines).await;
    let url = format!("rediss-sentinel://127.0.0.1:{tls_port}#calls");
    ready(over(&url, RedisTls { ca: Some(authority.ca()), identity: None })).await;
}

#[tokio::test]
async fn a_file_that_holds_nothing_of_use_does_not_start() {
    let authority = Authority::new();
    let missing = authority.dir.path().join("missing.pem");
    let identity = authority.issue("a");
    let (cert, key) = identity.files();
    for (tls, sentence) in [
        (RedisTls { ca: Some(missing), identity: None }, "Cannot read "),
        (RedisTls { ca: Some(key.clone()), identity: None }, "holds no usable certificate in PEM form"),
        (RedisTls { ca: None, identity: Some((cert.clone(), cert)) }, "holds no usable private key in PEM form"),
    ] {
        let refused = parlor_signaling::serve(over("rediss://127.0.0.1", tls)).await.err().unwrap();
        assert!(matches!(refused, StartError::RedisTls(_)), "{refused}");
        let refused = refused.to_string();
        assert!(refused.contains(sentence), "{refused}");
        assert!(refused.ends_with(". Check --redis-ca, --redis-cert and --redis-key."), "{refused}");
    }
}

fn over(url: &str, redis_tls: RedisTls) -> ServerConfig {
    ServerConfig { redis: Some(url.parse().unwrap()), redis_tls, ..config() }
}

/// Whoever signs certificates.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    dir: TempDir,
}

/// A certificate and its key.
struct Identity(TempDir);

/// A Redis, and where it speaks TLS.
struct SecureRedis {
    tls_port: u16,
    _server: RedisServer,
    _identity: Identity,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // All of them: a name is no proof.
        params.distinguished_name.push(DnType::CommonName, "An authority of the tests");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, dir }
    }

    fn ca(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    fn issue(&self, name: &str) -> Identity {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("cert.pem"), certificate.pem()).unwrap();
        std::fs::write(dir.path().join("key.pem"), key.serialize_pem()).unwrap();
        Identity(dir)
    }

    /// A Redis with a certificate for this name, and its URL; it asks servers for theirs or not.
    async fn redis(&self, name: &str, asks: &str) -> (SecureRedis, String) {
        let (identity, tls_port) = (self.issue(name), free_port());
        let arguments = tls_arguments(self, &identity.files(), tls_port, asks);
        let server = RedisServer::with(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).await;
        let url = format!("rediss://127.0.0.1:{tls_port}");
        (SecureRedis { tls_port, _server: server, _identity: identity }, url)
    }
}

impl Identity {
    fn files(&self) -> (PathBuf, PathBuf) {
        (self.0.path().join("cert.pem"), self.0.path().join("key.pem"))
    }
}

fn tls_arguments(authority: &Authority, (cert, key): &(PathBuf, PathBuf), port: u16, asks: &str) -> Vec<String> {
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let pairs = [
        ("--tls-port", port.to_string()),
        ("--tls-cert-file", text(cert)),
        ("--tls-key-file", text(key)),
        ("--tls-ca-cert-file", text(&authority.ca())),
        ("--tls-auth-clients", asks.to_owned()),
    ];
    pairs.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect()
}
