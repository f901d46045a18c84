//! Cuts inside long pieces that no token can bridge.
//!
//! Languages without spaces give pieces of a whole sentence, none of which comes twice. But where no token of the vocabulary
//! has the two characters beside each other, nothing merges across: both sides may be encoded apart, with the same ids,
//! and they are short and come again.
//!
//! What tokens have beside each other is kept as a Bloom filter: it may say that a cut is not possible where it is, never
//! the other way round.

use crate::vocab::Vocab;

/// 2^20 bits in 128 KiB. The 200,000 tokens of o200k_base set one in nine.
const BITS: u32 = 20;

/// The neighbours that some token has.
#[derive(Debug)]
pub(super) struct Bridges {
    bits: Box<[u64]>,
}

/// A side of a place between two characters of the text, as a token that lies across it sees the side: the whole character or only some of
/// its bytes, of which the one next to the place is enough to know.
#[derive(Debug, Clone, Copy)]
enum Side {
    Character(u32),
    Byte(u8),
}

impl Side {
    #[inline(always)]
    fn hash(self, multiplier: u64) -> u64 {
        match self {
            Side::Character(code) => (u64::from(code) + 1).wrapping_mul(multiplier),
            Side::Byte(byte) => (1 << 40 | u64::from(byte)).wrapping_mul(multiplier),
        }
    }
}

/// Two odd numbers of random bits: the high bits of a product with one of them depend on all bits of the other factor.
const LEFT: u64 = 0x9e37_79b9_7f4a_7c15;
const RIGHT: u64 = 0xd6e8_feb8_6659_fd93;

impl Bridges {
    /// Of the tokens of `vocab`.
    pub(super) fn new(vocab: &Vocab) -> Bridges {
        let mut bridges = Bridges { bits: vec![0; 1 << (BITS - 6)].into_boxed_slice() };
        // A text waits for all this, and most places are between two ASCII characters that have been side by side before.
        let mut has_been = vec![false; 1 << 14];
        for (_, token) in vocab.iter() {
            for place in 1..token.len() {
                let [before, behind] = [token[place - 1], token[place]].map(usize::from);
                if before | behind < 0x80 && std::mem::replace(&mut has_been[before << 7 | behind], true) {
                    continue;
                }
                if let Some((left, right)) = sides(token, place) {
                    let bit = bit(left.hash(LEFT), right.hash(RIGHT));
                    bridges.bits[bit / 64] |= 1 << (bit % 64);
                }
            }
        }
        bridges
    }

    /// The places inside `piece` where it may be cut.
    #[inline]
    pub(super) fn cuts<'a>(&'a self, piece: &'a [u8]) -> Cuts<'a> {
        let (left, place) = character(piece);
        Cuts { bridges: self, piece, place, left: Side::Character(left).hash(LEFT) }
    }

    #[inline(always)]
    fn has(&self, left: u64, right: u64) -> bool {
        let bit = bit(left, right);
        self.bits[bit / 64] >> (bit % 64) & 1 != 0
    }
}

/// See [`Bridges::cuts`].
pub(super) struct Cuts<'a> {
    bridges: &'a Bridges,
    piece: &'a [u8],
    /// Where the next character begins, and the hash of the one before it.
    place: usize,
    left: u64,
}

impl Cuts<'_> {
    /// Whether the whole piece has been looked through.
    #[inline(always)]
    pub(super) fn are_all(&self) -> bool {
        self.place >= self.piece.len()
    }

    /// Looks at as many characters as there are places, and gives how many cuts that were. No branch depends on what is
    /// found: a cut is as likely as none.
    #[inline]
    pub(super) fn fill(&mut self, cuts: &mut [usize]) -> usize {
        let mut found = 0;
        for _ in 0..cuts.len() {
            if self.are_all() {
                break;
            }
            let here = self.place;
            let (right, length) = character(&self.piece[here..]);
            let (last, first) = (self.piece[here - 1], self.piece[here]);
            let (left, whole) = (self.left, Side::Character(right).hash(RIGHT));
            (self.place, self.left) = (here + length, Side::Character(right).hash(LEFT));
            // A token may begin or end inside a character of several bytes.
            let (of_last, of_first) = (Side::Byte(last).hash(LEFT), Side::Byte(first).hash(RIGHT));
            let (before, behind) = (last >= 0x80, first >= 0x80);
            let bridged = self.bridges.has(left, whole)
                | before & self.bridges.has(of_last, whole)
                | behind & self.bridges.has(left, of_first)
                | before & behind & self.bridges.has(of_last, of_first);
            cuts[found] = here;
            found += usize::from(!bridged);
        }
        found
    }
}

