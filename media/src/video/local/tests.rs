use std::collections::BTreeMap;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::*;
use crate::camera::{Camera, Watch, Woken};
use crate::frame::I420;

const LONG: Duration = Duration::from_secs(20);

fn video() -> LocalVideo {
    LocalVideo::new(LocalVideoConfig::default(), MediaClock::system())
}

fn pattern() -> VideoSource {
    VideoSource::TestPattern { name: "Ada".to_owned() }
}

fn frames_of(video: &LocalVideo) -> mpsc::Receiver<Arc<PacketizedFrame>> {
    let (sender, receiver) = mpsc::channel();
    video.start_encoding(Box::new(move |frame| {
        // The test may have ended.
        let _ = sender.send(frame);
    }));
    receiver
}

/// Waits until the status is as wished.
fn wait_for(video: &LocalVideo, wished: impl Fn(&SourceStatus<CameraError>) -> bool) -> SourceStatus<CameraError> {
    let (sender, receiver) = mpsc::channel();
    video.on_status(Arc::new(move || {
        let _ = sender.send(());
    }));
    loop {
        let status = video.status();
        if wished(&status) {
            return status;
        }
        receiver.recv_timeout(LONG).unwrap();
    }
}

#[test]
fn the_first_picture_is_a_key_frame_and_carries_capture_time() {
    let video = video();
    let frames = frames_of(&video);
    video.set_source(pattern());
    let first = frames.recv_timeout(LONG).unwrap();
    assert!(first.key && first.packets.last().unwrap().marker);
    assert!(first.packets.iter().all(|packet| packet.payload.len() <= 1200));
    let second = frames.recv_timeout(LONG).unwrap();
    assert!(!second.key);
    let apart = second.captured_at - first.captured_at;
    let ticks = second.rtp_timestamp.wrapping_sub(first.rtp_timestamp);
    assert!((f64::from(ticks) / 90_000.0 - apart.as_secs_f64()).abs() < 0.000_1);
    let stats = video.stats();
    assert!(stats.frames_captured >= 2 && stats.frames_encoded >= 2 && stats.key_frames == 1);
    assert_eq!((stats.width, stats.height), (640, 360));
}

#[test]
fn requests_for_key_frames_merge() {
    let video = video();
    let frames = frames_of(&video);
    video.set_source(pattern());
    let mut keys = Vec::new();
    for _ in 0..36 {
        video.request_key_frame();
        let frame = frames.recv_timeout(LONG).unwrap();
        if frame.key {
            keys.push(frame.captured_at);
        }
    }
    assert!(keys.len() >= 2);
    // The limit is on the time of encoding, which follows capture by a varying few milliseconds.
    assert!(keys.windows(2).all(|pair| pair[1] - pair[0] > Duration::from_millis(400)), "{keys:?}");
}

#[test]
fn a_camera_turned_off_gives_nothing_and_its_preview_is_empty() {
    let video = video();
    let mut preview = video.preview();
    video.set_source(pattern());
    assert!(preview.wait(LONG).is_some());
    assert!(wait_for(&video, SourceStatus::is_live).is_live());
    video.set_enabled(false);
    wait_for(&video, |status| *status == SourceStatus::Off);
    assert!(preview.peek().is_none());
    video.set_enabled(true);
    wait_for(&video, SourceStatus::is_live);
}

#[test]
fn a_missing_file_is_a_sentence_and_another_source_still_works() {
    let video = video();
    video.set_source(VideoSource::File("/nowhere/film.y4m".into()));
    let status = wait_for(&video, |status| matches!(status, SourceStatus::Failed(_)));
    let SourceStatus::Failed(error) = status else { panic!("{status:?}") };
    assert!(error.to_string().contains("there is no such file"), "{error}");
    video.set_source(pattern());
    wait_for(&video, SourceStatus::is_live);
}

#[test]
fn after_stop_encoding_the_sink_is_not_called_and_start_begins_with_a_key_frame() {
    let video = video();
    let frames = frames_of(&video);
    video.set_source(pattern());
    assert!(frames.recv_timeout(LONG).unwrap().key);
    video.stop_encoding();
    while frames.try_recv().is_ok() {}
    assert_eq!(frames.recv_timeout(LONG).unwrap_err(), mpsc::RecvTimeoutError::Disconnected);
    assert!(frames_of(&video).recv_timeout(LONG).unwrap().key);
}

/// A desk with cameras that can be plugged in and pulled out; each gives a picture every few milliseconds.
#[derive(Clone, Default)]
struct Desk(Arc<Mutex<BTreeMap<String, bool>>>);

impl Desk {
    fn plug(&self, id: &str, plugged: bool) {
        lock(&self.0).insert(id.to_owned(), plugged);
    }
}

struct DeskCamera {
    id: String,
    desk: Desk,
}

