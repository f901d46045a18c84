//! Byte-level BPE: the model. Encoding is in `encode`, training in `train`.
//!
//! ```text
//! text ─ split::Pattern ─► pieces ─ cache ─ merge ─► ids
//! ```

mod batch;
mod blocks;
mod bridge;
mod cache;
mod encode;
mod growing;
mod in_turn;
mod key;
mod last_merge;
mod longer;
mod merge;
mod misses;
mod news;
mod output;
mod pairs;
mod parts;
mod perfect;
mod spares;
pub mod train;

pub(crate) use encode::Buffers;
pub use output::{Count, Output};

use crate::error::{Error, Result};
use crate::split::Pattern;
use crate::vocab::{Vocab, show};
use bridge::Bridges;
use encode::Scratch;
use news::News;
use pairs::PairTable;
use spares::Spares;
use std::borrow::Cow;
use std::sync::OnceLock;

/// One learned merge: `left` and `right` side by side become `id`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Merge {
    /// The left token.
    pub left: u32,
    /// The right token.
    pub right: u32,
    /// What they become. Its bytes are those of `left` and `right`.
    pub id: u32,
}

/// Which pairs merge, and which first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Merges {
    /// Hugging Face, GPT-2 files, our trainer: exactly these pairs, earlier ones first.
    List(Vec<Merge>),
    /// tiktoken: any pair whose concatenation is a token, smaller id (rank) first.
    Ranks,
}

/// Byte-level BPE. Immutable; encoding borrows it shared, so any number of threads may use one.
#[derive(Debug)]
pub struct BpeModel {
    pattern: Pattern,
    vocab: Vocab,
    merges: Merges,
    whole_pieces: bool,
    byte_ids: Box<ByteIds>,
    pairs: PairTable,
    /// Made for the first long piece outside ASCII.
    bridges: OnceLock<Bridges>,
    scratch: Spares<Scratch>,
    news: News,
}

impl BpeModel {
    /// Checks that the parts fit together. `whole_pieces`: a piece that is a token is that token, whatever the
    /// merges say (tiktoken always, Hugging Face's `ignore_merges`).
    pub fn new(pattern: Pattern, vocab: Vocab, merges: Merges, whole_pieces: bool) -> Result<BpeModel> {
        cache::check_variable()?;
        let byte_ids = Box::new(ByteIds::of(&vocab));
        let pairs = match &merges {
            Merges::List(list) => {
                check_merges(&vocab, list)?;
                PairTable::from_list(&vocab, list, &byte_ids)?
            }
            Merges::Ranks => PairTable::from_ranks(&vocab, &byte_ids)?,
        };
        Ok(BpeModel {
            pattern,
            vocab,
            merges,
            whole_pieces,
            byte_ids,
            pairs,
            bridges: OnceLock::new(),
            scratch: Spares::default(),
            news: News::default(),
        })
    }

    fn bridges(&self) -> &Bridges {
        self.bridges.get_or_init(|| Bridges::new(&self.vocab))
    }

    /// How text is cut into pieces.
    pub fn pattern(&self) -> &Pattern {
        &self.pattern
    }

    /// The ordinary tokens.
    pub fn vocab(&self) -> &Vocab {
        &self.vocab
    }

    /// The merge rule.
    pub fn merges(&self) -> &Merges {
        &self.merges
    }

    /// The merges as a list, which gives the same ids. Of ranks: the one pair for each token that can come up, smaller
    /// tokens first.
    pub fn merge_list(&self) -> Cow<'_, [Merge]> {
        match &self.merges {
            Merges::List(list) => Cow::Borrowed(list),
            Merges::Ranks => Cow::Owned(self.pairs.by_rank()),
        }
    }

    /// Whether a piece that is a token is taken whole.
    pub fn whole_pieces(&self) -> bool {
        self.whole_pieces
    }
}

/// The token of each single byte, where there is one.
#[derive(Debug)]
struct ByteIds {
    /// `NONE` where there is none.
    ids: [u32; 256],
    /// Whether every byte has one.
    all: bool,
}

impl ByteIds {
    const NONE: u32 = u32::MAX;

    fn of(vocab: &Vocab) -> ByteIds {
        let mut ids = [ByteIds::NONE; 256];
        for (byte, id) in (0..=u8::MAX).zip(&mut ids) {
            *id = vocab.id(&[byte]).unwrap_or(ByteIds::NONE);
        }
        ByteIds { ids, all: !ids.contains(&ByteIds::NONE) }
    }

    fn get(&self, byte: u8) -> Option<u32> {
        Some(self.ids[usize::from(byte)]).filter(|id| *id != ByteIds::NONE)
    }
}

/// Every merge must name tokens that exist, and make what it says.
fn check_merges(vocab: &Vocab, list: &[Merge]) -> Result<()> {
    for (number, merge) in (1..).zip(list.iter()) {
        let bytes = |id: u32| {
            vocab
                .bytes(id)
                .ok_or_else(|| Error::value(format!("merge {number} names id {id}, which is no ordinary token")))
        };
        let (left, right, made) = (bytes(merge.left)?, bytes(merge.right)?, bytes(merge.id)?);
        if made.len() != left.len() + right.len() || !made.starts_with(left) || !made.ends_with(right) {
            return Err(Error::value(format!(
                "merge {number} joins {} and {} but its token {} is {}",
                show(left),
                show(right),
                merge.id,
                show(made)
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
