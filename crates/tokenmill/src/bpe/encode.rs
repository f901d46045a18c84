//! Text → ids.
//!
//! ```text
//! a batch of pieces ─► keys, cache lines asked for ─► what the cache knows ──────────┬► ids stored, 32 bytes at a time
//!                                                  └► what it does not: merged, kept ┘
//! ```

use super::BpeModel;
use super::batch::Batch;
use super::cache::PieceCache;
use super::key::Kind;
use super::longer::Longer;
use super::merge::{MergeBuffers, merge};
use super::news::Reader;
use super::output::Output;
use super::parts::Parts;
use super::spares::Held;
use crate::error::{Error, Result};
use crate::split::TextsCutter;

/// Longer pieces outside ASCII are cut where no token lies across: of two characters at least.
const BRIDGED: usize = 5;

/// What one thread needs to encode: its cache and its buffers.
#[derive(Debug)]
pub(super) struct Scratch {
    cache: PieceCache,
    news: Reader,
    /// What a piece that was not in the cache becomes.
    tokens: Vec<u32>,
    parts: Parts,
    buffers: MergeBuffers,
    longer: Longer,
    /// 65 kB that need not be cleared for every short text; away while a text is encoded.
    batch: Option<Box<Batch>>,
}

/// The cache and the buffers of a model that a thread works with.
#[derive(Debug)]
pub(crate) struct Buffers<'a>(Held<'a, Scratch>);

impl Scratch {
    fn new(vocab_size: usize, news: Reader) -> Scratch {
        Scratch {
            cache: PieceCache::new(vocab_size),
            news,
            tokens: Vec::new(),
            parts: Parts::default(),
            buffers: MergeBuffers::default(),
            longer: Longer::default(),
            batch: None,
        }
    }
}

impl BpeModel {
    /// Appends the ids of `text` to `ids`.
    pub fn encode<O: Output>(&self, text: &str, ids: &mut O) -> Result<()> {
        self.encode_with(text, &mut self.buffers(), ids)
    }

    /// What [`BpeModel::encode_with`] needs, for one text or many: to take it and to put it back costs as much as some words.
    pub(crate) fn buffers(&self) -> Buffers<'_> {
        Buffers(self.scratch.hold(|| Scratch::new(self.vocab.len(), self.news.reader())))
    }

    /// Appends the ids of `text` to `ids`.
    pub(crate) fn encode_with<O: Output>(&self, text: &str, buffers: &mut Buffers<'_>, ids: &mut O) -> Result<()> {
        O::check(self.vocab.len())?;
        self.encode_pieces(text, buffers.0.get(), ids)
    }

    /// Appends the ids of all texts, and calls `ended` behind those of each. Their pieces are looked up and merged together: of a line
    /// by itself there are too few for their loads to overlap.
    pub(crate) fn encode_texts<O: Output>(
        &self,
        mut texts: TextsCutter<'_>,
        buffers: &mut Buffers<'_>,
        ids: &mut O,
        mut ended: impl FnMut(&mut O),
    ) -> Result<()> {
        O::check(self.vocab.len())?;
        let scratch = buffers.0.get();
        let mut batch = scratch.batch.take().unwrap_or_default();
        let text = texts.text().as_bytes();
        let mut start = 0;
        scratch.cache.keep_learned(self.news.is_read());
        while texts.fill(&mut batch.ends) {
            self.news.exchange(&mut scratch.news, &mut scratch.cache);
            batch.look_up(text, start, &scratch.cache);
            self.push_batch(text, &mut batch, scratch, ids, &mut ended)?;
            start = batch.end();
        }
        scratch.batch = Some(batch);
        Ok(())
    }

    /// A text, batch by batch.
    fn encode_pieces<O: Output>(&self, text: &str, scratch: &mut Scratch, ids: &mut O) -> Result<()> {
        let mut batch = scratch.batch.take().unwrap_or_default();
        let mut cutter = self.pattern.cutter(text);
        let mut start = 0;
        scratch.cache.keep_learned(self.news.is_read());
        while cutter.fill(&mut batch.ends)? {
            self.news.exchange(&mut scratch.news, &mut scratch.cache);
            batch.look_up(text.as_bytes(), start, &scratch.cache);
            self.push_batch(text.as_bytes(), &mut batch, scratch, ids, &mut |_| ())?;
            start = batch.end();
        }
        scratch.batch = Some(batch);
        Ok(())
    }

    /// Appends the ids of a batch of pieces that have been looked up. An empty one is the end of a text.
    fn push_batch<O: Output>(
        &self,
        text: &[u8],
        batch: &mut Batch,
        scratch: &mut Scratch,
        ids: &mut O,
        ended: &mut impl FnMut(&mut O),
    ) -> Result<()> {
        // In text that has been going on for a while, many batches have nothing new, and this is all.
        let mut pushed = 0;
        if !batch.found.holes().is_empty() {
            self.encode_missing(text, batch, &mut scratch.cache);
            batch.prefetch_records(&scratch.cache);
            self.encode_longer(text, batch, &mut scratch.longer, &mut scratch.parts, &mut scratch.cache)?;
            for (number, hole) in batch.found.holes().iter().enumerate() {
                ids.push_all(&batch.found.ids()[pushed..hole.ids_before()]);
                pushed = hole.ids_before();
                if !scratch.cache.push_short(batch.became[number], ids) {
                    match &text[batch.range(hole.piece())] {
                        [] => ended(ids),
                        piece => self.encode_piece(piece, batch.tags[number], scratch, ids)?,
                    }
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
    fn encode_piece<O: Output>(&self, piece: &[u8], tag: u32, scratch: &mut Scratch, ids: &mut O) -> Result<()> {
        let Scratch { cache, tokens, parts, buffers, .. } = scratch;
        if cache.find_record(tag, piece, Kind::Whole, ids) {
            return Ok(());
        }
        tokens.clear();
        let is_cut = piece.len() >= BRIDGED && !piece.is_ascii() && self.encode_parts(piece, parts, tokens, cache)?;
        // No token lies across a cut, so a piece that has one is none.
        if !is_cut {
            match self.whole_pieces.then(|| self.vocab.id(piece)).flatten() {
                Some(id) => tokens.push(id),
                None => self.merge_into(piece, tokens, buffers)?,
            }
        }
        cache.put(tag, piece, Kind::Whole, tokens);
        ids.push_all(tokens);
        Ok(())
    }

    /// Appends what the tokens of single bytes merge to.
    pub(super) fn merge_into(&self, piece: &[u8], tokens: &mut Vec<u32>, buffers: &mut MergeBuffers) -> Result<()> {
        merge(piece, &self.byte_ids, &self.pairs, tokens, buffers).map_err(|byte| missing_byte(byte, piece))
    }
}

fn missing_byte(byte: u8, piece: &[u8]) -> Error {
    Error::UnknownToken(format!(
        "the vocabulary has no token for byte 0x{byte:02X}, found in {}; train with all 256 bytes as base tokens",
        crate::vocab::show(&piece[..piece.len().min(40)])
    ))
}
