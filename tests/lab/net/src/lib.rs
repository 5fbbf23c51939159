#![doc = include_str!("../README.md")]

pub mod candidates;
pub mod conditions;
pub mod direction;
pub mod lab;
pub mod lateness;
pub mod network;
mod proxy;
mod random;
pub mod relay;
pub mod rule;

pub use conditions::{Change, Conditions};
pub use lab::{Lab, LabConfig, Report};
pub use rule::Rule;
