//! `cargo xtask …`: everything one does with this repository, each in one command.

mod bench;
mod camera;
mod command;
mod contact_sheet;
mod demo;
mod fuzz;
mod packages;
mod run;
mod test;

use std::process::ExitCode;

const HELP: &str = "\
cargo xtask <command>

  run [arguments for parlor]   install what is missing, build in release, open the desktop program;
                               with no display: a demonstration with a server and three headless peers
  test                         install what the tests need and run all of them, as CI does
  test <part>                  one part: lint, rust, browser, camera (a real V4L2 device in a small VM), turn (long calls behind NATs)
  bench [name…] [--quick]      measure beside others, or list what can be; figures go to target/bench, tables beside the code
  fuzz [target] [seconds]      fuzz the parsers of outside bytes, all in turn or one (installs cargo-fuzz)
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments.as_slice() {
        ["run", rest @ ..] => run::run(rest),
        ["test"] => test::all(),
        ["test", "camera"] => camera::test(),
        ["test", part] => test::part(part),
        ["bench", rest @ ..] => bench::run(rest),
        ["fuzz", rest @ ..] => fuzz::run(rest),
        [] | ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            Ok(())
        }
        _ => Err(anyhow::anyhow!("there is no such command\n\n{HELP}")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
