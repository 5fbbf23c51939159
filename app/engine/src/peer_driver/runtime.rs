//! The stack's runtime, with sockets that hand out one datagram at a time while a connection is being made.
//!
//! The stack drains up to 64 datagrams before it looks at what they led to. A message on a pre-negotiated data channel that
//! arrives in the same drain as the end of the SCTP handshake then meets a channel that is not there yet, and is lost:
//! on a fast path that is the other side's `hello`. One datagram a turn keeps the order; once both channels are
//! open, the sockets are the stack's own again.

use std::fmt;
use std::future::Future;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use webrtc::runtime::{
    AsyncInterval, AsyncTcpListener, AsyncTcpStream, AsyncUdpSocket, JoinHandle, RecvMeta, Runtime, Transmit,
};

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

/// The stack's runtime, with our sockets.
#[derive(Debug)]
pub(crate) struct OrderlyRuntime {
    inner: Arc<dyn Runtime>,
    settled: Settled,
}

impl OrderlyRuntime {
    pub(crate) fn new(inner: Arc<dyn Runtime>, settled: Settled) -> Self {
        Self { inner, settled }
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
        Ok(Arc::new(OrderlySocket { inner, settled: self.settled.clone(), gave_one: AtomicBool::new(false) }))
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
        self.inner.sleep(duration)
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

/// Says "nothing there" after each datagram, once.
struct OrderlySocket {
    inner: Arc<dyn AsyncUdpSocket>,
    settled: Settled,
    gave_one: AtomicBool,
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
        self.inner.poll_send(context, transmit)
    }

    fn poll_recv(
        &self,
        context: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        if self.settled.get() {
            return self.inner.poll_recv(context, buffers, meta);
        }
        if self.gave_one.swap(false, Ordering::AcqRel) {
            // Whoever really waits asks again at once; a probe goes away.
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let one = buffers.len().min(1);
        let received = self.inner.poll_recv(context, &mut buffers[..one], meta);
        self.gave_one.store(received.is_ready(), Ordering::Release);
        received
    }

    fn max_gso_segments(&self) -> usize {
        self.inner.max_gso_segments()
    }

    fn max_gro_segments(&self) -> usize {
        self.inner.max_gro_segments()
    }
}
