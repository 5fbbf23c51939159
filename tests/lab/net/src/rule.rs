//! Who is troubled, how, and from when: one line each.
//!
//! ```text
//! [at TIME] [NAME:] up DESCRIPTION | down DESCRIPTION | address dies | address moves
//! ```

use std::str::FromStr;
use std::time::Duration;

use crate::conditions::{self, Change, DescriptionError};
use crate::network::Side;

/// One line.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// After the first packet of all; none: from the start, or at once.
    pub at: Option<Duration>,
    /// The name of a peer; none: everybody.
    pub who: Option<String>,
    /// What happens.
    pub what: What,
}

/// What happens to someone.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// Their link changes.
    Link(Side, Change),
    /// Their addresses carry nothing any more, either way. One that is told anew afterwards works again.
    AddressDies,
    /// Their addresses carry nothing any more, and what they send now comes from new ones, of which nobody is told.
    AddressMoves,
}

/// A line that is not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// The time.
    #[error("“{0}” is no time: write `at 10s`, up to a minute")]
    Time(String),
    /// Neither a direction nor an address.
    #[error("“{0}” says neither `up …`, `down …`, `address dies` nor `address moves`")]
    What(String),
    /// The description of the link.
    #[error("{0}")]
    Description(#[from] DescriptionError),
}

impl Rule {
    /// Everybody's way up or down, from the start.
    pub fn everybody(side: Side, change: Change) -> Self {
        Self { at: None, who: None, what: What::Link(side, change) }
    }

    /// Whether it is about a peer of this name.
    pub fn is_about(&self, name: &str) -> bool {
        self.who.as_deref().is_none_or(|who| who == name)
    }
}

impl FromStr for Rule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        let (at, rest) = match text.trim().strip_prefix("at ") {
            Some(timed) => {
                let (time, rest) = timed.trim().split_once(' ').unwrap_or((timed.trim(), ""));
                (Some(conditions::time(time).ok_or_else(|| RuleError::Time(time.to_owned()))?), rest)
            }
            None => (None, text),
        };
        let (who, what) = match rest.split_once(':') {
            Some((name, what)) => (Some(name.trim().to_owned()), what.trim()),
            None => (None, rest.trim()),
        };
        let (word, description) = what.split_once(' ').unwrap_or((what, ""));
        let what = match (word, description.trim()) {
            ("up", description) => What::Link(Side::Up, description.parse()?),
            ("down", description) => What::Link(Side::Down, description.parse()?),
            ("address", "dies") => What::AddressDies,
            ("address", "moves") => What::AddressMoves,
            _ => return Err(RuleError::What(what.to_owned())),
        };
        Ok(Self { at, who, what })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_when_who_and_what() {
        let change: Change = "loss=10%".parse().unwrap();
        let rule = |at: Option<u64>, who: Option<&str>, what| Rule {
            at: at.map(Duration::from_secs),
            who: who.map(str::to_owned),
            what,
        };
        let up = || What::Link(Side::Up, change.clone());
        for (text, wanted) in [
            ("up loss=10%", rule(None, None, up())),
            ("at 10s up loss=10%", rule(Some(10), None, up())),
            ("Ana Maria: up loss=10%", rule(None, Some("Ana Maria"), up())),
            ("at 3s Ana: down loss=10%", rule(Some(3), Some("Ana"), What::Link(Side::Down, change.clone()))),
            ("Ana: address dies", rule(None, Some("Ana"), What::AddressDies)),
            ("at 2s address moves", rule(Some(2), None, What::AddressMoves)),
        ] {
            assert_eq!(text.parse::<Rule>().as_ref(), Ok(&wanted), "{text}");
        }
    }

    #[test]
    fn what_is_not_understood_is_refused_in_words() {
        for text in ["", "sideways loss=1%", "at ten up loss=1%", "up lose=1%", "Ana: address lives", "at 10s"] {
            assert!(text.parse::<Rule>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_rule_for_nobody_by_name_is_for_everybody() {
        assert!("up ".parse::<Rule>().is_ok_and(|rule| rule.is_about("Ana")));
        let of_ana: Rule = "Ana: up loss=1%".parse().unwrap();
        assert!(of_ana.is_about("Ana") && !of_ana.is_about("Bo"));
    }
}
