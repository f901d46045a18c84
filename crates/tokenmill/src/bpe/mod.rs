//! Byte-level BPE.

use crate::error::Result;
use crate::split::Pattern;
use crate::vocab::Vocab;

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

/// Byte-level BPE.
#[derive(Debug)]
pub struct BpeModel {}

impl BpeModel {
    /// Checks that the parts fit together. `whole_pieces`: a piece that is a token is that token, whatever the
    /// merges say (tiktoken always, Hugging Face's `ignore_merges`).
    pub fn new(pattern: Pattern, vocab: Vocab, merges: Merges, whole_pieces: bool) -> Result<BpeModel> {
        let _ = (pattern, vocab, merges, whole_pieces);
        todo!()
    }
    /// How text is cut into pieces.
    pub fn pattern(&self) -> &Pattern {
        todo!()
    }
    /// The ordinary tokens.
    pub fn vocab(&self) -> &Vocab {
        todo!()
    }
    /// The merge rule.
    pub fn merges(&self) -> &Merges {
        todo!()
    }
    /// Whether a piece that is a token is taken whole.
    pub fn whole_pieces(&self) -> bool {
        todo!()
    }
}
