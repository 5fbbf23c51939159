//! `cargo xtask run`: the desktop program, or a demonstration where there is no display.

use crate::command::{command, run as run_command, target_dir};
use crate::{demo, packages};

/// Installs what is missing, builds in release and opens the window.
pub(crate) fn run(arguments: &[&str]) -> anyhow::Result<()> {
    packages::install(&[&packages::BUILD, &packages::WINDOW])?;
    let has_display = ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| std::env::var_os(name).is_some());
    if cfg!(target_os = "linux") && !has_display {
        eprintln!("There is no display here (neither DISPLAY nor WAYLAND_DISPLAY is set), so no window can open.");
        eprintln!("A demonstration instead: a server and three headless peers in one room, for ten seconds.");
        run_command(&mut command("cargo", &["build", "--release", "-p", "parlor", "-p", "parlor-signaling"]))?;
        return demo::show(&target_dir().join("release"));
    }
    run_command(&mut command("cargo", &["build", "--release", "-p", "parlor"]))?;
    let program = target_dir().join("release").join(format!("parlor{}", std::env::consts::EXE_SUFFIX));
    run_command(&mut command(&program.to_string_lossy(), arguments))
}
