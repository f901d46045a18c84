//! A piece as integers: what the cache knows it by.
//!
//! * up to 15 bytes: the bytes, zeros, and the length in the last byte. Different pieces have different keys, so equal keys
//!   need no look at the bytes;
//! * any: a hash of 32 bits, a tag, which says where it may be.

use crate::short_key::{SHORT, short_key_at};
use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;

/// Whether a piece came out of the text as such.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The pattern cut it.
    Whole = 0,
    /// A part of a long piece, for which the rule that a piece which is a token is that token does not count. The flag
    /// is added to the length.
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

/// Bytes that are hashed at once.
const BLOCK: usize = 16;

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

/// The kind of the piece with this short key.
#[inline(always)]
pub(super) fn kind(key: u128) -> Kind {
    if key >> 127 == 0 { Kind::Whole } else { Kind::Part }
}

/// Whether this is the key of a piece of 8 bytes or more, some of the first 8 of which are not ASCII.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "halves are taken")]
pub(super) fn is_long_and_not_ascii(key: u128) -> bool {
    let (first, last) = (key as u64, (key >> 64) as u64);
    first & 0x8080_8080_8080_8080 != 0 && last << 8 != 0
}

/// In place of the key of a longer piece: no short piece has it.
pub(super) const NONE: u128 = u128::MAX;

/// Whether this is `NONE`, whose last byte no other key has.
#[inline(always)]
pub(super) fn is_none(key: u128) -> bool {
    (key >> 120) as u8 == 0xFF
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

    /// The hash of a piece of any length.
    #[inline]
    pub(super) fn tag(self, piece: &[u8], kind: Kind) -> u32 {
        let Some((first, last)) = piece.first_chunk::<BLOCK>().zip(piece.last_chunk::<BLOCK>()) else {
            return self.tag_short(short(piece, 0, piece.len(), kind));
        };
        let mut hash = self.fold(self.0[2], *first);
        // The last 16 bytes are taken as such, so that nothing is left; they may have been taken in part before.
        let between = piece[BLOCK..].len().saturating_sub(1) / BLOCK;
        for block in &piece.as_chunks::<BLOCK>().0[1..][..between] {
            hash = self.fold(hash, *block);
        }
        // At the end, as whoever writes the first block could undo it at the beginning.
        self.finish(self.fold(hash, *last) ^ (piece.len() as u64) << 8 ^ kind as u64)
    }

    /// The same of a piece of up to 15 bytes that has the short key `key`, which ends with the length and the kind.
    #[inline(always)]
    pub(super) fn tag_short(self, key: u128) -> u32 {
        self.finish(self.fold(self.0[2], key.to_le_bytes()))
    }

    /// The halves of a product of 128 bits, one of whose factors nobody can tell: all bits of both are in it. (Of lower
    /// halves alone, pieces could be written that differ in the upper bits of two words and always have the same hash.)
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "halves are taken")]
    fn fold(self, hash: u64, block: [u8; BLOCK]) -> u64 {
        let block = u128::from_le_bytes(block);
        multiply(block as u64 ^ self.0[0], (block >> 64) as u64 ^ hash)
    }

    #[inline(always)]
    fn finish(self, hash: u64) -> u32 {
        (multiply(hash, self.0[1]) >> 32) as u32
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

/// Both halves of a product.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "halves are taken")]
fn multiply(one: u64, other: u64) -> u64 {
    let product = u128::from(one) * u128::from(other);
    product as u64 ^ (product >> 64) as u64
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
        let of_longer = |secrets: Secrets, number: u32| {
            u64::from(secrets.tag(longer(number).as_bytes(), Kind::Whole)) & (PLACES - 1)
        };
        let hashes: [&dyn Fn(Secrets, u32) -> u64; 2] = [&of_short, &of_longer];
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

    /// Of each length around blocks of 16 bytes; with secrets that are given, as one in 4 billion pairs has the same tag.
    #[test]
    fn every_byte_of_a_piece_its_length_and_its_kind_count() {
        let secrets = Secrets::of([0x9e37_79b9_7f4a_7c15, 0xc2b2_ae3d_27d4_eb4f, 0x1656_67b1_9e37_79f9]);
        let mut tags = HashSet::new();
        let mut expected = 0;
        for length in (1..100).chain([160, 161, 4096]) {
            let mut piece = vec![0; length];
            for kind in [Kind::Whole, Kind::Part] {
                tags.insert(secrets.tag(&piece, kind));
                if length < BLOCK {
                    assert_eq!(secrets.tag(&piece, kind), secrets.tag_short(short(&piece, 0, length, kind)));
                }
            }
            for at in 0..length {
                for bit in [0, 7] {
                    piece[at] = 1 << bit;
                    tags.insert(secrets.tag(&piece, Kind::Whole));
                }
                piece[at] = 0;
            }
            expected += 2 + 2 * length;
        }
        assert_eq!(tags.len(), expected);
    }

    /// The upper bits of two words of a block, and of two blocks: if only lower halves of products counted, the differences
    /// would be the same whatever the secrets are, and 2^8 pieces of 128 bytes would have one tag.
    #[test]
    fn differences_in_upper_bits_do_not_cancel() {
        for _ in 0..4 {
            let secrets = Secrets::of([0_u64, 1, 2].map(|number| RandomState::new().hash_one(number)));
            let mut tags = HashSet::new();
            for choice in 0..1_u32 << 8 {
                let mut piece = [b'a'; 8 * BLOCK];
                for (block, bytes) in piece.as_chunks_mut::<BLOCK>().0.iter_mut().enumerate() {
                    if choice >> block & 1 != 0 {
                        (bytes[7], bytes[15]) = (b'!', b'!');
                    }
                }
                tags.insert(secrets.tag(&piece, Kind::Whole));
            }
            assert!(tags.len() > 250, "{} tags", tags.len());
        }
    }
}
