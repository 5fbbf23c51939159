use std::time::Instant;

use bytes::Bytes;
use parlor_media::{Layer, MediaPacket};

use super::super::outbound;
use super::*;

pub(crate) fn frame(number: u32, key: bool, discardable: bool) -> Arc<PacketizedFrame> {
    Arc::new(PacketizedFrame {
        packets: vec![MediaPacket { payload: Bytes::from_static(b"x"), marker: true }],
        rtp_timestamp: number,
        captured_at: Instant::now(),
        layer: Layer(0),
        temporal_id: u8::from(discardable),
        key,
        discardable,
        bytes: 1,
    })
}

pub(crate) fn audio(number: u32) -> EncodedAudio {
    EncodedAudio {
        payload: Bytes::from_static(b"x"),
        captured_at: Instant::now(),
        rtp_timestamp: number,
        duration: Duration::from_millis(20),
        level_dbov: 30,
        voice: true,
    }
}

fn open() -> LegQueue {
    let mut queue = LegQueue::default();
    queue.open();
    queue
}

/// The time stamps of what comes out; sounds are negative.
fn drain(queue: &mut LegQueue, backlog: Duration) -> Vec<i64> {
    std::iter::from_fn(|| queue.pop(backlog))
        .map(|next| match next {
            Next::Audio(audio) => -i64::from(audio.rtp_timestamp),
            Next::Video(frame) => i64::from(frame.rtp_timestamp),
        })
        .collect()
}

#[test]
fn nothing_is_taken_before_the_connection_is_open() {
    let mut queue = LegQueue::default();
    assert!(!queue.push_video(&frame(1, true, false)));
    assert!(!queue.push_audio(&audio(1)));
    assert!(!queue.wants_key_frame());
    assert!(drain(&mut queue, Duration::ZERO).is_empty());
}

#[test]
fn what_refers_to_a_picture_that_was_given_up_is_not_sent() {
    let (mut queue, gauge) = (open(), PacerGauge::default());
    queue.push_video(&frame(1, true, false));
    assert!(outbound::next(&mut queue, &gauge).is_some());
    queue.push_video(&frame(2, false, false));
    gauge.note_broken();
    assert!(outbound::next(&mut queue, &gauge).is_none());
    assert!(queue.wants_key_frame());
    queue.push_video(&frame(3, false, false));
    queue.push_video(&frame(4, true, false));
    // That a picture was given up is only seen when something is there to write.
    gauge.note_broken();
    assert!(matches!(outbound::next(&mut queue, &gauge), Some(Next::Video(frame)) if frame.rtp_timestamp == 4));
    assert!(!queue.wants_key_frame() && queue.stats().frames_dropped == 2);
}

#[test]
fn the_picture_begins_with_a_key_frame_and_sound_goes_first() {
    let mut queue = open();
    assert!(queue.wants_key_frame());
    assert!(!queue.push_video(&frame(1, false, false)));
    assert!(queue.push_video(&frame(2, true, false)));
    assert!(queue.push_video(&frame(3, false, false)));
    assert!(queue.push_audio(&audio(9)));
    assert_eq!(drain(&mut queue, Duration::ZERO), [-9, 2, 3]);
    assert!(!queue.wants_key_frame());
}

#[test]
fn discardable_frames_are_dropped_first() {
    let mut queue = open();
    queue.push_video(&frame(1, true, false));
    queue.push_video(&frame(2, false, true));
    queue.push_video(&frame(3, false, false));
    queue.push_video(&frame(4, false, true));
    queue.push_video(&frame(5, false, false));
    queue.push_video(&frame(6, false, false));
    assert_eq!(drain(&mut queue, Duration::ZERO), [1, 3, 5, 6]);
    assert!(!queue.wants_key_frame());
    assert_eq!(queue.stats().frames_dropped, 2);
}

#[test]
fn then_everything_until_the_next_key_frame() {
    let mut queue = open();
    queue.push_video(&frame(1, true, false));
    (2..6).for_each(|number| _ = queue.push_video(&frame(number, false, false)));
    assert!(queue.wants_key_frame());
    assert!(!queue.push_video(&frame(6, false, false)));
    assert!(queue.push_video(&frame(7, true, false)));
    assert_eq!(drain(&mut queue, Duration::ZERO), [7]);
    assert_eq!(queue.stats(), LegStats { frames_sent: 1, frames_dropped: 6, ..LegStats::default() });
}

