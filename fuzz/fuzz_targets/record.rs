#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cardhook_fuzz::record::check(data, false));
