//! What a preparation is told.

use super::DEFAULT_SHARD_TOKENS;
use super::tasks::Task;
use crate::documents::FileOptions;
use crate::special::Allowed;
use serde::{Deserialize, Serialize};
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// What decides the bytes of a store besides its documents and the tokenizer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    /// Put before every document.
    pub bos: Option<u32>,
    /// Put after every document.
    pub eos: Option<u32>,
    /// A new shard begins at the first document after this many tokens.
    pub shard_tokens: u64,
    /// The share of the documents that goes into the validation split; 0: there is none.
    pub val_fraction: f64,
    /// What to make of special tokens spelled in a text.
    pub specials: SpecialText,
    /// Leave out documents whose text has been there.
    pub dedup: bool,
    /// How the source reads files, if it does: recorded, so that they can be read again in the same way.
    #[serde(default)]
    pub reading: Option<FileOptions>,
}

impl Default for Recipe {
    fn default() -> Self {
        Recipe {
            bos: None,
            eos: None,
            shard_tokens: DEFAULT_SHARD_TOKENS,
            val_fraction: 0.0,
            specials: SpecialText::Text,
            dedup: false,
            reading: None,
        }
    }
}

/// How documents become a store.
#[derive(Debug, Clone, Default)]
pub struct PrepareOptions {
    /// What decides its bytes.
    pub recipe: Recipe,
    /// Leave out records that hold no document, instead of ending at the first.
    pub skip_rejected: bool,
    /// The file that tells which those are.
    pub quarantine: Option<PathBuf>,
    /// Threads that encode; `None`: those of the process. No byte of the store depends on it.
    pub workers: Option<NonZeroUsize>,
    /// Only this share of the inputs, for `seal` to join with the others.
    pub task: Option<Task>,
    /// Add the documents to the store, which must be there and have been made in the same way.
    pub append: bool,
    /// Go on with what a stopped run has left beside the store, if anything; it must have had the same options and inputs.
    pub resume: bool,
}

impl PrepareOptions {
    /// Whether texts are told from others by their SHA-256. For those of a task `seal` may want it.
    pub(super) fn tells_texts(&self) -> bool {
        self.recipe.val_fraction > 0.0 || self.recipe.dedup || self.task.is_some()
    }
}

/// What to make of a special token that is spelled in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SpecialText {
    /// Ordinary text: nobody can inject one.
    Text,
    /// The document is rejected.
    Error,
    /// The special token.
    Allow,
}

impl SpecialText {
    /// Which special tokens a text may have.
    pub(super) fn allowed(self) -> Allowed<'static> {
        if self == SpecialText::Allow { Allowed::All } else { Allowed::None }
    }
}
