//! The stack's runtime, with sockets that hand out one datagram at a time while a connection is being made, and that follow a peer to
//! another address (`roaming.rs`).
//!
//! The stack drains up to 64 datagrams before it looks at what they led to. A message on a pre-negotiated data channel that
//! arrives in the same drain as the end of the SCTP handshake then meets a channel that is not there yet, and is lost:
//! on a fast path that is the other side's `hello`. One datagram a turn keeps the order; once both channels are
//! open, the sockets are the stack's own again. First packets of media that come through a relay are another matter:
//! `interceptors/opening.rs`.
//!
//! It also sleeps through two things that it has to do at once: the first checks after a candidate was added, and the first
//! flight of DTLS once a pair is chosen; both wait for the next timer, 50 ms of each connect. [`Nudge`] ends such a sleep.

use std::fmt;
use std::future::Future;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use ring::rand::{SecureRandom, SystemRandom};
use tokio::sync::Notify;
use webrtc::runtime::{
    AsyncInterval, AsyncTcpListener, AsyncTcpStream, AsyncUdpSocket, JoinHandle, RecvMeta, Runtime, Transmit,
};

use super::roaming::{Arrival, Roaming, SocketId, TransactionId};

/// So many datagrams of a size leave in one system call (UDP GSO), where the system can. The stack takes that way from sixteen on, or from
/// as many as the socket says it takes: a picture is a handful of packets, and the call costs more than what is in it.
const SEGMENTS: usize = 4;

type BoxedFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Set once both data channels are open.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settled(Arc<AtomicBool>);

impl Settled {
    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn get(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Where the peer is, as all sockets of a connection see it.
#[derive(Clone, Debug, Default)]
pub(crate) struct SharedRoaming {
    roaming: Arc<Mutex<Roaming>>,
    moved: Arc<Notify>,
}

impl SharedRoaming {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Roaming> {
        self.roaming.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Until the peer is found at another address. Several times before that are one.
    pub(crate) async fn moved(&self) {
        self.moved.notified().await;
    }
}

/// Lets the stack look at its timers at once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Nudge(Arc<Notify>);

impl Nudge {
    /// Ends the sleep of the stack's driver, or its next one. Several before that are one.
    pub(crate) fn now(&self) {
        self.0.notify_one();
    }
}

/// The stack's runtime, with our sockets.
#[derive(Debug)]
pub(crate) struct OrderlyRuntime {
    inner: Arc<dyn Runtime>,
    settled: Settled,
    roaming: SharedRoaming,
    nudge: Nudge,
    sockets: AtomicUsize,
}

impl OrderlyRuntime {
    pub(crate) fn new(inner: Arc<dyn Runtime>, settled: Settled, roaming: SharedRoaming, nudge: Nudge) -> Self {
        Self { inner, settled, roaming, nudge, sockets: AtomicUsize::new(0) }
    }
}

impl Runtime for OrderlyRuntime {
    fn spawn(&self, future: BoxedFuture<'static, ()>) -> Box<dyn JoinHandle> {
        self.inner.spawn(future)
    }

    fn spawn_reactor(&self, reactor_pool_size: usize, future: BoxedFuture<'static, ()>) -> Box<dyn JoinHandle> {
        self.inner.spawn_reactor(reactor_pool_size, future)
    }

    fn wrap_udp_socket(&self, socket: std::net::UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        let inner = self.inner.wrap_udp_socket(socket)?;
        Ok(Arc::new(OrderlySocket {
            inner,
            settled: self.settled.clone(),
            gave_one: AtomicBool::new(false),
            roaming: self.roaming.clone(),
            id: self.sockets.fetch_add(1, Ordering::Relaxed),
        }))
    }

    fn wrap_tcp_listener(&self, listener: std::net::TcpListener) -> io::Result<Arc<dyn AsyncTcpListener>> {
        self.inner.wrap_tcp_listener(listener)
    }

    fn connect_tcp<'a>(&'a self, remote: SocketAddr) -> BoxedFuture<'a, io::Result<Arc<dyn AsyncTcpStream>>> {
        self.inner.connect_tcp(remote)
    }

    fn resolve_host<'a>(&'a self, host: &'a str) -> BoxedFuture<'a, io::Result<Vec<SocketAddr>>> {
        self.inner.resolve_host(host)
    }

    fn now(&self) -> Instant {
        self.inner.now()
    }

    fn sleep(&self, duration: Duration) -> BoxedFuture<'static, ()> {
        let (slept, nudge) = (self.inner.sleep(duration), self.nudge.clone());
        // Whoever wakes early looks whether it was time and sleeps again.
        Box::pin(async move {
            tokio::select! {
                () = slept => {}
                () = nudge.0.notified() => {}
            }
        })
    }

    fn interval(&self, period: Duration) -> Box<dyn AsyncInterval> {
        self.inner.interval(period)
    }

    fn block_on(&self, future: Pin<Box<dyn Future<Output = ()> + '_>>) {
        self.inner.block_on(future);
    }

    fn yield_now(&self) -> BoxedFuture<'static, ()> {
        self.inner.yield_now()
    }

    fn name(&self) -> &'static str {
        self.inner.name()
    }
}

/// Says "nothing there" after each datagram, once, until the connection is settled; and knows where the peer is.
struct OrderlySocket {
    inner: Arc<dyn AsyncUdpSocket>,
    settled: Settled,
    gave_one: AtomicBool,
    roaming: SharedRoaming,
    id: SocketId,
}

