//! What one direction of a link does to packets, and the words that describe it.
//!
//! A description is a list, separated by commas: `loss=10%,delay=50ms,rate=1Mbps,queue=200ms`. As a [`Change`] it changes what
//! it names and leaves the rest as it was; `clear` leaves nothing.

use std::str::FromStr;
use std::time::Duration;

use serde::Serialize;

/// The queue of a rate limit where nothing else is said: RFC 8867 §4.2 has 300 ms of drop-tail.
pub const QUEUE_DEFAULT: Duration = Duration::from_millis(300);

/// What happens to packets now. `Default` is a perfect link.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Conditions {
    /// Share of packets lost, each by itself, 0 to 1.
    pub loss: f64,
    /// Packets lost one after the other.
    pub bursts: Option<Bursts>,
    /// A link that is good for a while and bad for a while.
    pub gilbert_elliott: Option<GilbertElliott>,
    /// From one end to the other.
    pub delay: Duration,
    /// Each packet's delay is up to so much shorter or longer, every value as likely as the other, never below zero.
    pub jitter: Duration,
    /// Whether jitter lets packets overtake each other; otherwise one that would is held back until the one before it.
    pub reorder: bool,
    /// Share of packets that come twice.
    pub duplicate: f64,
    /// Share of packets in which one bit is turned.
    pub corrupt: f64,
    /// Bits a second, of whole IP packets with their IP and UDP headers. None: no limit.
    pub rate_bps: Option<u64>,
    /// How long a packet may wait for the rate limit; one that would wait longer is dropped as it comes.
    pub queue: Duration,
    /// Nothing passes.
    pub blackout: bool,
}

impl Default for Conditions {
    fn default() -> Self {
        Self {
            loss: 0.0,
            bursts: None,
            gilbert_elliott: None,
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            reorder: false,
            duplicate: 0.0,
            corrupt: 0.0,
            rate_bps: None,
            queue: QUEUE_DEFAULT,
            blackout: false,
        }
    }
}

/// So many packets in a row are lost, as often as makes that share of all.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Bursts {
    /// Packets in one burst.
    pub length: u32,
    /// Of all packets, 0 to 1.
    pub share: f64,
}

impl Bursts {
    /// The chance that a burst begins with a packet outside of one: with q, of n lost for each (1 − q) / q that pass.
    pub(crate) fn start_chance(self) -> f64 {
        let length = f64::from(self.length);
        self.share / (length - (length - 1.0) * self.share)
    }
}

/// The four numbers of the model, each 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct GilbertElliott {
    /// Chance with each packet that a good link turns bad.
    pub to_bad: f64,
    /// Chance with each packet that a bad link turns good.
    pub to_good: f64,
    /// Share lost while bad.
    pub loss_bad: f64,
    /// Share lost while good.
    pub loss_good: f64,
}

/// One thing that a description says.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Setting {
    Clear,
    Loss(f64),
    Bursts(Bursts),
    GilbertElliott(Option<GilbertElliott>),
    Delay(Duration),
    Jitter(Duration),
    Reorder(bool),
    Duplicate(f64),
    Corrupt(f64),
    Rate(Option<u64>),
    Queue(Duration),
    Blackout(bool),
}

/// A description, as a change of what was.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Change {
    settings: Vec<Setting>,
}

impl Change {
    /// Changes what it names.
    pub fn apply(&self, conditions: &mut Conditions) {
        for setting in &self.settings {
            match *setting {
                Setting::Clear => *conditions = Conditions::default(),
                Setting::Loss(share) => (conditions.loss, conditions.bursts) = (share, None),
                Setting::Bursts(bursts) => (conditions.loss, conditions.bursts) = (0.0, Some(bursts)),
                Setting::GilbertElliott(model) => conditions.gilbert_elliott = model,
                Setting::Delay(delay) => conditions.delay = delay,
                Setting::Jitter(jitter) => conditions.jitter = jitter,
                Setting::Reorder(reorder) => conditions.reorder = reorder,
                Setting::Duplicate(share) => conditions.duplicate = share,
                Setting::Corrupt(share) => conditions.corrupt = share,
                Setting::Rate(rate_bps) => conditions.rate_bps = rate_bps,
                Setting::Queue(queue) => conditions.queue = queue,
                Setting::Blackout(blackout) => conditions.blackout = blackout,
            }
        }
    }
}

