//! The shards that a stopped run finished, held against the documents as they are read again.
//!
//! A resumed run reads its inputs from the start, as it needs their hashes, but encodes nothing that is on disk: reading
//! is several times as fast. So a change in the inputs cannot go unnoticed, whatever their sizes and times say.

use super::shard::{Origin, ShardRecord, SourceHash};
use crate::documents::PlannedInput;
use std::collections::VecDeque;
use std::fmt::Write;

/// A finished shard.
#[derive(Debug)]
pub(super) struct KeptShard {
    pub name: String,
    pub record: ShardRecord,
    /// Numbers of the inputs that its first and its last document come from.
    pub inputs: (u64, u64),
}

/// The finished shards of one split, in order.
#[derive(Debug, Default)]
pub(super) struct Kept {
    shards: VecDeque<KeptShard>,
    /// Of the first shard: documents seen again, and their hash.
    seen: u64,
    source: SourceHash,
}

impl Kept {
    pub fn new(shards: Vec<KeptShard>) -> Kept {
        Kept { shards: shards.into(), ..Kept::default() }
    }

    /// Documents that are on disk and have not been seen again.
    pub fn documents(&self) -> u64 {
        self.shards.iter().map(|shard| shard.record.num_documents).sum::<u64>() - self.seen
    }

    /// The next document: on disk, if it is still the same. A shard all of whose documents are is handed out; an error
    /// is the shard that was made of others.
    pub fn skip(&mut self, origin: &Origin) -> Result<Option<KeptShard>, Box<KeptShard>> {
        self.source.update(origin);
        self.seen += 1;
        match self.shards.pop_front() {
            Some(shard) if shard.record.num_documents > self.seen => self.shards.push_front(shard),
            Some(shard) => {
                self.seen = 0;
                let same = std::mem::take(&mut self.source).finish() == shard.record.source;
                return if same { Ok(Some(shard)) } else { Err(shard.into()) };
            }
            None => {}
        }
        Ok(None)
    }

    /// The first shard that the inputs have too few documents for.
    pub fn left(&self) -> Option<&KeptShard> {
        self.shards.front()
    }
}

impl KeptShard {
    /// Why work cannot go on, in words.
    pub fn complaint(&self, inputs: &[PlannedInput]) -> String {
        let mut text = format!("{} was made of other documents than are read now", self.name);
        let name = |number: u64| usize::try_from(number).ok().and_then(|number| inputs.get(number));
        // Writing to a string cannot fail.
        let _ = match (name(self.inputs.0), name(self.inputs.1)) {
            (Some(first), Some(last)) if first == last => write!(text, ": {} has changed", first.name),
            (Some(first), Some(last)) => {
                write!(text, ": one of the inputs from {} to {} has changed", first.name, last.name)
            }
            _ => write!(text, ": the inputs have changed"),
        };
        text
    }
}
