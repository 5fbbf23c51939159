//! How much each connection gets: the encoder's rate, and who gets fewer frames, or sound only.
//!
//! One pure function, [`evaluate`]. The picture is encoded once for everyone, so the encoder follows the connection that
//! carries least, but not below a floor under which nobody would want to look at it. A connection that carries
//! less than the floor gets a fraction of the frames, and if even that is too much, no picture: its sound goes on, and
//! nobody else is held up.
//!
//! ```text
//!              budget < floor for 1 s              budget < ½ floor for 4 s
//!        All ─────────────────────────► Fraction ──────────────────────────► SoundOnly
//!        All ◄───────────────────────── Fraction ◄────────────────────────── SoundOnly
//!              budget ≥ 1.1 floor for 2 s          budget ≥ 0.8 floor for 5 s
//! ```
//!
//! While below half a floor, only a budget of 0.6 floors ends the wait: the estimate of a full link goes up and down.
//! Going down is quicker than coming back, so that a path at the edge does not blink. What a path carries is only found out by
//! sending: a picture that had to stop again soon after it came back waits twice as long the next time.

mod sound;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::ConnectionId;

pub use sound::{Sound, SoundConfig};

/// Relapses that still double the wait.
const RELAPSES_MAX: u32 = 4;

/// The thresholds.
#[derive(Clone, Debug, PartialEq)]
pub struct AdaptationConfig {
    /// The least the encoder is asked for. 150 kbps: 640x360 at 30 frames is a blur below it.
    pub floor_bps: u32,
    /// The most the encoder is asked for. 1.5 Mbps: more is not seen at 640x360.
    pub ceiling_bps: u32,
    /// What is asked for while no connection has an estimate yet.
    pub start_bps: u32,
    /// Taken off each estimate for sound: 32 kbps of Opus, and RTP headers at 50 packets a second (measured: 10 kbps). The
    /// estimate does not count what is below RTP either.
    pub sound_bps: u32,
    /// How long a connection is below the floor before it gets fewer frames. 1 s: an estimate dips for less after a loss.
    pub fraction_after: Duration,
    /// How long above 1.1 floors before it gets all frames again.
    pub all_after: Duration,
    /// How long below half a floor before the picture stops. 4 s: a cut that drains a queue lasts a second, and where a link was just met
    /// there are two or three in a row.
    pub sound_only_after: Duration,
    /// How long above 0.8 floors before the picture starts again: it costs a key frame. Doubled with each relapse, up to
    /// sixteen times.
    pub picture_after: Duration,
    /// So long before a picture comes back the encoder slows down for it: a key frame of a faster stream would fill a slow
    /// connection for seconds.
    pub encoder_lead: Duration,
    /// A picture that stops within this time after it came back is a relapse.
    pub relapse_within: Duration,
    /// How much the sound may take.
    pub sound: SoundConfig,
}

impl Default for AdaptationConfig {
    fn default() -> Self {
        Self {
            floor_bps: 150_000,
            ceiling_bps: 1_500_000,
            start_bps: 600_000,
            sound_bps: 42_000,
            fraction_after: Duration::from_secs(1),
            all_after: Duration::from_secs(2),
            sound_only_after: Duration::from_secs(4),
            picture_after: Duration::from_secs(5),
            encoder_lead: Duration::from_secs(1),
            relapse_within: Duration::from_secs(60),
            sound: SoundConfig::default(),
        }
    }
}

/// What is known of all connections that media can flow on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Signals {
    /// One for each connected connection.
    pub legs: BTreeMap<ConnectionId, LegSignals>,
}

/// What is known of one connection.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LegSignals {
    /// The congestion controller's target for everything sent; none before its first.
    pub target_bitrate_bps: Option<u32>,
    /// What the last [`Decision`] said of it; none for a new connection.
    pub previous: Option<Leg>,
}

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// What the encoder should make.
    pub encoder_target_bps: u32,
    /// What the sound's encoder should make.
    pub sound_bps: u32,
    /// What each connection gets.
    pub legs: BTreeMap<ConnectionId, Leg>,
}

