use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use super::*;
use crate::rtp::packet::PacketizedFrame;
use crate::rtp::playout::PlayoutConfig;
use crate::video::local::{LocalVideo, LocalVideoConfig};
use crate::video::source::VideoSource;

const LONG: Duration = Duration::from_secs(20);

struct Peer {
    video: RemoteVideo,
    requests: Arc<AtomicUsize>,
    sequence_number: u16,
}

impl Peer {
    fn new(clock: MediaClock) -> Self {
        let requests = Arc::new(AtomicUsize::new(0));
        let counter = requests.clone();
        let events = RemoteVideoEvents {
            key_frame_needed: Arc::new(move || {
                counter.fetch_add(1, Ordering::SeqCst);
            }),
            frame_shown: Arc::new(|| {}),
        };
        let playout = Arc::new(Playout::new(PlayoutConfig::default()));
        Self { video: RemoteVideo::new(playout, clock, events), requests, sequence_number: 65_500 }
    }

    fn packets(&mut self, frame: &PacketizedFrame) -> Vec<RtpPacket> {
        let packets = frame.packets.iter().map(|packet| {
            self.sequence_number = self.sequence_number.wrapping_add(1);
            RtpPacket {
                sequence_number: self.sequence_number,
                timestamp: frame.rtp_timestamp,
                marker: packet.marker,
                payload_type: 102,
                ssrc: 5,
                payload: packet.payload.clone(),
            }
        });
        packets.collect()
    }

    fn send(&mut self, frame: &PacketizedFrame) {
        for packet in self.packets(frame) {
            self.video.push(packet, Instant::now());
        }
    }
}

fn camera(clock: MediaClock) -> (LocalVideo, mpsc::Receiver<Arc<PacketizedFrame>>) {
    let video = LocalVideo::new(LocalVideoConfig::default(), clock);
    let (sender, receiver) = mpsc::channel();
    video.start_encoding(Box::new(move |frame| {
        // The test may have ended.
        let _ = sender.send(frame);
    }));
    video.set_source(VideoSource::TestPattern { name: "Ada".to_owned() });
    (video, receiver)
}

#[test]
fn a_picture_goes_from_camera_to_peer_with_its_barcode() {
    let clock = MediaClock::system();
    let (local, encoded) = camera(clock);
    let mut peer = Peer::new(clock);
    peer.video.set_same_boot(true);
    let mut pictures = peer.video.frames();
    for _ in 0..30 {
        let frame = encoded.recv_timeout(LONG).unwrap();
        peer.send(&frame);
        let picture = pictures.wait(LONG).unwrap();
        assert_eq!((picture.width, picture.height), (640, 360));
        let read = barcode_of(&picture).expect("a readable barcode");
        assert_eq!(read, clock.unix_tenth_ms(frame.captured_at));
    }
    drop(local);
    let stats = stats_when(&peer.video, |stats| stats.frames_shown == 30);
    assert_eq!((stats.frames_assembled, stats.frames_decoded, stats.decode_errors), (30, 30, 0));
    assert_eq!((stats.key_frames_decoded, stats.key_frames_requested, stats.duplicates), (1, 0, 0));
    let latency = stats.latency_ms_p50.expect("a delay, since both run on one boot");
    assert!(latency > 0.0 && latency < 1_000.0, "{latency} ms");
}

#[test]
fn the_barcode_survives_a_low_rate() {
    let clock = MediaClock::system();
    let (local, encoded) = camera(clock);
    local.set_target_bitrate_bps(150_000);
    let mut peer = Peer::new(clock);
    let mut pictures = peer.video.frames();
    let (mut readable, mut bytes) = (0, 0);
    for _ in 0..45 {
        let frame = encoded.recv_timeout(LONG).unwrap();
        bytes += frame.bytes;
        peer.send(&frame);
        readable += usize::from(barcode_of(&pictures.wait(LONG).unwrap()).is_some());
    }
    assert!(readable >= 43, "{readable} of 45 readable at {bytes} bytes");
}

#[test]
fn a_lost_packet_freezes_the_picture_until_the_key_frame_that_is_asked_for() {
    let clock = MediaClock::system();
    let (local, encoded) = camera(clock);
    let mut peer = Peer::new(clock);
    let mut pictures = peer.video.frames();
    let (mut is_lost, until) = (false, Instant::now() + LONG);
    for index in 0.. {
        let frame = encoded.recv_timeout(LONG).unwrap();
        let mut packets = peer.packets(&frame);
        // One that others refer to: without a picture that nobody needs the show goes on.
        if index > 4 && !is_lost && !frame.discardable {
            packets.pop();
            is_lost = true;
        }
        for packet in packets {
            peer.video.push(packet, Instant::now());
        }
        if peer.requests.swap(0, Ordering::SeqCst) > 0 {
            local.request_key_frame();
        }
        if is_lost && frame.key {
            break;
        }
        assert!(Instant::now() < until, "no key frame was asked for");
    }
    let stats = stats_when(&peer.video, |stats| stats.key_frames_decoded == 2);
    assert!(stats.key_frames_requested >= 1 && stats.packets_missing == 1, "{stats:?}");
    assert!(stats.frames_dropped_no_reference > 0 && stats.decode_errors == 0, "{stats:?}");
    assert!(pictures.take_new().is_some());
}