#[inline(always)]
fn bit(left: u64, right: u64) -> usize {
    ((left ^ right.rotate_left(7)) >> (u64::BITS - BITS)) as usize
}

/// What lies to both sides of a place inside a token; `None` if no text can have a boundary of characters there while
/// the token lies across it.
fn sides(token: &[u8], place: usize) -> Option<(Side, Side)> {
    let first = token[place];
    if is_continuing(first) {
        return None;
    }
    let length = character_length(first);
    let right = match token.get(place..place + length) {
        Some(character) => Side::Character(number(character)),
        None => Side::Byte(first),
    };
    let before = &token[..place];
    let continuing = before.iter().rev().take_while(|byte| is_continuing(**byte)).count();
    let left = if continuing == before.len() {
        // The token begins inside a character.
        Side::Byte(token[place - 1])
    } else {
        Side::Character(number(&before[before.len() - continuing - 1..]))
    };
    Some((left, right))
}

/// The bytes of a character as a number; for more than 4, which no text has, of the last 4.
fn number(character: &[u8]) -> u32 {
    character.iter().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

/// The bytes of the first character of `text`, as a number, and how many they are.
#[inline(always)]
fn character(text: &[u8]) -> (u32, usize) {
    match (character_length(text[0]), text) {
        (2, [first, second, ..]) => (u32::from_be_bytes([0, 0, *first, *second]), 2),
        (3, [first, second, third, ..]) => (u32::from_be_bytes([0, *first, *second, *third]), 3),
        (4, [first, second, third, fourth, ..]) => (u32::from_be_bytes([*first, *second, *third, *fourth]), 4),
        // ASCII, or what no text has.
        _ => (u32::from(text[0]), 1),
    }
}

fn is_continuing(byte: u8) -> bool {
    byte & 0xC0 == 0x80
}

/// By its first byte; 1 for what begins no character.
#[inline]
fn character_length(first: u8) -> usize {
    match first {
        0xF0.. => 4,
        0xE0.. => 3,
        0xC0.. => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// By way of windows of any length.
    fn all_cuts(bridges: &Bridges, text: &str) -> Vec<usize> {
        let by = |window: usize| {
            let (mut all, mut cuts, mut some) = (Vec::new(), bridges.cuts(text.as_bytes()), vec![0; window]);
            while !cuts.are_all() {
                let found = cuts.fill(&mut some);
                all.extend_from_slice(&some[..found]);
            }
            all
        };
        assert_eq!((by(1), by(3)), (by(100), by(100)));
        by(100)
    }

    /// Every token at every place of the text that it fits: no cut may lie inside it.
    fn check(tokens: &[&[u8]], text: &str) {
        let vocab = Vocab::new((0..).zip(tokens).map(|(id, token)| (id, token.to_vec())).collect()).unwrap();
        let bridges = Bridges::new(&vocab);
        let cuts = all_cuts(&bridges, text);
        for cut in &cuts {
            assert!(text.is_char_boundary(*cut) && *cut > 0 && *cut < text.len());
        }
        for token in tokens {
            for start in 0..text.len() {
                if text.as_bytes()[start..].starts_with(token) {
                    let inside = start + 1..start + token.len();
                    assert!(!cuts.iter().any(|cut| inside.contains(cut)), "{token:?} in {text:?}: {cuts:?}");
                }
            }
        }
    }

    #[test]
    fn there_are_cuts_and_none_inside_a_token() {
        let vocab = Vocab::new(vec![(0, "漢字".as_bytes().to_vec())]).unwrap();
        let cuts = all_cuts(&Bridges::new(&vocab), "字漢字漢");
        assert_eq!(cuts, [3, 9]);
    }

    proptest! {
        /// Tokens cut from the text itself at any byte, so that they begin and end inside characters.
        #[test]
        fn no_cut_lies_inside_a_token(
            text in prop::collection::vec(prop::sample::select(vec!['a', 'é', 'λ', '漢', '字', '。', '😀', '𝐀']), 1..40),
            spans in prop::collection::vec((any::<prop::sample::Index>(), 1..9_usize), 0..12),
        ) {
            let text: String = text.into_iter().collect();
            let tokens: Vec<&[u8]> = spans
                .iter()
                .map(|(start, length)| {
                    let start = start.index(text.len());
                    &text.as_bytes()[start..(start + length).min(text.len())]
                })
                .collect();
            check(&tokens, &text);
        }
    }
}
