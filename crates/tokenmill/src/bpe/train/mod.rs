//! Training: the most frequent pair merges first.
//!
//! The rule, which alone decides the result: count overlapping pairs inside pieces, weighted by how often the piece
//! occurs; merge the pair with the highest count, of equals the one with the smallest (left id, right id), left to
//! right; stop at the wanted size or when the best count is below `min_frequency`.
//! (`tests/reference/bpe.py` is the same in 30 lines.)

mod arena;
mod learn;
mod neighbours;
mod pairs;

use super::{BpeModel, Merge, Merges};
use crate::byte_level;
use crate::counts::{Counter, PieceCounts, count_pieces};
use crate::documents::BlockSource;
use crate::error::{Error, Result};
use crate::monitor::{Monitor, Progress};
use crate::split::{Ends, Pattern};
use crate::vocab::{SpecialToken, Vocab, show};
use arena::{Arena, Slot};
use learn::Learner;
use rustc_hash::FxHashMap;
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
}

const BYTES: u32 = 256;

/// Trains a model and numbers its special tokens.
pub fn train(
    source: &mut dyn BlockSource,
    options: &TrainOptions,
    monitor: &dyn Monitor,
) -> Result<(BpeModel, Vec<SpecialToken>)> {
    let specials = u32::try_from(options.special_tokens.len()).unwrap_or(u32::MAX);
    let Some(room) = options.vocab_size.checked_sub(BYTES).and_then(|rest| rest.checked_sub(specials)) else {
        return Err(Error::value(format!(
            "vocab_size={} is too small: 256 byte tokens and {specials} special tokens need at least {}",
            options.vocab_size,
            u64::from(BYTES) + u64::from(specials)
        )));
    };
    let counted = count_pieces(source, |text, counter| cut(&options.pattern, text, counter), monitor)?;
    let mut tokens = Numbering::new(options.compat, specials);
    let small = tokens.next_id().saturating_add(room) <= u16::LIMIT;
    let learn = if small { learn::<u16> } else { learn::<u32> };
    let merges = learn(&counted, &mut tokens, room, options.min_frequency, monitor)?;
    tokens.finish(options, merges)
}

/// Counts the pieces of a text.
fn cut(pattern: &Pattern, text: &str, counter: &mut Counter<'_>) -> Result<()> {
    let mut cutter = pattern.cutter(text);
    let mut ends = Ends::new();
    let mut start = 0;
    while cutter.fill(&mut ends)? {
        counter.add_all(text.as_bytes(), start, ends.as_slice());
        start = ends.as_slice().last().copied().unwrap_or(start);
    }
    Ok(())
}

/// Learns up to `room` new tokens.
fn learn<S: Slot>(
    pieces: &PieceCounts,
    tokens: &mut Numbering,
    room: u32,
    min_frequency: u64,
    monitor: &dyn Monitor,
) -> Result<Vec<Merge>> {
    let learned = Cell::new(0);
    let tick = || {
        monitor.tick(Progress {
            stage: "merging",
            unit: "merges",
            done: u64::from(learned.get()),
            total: Some(u64::from(room)),
        })
    };
    let arena = Arena::<S>::new(pieces, &tokens.byte_ids, tokens.first)?;
    let mut learner = Learner::new(arena, room, min_frequency, &tick)?;
    let mut merges = Vec::new();
    while learned.get() < room
        && let Some(pair) = learner.best()?
    {
        let (left, right) = (pair.left(), pair.right());
        let (id, new) = tokens.make(left, right);
        learner.merge(pair, id, new)?;
        merges.push(Merge { left, right, id });
        learned.set(learned.get() + u32::from(new));
        tick()?;
    }
    Ok(merges)
}

/// Which id stands for which bytes while the vocabulary grows.
struct Numbering {
    compat: Compat,
    byte_ids: Vec<u32>,
    tokens: Vec<(u32, Vec<u8>)>,
    /// Index in `tokens` = id − `first`.
    first: u32,
    by_bytes: FxHashMap<Vec<u8>, u32>,
}

impl Numbering {
    fn new(compat: Compat, specials: u32) -> Numbering {
        let (first, order): (u32, Vec<u8>) = match compat {
            Compat::Gpt => (0, (0..=u8::MAX).collect()),
            Compat::HuggingFace => (specials, byte_level::alphabet_order().to_vec()),
        };
        let tokens: Vec<(u32, Vec<u8>)> = (first..).zip(order.iter().map(|&byte| vec![byte])).collect();
        let mut byte_ids = vec![0; BYTES as usize];
        for (id, bytes) in &tokens {
            byte_ids[usize::from(bytes[0])] = *id;
        }
        let by_bytes = tokens.iter().map(|(id, bytes)| (bytes.clone(), *id)).collect();
        Numbering { compat, byte_ids, tokens, first, by_bytes }
    }

    /// The id of the next new token.
    fn next_id(&self) -> u32 {
        self.tokens.last().map_or(self.first, |(last, _)| last + 1)
    }

    fn bytes(&self, id: u32) -> &[u8] {
        &self.tokens[(id - self.first) as usize].1
    }

    /// The id for a new merge, and whether it is a new token.
    fn make(&mut self, left: u32, right: u32) -> (u32, bool) {
        let bytes = [self.bytes(left), self.bytes(right)].concat();
        if self.compat == Compat::HuggingFace
            && let Some(&id) = self.by_bytes.get(&bytes)
        {
            return (id, false);
        }
        let id = self.next_id();
        self.by_bytes.entry(bytes.clone()).or_insert(id);
        self.tokens.push((id, bytes));
        (id, true)
    }

    fn finish(self, options: &TrainOptions, merges: Vec<Merge>) -> Result<(BpeModel, Vec<SpecialToken>)> {
        let first_special = match self.compat {
            Compat::Gpt => self.next_id(),
            Compat::HuggingFace => 0,
        };
        for text in &options.special_tokens {
            if let Some(id) = self.by_bytes.get(text.as_bytes()) {
                return Err(Error::value(format!(
                    "special token {} is also an ordinary token (id {id}); choose a spelling that does not occur in text",
                    show(text.as_bytes())
                )));
            }
        }
        let specials = (first_special..)
            .zip(&options.special_tokens)
            .map(|(id, text)| SpecialToken { text: text.clone(), id, always: false })
            .collect();
        let vocab = Vocab::new(self.tokens)?;
        let model = BpeModel::new(options.pattern.clone(), vocab, Merges::List(merges), false)?;
        Ok((model, specials))
    }
}
