//! The video pipelines: what is captured, encoded and packetized, and what comes back from a peer.

pub mod barcode;
pub mod codec;
pub mod convert;
pub mod decoder;
pub mod encoder;
pub mod key_frame;
pub mod local;
pub mod remote;
pub mod scale;
pub mod small;
pub mod source;
pub mod test_pattern;
