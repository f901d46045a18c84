//! JSON files that carry the checksum of their own text, so that a changed digit in one is noticed.
//!
//! ```text
//! {
//!   "format": "tokenmill-store",
//!   ...,                                        SHA-256 of every byte up to here ──┐
//!   "checksum": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08" ◄┘
//! }
//! ```

use crate::error::{Error, Result};
use crate::hex::to_hex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// A SHA-256 digest.
pub type Hash = [u8; 32];

const BEFORE: &[u8] = b",\n  \"checksum\": \"";
const AFTER: &[u8] = b"\"\n}\n";

/// SHA-256 of `bytes`.
pub(super) fn sha256(bytes: &[u8]) -> Hash {
    Sha256::digest(bytes).into()
}

/// Appends a number to a sequence that is to be hashed.
pub(super) fn put_number(sequence: &mut Vec<u8>, number: u64) {
    sequence.extend_from_slice(&number.to_le_bytes());
}

/// The digest that 64 lowercase hexadecimal digits stand for.
pub(super) fn from_hex(text: &str) -> Option<Hash> {
    let digits: &[u8; 64] = text.as_bytes().try_into().ok()?;
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut hash = [0; 32];
    for (byte, pair) in hash.iter_mut().zip(digits.as_chunks::<2>().0) {
        *byte = value(pair[0])? << 4 | value(pair[1])?;
    }
    Some(hash)
}

/// The text of a sealed file.
pub(super) fn seal<T: Serialize>(value: &T) -> Result<Vec<u8>> {
    let mut text =
        serde_json::to_vec_pretty(value).map_err(|error| Error::value(format!("cannot write as JSON: {error}")))?;
    text.truncate(text.len().saturating_sub(b"\n}".len()));
    let checksum = to_hex(&sha256(&text));
    for part in [BEFORE, checksum.as_bytes(), AFTER] {
        text.extend_from_slice(part);
    }
    Ok(text)
}

/// Whether the text still has the checksum it was sealed with.
pub(super) fn is_intact(text: &[u8]) -> bool {
    let Some((rest, checksum)) = text.strip_suffix(AFTER).and_then(|text| text.split_last_chunk::<64>()) else {
        return false;
    };
    rest.strip_suffix(BEFORE).is_some_and(|content| to_hex(&sha256(content)).as_bytes() == checksum)
}

/// The bytes of a JSON file of a store; a file above `limit` bytes is refused before it is read.
pub(super) fn load(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let file = File::open(path).map_err(Error::io(path))?;
    let mut text = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut text).map_err(Error::io(path))?;
    if u64::try_from(text.len()).map_or(true, |size| size > limit) {
        return Err(Error::store(path, format!("larger than {limit} bytes, which no store needs")));
    }
    Ok(text)
}

/// What the JSON says. The checksum is not looked at: see [`is_intact`].
pub(super) fn parse<T: DeserializeOwned>(path: &Path, text: &[u8]) -> Result<T> {
    serde_json::from_slice(text).map_err(|error| Error::store(path, format!("not the JSON that belongs here: {error}")))
}
