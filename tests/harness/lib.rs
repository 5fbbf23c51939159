//! What the tests in this folder share: the real programs, started, read, directed and ended.
//!
//! The programs are built before the tests (`cargo build --workspace --bins`); `PARLOR` and `PARLOR_SERVER` may name other
//! ones. Waiting is for conditions, with deadlines so generous that only a hang meets them.

pub mod nat;
pub mod peer;
pub mod process;
pub mod programs;
pub mod server;
pub mod sound;
pub mod turn;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use peer::Peer;
pub use process::Process;
pub use server::Server;

/// How long anything may take that takes a second on a quiet machine.
pub const DEADLINE: Duration = Duration::from_secs(90);

/// Says that a test can't be run here, and why; `cargo xtask test` counts it as skipped.
///
/// Written past the test runner, which keeps to itself what passing tests print.
pub fn skip(test: &str, why: &str) {
    use std::io::Write as _;
    // Where nobody reads it, nobody is told.
    let _ = writeln!(std::io::stdout(), "\nskipped: {test}: {why}");
}

/// Lets one test of a file run at a time: calls compete for the processor.
pub fn serial() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    // A test that failed has left nothing behind that matters to the next one.
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}
