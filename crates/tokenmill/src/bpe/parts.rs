//! Long pieces outside ASCII, by way of the parts between their cuts.
//!
//! ```text
//! pieces ─► parts: keys, cache lines asked for ─► what the cache knows, the rest merged in turn ─► tokens
//! ```
//!
//! A part waits for its cache line, and a new one for the table of pairs: the more of them there are at once, the less. So
//! those of all new pieces of a batch come together.

use super::BpeModel;
use super::bridge::Cuts;
use super::cache::{Became, PieceCache};
use super::key::{self, Kind};
use super::merge::MergeBuffers;
use crate::error::Result;
use crate::short_key::SHORT;
use std::ops::Range;

/// So many characters of a piece are looked at before its parts are encoded: however long it is, they take no memory.
const WINDOW: usize = 64;

/// Parts that lie one behind the other in a text, or in some.
#[derive(Debug, Default)]
pub(super) struct Parts {
    ranges: Vec<Range<usize>>,
    /// [`key::NONE`] for longer ones.
    keys: Vec<u128>,
    /// Where they are among the short ones, as bytes.
    places: Vec<usize>,
    became: Vec<Became>,
    /// Numbers of those that are short and new.
    missing: Vec<usize>,
    /// What a short one of many ids became.
    tokens: Vec<u32>,
    buffers: MergeBuffers,
}

impl Parts {
    pub(super) fn len(&self) -> usize {
        self.ranges.len()
    }

    pub(super) fn clear(&mut self) {
        self.ranges.clear();
        self.keys.clear();
        self.places.clear();
    }

    #[inline(always)]
    fn push(&mut self, text: &[u8], range: Range<usize>, cache: &PieceCache) {
        let key = match range.len() {
            length @ ..=SHORT => key::short(text, range.start, length, Kind::Part),
            _ => key::NONE,
        };
        let place = cache.short().place(key);
        cache.short().prefetch(place);
        self.ranges.push(range);
        self.keys.push(key);
        self.places.push(place);
    }
}

impl BpeModel {
    /// Appends the tokens of a piece by way of its parts; `false`: it has no cuts.
    pub(super) fn encode_parts(
        &self,
        piece: &[u8],
        parts: &mut Parts,
        tokens: &mut Vec<u32>,
        cache: &mut PieceCache,
    ) -> Result<bool> {
        let mut cuts = self.bridges().cuts(piece);
        let mut done = 0;
        while !cuts.are_all() {
            parts.clear();
            done = add_window(piece, 0..piece.len(), &mut cuts, done, parts, cache);
            self.settle_parts(parts, cache);
            self.push_parts(piece, 0..parts.len(), parts, tokens, cache)?;
        }
        Ok(done > 0)
    }

    /// Adds the parts of the piece that lies here in `text`, and says whether there are any: if not, it has no cuts.
    pub(super) fn add_parts(&self, text: &[u8], piece: Range<usize>, parts: &mut Parts, cache: &PieceCache) -> bool {
        let mut cuts = self.bridges().cuts(&text[piece.clone()]);
        let mut done = piece.start;
        while !cuts.are_all() {
            done = add_window(text, piece.clone(), &mut cuts, done, parts, cache);
        }
        done > piece.start
    }

    /// Finds out what the short parts become.
    pub(super) fn settle_parts(&self, parts: &mut Parts, cache: &mut PieceCache) {
        let Parts { keys, places, became, missing, .. } = parts;
        became.clear();
        missing.clear();
        for (number, (&key, &place)) in keys.iter().zip(&*places).enumerate() {
            let known = cache.short().at_or_beside(place, key);
            if known.is_unknown() && !key::is_none(key) {
                missing.push(number);
            }
            became.push(known);
        }
        self.merge_missing(missing, keys, became, cache);
    }

    /// Appends the tokens of some of the parts, which are settled.
    pub(super) fn push_parts(
        &self,
        text: &[u8],
        numbers: Range<usize>,
        parts: &mut Parts,
        tokens: &mut Vec<u32>,
        cache: &mut PieceCache,
    ) -> Result<()> {
        let Parts { ranges, became, tokens: part_tokens, buffers, .. } = parts;
        for (range, became) in ranges[numbers.clone()].iter().zip(&became[numbers]) {
            if cache.push_short(*became, tokens) {
                continue;
            }
            let part = &text[range.clone()];
            if part.len() > SHORT {
                // Hardly any comes again but with its piece, and that is kept as a whole: so only the piece takes memory.
                self.merge_into(part, tokens, buffers)?;
                continue;
            }
            let tag = cache.tag(part, Kind::Part);
            if !cache.find_record(tag, part, Kind::Part, tokens) {
                part_tokens.clear();
                self.merge_into(part, part_tokens, buffers)?;
                cache.put(tag, part, Kind::Part, part_tokens);
                tokens.extend_from_slice(part_tokens);
            }
        }
        Ok(())
    }
}

/// Adds the parts of the piece at `piece` that end in the next window of its cuts; `done` of the text are in parts, then what
/// is given. With the last cut comes the last part.
fn add_window(
    text: &[u8],
    piece: Range<usize>,
    cuts: &mut Cuts<'_>,
    mut done: usize,
    parts: &mut Parts,
    cache: &PieceCache,
) -> usize {
    let mut ends = [0; WINDOW];
    let found = cuts.fill(&mut ends);
    for end in &ends[..found] {
        parts.push(text, done..piece.start + end, cache);
        done = piece.start + end;
    }
    if cuts.are_all() && done > piece.start {
        parts.push(text, done..piece.end, cache);
        done = piece.end;
    }
    done
}
