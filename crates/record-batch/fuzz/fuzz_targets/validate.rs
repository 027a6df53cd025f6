#![no_main]

#[path = "../checks.rs"]
#[expect(dead_code, reason = "each target calls one of the checks")]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::validate(data));
