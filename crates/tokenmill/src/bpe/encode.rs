//! Text → ids.
//!
//! ```text
//! a batch of pieces ─► keys, cache lines asked for ─► what the cache knows ──────────┬► ids stored, 16 bytes at a time
//!                                                  └► what it does not: merged, kept ┘
//! ```

use super::BpeModel;
use super::bridge::Cuts;
use super::cache::{Became, PieceCache, ShortPieces};
use super::key::{self, Kind, MEDIUM, Medium};
use super::merge::{MergeBuffers, merge};
use super::output::{Output, Room};
use crate::error::{Error, Result};
use crate::short_key::SHORT;
use crate::split::Ends;
use std::ops::Range;

/// Longer pieces outside ASCII are cut where no token lies across: of two characters at least.
const BRIDGED: usize = 5;

/// Places to find equal pieces of a batch by: more than it has pieces.
const TWIN_PLACES: usize = 1 << 10;
const TWIN_SHIFT: u32 = u64::BITS - TWIN_PLACES.ilog2();

/// What one thread needs to encode: its cache and its buffers.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    cache: PieceCache,
    /// What a piece that was not in the cache becomes.
    tokens: Vec<u32>,
    part: Vec<u32>,
    parts: Vec<Part>,
    buffers: MergeBuffers,
    /// 50 kB that need not be cleared for every short text; away while a text is encoded.
    batch: Option<Box<Batch>>,
}

/// A part of a long piece: where it ends, and its key and hash if it is short.
#[derive(Debug, Clone, Copy)]
struct Part {
    end: usize,
    key: u128,
    hash: u64,
}

/// What it takes to encode parts: of a `Scratch`, without the list that they are added to.
struct Parts<'a> {
    cache: &'a mut PieceCache,
    found: &'a mut Vec<Part>,
    tokens: &'a mut Vec<u32>,
    buffers: &'a mut MergeBuffers,
}

/// What is found out about the pieces of a batch before their ids are stored.
#[derive(Debug)]
struct Batch {
    /// Where the first begins.
    start: usize,
    ends: Ends,
    /// [`key::NONE`] for longer pieces.
    keys: [u128; Ends::MOST],
    /// Of the short ones.
    hashes: [u64; Ends::MOST],
    became: [Became; Ends::MOST],
    /// Numbers of the short pieces that are new,
    missing: [usize; Ends::MOST],
    /// the tokens that they may be,
    guesses: [Option<u32>; Ends::MOST],
    /// and of those that are equal to one of them, with its number.
    twins: [(usize, usize); Ends::MOST],
}

impl Default for Batch {
    fn default() -> Batch {
        Batch {
            start: 0,
            ends: Ends::new(),
            keys: [0; Ends::MOST],
            hashes: [0; Ends::MOST],
            became: [Became::UNKNOWN; Ends::MOST],
            missing: [0; Ends::MOST],
            guesses: [None; Ends::MOST],
            twins: [(0, 0); Ends::MOST],
        }
    }
}

impl Batch {
    /// The keys of the pieces, the first of which begins at `start`. Their cache lines are asked for before the first is
    /// needed: the loads overlap.
    #[inline(never)]
    fn find_keys(&mut self, text: &[u8], mut start: usize, cache: &PieceCache) {
        self.start = start;
        let pieces = cache.short();
        for ((end, key), hash) in self.ends.as_slice().iter().zip(&mut self.keys).zip(&mut self.hashes) {
            let length = end - start;
            if length <= SHORT {
                *key = key::short(text, start, length, Kind::Whole);
                *hash = pieces.seek(*key);
            } else {
                *key = key::NONE;
                if length <= MEDIUM {
                    cache.prefetch_medium(&Medium::of(&text[start..*end], Kind::Whole));
                }
            }
            start = *end;
        }
    }

    /// Where a piece lies in the text.
    #[inline]
    fn piece(&self, at: usize) -> Range<usize> {
        let ends = self.ends.as_slice();
        let start = if at == 0 { self.start } else { ends[at - 1] };
        start..ends[at]
    }

    /// Appends the ids of pieces as long as they are known; gives the number of the first that is not among the short
    /// ones.
    #[inline(never)]
    fn push_known(&self, pieces: Range<usize>, known: ShortPieces<'_>, room: &mut impl Room) -> usize {
        let keys = self.keys[pieces.clone()].iter().zip(&self.hashes[pieces.clone()]);
        pieces.start + keys.take_while(|(key, hash)| known.look_up(**key, **hash).push(room)).count()
    }

