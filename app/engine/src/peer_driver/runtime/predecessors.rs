//! Sockets that an ICE restart replaced, heard for a while longer.
//!
//! The stack closes them with the restart's description. But the peer sends on the pair of before until it has chosen the new one,
//! and a browser takes up to a second for that, whose requests for a key frame would be lost with all the rest (measured: a network that was
//! away for a second cost both ends up to 2.9 s more; with these 0.1 to 0.7). Until our own pair is chosen the stack still throws
//! away what comes, and a relayed pair of before is gone with its allocation.
//!
//! Only media and DTLS count: checks of the session of before are nobody's.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSliceMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use webrtc::runtime::{AsyncUdpSocket, RecvMeta};

use crate::peer_driver::roaming::is_of_call;

/// For so long they are heard: the stack looks for a new way about as long. They close with the first look after that, or with the connection.
const KEPT: Duration = Duration::from_secs(12);
/// A restart replaces one that carried media, and the next restart comes two seconds later; of more the oldest go.
const SOCKETS_MAX: usize = 4;
/// Read and thrown away in one turn, before others have theirs.
const SKIPPED_MAX: usize = 16;

/// The sockets of before, of one connection.
#[derive(Debug, Default)]
pub(super) struct Predecessors(Mutex<VecDeque<Predecessor>>);

#[derive(Debug)]
struct Predecessor {
    socket: Arc<dyn AsyncUdpSocket>,
    until: Instant,
}

impl Predecessors {
    /// One that carried media was replaced.
    pub(super) fn add(&self, now: Instant, socket: Arc<dyn AsyncUdpSocket>) {
        let mut all = self.lock();
        if all.len() == SOCKETS_MAX {
            all.pop_front();
        }
        all.push_back(Predecessor { socket, until: now + KEPT });
    }

    /// What of the call came to one of them. One that is broken is heard no more.
    pub(super) fn poll_recv(
        &self,
        now: Instant,
        context: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut all = self.lock();
        all.retain(|one| now < one.until);
        let (mut index, mut skipped) = (0, 0);
        while let Some(one) = all.get(index) {
            match one.socket.poll_recv(context, buffers, meta) {
                Poll::Pending => {
                    index += 1;
                    continue;
                }
                Poll::Ready(Ok(count)) if came(buffers, meta).is_some_and(is_of_call) => return Poll::Ready(Ok(count)),
                Poll::Ready(Err(error)) if !is_passing(&error) => {
                    tracing::debug!(%error, "a socket of before the ICE restart");
                    all.remove(index);
                }
                Poll::Ready(_) => skipped += 1,
            }
            if skipped == SKIPPED_MAX {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
        Poll::Pending
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Predecessor>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The first datagram received: what came together is of one kind.
fn came<'a>(buffers: &'a [IoSliceMut<'_>], meta: &[RecvMeta]) -> Option<&'a [u8]> {
    let (buffer, meta) = (buffers.first()?, meta.first()?);
    buffer.get(..meta.len)
}

/// Errors that tell of something sent before, or of nothing at all.
fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Interrupted
            | ErrorKind::WouldBlock
            | ErrorKind::ConnectionRefused
            | ErrorKind::ConnectionReset
            | ErrorKind::TimedOut
    )
}

#[cfg(test)]
mod tests;
