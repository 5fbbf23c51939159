//! `cargo xtask test`: every check of the repository, counted together.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::command::{command, is_on_path, output, shown, target_dir};
use crate::packages;

/// What passed and what failed, over all parts.
#[derive(Default)]
struct Tally {
    passed: u64,
    failed: u64,
    failures: Vec<String>,
    /// What could not be run here, and why.
    skipped: Vec<String>,
    /// How long each step took, so that a slow run says where.
    times: Vec<(String, Duration)>,
}

impl Tally {
    /// Runs a command that passes or fails as a whole. Answers whether it passed.
    fn run(&mut self, name: &str, command: &mut Command) -> bool {
        let result = self.timed(name, || crate::command::run(command));
        let passed = result.is_ok();
        self.check(name, result);
        passed
    }

    fn timed<T>(&mut self, name: &str, step: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let done = step();
        self.times.push((name.to_owned(), start.elapsed()));
        done
    }

    fn check(&mut self, name: &str, result: anyhow::Result<()>) {
        match result {
            Ok(()) => {
                self.passed += 1;
                eprintln!("ok: {name}");
            }
            Err(error) => {
                self.failed += 1;
                eprintln!("FAILED: {name}: {error:#}");
                self.failures.push(format!("{name}: {error:#}"));
            }
        }
    }

    /// Closes with the one line that sums up; fails where anything failed.
    fn close(self) -> anyhow::Result<()> {
        for (name, time) in &self.times {
            eprintln!("{:>5} s: {name}", time.as_secs());
        }
        for failure in &self.failures {
            eprintln!("failed: {failure}");
        }
        for skipped in &self.skipped {
            eprintln!("skipped: {skipped}");
        }
        let skipped = match self.skipped.len() {
            0 => String::new(),
            count => format!(", {count} skipped"),
        };
        println!("{} passed, {} failed{skipped}", self.passed, self.failed);
        if self.failed > 0 {
            bail!("{} checks failed", self.failed);
        }
        if self.passed == 0 {
            bail!("nothing was run");
        }
        Ok(())
    }
}

/// Everything, as CI runs it.
pub(crate) fn all() -> anyhow::Result<()> {
    set_up()?;
    let mut tally = Tally::default();
    lint(&mut tally);
    rust(&mut tally);
    browser(&mut tally);
    tally.close()
}

/// One part by its name.
pub(crate) fn part(name: &str) -> anyhow::Result<()> {
    set_up()?;
    let mut tally = Tally::default();
    match name {
        "lint" => lint(&mut tally),
        "rust" => rust(&mut tally),
        "browser" => {
            tally.run("build", &mut command("cargo", &BUILD));
            browser(&mut tally);
        }
        "turn" => turn(&mut tally),
        other => bail!("there is no part {other:?}: the parts are lint, rust, browser, camera and turn"),
    }
    tally.close()
}

fn set_up() -> anyhow::Result<()> {
    let mut groups = vec![&packages::BUILD, &packages::WINDOW, &packages::TEST];
    if !(is_on_path("node") && is_on_path("npm")) {
        groups.push(&packages::NODE);
    }
    packages::install(&groups)
}

/// Programs and tests in one build: without the tests, features of tokio and others differ, and these, the WebRTC stack's
/// runtime and our own crates are built a second time for them.
const BUILD: [&str; 3] = ["build", "--workspace", "--all-targets"];

fn lint(tally: &mut Tally) {
    tally.run("format", &mut command("cargo", &["fmt", "--all", "--check"]));
    let clippy = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
    tally.run("lints", &mut command("cargo", &clippy));
    let headless = ["clippy", "-p", "parlor", "--no-default-features", "--", "-D", "warnings"];
    tally.run("headless build", &mut command("cargo", &headless));
    tally.check("headless build has no windowing stack", headless_tree());
    tally.check("one TLS provider, one tungstenite", one_of_each());
    tally.check("the fuzz targets' Cargo.lock", fuzz_lock());
    let mut docs = command("cargo", &["doc", "--workspace", "--no-deps"]);
    tally.run("docs", docs.env("RUSTDOCFLAGS", "-D warnings"));
}

