//! Any bytes are cut without a panic and without losing one.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = chartfs_fuzz::split(bytes);
});
