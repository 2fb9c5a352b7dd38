//! Any edit of any view is refused, or read back, and leaves the hidden sections alone.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = chartfs_fuzz::save(bytes);
});
