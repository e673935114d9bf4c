//! Any bytes: no panic, the same result for all chunkings, at most one frame held. `make fuzz`

#![no_main]

#[path = "../../tests/invariant/mod.rs"]
mod invariant;

libfuzzer_sys::fuzz_target!(|data: &[u8]| invariant::check(data));
