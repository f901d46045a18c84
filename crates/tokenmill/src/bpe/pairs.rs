//! Which pair of tokens merges, and when: one table for both merge rules.

use super::{ByteIds, Merge};
use crate::error::{Error, Result};
use crate::vocab::Vocab;
use rustc_hash::FxHashMap;

/// A pair that does not merge. Real ranks are smaller; the smallest merges first.
pub(super) const NEVER: u32 = u32::MAX;

/// (left, right) → rank, and rank → id.
#[derive(Debug)]
pub(super) struct PairTable {
    slots: Slots,
    /// For pairs of single bytes, with which every piece begins: one load, no probing.
    bytes: Box<[u32]>,
    /// The token that a rank makes; `None`: the rank itself.
    ids: Option<Vec<u32>>,
    ranks: u64,
}

impl PairTable {
    /// Merge-list rule: the rank is the place in the list.
    pub(super) fn from_list(list: &[Merge], byte_ids: &ByteIds) -> Result<PairTable> {
        let mut entries = FxHashMap::with_capacity_and_hasher(list.len(), rustc_hash::FxBuildHasher);
        for (rank, merge) in (0..NEVER).zip(list) {
            if entries.insert((merge.left, merge.right), rank).is_some() {
                return Err(Error::value(format!(
                    "merge {} repeats the pair ({}, {})",
                    u64::from(rank) + 1,
                    merge.left,
                    merge.right
                )));
            }
        }
        let entries = entries.into_iter().collect();
        Ok(PairTable::new(entries, Some(list.iter().map(|merge| merge.id).collect()), byte_ids))
    }

    /// Rank rule: every way to cut a token into two tokens is a pair, its rank the token's id.
    pub(super) fn from_ranks(vocab: &Vocab, byte_ids: &ByteIds) -> PairTable {
        let mut entries = Vec::with_capacity(vocab.len() * 4);
        for (id, bytes) in vocab.iter() {
            // A second id for the same bytes is never made.
            if vocab.id(bytes) != Some(id) {
                continue;
            }
            for cut in 1..bytes.len() {
                if let Some(left) = vocab.id(&bytes[..cut])
                    && let Some(right) = vocab.id(&bytes[cut..])
                {
                    entries.push(((left, right), id));
                }
            }
        }
        PairTable::new(entries, None, byte_ids)
    }

    fn new(entries: Vec<((u32, u32), u32)>, ids: Option<Vec<u32>>, byte_ids: &ByteIds) -> PairTable {
        let ranks = entries.iter().map(|(_, rank)| u64::from(*rank) + 1).max().unwrap_or(0);
        let slots = Slots::new(entries);
        let mut bytes = vec![NEVER; 1 << 16].into_boxed_slice();
        for (left, left_id) in byte_ids.iter().enumerate() {
            for (right, right_id) in byte_ids.iter().enumerate() {
                if let (Some(left_id), Some(right_id)) = (left_id, right_id) {
                    bytes[left << 8 | right] = slots.get(*left_id, *right_id);
                }
            }
        }
        PairTable { slots, bytes, ids, ranks }
    }

    /// The rank of a pair of tokens, `NEVER` if they do not merge.
    #[inline]
    pub(super) fn rank(&self, left: u32, right: u32) -> u32 {
        self.slots.get(left, right)
    }

    /// The rank of the tokens of two single bytes.
    #[inline]
    pub(super) fn rank_of_bytes(&self, left: u8, right: u8) -> u32 {
        self.bytes[usize::from(left) << 8 | usize::from(right)]
    }

    /// Ranks are below this.
    pub(super) fn ranks(&self) -> u64 {
        self.ranks
    }

    /// The token that a pair of this rank becomes.
    #[inline]
    pub(super) fn id(&self, rank: u32) -> u32 {
        match &self.ids {
            Some(ids) => ids[rank as usize],
            None => rank,
        }
    }
}

/// A hash table without deletion.
#[derive(Debug)]
enum Slots {
    /// 8 bytes a slot, left and right in 20 bits each and the rank in 24, linear probing at a load of at most 2/3: one
    /// cache line for nearly every lookup, 16 MiB for the 1.4 million pairs of o200k_base.
    Packed { slots: Box<[u64]>, shift: u32 },
    /// For vocabularies of more than a million tokens, if there ever is one.
    Wide(FxHashMap<(u32, u32), u32>),
}

const ID_BITS: u32 = 20;
const RANK_BITS: u32 = 24;
/// Ids from here on are not packed, so that no key is that of an empty slot.
const MAX_ID: u32 = (1 << ID_BITS) - 1;
const EMPTY: u64 = u64::MAX;

impl Slots {
    fn new(entries: Vec<((u32, u32), u32)>) -> Slots {
        let fits = |id: u32| id < MAX_ID;
        let packable =
            entries.iter().all(|((left, right), rank)| fits(*left) && fits(*right) && *rank < (1 << RANK_BITS));
        if !packable {
            return Slots::Wide(entries.into_iter().collect());
        }
        let size = (entries.len() * 3 / 2 + 2).next_power_of_two();
        let shift = u64::BITS - size.trailing_zeros();
        let mut slots = vec![EMPTY; size].into_boxed_slice();
        for ((left, right), rank) in entries {
            let key = pack(left, right);
            let mut place = home(key, shift);
            while slots[place] != EMPTY {
                place = (place + 1) & (size - 1);
            }
            slots[place] = key << RANK_BITS | u64::from(rank);
        }
        Slots::Packed { slots, shift }
    }

    #[inline]
    fn get(&self, left: u32, right: u32) -> u32 {
        match self {
            Slots::Packed { slots, shift } => {
                if left.max(right) >= MAX_ID {
                    return NEVER;
                }
                let key = pack(left, right);
                let mut place = home(key, *shift);
                loop {
                    let slot = slots[place & (slots.len() - 1)];
                    if slot >> RANK_BITS == key {
                        return (slot & ((1 << RANK_BITS) - 1)) as u32;
                    }
                    if slot == EMPTY {
                        return NEVER;
                    }
                    place += 1;
                }
            }
            Slots::Wide(map) => map.get(&(left, right)).copied().unwrap_or(NEVER),
        }
    }
}

#[inline]
fn pack(left: u32, right: u32) -> u64 {
    u64::from(left) << ID_BITS | u64::from(right)
}

/// Fibonacci hashing: the high bits of a product.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the shift leaves the bits of a place")]
fn home(key: u64, shift: u32) -> usize {
    (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> shift) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn packed_and_wide_slots_agree(entries in prop::collection::hash_map((0u32..40, 0u32..40), 0u32..1000, 0..300), large in any::<bool>()) {
            let mut entries: Vec<((u32, u32), u32)> = entries.into_iter().collect();
            if large {
                entries.push(((1 << ID_BITS, 3), 7));
            }
            let map: FxHashMap<(u32, u32), u32> = entries.iter().copied().collect();
            let slots = Slots::new(entries);
            prop_assert_eq!(matches!(slots, Slots::Wide(_)), large);
            for left in (0..40).chain([MAX_ID, 1 << ID_BITS, u32::MAX]) {
                for right in (0..40).chain([MAX_ID, u32::MAX]) {
                    prop_assert_eq!(slots.get(left, right), map.get(&(left, right)).copied().unwrap_or(NEVER));
                }
            }
        }
    }
}
