//! Merging the longer new pieces of a batch: text without spaces has many.
//!
//! A merge waits for the table of pairs; several pieces in turn take half the time of one after the other (22 bytes: 340 ns
//! instead of 780, 44 bytes: 720 instead of 1,400).

use super::BpeModel;
use super::batch::Batch;
use super::cache::PieceCache;
use super::in_turn::{Pieces, merge_in_turn};
use super::key::{self, Kind, MEDIUM};
use super::merge::{SCAN_LIMIT, Scan};
use super::output::Count;
use std::ops::Range;

/// Where one piece in so many is longer, it pays to look them up a second time.
const ONE_IN: usize = 16;

/// Pieces shorter than this come first.
const HALF: usize = SCAN_LIMIT.div_ceil(2);

/// The longer new pieces of a batch.
#[derive(Debug, Default)]
pub(super) struct Longer {
    /// Where those of fewer than 32 bytes lie in the text, and those of fewer than 64.
    ranges: [Vec<Range<usize>>; 2],
    /// What one became.
    tokens: Vec<u32>,
}

/// Some of them, on their way into the cache.
struct Waiting<'a> {
    text: &'a [u8],
    ranges: &'a [Range<usize>],
    at: usize,
    tokens: &'a mut Vec<u32>,
    cache: &'a mut PieceCache,
}

impl<const N: usize> Pieces<N> for Waiting<'_> {
    #[inline(always)]
    fn count(&self) -> usize {
        self.ranges.len()
    }

    #[inline(always)]
    fn next(&mut self) -> Option<(usize, [u8; N], usize)> {
        let piece = &self.text[self.ranges.get(self.at)?.clone()];
        let mut bytes = [0; N];
        bytes[..piece.len()].copy_from_slice(piece);
        self.at += 1;
        Some((self.at - 1, bytes, piece.len()))
    }

    #[inline(always)]
    fn done(&mut self, number: usize, scan: &Scan<N>) {
        let piece = &self.text[self.ranges[number].clone()];
        self.tokens.clear();
        self.tokens.extend(scan.tokens());
        if !self.cache.put(piece, Kind::Whole, self.tokens) {
            self.cache.put_long(piece, self.tokens);
        }
    }
}

impl BpeModel {
    /// Merges the pieces of 16 to 63 bytes that are new and cannot be cut, where a batch has many. What becomes of them goes into the
    /// cache, where the way of each piece finds it.
    pub(super) fn merge_longer(&self, text: &[u8], batch: &Batch, longer: &mut Longer, cache: &mut PieceCache) {
        let (holes, Some(perfect)) = (batch.found.holes(), self.pairs.perfect()) else { return };
        let is_longer = |number: &usize| key::is_none(batch.keys[*number]);
        if (0..holes.len()).filter(is_longer).count() * ONE_IN < batch.ends.as_slice().len() {
            return;
        }
        let Longer { ranges, tokens } = longer;
        ranges.iter_mut().for_each(Vec::clear);
        for number in (0..holes.len()).filter(is_longer) {
            let range = batch.range(holes[number].piece());
            if self.is_merged_alone(&text[range.clone()], cache) {
                ranges[usize::from(range.len() >= HALF)].push(range);
            }
        }
        let [short, long] = ranges;
        let mut waiting = Waiting { text, ranges: short, at: 0, tokens, cache };
        merge_in_turn::<HALF>(&mut waiting, perfect, &self.pairs, &self.byte_ids);
        let mut waiting = Waiting { text, ranges: long, at: 0, tokens, cache };
        merge_in_turn::<{ SCAN_LIMIT + 1 }>(&mut waiting, perfect, &self.pairs, &self.byte_ids);
    }

    /// Whether a piece is not known, has no cuts, and is not a token that it would be taken for.
    fn is_merged_alone(&self, piece: &[u8], cache: &PieceCache) -> bool {
        let found = &mut Count::default();
        piece.len() <= SCAN_LIMIT
            && piece.is_ascii()
            && !(piece.len() <= MEDIUM && cache.find_medium(piece, Kind::Whole, found))
            && !cache.get_long(piece, found)
            && !(self.whole_pieces && !self.pairs.makes_all() && self.vocab.id(piece).is_some())
    }
}
