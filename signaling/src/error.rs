//! Why a server could not start, and what to do about it.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::access::InvalidAccessKey;
use crate::backplane::InvalidRedisTls;

/// Why a server could not start. Each is a sentence for the person who started it.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another program listens there.
    #[error("Another program is using {addr}. Stop it, or choose another port with --bind (port 0 takes a free one).")]
    AddressInUse {
        /// Where.
        addr: SocketAddr,
    },
    /// The address cannot be listened on.
    #[error(
        "Cannot listen on {addr} ({source}). Choose an address of this machine with --bind, and a port above 1023."
    )]
    Listen {
        /// Where.
        addr: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// A file could not be read.
    #[error("Cannot read {} ({source}). Check that it exists and that this user may read it.", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file could not be written.
    #[error("Cannot write {} ({source}). Choose a folder that this user may write to with --state-dir.", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The secret is too short to be one.
    #[error("The secret in {} is too short. Give at least 16 bytes, or remove the file to have one made.", path.display())]
    ShortSecret {
        /// Which file.
        path: PathBuf,
    },
    /// The TURN servers' secret is not there.
    #[error("{} is empty. Put the TURN server's secret there (coturn's static-auth-secret).", path.display())]
    EmptyTurnSecret {
        /// Which file.
        path: PathBuf,
    },
    /// A file holds no key for access tokens.
    #[error("{} is no key for access tokens: {reason}.", path.display())]
    AccessKey {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: InvalidAccessKey,
    },
    /// The token for the metrics is none.
    #[error("{} holds no token. Give at least 16 characters that nobody can guess.", path.display())]
    ShortToken {
        /// Which file.
        path: PathBuf,
    },
    /// No folder for the secret and the certificate.
    #[error("There is no folder to keep the server's secret in. Name one with --state-dir.")]
    NoStateDir,
    /// A file holds no certificate, or no key.
    #[error("{} holds no usable {what} in PEM form ({reason}). Check --tls-cert and --tls-key.", path.display())]
    Pem {
        /// Which file.
        path: PathBuf,
        /// Certificate or private key.
        what: &'static str,
        /// What the reader said.
        reason: String,
    },
    /// Certificate and key are refused by the TLS library.
    #[error("The certificate and its key do not work together ({0}).")]
    Certificate(String),
    /// No certificate could be made.
    #[error("Cannot make a self-signed certificate ({0}).")]
    SelfSigned(String),
    /// The other servers at the Redis seal with another secret.
    #[error(
        "The other servers at this Redis have another secret. Give all of them the same one with --secret-file. (A new \
         secret for all: stop them, and wait a minute.)"
    )]
    OtherSecret,
    /// More clients were asked for than the process may have descriptors.
    #[error(
        "max_connections is {asked_for}, but this process may have {limit} descriptors, of which {fits} can be clients. Set it \
         to {fits} or less, or raise the limit (LimitNOFILE in the unit, ulimit -n in a shell)."
    )]
    TooFewDescriptors {
        /// How many clients.
        asked_for: usize,
        /// How many descriptors.
        limit: usize,
        /// How many of these can be clients.
        fits: usize,
    },
    /// A file for the way to Redis cannot be used.
    #[error("{0}. Check --redis-ca, --redis-cert and --redis-key.")]
    RedisTls(#[from] InvalidRedisTls),
    /// The system gave no randomness.
    #[error("The system gave no random numbers.")]
    Random,
}

impl StartError {
    pub(crate) fn listen(addr: SocketAddr, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::AddressInUse { addr },
            _ => Self::Listen { addr, source },
        }
    }

    pub(crate) fn read(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        |source| Self::Read { path, source }
    }

    pub(crate) fn write(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        |source| Self::Write { path, source }
    }
}
