//! `parlor-lab-net`: the network from the command line.

use std::io::BufRead as _;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use parlor_lab_net::network::Side;
use parlor_lab_net::rule::What;
use parlor_lab_net::{Change, Lab, LabConfig, Rule};
use serde_json::json;

const HELP: &str = "\
A DESCRIPTION of one direction of a link is a list:
  loss=10%            each packet by itself            loss=10%x3   as much, in bursts of 3
  ge=1%/25%           Gilbert–Elliott: good to bad, bad to good [/loss while bad [/loss while good]]
  delay=50ms          one way
  jitter=20ms         up to so much more or less; in order, unless `reorder`
  duplicate=1%        corrupt=0.1%
  rate=1Mbps          of IP packets, headers included  queue=300ms  what would wait longer is dropped
  blackout            nothing passes; blackout=off ends it
  clear               forgets everything before
It changes what it names and leaves the rest. `NAME: ` before it is for one peer; otherwise it is for everybody.

Examples:
  parlor-lab-net --server http://127.0.0.1:8080 --up loss=10%,delay=50ms,jitter=20ms,rate=1Mbps,queue=200ms
  parlor-lab-net --server http://127.0.0.1:8080 --down 'Ana: rate=200kbps' --at '30s Ana: down rate=none'
  parlor-lab-net --server http://127.0.0.1:8080 --at '10s Ana: address dies' --signaling-delay 50ms

Then open the address it prints instead of the server's. Standard input takes, one a line: a rule without its time, such as
`Ana: down loss=5%`; `measure`, from which on lateness is told; `report`; `stop`. Each answer, and the report at the end, is one JSON object a line.
Browsers have to be started with --disable-features=WebRtcHideLocalIpsWithMdns.";

/// A network to break, between Parlor's clients and between any two peers.
#[derive(Debug, Parser)]
#[command(name = "parlor-lab-net", version, after_help = HELP)]
struct Cli {
    /// Where the signaling server is
    #[arg(long, value_name = "URL")]
    server: String,
    /// Where clients shall find it instead
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// The address of the relay's sockets
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    relay_ip: IpAddr,
    /// Equal seeds, equal chances
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// What happens to what peers send
    #[arg(long, value_name = "[NAME:] DESCRIPTION", value_parser = link)]
    up: Vec<(Option<String>, Change)>,
    /// What happens to what peers receive
    #[arg(long, value_name = "[NAME:] DESCRIPTION", value_parser = link)]
    down: Vec<(Option<String>, Change)>,
    /// A change after the first packet: TIME [NAME:] up|down DESCRIPTION, or TIME [NAME:] address dies|moves
    #[arg(long, value_name = "RULE", value_parser = timed)]
    at: Vec<Rule>,
    /// How long each signaling message takes, each way; opening a connection takes four times as long, as TCP and the upgrade do
    #[arg(long, value_name = "TIME", default_value = "0ms", value_parser = delay)]
    signaling_delay: Duration,
}

fn link(text: &str) -> Result<(Option<String>, Change), String> {
    let (who, description) = match text.split_once(':') {
        Some((name, description)) => (Some(name.trim().to_owned()), description),
        None => (None, text),
    };
    description
        .parse()
        .map(|change| (who, change))
        .map_err(|error: parlor_lab_net::conditions::DescriptionError| error.to_string())
}

fn timed(text: &str) -> Result<Rule, String> {
    format!("at {text}").parse().map_err(|error: parlor_lab_net::rule::RuleError| error.to_string())
}

fn delay(text: &str) -> Result<Duration, String> {
    parlor_lab_net::conditions::time(text).ok_or_else(|| "write a time up to a minute, as in 50ms".to_owned())
}

impl Cli {
    fn rules(&self) -> Vec<Rule> {
        let of = |side: Side, links: &[(Option<String>, Change)]| {
            let rule = |(who, change): &(Option<String>, Change)| Rule {
                at: None,
                who: who.clone(),
                what: What::Link(side, change.clone()),
            };
            links.iter().map(rule).collect::<Vec<_>>()
        };
        [of(Side::Up, &self.up), of(Side::Down, &self.down), self.at.clone()].concat()
    }
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let rules = cli.rules();
    // First of all: threads take it over from the one that starts them.
    let scheduling = take_precedence();
    let lab = Lab::start(LabConfig {
        server: cli.server,
        listen: cli.listen,
        relay_ip: cli.relay_ip,
        seed: cli.seed,
        rules,
        signaling_delay: cli.signaling_delay,
    })?;
    println!("listening on {}", lab.address());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (sender, mut lines) = tokio::sync::mpsc::channel(16);
    // Not joined: it waits for standard input, whose end only ends the commands.
    std::thread::Builder::new().name("commands".into()).spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    })?;
    runtime.block_on(async {
        loop {
            tokio::select! {
                stopped = tokio::signal::ctrl_c() => return stopped.context("no signal can be waited for"),
                Some(line) = lines.recv() => match answer(&lab, line.trim(), scheduling) {
                    Some(answer) => println!("{answer}"),
                    None => return Ok(()),
                },
            }
        }
    })?;
    println!("{}", report(&lab, scheduling));
    Ok(())
}