/// A description that is not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DescriptionError {
    /// A word that is none of ours.
    #[error(
        "“{0}” is no condition of a link: there are loss, ge, delay, jitter, reorder, duplicate, corrupt, rate, queue, \
         blackout and clear"
    )]
    Unknown(String),
    /// A value that does not fit its word.
    #[error("“{value}” does not say how much {word}: write {form}")]
    Value {
        /// What it is for.
        word: &'static str,
        /// As given.
        value: String,
        /// What it looks like.
        form: &'static str,
    },
}

const SHARE_FORM: &str = "a share from 0% to 100%, as in 2.5%";
const TIME_FORM: &str = "a time up to a minute, as in 50ms or 1.5s";
const RATE_FORM: &str = "a rate above zero, as in 300kbps or 1.5Mbps, or none";
const SWITCH_FORM: &str = "on or off, or nothing for on";

impl FromStr for Change {
    type Err = DescriptionError;

    fn from_str(text: &str) -> Result<Self, DescriptionError> {
        let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
        Ok(Self { settings: words.map(setting).collect::<Result<_, _>>()? })
    }
}

fn setting(text: &str) -> Result<Setting, DescriptionError> {
    let (word, value) = text.split_once('=').unwrap_or((text, ""));
    let value = value.trim();
    let wrong = |word, form| DescriptionError::Value { word, value: value.to_owned(), form };
    match word.trim() {
        "clear" if value.is_empty() => Ok(Setting::Clear),
        "loss" => loss(value)
            .ok_or_else(|| wrong("loss", "a share from 0% to 100%, or with the length of bursts, as in 10%x3")),
        "ge" => gilbert_elliott(value).map(Setting::GilbertElliott).ok_or_else(|| {
            wrong("ge", "good-to-bad/bad-to-good[/loss while bad[/loss while good]], as in 1%/25%/100%/0%, or none")
        }),
        "delay" => time(value).map(Setting::Delay).ok_or_else(|| wrong("delay", TIME_FORM)),
        "jitter" => time(value).map(Setting::Jitter).ok_or_else(|| wrong("jitter", TIME_FORM)),
        "reorder" => switch(value).map(Setting::Reorder).ok_or_else(|| wrong("reorder", SWITCH_FORM)),
        "duplicate" => share(value).map(Setting::Duplicate).ok_or_else(|| wrong("duplicate", SHARE_FORM)),
        "corrupt" => share(value).map(Setting::Corrupt).ok_or_else(|| wrong("corrupt", SHARE_FORM)),
        "rate" => rate(value).map(Setting::Rate).ok_or_else(|| wrong("rate", RATE_FORM)),
        "queue" => time(value).map(Setting::Queue).ok_or_else(|| wrong("queue", TIME_FORM)),
        "blackout" => switch(value).map(Setting::Blackout).ok_or_else(|| wrong("blackout", SWITCH_FORM)),
        _ => Err(DescriptionError::Unknown(text.to_owned())),
    }
}

fn loss(text: &str) -> Option<Setting> {
    let Some((of_all, length)) = text.split_once('x') else { return share(text).map(Setting::Loss) };
    let length = length.parse().ok().filter(|length| (1..=1_000).contains(length))?;
    Some(Setting::Bursts(Bursts { length, share: share(of_all)? }))
}

fn gilbert_elliott(text: &str) -> Option<Option<GilbertElliott>> {
    if text == "none" {
        return Some(None);
    }
    let shares = text.split('/').map(share).collect::<Option<Vec<_>>>()?;
    let (&to_bad, &to_good) = (shares.first()?, shares.get(1)?);
    let loss_bad = shares.get(2).copied().unwrap_or(1.0);
    let loss_good = shares.get(3).copied().unwrap_or(0.0);
    (shares.len() <= 4).then_some(Some(GilbertElliott { to_bad, to_good, loss_bad, loss_good }))
}

