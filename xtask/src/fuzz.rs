//! `cargo xtask fuzz`: the parsers of outside bytes, for as long as one likes.

use crate::command::{command, is_on_path, root, run as run_command, target_dir};
use crate::packages;

/// Fuzzes one target, or each in turn, for so many seconds.
pub(crate) fn run(arguments: &[&str]) -> anyhow::Result<()> {
    packages::install(&[&packages::BUILD])?;
    install_cargo_fuzz()?;
    let seconds = arguments.iter().find_map(|argument| argument.parse::<u32>().ok()).unwrap_or(60);
    let named: Vec<&str> = arguments.iter().copied().filter(|argument| argument.parse::<u32>().is_err()).collect();
    let targets = if named.is_empty() { targets()? } else { named.into_iter().map(str::to_owned).collect() };
    for target in targets {
        fuzz(&target, seconds)?;
    }
    Ok(())
}

/// What is found on the way stays in `target`; only what breaks a parser belongs into the committed corpus.
fn fuzz(target: &str, seconds: u32) -> anyhow::Result<()> {
    let built = target_dir().join("fuzz");
    let found = built.join("corpus").join(target);
    std::fs::create_dir_all(&found)?;
    let (built, found) = (built.to_string_lossy(), found.to_string_lossy());
    let (known, limit) = (format!("tests/fuzz/corpus/{target}"), format!("-max_total_time={seconds}"));
    let mut words = vec!["fuzz", "run", "--fuzz-dir", "tests/fuzz", "--target-dir", &*built];
    // libFuzzer keeps what it finds in the first folder.
    words.extend([target, &*found, &*known, "--", &*limit, "-print_final_stats=1"]);
    // The sanitizer's flags are not stable yet; this lets the stable compiler take them.
    run_command(command("cargo", &words).env("RUSTC_BOOTSTRAP", "1"))
}

fn install_cargo_fuzz() -> anyhow::Result<()> {
    if is_on_path("cargo-fuzz") {
        return Ok(());
    }
    eprintln!(
        "To fuzz, cargo-fuzz is missing: it builds the targets with libFuzzer and a sanitizer. Installing it with cargo."
    );
    run_command(&mut command("cargo", &["install", "cargo-fuzz", "--locked"]))
}

fn targets() -> anyhow::Result<Vec<String>> {
    let mut names: Vec<String> = std::fs::read_dir(root().join("tests/fuzz/fuzz_targets"))?
        .filter_map(|entry| Some(entry.ok()?.path().file_stem()?.to_string_lossy().into_owned()))
        .collect();
    names.sort();
    Ok(names)
}