    /// What the cache of short pieces knows of some of the pieces. Gives how many it has no ids of. No branch depends on
    /// what is found.
    #[inline(never)]
    fn look_up(&mut self, pieces: Range<usize>, known: ShortPieces<'_>) -> usize {
        let mut missing = 0;
        for at in pieces {
            let found = known.look_up(self.keys[at], self.hashes[at]);
            self.became[at] = found;
            self.missing[missing] = at;
            missing += usize::from(!found.is_known() & !key::is_none(self.keys[at]));
        }
        missing
    }

    /// Leaves those of the `count` missing pieces that are new, and gives how many. The others have more ids than the cache
    /// of short pieces holds; the cache lines that have them are asked for.
    fn set_others_aside(&mut self, count: usize, cache: &PieceCache) -> usize {
        let mut left = 0;
        for number in 0..count {
            let at = self.missing[number];
            if self.became[at].is_unknown() {
                self.missing[left] = at;
                left += 1;
            } else {
                cache.prefetch_medium(&Medium::of_short(self.keys[at]));
            }
        }
        left
    }

    /// Moves those of the `count` missing pieces that are missing twice to `twins`, each with the first that is equal. What
    /// is new often comes again a few lines later: so do 23 of 100 missing pieces of English, and each costs 250 ns. Gives
    /// how many are left, and how many twins there are. Where two pieces want one place here, the earlier is forgotten.
    fn set_twins_aside(&mut self, count: usize) -> (usize, usize) {
        let mut places = [Ends::MOST; TWIN_PLACES];
        let (mut left, mut num_twins) = (0, 0);
        for number in 0..count {
            let at = self.missing[number];
            let place = &mut places[(self.hashes[at] >> TWIN_SHIFT) as usize];
            if let Some(first) = self.keys.get(*place)
                && *first == self.keys[at]
            {
                self.twins[num_twins] = (at, *place);
                num_twins += 1;
            } else {
                *place = at;
                self.missing[left] = at;
                left += 1;
            }
        }
        (left, num_twins)
    }
}

impl BpeModel {
    /// Appends the ids of `text` to `ids`.
    pub fn encode<O: Output>(&self, text: &str, ids: &mut O) -> Result<()> {
        O::check(self.vocab.len())?;
        self.scratch.with(|scratch| self.encode_with(text, scratch, ids))
    }

    fn encode_with<O: Output>(&self, text: &str, scratch: &mut Scratch, ids: &mut O) -> Result<()> {
        let mut batch = scratch.batch.take().unwrap_or_default();
        let mut cutter = self.pattern.cutter(text);
        let mut start = 0;
        while cutter.fill(&mut batch.ends)? {
            batch.find_keys(text.as_bytes(), start, &scratch.cache);
            self.encode_batch(text.as_bytes(), &mut batch, scratch, ids)?;
            start = batch.ends.as_slice().last().copied().unwrap_or(start);
        }
        scratch.batch = Some(batch);
        Ok(())
    }

    /// Appends the ids of a batch of pieces.
    #[inline(always)]
    fn encode_batch<O: Output>(
        &self,
        text: &[u8],
        batch: &mut Batch,
        scratch: &mut Scratch,
        ids: &mut O,
    ) -> Result<()> {
        let count = batch.ends.as_slice().len();
        // In text that has been going on for a while, most batches have nothing new, and this is all.
        let mut at = 0;
        loop {
            at = batch.push_known(at..count, scratch.cache.short(), &mut ids.room(4 * (count - at)));
            if at == count {
                return Ok(());
            }
            if !key::is_none(batch.keys[at]) {
                break;
            }
            self.encode_piece(&text[batch.piece(at)], scratch, ids)?;
            at += 1;
        }
        let missing = batch.look_up(at..count, scratch.cache.short());
        self.encode_missing(missing, batch, &mut scratch.cache);
        let mut room = ids.room(4 * (count - at));
        for at in at..count {
            if !batch.became[at].push(&mut room) {
                drop(room);
                self.encode_piece(&text[batch.piece(at)], scratch, ids)?;
                room = ids.room(4 * (count - at));
            }
        }
        Ok(())
    }

    /// The short pieces of a batch whose ids are not in the cache of such.
    #[inline(never)]
    fn encode_missing(&self, count: usize, batch: &mut Batch, cache: &mut PieceCache) {
        let count = batch.set_others_aside(count, cache);
        let (count, num_twins) = batch.set_twins_aside(count);
        self.encode_new(count, batch, cache);
        for &(at, first) in &batch.twins[..num_twins] {
            batch.became[at] = batch.became[first];
        }
    }

