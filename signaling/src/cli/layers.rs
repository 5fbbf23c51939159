//! Flags over `PARLOR_*` variables over the settings file over defaults.
//!
//! A value from the file or a variable becomes the *default* of its flag, so that one parser reads them all and the
//! flag wins. A variable is `PARLOR_` and the key in capitals; a key is the flag's name with `_`, in the plural where
//! the flag may be repeated.

use std::error::Error as _;
use std::ffi::OsString;
use std::path::Path;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, Args as _, Command, CommandFactory as _, FromArgMatches as _, Parser as _};
use toml::Value;

use super::{Cli, Settings};

/// Why there is nothing to run.
#[derive(Debug)]
pub(crate) enum NoCli {
    /// Wrong flags, or the help that was asked for.
    Usage(clap::Error),
    /// A sentence for each thing wrong with the file or a variable.
    Settings(Vec<String>),
}

impl From<clap::Error> for NoCli {
    fn from(error: clap::Error) -> Self {
        Self::Usage(error)
    }
}

/// Reads all layers. `args` begins with the program's name; `variable` looks up the environment.
///
/// # Errors
/// [`NoCli`], with all problems of the file and the variables at once.
pub(crate) fn read(args: &[OsString], variable: impl Fn(&str) -> Option<OsString>) -> Result<Cli, NoCli> {
    let file = Cli::try_parse_from(args)?.config.or_else(|| variable("PARLOR_CONFIG").map(Into::into));
    let settings = Settings::augment_args(Command::new("parlor-server"));
    let mut problems = Vec::new();
    let mut command = Cli::command();
    let mut take = |values: Vec<(String, Vec<String>)>| {
        for (id, texts) in values {
            command = std::mem::take(&mut command).mut_arg(id, |arg| arg.default_values(texts));
        }
    };
    if let Some(path) = file {
        take(from_file(&settings, &path, &mut problems));
    }
    take(from_variables(&settings, variable, &mut problems));
    if !problems.is_empty() {
        return Err(NoCli::Settings(problems));
    }
    Ok(Cli::from_arg_matches(&command.try_get_matches_from(args)?)?)
}

fn from_variables(
    settings: &Command,
    variable: impl Fn(&str) -> Option<OsString>,
    problems: &mut Vec<String>,
) -> Vec<(String, Vec<String>)> {
    let mut values = Vec::new();
    for arg in settings.get_arguments() {
        let name = format!("PARLOR_{}", arg.get_id().as_str().to_uppercase());
        let Some(text) = variable(&name).filter(|text| !text.is_empty()) else { continue };
        let Ok(text) = text.into_string() else {
            problems.push(format!("The variable {name} is not UTF-8."));
            continue;
        };
        let texts =
            if is_list(arg) { text.split(',').map(|part| part.trim().to_owned()).collect() } else { vec![text] };
        match check(settings, arg, &texts) {
            Ok(()) => values.push((arg.get_id().to_string(), texts)),
            Err(why) => problems.push(format!("The variable {name} cannot be {}: {why}.", texts.join(","))),
        }
    }
    values
}

fn from_file(settings: &Command, path: &Path, problems: &mut Vec<String>) -> Vec<(String, Vec<String>)> {
    let shown = path.display();
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            problems.push(format!("Cannot read {shown} ({error}). Check the path after --config."));
            return Vec::new();
        }
    };
    let table: toml::Table = match text.parse() {
        Ok(table) => table,
        Err(error) => {
            problems.push(format!("{shown} is not TOML: {error}"));
            return Vec::new();
        }
    };
    let mut values = Vec::new();
    for (key, value) in table {
        match from_entry(settings, &key, &value) {
            Ok(texts) => values.push((key, texts)),
            Err(problem) => problems.push(format!("{shown}: {problem}")),
        }
    }
    values
}

fn from_entry(settings: &Command, key: &str, value: &Value) -> Result<Vec<String>, String> {
    let Some(arg) = settings.get_arguments().find(|arg| arg.get_id() == key) else {
        let hint = similar(settings, key).map(|id| format!(" Did you mean {id}?")).unwrap_or_default();
        return Err(format!("there is no setting {key}.{hint}"));
    };
    let texts = texts(value).ok_or_else(|| format!("{key} cannot be {value}: this is of the wrong kind."))?;
    if value.is_array() && !is_list(arg) {
        return Err(format!("{key} cannot be {value}: it takes one value, not a list."));
    }
    check(settings, arg, &texts).map_err(|why| format!("{key} cannot be {value}: {why}."))?;
    Ok(texts)
}

/// What could have been typed as a flag; none for a kind that no setting has.
fn texts(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(text) => Some(vec![text.clone()]),
        Value::Integer(number) => Some(vec![number.to_string()]),
        Value::Boolean(boolean) => Some(vec![boolean.to_string()]),
        Value::Array(values) => values.iter().map(|value| texts(value)?.pop()).collect(),
        Value::Float(_) | Value::Datetime(_) | Value::Table(_) => None,
    }
}

