//! What Chromium did when it was measured by hand, before there was a lab: 360p30 between two tabs, through a user-space network.
//!
//! The lab's own figure should overlap that range or lie within 1.5 times of it; where it does not, one of the two is wrong.

use super::metrics;
use super::run::Run;
use super::scenarios::{Contender, Group};
use super::summary::Cell;

/// How far from the range is still the same.
const NEAR: f64 = 1.5;

/// One figure, in the run's unit.
struct ByHand {
    group: &'static str,
    scenario: &'static str,
    metric: &'static str,
    low: f64,
    high: f64,
}

const fn range(group: &'static str, scenario: &'static str, metric: &'static str, low: f64, high: f64) -> ByHand {
    ByHand { group, scenario, metric, low, high }
}

const BY_HAND: [ByHand; 18] = [
    range("set-up", "RTT 0", "first_frame_ms", 123.0, 230.0),
    range("set-up", "RTT 100 ms", "first_frame_ms", 482.0, 681.0),
    range("delay", "360p, no delay", "video_delay_p50_ms", 26.0, 28.0),
    range("delay", "720p, no delay", "video_delay_p50_ms", 37.0, 56.0),
    range("delay", "360p, 50 ms one way", "video_delay_p50_ms", 88.0, 88.0),
    range("delay", "360p, 50 ms one way", "video_delay_p95_ms", 121.0, 121.0),
    range("delay", "360p, no delay", "mouth_to_ear_p50_ms", 70.0, 73.0),
    // Of 20 s.
    range("loss", "5 % at random", "frozen_share", 0.05, 0.05),
    range("loss", "10 % at random", "frozen_share", 0.045, 0.09),
    range("loss", "30 % at random", "frozen_share", 0.35, 0.655),
    range("loss", "10 % at random", "concealed_share", 0.02, 0.02),
    range("loss", "30 % at random", "concealed_share", 0.11, 0.11),
    range("capacity", super::scenarios::CAPACITY_STEPS, "video_delay_peak_ms", 840.0, 1_120.0),
    range("capacity", super::scenarios::CAPACITY_STEPS, "starved_s", 3.0, 3.0),
    // "An address change without a hint": which of the two it was is not known.
    range("outage", "an address dies", "without_picture_ms", 7_100.0, 7_100.0),
    range("outage", "an address changes", "without_picture_ms", 7_100.0, 7_100.0),
    range("mesh", "8 peers", "encodes_per_frame", 6.8, 6.8),
    range("mesh", "8 peers", "captured_frames_per_second", 24.0, 24.0),
];

/// Rows of a table: what, by hand, in the lab, and whether they agree.
pub(super) fn rows(runs: &[Run], group: &Group) -> Vec<[String; 4]> {
    let here = BY_HAND.iter().filter(|one| one.group == group.name);
    here.filter_map(|one| row(runs, group, one)).collect()
}

fn row(runs: &[Run], group: &Group, one: &ByHand) -> Option<[String; 4]> {
    let metric = metrics::find(one.metric)?;
    let (scale, digits) = (metric.scale, metric.digits.max(if metric.scale > 1.0 { 1 } else { 0 }));
    let number = |value: f64| format!("{:.digits$}", value * scale);
    let by_hand = if one.low < one.high { [one.low, one.high].map(number).join("–") } else { number(one.low) };
    let estimate = Cell::of(runs, group, one.scenario, Contender::Chromium).estimate(one.metric);
    let (measured, verdict) = match estimate {
        Some(estimate) => {
            let (low, high) = estimate.interval.unwrap_or((estimate.median, estimate.median));
            (estimate.shown(scale, digits), verdict((low, estimate.median, high), (one.low, one.high)))
        }
        None => ("—".to_owned(), "not measured"),
    };
    Some([format!("{}: {}", one.scenario, metric.name), by_hand, measured, verdict.to_owned()])
}

fn verdict((low, median, high): (f64, f64, f64), by_hand: (f64, f64)) -> &'static str {
    if low <= by_hand.1 && high >= by_hand.0 {
        "overlaps"
    } else if median <= by_hand.1 * NEAR && median >= by_hand.0 / NEAR {
        "within 1.5×"
    } else {
        "**outside**"
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::bench::lab::scenarios::group;
    use crate::bench::lab::summary::tests::run;

    #[test]
    fn every_figure_is_one_that_the_lab_measures() {
        for one in BY_HAND.iter() {
            let group = group(one.group).unwrap();
            assert!(metrics::find(one.metric).is_some(), "{}", one.metric);
            assert!(group.scenarios.iter().any(|scenario| scenario.name == one.scenario), "{}", one.scenario);
        }
    }

    #[test]
    fn the_lab_agrees_nearly_agrees_or_does_not() {
        assert_eq!(verdict((20.0, 27.0, 40.0), (26.0, 28.0)), "overlaps");
        assert_eq!(verdict((30.0, 35.0, 40.0), (26.0, 28.0)), "within 1.5×");
        assert_eq!(verdict((16.0, 18.0, 20.0), (26.0, 28.0)), "within 1.5×");
        assert_eq!(verdict((100.0, 110.0, 120.0), (26.0, 28.0)), "**outside**");
        let runs = [run("loss", "10 % at random", "chromium-chromium", json!({"frozen_share": [0.06]}))];
        let rows = rows(&runs, group("loss").unwrap());
        let of_10 = rows.iter().find(|row| row[0] == "10 % at random: frozen, %").unwrap();
        assert_eq!(of_10[1..], ["4.5–9.0", "6.0", "overlaps"]);
        assert!(rows.iter().any(|row| row[2..] == ["—", "not measured"]));
    }
}
