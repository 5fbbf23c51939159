//! What a run is told.

use anyhow::Context as _;
use serde::Deserialize;

/// One run, as the bench tells it: one argument, JSON.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Request {
    /// The group of scenarios.
    pub group: String,
    /// Which of them.
    pub scenario: String,
    /// What is measured.
    pub contender: String,
    /// How long to measure.
    pub seconds: f64,
    /// For whatever is random.
    pub seed: u64,
}

impl Request {
    /// Reads the program's only argument.
    ///
    /// # Errors
    /// When there is none, or it is no run.
    pub fn from_arguments() -> anyhow::Result<Self> {
        let argument = std::env::args().nth(1).context("one argument is needed: a run, as JSON")?;
        Self::read(&argument)
    }

    /// Reads a run; without a time it is measured for ten seconds.
    ///
    /// # Errors
    /// When it is no run.
    pub fn read(argument: &str) -> anyhow::Result<Self> {
        let mut request: Self = serde_json::from_str(argument).context("the argument is no run")?;
        if request.seconds <= 0.0 {
            request.seconds = 10.0;
        }
        request.seconds = request.seconds.clamp(1.0, 600.0);
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_has_a_default_and_what_is_unknown_is_passed_over() {
        let request = Request::read(r#"{"scenario": "4 tiles", "peers": 2}"#).unwrap_or_default();
        assert_eq!((request.scenario.as_str(), request.seconds), ("4 tiles", 10.0));
        assert!(Request::read("4 tiles").is_err());
    }
}
