//! Which pair of tokens merges, and when: one table for both merge rules.

use super::growing::Growing;
use super::last_merge::fill;
use super::perfect::Perfect;
use super::{ByteIds, Merge};
use crate::error::{Error, Result};
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
    makes_all: bool,
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
        for left in 0..=u8::MAX {
            for right in 0..=u8::MAX {
                if let (Some(left_id), Some(right_id)) = (byte_ids.get(left), byte_ids.get(right)) {
                    bytes[place_of_bytes(left, right)] = slots.get(left_id, right_id);
                }
            }
        }
        Ok(PairTable { slots: slots.finished(), bytes, ids: Ids::of(list), makes_all: false })
    }

    /// Rank rule: two tokens whose bytes together are a token merge, and its id is the rank. Only the pairs that can come
    /// up are kept; see [`super::last_merge`].
    pub(super) fn from_ranks(vocab: &Vocab, byte_ids: &ByteIds) -> Result<PairTable> {
        let mut table = PairTable::empty(vocab);
        table.makes_all = fill(&mut table, vocab, byte_ids)?;
        table.slots = table.slots.finished();
        Ok(table)
    }

    /// With room for a pair of each token.
    pub(super) fn empty(vocab: &Vocab) -> PairTable {
        let slots = Slots::for_vocab(vocab.len(), vocab);
        PairTable { slots, bytes: no_bytes(), ids: Ids::From(0), makes_all: false }
    }

    /// The token `id` is made of `left` and `right`; `bytes` are its own.
    pub(super) fn insert(&mut self, left: u32, right: u32, id: u32, bytes: &[u8]) {
        self.slots.insert(left, right, id);
        if let [left, right] = *bytes {
            self.bytes[place_of_bytes(left, right)] = id;
        }
    }

    /// The table behind, while it is being filled and where ids and ranks are small enough.
    pub(super) fn growing(&self) -> Option<&Growing> {
        match &self.slots {
            Slots::Growing(growing) => Some(growing),
            _ => None,
        }
    }

    /// The table behind, once it is filled and where ids and ranks are small enough.
    #[inline(always)]
    pub(super) fn perfect(&self) -> Option<&Perfect> {
        match &self.slots {
            Slots::Perfect(perfect) => Some(perfect),
            _ => None,
        }
    }

    /// Whether merging the bytes of any token is known to come to that token (the first with these bytes), so that a piece which is
    /// one need not be looked up before it is merged. So it is with cl100k_base and o200k_base.
    pub(super) fn makes_all(&self) -> bool {
        self.makes_all
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
        self.bytes[place_of_bytes(left, right)]
    }

    /// The same; `NO_RANK` or more if they do not merge, but less than twice as much. Only where the table is perfect.
    #[inline(always)]
    pub(super) fn small_rank_of_bytes(&self, left: u8, right: u8) -> u32 {
        self.rank_of_bytes(left, right).min(NO_RANK)
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

/// Two bytes as they follow each other in memory: that is one load.
#[inline(always)]
fn place_of_bytes(left: u8, right: u8) -> usize {
    usize::from(u16::from_le_bytes([left, right]))
}

fn no_bytes() -> Box<[u32]> {
    vec![NEVER; 1 << 16].into_boxed_slice()
}

/// Ids have so many bits where pairs are packed: a pair and its rank, 20 + 20 + 24 bits, are one slot of 8 bytes.
const ID_BITS: u32 = 20;
pub(super) const RANK_BITS: u32 = 24;
/// Ids from here on are not packed, so that no pair is that of an empty slot. A pair with this one as one of its tokens is in
/// no table.
pub(super) const NO_ID: u32 = (1 << ID_BITS) - 1;
/// From here on: the pair does not merge.
pub(super) const NO_RANK: u32 = 1 << RANK_BITS;
/// A slot without a pair.
pub(super) const EMPTY: u64 = u64::MAX;

/// A pair on its way: where its search starts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sought {
    /// Its slot, if its rank were 0.
    pub slot: u64,
    pub place: usize,
}

impl Sought {
    /// A pair that is in no table.
    pub(super) const NOTHING: Sought = Sought { slot: (NO_ID as u64) << RANK_BITS, place: 0 };
}

