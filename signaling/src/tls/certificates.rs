//! Certificates that follow their files: new ones are shown to new connections, and nobody's connection is dropped.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;

use super::{read_certificates, read_key};
use crate::error::StartError;
use crate::metrics::Metrics;

/// Where a certificate and its key are.
#[derive(Clone, Debug)]
pub(crate) struct CertificateFiles {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

/// A certificate, its key, and the files they came from.
#[derive(Debug)]
pub(crate) struct Certificates {
    pub(super) current: Arc<Current>,
    files: CertificateFiles,
    /// What the files held when they were last looked at, good or not.
    seen: Content,
}

/// What is shown to whoever connects now.
#[derive(Debug)]
pub(crate) struct Current(RwLock<Arc<CertifiedKey>>);

/// The bytes of the two files. Compared as they are: a time of change may be the same for two changes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Content {
    cert: Vec<u8>,
    key: Vec<u8>,
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl Certificates {
    pub(super) fn load(files: CertificateFiles) -> Result<Self, StartError> {
        let seen = files.read()?;
        let current = Arc::new(Current(RwLock::new(files.parse(&seen)?)));
        Ok(Self { current, files, seen })
    }

    /// Looks at the files again and again; never returns.
    pub(crate) async fn watch(mut self, interval_between: Duration, metrics: Arc<Metrics>) {
        let mut ticks = interval(interval_between);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            match self.reload() {
                Ok(false) => {}
                Ok(true) => {
                    metrics.tls_certificate_reloads.inc();
                    tracing::info!("the certificate was read anew");
                }
                Err(error) => {
                    metrics.tls_certificate_reload_failures.inc();
                    tracing::warn!(%error, "the earlier certificate stays in use");
                }
            }
        }
    }

    /// Takes over what has changed; says whether anything has. A file that cannot be used is told once.
    fn reload(&mut self) -> Result<bool, StartError> {
        let content = match self.files.read() {
            Ok(content) => content,
            // Between the removal of the old file and the new one; or it is gone, which is told once too.
            Err(_) if self.seen.is_empty() => return Ok(false),
            Err(error) => {
                self.seen = Content { cert: Vec::new(), key: Vec::new() };
                return Err(error);
            }
        };
        if content == self.seen {
            return Ok(false);
        }
        self.seen = content;
        let certified = self.files.parse(&self.seen)?;
        let mut current = self.current.0.write().unwrap_or_else(PoisonError::into_inner);
        let is_new = current.cert != certified.cert;
        *current = certified;
        Ok(is_new)
    }
}

impl Content {
    fn is_empty(&self) -> bool {
        self.cert.is_empty() && self.key.is_empty()
    }
}

impl CertificateFiles {
    fn read(&self) -> Result<Content, StartError> {
        let read = |path: &PathBuf| std::fs::read(path).map_err(StartError::read(path));
        Ok(Content { cert: read(&self.cert)?, key: read(&self.key)? })
    }

    fn parse(&self, content: &Content) -> Result<Arc<CertifiedKey>, StartError> {
        let certificates = read_certificates(&self.cert, &content.cert)?;
        let key = read_key(&self.key, &content.key)?;
        let certified = CertifiedKey::from_der(certificates, key, &default_provider());
        certified.map(Arc::new).map_err(|error| StartError::Certificate(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::make_self_signed;

    struct Fixture {
        dir: tempfile::TempDir,
        certificates: Certificates,
    }

    impl Fixture {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let pem = make_self_signed().unwrap();
            let files = CertificateFiles { cert: dir.path().join("cert.pem"), key: dir.path().join("key.pem") };
            std::fs::write(&files.cert, &pem).unwrap();
            std::fs::write(&files.key, &pem).unwrap();
            Self { dir, certificates: Certificates::load(files).unwrap() }
        }

        fn write(&self, name: &str, text: &str) {
            std::fs::write(self.dir.path().join(name), text).unwrap();
        }

        fn shown(&self) -> Vec<u8> {
            self.certificates.current.0.read().unwrap().cert[0].to_vec()
        }
    }

    #[test]
    fn a_new_certificate_is_shown_once_both_files_are_there() {
        let mut fixture = Fixture::new();
        let first = fixture.shown();
        assert!(!fixture.certificates.reload().unwrap());
        let pem = make_self_signed().unwrap();
        fixture.write("cert.pem", &pem);
        assert!(fixture.certificates.reload().is_err(), "the key is still the old one");
        assert_eq!(fixture.shown(), first);
        fixture.write("key.pem", &pem);
        assert!(fixture.certificates.reload().unwrap());
        assert_ne!(fixture.shown(), first);
    }

    #[test]
    fn a_broken_file_is_told_once_and_the_earlier_certificate_stays() {
        let mut fixture = Fixture::new();
        let first = fixture.shown();
        for broken in ["", "nothing", "-----BEGIN CERTIFICATE-----"] {
            fixture.write("cert.pem", broken);
            assert!(fixture.certificates.reload().is_err(), "{broken}");
            assert!(!fixture.certificates.reload().unwrap(), "told twice: {broken}");
        }
        std::fs::remove_file(fixture.dir.path().join("cert.pem")).unwrap();
        assert!(fixture.certificates.reload().is_err());
        assert!(!fixture.certificates.reload().unwrap());
        assert_eq!(fixture.shown(), first);
    }
}
