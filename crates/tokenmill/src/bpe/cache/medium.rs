//! Pieces of 16 to 32 bytes, and shorter ones of many ids.

use crate::bpe::key::Medium;
use crate::prefetch::prefetch;
use crate::zeroed::Plain;

/// Most ids of a piece here.
pub(super) const MEDIUM_IDS: usize = 23;

/// Two cache lines: two pieces of up to 7 ids, the newer first, or one of up to 23.
///
/// ```text
/// words   0..8       8                          9..16   16..24     24                 25..32
///         its ends   its length, number of ids  ids     the other's: the same, or more ids of the first
/// ```
#[derive(Clone, Copy)]
#[repr(C, align(128))]
pub(super) struct Pair([u32; 32]);

// SAFETY: 128 bytes of integers.
unsafe impl Plain for Pair {}

const SMALL_IDS: usize = 7;
const COUNT_SHIFT: u32 = 16;

impl Pair {
    pub(super) const EMPTY: Pair = Pair([0; 32]);

    /// Its ends, its length with the kind, and the number of its ids; all 0 where there is none.
    #[inline(always)]
    fn entry(&self, first: usize) -> (Medium, usize) {
        let word = |at: usize| u128::from(self.0[first + at]);
        let end = |at: usize| word(at) | word(at + 1) << 32 | word(at + 2) << 64 | word(at + 3) << 96;
        let meta = self.0[first + 8];
        (Medium { ends: [end(0), end(4)], length: meta & ((1 << COUNT_SHIFT) - 1) }, (meta >> COUNT_SHIFT) as usize)
    }

    /// Whether there is one piece that takes both lines.
    #[inline(always)]
    fn is_large(&self) -> bool {
        (self.0[8] >> COUNT_SHIFT) as usize > SMALL_IDS
    }

    /// Asks for both lines.
    #[inline(always)]
    pub(super) fn prefetch(&self) {
        prefetch(&self.0[0]);
        prefetch(&self.0[16]);
    }

    #[inline(always)]
    pub(super) fn find(&self, key: &Medium) -> Option<&[u32]> {
        let (first, count) = self.entry(0);
        if first == *key {
            return Some(&self.0[9..9 + count]);
        }
        if self.is_large() {
            return None;
        }
        let (second, count) = self.entry(16);
        (second == *key).then(|| &self.0[25..25 + count])
    }

    pub(super) fn insert(&mut self, key: &Medium, ids: &[u32]) {
        let old = *self;
        let mut words = [0; 32];
        for (end, four) in key.ends.iter().zip(words.chunks_exact_mut(4)) {
            for (word, bytes) in four.iter_mut().zip(end.to_le_bytes().chunks_exact(4)) {
                *word = bytes.iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte));
            }
        }
        words[8] = key.length | count_of(ids) << COUNT_SHIFT;
        words[9..9 + ids.len()].copy_from_slice(ids);
        if ids.len() <= SMALL_IDS && !old.is_large() {
            words[16..].copy_from_slice(&old.0[..16]);
        }
        self.0 = words;
    }

    /// The pieces that are there, the older first.
    pub(super) fn entries(&self) -> impl Iterator<Item = (Medium, &[u32])> {
        let firsts = if self.is_large() { &[0][..] } else { &[16, 0] };
        firsts.iter().filter_map(|&first| {
            let (key, count) = self.entry(first);
            (key.length != 0).then(|| (key, &self.0[first + 9..first + 9 + count]))
        })
    }
}

#[expect(clippy::cast_possible_truncation, reason = "at most 23 ids")]
fn count_of(ids: &[u32]) -> u32 {
    ids.len() as u32
}