/// Packed pairs, which are looked up in two steps, as the memory is on its way in between.
pub(super) trait Lookup {
    /// Asks for the memory where a pair would be. Ids must be `NO_ID` at most, and one of them below.
    fn seek(&self, left: u32, right: u32) -> Sought;

    /// The rank of the pair; `NO_RANK` or more, but less than twice as much, if it is not in the table.
    fn rank(&self, sought: &Sought) -> u32;
}

/// Pairs and ranks, without deletion.
#[derive(Debug)]
enum Slots {
    Growing(Growing),
    Perfect(Perfect),
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
        if largest >= NO_ID || count >= NO_RANK as usize {
            return Slots::Wide(HashMap::new());
        }
        Slots::Growing(Growing::for_at_most(count))
    }

    /// With all pairs in it.
    fn finished(self) -> Slots {
        match self {
            Slots::Growing(growing) => Slots::Perfect(Perfect::of(growing.slots())),
            other => other,
        }
    }

    /// Where the pair is in the table already, its rank stays and is returned.
    fn insert(&mut self, left: u32, right: u32, rank: u32) -> Option<u32> {
        match self {
            Slots::Growing(growing) => growing.insert(left, right, rank),
            Slots::Perfect(_) => unreachable!(),
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
            Slots::Growing(growing) => rank_in(growing, left, right),
            Slots::Perfect(perfect) => rank_in(perfect, left, right),
            Slots::Wide(map) => map.get(&(left, right)).copied().unwrap_or(NEVER),
        }
    }

    /// In no particular order.
    fn for_each(&self, mut pair: impl FnMut(u32, u32, u32)) {
        match self {
            Slots::Growing(growing) => growing.slots().iter().for_each(|slot| in_slot(*slot, &mut pair)),
            Slots::Perfect(perfect) => perfect.slots().for_each(|slot| in_slot(slot, &mut pair)),
            Slots::Wide(map) => map.iter().for_each(|(&(left, right), &rank)| pair(left, right, rank)),
        }
    }
}

#[inline(always)]
fn rank_in(table: &impl Lookup, left: u32, right: u32) -> u32 {
    if left.max(right) >= NO_ID {
        return NEVER;
    }
    let rank = table.rank(&table.seek(left, right));
    if rank >= NO_RANK { NEVER } else { rank }
}

/// A slot with two ids of up to [`ID_BITS`] and rank 0.
#[inline(always)]
pub(super) fn slot_of(left: u32, right: u32) -> u64 {
    u64::from(left) << (ID_BITS + RANK_BITS) | u64::from(right) << RANK_BITS
}

#[expect(clippy::cast_possible_truncation, reason = "fields of a slot")]
fn in_slot(slot: u64, pair: &mut impl FnMut(u32, u32, u32)) {
    let ids = slot >> RANK_BITS;
    pair((ids >> ID_BITS) as u32, (ids & u64::from(NO_ID)) as u32, slot as u32 & (NO_RANK - 1));
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
            prop_assert_eq!(matches!(slots, Slots::Growing(_)), !large);
            let mut map: HashMap<(u32, u32), u32> = HashMap::new();
            for ((left, right), rank) in entries {
                let first = *map.entry((left, right)).or_insert(rank);
                let again = slots.insert(left, right, rank);
                prop_assert!(again == Some(first) || (again.is_none() && first == rank));
            }
            has_all(&slots, &map)?;
            let slots = slots.finished();
            prop_assert_eq!(matches!(slots, Slots::Perfect(_)), !large);
            has_all(&slots, &map)?;
        }
    }

    fn has_all(slots: &Slots, map: &HashMap<(u32, u32), u32>) -> std::result::Result<(), TestCaseError> {
        for left in (0..40).chain([NO_ID, 1 << ID_BITS, u32::MAX]) {
            for right in (0..40).chain([NO_ID, u32::MAX]) {
                prop_assert_eq!(slots.get(left, right), map.get(&(left, right)).copied().unwrap_or(NEVER));
            }
        }
        let mut all = HashMap::new();
        slots.for_each(|left, right, rank| assert!(all.insert((left, right), rank).is_none()));
        prop_assert_eq!(&all, map);
        Ok(())
    }

    #[test]
    fn more_ranks_than_fit_are_not_packed() {
        assert!(matches!(Slots::for_at_most(NO_RANK as usize, 5), Slots::Wide(_)));
    }
}