impl OrderlySocket {
    /// Receives what the stack shall see. Never a batch: our stack asks for one datagram at a time, so that what is not for it can be
    /// left out.
    fn receive(
        &self,
        context: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let one = buffers.len().min(1);
        loop {
            let received = self.inner.poll_recv(context, &mut buffers[..one], meta);
            let (Poll::Ready(Ok(1)), Some(buffer), Some(meta)) = (&received, buffers.first(), meta.first_mut()) else {
                return received;
            };
            // What came together is of one kind: datagrams of one flow and one size, of which only the last may be shorter.
            let datagram = &buffer[..meta.stride.min(meta.len).min(buffer.len())];
            let arrival =
                self.roaming.lock().handle_received(Instant::now(), self.id, meta.addr, datagram, transaction_id);
            match arrival {
                Arrival::Deliver(from) => meta.addr = from,
                Arrival::Ask(whom, check) => {
                    let transmit =
                        Transmit { destination: whom, ecn: None, contents: &check, segment_size: None, src_ip: None };
                    // Where there is no room for it, the next packet from there asks again.
                    let _sent = self.inner.poll_send(context, &transmit);
                }
                Arrival::Swallow => continue,
                Arrival::Moved => {
                    self.roaming.moved.notify_one();
                    continue;
                }
            }
            return received;
        }
    }
}

/// Unpredictable, or checks could be answered by whoever was not asked. Without randomness the answer's own proof remains.
fn transaction_id() -> TransactionId {
    let mut id = TransactionId::default();
    let _failed = SystemRandom::new().fill(&mut id);
    id
}

impl fmt::Debug for OrderlySocket {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(formatter)
    }
}

impl AsyncUdpSocket for OrderlySocket {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    fn poll_send(&self, context: &mut Context<'_>, transmit: &Transmit<'_>) -> Poll<io::Result<usize>> {
        let Transmit { destination, ecn, contents, segment_size, src_ip } = *transmit;
        let first = segment_size.map_or(contents, |size| &contents[..size.min(contents.len())]);
        let destination = self.roaming.lock().handle_sent(Instant::now(), self.id, destination, first);
        self.inner.poll_send(context, &Transmit { destination, ecn, contents, segment_size, src_ip })
    }

    fn poll_recv(
        &self,
        context: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        if self.settled.get() {
            return self.receive(context, buffers, meta);
        }
        if self.gave_one.swap(false, Ordering::AcqRel) {
            // Whoever really waits asks again at once; a probe goes away.
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let received = self.receive(context, buffers, meta);
        self.gave_one.store(received.is_ready(), Ordering::Release);
        received
    }

    fn max_gso_segments(&self) -> usize {
        // What leaves in one call may arrive in one turn.
        if self.settled.get() { self.inner.max_gso_segments().min(SEGMENTS) } else { 1 }
    }

    fn max_gro_segments(&self) -> usize {
        self.inner.max_gro_segments()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::task::Waker;

    use futures_util::FutureExt as _;

    use super::*;

    /// A socket with a number of datagrams waiting.
    #[derive(Debug)]
    struct Waiting(AtomicUsize);

    impl AsyncUdpSocket for Waiting {
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
            _: &mut [RecvMeta],
        ) -> Poll<io::Result<usize>> {
            let waiting = self.0.load(Ordering::Relaxed);
            let given = waiting.min(buffers.len());
            self.0.store(waiting - given, Ordering::Relaxed);
            if given == 0 { Poll::Pending } else { Poll::Ready(Ok(given)) }
        }

        fn max_gso_segments(&self) -> usize {
            64
        }
    }

    /// What so many polls of two buffers give; 0 stands for "nothing there".
    fn polls(socket: &OrderlySocket, count: usize) -> Vec<usize> {
        let mut context = Context::from_waker(Waker::noop());
        let mut poll = || {
            let (mut one, mut other) = ([0; 8], [0; 8]);
            let mut buffers = [IoSliceMut::new(&mut one), IoSliceMut::new(&mut other)];
            match socket.poll_recv(&mut context, &mut buffers, &mut [RecvMeta::default(); 2]) {
                Poll::Ready(received) => received.unwrap(),
                Poll::Pending => 0,
            }
        };
        (0..count).map(|_| poll()).collect()
    }

    #[test]
    fn datagrams_come_one_a_turn_until_the_connection_is_settled() {
        let settled = Settled::default();
        let inner = Arc::new(Waiting(AtomicUsize::new(7)));
        let gave_one = AtomicBool::new(false);
        let socket =
            OrderlySocket { inner, settled: settled.clone(), gave_one, roaming: SharedRoaming::default(), id: 0 };
        assert_eq!(polls(&socket, 5), [1, 0, 1, 0, 1]);
        assert_eq!(socket.max_gso_segments(), 1, "nor do they leave together");
        settled.set();
        assert_eq!(polls(&socket, 5), [1, 1, 1, 1, 0]);
        assert_eq!(socket.max_gso_segments(), SEGMENTS);
    }

    #[tokio::test]
    async fn a_nudge_ends_the_sleep_that_is_or_the_next_one_and_no_other() {
        let (day, nudge) = (Duration::from_secs(86_400), Nudge::default());
        let inner = webrtc::runtime::default_runtime().unwrap();
        let runtime = OrderlyRuntime::new(inner, Settled::default(), SharedRoaming::default(), nudge.clone());
        nudge.now();
        nudge.now();
        assert!(runtime.sleep(day).now_or_never().is_some(), "the next one");
        let mut sleep = runtime.sleep(day);
        assert!((&mut sleep).now_or_never().is_none(), "no other");
        nudge.now();
        assert!(sleep.now_or_never().is_some(), "the one that is");
    }
}
