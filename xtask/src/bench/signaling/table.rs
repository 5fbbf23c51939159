//! What the figures say, for people: the ratios first, what they are made of second.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Map, Value};

use crate::bench::document;
use crate::bench::limit::Limit;
use crate::bench::statistics::Spread;

/// One row: what is compared, in each round, with what was to be reached.
struct Row {
    key: &'static str,
    name: &'static str,
    /// None: reported only.
    goal: Option<Limit>,
    digits: usize,
    value: fn(&Value) -> f64,
}

fn number(round: &Value, path: &str) -> f64 {
    round.pointer(path).and_then(Value::as_f64).unwrap_or(f64::NAN)
}

fn ratio(round: &Value, path: &str, other: &str) -> f64 {
    number(round, path) / number(round, other)
}

const ROWS: [Row; 14] = [
    Row {
        key: "memory_to_echo",
        name: "memory per idle member, ÷ TCP echo's",
        goal: Some(Limit::AtMost(3.0)),
        digits: 2,
        value: |round| ratio(round, "/parlor/idle/bytes_per_member", "/echo/idle/bytes_per_member"),
    },
    Row {
        key: "memory_to_socket_io",
        name: "memory per idle member, ÷ socket.io's",
        goal: Some(Limit::AtMost(0.3)),
        digits: 2,
        value: |round| ratio(round, "/parlor/idle/bytes_per_member", "/socket_io/idle/bytes_per_member"),
    },
    Row {
        key: "memory_tls_bytes",
        name: "memory per idle member over TLS, bytes",
        goal: None,
        digits: 0,
        value: |round| number(round, "/parlor_tls/idle/bytes_per_member"),
    },
    Row {
        key: "held",
        name: "members held, each reached by a signal",
        goal: Some(Limit::AtLeast(15_000.0)),
        digits: 0,
        value: |round| number(round, "/parlor/held/reached"),
    },
    Row {
        key: "per_cpu_second_to_socket_io",
        name: "signals relayed per CPU-second, ÷ socket.io's",
        goal: Some(Limit::AtLeast(3.0)),
        digits: 2,
        value: |round| ratio(round, "/parlor/burst/per_cpu_second", "/socket_io/burst/per_cpu_second"),
    },
    Row {
        key: "per_cpu_second_to_ws",
        name: "signals relayed per CPU-second, ÷ ws's",
        goal: Some(Limit::AtLeast(1.5)),
        digits: 2,
        value: |round| ratio(round, "/parlor/burst/per_cpu_second", "/ws/burst/per_cpu_second"),
    },
    Row {
        key: "p99_to_echo_half_burst",
        name: "p99 relay delay at half of what the bursts gave, ÷ TCP echo's at that rate",
        goal: Some(Limit::AtMost(3.0)),
        digits: 2,
        value: |round| ratio(round, "/parlor/half_burst/delay/p99_us", "/echo/half_burst/delay/p99_us"),
    },
    Row {
        key: "p99_to_echo",
        name: "the same at half of the highest steady rate",
        goal: None,
        digits: 2,
        value: |round| ratio(round, "/parlor/half_load/delay/p99_us", "/echo/half_load/delay/p99_us"),
    },
    Row {
        key: "reconnect_lost",
        name: "of 10,000 who reconnect at once: not back with their ids",
        goal: Some(Limit::AtMost(0.0)),
        digits: 0,
        value: |round| number(round, "/parlor/reconnect/members") - number(round, "/parlor/reconnect/back"),
    },
    Row {
        key: "reconnect_p99_ms",
        name: "the same: p99 from the restart to `joined`, ms",
        goal: None,
        digits: 0,
        value: |round| number(round, "/parlor/reconnect/join/p99_us") / 1_000.0,
    },
    Row {
        key: "abused_p99",
        name: "100 honest people beside abusers: p99, ÷ the quiet one",
        goal: Some(Limit::AtMost(2.0)),
        digits: 2,
        value: |round| ratio(round, "/parlor/abuse/abused/delay/p99_us", "/parlor/abuse/quiet/delay/p99_us"),
    },
    Row {
        key: "abused_lost",
        name: "the same: signals lost, out of order or refused",
        goal: Some(Limit::AtMost(0.0)),
        digits: 0,
        value: |round| {
            let of = |name: &str| number(round, &format!("/parlor/abuse/abused/{name}"));
            of("lost") + of("out_of_order") + of("refused")
        },
    },
    Row {
        key: "second_server_ms",
        name: "from a second server over Redis: more at p50, ms",
        goal: Some(Limit::AtMost(1.0)),
        digits: 2,
        value: |round| {
            let p50 = |of: &str| number(round, &format!("/parlor/{of}/delay/p50_us"));
            (p50("two_servers") - p50("abuse/quiet")) / 1_000.0
        },
    },
    Row {
        key: "others_share",
        name: "share of the machine that other programs used meanwhile",
        goal: None,
        digits: 2,
        value: |round| {
            let loads = ["echo", "parlor", "ws", "socket_io"]
                .map(|name| number(round, &format!("/{name}/burst/cpu/others_share")));
            loads.iter().sum::<f64>() / 4.0
        },
    },
];

