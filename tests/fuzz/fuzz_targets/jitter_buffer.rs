#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| parlor_media::rtp::jitter_buffer::fuzz_jitter_buffer(data));
