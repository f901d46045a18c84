//! Training: the most frequent pair merges first.
//!
//! The rule, which alone decides the result: count overlapping pairs inside pieces, weighted by how often the piece
//! occurs; merge the pair with the highest count, of equals the one with the smallest (left id, right id), left to
//! right; stop at the wanted size or when the best count is below `min_frequency`.
//! (`tests/reference/bpe.py` is the same in 30 lines.)
//!
//! ```text
//! documents ─ count ─► Pieces ─► Arena ─ Learner: best pair, merge, ... ─► Trained ─► tokenizers of each size
//! ```

mod arena;
mod learn;
mod neighbours;
mod numbering;
mod pairs;
#[cfg(test)]
mod tests;

use super::merge::{MergeBuffers, merge};
use super::{BpeModel, Merge};
use crate::counts::{Budget, Counter, Cut, PieceCounts, Pieces, count_pieces};
use crate::documents::BlockSource;
use crate::error::{Error, Result};
use crate::monitor::{Monitor, Progress};
use crate::split::{Ends, Pattern};
use crate::vocab::{SpecialToken, show};
use arena::{Arena, Slot};
use learn::Learner;
use numbering::Numbering;
use std::cell::Cell;

/// Whose numbering of tokens, and so whose ties.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compat {
    /// Ids 0–255 are the raw bytes, then merges, special tokens last (GPT, rustbpe).
    Gpt,
    /// Special tokens first, then the bytes in the order of the ByteLevel alphabet, then merges; a merge that spells
    /// a token which exists reuses its id (Hugging Face `BpeTrainer`).
    HuggingFace,
}

/// How to train.
#[derive(Debug, Clone)]
pub struct TrainOptions {
    /// Tokens in all, special ones included.
    pub vocab_size: u32,
    /// How text is cut before pairs are counted.
    pub pattern: Pattern,
    /// Spellings of the special tokens.
    pub special_tokens: Vec<String>,
    /// A pair must occur this often to be merged.
    pub min_frequency: u64,
    /// Numbering.
    pub compat: Compat,
    /// No token gets longer than this many bytes.
    pub max_token_bytes: Option<u32>,
}

/// A tokenizer to go on from: its tokens keep their ids, its merges come first. Pattern, special tokens and numbering
/// are its own, whatever the options say; a pair that spells a token it has becomes that token.
#[derive(Debug, Clone, Copy)]
pub struct Base<'a> {
    /// Its model.
    pub model: &'a BpeModel,
    /// Its special tokens.
    pub specials: &'a [SpecialToken],
}

impl Base<'_> {
    /// One more than the highest id.
    fn ids(&self) -> usize {
        let ordinary = self.model.vocab().iter().map(|(id, _)| id);
        ordinary.chain(self.specials.iter().map(|special| special.id)).max().map_or(0, |id| id as usize + 1)
    }
}

const BYTES: u32 = 256;

impl TrainOptions {
    /// How many tokens there is room for besides the bytes and the special tokens.
    fn room(&self) -> Result<u32> {
        let needed = BYTES as usize + self.special_tokens.len();
        u32::try_from(needed).ok().and_then(|needed| self.vocab_size.checked_sub(needed)).ok_or_else(|| {
            Error::value(format!(
                "vocab_size={} is too small: 256 byte tokens and {} special tokens need at least {needed}",
                self.vocab_size,
                self.special_tokens.len()
            ))
        })
    }

    /// Finds what cannot be right before hours of counting.
    pub fn check(&self, base: Option<Base<'_>>) -> Result<()> {
        self.room_after(base).map(|_| ())
    }

    fn room_after(&self, base: Option<Base<'_>>) -> Result<u32> {
        let Some(base) = base else { return self.room() };
        u32::try_from(base.ids()).ok().and_then(|ids| self.vocab_size.checked_sub(ids)).ok_or_else(|| {
            Error::value(format!(
                "vocab_size={} is less than the {} of the tokenizer that is to be extended",
                self.vocab_size,
                base.ids()
            ))
        })
    }
}

/// Counts the pieces of all documents.
pub fn count(
    source: &mut dyn BlockSource,
    pattern: &Pattern,
    budget: &Budget,
    monitor: &dyn Monitor,
) -> Result<PieceCounts> {
    count_pieces(source, pattern, budget, monitor)
}

impl Cut for Pattern {
    fn count(&self, text: &str, counter: &mut Counter<'_>) -> Result<()> {
        let mut cutter = self.cutter(text);
        let mut ends = Ends::new();
        let mut start = 0;
        while cutter.fill(&mut ends)? {
            counter.add_all(text.as_bytes(), start, ends.as_slice());
            start = ends.as_slice().last().copied().unwrap_or(start);
        }
        Ok(())
    }

    fn next_cut(&self, text: &str, from: usize) -> Option<usize> {
        Pattern::next_cut(self, text, from)
    }
}