impl Devices for Desk {
    fn open(
        &self,
        id: Option<&str>,
        _config: &CaptureConfig,
        _wake: Arc<dyn Fn() + Send + Sync>,
    ) -> Result<Box<dyn Camera>, CameraError> {
        let plugged = lock(&self.0);
        let found = plugged.iter().find(|(name, plugged)| **plugged && id.is_none_or(|id| id == name.as_str()));
        let (id, _) = found.ok_or(CameraError::NoDevice)?;
        Ok(Box::new(DeskCamera { id: id.clone(), desk: self.clone() }))
    }

    fn is_present(&self, id: &str) -> bool {
        lock(&self.0).get(id) == Some(&true)
    }
}

impl Camera for DeskCamera {
    fn label(&self) -> String {
        self.id.clone()
    }

    fn next_frame(&mut self, watch: &Watch<'_>) -> Result<Option<VideoFrame>, CameraError> {
        let soon = Instant::now() + Duration::from_millis(3);
        if watch.wait_until(Some(soon), || false) == Woken::Interrupted {
            return Ok(None);
        }
        if !self.desk.is_present(&self.id) {
            return Err(CameraError::Unplugged);
        }
        let planes = I420::black(64, 36).into();
        Ok(Some(VideoFrame { width: 64, height: 36, planes, captured_at: Instant::now() }))
    }
}

fn at_desk(plugged: &[&str]) -> (Desk, LocalVideo) {
    let desk = Desk::default();
    plugged.iter().for_each(|id| desk.plug(id, true));
    let devices = Box::new(desk.clone());
    let look_again = Duration::from_millis(10);
    (desk, LocalVideo::with_devices(LocalVideoConfig::default(), MediaClock::system(), devices, look_again))
}

fn is_live(label: &str) -> impl Fn(&SourceStatus<CameraError>) -> bool {
    move |status| *status == SourceStatus::Live { label: label.to_owned() }
}

#[test]
fn an_unplugged_camera_falls_back_to_the_default_and_returns_when_it_is_back() {
    let (desk, video) = at_desk(&["built in", "usb"]);
    video.set_source(VideoSource::Device("usb".to_owned()));
    wait_for(&video, is_live("usb"));
    desk.plug("usb", false);
    wait_for(&video, is_live("built in"));
    desk.plug("usb", true);
    wait_for(&video, is_live("usb"));
    desk.plug("usb", false);
    wait_for(&video, is_live("built in"));
}

#[test]
fn the_only_camera_unplugged_is_told_as_such_and_comes_back_by_itself() {
    for source in [VideoSource::Device("usb".to_owned()), VideoSource::DefaultDevice] {
        let (desk, video) = at_desk(&["usb"]);
        video.set_source(source);
        wait_for(&video, is_live("usb"));
        desk.plug("usb", false);
        wait_for(&video, |status| *status == SourceStatus::Failed(CameraError::Unplugged));
        assert!(video.preview().peek().is_none());
        desk.plug("usb", true);
        wait_for(&video, is_live("usb"));
    }
}

#[test]
fn a_camera_that_was_never_there_is_missing_and_not_replaced_by_another() {
    let (desk, video) = at_desk(&["built in"]);
    video.set_source(VideoSource::Device("usb".to_owned()));
    wait_for(&video, |status| *status == SourceStatus::Failed(CameraError::NoDevice));
    desk.plug("usb", true);
    wait_for(&video, is_live("usb"));
}

#[test]
fn a_sink_gets_nothing_that_was_begun_for_another_and_nobody_waits_for_an_encoding() {
    let (sender, receiver) = mpsc::channel();
    let sink = |name: &'static str| -> FrameSink {
        let sender = sender.clone();
        Box::new(move |frame| sender.send((name, frame.rtp_timestamp)).unwrap())
    };
    let frame = |rtp_timestamp| {
        let encoded = crate::frame::EncodedFrame {
            layer: crate::frame::Layer(0),
            temporal_id: 0,
            key: true,
            discardable: false,
            captured_at: Instant::now(),
            width: 16,
            height: 16,
            data: bytes::Bytes::from_static(&[0, 0, 1, 0x65, 1]),
        };
        Arc::new(crate::rtp::h264::packetize(&encoded, rtp_timestamp, 1_200))
    };
    let encoding = Mutex::new(Encoding::default());
    assert_eq!(lock(&encoding).current(), None);
    lock(&encoding).start(sink("first"));
    let first = lock(&encoding).current().unwrap();
    // An encoding for the first is under way; all of this happens meanwhile, in the same thread: no lock is held.
    lock(&encoding).hand_over(first, frame(1));
    lock(&encoding).start(sink("second"));
    lock(&encoding).hand_over(first, frame(2));
    let second = lock(&encoding).current().unwrap();
    lock(&encoding).hand_over(second, frame(3));
    lock(&encoding).sink = None;
    assert_eq!(lock(&encoding).current(), None);
    lock(&encoding).hand_over(second, frame(4));
    assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [("first", 1), ("second", 3)]);
}
