use super::*;

const FRAME: Duration = Duration::from_micros(33_333);

/// A sender whose picture and sound take different times, and a receiver.
struct Call {
    playout: Playout,
    begin: Instant,
    /// From capture to the picture being whole.
    video_ms: i64,
    /// From capture to the sound being heard, without the extra delay.
    audio_ms: i64,
    /// How fast sound follows its extra delay: the rest after a block.
    extra_ms: f64,
}

/// What was seen: capture to shown, and capture to heard, in ms.
#[derive(Debug, Clone, Copy)]
struct Delays {
    video: f64,
    audio: f64,
}

impl Delays {
    fn audio_lead(self) -> f64 {
        self.video - self.audio
    }
}

impl Call {
    fn new(video_ms: i64, audio_ms: i64) -> Self {
        let begin = Instant::now() + Duration::from_secs(100);
        Self { playout: Playout::new(PlayoutConfig::default()), begin, video_ms, audio_ms, extra_ms: 0.0 }
    }

    fn at(&self, ms: f64) -> Instant {
        self.begin + Duration::from_secs_f64(ms / 1000.0)
    }

    fn report(&self, kind: MediaKind, capture_ms: f64) {
        let unix = 1_800_000_000.0 + capture_ms / 1000.0;
        let ntp_time = ((unix.trunc() as u64) << 32) | (unix.fract() * 4_294_967_296.0) as u64;
        self.playout.on_sender_report(kind, SenderReport { ntp_time, rtp_timestamp: rtp(kind, capture_ms) });
    }

    /// One minute of a call; the delays at its end.
    fn run(&mut self, jitter_ms: u64) -> Delays {
        let (mut video, mut audio) = (0.0, 0.0);
        for tick in 0..6_000_u64 {
            let capture_ms = tick as f64 * 10.0;
            if tick % 500 == 0 {
                self.report(MediaKind::Audio, capture_ms);
                self.report(MediaKind::Video, capture_ms);
            }
            // The jitter buffer follows within a fifth of a second.
            let wanted = self.playout.audio_extra_delay().as_secs_f64() * 1000.0;
            self.extra_ms += (wanted - self.extra_ms) * 0.05;
            audio = self.audio_ms as f64 + self.extra_ms;
            self.playout.audio_played(rtp(MediaKind::Audio, capture_ms), self.at(capture_ms + audio));
            if tick % 3 == 0 {
                let jitter = (tick * 7919 % (jitter_ms + 1)) as f64;
                let arrived = self.at(capture_ms + self.video_ms as f64 + jitter);
                let due = self.playout.video_due(rtp(MediaKind::Video, capture_ms), arrived, arrived);
                assert!(due >= arrived && due <= arrived + Duration::from_millis(500));
                video = (due - self.begin).as_secs_f64() * 1000.0 - capture_ms;
            }
        }
        Delays { video, audio }
    }
}

fn rtp(kind: MediaKind, capture_ms: f64) -> u32 {
    // Each stream has its own random beginning (RFC 3550 §5.1).
    match kind {
        MediaKind::Audio => (4_000_000_000.0 + capture_ms * 48.0) as u64 as u32,
        MediaKind::Video => (123_456_789.0 + capture_ms * 90.0) as u64 as u32,
    }
}

#[test]
fn what_is_nearly_in_step_is_left_alone() {
    for (video_ms, audio_ms) in [(50, 60), (50, 90), (40, 135), (80, 60)] {
        let delays = Call::new(video_ms, audio_ms).run(0);
        assert!((delays.video - video_ms as f64).abs() < 2.0, "{delays:?}");
        assert!((delays.audio - audio_ms as f64).abs() < 1.0, "{delays:?}");
    }
}

#[test]
fn a_picture_waits_for_late_sound() {
    for audio_ms in [150, 250, 400] {
        let delays = Call::new(30, audio_ms).run(0);
        assert!((-110.0..=40.0).contains(&delays.audio_lead()), "{delays:?}");
        assert!((delays.audio - audio_ms as f64).abs() < 1.0, "sound was held for nothing: {delays:?}");
    }
}

#[test]
fn sound_waits_for_a_late_picture() {
    for video_ms in [150, 300, 500] {
        let delays = Call::new(video_ms, 60).run(0);
        assert!((-110.0..=40.0).contains(&delays.audio_lead()), "{delays:?}");
        assert!((delays.video - video_ms as f64).abs() < 2.0, "the picture was held for nothing: {delays:?}");
    }
}

#[test]
fn sound_is_not_held_longer_than_needed_once_the_picture_is_quick_again() {
    let mut call = Call::new(400, 60);
    call.run(0);
    assert!(call.playout.audio_extra_delay() > Duration::from_millis(200));
    call.begin += Duration::from_secs(60);
    call.video_ms = 60;
    let delays = call.run(0);
    assert!((-110.0..=40.0).contains(&delays.audio_lead()), "{delays:?}");
    assert!(delays.audio < 120.0, "{delays:?}");
}

