//! Which pair of tokens merges, and when: one table for both merge rules.

use super::last_merge::fill;
use super::{ByteIds, Merge};
use crate::byte_map::{folded_multiply, random_key};
use crate::error::{Error, Result};
use crate::prefetch::prefetch;
use crate::vocab::Vocab;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// A pair that does not merge. Real ranks are smaller; the smallest merges first.
pub(super) const NEVER: u32 = u32::MAX;

/// (left, right) → rank, and rank → id.
#[derive(Debug)]
pub(super) struct PairTable {
    slots: Slots,
    /// For pairs of single bytes, with which every piece begins: one load, no probing.
    bytes: Box<[u32]>,
    ids: Ids,
}

/// The token that a rank makes.
#[derive(Debug)]
enum Ids {
    /// The rank and so much more: all published vocabularies are like that, and it saves a load.
    From(u32),
    Listed(Vec<u32>),
}

impl Ids {
    fn of(list: &[Merge]) -> Ids {
        let first = list.first().map_or(0, |merge| merge.id);
        if (first..=u32::MAX).zip(list).all(|(id, merge)| merge.id == id) {
            Ids::From(first)
        } else {
            Ids::Listed(list.iter().map(|merge| merge.id).collect())
        }
    }
}

/// A pair whose rank will be read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sought {
    left: u32,
    right: u32,
    asked: Asked,
}

impl PairTable {
    /// Merge-list rule: the rank is the place in the list.
    pub(super) fn from_list(list: &[Merge], byte_ids: &ByteIds) -> Result<PairTable> {
        let largest = list.iter().map(|merge| merge.left.max(merge.right)).max().unwrap_or(0);
        let mut slots = Slots::for_at_most(list.len(), largest);
        for (rank, merge) in (0..NEVER).zip(list) {
            if slots.insert(merge.left, merge.right, rank).is_some() {
                return Err(Error::value(format!(
                    "merge {} repeats the pair ({}, {})",
                    u64::from(rank) + 1,
                    merge.left,
                    merge.right
                )));
            }
        }
        let mut bytes = no_bytes();
        for (left, left_id) in byte_ids.iter().enumerate() {
            for (right, right_id) in byte_ids.iter().enumerate() {
                if let (Some(left_id), Some(right_id)) = (left_id, right_id) {
                    bytes[left << 8 | right] = slots.get(*left_id, *right_id);
                }
            }
        }
        Ok(PairTable { slots, bytes, ids: Ids::of(list) })
    }

    /// Rank rule: two tokens whose bytes together are a token merge, and its id is the rank. Only the pairs that can come
    /// up are kept; see [`super::last_merge`].
    pub(super) fn from_ranks(vocab: &Vocab, byte_ids: &ByteIds) -> Result<PairTable> {
        let mut table = PairTable::empty(vocab);
        fill(&mut table, vocab, byte_ids)?;
        Ok(table)
    }

    /// With room for a pair of each token.
    pub(super) fn empty(vocab: &Vocab) -> PairTable {
        let largest = u32::try_from(vocab.len()).unwrap_or(u32::MAX);
        let slots = Slots::for_at_most(vocab.len(), largest);
        PairTable { slots, bytes: no_bytes(), ids: Ids::From(0) }
    }

    /// The token `id` is made of `left` and `right`; `bytes` are its own.
    pub(super) fn insert(&mut self, left: u32, right: u32, id: u32, bytes: &[u8]) {
        self.slots.insert(left, right, id);
        if let [left, right] = *bytes {
            self.bytes[usize::from(left) << 8 | usize::from(right)] = id;
        }
    }

    /// The table behind, where ids and ranks are small enough.
    pub(super) fn packed(&self) -> Option<&Packed> {
        match &self.slots {
            Slots::Packed(packed) => Some(packed),
            Slots::Wide(_) => None,
        }
    }

    /// All pairs, those that merge first at the start.
    pub(super) fn by_rank(&self) -> Vec<Merge> {
        let mut merges: Vec<(u32, Merge)> = Vec::new();
        self.slots.for_each(|left, right, rank| merges.push((rank, Merge { left, right, id: self.id(rank) })));
        merges.sort_unstable_by_key(|(rank, _)| *rank);
        merges.into_iter().map(|(_, merge)| merge).collect()
    }