fn rust(tally: &mut Tally) {
    // The tests start the programs, so these come first.
    if tally.run("build", &mut command("cargo", &BUILD)) {
        let mut tests = command("cargo", &["test", "--workspace", "--no-fail-fast"]);
        counted(tally, "cargo test", &mut tests, cargo_counts);
    }
}

/// The calls behind NATs, with those that take minutes.
fn turn(tally: &mut Tally) {
    tally.run("build", &mut command("cargo", &BUILD));
    let arguments = ["test", "--workspace", "--test", "behind_nats", "--", "--include-ignored"];
    counted(tally, "calls behind NATs", &mut command("cargo", &arguments), cargo_counts);
}

fn browser(tally: &mut Tally) {
    let install = ["ci", "--no-audit", "--no-fund", "--prefix", "tests/browser"];
    if !tally.run("browser test packages", &mut command("npm", &install)) {
        return;
    }
    let programs = target_dir().join("debug");
    let mut tests = command("node", &["--test", "--test-concurrency=1", "--test-reporter=tap"]);
    match test_files() {
        Ok(files) => tests.args(files),
        Err(error) => return tally.check("browser tests", Err(error)),
    };
    tests.env("PARLOR_SERVER", programs.join("parlor-server")).env("PARLOR", programs.join("parlor"));
    tests.env("PARLOR_LAB_NET", programs.join("parlor-lab-net"));
    tests.env("CHROMIUM", std::env::var_os("CHROMIUM").unwrap_or_else(|| "/usr/bin/chromium".into()));
    counted(tally, "browser tests", &mut tests, tap_counts);
}

fn test_files() -> anyhow::Result<Vec<std::path::PathBuf>> {
    let folder = crate::command::root().join("tests/browser");
    let mut files: Vec<_> = std::fs::read_dir(folder)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.to_string_lossy().ends_with(".test.mjs"))
        .collect();
    files.sort();
    if files.is_empty() {
        bail!("there are no browser tests");
    }
    Ok(files)
}

/// Runs a test runner, shows its lines and adds the counts that it prints.
fn counted(tally: &mut Tally, name: &str, command: &mut Command, counts: fn(&str) -> Option<(u64, u64)>) {
    let result = tally.timed(name, || count(command, counts));
    match result {
        Ok(Counted { passed, failed, skipped, success }) => {
            let is_empty = passed == 0 && skipped.is_empty();
            tally.passed += passed;
            tally.failed += failed;
            tally.skipped.extend(skipped);
            if failed > 0 {
                tally.failures.push(format!("{name}: {failed} failed"));
            } else if !success || is_empty {
                tally.check(name, Err(anyhow::anyhow!("the run failed or ran no test")));
            }
        }
        Err(error) => tally.check(name, Err(error)),
    }
}

/// What one test runner said.
struct Counted {
    passed: u64,
    failed: u64,
    skipped: Vec<String>,
    success: bool,
}

fn count(command: &mut Command, counts: fn(&str) -> Option<(u64, u64)>) -> anyhow::Result<Counted> {
    let shown = shown(command);
    eprintln!("$ {shown}");
    let mut child =
        command.stdout(Stdio::piped()).spawn().with_context(|| format!("`{shown}` could not be started"))?;
    let output = child.stdout.take().context("no output")?;
    let (mut passed, mut failed) = (0, 0);
    let (mut skipped, mut said_only) = (Vec::new(), 0);
    for line in BufReader::new(output).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).into_owned();
        println!("{line}");
        if let Some((more_passed, more_failed)) = counts(&line) {
            passed += more_passed;
            failed += more_failed;
        }
        if let Some(test) = cargo_skip(&line) {
            // To cargo a test that only says so has passed.
            said_only += 1;
            skipped.push(test);
        }
        skipped.extend(tap_skip(&line));
    }
    let success = child.wait()?.success();
    Ok(Counted { passed: passed.saturating_sub(said_only), failed, skipped, success })
}