/// Reads the values as the flag would; says why they cannot be read.
fn check(settings: &Command, arg: &Arg, texts: &[String]) -> Result<(), String> {
    let flag = arg.get_long().unwrap_or_default();
    let args = texts.iter().map(|text| format!("--{flag}={text}"));
    match settings.clone().no_binary_name(true).try_get_matches_from(args) {
        Ok(_) => Ok(()),
        Err(error) => Err(reason(&error)),
    }
}

fn reason(error: &clap::Error) -> String {
    match (error.kind(), error.source(), error.get(ContextKind::ValidValue)) {
        (_, Some(source), _) => source.to_string(),
        (ErrorKind::InvalidValue, None, Some(ContextValue::Strings(valid))) if !valid.is_empty() => {
            format!("it must be one of {}", valid.join(", "))
        }
        (_, None, _) => "it cannot be read".to_owned(),
    }
}

/// A setting with a name like this one, as clap finds it for flags.
fn similar(settings: &Command, key: &str) -> Option<String> {
    let flag = format!("--{}", key.replace('_', "-"));
    let found = match settings.clone().no_binary_name(true).try_get_matches_from([&flag]) {
        // The flag of a list, whose key is in the plural.
        Ok(_) => flag,
        Err(error) => match error.get(ContextKind::SuggestedArg) {
            Some(ContextValue::String(suggested)) => suggested.clone(),
            _ if error.kind() == ErrorKind::UnknownArgument => return None,
            _ => flag,
        },
    };
    let of_flag = |arg: &&Arg| arg.get_long().is_some_and(|long| found == format!("--{long}"));
    settings.get_arguments().find(of_flag).map(|arg| arg.get_id().to_string())
}

/// Whether the flag may be repeated.
pub(super) fn is_list(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Append)
}

#[cfg(test)]
mod tests {
    use parlor_signaling::{DEFAULT_ICE_SERVER, GuessConfig, ServerConfig, Tls};

    use super::*;

