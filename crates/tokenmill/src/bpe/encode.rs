//! Text → ids.
//!
//! ```text
//! a batch of pieces ─► keys, cache lines asked for ─► what the cache knows ──────────┬► ids stored, 32 bytes at a time
//!                                                  └► what it does not: merged, kept ┘
//! ```

use super::BpeModel;
use super::batch::Batch;
use super::cache::PieceCache;
use super::key::{self, Kind, MEDIUM};
use super::longer::Longer;
use super::merge::{MergeBuffers, merge};
use super::news::Reader;
use super::output::Output;
use crate::error::{Error, Result};
use crate::short_key::SHORT;

/// Longer pieces outside ASCII are cut where no token lies across: of two characters at least.
const BRIDGED: usize = 5;

/// So many characters of a long piece are looked at before its parts are encoded: however long it is, the parts take no memory.
const PARTS: usize = 64;

/// What one thread needs to encode: its cache and its buffers.
#[derive(Debug)]
pub(super) struct Scratch {
    cache: PieceCache,
    news: Reader,
    /// What a piece that was not in the cache becomes.
    tokens: Vec<u32>,
    part: Vec<u32>,
    parts: Vec<Part>,
    buffers: MergeBuffers,
    longer: Longer,
    /// 65 kB that need not be cleared for every short text; away while a text is encoded.
    batch: Option<Box<Batch>>,
}

impl Scratch {
    fn new(vocab_size: usize, news: Reader) -> Scratch {
        Scratch {
            cache: PieceCache::new(vocab_size),
            news,
            tokens: Vec::new(),
            part: Vec::new(),
            parts: Vec::new(),
            buffers: MergeBuffers::default(),
            longer: Longer::default(),
            batch: None,
        }
    }
}

/// A part of a long piece: where it ends, and its key and place if it is short.
#[derive(Debug, Clone, Copy)]
struct Part {
    end: usize,
    key: u128,
    place: usize,
}

/// What it takes to encode parts: of a `Scratch`, without the list that they are added to.
struct Parts<'a> {
    cache: &'a mut PieceCache,
    found: &'a mut Vec<Part>,
    tokens: &'a mut Vec<u32>,
    buffers: &'a mut MergeBuffers,
}

impl BpeModel {
    /// Appends the ids of `text` to `ids`.
    pub fn encode<O: Output>(&self, text: &str, ids: &mut O) -> Result<()> {
        O::check(self.vocab.len())?;
        self.scratch
            .with(|| Scratch::new(self.vocab.len(), self.news.reader()), |scratch| self.encode_with(text, scratch, ids))
    }

    fn encode_with<O: Output>(&self, text: &str, scratch: &mut Scratch, ids: &mut O) -> Result<()> {
        let mut batch = scratch.batch.take().unwrap_or_default();
        let mut cutter = self.pattern.cutter(text);
        let mut start = 0;
        scratch.cache.keep_learned(self.news.is_read());
        while cutter.fill(&mut batch.ends)? {
            self.news.exchange(&mut scratch.news, &mut scratch.cache);
            batch.look_up(text.as_bytes(), start, &scratch.cache);
            self.push_batch(text.as_bytes(), &mut batch, scratch, ids)?;
            start = batch.end();
        }
        scratch.batch = Some(batch);
        Ok(())
    }

    /// Appends the ids of a batch of pieces that have been looked up.
    fn push_batch<O: Output>(&self, text: &[u8], batch: &mut Batch, scratch: &mut Scratch, ids: &mut O) -> Result<()> {
        // In text that has been going on for a while, many batches have nothing new, and this is all.
        let mut pushed = 0;
        if !batch.found.holes().is_empty() {
            self.encode_missing(text, batch, &mut scratch.cache);
            self.merge_longer(text, batch, &mut scratch.longer, &mut scratch.cache);
            for (hole, became) in batch.found.holes().iter().zip(&batch.became) {
                ids.push_all(&batch.found.ids()[pushed..hole.ids_before()]);
                pushed = hole.ids_before();
                if !scratch.cache.push_short(*became, ids) {
                    self.encode_piece(&text[batch.range(hole.piece())], scratch, ids)?;
                }
            }
        }
        ids.push_all(&batch.found.ids()[pushed..]);
        Ok(())
    }

    /// The short pieces of a batch whose ids are not in the cache of such.
    #[inline(never)]
    fn encode_missing(&self, text: &[u8], batch: &mut Batch, cache: &mut PieceCache) {
        let count = batch.find_missing(text, cache);
        let (count, num_twins) = batch.set_twins_aside(count);
        self.encode_new(count, batch, cache);
        batch.settle_twins(num_twins);
    }

    /// The first `count` of the missing pieces, no two of which are equal.
    fn encode_new(&self, count: usize, batch: &mut Batch, cache: &mut PieceCache) {
        let Batch { keys, became, missing, guesses, .. } = batch;
        let mut rest = count;
        if self.whole_pieces && !self.pairs.makes_all() {
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
            let parts = Parts { cache, found: parts, tokens: part, buffers };
            if self.encode_parts(piece, parts, tokens)? {
                // No token bridges a cut, so the piece is none. Sentences do not come again, but their parts do.
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

    /// Appends the tokens of a piece by way of the parts between its cuts; `false`: it has none.
    fn encode_parts(&self, piece: &[u8], mut parts: Parts<'_>, tokens: &mut Vec<u32>) -> Result<bool> {
        let mut cuts = self.bridges().cuts(piece);
        let mut ends = [0; PARTS + 1];
        let mut start = 0;
        while !cuts.are_all() {
            let mut found = cuts.fill(&mut ends[..PARTS]);
            if cuts.are_all() && (start, found) != (0, 0) {
                ends[found] = piece.len();
                found += 1;
            }
            self.encode_some_parts(piece, start, &ends[..found], &mut parts, tokens)?;
            start = ends[..found].last().copied().unwrap_or(start);
        }
        Ok(start > 0)
    }

    /// The parts that end at `ends`, of which the first begins at `start`.
    fn encode_some_parts(
        &self,
        piece: &[u8],
        start: usize,
        ends: &[usize],
        parts: &mut Parts<'_>,
        tokens: &mut Vec<u32>,
    ) -> Result<()> {
        let Parts { cache, found, tokens: part_tokens, buffers } = parts;
        // As with the pieces of a text: ask for all cache lines before the first is needed.
        let mut begin = start;
        for &end in ends {
            let key = match end - begin {
                length @ ..=SHORT => key::short(piece, begin, length, Kind::Part),
                _ => key::NONE,
            };
            let place = cache.short().place(key);
            cache.short().prefetch(place);
            found.push(Part { end, key, place });
            begin = end;
        }
        begin = start;
        for Part { end, key, place } in found.drain(..) {
            let part = &piece[begin..end];
            let short = cache.short().at(place, key);
            let new = short.is_unknown() && !key::is_none(key);
            let known = cache.push_short(short, tokens)
                || !new && part.len() <= MEDIUM && cache.find_medium(part, Kind::Part, tokens);
            if !known {
                part_tokens.clear();
                self.merge_into(part, part_tokens, buffers)?;
                cache.put(part, Kind::Part, part_tokens);
                tokens.extend_from_slice(part_tokens);
            }
            begin = end;
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
