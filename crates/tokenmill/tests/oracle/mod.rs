//! What the tests and the fuzz targets judge the crate by: slow code that follows the definitions, and hard inputs.

// Each test binary and each fuzz target compiles this module for itself and uses a part of it.
#![allow(dead_code, clippy::unwrap_used, clippy::cast_possible_truncation)]

pub mod bpe;
pub mod cases;
#[cfg(unix)]
pub mod guard;
pub mod patterns;
pub mod texts;