    /// The configuration made of these layers, or what is wrong.
    fn config(args: &[&str], variables: &[(&str, &str)], file: &str) -> Result<ServerConfig, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("parlor.toml");
        std::fs::write(&path, file).unwrap();
        let args: Vec<OsString> = ["parlor-server", "--config", path.to_str().unwrap()]
            .iter()
            .chain(args)
            .map(|arg| OsString::from(*arg))
            .collect();
        let variable = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, text)| (*text).into());
        let cli = read(&args, variable).map_err(|error| match error {
            NoCli::Usage(error) => error.to_string(),
            NoCli::Settings(problems) => problems.join("\n").replace(path.to_str().unwrap(), "parlor.toml"),
        })?;
        cli.settings.into_config().map_err(|problems| problems.join("\n"))
    }

    #[test]
    fn without_any_layer_the_defaults_hold() {
        assert_eq!(format!("{:?}", config(&[], &[], "").unwrap()), format!("{:?}", ServerConfig::default()));
        assert_eq!(ServerConfig::default().hub.ice_servers[0].urls, [DEFAULT_ICE_SERVER]);
    }

    #[test]
    fn a_flag_wins_over_a_variable_and_a_variable_over_the_file() {
        let file = "room_capacity = 3\nmax_rooms = 3\nmax_connections = 3\ntls_self_signed = true";
        let variables = [("PARLOR_ROOM_CAPACITY", "4"), ("PARLOR_MAX_ROOMS", "4"), ("PARLOR_BIND", "")];
        let config = config(&["--room-capacity", "5"], &variables, file).unwrap();
        assert_eq!((config.hub.room_capacity, config.hub.rooms_max, config.connections_max), (5, 4, Some(3)));
        assert_eq!((config.tls, config.bind.port()), (Tls::SelfSigned, 8080));
    }

    #[test]
    fn what_the_file_turns_on_a_flag_can_turn_off() {
        let off = config(&["--tls-self-signed=false"], &[], "tls_self_signed = true").unwrap();
        assert_eq!(off.tls, Tls::Off);
        assert_eq!(config(&["--tls-self-signed"], &[], "").unwrap().tls, Tls::SelfSigned);
    }

    #[test]
    fn lists_replace_the_lists_below_them() {
        let urls = |args: &[&str], variables: &[(&str, &str)], file: &str| -> Vec<String> {
            let servers = config(args, variables, file).unwrap().hub.ice_servers;
            servers.into_iter().flat_map(|server| server.urls).collect()
        };
        let file = r#"ice_servers = ["stun:a", "stun:b"]"#;
        assert_eq!(urls(&[], &[], file), ["stun:a", "stun:b"]);
        assert_eq!(urls(&[], &[("PARLOR_ICE_SERVERS", "stun:c, turn:u:p@d")], file), ["stun:c", "turn:d"]);
        assert_eq!(urls(&["--ice-server", "stun:e"], &[("PARLOR_ICE_SERVERS", "stun:c")], file), ["stun:e"]);
        assert_eq!(urls(&[], &[], r#"ice_servers = "stun:a""#), ["stun:a"]);
        assert!(urls(&["--ice-server", "none"], &[], file).is_empty());
    }

    #[test]
    fn what_is_wrong_is_said_with_the_name_of_the_setting_and_all_at_once() {
        let file =
            "room_capcity = 8\nice_server = []\nxyzzy = 1\nroom_capacity = 1\nbind = [\"0.0.0.0:1\"]\nmax_rooms = 1.5";
        let said = config(&[], &[("PARLOR_MAX_CONNECTIONS", "many")], file).unwrap_err();
        for sentence in [
            "parlor.toml: there is no setting room_capcity. Did you mean room_capacity?",
            "parlor.toml: there is no setting ice_server. Did you mean ice_servers?",
            "parlor.toml: there is no setting xyzzy.",
            "parlor.toml: room_capacity cannot be 1: 1 is not in 2..=64.",
            "parlor.toml: bind cannot be [\"0.0.0.0:1\"]: it takes one value, not a list.",
            "parlor.toml: max_rooms cannot be 1.5: this is of the wrong kind.",
            "The variable PARLOR_MAX_CONNECTIONS cannot be many: it is not a whole number.",
        ] {
            assert!(said.lines().any(|line| line == sentence), "{sentence}\nin\n{said}");
        }
        assert_eq!(said.lines().count(), 7, "{said}");
        assert!(config(&[], &[], "a = ").unwrap_err().starts_with("parlor.toml is not TOML: "));
    }

    #[test]
    fn turn_servers_come_with_the_file_of_their_secret() {
        let args = ["--turn-url", "turn:a", "--turn-url", "turns:b", "--turn-lifetime-seconds", "600"];
        let turn = config(&args, &[("PARLOR_TURN_SECRET_FILE", "s")], "").unwrap().turn.unwrap();
        assert_eq!((turn.urls, turn.secret), (vec!["turn:a".into(), "turns:b".into()], "s".into()));
        assert_eq!(turn.lifetime.as_secs(), 600);
        assert!(config(&args[..2], &[], "").unwrap_err().contains("turn_secret_file"));
        assert!(config(&[], &[], "turn_secret_file = \"s\"").unwrap_err().contains("turn_urls"));
        assert!(config(&["--turn-url", "stun:a"], &[], "").unwrap_err().contains("turn: or turns:"));
    }

    #[test]
    fn every_limit_is_a_setting() {
        let file = "rooms_bytes = 1\nmessage_bytes = 40000\nping_seconds = 3\nsilence_seconds = 7\npage_seconds = 9";
        let guesses = [
            ("PARLOR_GUESSES_PER_ADDRESS", "2"),
            ("PARLOR_GUESSES_PER_ROOM", "3"),
            ("PARLOR_GUESS_WINDOW_SECONDS", "4"),
            ("PARLOR_PASSWORD_BURST", "5"),
        ];
        let config = config(&["--passwords-per-second", "6"], &guesses, file).unwrap();
        assert_eq!((config.hub.rooms_bytes_max, config.hub.message_bytes_max), (1, 40_000));
        let sockets = [config.sockets.ping_interval, config.sockets.silence_max, config.sockets.page_timeout];
        assert_eq!(sockets.map(|time| time.as_secs()), [3, 7, 9]);
        let GuessConfig { per_address, per_room, window, address_hash_burst, address_hashes_per_sec } =
            config.hub.guesses;
        assert_eq!(window.as_secs(), 4);
        assert_eq!([per_address, per_room, address_hash_burst, address_hashes_per_sec], [2, 3, 5, 6]);
    }

    #[test]
    fn who_answers_every_ping_cannot_be_silent_for_too_long() {
        let said = config(&["--ping-seconds", "15"], &[], "").unwrap_err();
        assert_eq!(said, "silence_seconds (15) must be more than ping_seconds (15): three times is good.");
        assert!(config(&["--message-bytes", "65537"], &[], "").unwrap_err().contains("65536"));
    }

    #[test]
    fn half_a_certificate_is_wrong_in_whichever_layer_the_half_is() {
        for (args, file) in [
            (&["--tls-cert", "a"][..], ""),
            (&[], "tls_key = \"a\""),
            (&["--tls-self-signed"], "tls_cert = \"a\"\ntls_key = \"b\""),
        ] {
            let said = config(args, &[], file).unwrap_err();
            assert!(said.contains("tls_"), "{said}");
        }
        let whole = config(&["--tls-cert", "a"], &[], "tls_key = \"b\"").unwrap();
        assert_eq!(whole.tls, Tls::Files { cert: "a".into(), key: "b".into() });
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let args: Vec<OsString> = ["parlor-server"].map(Into::into).into();
        let variable = |name: &str| (name == "PARLOR_CONFIG").then(|| "none.toml".into());
        let Err(NoCli::Settings(problems)) = read(&args, variable) else { panic!("it was read") };
        assert!(problems[0].contains("none.toml"), "{problems:?}");
    }
}
