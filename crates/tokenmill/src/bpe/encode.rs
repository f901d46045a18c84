//! Text → ids.
//!
//! ```text
//! a batch of pieces ─► keys, cache lines asked for ─► found: 16 bytes of ids are stored
//!                                                  └► not found: merged, and kept
//! ```

use super::BpeModel;
use super::cache::{Found, PieceCache};
use super::key::{self, Kind, MEDIUM, Medium, SHORT, Secrets};
use super::merge::{MergeBuffers, merge};
use super::output::Output;
use crate::error::{Error, Result};
use crate::split::Ends;

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

/// What the first look at a batch found out about each piece.
struct Keys {
    /// Of pieces up to 15 bytes.
    short: [u128; Ends::MOST],
    hashes: [u64; Ends::MOST],
}

impl Keys {
    /// Fills in the batch of pieces that begins at `start`. Their cache lines are asked for before the first is needed: the loads overlap.
    #[inline(always)]
    fn find(&mut self, text: &[u8], mut start: usize, ends: &[usize], secrets: Secrets, cache: &PieceCache) {
        for ((end, key), hash) in ends.iter().zip(&mut self.short).zip(&mut self.hashes) {
            let length = end - start;
            if length <= SHORT {
                *key = key::short(text, start, length, Kind::Whole);
                *hash = secrets.hash_short(*key);
                cache.prefetch_short(*hash);
            } else if length <= MEDIUM {
                *hash = secrets.hash_medium(&Medium::of(&text[start..*end], Kind::Whole));
                cache.prefetch_medium(*hash);
            }
            start = *end;
        }
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
        let secrets = scratch.cache.secrets();
        let mut ends = Ends::new();
        let mut keys = Keys { short: [0; Ends::MOST], hashes: [0; Ends::MOST] };
        let mut start = 0;
        while cutter.fill(&mut ends)? {
            let ends = ends.as_slice();
            keys.find(text, start, ends, secrets, &scratch.cache);
            ids.make_room(4 * ends.len());
            for ((&end, &key), &hash) in ends.iter().zip(&keys.short).zip(&keys.hashes) {
                let length = end - start;
                let found = if length <= SHORT { scratch.cache.get_short(key, hash, ids) } else { Found::Elsewhere };
                if found != Found::Yes {
                    self.encode_piece(&text[start..end], found, scratch, ids)?;
                }
                start = end;
            }
        }
        Ok(())
    }

    /// The way of a piece that is not among the short ones.
    #[inline(never)]
    fn encode_piece<O: Output>(&self, piece: &[u8], found: Found, scratch: &mut Scratch, ids: &mut O) -> Result<()> {
        let Scratch { cache, tokens, part, buffers } = scratch;
        if found == Found::Elsewhere {
            let key = (piece.len() <= MEDIUM).then(|| Medium::of(piece, Kind::Whole));
            if key.is_some_and(|key| cache.get_medium(&key, cache.secrets().hash_medium(&key), ids))
                || cache.get_long(piece, ids)
            {
                return Ok(());
            }
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
                cache.get_short(key, cache.secrets().hash_short(key), tokens) == Found::Yes
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
        for &byte in piece {
            tokens.push(self.byte_ids[usize::from(byte)].ok_or_else(|| missing_byte(byte, piece))?);
        }
        merge(&self.pairs, piece, tokens, buffers);
        Ok(())
    }
}

fn missing_byte(byte: u8, piece: &[u8]) -> Error {
    Error::UnknownToken(format!(
        "the vocabulary has no token for byte 0x{byte:02X}, found in {}; train with all 256 bytes as base tokens",
        crate::vocab::show(&piece[..piece.len().min(40)])
    ))
}