/// What one connection gets; to be handed back with the next signals.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Leg {
    /// Which frames.
    pub share: Share,
    /// Since when the budget asks for less than `share`.
    pub short_since: Option<Instant>,
    /// Since when the budget allows more than `share`.
    pub ample_since: Option<Instant>,
    /// When the picture last came back.
    pub picture_since: Option<Instant>,
    /// How often in a row it stopped again soon after.
    pub relapses: u32,
    /// Whether there is room for the sound at its usual rate.
    pub sound: Sound,
}

/// Which frames a connection gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// All of them.
    All,
    /// Only so many: discardable frames go first; where there are none, frames up to the next key frame.
    Fraction {
        /// Of a thousand.
        keep_permille: u16,
    },
    /// No picture; the peer is told, and the tile says so.
    SoundOnly,
}

/// Decides from what is known now; the same signals give the same decision.
pub fn evaluate(signals: &Signals, config: &AdaptationConfig, now: Instant) -> Decision {
    let legs: BTreeMap<ConnectionId, Leg> =
        signals.legs.iter().map(|(&connection, leg)| (connection, evaluate_leg(leg, config, now))).collect();
    let lowest = signals
        .legs
        .iter()
        .filter(|(connection, _)| legs.get(connection).is_some_and(|leg| has_picture_soon(leg, config, now)))
        .filter_map(|(_, leg)| budget_bps(leg, config))
        .min();
    let encoder_target_bps =
        lowest.unwrap_or(config.start_bps).clamp(config.floor_bps, config.ceiling_bps.max(config.floor_bps));
    let is_full = legs.values().all(|leg| leg.sound == Sound::Full);
    let sound_bps = if is_full { config.sound.full_bps } else { config.sound.less_bps };
    Decision { encoder_target_bps, sound_bps, legs }
}

/// Whether the encoder has to mind this connection.
fn has_picture_soon(leg: &Leg, config: &AdaptationConfig, now: Instant) -> bool {
    let begins =
        |since: Instant| now.saturating_duration_since(since) + config.encoder_lead >= picture_after(leg, config);
    leg.share != Share::SoundOnly || leg.ample_since.is_some_and(begins)
}

fn picture_after(leg: &Leg, config: &AdaptationConfig) -> Duration {
    config.picture_after * 2_u32.pow(leg.relapses.min(RELAPSES_MAX))
}

/// What is left for the picture.
fn budget_bps(leg: &LegSignals, config: &AdaptationConfig) -> Option<u32> {
    leg.target_bitrate_bps.map(|target| target.saturating_sub(config.sound_bps))
}

