//! Parlor, the program: its command line, its settings, and its window.

pub mod cli;
pub mod config;
pub mod credentials;
pub mod devices;
pub mod headless;
pub mod hosting;
pub mod join_target;
pub mod refusals;

#[cfg(feature = "gui")]
pub mod ui;
