//! A settings file with every default and its reason, made from the settings themselves.

use clap::{Arg, Args as _, Command};
use toml::Value;

use super::Settings;
use super::layers::is_list;

const HEAD: &str = "\
# The settings of parlor-server, with their defaults. `parlor-server --config FILE` reads this file,
# `parlor-server --config FILE config check` says what is wrong with it.
# A flag (--room-capacity 12) wins over a variable (PARLOR_ROOM_CAPACITY=12), a variable over this file.
";
const LINE_CHARACTERS_MAX: usize = 110;

/// The file's text.
pub(crate) fn example() -> String {
    let settings = Settings::augment_args(Command::new("parlor-server"));
    let mut text = HEAD.to_owned();
    let mut heading = None;
    for arg in settings.get_arguments() {
        if arg.get_help_heading() != heading {
            heading = arg.get_help_heading();
            text += &format!("\n\n# --- {} ---\n", heading.unwrap_or_default());
        }
        text += "\n";
        text += &comment(arg);
        text += &entry(arg);
    }
    text
}

fn comment(arg: &Arg) -> String {
    let help = arg.get_long_help().or(arg.get_help()).map(ToString::to_string).unwrap_or_default();
    let mut lines = vec![String::from("#")];
    for word in help.split_whitespace() {
        let is_full =
            lines.last().is_some_and(|line| line.chars().count() + word.chars().count() > LINE_CHARACTERS_MAX);
        if is_full {
            lines.push(String::from("#"));
        }
        if let Some(line) = lines.last_mut() {
            *line += " ";
            *line += word;
        }
    }
    lines.join("\n") + "\n"
}

/// The setting at its default; one without a default is a comment.
fn entry(arg: &Arg) -> String {
    let defaults: Vec<Value> = arg.get_default_values().iter().map(|text| value(&text.to_string_lossy())).collect();
    let key = arg.get_id();
    match (is_list(arg), defaults.first()) {
        (false, Some(value)) => format!("{key} = {value}\n"),
        (true, Some(_)) => format!("{key} = {}\n", Value::Array(defaults)),
        (is_list, None) => {
            let names = arg.get_value_names().unwrap_or_default();
            let placeholder = Value::from(names.first().map(ToString::to_string).unwrap_or_default());
            if is_list { format!("# {key} = [{placeholder}]\n") } else { format!("# {key} = {placeholder}\n") }
        }
    }
}

fn value(text: &str) -> Value {
    match (text.parse::<i64>(), text.parse::<bool>()) {
        (Ok(number), _) => number.into(),
        (_, Ok(boolean)) => boolean.into(),
        (Err(_), Err(_)) => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::cli::read;
    use parlor_signaling::ServerConfig;

    #[test]
    fn the_example_is_read_back_as_the_defaults() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("example.toml");
        std::fs::write(&path, example()).unwrap();
        let args: Vec<OsString> = vec!["parlor-server".into(), "--config".into(), path.into()];
        let config = read(&args, |_| None).unwrap().settings.into_config().unwrap();
        assert_eq!(format!("{config:?}"), format!("{:?}", ServerConfig::default()));
    }

    #[test]
    fn every_setting_is_in_the_example_with_its_explanation() {
        let example = example();
        let settings = Settings::augment_args(Command::new("parlor-server"));
        for arg in settings.get_arguments() {
            let line = format!("{} = ", arg.get_id());
            let lines: Vec<&str> = example.lines().collect();
            let at = lines.iter().position(|found| found.trim_start_matches("# ").starts_with(&line)).expect(&line);
            assert!(lines[at - 1].starts_with("# "), "{line} is not explained");
            let flag = arg.get_long().unwrap_or_default().replace('-', "_");
            assert!(arg.get_id().as_str().starts_with(&flag), "{flag} and {line} are called differently");
        }
        let operating = include_str!("../../OPERATING.md");
        for limit in settings.get_arguments().filter(|arg| arg.get_help_heading() == Some("Limits")) {
            let name = format!("`{}`", limit.get_id());
            assert!(operating.contains(&name), "OPERATING.md does not name {name}");
        }
        assert!(example.contains("room_capacity = 8\n"), "{example}");
        assert!(example.contains("ice_servers = [\"stun:stun.l.google.com:19302\"]\n"), "{example}");
    }
}
