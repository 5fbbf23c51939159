//! A socket that is opened before there is a call, so that joining need not wait for it: TCP, TLS and the upgrade are two to
//! four round trips of the time to the first picture.
//!
//! Nothing is said on it: the server sees an address and no more, neither a name nor a room.

use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use tokio::sync::oneshot;
use tracing::debug;

use super::connect::{self, Socket};
use super::error::ConnectError;
use super::{Incoming, ServerAddress, incoming, say_goodbye};
use crate::policy::SignalingPolicy;

/// How long an unused socket is kept: the server closes one that joins no room after two minutes (PROTOCOL.md, *How much*).
const KEPT_MAX: Duration = Duration::from_secs(110);

/// One that could not be opened counts as kept for so long, so that nobody tries again and again.
const RETRY_AFTER: Duration = Duration::from_secs(5);

type Outcome = Result<Socket, ConnectError>;

/// An open socket, or one that is being opened. Dropped: it is closed.
pub struct Standby {
    address: ServerAddress,
    take: oneshot::Sender<oneshot::Sender<Outcome>>,
}

impl Standby {
    /// Begins to open one. Where that fails, or it ends unused, the call opens its own, and tells its user what is wrong.
    pub fn open(address: ServerAddress, policy: SignalingPolicy, runtime: &tokio::runtime::Handle) -> Self {
        let (take, taken) = oneshot::channel();
        runtime.spawn(keep(address.clone(), policy, taken));
        Self { address, take }
    }

    /// Where it leads.
    pub fn address(&self) -> &ServerAddress {
        &self.address
    }

    /// Whether it is open or being opened, as far as is known.
    pub fn is_kept(&self) -> bool {
        !self.take.is_closed()
    }

    /// The socket, or why it could not be opened; none where it has ended before.
    pub(super) async fn take(self) -> Option<Outcome> {
        let (give, given) = oneshot::channel();
        self.take.send(give).ok()?;
        given.await.ok()
    }
}

async fn keep(address: ServerAddress, policy: SignalingPolicy, mut taken: oneshot::Receiver<oneshot::Sender<Outcome>>) {
    let connecting = connect::connect(&address, policy.connect_timeout);
    tokio::pin!(connecting);
    let mut socket = tokio::select! {
        outcome = &mut connecting => match outcome {
            Ok(socket) => socket,
            Err(error) => {
                debug!(%error, "no socket could be opened ahead of the call");
                return drop(tokio::time::timeout(RETRY_AFTER, taken).await);
            }
        },
        taken = &mut taken => {
            if let Ok(give) = taken {
                // Nobody is there any more when the call has ended meanwhile.
                let _gone = give.send(connecting.await);
            }
            return;
        }
    };
    let (mut heard_at, unused) = (Instant::now(), tokio::time::sleep(KEPT_MAX));
    tokio::pin!(unused);
    loop {
        tokio::select! {
            taken = &mut taken => {
                let is_alive = heard_at.elapsed() <= policy.silence_max;
                match taken {
                    Ok(give) if is_alive => drop(give.send(Ok(socket))),
                    Ok(_) | Err(_) => drop(say_goodbye(socket).await),
                }
                return;
            }
            read = socket.next() => {
                heard_at = Instant::now();
                if let Incoming::Closed(reason) = incoming(read) {
                    return debug!(reason, "the socket opened ahead of the call has ended");
                }
            }
            () = &mut unused => return drop(say_goodbye(socket).await),
        }
    }
}
