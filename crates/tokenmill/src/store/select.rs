//! Which documents go into a store: told in the order of the inputs, between parsing and encoding.

use super::Origin;
use super::quarantine::Quarantine;
use super::split::{Split, Splitter};
use super::text_hash::TextHash;
use crate::documents::{Documents, Rejected};
use crate::error::Result;
use serde::{Deserialize, Serialize};
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

/// What became of the documents that were read. The same input and options give the same numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// UTF-8 bytes of the documents that are in the store.
    pub text_bytes: u64,
    /// Records that were left out because they hold no document.
    pub rejected: u64,
    /// Documents that were left out because their text had been there.
    pub duplicates: u64,
    /// How often the documents in the store spell a special token.
    pub special_text: u64,
}

impl Summary {
    /// Of the documents of both.
    #[must_use]
    pub fn and(self, other: Summary) -> Summary {
        Summary {
            text_bytes: self.text_bytes + other.text_bytes,
            rejected: self.rejected + other.rejected,
            duplicates: self.duplicates + other.duplicates,
            special_text: self.special_text + other.special_text,
        }
    }
}

/// The documents of a block and what is to be done with each.
pub(super) struct Parsed {
    pub name: Arc<str>,
    /// What a document's position counts.
    pub unit: &'static str,
    pub documents: Documents,
    pub items: Vec<Item>,
    pub rejected: Vec<Rejected>,
}

/// A document.
pub(super) struct Item {
    pub split: Split,
    pub origin: Origin,
    pub action: Action,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Encode,
    /// It is on disk.
    Skip,
    /// It is to be in no store.
    Drop,
}

/// Which documents of each split need not be encoded.
pub(super) enum OnDisk {
    /// So many of the first.
    First([u64; 2]),
    /// All that are not in a gap; gaps in order.
    AllBut([VecDeque<Gap>; 2]),
}

/// Documents in a row that are to be encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gap {
    /// Input number and position of the document before them, where there is one.
    pub after: Option<(u64, u64)>,
    /// How many there are.
    pub documents: u64,
}

impl OnDisk {
    /// Whether the next document of a split is.
    pub fn has(&mut self, split: Split, origin: &Origin) -> bool {
        match self {
            OnDisk::First(left) => {
                let left = &mut left[split as usize];
                let is_left = *left > 0;
                *left -= u64::from(is_left);
                is_left
            }
            OnDisk::AllBut(gaps) => {
                let gaps = &mut gaps[split as usize];
                let place = (u64::from(origin.input), origin.position);
                let Some(gap) = gaps.front_mut().filter(|gap| gap.after < Some(place)) else { return true };
                gap.documents = gap.documents.saturating_sub(1);
                if gap.documents == 0 {
                    gaps.pop_front();
                }
                false
            }
        }
    }

    /// Whether the next document is there whatever its text says, which is not known yet.
    pub fn has_surely(&self, splits: &[Split], input: u32, position: u64) -> bool {
        splits.iter().all(|split| match self {
            OnDisk::First(left) => left[*split as usize] > 0,
            OnDisk::AllBut(gaps) => {
                gaps[*split as usize].front().is_none_or(|gap| gap.after >= Some((u64::from(input), position)))
            }
        })
    }

    /// Whether no document of a split is there from here on.
    fn has_no_more(&self, split: Split) -> bool {
        matches!(self, OnDisk::First(left) if left[split as usize] == 0)
    }
}

/// Sees each block once, in order.
pub(super) struct Selection {
    pub splitter: Splitter,
    pub on_disk: OnDisk,
    /// First halves of the hashes of all texts so far; `None` where equal texts are wanted. 16 bytes, as among 10^12 texts
    /// two have the same with a probability of 10^-15. The halves tell the split, so that all of one are in the same.
    pub texts: Option<HashSet<[u8; 16]>>,
    pub quarantine: Option<Quarantine>,
    pub summary: Summary,
}

impl Selection {
    /// Decides for each document of the next block.
    pub fn decide(&mut self, block: &mut Parsed) -> Result<()> {
        for rejected in block.rejected.drain(..) {
            self.reject(&rejected)?;
        }
        block.items.iter_mut().filter(|item| item.action != Action::Drop).try_for_each(|item| self.admit(item))
    }

    /// Counts a record that holds no document.
    pub fn reject(&mut self, rejected: &Rejected) -> Result<()> {
        self.summary.rejected += 1;
        self.quarantine.as_mut().map_or(Ok(()), |quarantine| quarantine.add(rejected))
    }

    /// Decides for a document.
    pub fn admit(&mut self, item: &mut Item) -> Result<()> {
        if !self.is_new(&item.origin.text)? {
            self.summary.duplicates += 1;
            item.action = Action::Drop;
            return Ok(());
        }
        self.summary.text_bytes += item.origin.text_bytes;
        self.summary.special_text += item.origin.special_text;
        if self.on_disk.has(item.split, &item.origin) {
            item.action = Action::Skip;
        }
        Ok(())
    }

    /// The split that is to get each document from here on, whatever its text says; `None`: that depends on the text.
    pub fn takes_all(&self) -> Option<Split> {
        let [split] = self.splitter.splits() else { return None };
        (self.texts.is_none() && self.on_disk.has_no_more(*split)).then_some(*split)
    }

    fn is_new(&mut self, text: &TextHash) -> Result<bool> {
        let Some(texts) = &mut self.texts else { return Ok(true) };
        let (half, _) = text.sha256()?.split_at(16);
        Ok(half.try_into().is_ok_and(|half| texts.insert(half)))
    }
}
