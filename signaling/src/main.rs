//! `parlor-server`: the signaling server by itself.

mod cli;

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use parlor_signaling::{Server, ServerConfig, bind, check, raise_descriptor_limit};
use tracing_subscriber::EnvFilter;

use crate::cli::{Command, ConfigCommand, LogFormat, NoCli, example};

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args_os().collect();
    let cli = match cli::read(&args, |name| std::env::var_os(name)) {
        Ok(cli) => cli,
        Err(NoCli::Usage(error)) => error.exit(),
        Err(NoCli::Settings(problems)) => return complain(&problems),
    };
    raise_descriptor_limit();
    let access_key_file = cli.settings.access_key_file();
    let log_format = cli.settings.log_format();
    let config = cli.settings.into_config();
    match (cli.command, config) {
        (Some(Command::Config(ConfigCommand::Example)), _) => print(&example()),
        (Some(Command::Token(invite)), _) => match invite.print(access_key_file) {
            Ok(text) => print(&text),
            Err(problem) => complain(&[problem]),
        },
        (_, Err(problems)) => complain(&problems),
        (Some(Command::Config(ConfigCommand::Check)), Ok(config)) => match check(&config) {
            Ok(()) => print("The settings are good.\n"),
            Err(error) => complain(&[error.to_string()]),
        },
        (None, Ok(config)) => run(config, log_format),
    }
}

/// Says all that is wrong with the settings.
fn complain(problems: &[String]) -> ExitCode {
    for problem in problems {
        eprintln!("parlor-server: {problem}");
    }
    ExitCode::FAILURE
}

fn print(text: &str) -> ExitCode {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        // Nobody reads on; there is nobody to tell.
        Err(_) => ExitCode::FAILURE,
    }
}

fn run(config: ServerConfig, log_format: LogFormat) -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let colours = std::io::stderr().is_terminal();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match log_format {
        LogFormat::Text => log.with_ansi(colours).init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
    match serve(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Not the sources too: the sentence holds them.
            complain(&[error.to_string()])
        }
    }
}

#[tokio::main]
async fn serve(config: ServerConfig) -> anyhow::Result<()> {
    let stop = stop_signal()?;
    let server = bind(config).await?;
    announce(&server);
    server.run(stop).await;
    tracing::info!("stopped");
    Ok(())
}

/// One line for each address, on standard output, for people and for the programs that start this one.
fn announce(server: &Server) {
    let mut lines: String = server.urls().iter().map(|url| format!("listening on {url}\n")).collect();
    if let Some(url) = server.public_url() {
        lines += &format!("known as {url}\n");
    }
    if let Some(fingerprint) = server.fingerprint() {
        lines += &format!("certificate fingerprint {fingerprint} (links to rooms end in #fp={fingerprint})\n");
    }
    let mut stdout = std::io::stdout().lock();
    if let Err(error) = stdout.write_all(lines.as_bytes()).and_then(|()| stdout.flush()) {
        tracing::warn!(%error, "nobody reads where this server listens");
    }
}

/// Ready when the user or the system wants the program to stop. The signals are caught from this call on.
#[cfg(unix)]
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

#[cfg(not(unix))]
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    Ok(async {
        if let Err(error) = tokio::signal::ctrl_c().await {
            tracing::error!(%error, "cannot wait for Ctrl-C");
            std::future::pending::<()>().await;
        }
    })
}
