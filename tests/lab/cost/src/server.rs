//! A signaling server for a call in the same process.

use anyhow::Context as _;
use parlor_signaling::{HubConfig, RunningServer, Secret, ServerConfig, serve};
use tokio::runtime::Runtime;

/// Starts one on loopback, on any free port, which names no ICE servers and keeps nothing.
///
/// # Errors
/// When it can't listen.
pub fn start(runtime: &Runtime) -> anyhow::Result<RunningServer> {
    let config = ServerConfig {
        bind: ([127, 0, 0, 1], 0).into(),
        hub: HubConfig { ice_servers: Vec::new(), ..HubConfig::default() },
        secret: Secret::Given(b"sixteen bytes, and more".to_vec()),
        state_dir: None,
        ..ServerConfig::default()
    };
    runtime.block_on(serve(config)).context("the server does not start")
}
