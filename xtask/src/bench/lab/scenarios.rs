//! What is measured: one table.
//!
//! A line is a network and what goes through it; a run is a line, a contender and a seed. `Network` rules are those of
//! `parlor-lab-net --help`, on each peer's way up, so that RTT 100 ms is `up delay=50ms`.

use crate::bench::limit::Limit::{self, AtLeast, AtMost};

/// Who calls whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Contender {
    Native,
    Mixed,
    Chromium,
}

impl Contender {
    /// In turn: A B C, A B C.
    pub(super) const ALL: [Self; 3] = [Self::Native, Self::Mixed, Self::Chromium];
    /// Who is measured in a hurry, where all are otherwise.
    pub(super) const QUICK: [Self; 2] = [Self::Native, Self::Chromium];

    fn of_two(self) -> &'static str {
        match self {
            Self::Native => "native-native",
            Self::Mixed => "native-chromium",
            Self::Chromium => "chromium-chromium",
        }
    }

    fn of_many(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Mixed => "mixed",
            Self::Chromium => "chromium",
        }
    }
}

/// How a run of a group is started: with its description as the one argument.
#[derive(Clone, Copy, Debug)]
pub(super) enum Program {
    /// A script for node.
    Script(&'static str),
    /// One of the programs that cargo builds.
    Built(&'static str),
}

/// Scenarios that are read together.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) program: Program,
    /// What runs of this group call a contender.
    pub(super) word: fn(Contender) -> &'static str,
    /// What a run takes beside what it measures.
    pub(super) overhead_seconds: u32,
    /// The figures that are shown, by their names in `metrics.rs`.
    pub(super) metrics: &'static [&'static str],
    pub(super) scenarios: &'static [Scenario],
}

/// One line.
#[derive(Debug)]
pub(super) struct Scenario {
    pub(super) name: &'static str,
    /// From before the measurement.
    pub(super) rules: &'static [&'static str],
    /// From a second of the measurement on.
    pub(super) steps: &'static [(u32, &'static str)],
    pub(super) seconds: u32,
    /// Seconds with `--quick`; 0 leaves it out. Steps move along: a scenario whose steps say how long keeps its own seconds.
    pub(super) quick_seconds: u32,
    pub(super) contenders: &'static [Contender],
    /// One way, without anything of ours: what the goals for delay are above.
    pub(super) path_ms: f64,
    /// Where it stands on a chart: percent lost, or peers.
    pub(super) place: Option<f64>,
    /// More that the run is told: members of a JSON object.
    pub(super) more: &'static str,
    pub(super) goals: &'static [Goal],
}

/// What a figure has to be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Goal {
    pub(super) metric: &'static str,
    pub(super) of: Of,
    pub(super) limit: Limit,
}

/// What of it is held against the limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Of {
    /// Native-native ÷ chromium-chromium.
    Ratio,
    /// The same, both less the delay of the path.
    RatioAbovePath,
    /// Native-native alone.
    Alone,
    /// Native-native ÷ native-native in another scenario of the group.
    RatioTo(&'static str),
}

const fn goal(metric: &'static str, of: Of, limit: Limit) -> Goal {
    Goal { metric, of, limit }
}

impl Scenario {
    const fn new(name: &'static str, seconds: u32) -> Self {
        Self {
            name,
            rules: &[],
            steps: &[],
            seconds,
            quick_seconds: 0,
            contenders: &Contender::ALL,
            path_ms: 0.0,
            place: None,
            more: "",
            goals: &[],
        }
    }

    const fn rules(self, rules: &'static [&'static str]) -> Self {
        Self { rules, ..self }
    }

    const fn steps(self, steps: &'static [(u32, &'static str)]) -> Self {
        Self { steps, ..self }
    }

    const fn quick(self, quick_seconds: u32) -> Self {
        Self { quick_seconds, ..self }
    }

    const fn by(self, contenders: &'static [Contender]) -> Self {
        Self { contenders, ..self }
    }

    const fn path_ms(self, path_ms: f64) -> Self {
        Self { path_ms, ..self }
    }

    const fn place(self, place: f64) -> Self {
        Self { place: Some(place), ..self }
    }

    const fn more(self, more: &'static str) -> Self {
        Self { more, ..self }
    }

    const fn goals(self, goals: &'static [Goal]) -> Self {
        Self { goals, ..self }
    }
}

