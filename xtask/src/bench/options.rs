//! What is to be measured, and how much of it, from the command line.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};

/// How much to measure.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Options {
    /// A few seconds of each, to see that it runs; no document is written.
    pub(super) quick: bool,
    /// How often all contenders are measured in turn; each suite has its own number where none is given.
    pub(super) rounds: Option<usize>,
    /// One round, then repeats where they say most, until this is over.
    pub(super) budget: Option<Duration>,
    /// Where the figures go, beside `target/bench`.
    pub(super) out: Option<PathBuf>,
    /// Runs that are there already are made anew.
    pub(super) fresh: bool,
}

/// Names first, then options.
///
/// # Errors
/// In words, where an option is unknown or has no proper value.
pub(super) fn read<'a>(arguments: &[&'a str]) -> anyhow::Result<(Vec<&'a str>, Options)> {
    let (mut names, mut options) = (Vec::new(), Options::default());
    let mut arguments = arguments.iter().copied();
    while let Some(argument) = arguments.next() {
        match argument {
            "--quick" => options.quick = true,
            "--fresh" => options.fresh = true,
            "--rounds" => {
                let number = arguments.next().and_then(|number| number.parse().ok()).filter(|number| *number > 0);
                options.rounds = Some(number.context("--rounds needs a number, at least 1")?);
            }
            "--budget" => {
                let time = arguments.next().and_then(duration);
                options.budget = Some(time.context("--budget needs a time such as 60m, 90s or 3h")?);
            }
            "--out" => options.out = Some(arguments.next().context("--out needs a file")?.into()),
            other if other.starts_with('-') => {
                bail!(
                    "a benchmark does not know {other:?}; it knows --quick, --rounds N, --budget 60m, --out FILE, --fresh"
                )
            }
            name => names.push(name),
        }
    }
    Ok((names, options))
}

/// `90s`, `60m`, `3h`.
fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        _ => return None,
    };
    let number: u64 = number.parse().ok().filter(|number| *number > 0)?;
    Some(Duration::from_secs(number.checked_mul(seconds)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_and_others_refused() {
        let (names, options) =
            read(&["loss", "--quick", "--rounds", "3", "delay", "--budget", "60m", "--out", "a.json"]).unwrap();
        assert_eq!(names, ["loss", "delay"]);
        let wanted = Options {
            quick: true,
            rounds: Some(3),
            budget: Some(Duration::from_secs(3_600)),
            out: Some("a.json".into()),
            fresh: false,
        };
        assert_eq!(options, wanted);
        assert_eq!(read(&[]).unwrap(), (vec![], Options::default()));
        let wrong: [&[&str]; 7] = [
            &["--rounds"],
            &["--rounds", "0"],
            &["--fast"],
            &["--budget", "60"],
            &["--budget", "0m"],
            &["--budget", "ä"],
            &["--out"],
        ];
        for wrong in wrong {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
    }
}
