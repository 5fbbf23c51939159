//! `cargo xtask fuzz`: the parsers of outside bytes, for as long as one likes.

use anyhow::bail;

use crate::command::{command, is_on_path, root, run as run_command};

/// Fuzzes one target, or each in turn, for so many seconds.
pub(crate) fn run(arguments: &[&str]) -> anyhow::Result<()> {
    if !is_on_path("cargo-fuzz") {
        bail!("cargo-fuzz is not installed: `cargo install cargo-fuzz` first");
    }
    let seconds = arguments.iter().find_map(|argument| argument.parse::<u32>().ok()).unwrap_or(60);
    let named: Vec<&str> = arguments.iter().copied().filter(|argument| argument.parse::<u32>().is_err()).collect();
    let targets = if named.is_empty() { targets()? } else { named.into_iter().map(str::to_owned).collect() };
    for target in targets {
        let limit = format!("-max_total_time={seconds}");
        let mut fuzz = command("cargo", &["fuzz", "run", "--fuzz-dir", "tests/fuzz", &target, "--", &limit]);
        // The sanitizer's flags are not stable yet; this lets the stable compiler take them.
        run_command(fuzz.env("RUSTC_BOOTSTRAP", "1"))?;
    }
    Ok(())
}

fn targets() -> anyhow::Result<Vec<String>> {
    let mut names: Vec<String> = std::fs::read_dir(root().join("tests/fuzz/fuzz_targets"))?
        .filter_map(|entry| Some(entry.ok()?.path().file_stem()?.to_string_lossy().into_owned()))
        .collect();
    names.sort();
    Ok(names)
}
