//! A screen of its own: this program again, inside Xvfb, with nothing of the user's settings.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};

/// Set for the program inside.
const INSIDE: &str = "PARLOR_LAB_SCREEN";
const SIZE: &str = "1280x800x24";
/// Opening, settling and ending, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// Ends with this.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether this is the program that has the screen.
pub(crate) fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Runs this program with the same arguments on a screen of its own.
pub(crate) fn run_inside(span: Duration) -> anyhow::Result<ExitCode> {
    let mut command = Command::new("Xvfb");
    command.args(["-displayfd", "1", "-screen", "0", SIZE, "-nolisten", "tcp", "-noreset"]);
    let spawned = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut server = Process(spawned.context("Xvfb is needed: `cargo xtask test` installs it")?);
    let mut display = String::new();
    let output = server.0.stdout.take().context("Xvfb has no output")?;
    BufReader::new(output).read_line(&mut display)?;
    ensure!(!display.trim().is_empty(), "Xvfb gave no display");
    let folder = tempfile::tempdir()?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(std::env::args_os().skip(1)).env(INSIDE, "1").env("DISPLAY", format!(":{}", display.trim()));
    command.env_remove("WAYLAND_DISPLAY").env("LIBGL_ALWAYS_SOFTWARE", "1");
    for name in ["XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR"] {
        command.env(name, folder.path());
    }
    let mut inside = Process(command.spawn()?);
    let until = Instant::now() + PATIENCE + span;
    loop {
        if let Some(status) = inside.0.try_wait()? {
            return Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        if Instant::now() > until {
            bail!("the window gave no figures in time");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Gives the window the keyboard, as a window manager would: a focused field may well paint more often than another.
pub(crate) fn focus() -> anyhow::Result<()> {
    let until = Instant::now() + PATIENCE;
    loop {
        let found = Command::new("xdotool")
            .args(["search", "--onlyvisible", "--name", "^Parlor", "windowfocus", "--sync"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .context("xdotool is needed: `cargo xtask test` installs it")?;
        if found.success() {
            return Ok(());
        }
        ensure!(Instant::now() < until, "no window came");
        std::thread::sleep(Duration::from_millis(200));
    }
}
