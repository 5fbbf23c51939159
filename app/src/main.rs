//! `parlor`: a call in a window, or without one.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use parlor::cli::{Choices, Cli, Command, DevicesArgs, JoinArgs, UsageError};
use parlor::config::{Config, ConfigError};
use parlor::devices::Devices;
use parlor::headless::{self, HeadlessError, Outcome};
use parlor::join_target;
use tracing_subscriber::EnvFilter;

/// Wrong usage, as clap has it too.
const USAGE: u8 = 2;
/// What is logged without RUST_LOG.
///
/// The stack warns on every healthy connection (a packet before its time, a channel that both ends open), and calls it
/// an error when a STUN server's name cannot be looked up, which without a network is no news, and when a TURN server
/// does not relay into private networks, which none should; whether a connection comes about is told to the user in
/// words, and that no relay gave an address is logged by the engine.
const DEFAULT_LOG: &str = "warn,rtc=error,webrtc=error,webrtc::peer_connection::transport::stun_gatherer=off,\
                           webrtc::peer_connection::transport::turn_relayer=off";
/// 128 and the number of SIGINT, as shells have it.
const INTERRUPTED: u8 = 130;

/// Everything that ends the program with a sentence.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Usage(#[from] UsageError),
    #[error(transparent)]
    Environment(#[from] clap::Error),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Headless(#[from] HeadlessError),
    #[cfg(feature = "gui")]
    #[error("{0:#}")]
    Window(anyhow::Error),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT_LOG));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match run(cli) {
        Ok(code) => code,
        Err(Failure::Environment(error)) => error.exit(),
        Err(failure) => {
            eprintln!("parlor: {failure}");
            match failure {
                Failure::Usage(_) | Failure::Config(_) | Failure::Environment(_) => ExitCode::from(USAGE),
                Failure::Headless(_) => ExitCode::FAILURE,
                #[cfg(feature = "gui")]
                Failure::Window(_) => ExitCode::FAILURE,
            }
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode, Failure> {
    match (cli.command, cli.link) {
        (Some(Command::Devices(arguments)), _) => Ok(list_devices(&arguments)),
        (Some(Command::Join(join)), _) if join.headless => join_headless(*join),
        (Some(Command::Join(join)), _) => {
            let JoinArgs { room, choices, .. } = *join;
            open_window(Some(room), choices)
        }
        (None, Some(text)) if !join_target::is_link(&text) => Err(UsageError::NotALink(text).into()),
        (None, link) => open_window(link, Choices::from_env()?),
    }
}

fn list_devices(arguments: &DevicesArgs) -> ExitCode {
    let devices = Devices::find();
    let text = if arguments.json { format!("{}\n", devices.to_json()) } else { devices.to_text() };
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_nobody_reads) => ExitCode::FAILURE,
    }
}

fn join_headless(join: JoinArgs) -> Result<ExitCode, Failure> {
    let options = join.headless_options(&Config::load()?)?;
    Ok(match headless::run(options)? {
        Outcome::Done => ExitCode::SUCCESS,
        Outcome::Failed => ExitCode::FAILURE,
        Outcome::Interrupted => ExitCode::from(INTERRUPTED),
    })
}

#[cfg(feature = "gui")]
fn open_window(room_or_link: Option<String>, choices: Choices) -> Result<ExitCode, Failure> {
    choices.check_files()?;
    let config = Config::load()?;
    let options = parlor::cli::window_options(room_or_link, choices, config)?;
    parlor::ui::run(options).map_err(Failure::Window)?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(not(feature = "gui"))]
fn open_window(_: Option<String>, _: Choices) -> Result<ExitCode, Failure> {
    Err(UsageError::NoWindow.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_filter_is_one() {
        let filter = EnvFilter::builder().parse(DEFAULT_LOG).unwrap();
        assert_eq!(filter.max_level_hint(), Some(tracing_subscriber::filter::LevelFilter::WARN));
    }
}
