//! `parlor-server`: the signaling server by itself.

mod cli;

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use clap::Parser as _;
use parlor_signaling::{Server, bind};
use tracing_subscriber::EnvFilter;

use crate::cli::Cli;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let colours = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr).init();
    match serve(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Not the sources too: the sentence holds them.
            eprintln!("parlor-server: {error}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn serve(cli: Cli) -> anyhow::Result<()> {
    let stop = stop_signal()?;
    let server = bind(cli.into_config()).await?;
    announce(&server);
    server.run(stop).await;
    tracing::info!("stopped");
    Ok(())
}

/// One line for each address, on standard output, for people and for the programs that start this one.
fn announce(server: &Server) {
    let mut lines: String = server.urls().iter().map(|url| format!("listening on {url}\n")).collect();
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
