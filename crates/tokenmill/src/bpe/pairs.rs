//! Which pair of tokens merges, when, and into what: one table for both merge rules.

use super::Merge;
use crate::error::{Error, Result};
use crate::vocab::Vocab;
use rustc_hash::FxHashMap;

/// What a pair becomes. Ordered by rank: the smallest is merged first. `rank` and `id` go up together in one word so
/// that the inner loop compares single integers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Target(u64);

impl Target {
    /// Larger than every real target: this pair does not merge.
    pub(super) const NONE: Target = Target(u64::MAX);

    fn new(rank: u32, id: u32) -> Target {
        Target(u64::from(rank) << 32 | u64::from(id))
    }

    /// The token that the pair becomes.
    #[expect(clippy::cast_possible_truncation, reason = "the low half is the id")]
    pub(super) fn id(self) -> u32 {
        self.0 as u32
    }
}

/// (left, right) → target.
#[derive(Debug)]
pub(super) struct PairTable {
    targets: FxHashMap<u64, Target>,
}

impl PairTable {
    /// Merge-list rule: the rank is the place in the list.
    pub(super) fn from_list(list: &[Merge]) -> Result<PairTable> {
        let mut targets = FxHashMap::with_capacity_and_hasher(list.len(), rustc_hash::FxBuildHasher);
        for (rank, merge) in (0..).zip(list) {
            if targets.insert(key(merge.left, merge.right), Target::new(rank, merge.id)).is_some() {
                return Err(Error::value(format!(
                    "merge {} repeats the pair ({}, {})",
                    u64::from(rank) + 1,
                    merge.left,
                    merge.right
                )));
            }
        }
        Ok(PairTable { targets })
    }

    /// Rank rule: every way to cut a token into two tokens is a pair, its rank the token's id.
    pub(super) fn from_ranks(vocab: &Vocab) -> PairTable {
        let mut targets = FxHashMap::with_capacity_and_hasher(vocab.len() * 4, rustc_hash::FxBuildHasher);
        for (id, bytes) in vocab.iter() {
            for cut in 1..bytes.len() {
                if let (Some(left), Some(right)) = (vocab.id(&bytes[..cut]), vocab.id(&bytes[cut..])) {
                    targets.entry(key(left, right)).or_insert(Target::new(id, id));
                }
            }
        }
        PairTable { targets }
    }

    #[inline]
    pub(super) fn target(&self, left: u32, right: u32) -> Target {
        self.targets.get(&key(left, right)).copied().unwrap_or(Target::NONE)
    }
}

#[inline]
fn key(left: u32, right: u32) -> u64 {
    u64::from(left) << 32 | u64::from(right)
}
