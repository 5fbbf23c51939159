use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};

use webrtc::runtime::Transmit;

use super::*;

const MEDIA: &[u8] = &[0x80; 20];
const CHECK: &[u8] = &[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// A socket to which one thing comes so many times.
#[derive(Debug)]
struct Given {
    what: Result<&'static [u8], ErrorKind>,
    left: AtomicUsize,
}

impl AsyncUdpSocket for Given {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        Err(ErrorKind::Unsupported.into())
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
        let Some(left) = self.left.load(Ordering::Relaxed).checked_sub(1) else { return Poll::Pending };
        self.left.store(left, Ordering::Relaxed);
        let datagram = self.what?;
        buffers[0][..datagram.len()].copy_from_slice(datagram);
        meta[0].len = datagram.len();
        Poll::Ready(Ok(1))
    }
}

/// Counts how often it was woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn given(what: Result<&'static [u8], ErrorKind>, count: usize) -> Arc<Given> {
    Arc::new(Given { what, left: AtomicUsize::new(count) })
}

/// Whether something is heard, and how often whoever asked is woken to ask again.
fn hears(predecessors: &Predecessors, now: Instant) -> (bool, usize) {
    let (mut buffer, woken) = ([0; 100], Arc::new(Woken::default()));
    let waker = Waker::from(woken.clone());
    let mut context = Context::from_waker(&waker);
    let mut buffers = [IoSliceMut::new(&mut buffer)];
    let heard = predecessors.poll_recv(now, &mut context, &mut buffers, &mut [RecvMeta::default()]);
    (heard.is_ready(), woken.0.load(Ordering::Relaxed))
}

#[test]
fn they_are_heard_until_their_time_is_over() {
    let (predecessors, now) = (Predecessors::default(), Instant::now());
    assert_eq!(hears(&predecessors, now), (false, 0));
    predecessors.add(now, given(Ok(MEDIA), 9));
    assert_eq!(hears(&predecessors, now + KEPT - Duration::from_millis(1)), (true, 0));
    assert_eq!(hears(&predecessors, now + KEPT), (false, 0));
    assert!(predecessors.lock().is_empty());
}

#[test]
fn the_oldest_go_where_there_are_many() {
    let (predecessors, now) = (Predecessors::default(), Instant::now());
    predecessors.add(now, given(Ok(MEDIA), 1));
    (0..SOCKETS_MAX).for_each(|_| predecessors.add(now, given(Ok(MEDIA), 0)));
    assert_eq!(hears(&predecessors, now), (false, 0));
    assert_eq!(predecessors.lock().len(), SOCKETS_MAX);
}

#[test]
fn a_flood_of_checks_is_read_a_few_at_a_time() {
    let (predecessors, now) = (Predecessors::default(), Instant::now());
    let flooded = given(Ok(CHECK), SKIPPED_MAX + 1);
    predecessors.add(now, flooded.clone());
    predecessors.add(now, given(Ok(MEDIA), 1));
    assert_eq!(hears(&predecessors, now), (false, 1), "asks to be asked again");
    assert_eq!(flooded.left.load(Ordering::Relaxed), 1);
    assert_eq!(hears(&predecessors, now), (true, 0));
}

#[test]
fn an_error_of_what_was_sent_before_passes_and_a_broken_socket_goes() {
    let (predecessors, now) = (Predecessors::default(), Instant::now());
    predecessors.add(now, given(Err(ErrorKind::ConnectionReset), 2));
    predecessors.add(now, given(Err(ErrorKind::NetworkUnreachable), 2));
    predecessors.add(now, given(Ok(MEDIA), 1));
    assert_eq!(hears(&predecessors, now), (true, 0));
    assert_eq!(predecessors.lock().len(), 2);
}
