//! One run, as it was asked for and as it ended.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::scenarios::{Contender, Group, Scenario};

/// A scenario that was chosen, with the seconds it is given.
#[derive(Clone, Copy, Debug)]
pub(in crate::bench) struct Chosen {
    pub(super) group: &'static Group,
    pub(super) scenario: &'static Scenario,
    pub(super) seconds: u32,
    pub(super) contenders: &'static [Contender],
}

impl Chosen {
    /// What a run is told: its one argument.
    pub(super) fn wanted(&self, contender: Contender, repeat: usize) -> Value {
        let Scenario { name, rules, steps, seconds, more, .. } = self.scenario;
        let share = f64::from(self.seconds) / f64::from(*seconds);
        let steps: Vec<Value> = steps.iter().map(|(at, rule)| json!([f64::from(*at) * share, rule])).collect();
        // Equal seeds lose equal packets: all contenders of a repeat meet the same network.
        let mut wanted = json!({
            "group": self.group.name,
            "scenario": name,
            "contender": (self.group.word)(contender),
            "rules": rules,
            "steps": steps,
            "seconds": self.seconds,
            "seed": repeat + 1,
        });
        // The table's own test reads them all.
        let more: Map<String, Value> = serde_json::from_str(&format!("{{{more}}}")).unwrap_or_default();
        for (key, value) in more {
            wanted[key] = value;
        }
        wanted
    }

    /// What all contenders together take, about.
    pub(super) fn turn_seconds(&self) -> f64 {
        self.estimate_seconds() * self.contenders.len() as f64
    }

    /// What one run takes, about.
    pub(super) fn estimate_seconds(&self) -> f64 {
        f64::from(self.seconds + self.group.overhead_seconds)
    }
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Valid,
    /// It ran, and its figures are not to be used: the relay was late, for one.
    Invalid(String),
    /// It gave no figures.
    Failed(String),
}

/// One run, read back.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub(super) group: String,
    pub(super) scenario: String,
    pub(super) contender: String,
    pub(super) repeat: usize,
    pub(super) outcome: Outcome,
    /// By name, one for each end that was measured.
    pub(super) figures: BTreeMap<String, Vec<f64>>,
    /// By name, points of seconds and values.
    pub(super) series: BTreeMap<String, Vec<(f64, f64)>>,
    /// As it is kept.
    pub(super) whole: Value,
}

impl Run {
    /// As it is kept: what was wanted, and what came of it.
    pub(super) fn finished(wanted: &Value, repeat: usize, result: Result<Value, String>) -> Self {
        let result = result.and_then(|result| {
            // A program that measured something else than it was asked for has measured nothing.
            let of = |key: &str| result[key] == wanted[key];
            let is_ours = ["group", "scenario", "contender"].into_iter().all(of);
            if is_ours { Ok(result) } else { Err("the figures are of another scenario or contender".to_owned()) }
        });
        let (result, error) = match result {
            Ok(result) => (result, Value::Null),
            Err(error) => (Value::Null, json!(error)),
        };
        Self::read(json!({"wanted": wanted, "repeat": repeat, "result": result, "error": error}))
    }

    /// From a file. What is not there is missing, not 0.
    pub(super) fn read(whole: Value) -> Self {
        let word = |key: &str| whole["wanted"][key].as_str().unwrap_or_default().to_owned();
        let result = &whole["result"];
        let figures = members(&result["figures"]).map(|(name, ends)| (name, numbers(ends))).collect();
        let series = members(&result["series"]).map(|(name, points)| (name, pairs(points))).collect();
        Self {
            group: word("group"),
            scenario: word("scenario"),
            contender: word("contender"),
            repeat: whole["repeat"].as_u64().unwrap_or_default() as usize,
            outcome: outcome(&whole),
            figures,
            series,
            whole,
        }
    }

    /// Of one of the two kinds of ends that take turns, natives first in a mixed call; what is told once for all is the first one's.
    pub(super) fn of_kind(&self, metric: &str, kind: usize) -> Vec<f64> {
        match &self.whole["result"]["figures"][metric] {
            Value::Array(ends) => ends.iter().skip(kind).step_by(2).filter_map(Value::as_f64).collect(),
            one => one.as_f64().filter(|_| kind == 0).into_iter().collect(),
        }
    }

    /// Whether it need not be run again.
    pub(super) fn is_settled(&self) -> bool {
        !matches!(self.outcome, Outcome::Invalid(_))
    }

