//! Parlor, the program: its command line, its settings, and its window.


pub mod config;
pub mod hosting;
pub mod join_target;
pub mod room_name;
mod server_address;