#[test]
fn a_key_frame_replaces_what_waits_before_it() {
    let mut queue = open();
    queue.push_video(&frame(1, true, false));
    (2..5).for_each(|number| _ = queue.push_video(&frame(number, false, false)));
    queue.push_video(&frame(5, true, false));
    assert_eq!(drain(&mut queue, Duration::ZERO), [5]);
}

#[test]
fn a_key_frame_is_not_dropped_with_what_waited_before_it() {
    let mut queue = open();
    queue.push_video(&frame(1, true, false));
    (2..4).for_each(|number| _ = queue.push_video(&frame(number, false, false)));
    queue.push_video(&frame(4, true, false));
    (5..8).for_each(|number| _ = queue.push_video(&frame(number, false, false)));
    assert!(queue.begins_anew(), "it is the next, so that it waits for nothing that it makes worthless");
    assert_eq!(drain(&mut queue, Duration::ZERO), [4, 5, 6, 7]);
    assert_eq!(queue.stats().frames_dropped, 3);
}

#[test]
fn frames_wait_for_a_busy_pacer_until_they_are_too_many() {
    let mut queue = open();
    let (busy, idle) = (Duration::from_millis(300), Duration::from_millis(10));
    queue.push_video(&frame(1, true, false));
    assert_eq!(drain(&mut queue, idle), [1]);
    (2..5).for_each(|number| _ = queue.push_video(&frame(number, false, number == 3)));
    assert!(drain(&mut queue, busy).is_empty());
    assert_eq!(drain(&mut queue, idle), [2, 3, 4]);
    (5..10).for_each(|number| _ = queue.push_video(&frame(number, false, false)));
    assert!(drain(&mut queue, busy).is_empty());
    assert!(!queue.wants_key_frame(), "a key frame now would make it worse");
    assert!(drain(&mut queue, idle).is_empty());
    assert!(queue.wants_key_frame());
}

#[test]
fn what_the_other_end_asks_for_is_granted_at_once_and_then_at_a_pace() {
    let (mut queue, now) = (open(), Instant::now());
    queue.push_video(&frame(1, true, false));
    assert!(queue.peer_asks(now));
    queue.push_video(&frame(2, true, false));
    assert!(!queue.key_frame_due(now), "it has come");
    let soon = now + Duration::from_millis(300);
    assert!(!queue.peer_asks(soon));
    assert!(!queue.key_frame_due(soon));
    assert!(queue.key_frame_due(now + Duration::from_millis(500)), "it is not forgotten");
}

#[test]
fn what_is_asked_for_while_nobody_is_heard_is_granted_afterwards() {
    let (mut queue, now) = (open(), Instant::now());
    queue.push_video(&frame(1, true, false));
    assert_eq!(drain(&mut queue, Duration::ZERO), [1]);
    queue.push_video(&frame(2, false, false));
    assert!(drain(&mut queue, PacerGauge::FOR_EVER).is_empty());
    assert!(!queue.peer_asks(now), "all would get a key frame, and this one could not leave");
    assert_eq!(drain(&mut queue, Duration::ZERO), [2]);
    assert!(queue.key_frame_due(now));
}

#[test]
fn a_key_frame_that_still_waits_is_the_one_that_was_asked_for() {
    let (mut queue, now) = (open(), Instant::now());
    queue.push_video(&frame(1, true, false));
    assert!(drain(&mut queue, PacerGauge::FOR_EVER).is_empty());
    assert!(!queue.peer_asks(now));
    assert_eq!(drain(&mut queue, Duration::ZERO), [1]);
    assert!(!queue.key_frame_due(now));
}

#[test]
fn a_picture_that_comes_back_without_any_sound_finds_out_that_somebody_is_heard_again() {
    let (mut queue, now) = (open(), Instant::now());
    assert!(drain(&mut queue, PacerGauge::FOR_EVER).is_empty());
    queue.set_picture(Picture::Suspended);
    queue.set_picture(Picture::Full);
    assert!(!queue.key_frame_due(now));
    assert!(queue.push_video(&frame(2, false, false)), "the writer looks at the backlog again");
    assert!(drain(&mut queue, Duration::ZERO).is_empty());
    assert!(queue.key_frame_due(now));
}

#[test]
fn old_sounds_make_room_for_new_ones() {
    let mut queue = open();
    (0..30).for_each(|number| _ = queue.push_audio(&audio(number)));
    let first = drain(&mut queue, Duration::ZERO)[0];
    assert_eq!(first, -5);
    assert_eq!(queue.stats().sounds_dropped, 5);
}