/// Takes the processor before whoever else wants it, where the system allows that (root, or `CAP_SYS_NICE`): a packet that leaves
/// late was delayed by nobody's network. How it is scheduled then.
#[cfg(unix)]
fn take_precedence() -> &'static str {
    use thread_priority::unix::{
        RealtimeThreadSchedulePolicy, ThreadSchedulePolicy, set_thread_priority_and_policy, thread_native_id,
    };
    use thread_priority::{ThreadPriority, ThreadPriorityValue};

    /// Above everything ordinary, below what the kernel runs in real time itself.
    const PRIORITY: u8 = 20;
    let policy = ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::Fifo);
    let is_set = ThreadPriorityValue::try_from(PRIORITY).is_ok_and(|priority| {
        set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Crossplatform(priority), policy).is_ok()
    });
    if is_set { "realtime" } else { "ordinary" }
}

#[cfg(not(unix))]
fn take_precedence() -> &'static str {
    "ordinary"
}

/// What to say to a command; none to stop.
fn answer(lab: &Lab, line: &str, scheduling: &str) -> Option<serde_json::Value> {
    match line {
        "stop" => None,
        "report" => Some(report(lab, scheduling)),
        "measure" => {
            lab.forget_lateness();
            Some(json!({"event": "measuring"}))
        }
        rule => Some(match rule.parse::<Rule>() {
            Ok(parsed) => {
                lab.apply(parsed);
                json!({"event": "applied", "rule": rule})
            }
            Err(error) => json!({"event": "error", "message": error.to_string()}),
        }),
    }
}

fn report(lab: &Lab, scheduling: &str) -> serde_json::Value {
    let mut report = json!(lab.report());
    report["scheduling"] = json!(scheduling);
    report["event"] = json!("report");
    report
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed_and_its_examples_are_understood() {
        Cli::command().debug_assert();
        let examples = HELP.lines().filter_map(|line| line.trim().strip_prefix("parlor-lab-net "));
        let mut count = 0;
        for example in examples {
            let words = example.split('\'').enumerate().flat_map(|(index, part)| match index % 2 {
                0 => part.split_whitespace().map(str::to_owned).collect(),
                _ => vec![part.to_owned()],
            });
            let parsed = Cli::try_parse_from(["parlor-lab-net".to_owned()].into_iter().chain(words));
            assert!(parsed.is_ok(), "{example}: {parsed:?}");
            count += 1;
        }
        assert_eq!(count, 3);
    }

    #[test]
    fn every_command_is_answered_and_what_is_none_is_refused() {
        let lab = Lab::start(LabConfig::new("http://127.0.0.1:1")).unwrap();
        let event = |line: &str| answer(&lab, line, "realtime").map(|answer| answer["event"].clone());
        assert_eq!(event("up loss=1%"), Some(json!("applied")));
        assert_eq!(event("measure"), Some(json!("measuring")));
        assert_eq!(event("sideways"), Some(json!("error")));
        assert_eq!(answer(&lab, "report", "realtime").unwrap()["scheduling"], "realtime");
        assert_eq!(event("stop"), None);
    }

    #[test]
    fn one_peers_link_is_told_from_everybodys() {
        let cli = Cli::try_parse_from([
            "parlor-lab-net",
            "--server",
            "http://a:1",
            "--up",
            "loss=1%",
            "--down",
            "Ana: rate=1Mbps",
            "--at",
            "3s Bo: address dies",
        ]);
        let rules: Vec<Rule> = cli.unwrap().rules();
        let wanted = ["up loss=1%", "Ana: down rate=1Mbps", "at 3s Bo: address dies"];
        assert_eq!(rules, wanted.map(|rule| rule.parse::<Rule>().unwrap()));
    }
}
