//! A call without a display: a server, three headless peers, and what each saw and heard of the others.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::Context as _;
use serde_json::Value;

use crate::command::target_dir;
use crate::contact_sheet;

const NAMES: [&str; 3] = ["Ana", "Bo", "Chen"];

/// A process that ends when we do.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only when the process has ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs the demonstration with the binaries of `programs`.
pub(crate) fn show(programs: &Path) -> anyhow::Result<()> {
    let pictures = target_dir().join("demo");
    if pictures.exists() {
        fs::remove_dir_all(&pictures).context("the pictures of the last demonstration can't be removed")?;
    }
    let (_server, address) = start_server(programs)?;
    let mut peers = Vec::new();
    for name in NAMES {
        peers.push((name, start_peer(programs, &address, name, &pictures.join(name))?));
    }
    let mut summaries = Vec::new();
    for (name, mut peer) in peers {
        let output = peer.0.stdout.take().context("a peer has no output")?;
        let mut summary = None;
        for line in BufReader::new(output).lines() {
            let Ok(event) = serde_json::from_str::<Value>(&line?) else { continue };
            match event["event"].as_str() {
                Some("chat") => eprintln!("  {name} reads: {}", event["text"].as_str().unwrap_or_default()),
                Some("error") => eprintln!("  {name}: {}", event["message"].as_str().unwrap_or_default()),
                Some("summary") => summary = Some(event),
                _ => {}
            }
        }
        summaries.push((name, summary.with_context(|| format!("{name} ended without a summary"))?));
    }
    print!("{}", table(&summaries));
    let sheet = contact_sheet::write(&last_pictures(&pictures)?, &target_dir().join("demo/contact-sheet.png"))?;
    println!("\nPictures as each decoded them: {}", sheet.display());
    Ok(())
}

fn start_server(programs: &Path) -> anyhow::Result<(Running, String)> {
    let mut server = Command::new(programs.join("parlor-server"))
        .args(["--bind", "127.0.0.1:0", "--ice-server", "none"])
        .stdout(Stdio::piped())
        .spawn()
        .context("parlor-server could not be started")?;
    let output = server.stdout.take().context("the server has no output")?;
    let server = Running(server);
    for line in BufReader::new(output).lines() {
        if let Some(address) = line?.strip_prefix("listening on ") {
            return Ok((server, address.trim_end_matches('/').to_owned()));
        }
    }
    anyhow::bail!("parlor-server ended before it was listening")
}

fn start_peer(programs: &Path, address: &str, name: &str, pictures: &Path) -> anyhow::Result<Running> {
    let child = Command::new(programs.join("parlor"))
        .arg("join")
        .arg(format!("{address}/r/demo"))
        .args(["--name", name, "--video", "test-pattern", "--audio", "tone", "--speaker", "none"])
        .args(["--headless", "--json", "--duration", "10s", "--say", &format!("Hello from {name}")])
        .arg("--snapshots")
        .arg(pictures)
        .stdout(Stdio::piped())
        .spawn()
        .context("parlor could not be started")?;
    Ok(Running(child))
}

fn table(summaries: &[(&str, Value)]) -> String {
    let mut text = String::from(
        "\nwho    of whom    picture      frames/s  frames  freezes  latency ms  sound dBFS  chat lines  RTT ms\n",
    );
    for (name, summary) in summaries {
        for peer in summary["peers"].as_array().into_iter().flatten() {
            let number = |key: &str| peer[key].as_f64();
            let shown =
                |key: &str, digits: usize| number(key).map_or("–".into(), |value| format!("{value:.digits$}"));
            let size = format!("{}x{}", shown("width", 0), shown("height", 0));
            text += &format!(
                "{name:<6} {:<10} {size:<12} {:>8}  {:>6}  {:>7}  {:>10}  {:>10}  {:>10}  {:>6}\n",
                peer["name"].as_str().unwrap_or("?"),
                shown("fps", 1),
                shown("frames_decoded", 0),
                shown("freezes", 0),
                shown("latency_ms_p50", 1),
                shown("audio_dbfs", 1),
                shown("chat_received", 0),
                shown("rtt_ms", 1),
            );
        }
    }
    text
}

/// The newest picture that each peer has of each other one.
fn last_pictures(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut pictures = Vec::new();
    for name in NAMES {
        let mut found: Vec<PathBuf> = fs::read_dir(folder.join(name))
            .with_context(|| format!("{name} saved no pictures"))?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "png"))
            .collect();
        found.sort();
        for other in NAMES.into_iter().filter(|other| *other != name) {
            let of_other = |path: &&PathBuf| {
                path.file_name()
                    .is_some_and(|file| file.to_string_lossy().to_lowercase().contains(&other.to_lowercase()))
            };
            pictures.extend(found.iter().rfind(of_other).cloned());
        }
    }
    Ok(pictures)
}
