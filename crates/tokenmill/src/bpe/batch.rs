//! A batch of pieces, what the cache of short pieces knows of them, and what becomes of those that it does not know.

use super::cache::{self, Became, Found, PieceCache};
use super::key::{self, Kind};
use crate::split::Ends;
use std::ops::Range;

/// Places to find equal pieces of a batch by: more than it has pieces.
const TWIN_PLACES: usize = 1 << 10;

/// What is found out about the pieces of a batch before their ids are stored.
#[derive(Debug)]
pub(super) struct Batch {
    pub ends: Ends,
    /// Where the first begins.
    start: usize,
    pub found: Found,
    /// Of each hole: [`key::NONE`] for longer pieces,
    pub keys: [u128; Ends::MOST],
    /// the place,
    places: [usize; Ends::MOST],
    /// what became of it,
    pub became: [Became; Ends::MOST],
    /// and, if it is not among the short ones, what it is looked up by.
    pub tags: [u32; Ends::MOST],
    /// Of those: whether something is kept by that.
    pub has_record: [bool; Ends::MOST],
    /// Numbers of the holes that are short pieces and new,
    pub missing: [usize; Ends::MOST],
    /// those of them whose lines are full,
    crowded: [usize; Ends::MOST],
    /// the tokens that they may be,
    pub guesses: [Option<u32>; Ends::MOST],
    /// and of those that are equal to one of them, with its number.
    twins: [(usize, usize); Ends::MOST],
}

impl Default for Batch {
    fn default() -> Batch {
        Batch {
            ends: Ends::new(),
            start: 0,
            found: Found::default(),
            keys: [0; Ends::MOST],
            places: [0; Ends::MOST],
            became: [Became::UNKNOWN; Ends::MOST],
            tags: [0; Ends::MOST],
            has_record: [false; Ends::MOST],
            missing: [0; Ends::MOST],
            crowded: [0; Ends::MOST],
            guesses: [None; Ends::MOST],
            twins: [(0, 0); Ends::MOST],
        }
    }
}

impl Batch {
    /// Looks all pieces up, the first of which begins at `start`.
    pub(super) fn look_up(&mut self, text: &[u8], start: usize, cache: &PieceCache) {
        self.start = start;
        self.found.look_up(text, start, &self.ends, cache.short());
    }

    /// Where a piece lies in the text.
    pub(super) fn range(&self, piece: usize) -> Range<usize> {
        let ends = self.ends.as_slice();
        let start = if piece == 0 { self.start } else { ends[piece - 1] };
        start..ends[piece]
    }

    /// Where the next batch begins.
    pub(super) fn end(&self) -> usize {
        self.ends.as_slice().last().copied().unwrap_or(self.start)
    }

    /// Finds out which of the holes are new, and gives how many. The others are longer or have more ids than the cache of short
    /// pieces holds: where they may be is asked for.
    pub(super) fn find_missing(&mut self, text: &[u8], cache: &mut PieceCache) -> usize {
        let (mut num_missing, mut num_crowded) = (0, 0);
        for (number, hole) in self.found.holes().iter().enumerate() {
            let range = self.range(hole.piece());
            let key = key::short_or_none(text, range.start, range.len());
            let place = cache.short().place(key);
            self.keys[number] = key;
            self.places[number] = place;
            self.became[number] = Became::ELSEWHERE;
            // The key of an empty piece, which is the end of a text, is that of a free place.
            if !key::is_none(key) && !range.is_empty() && cache.short().at(place, key).is_unknown() {
                self.became[number] = Became::UNKNOWN;
                self.missing[num_missing] = number;
                num_missing += 1;
                // What may have more ids than the table of short pieces holds is put where the others are.
                if key::is_long_and_not_ascii(key) {
                    cache.prefetch_line(cache.tag_short(key));
                }
                // Nobody can predict it.
                self.crowded[num_crowded] = number;
                num_crowded += usize::from(cache.short().is_crowded(place));
            } else {
                self.tags[number] = cache.tag(&text[range], Kind::Whole);
                cache.prefetch_line(self.tags[number]);
            }
        }
        if self.find_beside(num_crowded, cache) { self.drop_found(num_missing) } else { num_missing }
    }

    /// Finds those of the first `count` crowded pieces that had no room in their own lines; whether there is one.
    fn find_beside(&mut self, count: usize, cache: &mut PieceCache) -> bool {
        let mut found = false;
        for &number in &self.crowded[..count] {
            let became = cache.bring_home(self.places[number], self.keys[number]);
            self.became[number] = became;
            found |= !became.is_unknown();
        }
        found
    }

    /// Keeps those of the first `count` missing pieces that are still unknown, and gives how many they are.
    fn drop_found(&mut self, count: usize) -> usize {
        let mut left = 0;
        for at in 0..count {
            let number = self.missing[at];
            self.missing[left] = number;
            left += usize::from(self.became[number].is_unknown());
        }
        left
    }

    /// Asks for what the cache has of the pieces that are not among the short ones, once those that were missing are: nearly all.
    pub(super) fn prefetch_records(&mut self, cache: &PieceCache) {
        for number in 0..self.found.holes().len() {
            if self.became[number].count() == 0 {
                if !key::is_none(self.keys[number]) {
                    self.tags[number] = cache.tag_short(self.keys[number]);
                }
                self.has_record[number] = cache.prefetch_record(self.tags[number]);
            }
        }
    }

    /// Moves those of the `count` missing pieces that are missing twice to `twins`, each with the first that is equal. What
    /// is new often comes again a few lines later: so do 23 of 100 missing pieces of English, and each costs 250 ns. Gives
    /// how many are left, and how many twins there are. Where two pieces want one place here, the earlier is forgotten.
    #[expect(clippy::cast_possible_truncation, reason = "a batch has `Ends::MOST` pieces at most")]
    pub(super) fn set_twins_aside(&mut self, count: usize) -> (usize, usize) {
        // 2 kB, as they are cleared for each batch.
        let mut places = [u16::MAX; TWIN_PLACES];
        let (mut left, mut num_twins) = (0, 0);
        for number in 0..count {
            let piece = self.missing[number];
            let place = &mut places[self.places[piece] / cache::LINE % TWIN_PLACES];
            let first = usize::from(*place);
            if self.keys.get(first) == Some(&self.keys[piece]) {
                self.twins[num_twins] = (piece, first);
                num_twins += 1;
            } else {
                *place = piece as u16;
                self.missing[left] = piece;
                left += 1;
            }
        }
        (left, num_twins)
    }

    /// Twins become what the first of them became.
    pub(super) fn settle_twins(&mut self, count: usize) {
        for &(piece, first) in &self.twins[..count] {
            self.became[piece] = self.became[first];
        }
    }
}