    /// The rank of a pair of tokens, `NEVER` if they do not merge. Of two tokens that no merging of bytes brings side
    /// by side, it may be `NEVER` or the rank that the rule gives them.
    #[inline]
    pub(super) fn rank(&self, left: u32, right: u32) -> u32 {
        self.slots.get(left, right)
    }

    /// Asks for the memory that [`PairTable::rank_of`] will read.
    #[inline(always)]
    pub(super) fn seek(&self, left: u32, right: u32) -> Sought {
        let mut asked = Asked::default();
        if let Slots::Packed(packed) = &self.slots {
            asked = packed.ask(left, right);
            packed.prefetch(&asked);
        }
        Sought { left, right, asked }
    }

    /// [`PairTable::rank`] of a pair that was sought before.
    #[inline(always)]
    pub(super) fn rank_of(&self, sought: &Sought) -> u32 {
        match &self.slots {
            Slots::Packed(packed) if sought.left.max(sought.right) < MAX_ID => packed.answer(&sought.asked),
            slots => slots.get(sought.left, sought.right),
        }
    }

    /// Ranks are below this.
    #[inline]
    pub(super) fn ranks(&self) -> u64 {
        match self.slots {
            Slots::Packed(_) => 1 << RANK_BITS,
            Slots::Wide(_) => u64::from(NEVER),
        }
    }

    /// The rank of the tokens of two single bytes.
    #[inline]
    pub(super) fn rank_of_bytes(&self, left: u8, right: u8) -> u32 {
        self.bytes[usize::from(left) << 8 | usize::from(right)]
    }

    /// The token that a pair of this rank becomes.
    #[inline]
    pub(super) fn id(&self, rank: u32) -> u32 {
        match &self.ids {
            Ids::From(first) => first + rank,
            Ids::Listed(ids) => ids[rank as usize],
        }
    }
}

fn no_bytes() -> Box<[u32]> {
    vec![NEVER; 1 << 16].into_boxed_slice()
}

/// A hash table without deletion.
#[derive(Debug)]
enum Slots {
    Packed(Packed),
    /// For vocabularies of more than a million tokens, if there ever is one.
    Wide(HashMap<(u32, u32), u32>),
}

impl Slots {
    /// For at most `count` pairs of ids up to `largest`, with ranks below `count`.
    fn for_at_most(count: usize, largest: u32) -> Slots {
        if largest >= MAX_ID || count >= 1 << RANK_BITS {
            return Slots::Wide(HashMap::new());
        }
        Slots::Packed(Packed::for_at_most(count))
    }

    /// Where the pair is in the table already, its rank stays and is returned.
    fn insert(&mut self, left: u32, right: u32, rank: u32) -> Option<u32> {
        match self {
            Slots::Packed(packed) => packed.insert(left, right, rank),
            Slots::Wide(map) => match map.entry((left, right)) {
                Entry::Occupied(entry) => Some(*entry.get()),
                Entry::Vacant(entry) => {
                    entry.insert(rank);
                    None
                }
            },
        }
    }

    #[inline]
    fn get(&self, left: u32, right: u32) -> u32 {
        match self {
            Slots::Packed(packed) if left.max(right) < MAX_ID => packed.answer(&packed.ask(left, right)),
            Slots::Packed(_) => NEVER,
            Slots::Wide(map) => map.get(&(left, right)).copied().unwrap_or(NEVER),
        }
    }

    /// In no particular order.
    fn for_each(&self, mut pair: impl FnMut(u32, u32, u32)) {
        match self {
            Slots::Packed(packed) => packed.for_each(pair),
            Slots::Wide(map) => map.iter().for_each(|(&(left, right), &rank)| pair(left, right, rank)),
        }
    }
}

/// 8 bytes a slot, left and right in 20 bits each and the rank in 24, linear probing: one cache line for nearly every
/// lookup, 4 MiB for o200k_base. The hash is keyed with a number drawn anew for each table, so no vocabulary can be
/// written whose pairs all fall into one place.
#[derive(Debug)]
pub(super) struct Packed {
    slots: Box<[u64]>,
    key: u64,
}

const ID_BITS: u32 = 20;
const RANK_BITS: u32 = 24;
/// Ids from here on are not packed, so that no key is that of an empty slot.
const MAX_ID: u32 = (1 << ID_BITS) - 1;
const EMPTY: u64 = u64::MAX;

/// A pair on its way: where its search starts.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Asked {
    pair: u64,
    place: usize,
}

