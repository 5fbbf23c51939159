//! How much each connection gets: the encoder's rate, and who gets fewer frames, or sound only.
//!
//! One pure function, [`evaluate`]. The picture is encoded once for everyone, so the encoder follows the connection that
//! carries least, but not below a floor under which nobody would want to look at it. A connection that carries
//! less than the floor gets a fraction of the frames, and if even that is too much, no picture: its sound goes on, and
//! nobody else is held up. Where nobody carries enough, the picture is a smaller one with a lower floor ([`size`](Size)).
//!
//! ```text
//!              budget < floor for 1 s              budget < ½ floor for 4 s
//!        All ─────────────────────────► Fraction ──────────────────────────► SoundOnly
//!        All ◄───────────────────────── Fraction ◄────────────────────────── SoundOnly
//!              budget ≥ 1.1 floor for 2 s          budget ≥ 0.8 floor for 5 s
//! ```
//!
//! Where not even a quarter of the smallest picture's floor is left, it stops after one second instead of four.
//! While below half a floor, only a budget of 0.6 floors ends the wait: the estimate of a full link goes up and down.
//! Going down is quicker than coming back, so that a path at the edge does not blink. What a path carries is only found out by
//! sending: a picture that had to stop again soon after it came back waits twice as long the next time.

mod size;
mod sound;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::ConnectionId;

pub use size::{Room, Size, SizeConfig};
pub use sound::{Sound, SoundConfig};

/// A budget below this part of the smallest picture's floor is no cut that drains a queue: those leave more than half of a link.
const HOPELESS_PART: u32 = 4;
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
    /// When the picture is smaller.
    pub size: SizeConfig,
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
            size: SizeConfig::default(),
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
    /// How large the picture should be.
    pub size: Size,
    /// What the sound's encoder should make.
    pub sound_bps: u32,
    /// What each connection gets.
    pub legs: BTreeMap<ConnectionId, Leg>,
}

/// What one connection gets; to be handed back with the next signals.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
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
    /// For which picture there is room.
    pub room: Room,
}

/// Which frames a connection gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Share {
    /// All of them.
    #[default]
    All,
    /// Only so many: discardable frames go first; where there are none, frames up to the next key frame.
    Fraction {
        /// Of a thousand.
        keep_permille: u16,
    },
    /// No picture; the peer is told, and the tile says so.
    SoundOnly,
}

/// What holds for all connections.
struct Terms<'a> {
    config: &'a AdaptationConfig,
    now: Instant,
    /// What goes off each estimate.
    sound_bps: u32,
    size: Size,
}

/// Decides from what is known now; the same signals give the same decision.
pub fn evaluate(signals: &Signals, config: &AdaptationConfig, now: Instant) -> Decision {
    let mut legs: BTreeMap<ConnectionId, (LegSignals, Leg)> = BTreeMap::new();
    for (&connection, &leg) in &signals.legs {
        let mut next = leg.previous.unwrap_or_default();
        if let Some(target) = leg.target_bitrate_bps {
            next.sound = next.sound.next(target, &config.sound, now);
        }
        legs.insert(connection, (leg, next));
    }
    let is_full = legs.values().all(|(_, leg)| leg.sound == Sound::Full);
    let sound_bps = if is_full { config.sound.full_bps } else { config.sound.less_bps };
    let mut terms = Terms { config, now, sound_bps: config.sound_bps, size: Size::Usual };
    for (signals, leg) in legs.values_mut() {
        if let Some(budget) = terms.budget_bps(signals) {
            leg.room = leg.room.next(budget, &config.size, now);
        }
    }
    if !legs.is_empty() && legs.values().all(|(_, leg)| leg.room.is_small()) {
        terms.size = Size::Small;
        // Where every kilobit counts, what the sound does not take is the picture's.
        terms.sound_bps = config.sound_bps.saturating_sub(config.sound.full_bps.saturating_sub(sound_bps));
    }
    for (signals, leg) in legs.values_mut() {
        *leg = evaluate_leg(terms.budget_bps(signals), *leg, &terms);
    }
    let encoder_target_bps = terms.encoder_target_bps(legs.values());
    let legs = legs.into_iter().map(|(connection, (_, leg))| (connection, leg)).collect();
    Decision { encoder_target_bps, size: terms.size, sound_bps, legs }
}

impl Terms<'_> {
    /// What is left for the picture.
    fn budget_bps(&self, leg: &LegSignals) -> Option<u32> {
        leg.target_bitrate_bps.map(|target| target.saturating_sub(self.sound_bps))
    }

    /// The least the encoder is asked for.
    fn floor_bps(&self) -> u32 {
        match self.size {
            Size::Usual => self.config.floor_bps,
            Size::Small => self.config.size.floor_bps,
        }
    }

    fn encoder_target_bps<'a>(&self, legs: impl Iterator<Item = &'a (LegSignals, Leg)>) -> u32 {
        let served = legs.filter(|(_, leg)| has_picture_soon(leg, self.config, self.now));
        let lowest = served.filter_map(|(signals, leg)| Some(self.begins_low(leg, self.budget_bps(signals)?))).min();
        let (floor, ceiling) = (self.floor_bps(), self.config.ceiling_bps);
        lowest.unwrap_or(self.config.start_bps).clamp(floor, ceiling.max(floor))
    }

    /// A small picture that comes back begins with the least: nobody knows whether there is room for more until it was sent.
    fn begins_low(&self, leg: &Leg, budget_bps: u32) -> u32 {
        let is_new = |since: Instant| self.now.saturating_duration_since(since) < self.config.all_after;
        let is_beginning = leg.share == Share::SoundOnly || leg.picture_since.is_some_and(is_new);
        if self.size == Size::Small && is_beginning { self.floor_bps() } else { budget_bps }
    }
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

fn evaluate_leg(budget_bps: Option<u32>, previous: Leg, terms: &Terms<'_>) -> Leg {
    let Terms { config, now, .. } = *terms;
    let Some(budget) = budget_bps else {
        return Leg { short_since: None, ample_since: None, ..previous };
    };
    let floor = u64::from(terms.floor_bps().max(1));
    let permille = u16::try_from(u64::from(budget) * 1000 / floor).unwrap_or(u16::MAX);
    // Where others have room again and this one has not, the picture that was small becomes too much at once.
    let is_too_large = previous.room.is_small() && terms.size == Size::Usual && permille < 1000;
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
    // A small picture that finds no room when it comes back takes the sound's.
    let is_trial =
        terms.size == Size::Small && previous.picture_since.is_some_and(|at| now - at < config.picture_after);
    // Nobody would see anything: to wait longer would only cost sound.
    let is_hopeless = budget < config.size.floor_bps / HOPELESS_PART;
    let sound_only_after = if is_trial || is_hopeless { config.fraction_after } else { config.sound_only_after };
    let fraction = Share::Fraction { keep_permille: permille.min(1000) };
    let next = match previous.share {
        Share::All if is_too_large || lasted(short_since, config.fraction_after) => Some(fraction),
        Share::Fraction { .. } if lasted(short_since, sound_only_after) => Some(Share::SoundOnly),
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
mod tests;
