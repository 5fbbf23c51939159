#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| parlor_media::fuzz::fuzz_red(data));
