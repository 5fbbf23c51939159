//! What happens between a codec and RTP, both ways: pure state machines, the time is always an argument.

pub mod bundle;
pub mod frame_buffer;
pub mod h264;
pub mod jitter_buffer;
pub mod packet;
pub mod playout;
pub mod red;
