//! Encoding by a made-up vocabulary against byte-level BPE by its definition.
#![no_main]

#[path = "../../crates/tokenmill/tests/oracle/mod.rs"]
mod oracle;

libfuzzer_sys::fuzz_target!(|data: &[u8]| oracle::cases::encode_case(data));
