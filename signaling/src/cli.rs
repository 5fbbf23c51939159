//! The command line: what the program can do, and where its settings come from.
// The settings' explanations are also what --help prints, where <…> around an address would only disturb.
#![allow(rustdoc::bare_urls)]

mod example;
mod invite;
mod layers;
mod settings;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

pub(crate) use self::example::example;
pub(crate) use self::invite::Invite;
pub(crate) use self::layers::{NoCli, read};
pub(crate) use self::settings::{LogFormat, Settings};

const EXAMPLES: &str = "\
Examples:
  parlor-server                                  every interface, port 8080
  parlor-server --bind 127.0.0.1:0               this machine only, any free port
  parlor-server --tls-self-signed                encrypted, so that browsers elsewhere give camera and microphone
  parlor-server --bind 0.0.0.0:443 --tls-cert cert.pem --tls-key key.pem
  parlor-server --ice-server stun:stun.example.org:3478 --ice-server turn:USER:PASSWORD@turn.example.org:3478
  parlor-server --ice-server none                no STUN: calls within one network only
  parlor-server config example > parlor.toml     all settings with their defaults and reasons, in a file
  parlor-server --config parlor.toml config check
  parlor-server --access token --access-key-file key.txt          only for who has an access token
  parlor-server token --key-file key.txt --room tea --ttl 1h --server https://meet.example.org

Each setting can also be a variable (PARLOR_ROOM_CAPACITY=12; PARLOR_ICE_SERVERS=A,B) or a line of the --config file
(room_capacity = 12; ice_servers = [\"A\", \"B\"]). A flag wins over a variable, a variable over the file.

Standard output gets one line for each address (\"listening on http://…\"), standard error the log (RUST_LOG filters it).
Exit codes: 0 stopped by a signal, 1 failed, 2 wrong usage.";

/// The signaling server of Parlor calls: it brings people together, and serves the page for browsers. Pictures and
/// sound go from person to person, not through it.
#[derive(Debug, Parser)]
#[command(name = "parlor-server", version, after_help = EXAMPLES, subcommand_value_name = "COMMAND")]
pub(crate) struct Cli {
    /// A file of settings (TOML)
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) settings: Settings,

    /// Without one, the server runs.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// What the program does beside running the server.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Look at the settings
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print an access token, which invites one person to one room of a server with --access token
    Token(Invite),
}

/// What can be done with the settings.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Say what is wrong with the flags, the PARLOR_* variables, the --config file and the files they name
    Check,
    /// Print a settings file with every default and its reason
    Example,
}
