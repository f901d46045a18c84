//! All five scanners against their regular expressions, on texts between inaccessible pages.
#![no_main]

#[path = "../../crates/tokenmill/tests/oracle/mod.rs"]
mod oracle;

libfuzzer_sys::fuzz_target!(|data: &[u8]| oracle::cases::split_case(data));
