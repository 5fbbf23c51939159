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
//!
//! What is lost of the DTLS handshake is sent again sooner than the stack would (`handshake.rs`): such a sleep ends when that is due.
//!
//! With an ICE restart it closes the sockets; they are heard for a while longer (`predecessors.rs`).
//!
//! It goes to sleep once a round, when it has handed over all that there was to send: then what waits for company in the sockets leaves
//! (`departure.rs`).

mod predecessors;

use std::fmt;
use std::future::Future;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use ring::rand::{SecureRandom, SystemRandom};
use tokio::sync::Notify;
use webrtc::runtime::{
    AsyncInterval, AsyncTcpListener, AsyncTcpStream, AsyncUdpSocket, JoinHandle, RecvMeta, Runtime, Transmit,
};

use super::departure::{Departure, is_media};
use super::handshake::Handshake;
use super::roaming::{Arrival, Roaming, SocketId, TransactionId, carries_media};
use predecessors::Predecessors;

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
    sockets: Arc<Sockets>,
}

impl OrderlyRuntime {
    pub(crate) fn new(inner: Arc<dyn Runtime>, settled: Settled, roaming: SharedRoaming, nudge: Nudge) -> Self {
        Self { inner, settled, roaming, nudge, sockets: Arc::default() }
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
        let socket = Arc::new(OrderlySocket {
            inner,
            settled: self.settled.clone(),
            gave_one: AtomicBool::new(false),
            roaming: self.roaming.clone(),
            id: self.sockets.made.fetch_add(1, Ordering::Relaxed),
            carried_media: AtomicBool::new(false),
            departure: Mutex::default(),
            handshake: Mutex::default(),
            sockets: self.sockets.clone(),
        });
        self.sockets.add(&socket);
        Ok(socket)
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
        let (slept, nudge, sockets) = (self.inner.sleep(duration), self.nudge.clone(), self.sockets.clone());
        // Who finds no room asks again below, where somebody hears of it.
        let is_held_up = sockets.poll_depart(&mut Context::from_waker(Waker::noop())).is_pending();
        let due = if self.settled.get() { None } else { sockets.repetition_due() };
        let again = due.map(|at| self.inner.sleep(at.saturating_duration_since(Instant::now())));
        // Whoever wakes early looks whether it was time and sleeps again.
        Box::pin(async move {
            let departs = async {
                if is_held_up {
                    std::future::poll_fn(|context| sockets.poll_depart(context)).await;
                }
                std::future::pending::<()>().await;
            };
            let repeats = async {
                match again {
                    Some(again) => again.await,
                    None => std::future::pending().await,
                }
                sockets.repeat(Instant::now());
            };
            tokio::select! {
                () = departs => {}
                () = repeats => {}
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

/// All sockets of a connection.
#[derive(Debug, Default)]
struct Sockets {
    made: AtomicUsize,
    open: Mutex<Vec<Weak<OrderlySocket>>>,
    /// Something waits to leave from one of them.
    is_waiting: AtomicBool,
    /// Those that an ICE restart replaced.
    predecessors: Predecessors,
}

impl Sockets {
    fn all(&self) -> Vec<Arc<OrderlySocket>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(Weak::upgrade).collect()
    }

    /// When one of them has to send something of its handshake again.
    fn repetition_due(&self) -> Option<Instant> {
        self.all().iter().filter_map(|socket| socket.handshake().poll_timeout()).min()
    }

    /// Sends again what is due.
    fn repeat(&self, now: Instant) {
        self.all().iter().for_each(|socket| socket.repeat(now));
    }

    fn add(&self, socket: &Arc<OrderlySocket>) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|socket| socket.strong_count() > 0);
        open.push(Arc::downgrade(socket));
    }

    /// Lets go what waits; pending while there is no room for some of it.
    fn poll_depart(&self, context: &mut Context<'_>) -> Poll<()> {
        if !self.is_waiting.swap(false, Ordering::AcqRel) {
            return Poll::Ready(());
        }
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let held_up = open.iter().filter_map(Weak::upgrade).filter(|socket| {
            let mut departure = socket.departure();
            socket.poll_depart(&mut departure, context).is_pending()
        });
        if held_up.count() == 0 {
            return Poll::Ready(());
        }
        self.is_waiting.store(true, Ordering::Release);
        Poll::Pending
    }
}

/// Says "nothing there" after each datagram, once, until the connection is settled; and knows where the peer is. From then on it
/// collects media for the rest of a round.
struct OrderlySocket {
    inner: Arc<dyn AsyncUdpSocket>,
    settled: Settled,
    gave_one: AtomicBool,
    roaming: SharedRoaming,
    id: SocketId,
    /// Media went out of it: it is, or was, of the chosen pair.
    carried_media: AtomicBool,
    departure: Mutex<Departure>,
    handshake: Mutex<Handshake>,
    sockets: Arc<Sockets>,
}

impl OrderlySocket {
    fn departure(&self) -> MutexGuard<'_, Departure> {
        self.departure.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn handshake(&self) -> MutexGuard<'_, Handshake> {
        self.handshake.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends again what of the handshake is due; where there is no room for it, it counts as lost.
    fn repeat(&self, now: Instant) {
        let mut handshake = self.handshake();
        if self.settled.get() {
            handshake.end();
        }
        for (destination, contents) in handshake.handle_timeout(now) {
            let transmit =
                Transmit { destination: *destination, ecn: None, contents, segment_size: None, src_ip: None };
            let _sent = self.inner.poll_send(&mut Context::from_waker(Waker::noop()), &transmit);
        }
    }

    /// Lets go what waits here; pending while there is no room for it.
    fn poll_depart(&self, departure: &mut Departure, context: &mut Context<'_>) -> Poll<()> {
        if let Some(group) = departure.group() {
            // As lost as on the way; what can be asked for again will be.
            if let Err(error) = ready!(self.inner.poll_send(context, &group)) {
                tracing::debug!(%error, "media could not be sent");
            }
        }
        departure.clear();
        Poll::Ready(())
    }

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
            if received.is_pending() {
                return self.receive_of_before(context, &mut buffers[..one], meta);
            }
            let (Poll::Ready(Ok(1)), Some(buffer), Some(meta)) = (&received, buffers.first(), meta.first_mut()) else {
                return received;
            };
            // What came together is of one kind: datagrams of one flow and one size, of which only the last may be shorter.
            let datagram = &buffer[..meta.stride.min(meta.len).min(buffer.len())];
            let arrival =
                self.roaming.lock().handle_received(Instant::now(), self.id, meta.addr, datagram, transaction_id);
            match arrival {
                Arrival::Deliver(from) => {
                    if !self.settled.get() {
                        self.handshake().handle_received(datagram);
                    }
                    meta.addr = from;
                }
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

    /// Receives what came to the sockets that an ICE restart replaced. Where the peer is they no longer tell, but that it is heard.
    fn receive_of_before(
        &self,
        context: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let now = Instant::now();
        let received = ready!(self.sockets.predecessors.poll_recv(now, context, buffers, meta));
        if buffers.first().is_some_and(|datagram| carries_media(datagram)) {
            self.roaming.lock().rhythm().handle_media(now);
        }
        Poll::Ready(received)
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
        if carries_media(first) {
            self.carried_media.store(true, Ordering::Relaxed);
        }
        let destination = self.roaming.lock().handle_sent(Instant::now(), self.id, destination, first);
        let is_settled = self.settled.get();
        if !is_settled {
            self.handshake().handle_sent(Instant::now(), destination, first);
        }
        let may_wait = is_settled && is_media(first) && segment_size.is_none();
        let segments = if may_wait { self.inner.max_gso_segments() } else { 1 };
        let mut departure = self.departure();
        if segments < 2 || !departure.takes(destination, contents, segments) {
            ready!(self.poll_depart(&mut departure, context));
        }
        if segments < 2 {
            return self.inner.poll_send(context, &Transmit { destination, ecn, contents, segment_size, src_ip });
        }
        departure.add(destination, contents);
        self.sockets.is_waiting.store(true, Ordering::Release);
        Poll::Ready(Ok(contents.len()))
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
        // Groups are made here. What leaves in one call may arrive in one turn, so there are none before the connection is settled.
        1
    }

    fn max_gro_segments(&self) -> usize {
        self.inner.max_gro_segments()
    }
}

impl Drop for OrderlySocket {
    fn drop(&mut self) {
        let mut departure = std::mem::take(self.departure.get_mut().unwrap_or_else(PoisonError::into_inner));
        // Where there is no room for it now, nobody is left to wait for some.
        let _held_up = self.poll_depart(&mut departure, &mut Context::from_waker(Waker::noop()));
        if self.carried_media.load(Ordering::Relaxed) {
            self.sockets.predecessors.add(Instant::now(), self.inner.clone());
        }
    }
}

#[cfg(test)]
mod tests;
