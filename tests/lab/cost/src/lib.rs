//! What the lab's programs that measure cost share: processor time by thread, a clip to encode, a server to
//! meet at, and how a run reports.

pub mod clip;
pub mod report;
pub mod request;
pub mod server;
pub mod threads;
