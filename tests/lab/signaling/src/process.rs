//! What the system says of a process: memory and processor time (Linux's `/proc`).

use std::fs;

use anyhow::Context as _;
use serde::Serialize;

/// The unit of times in `/proc` (`USER_HZ`): 100 on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// Memory of a process, in KiB.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Memory {
    /// Resident: what `VmRSS` says.
    pub rss_kib: u64,
    /// The same, shared pages divided among those that share them.
    pub pss_kib: Option<u64>,
}

/// The memory of a process now.
///
/// # Errors
/// Where there is no such process.
pub fn memory(pid: u32) -> anyhow::Result<Memory> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).context("the server is gone")?;
    let rss_kib = kib(&status, "VmRSS:").context("no VmRSS")?;
    let pss_kib = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok().and_then(|text| kib(&text, "Pss:"));
    Ok(Memory { rss_kib, pss_kib })
}

fn kib(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name))?.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// Seconds of processor time, of one server, of this process and of the whole machine, up to now.
#[derive(Clone, Copy, Debug)]
pub struct CpuTimes {
    server: f64,
    load: f64,
    busy: f64,
    all: f64,
}

/// Where the processor time between two moments went.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct CpuUse {
    /// Seconds of the server, user and system.
    pub server_seconds: f64,
    /// Seconds of this process.
    pub load_seconds: f64,
    /// The share of the whole machine that other processes used: what disturbed the measurement.
    pub others_share: f64,
}

impl CpuTimes {
    /// Up to now.
    ///
    /// # Errors
    /// Where there is no such process.
    pub fn now(server: u32) -> anyhow::Result<Self> {
        let (busy, all) = machine_seconds()?;
        Ok(Self { server: cpu_seconds(server)?, load: cpu_seconds(std::process::id())?, busy, all })
    }

    /// From `self` to `later`.
    pub fn until(&self, later: &Self) -> CpuUse {
        let (server_seconds, load_seconds) = (later.server - self.server, later.load - self.load);
        let others = (later.busy - self.busy - server_seconds - load_seconds).max(0.0);
        CpuUse { server_seconds, load_seconds, others_share: others / (later.all - self.all).max(f64::EPSILON) }
    }
}

fn cpu_seconds(pid: u32) -> anyhow::Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).context("the server is gone")?;
    // The second field is a name in brackets, which may hold anything.
    let (_, rest) = stat.rsplit_once(')').context("no process statistics")?;
    let ticks = rest.split_whitespace().skip(11).take(2).map(str::parse::<u64>).sum::<Result<u64, _>>()?;
    Ok(ticks as f64 / TICKS_PER_SECOND)
}

/// Busy and all processor time of the machine.
fn machine_seconds() -> anyhow::Result<(f64, f64)> {
    let stat = fs::read_to_string("/proc/stat")?;
    let line = stat.lines().next().and_then(|line| line.strip_prefix("cpu ")).context("no machine statistics")?;
    // user, nice, system, idle, iowait, irq, softirq, steal; guests are in user already.
    let ticks = line.split_whitespace().take(8).map(str::parse).collect::<Result<Vec<u64>, _>>()?;
    let all: u64 = ticks.iter().sum();
    let idle: u64 = ticks.iter().skip(3).take(2).sum();
    Ok(((all - idle) as f64 / TICKS_PER_SECOND, all as f64 / TICKS_PER_SECOND))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_and_uses_the_processor() {
        let pid = std::process::id();
        let before = CpuTimes::now(pid).unwrap();
        assert!(memory(pid).unwrap().rss_kib > 100);
        let mut number = 1_u64;
        let later = loop {
            for _ in 0..10_000_000 {
                number = std::hint::black_box(number.wrapping_mul(6_364_136_223_846_793_005));
            }
            let later = CpuTimes::now(pid).unwrap();
            if before.until(&later).server_seconds > 0.0 {
                break later;
            }
        };
        assert!((0.0..=1.0).contains(&before.until(&later).others_share));
    }

    #[test]
    fn a_process_that_is_not_there_is_an_error() {
        assert!(memory(u32::MAX).is_err());
    }
}