#[test]
fn sound_waits_for_no_picture_that_is_gone() {
    let mut call = Call::new(400, 60);
    call.run(0);
    for tick in 0..100 {
        let capture_ms = 60_000.0 + f64::from(tick) * 100.0;
        call.playout.audio_played(rtp(MediaKind::Audio, capture_ms), call.at(capture_ms + 60.0));
    }
    assert!(call.playout.audio_extra_delay() < Duration::from_millis(5));
}

#[test]
fn jitter_does_not_bring_them_out_of_step() {
    for (video_ms, audio_ms) in [(40, 200), (250, 60)] {
        let delays = Call::new(video_ms, audio_ms).run(25);
        assert!((-115.0..=45.0).contains(&delays.audio_lead()), "{delays:?}");
    }
}

#[test]
fn without_reports_a_picture_is_shown_at_once() {
    let playout = Playout::new(PlayoutConfig::default());
    let mut now = Instant::now();
    for index in 0..300_u32 {
        playout.audio_played(index * 1600, now + Duration::from_secs(1));
        assert_eq!(playout.video_due(index * 3000, now, now), now);
        now += FRAME;
    }
    assert_eq!(playout.audio_extra_delay(), Duration::ZERO);
}

#[test]
fn sound_heard_long_ago_holds_no_picture() {
    let call = Call::new(30, 300);
    call.report(MediaKind::Audio, 0.0);
    call.report(MediaKind::Video, 0.0);
    call.playout.audio_played(rtp(MediaKind::Audio, 0.0), call.at(300.0));
    let arrived = call.at(130.0);
    assert!(call.playout.video_due(rtp(MediaKind::Video, 100.0), arrived, arrived) > arrived);
    let arrived = call.at(5_030.0);
    assert_eq!(call.playout.video_due(rtp(MediaKind::Video, 5_000.0), arrived, arrived), arrived);
}

#[test]
fn an_uneven_network_is_evened_out_by_less_than_a_frame_interval() {
    let playout = Playout::new(PlayoutConfig::default());
    let begin = Instant::now();
    let mut shown = Vec::new();
    for index in 0..600_u32 {
        let jitter = Duration::from_millis(u64::from(index * 7919 % 16));
        let arrived = begin + FRAME * index + jitter;
        let due = playout.video_due(index * 3000, arrived, arrived);
        assert!(due >= arrived && due - arrived <= FRAME);
        shown.push(due);
    }
    let uneven = |times: &[Instant]| {
        times.windows(2).map(|pair| (pair[1] - pair[0]).abs_diff(FRAME)).sum::<Duration>() / times.len() as u32
    };
    assert!(uneven(&shown[300..]) < Duration::from_millis(3), "{:?}", uneven(&shown[300..]));
}

#[test]
fn one_late_picture_does_not_delay_the_others() {
    let playout = Playout::new(PlayoutConfig::default());
    let begin = Instant::now();
    for index in 0..300_u32 {
        let late = if index == 100 { Duration::from_millis(200) } else { Duration::ZERO };
        let arrived = begin + FRAME * index + late;
        let due = playout.video_due(index * 3000, arrived, arrived);
        assert!(due - arrived < Duration::from_millis(4), "{index}: {:?}", due - arrived);
    }
}

#[test]
fn no_report_holds_anything_longer_than_the_limit() {
    let mut state = 1_u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state
    };
    let playout = Playout::new(PlayoutConfig::default());
    let mut now = Instant::now() + Duration::from_secs(1_000);
    for _ in 0..20_000 {
        now += Duration::from_millis(random() >> 58);
        let kind = if random() >> 63 == 0 { MediaKind::Audio } else { MediaKind::Video };
        let report = SenderReport { ntp_time: random(), rtp_timestamp: random() as u32 };
        playout.on_sender_report(kind, report);
        playout.audio_played((random() >> 20) as u32, now + Duration::from_millis(random() >> 55));
        let arrived = now - Duration::from_millis(random() >> 56);
        let due = playout.video_due((random() >> 20) as u32, arrived, now);
        assert!(due >= arrived && due <= arrived + Duration::from_millis(500));
        assert!(playout.audio_extra_delay() <= Duration::from_millis(500));
    }
}

#[test]
fn time_stamps_may_wrap_and_clocks_may_drift() {
    let playout = Playout::new(PlayoutConfig::default());
    let begin = Instant::now();
    let mut timestamp = u32::MAX - 100_000;
    for index in 0..9_000_u32 {
        // 100 ppm too fast.
        let arrived = begin + Duration::from_nanos(u64::from(index) * 33_330_000);
        let due = playout.video_due(timestamp, arrived, arrived);
        assert!(due - arrived < Duration::from_millis(2), "{index}: {:?}", due - arrived);
        timestamp = timestamp.wrapping_add(3000);
    }
}