fn evaluate_leg(signals: &LegSignals, config: &AdaptationConfig, now: Instant) -> Leg {
    let unknown = Leg {
        share: Share::All,
        short_since: None,
        ample_since: None,
        picture_since: None,
        relapses: 0,
        sound: Sound::Full,
    };
    let mut previous = signals.previous.unwrap_or(unknown);
    let (Some(budget), Some(target)) = (budget_bps(signals, config), signals.target_bitrate_bps) else {
        return Leg { short_since: None, ample_since: None, ..previous };
    };
    previous.sound = previous.sound.next(target, &config.sound, now);
    let permille = u16::try_from(u64::from(budget) * 1000 / u64::from(config.floor_bps.max(1))).unwrap_or(u16::MAX);
    let (short, ample) = match previous.share {
        Share::All => (permille < 1000, false),
        Share::Fraction { .. } => {
            let limit = if previous.short_since.is_some() { 600 } else { 500 };
            (permille < limit, permille >= 1100)
        }
        Share::SoundOnly => (false, permille >= 800),
    };
    let short_since = short.then(|| previous.short_since.unwrap_or(now));
    let ample_since = ample.then(|| previous.ample_since.unwrap_or(now));
    let lasted = |since: Option<Instant>, wait: Duration| {
        since.is_some_and(|since| now.saturating_duration_since(since) >= wait)
    };
    let picture_after = picture_after(&previous, config);
    let fraction = Share::Fraction { keep_permille: permille.min(1000) };
    let next = match previous.share {
        Share::All if lasted(short_since, config.fraction_after) => Some(fraction),
        Share::Fraction { .. } if lasted(short_since, config.sound_only_after) => Some(Share::SoundOnly),
        Share::Fraction { .. } if lasted(ample_since, config.all_after) => Some(Share::All),
        Share::SoundOnly if lasted(ample_since, picture_after) => Some(fraction),
        Share::All | Share::Fraction { .. } | Share::SoundOnly => None,
    };
    let stays = Leg { short_since, ample_since, ..previous };
    match (next, previous.share) {
        (Some(Share::SoundOnly), _) => {
            let is_relapse = previous
                .picture_since
                .is_some_and(|since| now.saturating_duration_since(since) < config.relapse_within);
            let relapses = if is_relapse { previous.relapses.saturating_add(1) } else { 0 };
            Leg { share: Share::SoundOnly, short_since: None, ample_since: None, relapses, ..previous }
        }
        (Some(share), Share::SoundOnly) => {
            Leg { share, short_since: None, ample_since: None, picture_since: Some(now), ..previous }
        }
        (Some(share), Share::All | Share::Fraction { .. }) => {
            Leg { share, short_since: None, ample_since: None, ..previous }
        }
        (None, Share::Fraction { .. }) => Leg { share: fraction, ..stays },
        (None, Share::All | Share::SoundOnly) => stays,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sound_of_all_takes_less_while_one_carries_next_to_nothing() {
        let mut call = Call::new();
        call.run([Some(100_000), Some(900_000)], 2_000);
        assert_eq!(call.decision.sound_bps, 32_000);
        call.run([Some(50_000), Some(900_000)], 100);
        assert_eq!(call.decision.sound_bps, 12_000);
        call.run([Some(120_000), Some(900_000)], 10_100);
        assert_eq!(call.decision.sound_bps, 32_000);
    }

    const A: ConnectionId = ConnectionId(1);
    const B: ConnectionId = ConnectionId(2);

    /// Both connections, asked each 100 ms, with the decisions fed back.
    struct Call {
        now: Instant,
        decision: Decision,
    }

    impl Call {
        #[allow(clippy::disallowed_methods)]
        fn new() -> Self {
            let decision = Decision { encoder_target_bps: 0, sound_bps: 0, legs: BTreeMap::new() };
            Self { now: Instant::now(), decision }
        }

        fn run(&mut self, targets: [Option<u32>; 2], millis: u64) -> Vec<Share> {
            let mut seen = Vec::new();
            for _ in 0..millis / 100 {
                self.now += Duration::from_millis(100);
                let legs = [A, B].into_iter().zip(targets).map(|(connection, target_bitrate_bps)| {
                    let previous = self.decision.legs.get(&connection).copied();
                    (connection, LegSignals { target_bitrate_bps, previous })
                });
                let signals = Signals { legs: legs.collect() };
                self.decision = evaluate(&signals, &AdaptationConfig::default(), self.now);
                seen.push(self.decision.legs[&A].share);
            }
            seen
        }
    }

    fn with_sound(video_bps: u32) -> Option<u32> {
        Some(video_bps + AdaptationConfig::default().sound_bps)
    }

    #[test]
    fn the_encoder_follows_the_lowest_target_between_floor_and_ceiling() {
        let mut call = Call::new();
        for (targets, wanted) in [
            ([None, None], 600_000),
            ([with_sound(900_000), None], 900_000),
            ([with_sound(900_000), with_sound(400_000)], 400_000),
            ([with_sound(900_000), Some(10_000)], 150_000),
            ([with_sound(9_000_000), with_sound(u32::MAX - 100_000)], 1_500_000),
        ] {
            call.run(targets, 100);
            assert_eq!(call.decision.encoder_target_bps, wanted, "{targets:?}");
        }
    }

    #[test]
    fn who_is_below_the_floor_gets_fewer_frames_and_the_others_all() {
        let mut call = Call::new();
        call.run([with_sound(90_000), with_sound(900_000)], 1_200);
        assert_eq!(call.decision.legs[&A].share, Share::Fraction { keep_permille: 600 });
        assert_eq!(call.decision.legs[&B].share, Share::All);
        assert_eq!(call.decision.encoder_target_bps, 150_000);
    }

    #[test]
    fn a_short_dip_changes_nothing() {
        let mut call = Call::new();
        call.run([with_sound(20_000), None], 900);
        assert_eq!(call.run([with_sound(300_000), None], 2_000), vec![Share::All; 20]);
    }

    #[test]
    fn sound_only_frees_the_encoder_and_the_picture_returns_after_five_good_seconds() {
        let mut call = Call::new();
        call.run([with_sound(20_000), with_sound(900_000)], 5_500);
        assert_eq!(call.decision.legs[&A].share, Share::SoundOnly);
        assert_eq!(call.decision.encoder_target_bps, 900_000);
        let seen = call.run([with_sound(130_000), with_sound(900_000)], 4_900);
        assert!(seen.iter().all(|&share| share == Share::SoundOnly));
        call.run([with_sound(130_000), with_sound(900_000)], 300);
        assert_eq!(call.decision.legs[&A].share, Share::Fraction { keep_permille: 866 });
        call.run([with_sound(170_000), with_sound(900_000)], 2_300);
        assert_eq!(call.decision.legs[&A].share, Share::All);
    }

    #[test]
    fn the_encoder_slows_down_a_second_before_a_picture_returns() {
        let mut call = Call::new();
        call.run([with_sound(20_000), with_sound(900_000)], 5_500);
        call.run([with_sound(130_000), with_sound(900_000)], 3_900);
        assert_eq!(call.decision.encoder_target_bps, 900_000);
        call.run([with_sound(130_000), with_sound(900_000)], 300);
        assert_eq!(call.decision.encoder_target_bps, 150_000);
        assert_eq!(call.decision.legs[&A].share, Share::SoundOnly);
    }

    #[test]
    fn an_estimate_that_swings_about_half_a_floor_ends_in_sound_only() {
        let mut call = Call::new();
        call.run([with_sound(90_000), None], 1_200);
        for video_bps in [60_000, 85_000, 70_000, 80_000, 65_000].repeat(2) {
            call.run([with_sound(video_bps), None], 500);
        }
        assert_eq!(call.decision.legs[&A].share, Share::SoundOnly);
        let mut call = Call::new();
        call.run([with_sound(90_000), None], 1_200);
        for video_bps in [60_000, 110_000, 70_000, 120_000, 65_000].repeat(2) {
            call.run([with_sound(video_bps), None], 500);
        }
        assert!(matches!(call.decision.legs[&A].share, Share::Fraction { .. }));
    }

    #[test]
    fn a_picture_that_stops_again_soon_waits_twice_as_long_each_time() {
        let mut call = Call::new();
        call.run([with_sound(20_000), None], 5_500);
        for wait_ms in [5_000, 10_000, 20_000, 40_000, 80_000, 80_000] {
            let seen = call.run([with_sound(300_000), None], wait_ms);
            assert!(seen.iter().all(|&share| share == Share::SoundOnly), "{wait_ms}");
            assert!(call.run([with_sound(300_000), None], 100)[0] != Share::SoundOnly, "{wait_ms}");
            call.run([with_sound(20_000), None], 5_500);
        }
        // A minute of picture forgives.
        call.run([with_sound(300_000), None], 160_000);
        call.run([with_sound(20_000), None], 5_500);
        let seen = call.run([with_sound(300_000), None], 5_500);
        assert!(seen.last().is_some_and(|&share| share != Share::SoundOnly));
    }

    #[test]
    fn a_path_at_the_edge_does_not_blink() {
        let mut call = Call::new();
        call.run([with_sound(120_000), None], 2_000);
        let mut changes = 0;
        for _ in 0..20 {
            let seen =
                [call.run([with_sound(155_000), None], 500), call.run([with_sound(140_000), None], 500)].concat();
            changes += seen.iter().filter(|&&share| share == Share::All || share == Share::SoundOnly).count();
        }
        assert_eq!(changes, 0);
    }
}
