//! What a benchmark ran on.

use serde_json::{Value, json};

use crate::command::output;

/// The machine, its load now and the versions of what is measured with.
pub(super) fn describe() -> Value {
    json!({
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "processor": line("/proc/cpuinfo", "model name"),
        "memory": line("/proc/meminfo", "MemTotal"),
        "kernel": said("uname", &["-sr"]),
        "rustc": said("rustc", &["--version"]),
        "node": said("node", &["--version"]),
        "commit": said("git", &["describe", "--always", "--dirty"]),
    })
}

/// How busy the machine was in the last minute, five and fifteen minutes: runnable processes.
pub(super) fn load() -> Value {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).filter_map(|number| number.parse::<f64>().ok()).collect()
}

fn line(path: &str, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let (_, value) = text.lines().find(|line| line.starts_with(name))?.split_once(':')?;
    Some(value.trim().to_owned())
}

fn said(program: &str, arguments: &[&str]) -> Option<String> {
    output(program, arguments).map(|text| text.trim().to_owned())
}
