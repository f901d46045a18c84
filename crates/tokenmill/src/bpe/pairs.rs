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

impl PairTable {
    /// Merge-list rule: the rank is the place in the list.
    pub(super) fn from_list(vocab: &Vocab, list: &[Merge], byte_ids: &ByteIds) -> Result<PairTable> {
        let mut slots = Slots::for_vocab(list.len(), vocab);
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
        let slots = Slots::for_vocab(vocab.len(), vocab);
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

    /// The rank of the tokens of two single bytes.
    #[inline(always)]
    pub(super) fn rank_of_bytes(&self, left: u8, right: u8) -> u32 {
        self.bytes[usize::from(left) << 8 | usize::from(right)]
    }

    /// The token that a pair of this rank becomes.
    #[inline(always)]
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
    /// For at most `count` pairs, with ranks below `count`, of tokens of `vocab`: no id may be too large to be packed, not
    /// even of a token that merges with nothing, as any two may be asked for.
    fn for_vocab(count: usize, vocab: &Vocab) -> Slots {
        Slots::for_at_most(count, u32::try_from(vocab.len()).unwrap_or(u32::MAX))
    }

    /// The same for ids up to `largest`.
    fn for_at_most(count: usize, largest: u32) -> Slots {
        if largest >= NO_ID || count > NO_RANK as usize {
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
            Slots::Packed(packed) if left.max(right) < NO_ID => packed.answer(&packed.ask(left, right)),
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

/// 8 bytes a slot, left and right in 20 bits each and the rank in 24: 4 MiB for o200k_base. Four slots lie together and
/// are filled in turn; what finds them full goes to the next four. At most half are taken, so one lookup in seven goes on at
/// most (three in eight in published vocabularies: one in fifteen), and all else is without a branch, as nobody can predict
/// where a pair is. The hash is keyed with a number drawn anew for each table, so no vocabulary
/// can be written whose pairs all fall into one place.
#[derive(Debug)]
pub(super) struct Packed {
    /// A power of two of them.
    buckets: Box<[Bucket]>,
    key: u64,
}

/// Half a cache line.
#[derive(Debug, Clone, Copy)]
#[repr(align(32))]
struct Bucket([u64; SLOTS]);

const SLOTS: usize = 4;
const ID_BITS: u32 = 20;
const RANK_BITS: u32 = 24;
/// Ids from here on are not packed, so that no key is that of an empty slot. A pair with this one as one of its tokens is in
/// no table.
pub(super) const NO_ID: u32 = (1 << ID_BITS) - 1;
/// The rank, as slots have it, of a pair that does not merge.
pub(super) const NO_RANK: u32 = (1 << RANK_BITS) - 1;
const EMPTY: u64 = u64::MAX;

/// A pair on its way: where its search starts.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Asked {
    pair: u64,
    place: usize,
}

impl Packed {
    fn for_at_most(count: usize) -> Packed {
        let slots = (count * 2).next_power_of_two().max(SLOTS);
        let buckets = vec![Bucket([EMPTY; SLOTS]); slots / SLOTS].into_boxed_slice();
        Packed { buckets, key: random_key()[0] }
    }

    /// Ids must be `NO_ID` at most, and one of them below.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the bits of a place remain")]
    pub(super) fn ask(&self, left: u32, right: u32) -> Asked {
        let pair = u64::from(left) << ID_BITS | u64::from(right);
        let hash = folded_multiply(pair ^ self.key, 0x9e37_79b9_7f4a_7c15);
        Asked { pair, place: hash as usize & (self.buckets.len() - 1) }
    }

    /// Asks for the memory where the search for a pair starts.
    #[inline(always)]
    pub(super) fn prefetch(&self, asked: &Asked) {
        prefetch(&self.buckets[asked.place]);
    }

    /// Both: what to give to [`Packed::answer`] a little later.
    #[inline(always)]
    pub(super) fn seek(&self, left: u32, right: u32) -> Asked {
        let asked = self.ask(left, right);
        self.prefetch(&asked);
        asked
    }

    /// The rank of a pair, `NEVER` if it is not in the table.
    #[inline(always)]
    pub(super) fn answer(&self, asked: &Asked) -> u32 {
        let rank = self.answer_packed(asked);
        if rank == NO_RANK { NEVER } else { rank }
    }

    /// The rank of a pair, `NO_RANK` if it is not in the table.
    #[inline(always)]
    pub(super) fn answer_packed(&self, asked: &Asked) -> u32 {
        let mut place = asked.place;
        loop {
            let Bucket(slots) = &self.buckets[place];
            let found =
                slots.iter().fold(EMPTY, |found, &slot| if slot >> RANK_BITS == asked.pair { slot } else { found });
            if (found != EMPTY) | (slots[SLOTS - 1] == EMPTY) {
                return rank_of(found);
            }
            place = (place + 1) & (self.buckets.len() - 1);
        }
    }

    /// Where the pair is in the table already, its rank stays and is returned.
    pub(super) fn insert(&mut self, left: u32, right: u32, rank: u32) -> Option<u32> {
        let Asked { pair, mut place } = self.ask(left, right);
        let last = self.buckets.len() - 1;
        loop {
            for slot in &mut self.buckets[place].0 {
                if *slot >> RANK_BITS == pair {
                    return Some(rank_of(*slot));
                }
                if *slot == EMPTY {
                    *slot = pair << RANK_BITS | u64::from(rank);
                    return None;
                }
            }
            place = (place + 1) & last;
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "fields of a slot")]
    fn for_each(&self, mut pair: impl FnMut(u32, u32, u32)) {
        for slot in self.buckets.iter().flat_map(|bucket| bucket.0).filter(|slot| *slot != EMPTY) {
            let ids = slot >> RANK_BITS;
            pair((ids >> ID_BITS) as u32, (ids & u64::from(NO_ID)) as u32, rank_of(slot));
        }
    }
}

#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "24 bits")]
fn rank_of(slot: u64) -> u32 {
    (slot & u64::from(NO_RANK)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn packed_and_wide_slots_agree(entries in prop::collection::vec(((0u32..40, 0u32..40), 0u32..1000), 0..300), large in any::<bool>()) {
            let largest = if large { NO_ID } else { 39 };
            let mut slots = Slots::for_at_most(entries.len(), largest);
            prop_assert_eq!(matches!(slots, Slots::Wide(_)), large);
            let mut map: HashMap<(u32, u32), u32> = HashMap::new();
            for ((left, right), rank) in entries {
                let first = *map.entry((left, right)).or_insert(rank);
                let again = slots.insert(left, right, rank);
                prop_assert!(again == Some(first) || (again.is_none() && first == rank));
            }
            for left in (0..40).chain([NO_ID, 1 << ID_BITS, u32::MAX]) {
                for right in (0..40).chain([NO_ID, u32::MAX]) {
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
        assert!(matches!(Slots::for_at_most(NO_RANK as usize + 1, 5), Slots::Wide(_)));
    }
}