fn switch(text: &str) -> Option<bool> {
    match text {
        "" | "on" => Some(true),
        "off" => Some(false),
        _ => None,
    }
}

/// `2.5%`, or `0.025`.
fn share(text: &str) -> Option<f64> {
    let share = match text.strip_suffix('%') {
        Some(percent) => percent.trim().parse::<f64>().ok()? / 100.0,
        None => text.parse::<f64>().ok()?,
    };
    (0.0..=1.0).contains(&share).then_some(share)
}

/// A time up to a minute: `50ms`, `1.5s`.
pub fn time(text: &str) -> Option<Duration> {
    let (number, per_second) = match text.strip_suffix("ms") {
        Some(number) => (number, 1_000.0),
        None => (text.strip_suffix('s')?, 1.0),
    };
    let seconds = number.trim().parse::<f64>().ok()? / per_second;
    (0.0..=60.0).contains(&seconds).then(|| Duration::from_secs_f64(seconds))
}

/// `300kbps`, `1.5Mbps`, `64000bps`, `none`.
fn rate(text: &str) -> Option<Option<u64>> {
    if text == "none" {
        return Some(None);
    }
    let units = [("kbps", 1e3), ("Mbps", 1e6), ("Gbps", 1e9), ("bps", 1.0)];
    let (number, unit) = units.iter().find_map(|(name, unit)| Some((text.strip_suffix(name)?, unit)))?;
    let bps = number.trim().parse::<f64>().ok()? * unit;
    // Clamped before, so the cast keeps its value.
    (1.0..=1e12).contains(&bps).then_some(Some(bps.round() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(text: &str) -> Conditions {
        let mut conditions = Conditions::default();
        text.parse::<Change>().unwrap().apply(&mut conditions);
        conditions
    }

    #[test]
    fn a_description_says_all_there_is() {
        let all = "loss=2.5%, ge=1%/25%/90%/0.1%, delay=50ms, jitter=20ms, reorder, duplicate=1%, corrupt=0.1%, rate=1.5Mbps, queue=0.2s, blackout";
        let wanted = Conditions {
            loss: 0.025,
            bursts: None,
            gilbert_elliott: Some(GilbertElliott { to_bad: 0.01, to_good: 0.25, loss_bad: 0.9, loss_good: 0.001 }),
            delay: Duration::from_millis(50),
            jitter: Duration::from_millis(20),
            reorder: true,
            duplicate: 0.01,
            corrupt: 0.001,
            rate_bps: Some(1_500_000),
            queue: Duration::from_millis(200),
            blackout: true,
        };
        assert_eq!(changed(all), wanted);
    }

    #[test]
    fn a_change_leaves_what_it_does_not_name() {
        let mut conditions = changed("loss=10%,delay=50ms,rate=600kbps");
        "loss=0%,rate=none".parse::<Change>().unwrap().apply(&mut conditions);
        assert_eq!(conditions, changed("delay=50ms"));
        "clear".parse::<Change>().unwrap().apply(&mut conditions);
        assert_eq!(conditions, Conditions::default());
    }

    #[test]
    fn bursts_take_the_place_of_random_loss_and_the_other_way_round() {
        assert_eq!(changed("loss=5%,loss=30%x3").bursts, Some(Bursts { length: 3, share: 0.3 }));
        assert_eq!(changed("loss=5%,loss=30%x3").loss, 0.0);
        assert_eq!(changed("loss=30%x3,loss=5%").bursts, None);
    }

    #[test]
    fn what_is_not_understood_is_refused_in_words() {
        for text in [
            "los=1%",
            "loss=101%",
            "loss=-1%",
            "loss=",
            "loss=10%x0",
            "delay=50",
            "delay=61s",
            "rate=0bps",
            "rate=fast",
            "queue=x",
            "reorder=maybe",
            "ge=1%",
            "ge=1%/2%/3%/4%/5%",
            "clear=1",
            "jitter=NaNms",
            "loss=NaN",
        ] {
            assert!(text.parse::<Change>().is_err(), "{text}");
        }
        let words = "delay=50".parse::<Change>().unwrap_err().to_string();
        assert!(words.contains("50ms"), "{words}");
    }
}
