use std::sync::mpsc;
use std::time::Duration;

use super::*;

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
