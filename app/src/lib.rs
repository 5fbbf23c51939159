//! Parlor, the program: its command line, its settings, and its window.

pub mod cli;
pub mod config;
pub mod devices;
pub mod headless;
pub mod hosting;
pub mod join_target;

#[cfg(feature = "gui")]
pub mod ui;
