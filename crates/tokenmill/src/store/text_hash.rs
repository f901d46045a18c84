//! What tells the text of a document from others.

use super::Hash;
use crate::error::{Error, Result};
use sha2::{Digest, Sha256};
use xxhash_rust::xxh3::{Xxh3Default, xxh3_128};

/// The hashes of a text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TextHash {
    /// XXH3 of 128 bits: tells whether an input has changed since a stopped run read it. Twelve times as fast as SHA-256, which
    /// took a tenth of all that it takes to prepare English, and so are short texts with BLAKE3; who means to deceive has no text of
    /// it to choose, as the manifest has the BLAKE3 of whole inputs.
    pub quick: u128,
    /// Where texts are told from others by it: which split they are for, and whether they have been there.
    pub sha256: Option<Hash>,
}

impl TextHash {
    /// Of a text; with its SHA-256, if that is `wanted`.
    pub fn of(text: &str, wanted: bool) -> TextHash {
        let sha256 = wanted.then(|| Sha256::digest(text).into());
        TextHash { quick: xxh3_128(text.as_bytes()), sha256 }
    }

    /// The SHA-256, which was wanted.
    pub(super) fn sha256(&self) -> Result<&Hash> {
        self.sha256.as_ref().ok_or_else(|| Error::value("a text has no SHA-256"))
    }
}

/// Of a text that comes in parts.
pub(super) struct TextHasher {
    quick: Box<Xxh3Default>,
    sha256: Option<Sha256>,
}

impl TextHasher {
    pub fn new(wanted: bool) -> TextHasher {
        TextHasher { quick: Box::default(), sha256: wanted.then(Sha256::new) }
    }

    pub fn update(&mut self, text: &str) {
        self.quick.update(text.as_bytes());
        if let Some(sha256) = &mut self.sha256 {
            sha256.update(text);
        }
    }

    /// Of all parts so far.
    pub fn finish(&self) -> TextHash {
        let sha256 = self.sha256.clone().map(|sha256| sha256.finalize().into());
        TextHash { quick: self.quick.digest128(), sha256 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_come_to_the_hashes_of_the_whole() {
        let text: String = (0..5_000).map(|number| format!("{number} ")).collect();
        for wanted in [false, true] {
            for cut in [0, 1, 100, 239, 240, 241, 1_024, 20_000] {
                let mut hasher = TextHasher::new(wanted);
                hasher.update(&text[..cut]);
                hasher.update(&text[cut..]);
                assert_eq!(hasher.finish(), TextHash::of(&text, wanted), "{cut}");
            }
        }
    }

    /// From the reference implementation: `xxhsum -H2`, `sha256sum`.
    #[test]
    fn the_hashes_are_those_of_the_public_algorithms() {
        let hash = TextHash::of("", true);
        assert_eq!(hash.quick, 0x99aa_06d3_0147_98d8_6001_c324_468d_497f);
        assert_eq!(crate::hex::to_hex(hash.sha256().unwrap())[..16], *"e3b0c44298fc1c14");
        assert!(TextHash::of("", false).sha256().is_err());
    }
}
