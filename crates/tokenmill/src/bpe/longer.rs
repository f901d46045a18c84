//! Merging the longer new pieces of a batch: text without spaces has many.
//!
//! A merge waits for the table of pairs; several pieces in turn take half the time of one after the other (22 bytes: 340 ns
//! instead of 780, 44 bytes: 720 instead of 1,400).

use super::BpeModel;
use super::batch::Batch;
use super::cache::PieceCache;
use super::in_turn::{Pieces, merge_in_turn};
use super::key::{self, Kind};
use super::merge::Scan;
use super::parts::Parts;
use crate::error::Result;
use std::ops::Range;

/// Pieces shorter than this are merged in as many places: those that a batch has of each.
const PLACES: [usize; 3] = [32, 64, 128];

/// Longest piece that is cut here, and so many parts at most, and those of one piece more: they should stay in the cache. What is
/// longer goes its way alone.
const CUT: usize = 512;
const MOST_PARTS: usize = 1024;

/// Where a piece lies in the text, and what it is looked up by.
type Piece = (Range<usize>, u32);

/// The longer new pieces of a batch.
#[derive(Debug, Default)]
pub(super) struct Longer {
    /// Those that are merged as a whole, by how many places they need.
    whole: [Vec<Piece>; PLACES.len()],
    /// Those that can be cut, each with the number of the first of its parts.
    cut: Vec<(Piece, usize)>,
    /// What one became.
    tokens: Vec<u32>,
}

impl Longer {
    fn clear(&mut self) {
        self.whole.iter_mut().for_each(Vec::clear);
        self.cut.clear();
    }
}

/// Some of them, on their way into the cache.
struct Waiting<'a> {
    text: &'a [u8],
    pieces: &'a [Piece],
    at: usize,
    tokens: &'a mut Vec<u32>,
    cache: &'a mut PieceCache,
}

impl<const N: usize> Pieces<N> for Waiting<'_> {
    #[inline(always)]
    fn count(&self) -> usize {
        self.pieces.len()
    }

    #[inline(always)]
    fn next(&mut self) -> Option<(usize, [u8; N], usize)> {
        let (range, _) = self.pieces.get(self.at)?;
        let piece = &self.text[range.clone()];
        let mut bytes = [0; N];
        bytes[..piece.len()].copy_from_slice(piece);
        self.at += 1;
        Some((self.at - 1, bytes, piece.len()))
    }

    #[inline(always)]
    fn done(&mut self, number: usize, scan: &Scan<N>) {
        let (range, tag) = &self.pieces[number];
        self.tokens.clear();
        self.tokens.extend(scan.tokens());
        self.cache.put_record(*tag, &self.text[range.clone()], Kind::Whole, self.tokens);
    }
}

impl BpeModel {
    /// What becomes of the pieces of 16 bytes and more that are new, unless they are too long for that, goes into the cache, where
    /// the way of each piece finds it.
    pub(super) fn encode_longer(
        &self,
        text: &[u8],
        batch: &Batch,
        longer: &mut Longer,
        parts: &mut Parts,
        cache: &mut PieceCache,
    ) -> Result<()> {
        longer.clear();
        parts.clear();
        let Longer { whole, cut, tokens } = longer;
        let holes = batch.found.holes();
        let is_new = |number: &usize| key::is_none(batch.keys[*number]) && !batch.has_record[*number];
        for number in (0..holes.len()).filter(is_new) {
            let (range, tag) = (batch.range(holes[number].piece()), batch.tags[number]);
            let piece = &text[range.clone()];
            if piece.len() > CUT {
                continue;
            }
            let first = parts.len();
            if !piece.is_ascii() && first < MOST_PARTS && self.add_parts(text, range.clone(), parts, cache) {
                cut.push(((range, tag), first));
            } else if let Some((_, pieces)) = PLACES.iter().zip(&mut *whole).find(|(places, _)| piece.len() < **places)
                && !self.is_token(piece)
            {
                pieces.push((range, tag));
            }
        }
        let [first, second, third] = whole;
        self.merge_whole::<{ PLACES[0] }>(text, first, tokens, cache);
        self.merge_whole::<{ PLACES[1] }>(text, second, tokens, cache);
        self.merge_whole::<{ PLACES[2] }>(text, third, tokens, cache);
        self.settle_parts(parts, cache);
        let mut cut = cut.iter().peekable();
        while let Some(((range, tag), first)) = cut.next() {
            let end = cut.peek().map_or(parts.len(), |(_, first)| *first);
            tokens.clear();
            self.push_parts(text, *first..end, parts, tokens, cache)?;
            cache.put_record(*tag, &text[range.clone()], Kind::Whole, tokens);
        }
        Ok(())
    }

    /// All of them are shorter than `N`.
    fn merge_whole<const N: usize>(
        &self,
        text: &[u8],
        pieces: &[Piece],
        tokens: &mut Vec<u32>,
        cache: &mut PieceCache,
    ) {
        if let (false, Some(perfect)) = (pieces.is_empty(), self.pairs.perfect()) {
            let mut waiting = Waiting { text, pieces, at: 0, tokens, cache };
            merge_in_turn::<N>(&mut waiting, perfect, &self.pairs, &self.byte_ids);
        }
    }

    /// Whether a piece is taken for the token that it is, which merging would not make.
    fn is_token(&self, piece: &[u8]) -> bool {
        self.whole_pieces && !self.pairs.makes_all() && self.vocab.id(piece).is_some()
    }
}