/// What one merge did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Ids up to now, special ones included: the size of the vocabulary that ends here.
    pub vocab_size: u32,
    /// How often the pair occurred.
    pub count: u64,
    /// Tokens that the whole corpus has now.
    pub tokens: u64,
}

/// Merges, of which each beginning is a training too: that of a smaller vocabulary.
#[derive(Debug)]
pub struct Trained<'a> {
    options: TrainOptions,
    base: Option<Base<'a>>,
    merges: Vec<Merge>,
    /// For each merge.
    pub steps: Vec<Step>,
    /// Bytes of the corpus.
    pub num_bytes: u64,
    /// The longest pieces, of 4 KiB or more: their bytes, and the first 80 of these. A pattern that cuts no text is
    /// a mistake more often than not.
    pub long_pieces: Vec<(usize, Vec<u8>)>,
}

/// Learns merges from pieces that were cut with the pattern of the options, or of the base.
pub fn train<'a>(
    pieces: &dyn Pieces,
    options: &TrainOptions,
    base: Option<Base<'a>>,
    monitor: &dyn Monitor,
) -> Result<Trained<'a>> {
    let room = options.room_after(base)?;
    let mut options = options.clone();
    if let Some(base) = base {
        options.pattern = base.model.pattern().clone();
    }
    let mut trained =
        Trained { options, base, merges: Vec::new(), steps: Vec::new(), num_bytes: 0, long_pieces: Vec::new() };
    let ids = trained.numbering()?.next_id().saturating_add(room);
    let learn = if ids <= u16::LIMIT { learn::<u16> } else { learn::<u32> };
    learn(pieces, &mut trained, room, monitor)?;
    Ok(trained)
}

fn learn<S: Slot>(pieces: &dyn Pieces, trained: &mut Trained<'_>, room: u32, monitor: &dyn Monitor) -> Result<()> {
    let options = &trained.options;
    let learned = Cell::new(0);
    let progress = || {
        let done = u64::from(learned.get());
        Progress { stage: "merging", unit: "merges", done, total: Some(u64::from(room)) }
    };
    let tick = || monitor.tick(progress());
    let mut tokens = trained.numbering()?;
    let mut arena = Arena::<S>::new(pieces, tokens.byte_ids(), tokens.lengths(), &tick)?;
    // Each byte is a token until a base has merged some.
    trained.num_bytes = arena.num_tokens();
    if let Some(base) = trained.base {
        arena.retokenize(tokens.byte_ids(), |piece, ids| base.model.merge_piece(piece, ids), &tick)?;
    }
    // Special tokens that come last get their ids later, but belong to the size.
    let apart = if trained.base.is_none() && options.compat == Compat::Gpt { options.special_tokens.len() } else { 0 };
    trained.long_pieces = std::mem::take(&mut arena.long_pieces);
    let most = options.max_token_bytes.unwrap_or(u32::MAX);
    let floor = learn::first_floor(arena.num_pairs(), room);
    let mut learner = Learner::new(arena, room, [floor, options.min_frequency], most, &tick)?;
    while learned.get() < room
        && let Some((pair, count)) = learner.best()?
    {
        let (left, right) = (pair.left(), pair.right());
        let (id, new) = tokens.make(left, right);
        learner.merge(pair, id, new)?;
        trained.merges.push(Merge { left, right, id });
        let vocab_size = tokens.next_id() + u32::try_from(apart).unwrap_or(u32::MAX);
        trained.steps.push(Step { vocab_size, count, tokens: learner.num_tokens() });
        learned.set(learned.get() + u32::from(new));
        monitor.tick_with(progress(), &|| format!("last {}, {count} times", show(tokens.bytes(id))))?;
    }
    Ok(())
}

impl<'a> Trained<'a> {
    fn numbering(&self) -> Result<Numbering<'a>> {
        match self.base {
            None => Ok(Numbering::new(&self.options)),
            Some(base) => Numbering::extending(base),
        }
    }

    /// The model of at most so many tokens and its special tokens: what training for that size would have given.
    pub fn model(&self, vocab_size: u32) -> Result<(BpeModel, Vec<SpecialToken>)> {
        let mut room = TrainOptions { vocab_size, ..self.options.clone() }.room_after(self.base)?;
        let mut tokens = self.numbering()?;
        let mut merges = 0;
        for merge in &self.merges {
            if room == 0 {
                break;
            }
            room -= u32::from(tokens.make(merge.left, merge.right).1);
            merges += 1;
        }
        tokens.finish(&self.options, &self.merges[..merges])
    }
}

impl BpeModel {
    /// Appends the tokens of a piece, which may be any bytes.
    fn merge_piece(&self, piece: &[u8], ids: &mut Vec<u32>) -> Result<()> {
        if self.whole_pieces
            && let Some(id) = self.vocab.id(piece)
        {
            ids.push(id);
            return Ok(());
        }
        merge(piece, &self.byte_ids, &self.pairs, ids, &mut MergeBuffers::default())
            .map_err(|byte| Error::value(format!("the byte 0x{byte:02X} has no token in the tokenizer to be extended")))
    }
}