/// `skipped: TEST: why`, as `parlor_tests::skip` writes it.
fn cargo_skip(line: &str) -> Option<String> {
    line.strip_prefix("skipped: ").map(str::to_owned)
}

/// `ok 7 - TEST # SKIP why`
fn tap_skip(line: &str) -> Option<String> {
    let (test, why) = line.trim().strip_prefix("ok ")?.split_once(" # SKIP")?;
    Some(format!("{}:{why}", test.split_once(" - ").map_or(test, |(_, name)| name)))
}

/// `test result: ok. 12 passed; 0 failed; …`
fn cargo_counts(line: &str) -> Option<(u64, u64)> {
    let rest = line.trim().strip_prefix("test result: ")?;
    let number = |unit: &str| {
        let part = rest.split([';', '.']).find_map(|part| part.trim().strip_suffix(unit))?;
        part.trim().parse().ok()
    };
    Some((number("passed")?, number("failed")?))
}

/// `# pass 12`, `# fail 0`
fn tap_counts(line: &str) -> Option<(u64, u64)> {
    if let Some(passed) = line.strip_prefix("# pass ") {
        return Some((passed.trim().parse().ok()?, 0));
    }
    Some((0, line.strip_prefix("# fail ")?.trim().parse().ok()?))
}

/// The command line alone must build on a machine without a windowing stack.
fn headless_tree() -> anyhow::Result<()> {
    let tree = output("cargo", &["tree", "-p", "parlor", "--no-default-features", "-e", "normal", "--prefix", "none"])
        .context("cargo tree failed")?;
    let windowing = ["eframe ", "egui ", "winit ", "glutin ", "glow ", "wayland-client ", "x11-dl "];
    let found: Vec<&str> = tree.lines().filter(|line| windowing.iter().any(|name| line.starts_with(name))).collect();
    if !found.is_empty() {
        bail!("it depends on {}", found.join(", "));
    }
    Ok(())
}

/// ring is the one crypto provider, and there is one WebSocket implementation.
fn one_of_each() -> anyhow::Result<()> {
    let tree = output("cargo", &["tree", "--workspace", "-e", "normal,build", "--prefix", "none"])
        .context("cargo tree failed")?;
    let versions = |name: &str| {
        let start = format!("{name} v");
        tree.lines()
            .filter(|line| line.starts_with(&start))
            .filter_map(|line| line.split(' ').nth(1))
            .collect::<std::collections::BTreeSet<_>>()
    };
    if let Some(version) = versions("aws-lc-rs").first() {
        bail!("aws-lc-rs {version} is in the tree");
    }
    let tungstenite = versions("tungstenite");
    if tungstenite.len() != 1 {
        bail!("tungstenite is there in {} versions: {tungstenite:?}", tungstenite.len());
    }
    Ok(())
}

/// The fuzz targets are a workspace of their own: a dependency that a parser's crate has got is in their lock file too.
fn fuzz_lock() -> anyhow::Result<()> {
    let arguments = ["tree", "--locked", "--depth", "0", "--manifest-path", "tests/fuzz/Cargo.toml"];
    output("cargo", &arguments)
        .map(drop)
        .context("it is not up to date: `cargo tree --manifest-path tests/fuzz/Cargo.toml` mends it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_from_cargo_and_from_tap() {
        let line = "test result: FAILED. 12 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out";
        assert_eq!(cargo_counts(line), Some((12, 3)));
        assert_eq!(cargo_counts("running 12 tests"), None);
        assert_eq!(tap_counts("# pass 7"), Some((7, 0)));
        assert_eq!(tap_counts("# fail 1"), Some((0, 1)));
        assert_eq!(tap_counts("ok 1 - a test"), None);
        assert_eq!(cargo_skip("skipped: a_test: no root").as_deref(), Some("a_test: no root"));
        assert_eq!(tap_skip("ok 1 - a test # SKIP no root").as_deref(), Some("a test: no root"));
        assert_eq!(tap_skip("ok 1 - a test"), None);
    }
}
