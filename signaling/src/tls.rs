//! Encryption: with a certificate of the server's own, kept between starts, or with a given one.

mod certificates;

use std::path::Path;
use std::sync::Arc;

use parlor_proto::Fingerprint;
use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, date_time_ymd};
use ring::digest;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::ResolvesServerCert;
use tokio_rustls::rustls::{self};

use crate::addresses;
use crate::config::{ServerConfig, Tls};
use crate::error::StartError;
use crate::state;

use self::certificates::CertificateFiles;
pub(crate) use self::certificates::Certificates;

/// The certificate and its key, in one file: they are valid only together.
const SELF_SIGNED_FILE: &str = "self-signed.pem";

/// What a server encrypts with.
pub(crate) struct TlsIdentity {
    pub(crate) acceptor: TlsAcceptor,
    /// What the acceptor shows to clients.
    pub(crate) certificates: Certificates,
    /// Of the self-signed certificate; none where a browser is meant to trust the certificate without it.
    pub(crate) fingerprint: Option<Fingerprint>,
}

/// Reads or makes what the configuration asks for; none without TLS.
pub(crate) fn load(config: &ServerConfig) -> Result<Option<TlsIdentity>, StartError> {
    match &config.tls {
        Tls::Off => Ok(None),
        Tls::SelfSigned => {
            let path = state::state_file(config, SELF_SIGNED_FILE)?;
            let pem = match state::read_if_there(&path)? {
                Some(pem) => pem,
                None => {
                    let pem = make_self_signed()?.into_bytes();
                    state::write_private(&path, &pem)?;
                    pem
                }
            };
            let fingerprint = read_certificates(&path, &pem)?.first().map(fingerprint_of);
            identity(CertificateFiles { cert: path.clone(), key: path }, fingerprint).map(Some)
        }
        Tls::Files { cert, key } => identity(CertificateFiles { cert: cert.clone(), key: key.clone() }, None).map(Some),
    }
}

/// Says what is wrong with the certificate, where there is one.
pub(crate) fn check(config: &ServerConfig) -> Result<(), StartError> {
    match &config.tls {
        Tls::Off => Ok(()),
        Tls::SelfSigned => match state::read_if_there(&state::state_file(config, SELF_SIGNED_FILE)?)? {
            Some(_) => load(config).map(drop),
            None => Ok(()),
        },
        Tls::Files { .. } => load(config).map(drop),
    }
}

fn identity(files: CertificateFiles, fingerprint: Option<Fingerprint>) -> Result<TlsIdentity, StartError> {
    let certificates = Certificates::load(files)?;
    let mut config = rustls::ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| StartError::Certificate(error.to_string()))?
        .with_no_client_auth()
        .with_cert_resolver(Arc::clone(&certificates.current) as Arc<dyn ResolvesServerCert>);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsIdentity { acceptor: TlsAcceptor::from(Arc::new(config)), certificates, fingerprint })
}

fn read_certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, StartError> {
    let unusable = |reason: String| StartError::Pem { path: path.to_owned(), what: "certificate", reason };
    let certificates: Vec<_> =
        CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|error| unusable(error.to_string()))?;
    if certificates.is_empty() { Err(unusable("none found".to_owned())) } else { Ok(certificates) }
}

fn read_key(path: &Path, pem: &[u8]) -> Result<PrivateKeyDer<'static>, StartError> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| StartError::Pem {
        path: path.to_owned(),
        what: "private key",
        reason: error.to_string(),
    })
}

fn fingerprint_of(certificate: &CertificateDer<'_>) -> Fingerprint {
    let digest = digest::digest(&digest::SHA256, certificate);
    Fingerprint(*digest.as_ref().first_chunk().expect("SHA-256 gives 32 bytes"))
}

/// A certificate and its key for this machine's names and addresses of today. A later address is missing in it; native
/// clients go by the fingerprint alone, and a browser warns about any self-signed certificate.
fn make_self_signed() -> Result<String, StartError> {
    let failed = |error: rcgen::Error| StartError::SelfSigned(error.to_string());
    let mut names = vec!["localhost".to_owned()];
    names.extend(addresses::host_name());
    names.extend(addresses::local_addresses().iter().map(ToString::to_string));
    let mut params = CertificateParams::new(names).map_err(failed)?;
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, "Parlor, self-signed");
    params.distinguished_name = subject;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    // Its fingerprint is in people's links: it does not run out.
    params.not_before = date_time_ymd(2025, 1, 1);
    params.not_after = date_time_ymd(2125, 1, 1);
    let key = KeyPair::generate().map_err(failed)?;
    let certificate = params.self_signed(&key).map_err(failed)?;
    Ok(certificate.pem() + &key.serialize_pem())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_files_that_are_no_certificate_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
        let config =
            ServerConfig { tls: Tls::Files { cert: cert.clone(), key: key.clone() }, ..ServerConfig::default() };
        let message = || load(&config).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(message().contains("cert.pem"), "{}", message());
        std::fs::write(&cert, "nothing").unwrap();
        assert!(message().contains("key.pem"), "{}", message());
        std::fs::write(&key, "nothing").unwrap();
        assert!(message().contains("no usable certificate"), "{}", message());
        let pem = make_self_signed().unwrap();
        std::fs::write(&cert, &pem).unwrap();
        assert!(message().contains("no usable private key"), "{}", message());
        std::fs::write(&key, make_self_signed().unwrap()).unwrap();
        assert!(message().contains("do not work together"), "{}", message());
        std::fs::write(&key, &pem).unwrap();
        assert!(load(&config).unwrap().is_some());
    }
}
