//! Any bytes: no panic, one verdict however they were cut, nothing held beyond a frame. `make fuzz`

#![no_main]

#[path = "../../tests/invariant/mod.rs"]
mod invariant;

libfuzzer_sys::fuzz_target!(|data: &[u8]| invariant::holds(data));
