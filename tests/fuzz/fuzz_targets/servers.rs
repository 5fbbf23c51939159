#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| parlor_signaling::fuzz::fuzz_servers(data));
