//! Sockets that an ICE restart replaced, heard for a while longer.
//!
//! The stack closes them with the restart's description. But the peer sends on the pair of before until the new one is chosen (RFC 8445 §9),
//! and a browser takes up to a second for that, whose requests for a key frame would be lost with all the rest (measured: a network that was
//! away for a second cost both ends up to 2.9 s more; with these 0.1 to 0.7).
//!
//! Only what is not of ICE counts: checks of the session of before are nobody's.

use std::collections::VecDeque;
use std::io::IoSliceMut;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use webrtc::runtime::{AsyncUdpSocket, RecvMeta};

use crate::peer_driver::roaming::{SocketId, is_of_ice};

/// For so long they are heard: the stack looks for a new way about as long.
const KEPT: Duration = Duration::from_secs(12);
/// More than a machine has addresses; of more the oldest go.
const SOCKETS_MAX: usize = 16;
/// Read and thrown away in one turn, before others have theirs.
const SKIPPED_MAX: usize = 16;

/// The sockets of before, of one connection.
#[derive(Debug, Default)]
pub(super) struct Predecessors(Mutex<VecDeque<Predecessor>>);

#[derive(Debug)]
struct Predecessor {
    socket: Arc<dyn AsyncUdpSocket>,
    id: SocketId,
    until: Instant,
}

impl Predecessors {
    /// One was replaced.
    pub(super) fn add(&self, now: Instant, id: SocketId, socket: Arc<dyn AsyncUdpSocket>) {
        let mut all = self.lock();
        if all.len() == SOCKETS_MAX {
            all.pop_front();
        }
        all.push_back(Predecessor { socket, id, until: now + KEPT });
    }

    /// A datagram that is not of ICE, and which socket it came to. One that is broken is heard no more.
    pub(super) fn poll_recv(
        &self,
        context: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<SocketId> {
        let mut all = self.lock();
        if all.is_empty() {
            return Poll::Pending;
        }
        let now = Instant::now();
        all.retain(|one| now < one.until);
        let mut skipped = 0;
        let mut index = 0;
        while let Some(Predecessor { socket, id, .. }) = all.get(index) {
            match socket.poll_recv(context, buffers, meta) {
                Poll::Pending => index += 1,
                Poll::Ready(Ok(1)) if !is_of_ice(&buffers[0][..meta[0].len.min(buffers[0].len())]) => {
                    return Poll::Ready(*id);
                }
                Poll::Ready(Ok(_)) if skipped < SKIPPED_MAX => skipped += 1,
                Poll::Ready(Ok(_)) => {
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Poll::Ready(Err(error)) => {
                    tracing::debug!(%error, "a socket of before the ICE restart");
                    all.remove(index);
                }
            }
        }
        Poll::Pending
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Predecessor>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::net::SocketAddr;
    use std::task::Waker;

    use webrtc::runtime::Transmit;

    use super::*;

    /// A socket with a datagram for everyone who asks, or broken.
    #[derive(Debug)]
    struct Given(&'static [u8]);

    impl AsyncUdpSocket for Given {
        fn local_addr(&self) -> io::Result<SocketAddr> {
            Err(io::ErrorKind::Unsupported.into())
        }

        fn poll_send(&self, _: &mut Context<'_>, _: &Transmit<'_>) -> Poll<io::Result<usize>> {
            Poll::Pending
        }

        fn poll_recv(
            &self,
            _: &mut Context<'_>,
            buffers: &mut [IoSliceMut<'_>],
            meta: &mut [RecvMeta],
        ) -> Poll<io::Result<usize>> {
            if self.0.is_empty() {
                return Poll::Ready(Err(io::ErrorKind::NetworkUnreachable.into()));
            }
            buffers[0][..self.0.len()].copy_from_slice(self.0);
            meta[0].len = self.0.len();
            Poll::Ready(Ok(1))
        }
    }

    const MEDIA: &[u8] = &[0x80; 20];
    const CHECK: &[u8] = &[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

    fn heard(predecessors: &Predecessors) -> Option<SocketId> {
        let mut buffer = [0; 100];
        let mut context = Context::from_waker(Waker::noop());
        match predecessors.poll_recv(&mut context, &mut [IoSliceMut::new(&mut buffer)], &mut [RecvMeta::default()]) {
            Poll::Ready(id) => Some(id),
            Poll::Pending => None,
        }
    }

    #[test]
    fn they_are_heard_until_their_time_is_over() {
        let predecessors = Predecessors::default();
        let now = Instant::now();
        assert_eq!(heard(&predecessors), None);
        predecessors.add(now - KEPT, 1, Arc::new(Given(MEDIA)));
        assert_eq!(heard(&predecessors), None);
        predecessors.add(now, 2, Arc::new(Given(MEDIA)));
        assert_eq!(heard(&predecessors), Some(2));
    }

    #[test]
    fn the_oldest_go_where_there_are_many() {
        let predecessors = Predecessors::default();
        for id in 0..SOCKETS_MAX + 3 {
            predecessors.add(Instant::now(), id, Arc::new(Given(MEDIA)));
        }
        assert_eq!(heard(&predecessors), Some(3));
        assert_eq!(predecessors.lock().len(), SOCKETS_MAX);
    }

    #[test]
    fn one_that_is_broken_or_brings_checks_without_end_holds_nobody_up() {
        let predecessors = Predecessors::default();
        predecessors.add(Instant::now(), 1, Arc::new(Given(&[])));
        predecessors.add(Instant::now(), 2, Arc::new(Given(MEDIA)));
        assert_eq!(heard(&predecessors), Some(2));
        assert_eq!(predecessors.lock().len(), 1);
        let flooded = Predecessors::default();
        flooded.add(Instant::now(), 3, Arc::new(Given(CHECK)));
        assert_eq!(heard(&flooded), None);
    }
}
