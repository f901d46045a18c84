//! A piece as integers: what the cache knows it by.
//!
//! Different pieces have different keys, so equal keys need no look at the bytes:
//!
//! * up to 15 bytes: the bytes, zeros, and the length in the last byte;
//! * 16 to 32 bytes: the first 16, the last 16 (they overlap, unless there are 32) and the length.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;

/// Longest piece whose key is one integer.
pub(super) const SHORT: usize = 15;
/// Longest piece that has a key.
pub(super) const MEDIUM: usize = 32;

/// Whether a piece came out of the text as such.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The pattern cut it.
    Whole = 0,
    /// A part of a long piece, for which the rule that a piece which is a token is that token does not count. The flag
    /// is added to the length, which is at most 32.
    Part = 0x80,
}

/// The random numbers that places in the cache depend on. Without them nobody can tell which pieces share a place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Secrets([u64; 2]);

impl Default for Secrets {
    /// Chosen once for the process.
    fn default() -> Self {
        static SECRETS: LazyLock<Secrets> =
            LazyLock::new(|| Secrets([0_u64, 1].map(|number| RandomState::new().hash_one(number))));
        *SECRETS
    }
}

/// For each length up to 15: the bits of its bytes.
const MASKS: [u128; SHORT + 1] = {
    let mut masks = [0; SHORT + 1];
    let mut length = 1;
    while length <= SHORT {
        masks[length] = (1 << (8 * length)) - 1;
        length += 1;
    }
    masks
};

/// The key of the piece `text[start..start + length]`, of 1 to 15 bytes.
#[inline(always)]
pub(super) fn short(text: &[u8], start: usize, length: usize, kind: Kind) -> u128 {
    let bytes = match text[start..].first_chunk::<16>() {
        // The usual case: one load, from which what follows the piece is cut off.
        Some(window) => u128::from_le_bytes(*window) & MASKS[length],
        None => {
            let mut window = [0; 16];
            window[..length].copy_from_slice(&text[start..start + length]);
            u128::from_le_bytes(window)
        }
    };
    bytes | ((length as u128) | kind as u128) << 120
}

/// In place of the key of a longer piece: no short piece has it.
pub(super) const NONE: u128 = u128::MAX;

/// Whether this is `NONE`, whose last byte no other key has.
#[inline(always)]
pub(super) fn is_none(key: u128) -> bool {
    (key >> 120) as u8 == 0xFF
}

/// The bytes of a whole short piece, and how many they are.
#[inline(always)]
pub(super) fn bytes(key: &u128) -> ([u8; 16], usize) {
    let bytes = key.to_le_bytes();
    (bytes, usize::from(bytes[SHORT]) % 16)
}

/// The key of a piece of 16 to 32 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Medium {
    pub ends: [u128; 2],
    /// With the kind.
    pub length: u32,
}

impl Medium {
    /// The key of `piece`: also of one of up to 15 bytes, which has more ids than the cache of short ones holds.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "at most 32 bytes")]
    pub(super) fn of(piece: &[u8], kind: Kind) -> Medium {
        let ends = match (piece.first_chunk::<16>(), piece.last_chunk::<16>()) {
            (Some(first), Some(last)) => [u128::from_le_bytes(*first), u128::from_le_bytes(*last)],
            _ => [short(piece, 0, piece.len(), kind), 0],
        };
        Medium { ends, length: piece.len() as u32 | kind as u32 }
    }
}

impl Secrets {
    #[inline(always)]
    pub(super) fn hash_short(self, key: u128) -> u64 {
        self.mix(self.0[0], key)
    }

    #[inline(always)]
    pub(super) fn hash_medium(self, key: &Medium) -> u64 {
        self.mix(self.mix(self.0[0], key.ends[0]) ^ u64::from(key.length), key.ends[1])
    }

    /// A folded multiplication: every bit of the key reaches every bit of the sum.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "halves are taken")]
    fn mix(self, seed: u64, key: u128) -> u64 {
        let product = u128::from(key as u64 ^ seed) * u128::from((key >> 64) as u64 ^ self.0[1]);
        product as u64 ^ (product >> 64) as u64
    }
}
