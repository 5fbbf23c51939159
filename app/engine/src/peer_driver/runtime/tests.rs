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
        carried_media: AtomicBool::new(false),
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
    let carried_media = AtomicBool::new(false);
    let socket =
        OrderlySocket { inner, settled, gave_one, roaming, id: 0, carried_media, departure, handshake, sockets };
    let socket = Arc::new(socket);
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

/// What the socket hears, so many times.
async fn hears(socket: &dyn AsyncUdpSocket, count: usize) -> Vec<Vec<u8>> {
    let mut heard = Vec::new();
    for _ in 0..count {
        let (mut buffer, mut meta) = ([0; 100], [RecvMeta::default()]);
        let received =
            std::future::poll_fn(|context| socket.poll_recv(context, &mut [IoSliceMut::new(&mut buffer)], &mut meta));
        let received = tokio::time::timeout(Duration::from_secs(20), received).await;
        assert_eq!(received.expect("something comes").unwrap(), 1);
        heard.push(buffer[..meta[0].len].to_vec());
    }
    heard
}

#[tokio::test]
async fn what_comes_to_a_socket_of_before_an_ice_restart_is_heard_by_the_next() {
    let bind = || std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let (peer, before, idle, next) = (bind(), bind(), bind(), bind());
    let [peer_address, before_address, idle_address, next_address] =
        [&peer, &before, &idle, &next].map(|socket| socket.local_addr().unwrap());
    let (runtime, _socket) = settled_socket(Arc::new(Narrow::default()));
    let [before, idle] = [before, idle].map(|socket| runtime.wrap_udp_socket(socket).unwrap());
    let contents = &[0x80; 30];
    let media = Transmit { destination: peer_address, ecn: None, contents, segment_size: None, src_ip: None };
    std::future::poll_fn(|context| before.poll_send(context, &media)).await.unwrap();
    drop((before, idle));
    let socket = runtime.wrap_udp_socket(next).unwrap();
    let mut check = [0; 20];
    check[..8].copy_from_slice(&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42]);
    // The one that carried nothing is closed: nothing comes of it, and what was sent there may be refused.
    let _refused = peer.send_to(&[0x80; 10], idle_address);
    for datagram in [&[0x80; 20][..], &check, &[20; 40]] {
        peer.send_to(datagram, before_address).unwrap();
    }
    assert_eq!(hears(&*socket, 2).await, [vec![0x80; 20], vec![20; 40]], "the check is nobody's");
    assert!(runtime.roaming.lock().rhythm().poll_timeout().is_some(), "the peer is heard");
    peer.send_to(&[0x80; 50], next_address).unwrap();
    assert_eq!(hears(&*socket, 1).await, [[0x80; 50]]);
}

#[tokio::test]
async fn no_socket_of_before_outlives_the_connection() {
    let inner: Arc<dyn AsyncUdpSocket> = Arc::new(Narrow::default());
    let weak = Arc::downgrade(&inner);
    let (runtime, socket) = settled_socket(inner);
    assert!(is_sent(&socket, ([127, 0, 0, 1], 9).into(), &[0x80; 30]));
    drop(socket);
    assert!(weak.upgrade().is_some(), "it is heard for a while");
    drop(runtime);
    assert!(weak.upgrade().is_none());
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
