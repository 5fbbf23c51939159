//! The line that a run ends with.

use std::collections::BTreeMap;

use serde_json::json;

use crate::request::Request;

/// Figures by name; one that is not a number was not measured, and is left out.
pub struct Report {
    head: [String; 3],
    seed: u64,
    figures: BTreeMap<String, [f64; 1]>,
}

impl Report {
    /// Nothing was measured yet.
    pub fn new(request: &Request) -> Self {
        let head = [&request.group, &request.scenario, &request.contender].map(Clone::clone);
        Self { head, seed: request.seed, figures: BTreeMap::new() }
    }

    /// Adds a figure; its unit is in its name.
    pub fn figure(&mut self, name: &str, value: f64) {
        if value.is_finite() {
            self.figures.insert(name.to_owned(), [value]);
        }
    }

    /// The last line that a run prints.
    pub fn line(&self) -> String {
        let [group, scenario, contender] = &self.head;
        let versions = json!({"parlor": env!("CARGO_PKG_VERSION")});
        json!({
            "group": group, "scenario": scenario, "contender": contender, "seed": self.seed, "valid": true,
            "versions": versions, "figures": self.figures, "series": {},
        })
        .to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_number_is_left_out_and_never_0() {
        let request = Request { contender: "native".to_owned(), seed: 7, ..Request::default() };
        let mut report = Report::new(&request);
        report.figure("good", 1.25);
        report.figure("by_nothing", f64::INFINITY);
        report.figure("of_nothing", f64::NAN);
        let line: serde_json::Value = serde_json::from_str(&report.line()).unwrap_or_default();
        assert_eq!(line["figures"], json!({"good": [1.25]}));
        assert_eq!((&line["seed"], &line["contender"]), (&json!(7), &json!("native")));
    }
}