#[test]
fn nonsense_is_counted_and_a_key_frame_asked_for() {
    let clock = MediaClock::system();
    let (_local, encoded) = camera(clock);
    let mut peer = Peer::new(clock);
    let key = encoded.recv_timeout(LONG).unwrap();
    for (index, packet) in peer.packets(&key).into_iter().enumerate() {
        let mut payload = packet.payload.to_vec();
        if index > 0 {
            // The headers stay, the picture's content does not.
            payload.iter_mut().skip(4).for_each(|byte| *byte = byte.wrapping_mul(31).wrapping_add(7));
        }
        peer.video.push(RtpPacket { payload: payload.into(), ..packet }, Instant::now());
    }
    let stats = stats_when(&peer.video, |stats| stats.decode_errors + stats.frames_decoded > 0);
    if stats.decode_errors > 0 {
        stats_when(&peer.video, |stats| stats.key_frames_requested > 0);
    }
    for seed in 0..500_u32 {
        let payload: Vec<u8> = (0..seed % 90).map(|index| (seed.wrapping_mul(index + 77) >> 3) as u8).collect();
        let sequence_number = peer.sequence_number.wrapping_add(seed as u16 + 1);
        let (timestamp, marker) = (seed / 3 * 3000, seed % 3 == 2);
        let packet =
            RtpPacket { sequence_number, timestamp, marker, payload_type: 1, ssrc: 5, payload: payload.into() };
        peer.video.push(packet, Instant::now());
    }
    let before = stats.packets;
    stats_when(&peer.video, |stats| stats.packets + stats.packets_dropped_queue >= before + 500);
}

#[test]
fn a_peer_that_goes_does_not_hold_anybody_up() {
    let peer = Peer::new(MediaClock::system());
    let mut pictures = peer.video.frames();
    let waiting = std::thread::spawn(move || pictures.wait(LONG));
    drop(peer);
    assert!(waiting.join().unwrap().is_none());
}

fn barcode_of(picture: &VideoFrame) -> Option<u64> {
    let planes = &picture.planes;
    crate::video::barcode::read(&planes.y, planes.y_stride, picture.width as usize, picture.height as usize)
}

/// Waits for the decoder's thread to publish what is wished.
fn stats_when(video: &RemoteVideo, wished: impl Fn(&RemoteVideoStats) -> bool) -> RemoteVideoStats {
    let deadline = Instant::now() + LONG;
    loop {
        let stats = video.stats();
        if wished(&stats) {
            return stats;
        }
        assert!(Instant::now() < deadline, "not within {LONG:?}: {stats:?}");
        std::thread::yield_now();
    }
}

#[test]
fn a_full_queue_is_emptied_and_its_pictures_are_counted() {
    let mut inbox = Inbox::default();
    for index in 0..10_u16 {
        let packet = RtpPacket {
            sequence_number: index,
            timestamp: u32::from(index / 4) * 3000,
            marker: index % 4 == 3,
            payload_type: 102,
            ssrc: 5,
            payload: bytes::Bytes::from_static(&[0x61, 0x88]),
        };
        inbox.packets.push((packet, Instant::now()));
    }
    inbox.drop_all();
    assert_eq!((inbox.packets.len(), inbox.packets_dropped, inbox.frames_dropped), (0, 10, 3));
}

#[test]
fn a_hidden_picture_goes_away_stays_away_and_is_no_freeze() {
    let (_local, encoded) = camera(MediaClock::system());
    let mut peer = Peer::new(MediaClock::system());
    let mut pictures = peer.video.frames();
    for _ in 0..5 {
        peer.send(&encoded.recv_timeout(LONG).unwrap());
        assert!(pictures.wait(LONG).is_some());
    }
    peer.video.set_hidden(true);
    let before = stats_when(&peer.video, |stats| stats.frames_decoded >= 5);
    // What was under way when the camera was turned off.
    peer.send(&encoded.recv_timeout(LONG).unwrap());
    let hidden = stats_when(&peer.video, |stats| stats.frames_decoded > before.frames_decoded);
    assert_eq!(hidden.frames_shown, before.frames_shown);
    assert!(pictures.peek().is_none());
    // Ten pictures long nothing comes, which would be a freeze.
    let kept: Vec<_> = (0..10).map(|_| encoded.recv_timeout(LONG).unwrap()).collect();
    peer.video.set_hidden(false);
    kept.iter().for_each(|frame| peer.send(frame));
    assert!(pictures.wait(LONG).is_some());
    let after = stats_when(&peer.video, |stats| stats.frames_shown > before.frames_shown);
    assert_eq!(after.freezes, before.freezes);
}
