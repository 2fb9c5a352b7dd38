//! Any bytes are cut without a panic and without losing one.
#![no_main]

#[path = "../src/laws.rs"]
mod laws;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = laws::split(bytes);
});
