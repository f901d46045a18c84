//! Text → ids.
//!
//! ```text
//! a batch of pieces ─► keys, cache lines asked for ─► what the cache knows ──────────┬► ids stored, 16 bytes at a time
//!                                                  └► what it does not: merged, kept ┘
//! ```

use super::BpeModel;
use super::cache::{Absent, Became, PieceCache};
use super::key::{self, Kind, MEDIUM, Medium, SHORT};
use super::merge::{MergeBuffers, merge};
use super::output::Output;
use crate::error::{Error, Result};
use crate::split::Ends;
use std::ops::Range;

/// Longer pieces outside ASCII are cut where no token lies across: of two characters at least.
const BRIDGED: usize = 5;

/// What one thread needs to encode: its cache and its buffers.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    cache: PieceCache,
    /// What a piece that was not in the cache becomes.
    tokens: Vec<u32>,
    part: Vec<u32>,
    buffers: MergeBuffers,
}

/// What is found out about the pieces of a batch before their ids are stored.
struct Batch {
    /// [`key::NONE`] for longer pieces.
    keys: [u128; Ends::MOST],
    hashes: [u64; Ends::MOST],
    became: [Became; Ends::MOST],
    /// Numbers of the short pieces that are new.
    missing: [usize; Ends::MOST],
}

impl Batch {
    fn new() -> Batch {
        Batch {
            keys: [0; Ends::MOST],
            hashes: [0; Ends::MOST],
            became: [Became::UNKNOWN; Ends::MOST],
            missing: [0; Ends::MOST],
        }
    }

    /// The keys of the pieces. Their cache lines are asked for before the first is needed: the loads overlap.
    #[inline(always)]
    fn find_keys(&mut self, text: &[u8], mut start: usize, ends: &[usize], cache: &PieceCache) {
        let secrets = cache.secrets();
        for ((end, key), hash) in ends.iter().zip(&mut self.keys).zip(&mut self.hashes) {
            let length = end - start;
            if length <= SHORT {
                *key = key::short(text, start, length, Kind::Whole);
                *hash = secrets.hash_short(*key);
                cache.prefetch_short(*hash);
            } else {
                *key = key::NONE;
                if length <= MEDIUM {
                    *hash = secrets.hash_medium(&Medium::of(&text[start..*end], Kind::Whole));
                    cache.prefetch_medium(*hash);
                }
            }
            start = *end;
        }
    }

    /// What the cache knows of the pieces from number `first` on. Gives how many short ones it does not. No branch depends on
    /// what is found.
    #[inline(always)]
    fn look_up(&mut self, pieces: Range<usize>, cache: &PieceCache) -> usize {
        let mut missing = 0;
        for at in pieces {
            let found = cache.look_up_short(self.keys[at], self.hashes[at]);
            self.became[at] = found;
            self.missing[missing] = at;
            missing += usize::from(found.is_unknown() & !key::is_none(self.keys[at]));
        }
        missing
    }
}

impl BpeModel {
    /// Appends the ids of `text` to `ids`.
    pub fn encode<O: Output>(&self, text: &str, ids: &mut O) -> Result<()> {
        O::check(self.vocab.len())?;
        self.scratch.with(|scratch| self.encode_with(text, scratch, ids))
    }

    fn encode_with<O: Output>(&self, text: &str, scratch: &mut Scratch, ids: &mut O) -> Result<()> {
        let mut cutter = self.pattern.cutter(text);
        let text = text.as_bytes();
        let mut ends = Ends::new();
        let mut batch = Batch::new();
        let mut start = 0;
        while cutter.fill(&mut ends)? {
            let ends = ends.as_slice();
            batch.find_keys(text, start, ends, &scratch.cache);
            // In text that has been going on for a while, most batches have nothing new, and this is all.
            let mut at = 0;
            let mut room = ids.room(4 * ends.len());
            while let Some(&end) = ends.get(at) {
                let absent = if end - start <= SHORT {
                    scratch.cache.get_short(batch.keys[at], batch.hashes[at], &mut room).err()
                } else {
                    Some(Absent::Elsewhere)
                };
                match absent {
                    None => {}
                    Some(Absent::Unknown) => break,
                    Some(Absent::Elsewhere) => {
                        drop(room);
                        self.encode_piece(&text[start..end], scratch, ids)?;
                        room = ids.room(4 * (ends.len() - at));
                    }
                }
                (at, start) = (at + 1, end);
            }
            if at == ends.len() {
                continue;
            }
            let missing = batch.look_up(at..ends.len(), &scratch.cache);
            self.encode_missing(missing, &mut batch, &mut scratch.cache);
            for (&end, became) in ends.iter().zip(&batch.became).skip(at) {
                if !became.push(&mut room) {
                    drop(room);
                    self.encode_piece(&text[start..end], scratch, ids)?;
                    room = ids.room(4 * ends.len());
                }
                start = end;
            }
        }
        Ok(())
    }

    /// The short pieces of a batch that are not in the cache.
    #[inline(never)]
    fn encode_missing(&self, count: usize, batch: &mut Batch, cache: &mut PieceCache) {
        let Batch { keys, became, missing, .. } = batch;
        let mut rest = count;
        if self.whole_pieces {
            // Each sweep asks for what the next one reads.
            let mut guesses = [None; Ends::MOST];
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
        let Scratch { cache, tokens, part, buffers } = scratch;
        let key = (piece.len() <= MEDIUM).then(|| Medium::of(piece, Kind::Whole));
        if key.is_some_and(|key| cache.get_medium(&key, cache.secrets().hash_medium(&key), ids))
            || cache.get_long(piece, ids)
        {
            return Ok(());
        }
        tokens.clear();
        if piece.len() >= BRIDGED && !piece.is_ascii() {
            let mut cuts = self.bridges().cuts(piece);
            if let Some(first) = cuts.next() {
                // No token bridges the cut, so the piece is none. Sentences do not come again, but their parts do.
                self.encode_parts(piece, first, cuts, cache, tokens, part, buffers)?;
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
    #[expect(clippy::too_many_arguments, reason = "the parts of `Scratch`, which are borrowed apart")]
    fn encode_parts(
        &self,
        piece: &[u8],
        first: usize,
        cuts: impl Iterator<Item = usize>,
        cache: &mut PieceCache,
        tokens: &mut Vec<u32>,
        part_tokens: &mut Vec<u32>,
        buffers: &mut MergeBuffers,
    ) -> Result<()> {
        let mut start = 0;
        for end in [first].into_iter().chain(cuts).chain([piece.len()]) {
            let part = &piece[start..end];
            let found = part.len() <= SHORT && {
                let key = key::short(piece, start, part.len(), Kind::Part);
                cache.get_short(key, cache.secrets().hash_short(key), &mut tokens.room(4)).is_ok()
            };
            if !found {
                part_tokens.clear();
                self.merge_into(part, part_tokens, buffers)?;
                if part.len() <= SHORT {
                    cache.put(part, Kind::Part, part_tokens);
                }
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
