//! Runs on disk: one file each, found again by what was measured with what.
//!
//! The folder's name stands for everything that decides a run but its description: the programs and the instruments by their
//! bytes, the browser's version, the machine. So a change of a document repeats nothing, and a change of a program everything.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::Value;

use super::run::Run;
use crate::command::root;

/// Scripts that measure; the ones of the browser tests start what is measured.
const INSTRUMENTS: [&str; 2] = ["tests/lab/call", "tests/browser"];
const PROGRAMS: [&str; 5] = ["parlor", "parlor-server", "parlor-lab-net", "parlor-lab-cost", "parlor-lab-window"];

/// A hash of each thing that a run depends on, by name.
pub(super) fn fingerprint(
    programs: &Path,
    machine: &Value,
    chromium: &str,
) -> anyhow::Result<BTreeMap<String, String>> {
    let mut parts = BTreeMap::new();
    for name in PROGRAMS {
        // What is not there is not measured with.
        if let Ok(bytes) = fs::read(programs.join(name)) {
            parts.insert(name.to_owned(), hash(&bytes));
        }
    }
    for folder in INSTRUMENTS {
        let mut files = Vec::new();
        for entry in fs::read_dir(root().join(folder)).with_context(|| format!("{folder} cannot be read"))? {
            let path = entry?.path();
            let kind = path.extension().and_then(|kind| kind.to_str());
            if matches!(kind, Some("mjs" | "js" | "json" | "py")) && !path.to_string_lossy().ends_with(".test.mjs") {
                files.push(path);
            }
        }
        files.sort();
        let bytes: Vec<Vec<u8>> = files.iter().map(fs::read).collect::<Result<_, _>>()?;
        parts.insert(folder.to_owned(), hash(&bytes));
    }
    let of_machine = ["cores", "processor", "memory", "kernel", "node"].map(|key| machine[key].to_string());
    parts.insert("machine".to_owned(), hash(&of_machine));
    parts.insert("chromium".to_owned(), hash(&chromium));
    Ok(parts)
}

