//! `parlor-lab-load`: puts one kind of load on a server and prints what came of it, as JSON.

use std::io::{BufRead as _, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use clap::{Parser, Subcommand};
use parlor_lab_signaling::client::{Target, Wire};
use parlor_lab_signaling::relay::Pace;
use parlor_lab_signaling::{abuse, idle, reconnect, relay};
use serde::Serialize;

/// Load for signaling servers on this machine.
#[derive(Debug, Parser)]
struct Cli {
    /// Where the server listens, loopback only; repeated for servers that share their rooms, which get the clients in turn
    #[arg(long = "address", required = true)]
    addresses: Vec<SocketAddr>,
    /// The server's process
    #[arg(long)]
    pid: u32,
    /// What it speaks: echo, parlor or socket-io
    #[arg(long)]
    wire: Wire,
    /// Speak TLS
    #[arg(long)]
    tls: bool,
    /// Source addresses, from 127.0.0.2 on
    #[arg(long, default_value_t = 250)]
    sources: u8,
    #[command(subcommand)]
    load: Load,
}

#[derive(Debug, Subcommand)]
enum Load {
    /// Members who say nothing, measured at each of these counts
    Idle {
        /// In rising order
        #[arg(long, value_delimiter = ',')]
        counts: Vec<usize>,
        /// Seconds to wait before each measurement
        #[arg(long, default_value_t = 6.0)]
        settle: f64,
        /// The server collects its garbage on SIGUSR2
        #[arg(long)]
        collects_garbage: bool,
    },
    /// Members who signal to each other
    Relay {
        #[arg(long, default_value_t = 1_000)]
        members: usize,
        /// Signals a second; without it as many as the server relays
        #[arg(long)]
        rate: Option<f64>,
        /// Signals of each member on their way, without a rate
        #[arg(long, default_value_t = 1)]
        tokens: u32,
        #[arg(long, default_value_t = 1.0)]
        warm_up: f64,
        #[arg(long, default_value_t = 5.0)]
        measure: f64,
    },
    /// Members who all come back at once; prints `restart` and reads a line when the server has been restarted
    Reconnect {
        #[arg(long, default_value_t = 10_000)]
        members: usize,
    },
    /// Clients that misbehave
    Abuse {
        #[arg(long, default_value_t = 10.0)]
        seconds: f64,
    },
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    anyhow::ensure!(
        cli.addresses.iter().all(|address| address.ip().is_loopback()),
        "load goes to servers on this machine only"
    );
    let target = Target { addrs: cli.addresses, wire: cli.wire, tls: cli.tls, sources: cli.sources };
    match cli.load {
        Load::Idle { counts, settle, collects_garbage } => {
            let settle = Duration::try_from_secs_f64(settle)?;
            print(&idle::run(&target, &idle::Plan { counts, settle, server: cli.pid, collects_garbage }).await?)
        }
        Load::Relay { members, rate, tokens, warm_up, measure } => {
            let plan = relay::Plan {
                members,
                pace: rate.map_or(Pace::Closed { tokens }, Pace::Rate),
                warm_up: Duration::try_from_secs_f64(warm_up)?,
                measure: Duration::try_from_secs_f64(measure)?,
                server: cli.pid,
            };
            print(&relay::run(&target, &plan).await?)
        }
        Load::Reconnect { members } => print(&reconnect::run(&target, members, restarted).await?),
        Load::Abuse { seconds } => {
            let duration = Duration::try_from_secs_f64(seconds)?;
            let bounds = abuse::Bounds { duration, connections: 100_000, flood: 10_000_000 };
            print(&abuse::run(&target, &abuse::Kind::ALL, bounds).await)
        }
    }
}

async fn restarted() -> anyhow::Result<()> {
    println!("restart");
    std::io::stdout().flush()?;
    let mut line = String::new();
    // Nothing else runs in this process meanwhile.
    std::io::stdin().lock().read_line(&mut line)?;
    anyhow::ensure!(!line.is_empty(), "the server was not restarted");
    Ok(())
}

fn print(report: &impl Serialize) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string(report)?);
    Ok(())
}