#[test]
fn a_fraction_is_kept_of_a_stream_that_can_be_thinned_out() {
    let mut queue = open();
    queue.set_picture(Picture::Fraction { keep_permille: 750 });
    let mut sent = 0;
    for number in 0..1_000 {
        queue.push_video(&frame(number, number == 0, number % 2 == 1));
        sent += drain(&mut queue, Duration::ZERO).len();
    }
    assert!((740..=760).contains(&sent), "{sent}");
}

#[test]
fn a_fraction_is_one_of_bytes_since_discardable_frames_are_the_small_ones() {
    let mut queue = open();
    queue.set_picture(Picture::Fraction { keep_permille: 800 });
    let (mut sent, mut all) = (0, 0);
    for number in 0..1_000 {
        let mut frame = Arc::unwrap_or_clone(frame(number, number == 0, number % 2 == 1));
        frame.bytes = if frame.discardable { 400 } else { 800 };
        all += frame.bytes;
        if queue.push_video(&Arc::new(frame)) {
            sent += if number % 2 == 1 { 400 } else { 800 };
        }
        drain(&mut queue, Duration::ZERO);
    }
    let share = f64::from(sent) / all as f64;
    assert!((0.78..=0.82).contains(&share), "{share}");
}

#[test]
fn adaptation_thins_out_and_suspends_the_picture() {
    let mut queue = open();
    queue.set_picture(Picture::Fraction { keep_permille: 600 });
    queue.push_video(&frame(1, true, false));
    queue.push_video(&frame(2, false, true));
    queue.push_video(&frame(3, false, false));
    assert_eq!(drain(&mut queue, Duration::ZERO), [1, 3]);
    queue.set_picture(Picture::Suspended);
    assert!(!queue.push_video(&frame(4, true, false)));
    assert!(!queue.wants_key_frame());
    queue.set_picture(Picture::Full);
    assert!(queue.wants_key_frame());
    assert!(!queue.push_video(&frame(5, false, false)));
    assert!(queue.push_video(&frame(6, true, false)));
    assert_eq!(drain(&mut queue, Duration::ZERO), [6]);
    assert_eq!(queue.stats().frames_withheld, 2);
}

/// A sound of 20 ms that is not more than its configuration.
fn sound(number: u32) -> EncodedAudio {
    // SILK, 20 ms, one frame (RFC 6716 table 2).
    EncodedAudio { payload: Bytes::from_static(&[1 << 3, 0]), rtp_timestamp: number * 960, ..audio(0) }
}

/// How many sounds each packet that comes out has.
fn bundles(queue: &mut LegQueue) -> Vec<u128> {
    let sounds = std::iter::from_fn(|| queue.pop(Duration::ZERO)).map(|next| match next {
        Next::Audio(audio) => audio.duration.as_millis() / 20,
        Next::Video(_) => 0,
    });
    sounds.collect()
}

#[test]
fn for_a_narrow_link_three_sounds_make_a_packet() {
    let mut queue = open();
    queue.set_bundles_sound(true);
    let mut sent = Vec::new();
    for number in 0..7 {
        assert!(queue.push_audio(&sound(number)));
        sent.push(bundles(&mut queue));
    }
    assert_eq!(sent, [vec![], vec![], vec![3], vec![], vec![], vec![3], vec![]]);
    assert!(queue.holds_sounds());
    assert_eq!(queue.stats().sounds_sent, 6);
    queue.set_bundles_sound(false);
    assert_eq!(bundles(&mut queue), [1], "on a wide one none waits");
}

#[test]
fn sounds_before_a_pause_do_not_wait_for_those_behind_it() {
    let mut queue = open();
    queue.set_bundles_sound(true);
    for number in [0, 1, 9] {
        queue.push_audio(&sound(number));
    }
    assert_eq!(bundles(&mut queue), [2]);
    assert_eq!(queue.pop_held_sounds().map(|sound| sound.rtp_timestamp), Some(9 * 960));
    assert!(!queue.holds_sounds());
    assert!(queue.pop_held_sounds().is_none());
}

#[test]
fn sounds_that_cannot_be_joined_go_one_by_one() {
    let mut queue = open();
    queue.set_bundles_sound(true);
    for number in 0..3 {
        // Two frames of different sizes announced, and not there.
        queue.push_audio(&EncodedAudio {
            payload: Bytes::from_static(&[1 << 3 | 2, 9]),
            rtp_timestamp: number * 1_920,
            ..audio(0)
        });
    }
    assert_eq!(bundles(&mut queue), [1], "the rest waits for a third");
}