    /// The first `count` of the missing pieces, no two of which are equal.
    fn encode_new(&self, count: usize, batch: &mut Batch, cache: &mut PieceCache) {
        let Batch { keys, became, missing, guesses, .. } = batch;
        let mut rest = count;
        if self.whole_pieces {
            // Each sweep asks for what the next one reads.
            let missing_keys = || missing[..count].iter().map(|&at| keys[at]);
            missing_keys().for_each(|key| self.vocab.prefetch_slot(key));
            for (guess, key) in guesses.iter_mut().zip(missing_keys()) {
                *guess = self.vocab.guess(key);
            }
            guesses[..count].iter().flatten().for_each(|&id| self.vocab.prefetch_bytes(id));
            rest = 0;
            for number in 0..count {
                let at = missing[number];
                match guesses[number].and_then(|_| self.vocab.id_short(keys[at])) {
                    Some(id) => became[at] = cache.put_key(keys[at], [id].into_iter()),
                    None => {
                        missing[rest] = at;
                        rest += 1;
                    }
                }
            }
        }
        self.merge_missing(&missing[..rest], keys, became, cache);
    }

    /// The way of a piece that is longer, or has more ids than the cache of short ones holds.
    #[inline(never)]
    fn encode_piece<O: Output>(&self, piece: &[u8], scratch: &mut Scratch, ids: &mut O) -> Result<()> {
        let Scratch { cache, tokens, part, parts, buffers, .. } = scratch;
        if piece.len() <= MEDIUM && cache.find_medium(piece, Kind::Whole, ids) || cache.get_long(piece, ids) {
            return Ok(());
        }
        tokens.clear();
        if piece.len() >= BRIDGED && !piece.is_ascii() {
            let cuts = self.bridges().cuts(piece);
            if cuts.clone().next().is_some() {
                // No token bridges the cut, so the piece is none. Sentences do not come again, but their parts do.
                let parts = Parts { cache, found: parts, tokens: part, buffers };
                self.encode_parts(piece, cuts, parts, tokens)?;
                cache.put(piece, Kind::Whole, tokens);
                ids.push_all(tokens);
                return Ok(());
            }
        }
        match self.whole_pieces.then(|| self.vocab.id(piece)).flatten() {
            Some(id) => tokens.push(id),
            None => self.merge_into(piece, tokens, buffers)?,
        }
        if !cache.put(piece, Kind::Whole, tokens) {
            cache.put_long(piece, tokens);
        }
        ids.push_all(tokens);
        Ok(())
    }

    /// Appends the tokens of a piece by way of the parts between its cuts.
    fn encode_parts(&self, piece: &[u8], cuts: Cuts<'_>, parts: Parts<'_>, tokens: &mut Vec<u32>) -> Result<()> {
        let Parts { cache, found, tokens: part_tokens, buffers } = parts;
        // As with the pieces of a text: ask for all cache lines before the first is needed.
        let mut start = 0;
        for end in cuts.chain([piece.len()]) {
            let key = match end - start {
                length @ ..=SHORT => key::short(piece, start, length, Kind::Part),
                _ => key::NONE,
            };
            let hash = cache.short().seek(key);
            found.push(Part { end, key, hash });
            start = end;
        }
        start = 0;
        for Part { end, key, hash } in found.drain(..) {
            let part = &piece[start..end];
            let short = cache.short().look_up(key, hash);
            let new = short.is_unknown() && !key::is_none(key);
            let found = short.push(&mut tokens.room(4))
                || !new && part.len() <= MEDIUM && cache.find_medium(part, Kind::Part, tokens);
            if !found {
                part_tokens.clear();
                self.merge_into(part, part_tokens, buffers)?;
                cache.put(part, Kind::Part, part_tokens);
                tokens.extend_from_slice(part_tokens);
            }
            start = end;
        }
        Ok(())
    }

    /// Appends what the tokens of single bytes merge to.
    fn merge_into(&self, piece: &[u8], tokens: &mut Vec<u32>, buffers: &mut MergeBuffers) -> Result<()> {
        merge(piece, &self.byte_ids, &self.pairs, tokens, buffers).map_err(|byte| missing_byte(byte, piece))
    }
}

fn missing_byte(byte: u8, piece: &[u8]) -> Error {
    Error::UnknownToken(format!(
        "the vocabulary has no token for byte 0x{byte:02X}, found in {}; train with all 256 bytes as base tokens",
        crate::vocab::show(&piece[..piece.len().min(40)])
    ))
}