fn hash(value: &(impl Hash + ?Sized)) -> String {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// The runs of one set of programs on one machine.
pub(super) struct Store {
    folder: PathBuf,
}

impl Store {
    /// Opens the folder under `target/bench/runs`.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub(super) fn open(runs: &Path, fingerprint: &BTreeMap<String, String>) -> anyhow::Result<Self> {
        let folder = runs.join(hash(fingerprint));
        fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
        Ok(Self { folder })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Every run that was made of exactly this description, the first attempt first.
    pub(super) fn attempts(&self, wanted: &Value) -> Vec<Run> {
        let read = |attempt| fs::read_to_string(self.file(wanted, attempt, "json")).ok();
        // A file that was cut off by the end of the machine is no run.
        let runs = (0..).map_while(read).filter_map(|text| serde_json::from_str(&text).ok().map(Run::read));
        runs.filter(|run| run.wanted() == wanted).collect()
    }

    /// Where the next attempt's log goes.
    pub(super) fn log(&self, wanted: &Value) -> PathBuf {
        self.file(wanted, self.next(wanted), "log")
    }

    /// Keeps a run, as the next attempt.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub(super) fn keep(&self, run: &Run) -> anyhow::Result<()> {
        let path = self.file(run.wanted(), self.next(run.wanted()), "json");
        let written = serde_json::to_string(&run.whole)? + "\n";
        // Whole or not at all.
        let unfinished = path.with_extension("unfinished");
        fs::write(&unfinished, written)
            .and_then(|()| fs::rename(&unfinished, &path))
            .with_context(|| format!("{} cannot be written", path.display()))
    }

    /// Removes every attempt at this description.
    ///
    /// # Errors
    /// Where a file cannot be removed.
    pub(super) fn forget(&self, wanted: &Value) -> anyhow::Result<()> {
        for attempt in 0..self.next(wanted) {
            let path = self.file(wanted, attempt, "json");
            fs::remove_file(&path).with_context(|| format!("{} cannot be removed", path.display()))?;
        }
        Ok(())
    }

    /// Whether there is an attempt at it.
    pub(super) fn has(&self, wanted: &Value) -> bool {
        self.next(wanted) > 0
    }

    fn next(&self, wanted: &Value) -> usize {
        (0..).take_while(|attempt| self.file(wanted, *attempt, "json").exists()).count()
    }

    fn file(&self, wanted: &Value, attempt: usize, kind: &str) -> PathBuf {
        let word = |key: &str| wanted[key].as_str().unwrap_or_default().to_owned();
        let name = [word("group"), word("scenario"), word("contender"), wanted["seed"].to_string()].join("-");
        let name = name.replace(|letter: char| !letter.is_ascii_alphanumeric() && letter != '.', "_");
        // The hash keeps two descriptions apart that share a name: seconds, steps, rules.
        let of = hash(&wanted.to_string());
        self.folder.join(format!("{name}-{}-{attempt}.{kind}", &of[..6]))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::bench::lab::run::Outcome;

    fn wanted(seconds: u32) -> Value {
        json!({"group": "loss", "scenario": "2 % at random", "contender": "native-native", "seed": 1, "seconds": seconds})
    }

    #[test]
    fn a_run_is_found_again_by_what_was_asked_and_with_what() {
        let folder = tempfile::tempdir().unwrap();
        let programs = |hash: &str| BTreeMap::from([("parlor".to_owned(), hash.to_owned())]);
        let store = Store::open(folder.path(), &programs("1")).unwrap();
        assert!(store.attempts(&wanted(20)).is_empty());
        let late = json!({"group": "loss", "scenario": "2 % at random", "contender": "native-native", "valid": false, "figures": {}});
        store.keep(&Run::finished(&wanted(20), 0, Ok(late))).unwrap();
        store.keep(&Run::finished(&wanted(20), 0, Err("no browser".to_owned()))).unwrap();
        let again = Store::open(folder.path(), &programs("1")).unwrap();
        let outcomes: Vec<Outcome> = again.attempts(&wanted(20)).into_iter().map(|run| run.outcome).collect();
        assert!(matches!(&outcomes[..], [Outcome::Invalid(_), Outcome::Failed(_)]), "{outcomes:?}");
        assert!(again.attempts(&wanted(6)).is_empty(), "other options, other runs");
        again.forget(&wanted(6)).unwrap();
        assert_eq!(again.attempts(&wanted(20)).len(), 2);
        assert!(Store::open(folder.path(), &programs("2")).unwrap().attempts(&wanted(20)).is_empty());
        again.forget(&wanted(20)).unwrap();
        assert!(again.attempts(&wanted(20)).is_empty());
    }

    #[test]
    fn a_file_that_was_cut_off_is_no_run() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), &BTreeMap::new()).unwrap();
        let run = Run::finished(&wanted(20), 0, Err("no browser".to_owned()));
        store.keep(&run).unwrap();
        fs::write(store.file(&wanted(20), 0, "json"), "{\"wanted\": {").unwrap();
        assert!(store.attempts(&wanted(20)).is_empty());
        store.keep(&run).unwrap();
        assert_eq!(store.attempts(&wanted(20)).len(), 1);
    }

    #[test]
    fn a_program_that_changes_changes_the_fingerprint() {
        let programs = tempfile::tempdir().unwrap();
        let of = |chromium: &str| fingerprint(programs.path(), &json!({"cores": 2}), chromium).unwrap();
        let without = of("156");
        assert!(!without.contains_key("parlor") && without.contains_key("tests/lab/call"));
        fs::write(programs.path().join("parlor"), "one").unwrap();
        let one = of("156");
        fs::write(programs.path().join("parlor"), "two").unwrap();
        assert_ne!(one, of("156"));
        assert_ne!(of("156"), of("157"));
    }
}