impl Packed {
    fn for_at_most(count: usize) -> Packed {
        let size = (count * 3 / 2 + 2).next_power_of_two();
        Packed { slots: vec![EMPTY; size].into_boxed_slice(), key: random_key()[0] }
    }

    /// Ids must be below `MAX_ID`.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the bits of a place remain")]
    pub(super) fn ask(&self, left: u32, right: u32) -> Asked {
        let pair = u64::from(left) << ID_BITS | u64::from(right);
        let hash = folded_multiply(pair ^ self.key, 0x9e37_79b9_7f4a_7c15);
        Asked { pair, place: hash as usize & (self.slots.len() - 1) }
    }

    /// Asks for the memory where the search for a pair starts.
    #[inline(always)]
    pub(super) fn prefetch(&self, asked: &Asked) {
        prefetch(&self.slots[asked.place]);
    }

    /// The rank of a pair, `NEVER` if it is not in the table. The first two slots are looked at without a branch, as nobody
    /// can predict what is there; few lookups must look further.
    #[inline(always)]
    pub(super) fn answer(&self, asked: &Asked) -> u32 {
        let last = self.slots.len() - 1;
        let mut place = asked.place;
        loop {
            let (first, second) = (self.slots[place & last], self.slots[(place + 1) & last]);
            let found = if first >> RANK_BITS == asked.pair { first } else { second };
            let here = found >> RANK_BITS == asked.pair;
            if here | (first == EMPTY) | (second == EMPTY) {
                return if here { rank_of(found) } else { NEVER };
            }
            place += 2;
        }
    }

    /// The place of a pair, or the free one where the search for it ended.
    #[inline]
    fn search(&self, asked: &Asked) -> Result<usize, usize> {
        let last = self.slots.len() - 1;
        let mut place = asked.place;
        loop {
            let slot = self.slots[place];
            if slot >> RANK_BITS == asked.pair {
                return Ok(place);
            }
            if slot == EMPTY {
                return Err(place);
            }
            place = (place + 1) & last;
        }
    }

    /// Where the pair is in the table already, its rank stays and is returned.
    pub(super) fn insert(&mut self, left: u32, right: u32, rank: u32) -> Option<u32> {
        let asked = self.ask(left, right);
        match self.search(&asked) {
            Ok(place) => Some(rank_of(self.slots[place])),
            Err(place) => {
                self.slots[place] = asked.pair << RANK_BITS | u64::from(rank);
                None
            }
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "fields of a slot")]
    fn for_each(&self, mut pair: impl FnMut(u32, u32, u32)) {
        for slot in self.slots.iter().filter(|slot| **slot != EMPTY) {
            let ids = slot >> RANK_BITS;
            pair((ids >> ID_BITS) as u32, (ids & u64::from(MAX_ID)) as u32, rank_of(*slot));
        }
    }
}

#[inline]
fn rank_of(slot: u64) -> u32 {
    (slot & ((1 << RANK_BITS) - 1)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn packed_and_wide_slots_agree(entries in prop::collection::vec(((0u32..40, 0u32..40), 0u32..1000), 0..300), large in any::<bool>()) {
            let largest = if large { MAX_ID } else { 39 };
            let mut slots = Slots::for_at_most(entries.len(), largest);
            prop_assert_eq!(matches!(slots, Slots::Wide(_)), large);
            let mut map: HashMap<(u32, u32), u32> = HashMap::new();
            for ((left, right), rank) in entries {
                let first = *map.entry((left, right)).or_insert(rank);
                let again = slots.insert(left, right, rank);
                prop_assert!(again == Some(first) || (again.is_none() && first == rank));
            }
            for left in (0..40).chain([MAX_ID, 1 << ID_BITS, u32::MAX]) {
                for right in (0..40).chain([MAX_ID, u32::MAX]) {
                    prop_assert_eq!(slots.get(left, right), map.get(&(left, right)).copied().unwrap_or(NEVER));
                }
            }
            let mut all = HashMap::new();
            slots.for_each(|left, right, rank| assert!(all.insert((left, right), rank).is_none()));
            prop_assert_eq!(all, map);
        }
    }

    #[test]
    fn more_ranks_than_fit_are_not_packed() {
        assert!(matches!(Slots::for_at_most(1 << RANK_BITS, 5), Slots::Wide(_)));
    }
}