    /// What it says of its figures.
    pub(super) fn notes(&self) -> impl Iterator<Item = &str> {
        self.whole["result"]["notes"].as_array().into_iter().flatten().filter_map(Value::as_str)
    }

    pub(super) fn wanted(&self) -> &Value {
        &self.whole["wanted"]
    }
}

fn outcome(whole: &Value) -> Outcome {
    let result = &whole["result"];
    if let Some(error) = whole["error"].as_str() {
        return Outcome::Failed(error.to_owned());
    }
    let reason = || result["invalid_reason"].as_str().unwrap_or("it does not say why").to_owned();
    if result["failed"] == true {
        return Outcome::Failed(reason());
    }
    if !result["figures"].is_object() {
        return Outcome::Failed("it printed no figures".to_owned());
    }
    match result["valid"].as_bool() {
        Some(true) => Outcome::Valid,
        _ => Outcome::Invalid(reason()),
    }
}

fn members(object: &Value) -> impl Iterator<Item = (String, &Value)> {
    object.as_object().into_iter().flatten().map(|(name, value)| (name.clone(), value))
}

/// A number for each end; an end that measured nothing has null.
fn numbers(ends: &Value) -> Vec<f64> {
    match ends {
        Value::Array(ends) => ends.iter().filter_map(Value::as_f64).collect(),
        one => one.as_f64().into_iter().collect(),
    }
}

fn pairs(points: &Value) -> Vec<(f64, f64)> {
    let pair = |point: &Value| Some((point[0].as_f64()?, point[1].as_f64()?));
    points.as_array().into_iter().flatten().filter_map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::lab::scenarios::group;

    fn chosen(group_name: &str, scenario: &str, seconds: u32) -> Chosen {
        let group = group(group_name).unwrap();
        let scenario = group.scenarios.iter().find(|one| one.name == scenario).unwrap();
        Chosen { group, scenario, seconds, contenders: scenario.contenders }
    }

    #[test]
    fn a_run_is_told_all_of_it_in_one_object() {
        let wanted = chosen("mesh", "8 peers", 15).wanted(Contender::Mixed, 2);
        let told = json!({
            "group": "mesh", "scenario": "8 peers", "contender": "mixed", "rules": [], "steps": [], "seconds": 15,
            "seed": 3, "peers": 8,
        });
        assert_eq!(wanted, told);
        let quick = chosen("capacity", "1, then 2.8, then 0.6 Mbit/s", 12).wanted(Contender::Native, 0);
        assert_eq!(quick["steps"], json!([[3.0, "up rate=2.8Mbps"], [8.0, "up rate=600kbps"]]), "steps move along");
        assert_eq!(quick["contender"], "native-native");
    }

    #[test]
    fn a_run_is_valid_or_says_why_not() {
        let wanted = chosen("outage", "an address dies", 10).wanted(Contender::Native, 0);
        let printed = |more: Value| {
            let mut result = wanted.clone();
            for (key, value) in more.as_object().unwrap() {
                result[key] = value.clone();
            }
            Run::finished(&wanted, 0, Ok(result))
        };
        let run = printed(json!({"valid": true, "figures": {"without_picture_ms": [5, null, 7.5]}}));
        assert_eq!((&run.outcome, &run.figures["without_picture_ms"]), (&Outcome::Valid, &vec![5.0, 7.5]));
        let late = printed(json!({"valid": false, "invalid_reason": "late", "figures": {}}));
        assert_eq!(late.outcome, Outcome::Invalid("late".to_owned()));
        assert!(!late.is_settled() && run.is_settled());
        assert_eq!(printed(json!({"valid": true})).outcome, Outcome::Failed("it printed no figures".to_owned()));
        let silent = printed(json!({"figures": {}}));
        assert!(matches!(silent.outcome, Outcome::Invalid(_)), "valid only by its own word");
        let ended = printed(json!({"failed": true, "invalid_reason": "no room", "valid": false, "figures": {}}));
        assert_eq!(ended.outcome, Outcome::Failed("no room".to_owned()));
        let other = Run::finished(&wanted, 0, Ok(json!({"group": "outage", "valid": true, "figures": {}})));
        assert!(matches!(other.outcome, Outcome::Failed(_)), "figures of something else are none");
        let failed = Run::finished(&wanted, 0, Err("no browser".to_owned()));
        let back = Run::read(failed.whole.clone());
        assert_eq!(back.outcome, Outcome::Failed("no browser".to_owned()));
        assert_eq!((back.group.as_str(), back.scenario.as_str()), ("outage", "an address dies"));
    }
}
