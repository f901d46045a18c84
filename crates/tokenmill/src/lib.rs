//! tokenmill's core: raw text in, LLM training batches out. No Python in here.
//!
//! ```text
//! documents ──► tokenizer ──► store ──► sample ──► gather
//! ```
//!
//! Nothing flows backwards: each module uses only those to its left, and `error`, `monitor`, `threads`, `fs`.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_possible_wrap)
)]

pub mod bpe;
pub mod byte_level;
mod byte_map;
pub mod code_points;
pub mod counts;
pub mod documents;
pub mod error;
pub mod formats;
pub mod fs;
pub mod gather;
mod heap;
mod hex;
mod huge_pages;
mod in_order;
mod level;
pub mod monitor;
pub mod prefetch;
pub mod sample;
mod short_key;
mod spare;
pub mod special;
pub mod split;
pub mod store;
pub mod threads;
pub mod tokenizer;
pub mod tokens;
pub mod unicode;
mod utf8;
pub mod vocab;
pub mod word;
mod zeroed;

pub use error::{Error, Result};
pub use spare::Spare;
