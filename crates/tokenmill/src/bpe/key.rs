//! A piece as integers: what the cache knows it by.
//!
//! Different pieces have different keys, so equal keys need no look at the bytes:
//!
//! * up to 15 bytes: the bytes, zeros, and the length in the last byte;
//! * 16 to 32 bytes: the first 16, the last 16 (they overlap, unless there are 32) and the length.

use crate::short_key::{SHORT, short_key_at};
use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;

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
pub(super) struct Secrets([u64; 3]);

impl Default for Secrets {
    /// Chosen once for the process.
    fn default() -> Self {
        static SECRETS: LazyLock<Secrets> =
            LazyLock::new(|| Secrets::of([0_u64, 1, 2].map(|number| RandomState::new().hash_one(number))));
        *SECRETS
    }
}

/// The key of the piece `text[start..start + length]`, of 1 to 15 bytes.
#[inline(always)]
pub(super) fn short(text: &[u8], start: usize, length: usize, kind: Kind) -> u128 {
    short_key_at(text, start, length) | (kind as u128) << 120
}

/// The key of the piece `text[start..start + length]` as such; [`NONE`] if it is longer than 15 bytes.
#[inline(always)]
pub(super) fn short_or_none(text: &[u8], start: usize, length: usize) -> u128 {
    if length > SHORT { NONE } else { short(text, start, length, Kind::Whole) }
}

/// In place of the key of a longer piece: no short piece has it.
pub(super) const NONE: u128 = u128::MAX;

/// Whether this is `NONE`, whose last byte no other key has.
#[inline(always)]
pub(super) fn is_none(key: u128) -> bool {
    (key >> 120) as u8 == 0xFF
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
            _ => return Medium::of_short(short(piece, 0, piece.len(), kind)),
        };
        Medium { ends, length: piece.len() as u32 | kind as u32 }
    }

    /// The key of a piece of up to 15 bytes that has the short key `key`, which ends with the length and the kind.
    #[inline(always)]
    pub(super) fn of_short(key: u128) -> Medium {
        Medium { ends: [key, 0], length: (key >> 120) as u32 }
    }
}

impl Secrets {
    /// Of any numbers; odd ones, so that multiplying loses nothing.
    fn of(numbers: [u64; 3]) -> Secrets {
        Secrets(numbers.map(|number| number | 1))
    }

    /// What [`Secrets::hash_short`] multiplies with.
    #[inline(always)]
    pub(super) fn multipliers(self) -> [u64; 3] {
        self.0
    }

    #[inline(always)]
    pub(super) fn hash_short(self, key: u128) -> u64 {
        self.mix(0, key)
    }

    #[inline(always)]
    pub(super) fn hash_medium(self, key: &Medium) -> u64 {
        self.mix(self.mix(u64::from(key.length), key.ends[0]), key.ends[1])
    }

    /// Each half times a number of its own, then the upper half of the sum, in which all bits of the key are, is mixed into
    /// the lower and multiplied once more: without that, the keys of one length lie in clumps. Nothing here needs more than
    /// the lower half of a product, so eight keys can be hashed at once.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "halves are taken")]
    fn mix(self, seed: u64, key: u128) -> u64 {
        let [lower, upper, last] = self.0;
        let sum = (key as u64 ^ seed).wrapping_mul(lower).wrapping_add(((key >> 64) as u64).wrapping_mul(upper));
        (sum ^ sum >> 32).wrapping_mul(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    /// 4,096 pieces that all want one place of a table: whoever knew the secrets could write them into a text. By any other
    /// secrets they lie as random numbers would: 4 to a place, and 1 place in 55 (e^-4) is free.
    #[test]
    fn pieces_that_collide_by_some_secrets_lie_apart_by_others() {
        const PLACES: u64 = 1 << 10;
        let place = |hash: u64| hash >> 32 & (PLACES - 1);
        let spelled = |number: u32| format!(" w{number}x");
        let longer = |number: u32| format!(" word{number:012}x");
        let known = Secrets::of([0x1234_5678_9abc_def0, 0x0fed_cba9_8765_4321, 0x5555_aaaa_3333_cccc]);
        let of_short = |secrets: Secrets, number: u32| {
            let piece = spelled(number);
            place(secrets.hash_short(short(piece.as_bytes(), 0, piece.len(), Kind::Whole)))
        };
        let of_medium = |secrets: Secrets, number: u32| {
            place(secrets.hash_medium(&Medium::of(longer(number).as_bytes(), Kind::Whole)))
        };
        let hashes: [&dyn Fn(Secrets, u32) -> u64; 2] = [&of_short, &of_medium];
        for hash in hashes {
            let colliding: Vec<u32> = (0..).filter(|number| hash(known, *number) == 7).take(4096).collect();
            for secrets in
                [Secrets::of([0x9e37_79b9_7f4a_7c15, 0xc2b2_ae3d_27d4_eb4f, 0x1656_67b1_9e37_79f9]), Secrets::default()]
            {
                let places: HashSet<u64> = colliding.iter().map(|number| hash(secrets, *number)).collect();
                assert!(places.len() > 950, "{} places", places.len());
            }
        }
    }
}