const CALL: Program = Program::Script("tests/lab/call/run.mjs");
const MESH: Program = Program::Script("tests/lab/call/mesh.mjs");
const NATIVE_ONLY: &[Contender] = &[Contender::Native];

/// All of it, in the order in which it is run.
pub(super) const GROUPS: [Group; 8] = [
    Group {
        name: "set-up",
        about: "click to first frame and first sound",
        program: CALL,
        word: Contender::of_two,
        overhead_seconds: 10,
        metrics: &["first_frame_ms", "first_sound_ms", "round_trips"],
        scenarios: &SET_UP,
    },
    Group {
        name: "delay",
        about: "glass to glass, mouth to ear and lip sync over long and uneven paths",
        program: CALL,
        word: Contender::of_two,
        overhead_seconds: 13,
        metrics: &[
            "video_delay_p50_ms",
            "video_delay_p95_ms",
            "mouth_to_ear_p50_ms",
            "mouth_to_ear_p95_ms",
            "lips_apart_ms",
        ],
        scenarios: &DELAY,
    },
    Group {
        name: "loss",
        about: "pictures and sound while packets are lost",
        program: CALL,
        word: Contender::of_two,
        overhead_seconds: 13,
        metrics: &[
            "frames_per_second",
            "frozen_share",
            "freezes",
            "video_delay_p50_ms",
            "video_delay_p95_ms",
            "concealed_share",
            "pesq_mos",
            "ssim",
        ],
        scenarios: &LOSS,
    },
    Group {
        name: "capacity",
        about: "narrow links, and links that change",
        program: CALL,
        word: Contender::of_two,
        overhead_seconds: 13,
        metrics: &[
            "frames_per_second",
            "frozen_share",
            "utilisation_2s_share",
            "utilisation_10s_share",
            "video_delay_peak_ms",
            "video_delay_standing_ms",
            "video_pause_s",
            "concealed_share",
        ],
        scenarios: &CAPACITY,
    },
    Group {
        name: "outage",
        about: "time without a picture when the network goes away or changes",
        program: CALL,
        word: Contender::of_two,
        overhead_seconds: 13,
        metrics: &["without_picture_ms"],
        scenarios: &OUTAGE,
    },
    Group {
        name: "mesh",
        about: "rooms of two to sixteen: encodes, processor, memory",
        program: MESH,
        word: Contender::of_many,
        overhead_seconds: 30,
        metrics: &["encodes_per_frame", "sender_cpu_cores", "process_cpu_cores", "shown_share", "memory_mb"],
        scenarios: &MESHES,
    },
    Group {
        name: "cost",
        about: "the process beside its raw codecs, its packets beside raw sockets",
        program: Program::Built("parlor-lab-cost"),
        word: Contender::of_many,
        overhead_seconds: 30,
        metrics: &["cpu_over_codecs", "frame_copies", "rtp_over_raw"],
        scenarios: &COST,
    },
    Group {
        name: "window",
        about: "repaints and processor of the window: idle, and with tiles",
        program: Program::Built("parlor-lab-window"),
        word: Contender::of_many,
        overhead_seconds: 8,
        metrics: &["repaints_per_second", "cpu_cores", "frame_over_floor", "frame_p99_ms"],
        scenarios: &WINDOW,
    },
];

const SET_UP: [Scenario; 4] = [
    Scenario::new("RTT 0", 5),
    Scenario::new("RTT 100 ms", 5).rules(&["up delay=50ms"]).quick(5).goals(&[goal(
        "first_frame_ms",
        Of::Ratio,
        AtMost(0.4),
    )]),
    Scenario::new("RTT 300 ms", 5).rules(&["up delay=150ms"]),
    Scenario::new("10 % loss", 5).rules(&["up loss=10%"]),
];

