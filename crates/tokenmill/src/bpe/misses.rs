//! Merging the new pieces of a batch.

use super::BpeModel;
use super::cache::{Became, PieceCache};
use super::in_turn::{Pieces, merge_in_turn};
use super::merge::Scan;
use crate::short_key::{SHORT, short_bytes};

/// Places for the bytes of a short piece, and one more.
const PLACES: usize = SHORT + 1;

/// The new pieces of a batch, by their keys, on their way into the cache.
struct Missing<'a> {
    waiting: std::slice::Iter<'a, usize>,
    keys: &'a [u128],
    became: &'a mut [Became],
    cache: &'a mut PieceCache,
}

impl Pieces<PLACES> for Missing<'_> {
    #[inline(always)]
    fn count(&self) -> usize {
        self.waiting.len()
    }

    #[inline(always)]
    fn next(&mut self) -> Option<(usize, [u8; PLACES], usize)> {
        let at = *self.waiting.next()?;
        let (bytes, length) = short_bytes(&self.keys[at]);
        Some((at, bytes, length))
    }

    #[inline(always)]
    fn done(&mut self, at: usize, scan: &Scan<PLACES>) {
        let (first, count) = scan.first_four();
        self.became[at] = match count {
            ..=4 => self.cache.put_few(self.keys[at], first, count),
            _ => self.cache.put_key(self.keys[at], scan.tokens()),
        };
    }
}

impl BpeModel {
    /// Merges the short pieces that `missing` gives as numbers of `keys`, all without a token of their own, and puts
    /// what becomes of them into `became` and the cache. A piece with a byte that no token stands for is left out; so are
    /// all where the table of pairs is not packed.
    pub(super) fn merge_missing(
        &self,
        missing: &[usize],
        keys: &[u128],
        became: &mut [Became],
        cache: &mut PieceCache,
    ) {
        if let Some(perfect) = self.pairs.perfect() {
            let mut pieces = Missing { waiting: missing.iter(), keys, became, cache };
            merge_in_turn(&mut pieces, perfect, &self.pairs, &self.byte_ids);
        }
    }
}
