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

/// A socket that has no room until it is told so, and keeps (bytes, size of a segment) of each call.
#[derive(Debug, Default)]
struct Narrow {
    has_room: AtomicBool,
    sent: Mutex<Vec<(usize, Option<usize>)>>,
}

impl AsyncUdpSocket for Narrow {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn poll_send(&self, _: &mut Context<'_>, transmit: &Transmit<'_>) -> Poll<io::Result<usize>> {
        if !self.has_room.load(Ordering::Acquire) {
            return Poll::Pending;
        }
        self.sent.lock().unwrap().push((transmit.contents.len(), transmit.segment_size));
        Poll::Ready(Ok(transmit.contents.len()))
    }

    fn poll_recv(&self, _: &mut Context<'_>, _: &mut [IoSliceMut<'_>], _: &mut [RecvMeta]) -> Poll<io::Result<usize>> {
        Poll::Pending
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
    let socket = OrderlySocket {
        inner,
        settled: settled.clone(),
        gave_one,
        roaming: SharedRoaming::default(),
        id: 0,
        departure: Mutex::default(),
        handshake: Mutex::default(),
        sockets: Arc::default(),
    };
    assert_eq!(polls(&socket, 5), [1, 0, 1, 0, 1]);
    settled.set();
    assert_eq!(polls(&socket, 5), [1, 1, 1, 1, 0]);
}

/// A settled connection's runtime and its socket, on top of another.
fn settled_socket(inner: Arc<dyn AsyncUdpSocket>) -> (OrderlyRuntime, Arc<OrderlySocket>) {
    let settled = Settled::default();
    settled.set();
    let (below, roaming) = (webrtc::runtime::default_runtime().unwrap(), SharedRoaming::default());
    let runtime = OrderlyRuntime::new(below, settled.clone(), roaming.clone(), Nudge::default());
    let sockets = runtime.sockets.clone();
    let (gave_one, departure, handshake) = (AtomicBool::new(false), Mutex::default(), Mutex::default());
    let socket = Arc::new(OrderlySocket { inner, settled, gave_one, roaming, id: 0, departure, handshake, sockets });
    runtime.sockets.add(&socket);
    (runtime, socket)
}

/// Whether the socket takes a datagram.
fn is_sent(socket: &OrderlySocket, destination: SocketAddr, contents: &[u8]) -> bool {
    let transmit = Transmit { destination, ecn: None, contents, segment_size: None, src_ip: None };
    socket.poll_send(&mut Context::from_waker(Waker::noop()), &transmit).is_ready()
}

#[tokio::test]
async fn what_leaves_together_arrives_as_it_was() {
    let bind = || std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let listener = bind();
    listener.set_nonblocking(true).unwrap();
    let listener = tokio::net::UdpSocket::from_std(listener).unwrap();
    let inner = webrtc::runtime::default_runtime().unwrap().wrap_udp_socket(bind()).unwrap();
    let (runtime, socket) = settled_socket(inner);
    // The fourth fits no more; the report goes at once and overtakes nobody.
    let mut datagrams = [1_200, 1_200, 700, 1_200].map(|length| vec![0x80; length]).to_vec();
    datagrams.extend([vec![0x80, 200, 0, 0], vec![0x80; 100]]);
    let (sent, destination) = (datagrams.clone(), listener.local_addr().unwrap());
    tokio::spawn(async move {
        for contents in &sent {
            let transmit = Transmit { destination, ecn: None, contents, segment_size: None, src_ip: None };
            std::future::poll_fn(|context| socket.poll_send(context, &transmit)).await.unwrap();
        }
        runtime.sleep(Duration::from_secs(86_400)).await;
    });
    for datagram in datagrams {
        let mut buffer = [0; 2_000];
        let length = listener.recv(&mut buffer).await.unwrap();
        assert_eq!(buffer[..length], datagram);
    }
}

#[tokio::test]
async fn what_comes_to_a_socket_of_before_an_ice_restart_is_heard_by_the_next() {
    let bind = || std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let (peer, before, next) = (bind(), bind(), bind());
    let before_address = before.local_addr().unwrap();
    let (runtime, _) = settled_socket(Arc::new(Narrow::default()));
    drop(runtime.wrap_udp_socket(before).unwrap());
    let socket = runtime.wrap_udp_socket(next).unwrap();
    let (media, end) = ([0x80; 30], [0x81; 40]);
    let mut check = [0; 20];
    check[..8].copy_from_slice(&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42]);
    for datagram in [&media[..], &check, &end] {
        peer.send_to(datagram, before_address).unwrap();
    }
    let mut heard = Vec::new();
    for _ in 0..2 {
        let mut buffer = [0; 100];
        let mut meta = [RecvMeta::default()];
        let count =
            std::future::poll_fn(|context| socket.poll_recv(context, &mut [IoSliceMut::new(&mut buffer)], &mut meta));
        assert_eq!(count.await.unwrap(), 1);
        assert_eq!(meta[0].addr, peer.local_addr().unwrap());
        heard.push(buffer[..meta[0].len].to_vec());
    }
    assert_eq!(heard, [media.to_vec(), end.to_vec()], "the check is nobody's");
}

#[tokio::test]
async fn media_leaves_when_the_stack_goes_to_sleep_and_all_else_at_once() {
    let (inner, anywhere) = (Arc::new(Narrow::default()), ([127, 0, 0, 1], 9).into());
    inner.has_room.store(true, Ordering::Release);
    let (runtime, socket) = settled_socket(inner.clone());
    assert!(is_sent(&socket, anywhere, &[0x80; 30]) && is_sent(&socket, anywhere, &[0x80; 30]));
    assert!(inner.sent.lock().unwrap().is_empty(), "it waits for company");
    let _sleep = runtime.sleep(Duration::from_secs(86_400));
    assert_eq!(*inner.sent.lock().unwrap(), [(60, Some(30))]);
    assert!(is_sent(&socket, anywhere, &[0; 20]));
    assert_eq!(inner.sent.lock().unwrap().last(), Some(&(20, None)), "a check does not wait");
}

#[tokio::test]
async fn a_full_socket_holds_media_up_until_there_is_room() {
    let (inner, anywhere) = (Arc::new(Narrow::default()), ([127, 0, 0, 1], 9).into());
    let (runtime, socket) = settled_socket(inner.clone());
    assert!(is_sent(&socket, anywhere, &[0x80; 30]) && is_sent(&socket, anywhere, &[0x80; 30]));
    assert!(!is_sent(&socket, anywhere, &[0x80; 40]), "it neither fits nor is there room");
    let mut sleep = runtime.sleep(Duration::from_secs(86_400));
    assert!((&mut sleep).now_or_never().is_none());
    assert!(inner.sent.lock().unwrap().is_empty());
    inner.has_room.store(true, Ordering::Release);
    assert!((&mut sleep).now_or_never().is_none(), "it sleeps on");
    assert_eq!(*inner.sent.lock().unwrap(), [(60, Some(30))]);
    assert!(is_sent(&socket, anywhere, &[0x80; 40]));
    drop(socket);
    assert_eq!(inner.sent.lock().unwrap().last(), Some(&(40, None)), "the last leaves when the socket closes");
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
