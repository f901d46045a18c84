//! Which pair of tokens merges, and when: one table for both merge rules.

use super::merge::{MergeBuffers, merge};
use super::{ByteIds, Merge};
use crate::byte_map::{folded_multiply, random_key};
use crate::error::{Error, Result};
use crate::vocab::Vocab;
use std::collections::HashMap;

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
        Ok(PairTable { slots, bytes, ids: Some(list.iter().map(|merge| merge.id).collect()) })
    }

    /// Rank rule: two tokens whose bytes together are a token merge, and its id is the rank.
    ///
    /// Of the ways to cut a token in two (2.2 for each token of o200k_base) at most one is ever asked for, and only that is
    /// kept. Two tokens side by side have been made by merges inside of them alone. So they are what merging the
    /// bytes of the two, with nothing around, comes to at some point: neighbours have no say, as of all pairs the best
    /// merges, which is then the best of those inside too. Each merge makes one token of two; there is one
    /// moment when two are left.
    ///
    /// Shorter tokens first: to merge the bytes of a token down to two takes no pair but those of shorter ones.
    pub(super) fn from_ranks(vocab: &Vocab, byte_ids: &ByteIds) -> PairTable {
        let largest = u32::try_from(vocab.len()).unwrap_or(u32::MAX);
        let slots = Slots::for_at_most(vocab.len(), largest);
        let mut table = PairTable { slots, bytes: no_bytes(), ids: None };
        let mut work = Work::default();
        for (id, token) in by_length(vocab) {
            if let Some((left, right)) = work.last_two(&table, token, byte_ids) {
                table.slots.insert(left, right, id);
                if let [left, right] = *token {
                    table.bytes[usize::from(left) << 8 | usize::from(right)] = id;
                }
            }
        }
        table
    }

    /// The rank of a pair of tokens, `NEVER` if they do not merge. Of two tokens that no merging of bytes brings side
    /// by side, it may be `NEVER` or the rank that the rule gives them.
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
    #[inline]
    pub(super) fn ranks(&self) -> u64 {
        match self.slots {
            Slots::Packed { .. } => 1 << RANK_BITS,
            Slots::Wide(_) => u64::from(NEVER),
        }
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

fn no_bytes() -> Box<[u32]> {
    vec![NEVER; 1 << 16].into_boxed_slice()
}

/// Tokens of two bytes and more, the shortest first. Of ids with the same bytes only the smallest: no other is ever
/// made.
fn by_length(vocab: &Vocab) -> impl Iterator<Item = (u32, &[u8])> {
    let repeats = vocab.has_repeats();
    let mut tokens: Vec<(u32, &[u8])> =
        vocab.iter().filter(|(id, bytes)| bytes.len() > 1 && (!repeats || vocab.id(bytes) == Some(*id))).collect();
    tokens.sort_by_key(|(_, bytes)| bytes.len());
    tokens.into_iter()
}

/// Tokens of this length are merged by [`merge`], which has an O(n log n) way.
const SHORT: usize = 32;

/// What it takes to merge the bytes of one token.
struct Work {
    ids: [u32; SHORT],
    /// That of a token and the next.
    ranks: [u32; SHORT],
    long: Vec<u32>,
    buffers: MergeBuffers,
}

impl Default for Work {
    fn default() -> Self {
        Work { ids: [0; SHORT], ranks: [NEVER; SHORT], long: Vec::new(), buffers: MergeBuffers::default() }
    }
}

impl Work {
    /// The two tokens that merging the bytes of `token` by `table` comes to; `None` where it ends with more.
    fn last_two(&mut self, table: &PairTable, token: &[u8], byte_ids: &ByteIds) -> Option<(u32, u32)> {
        if token.len() > SHORT {
            self.long.clear();
            for &byte in token {
                self.long.push(byte_ids[usize::from(byte)]?);
            }
            merge(table, token, &mut self.long, &mut self.buffers);
            return if let [left, right] = *self.long { Some((left, right)) } else { None };
        }
        let mut count = token.len();
        let (ids, ranks) = (&mut self.ids[..count], &mut self.ranks[..count]);
        for (id, byte) in ids.iter_mut().zip(token) {
            *id = byte_ids[usize::from(*byte)]?;
        }
        for (rank, pair) in ranks.iter_mut().zip(token.windows(2)) {
            *rank = table.rank_of_bytes(pair[0], pair[1]);
        }
        while count > 2 {
            let mut best = (NEVER, 0);
            for (place, &rank) in ranks[..count - 1].iter().enumerate() {
                if rank < best.0 {
                    best = (rank, place);
                }
            }
            let (rank, place) = best;
            if rank == NEVER {
                return None;
            }
            ids[place] = table.id(rank);
            ids.copy_within(place + 2..count, place + 1);
            ranks.copy_within(place + 1..count - 1, place);
            count -= 1;
            // With two tokens left their rank is no question.
            if count > 2 {
                if place > 0 {
                    ranks[place - 1] = table.rank(ids[place - 1], ids[place]);
                }
                if place + 1 < count {
                    ranks[place] = table.rank(ids[place], ids[place + 1]);
                }
            }
        }
        Some((ids[0], ids[1]))
    }
}

/// A hash table without deletion.
#[derive(Debug)]
enum Slots {
    /// 8 bytes a slot, left and right in 20 bits each and the rank in 24, linear probing: one cache line for nearly every
    /// lookup. The hash is keyed with a number drawn anew for each table, so no vocabulary can be
    /// written whose pairs all fall into one place.
    Packed { slots: Box<[u64]>, key: u64 },
    /// For vocabularies of more than a million tokens, if there ever is one.
    Wide(HashMap<(u32, u32), u32>),
}

const ID_BITS: u32 = 20;
const RANK_BITS: u32 = 24;
/// Ids from here on are not packed, so that no key is that of an empty slot.
const MAX_ID: u32 = (1 << ID_BITS) - 1;
const EMPTY: u64 = u64::MAX;

impl Slots {
    /// For at most `count` pairs with ranks below `count` or `largest`, of ids up to `largest`.
    fn for_at_most(count: usize, largest: u32) -> Slots {
        if largest >= MAX_ID || count >= 1 << RANK_BITS {
            return Slots::Wide(HashMap::with_capacity(count));
        }
        let size = (count * 2 + 2).next_power_of_two();
        Slots::Packed { slots: vec![EMPTY; size].into_boxed_slice(), key: random_key()[0] }
    }

    /// Where the pair is in the table already, its rank stays and is returned.
    fn insert(&mut self, left: u32, right: u32, rank: u32) -> Option<u32> {
        match self {
            Slots::Packed { slots, key } => {
                let pair = pack(left, right);
                let mut place = home(pair, *key, slots.len());
                while slots[place] != EMPTY {
                    if slots[place] >> RANK_BITS == pair {
                        return Some((slots[place] & ((1 << RANK_BITS) - 1)) as u32);
                    }
                    place = (place + 1) & (slots.len() - 1);
                }
                slots[place] = pair << RANK_BITS | u64::from(rank);
                None
            }
            Slots::Wide(map) => match map.entry((left, right)) {
                std::collections::hash_map::Entry::Occupied(entry) => Some(*entry.get()),
                std::collections::hash_map::Entry::Vacant(entry) => {
                    entry.insert(rank);
                    None
                }
            },
        }
    }

    #[inline]
    fn get(&self, left: u32, right: u32) -> u32 {
        match self {
            Slots::Packed { slots, key } => {
                if left.max(right) >= MAX_ID {
                    return NEVER;
                }
                let pair = pack(left, right);
                let mut place = home(pair, *key, slots.len());
                loop {
                    let slot = slots[place & (slots.len() - 1)];
                    if slot >> RANK_BITS == pair {
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

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the bits of a place")]
fn home(pair: u64, key: u64, size: usize) -> usize {
    folded_multiply(pair ^ key, 0x9e37_79b9_7f4a_7c15) as usize & (size - 1)
}