const DELAY_GOALS: &[Goal] = &[
    goal("video_delay_p50_ms", Of::RatioAbovePath, AtMost(0.33)),
    goal("video_delay_p95_ms", Of::RatioAbovePath, AtMost(0.5)),
    goal("mouth_to_ear_p50_ms", Of::Ratio, AtMost(0.55)),
];
const DELAY: [Scenario; 6] = [
    Scenario::new("360p, no delay", 20).quick(4).goals(DELAY_GOALS),
    Scenario::new("360p, 50 ms one way", 20).rules(&["up delay=50ms"]).path_ms(50.0).goals(DELAY_GOALS),
    Scenario::new("360p, 50 ms, 20 ms jitter", 20)
        .rules(&["up delay=50ms,jitter=20ms"])
        .path_ms(50.0)
        .goals(DELAY_GOALS),
    Scenario::new("720p, no delay", 20).more(r#""height": 720"#).goals(DELAY_GOALS),
    Scenario::new("720p, 50 ms one way", 20)
        .more(r#""height": 720"#)
        .rules(&["up delay=50ms"])
        .path_ms(50.0)
        .goals(DELAY_GOALS),
    Scenario::new("720p, 50 ms, 20 ms jitter", 20)
        .more(r#""height": 720"#)
        .rules(&["up delay=50ms,jitter=20ms"])
        .path_ms(50.0)
        .goals(DELAY_GOALS),
];

const LOSS: [Scenario; 9] = [
    Scenario::new("no loss", 20).place(0.0),
    Scenario::new("2 % at random", 20).rules(&["up loss=2%"]).place(2.0),
    Scenario::new("5 % at random", 20).rules(&["up loss=5%"]).place(5.0),
    Scenario::new("10 % at random", 20).rules(&["up loss=10%"]).place(10.0).quick(5).goals(&[goal(
        "freezes",
        Of::Alone,
        AtMost(0.0),
    )]),
    Scenario::new("20 % at random", 20).rules(&["up loss=20%"]).place(20.0),
    Scenario::new("30 % at random", 20)
        .rules(&["up loss=30%"])
        .place(30.0)
        .goals(&[goal("frames_per_second", Of::Ratio, AtLeast(5.0)), goal("frozen_share", Of::Ratio, AtMost(0.1))]),
    Scenario::new("5 % in bursts of 3", 20).rules(&["up loss=5%x3"]),
    Scenario::new("10 % in bursts of 3", 20).rules(&["up loss=10%x3"]),
    Scenario::new("30 % in bursts of 3", 20).rules(&["up loss=30%x3"]),
];

/// Lost: more than one in a hundred samples made up. A jitter buffer makes up a few on a perfect link too.
const SOUND: Goal = goal("concealed_share", Of::Alone, AtMost(0.01));
/// The name is the charts' too.
pub(super) const CAPACITY_STEPS: &str = "1, then 2.8, then 0.6 Mbit/s";
const CAPACITY: [Scenario; 7] = [
    Scenario::new(CAPACITY_STEPS, 60)
        .rules(&["up rate=1Mbps"])
        .steps(&[(15, "up rate=2.8Mbps"), (40, "up rate=600kbps")])
        .quick(12)
        .goals(&[goal("video_delay_peak_ms", Of::Ratio, AtMost(0.25)), SOUND]),
    // A queue as short as many routers have: what is too much is lost before the delay tells.
    Scenario::new("2.8, then 0.8 Mbit/s with a queue of 50 ms", 30)
        .rules(&["up rate=2.8Mbps"])
        .steps(&[(5, "up rate=800kbps,queue=50ms")])
        .goals(&[SOUND]),
    Scenario::new("1 Mbit/s, 2 % loss", 25).rules(&["up rate=1Mbps,loss=2%"]),
    Scenario::new("25 kbit/s", 25).rules(&["up rate=25kbps"]),
    Scenario::new("50 kbit/s", 25).rules(&["up rate=50kbps"]).goals(&[SOUND]),
    Scenario::new("100 kbit/s", 25).rules(&["up rate=100kbps"]).goals(&[SOUND]),
    Scenario::new("300 kbit/s", 25).rules(&["up rate=300kbps"]).goals(&[SOUND]),
];

const OUTAGE_GOALS: &[Goal] = &[goal("without_picture_ms", Of::Ratio, AtMost(0.05))];
const OUTAGE: [Scenario; 5] = [
    Scenario::new("nothing passes for 1 s", 10).steps(&[(3, "up blackout"), (4, "up clear")]).quick(10),
    Scenario::new("nothing passes for 4 s", 17).steps(&[(3, "up blackout"), (7, "up clear")]),
    Scenario::new("nothing passes for 15 s", 33).steps(&[(3, "up blackout"), (18, "up clear")]),
    // Chromium needs up to about eight seconds at one end, and twice that at the other.
    Scenario::new("an address dies", 23).steps(&[(3, "Ana: address dies")]).goals(OUTAGE_GOALS),
    Scenario::new("an address changes", 18).steps(&[(3, "Ana: address moves")]).goals(OUTAGE_GOALS),
];

const ONE_ENCODE: Goal = goal("encodes_per_frame", Of::Alone, AtMost(1.0));
/// Measured twice: while all send, and while one does. The processor's time is told by hundredths of a second.
const MESH_SECONDS: u32 = 8;
const MESHES: [Scenario; 7] = [
    Scenario::new("2 peers", MESH_SECONDS).more(r#""peers": 2"#).place(2.0).goals(&[ONE_ENCODE]),
    Scenario::new("3 peers", MESH_SECONDS).more(r#""peers": 3"#).place(3.0).goals(&[ONE_ENCODE]),
    Scenario::new("4 peers", MESH_SECONDS).more(r#""peers": 4"#).place(4.0).quick(4).goals(&[ONE_ENCODE]),
    Scenario::new("6 peers", MESH_SECONDS).more(r#""peers": 6"#).place(6.0).goals(&[ONE_ENCODE]),
    Scenario::new("8 peers", MESH_SECONDS)
        .more(r#""peers": 8"#)
        .place(8.0)
        .goals(&[ONE_ENCODE, goal("sender_cpu_cores", Of::RatioTo("2 peers"), AtMost(1.15))]),
    Scenario::new("12 peers", MESH_SECONDS).more(r#""peers": 12"#).place(12.0).by(NATIVE_ONLY).goals(&[ONE_ENCODE]),
    Scenario::new("16 peers", MESH_SECONDS).more(r#""peers": 16"#).place(16.0).by(NATIVE_ONLY).goals(&[ONE_ENCODE]),
];

const COST: [Scenario; 1] = [Scenario::new("a call of two", 20).by(NATIVE_ONLY).quick(5).goals(&[goal(
    "cpu_over_codecs",
    Of::Alone,
    AtMost(1.3),
)])];

const WINDOW: [Scenario; 8] = [
    Scenario::new("idle lobby", 10).by(NATIVE_ONLY).quick(4).goals(&[goal(
        "repaints_per_second",
        Of::Alone,
        AtMost(0.0),
    )]),
    Scenario::new("idle call", 10).by(NATIVE_ONLY),
    Scenario::new("1 tile", 10).by(NATIVE_ONLY),
    Scenario::new("4 tiles", 10).by(NATIVE_ONLY).quick(4),
    Scenario::new("9 tiles", 10).by(NATIVE_ONLY),
    Scenario::new("1 tile, shader", 10).by(NATIVE_ONLY),
    Scenario::new("4 tiles, shader", 10).by(NATIVE_ONLY).quick(4),
    Scenario::new("9 tiles, shader", 10).by(NATIVE_ONLY),
];

/// A group by its name.
pub(super) fn group(name: &str) -> Option<&'static Group> {
    GROUPS.iter().find(|group| group.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::bench::lab::metrics;

    #[test]
    fn the_table_agrees_with_itself() {
        for group in &GROUPS {
            let names: BTreeSet<&str> = group.scenarios.iter().map(|scenario| scenario.name).collect();
            assert_eq!(names.len(), group.scenarios.len(), "{}: every name once", group.name);
            for metric in group.metrics {
                assert!(metrics::find(metric).is_some(), "{metric}");
            }
            for scenario in group.scenarios {
                let more = serde_json::from_str::<serde_json::Value>(&format!("{{{}}}", scenario.more));
                assert!(more.is_ok_and(|more| more.is_object()), "{}", scenario.name);
                assert!(scenario.steps.is_sorted_by_key(|step| step.0), "{}", scenario.name);
                assert!(scenario.steps.last().is_none_or(|step| step.0 < scenario.seconds), "{}", scenario.name);
                for goal in scenario.goals {
                    assert!(group.metrics.contains(&goal.metric), "{}: {}", scenario.name, goal.metric);
                    let Of::RatioTo(other) = goal.of else { continue };
                    assert!(names.contains(other), "{other}");
                }
            }
        }
    }

    #[test]
    fn every_group_is_seen_quickly_too() {
        for group in &GROUPS {
            assert!(group.scenarios.iter().any(|scenario| scenario.quick_seconds > 0), "{}", group.name);
        }
    }
}