/// What each contender did, in absolute numbers.
const ABSOLUTE: [(&str, &str, usize, f64); 9] = [
    ("memory per idle member, bytes", "idle/bytes_per_member", 0, 1.0),
    ("signals per CPU-second", "burst/per_cpu_second", 0, 1.0),
    ("signals per second", "burst/per_second", 0, 1.0),
    ("half of the steady rate: signals per second", "half_load/per_second", 0, 1.0),
    ("half of the steady rate: p50 delay, ms", "half_load/delay/p50_us", 2, 0.001),
    ("half of the steady rate: p99 delay, ms", "half_load/delay/p99_us", 2, 0.001),
    ("half of the bursts: signals per second", "half_burst/per_second", 0, 1.0),
    ("half of the bursts: p50 delay, ms", "half_burst/delay/p50_us", 2, 0.001),
    ("half of the bursts: p99 delay, ms", "half_burst/delay/p99_us", 2, 0.001),
];
const CONTENDERS: [(&str, &str); 5] = [
    ("TCP echo", "echo"),
    ("parlor-server", "parlor"),
    ("with TLS", "parlor_tls"),
    ("ws", "ws"),
    ("socket.io", "socket_io"),
];

/// The rows as numbers.
pub(super) fn figures(rounds: &[Value]) -> Value {
    let row = |row: &Row| Some((row.key.to_owned(), Spread::of(rounds.iter().map(row.value))?.to_json()));
    Value::Object(ROWS.iter().filter_map(row).collect::<Map<_, _>>())
}

/// The tables, in Markdown.
pub(super) fn markdown(all: &Value) -> String {
    let rounds = all["rounds"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut text = String::from("| figure | to reach | measured | |\n|---|---|---|---|\n");
    for row in &ROWS {
        let Some(spread) = Spread::of(rounds.iter().map(row.value)) else { continue };
        let Row { name, goal, digits, .. } = row;
        let measured = spread.shown(*digits);
        let (goal, verdict) = match goal {
            Some(limit) => (limit.shown(*digits), limit.verdict(spread.median)),
            None => ("reported".to_owned(), "–".to_owned()),
        };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "| {name} | {goal} | {measured} | {verdict} |");
    }
    let names = CONTENDERS.map(|(name, _)| name).join(" | ");
    let _ = writeln!(text, "\n| absolute | {names} |\n|---|{}", "---|".repeat(CONTENDERS.len()));
    for (name, path, digits, unit) in ABSOLUTE {
        let cells = CONTENDERS.map(|(_, contender)| {
            let values = rounds.iter().map(|round| number(round, &format!("/{contender}/{path}")) * unit);
            Spread::of(values).map_or("–".to_owned(), |spread| spread.shown(digits))
        });
        let _ = writeln!(text, "| {name} | {} |", cells.join(" | "));
    }
    let machine = &all["machine"];
    let word = |name: &str| machine[name].as_str().unwrap_or("?").to_owned();
    let _ = writeln!(
        text,
        "\nMedians over {} rounds, in brackets the least and the most. {} cores ({}), {}, {}, node {}, ws {}, socket.io {}, commit {}.",
        rounds.len(),
        machine["cores"],
        word("processor"),
        word("kernel"),
        word("rustc"),
        word("node"),
        all["versions"]["ws"].as_str().unwrap_or("?"),
        all["versions"]["socket.io"].as_str().unwrap_or("?"),
        word("commit"),
    );
    text
}

const MARKS: (&str, &str) = ("<!-- figures: written by `cargo xtask bench signaling` -->", "<!-- end of figures -->");

/// Puts the tables into the document, between its two marks.
pub(super) fn write(path: &Path, table: &str) -> anyhow::Result<()> {
    document::write(path, MARKS, table)?;
    eprintln!("The table is in {}", path.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn round(parlor: f64) -> Value {
        json!({
            "echo": {"idle": {"bytes_per_member": 1_000.0}},
            "parlor": {"idle": {"bytes_per_member": parlor}},
            "socket_io": {"idle": {"bytes_per_member": 20_000.0}},
        })
    }

    #[test]
    fn ratios_are_taken_within_each_round() {
        let figures = figures(&[round(2_000.0), round(4_000.0), round(2_500.0)]);
        assert_eq!(figures["memory_to_echo"], json!({"median": 2.5, "min": 2.0, "max": 4.0}));
        assert_eq!(figures.get("held"), None, "what was not measured has no figure");
    }
}
