//! A store as it was before documents were appended to it: a beginning of its inputs and of its shards.

use super::manifest::Manifest;
use super::shard::{ShardEntry, Table};
use super::split::Split;
use super::{Summary, sealed::from_hex};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// What a manifest said before an append, as far as its beginning does not tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Earlier {
    /// The program that had written it.
    pub created_by: String,
    /// How many inputs there were.
    pub inputs: usize,
    /// What had become of the documents in them.
    pub summary: Summary,
    /// The first shards.
    #[serde(flatten)]
    pub train: EarlierTable,
    /// The first shards of the other split, where the store has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<EarlierTable>,
}

/// A table of shards as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EarlierTable {
    /// How many shards there were.
    pub num_shards: usize,
    /// Tokens in them.
    pub num_tokens: u64,
    /// Documents in them, empty ones among them.
    pub num_documents: u64,
    /// Documents with no token but BOS and EOS.
    pub num_empty_documents: u64,
    /// The split's content hash.
    pub content_hash: String,
}

impl Earlier {
    /// What is kept of a manifest that is about to be added to.
    pub(super) fn of(manifest: &Manifest) -> Earlier {
        Earlier {
            created_by: manifest.created_by.clone(),
            inputs: manifest.inputs.len(),
            summary: manifest.summary,
            train: EarlierTable::of(&manifest.train),
            validation: manifest.validation.as_ref().map(|validation| EarlierTable::of(&validation.table)),
        }
    }

    fn table(&self, split: Split) -> Option<&EarlierTable> {
        match split {
            Split::Train => Some(&self.train),
            Split::Validation => self.validation.as_ref(),
        }
    }
}

impl EarlierTable {
    fn of(table: &Table) -> EarlierTable {
        EarlierTable {
            num_shards: table.shards.len(),
            num_tokens: table.num_tokens,
            num_documents: table.num_documents,
            num_empty_documents: table.num_empty_documents,
            content_hash: table.content_hash.clone(),
        }
    }

    fn table(&self, shards: &[ShardEntry]) -> Table {
        Table {
            shards: shards.iter().take(self.num_shards).cloned().collect(),
            num_tokens: self.num_tokens,
            num_documents: self.num_documents,
            num_empty_documents: self.num_empty_documents,
            content_hash: self.content_hash.clone(),
        }
    }
}

impl Manifest {
    /// The manifest of the store at `path` when one of the splits had this content hash: see [`Manifest::go_back_to`].
    pub(super) fn go_back(
        self,
        path: &Path,
        splits: &[Split],
        content_hash: &str,
        inputs: Option<usize>,
    ) -> Result<Manifest> {
        let found = splits.iter().find_map(|split| self.clone().go_back_to(*split, content_hash, inputs));
        found.ok_or_else(|| {
            let what = "is another store than the one with the content hash";
            let remedy = "`inspect` lists those that it has had";
            Error::store(path, format!("{what} {content_hash}, whatever was appended to that; {remedy}"))
        })
    }

    /// The manifest when a split had this content hash, and so many inputs if that is known; the last such, as an append may have
    /// added nothing to a split. `None`: it never had.
    fn go_back_to(self, split: Split, content_hash: &str, inputs: Option<usize>) -> Option<Manifest> {
        let is_it =
            |found: Option<&str>, had: usize| found == Some(content_hash) && inputs.is_none_or(|inputs| inputs == had);
        if is_it(self.table(split).map(|table| table.content_hash.as_str()), self.inputs.len()) {
            return Some(self);
        }
        let hash = |earlier: &Earlier| earlier.table(split).map(|table| table.content_hash.clone());
        let found = self.history.iter().rposition(|earlier| is_it(hash(earlier).as_deref(), earlier.inputs))?;
        Some(self.before(found))
    }

    /// The manifest before append number `append`.
    fn before(mut self, append: usize) -> Manifest {
        let Some(earlier) = self.history.get(append).cloned() else { return self };
        self.history.truncate(append);
        self.created_by = earlier.created_by;
        self.inputs.truncate(earlier.inputs);
        self.summary = earlier.summary;
        self.train = earlier.train.table(&self.train.shards);
        if let (Some(now), Some(then)) = (&mut self.validation, &earlier.validation) {
            now.table = then.table(&now.table.shards);
        }
        self
    }

    /// Says what is wrong with the history, if anything: its numbers are those of beginnings of what there is now.
    pub(super) fn check_history(&self) -> Result<(), String> {
        let mut inputs = 0;
        for earlier in &self.history {
            if earlier.inputs < inputs || earlier.inputs > self.inputs.len() {
                return Err(format!("its history has {} inputs where {inputs} came before", earlier.inputs));
            }
            inputs = earlier.inputs;
        }
        for split in Split::ALL {
            let shards = self.table(split).map(|table| table.shards.as_slice());
            check_sums(shards.unwrap_or_default(), self.history.iter().map(|earlier| earlier.table(split)))?;
        }
        Ok(())
    }

    /// The first content hash in the history that is not the one of its shards.
    pub(super) fn wrong_hash(&self) -> Option<String> {
        let tables = self.history.iter().flat_map(|earlier| Split::ALL.map(|split| (split, earlier.table(split))));
        let mut tables = tables.filter_map(|(split, then)| Some((then?, self.table(split)?)));
        let wrong = |(then, now): &(&EarlierTable, &Table)| {
            self.expected_content_hash(&then.table(&now.shards)) != from_hex(&then.content_hash)
        };
        tables.find(wrong).map(|(then, _)| then.content_hash.clone())
    }
}

/// Compares the sums in a history with those of the shards, which do not overflow, in one pass over both.
fn check_sums<'a>(
    shards: &[ShardEntry],
    history: impl Iterator<Item = Option<&'a EarlierTable>>,
) -> Result<(), String> {
    let (mut seen, mut tokens, mut documents) = (0, 0, 0);
    for then in history.flatten() {
        let Some(new) = shards.get(seen..then.num_shards) else {
            return Err(format!("its history has {} shards where {seen} came before", then.num_shards));
        };
        seen = then.num_shards;
        tokens += new.iter().map(|shard| shard.num_tokens).sum::<u64>();
        documents += new.iter().map(|shard| shard.num_documents).sum::<u64>();
        if (then.num_tokens, then.num_documents) != (tokens, documents) || then.num_empty_documents > documents {
            return Err(format!("its history has other totals than its first {seen} shards"));
        }
        if from_hex(&then.content_hash).is_none() {
            return Err(format!("{:?} is not a SHA-256 of 64 hexadecimal digits", then.content_hash));
        }
    }
    Ok(())
}
