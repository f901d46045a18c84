//! Pairs of tokens and their ranks, once all are known.
//!
//! ```text
//! pair ─► hash ─► directory: which of 256 more hashes comes next ─► the one slot where the pair is, if it is anywhere
//! ```
//!
//! A perfect hash: for each group of some two pairs a second hash was looked for that leads all of them to free slots. So no
//! lookup goes on from slot to slot, and none has a branch, as nobody can predict what it finds.

use super::pairs::{EMPTY, Lookup, NO_RANK, RANK_BITS, Sought, slot_of};
use crate::byte_map::{folded_multiply, random_key};
use crate::prefetch::prefetch;

/// A hash table to which nothing is added: 13 bytes a pair.
#[derive(Debug)]
pub(super) struct Perfect {
    /// A power of two of numbers of hashes.
    directory: Box<[u8]>,
    /// One at least. Two of three are taken.
    slots: Box<[u64]>,
    /// Drawn anew for each table, so no vocabulary can be written whose pairs all fall into one group.
    key: u64,
}

/// The bits of a slot that are not its rank.
const PAIR: u64 = u64::MAX << RANK_BITS;

/// So many pairs share an entry of the directory at most, on average.
const PAIRS_AN_ENTRY: usize = 3;

/// Groups of so many pairs and more come first, as long as there is most room; then those of fewer, one size after the other.
const LARGE: usize = 4;

impl Perfect {
    /// Of slots with different pairs.
    pub(super) fn of(slots: &[u64]) -> Perfect {
        // The first try succeeds nearly always.
        let mut room = slots.len() + slots.len() / 2 + 1;
        loop {
            if let Some(table) = Perfect::attempt(slots, room, random_key()[0]) {
                return table;
            }
            room += slots.len() / 4 + 1;
        }
    }

    fn attempt(slots: &[u64], room: usize, key: u64) -> Option<Perfect> {
        let entries = slots.len().div_ceil(PAIRS_AN_ENTRY).next_power_of_two();
        let mut table = Perfect {
            directory: vec![0; entries].into_boxed_slice(),
            slots: vec![EMPTY; room].into_boxed_slice(),
            key,
        };
        let (members, ends) = table.groups(slots);
        let mut taken = vec![0_u64; room.div_ceil(64)];
        for sizes in [LARGE..=usize::MAX, 3..=3, 2..=2, 1..=1] {
            let mut start = 0;
            for (group, &end) in ends.iter().enumerate() {
                let members = &members[start..end as usize];
                start = end as usize;
                if sizes.contains(&members.len()) {
                    table.directory[group] = table.free_number(members, &mut taken)?;
                    for &slot in members {
                        let place = table.place(table.hash(slot & PAIR), table.directory[group]);
                        table.slots[place] = slot;
                    }
                }
            }
        }
        Some(table)
    }

    /// The slots, those that share an entry of the directory side by side, and where each group ends.
    fn groups(&self, slots: &[u64]) -> (Vec<u64>, Vec<u32>) {
        let group = |slot: u64| self.group(self.hash(slot & PAIR));
        let (mut members, mut ends) = (vec![0; slots.len()], vec![0_u32; self.directory.len()]);
        for &slot in slots {
            ends[group(slot)] += 1;
        }
        let mut before = 0;
        for end in &mut ends {
            before += std::mem::replace(end, before);
        }
        // Where the next member goes; after the last one, where the group ends.
        for &slot in slots {
            let place = &mut ends[group(slot)];
            members[*place as usize] = slot;
            *place += 1;
        }
        (members, ends)
    }

    /// The first hash by which the members of a group come to free places, which are then taken.
    fn free_number(&self, members: &[u64], taken: &mut [u64]) -> Option<u8> {
        (0..=u8::MAX).find(|&number| {
            for (count, &slot) in members.iter().enumerate() {
                let place = self.place(self.hash(slot & PAIR), number);
                if taken[place / 64] >> (place % 64) & 1 == 1 {
                    for &slot in &members[..count] {
                        let place = self.place(self.hash(slot & PAIR), number);
                        taken[place / 64] ^= 1 << (place % 64);
                    }
                    return false;
                }
                taken[place / 64] |= 1 << (place % 64);
            }
            true
        })
    }

    /// Of a slot with rank 0.
    #[inline(always)]
    fn hash(&self, slot: u64) -> u64 {
        folded_multiply(slot ^ self.key, 0x9e37_79b9_7f4a_7c15)
    }

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the bits of a group remain")]
    fn group(&self, hash: u64) -> usize {
        hash as usize & (self.directory.len() - 1)
    }

    /// Where the hash of this number leads: below the number of slots.
    #[inline(always)]
    fn place(&self, hash: u64, number: u8) -> usize {
        let hash = hash.wrapping_mul(2 * u64::from(number) + 1) >> 32;
        ((hash * self.slots.len() as u64) >> 32) as usize
    }

    /// `place` must be one that `place` gave, or 0.
    #[inline(always)]
    fn slot(&self, place: usize) -> &u64 {
        debug_assert!(place < self.slots.len());
        // SAFETY: (x · n) >> 32 is below n for any x of 32 bits, and there is a slot 0.
        unsafe { self.slots.get_unchecked(place) }
    }

    /// In no particular order.
    pub(super) fn slots(&self) -> impl Iterator<Item = u64> {
        self.slots.iter().copied().filter(|slot| *slot != EMPTY)
    }
}

impl Lookup for Perfect {
    #[inline(always)]
    fn seek(&self, left: u32, right: u32) -> Sought {
        let slot = slot_of(left, right);
        let hash = self.hash(slot);
        // SAFETY: the directory is a power of two, so that a group is below its length.
        let number = unsafe { *self.directory.get_unchecked(self.group(hash)) };
        let place = self.place(hash, number);
        prefetch(self.slot(place));
        Sought { slot, place }
    }

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "25 bits")]
    fn rank(&self, sought: &Sought) -> u32 {
        // What is left of the slot of the pair is its rank; of another one, more. An addition, as a choice becomes a branch.
        let rest = *self.slot(sought.place) ^ sought.slot;
        rest as u32 & (NO_RANK - 1) | u32::from(rest >= u64::from(NO_RANK)) << RANK_BITS
    }
}

#[cfg(test)]
mod tests {
    use super::super::pairs::NO_ID;
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    fn table(pairs: &HashMap<(u32, u32), u32>) -> Perfect {
        let slot = |(&(left, right), &rank): (&(u32, u32), &u32)| slot_of(left, right) | u64::from(rank);
        Perfect::of(&pairs.iter().map(slot).collect::<Vec<u64>>())
    }

    fn rank(table: &Perfect, left: u32, right: u32) -> Option<u32> {
        let rank = table.rank(&table.seek(left, right));
        assert!(rank < 2 * NO_RANK);
        Some(rank).filter(|rank| *rank < NO_RANK)
    }

    /// Small ids, the largest, and any.
    fn id() -> impl Strategy<Value = u32> {
        prop_oneof![0..20_u32, NO_ID - 5..NO_ID, 0..NO_ID]
    }

    proptest! {
        #[test]
        fn each_pair_has_its_rank_and_no_other_has_one(
            pairs in prop::collection::hash_map((id(), id()), prop_oneof![0..NO_RANK, Just(NO_RANK - 1)], 0..400),
            others in prop::collection::vec((id(), id()), 100),
        ) {
            let table = table(&pairs);
            for (&(left, right), &expected) in &pairs {
                prop_assert_eq!(rank(&table, left, right), Some(expected));
                prop_assert_eq!(rank(&table, right, left), pairs.get(&(right, left)).copied());
                for (left, right) in [(NO_ID, right), (left, NO_ID)] {
                    prop_assert_eq!(rank(&table, left, right), None);
                }
            }
            for (left, right) in others {
                prop_assert_eq!(rank(&table, left, right), pairs.get(&(left, right)).copied());
            }
            prop_assert!(table.rank(&Sought::NOTHING) >= NO_RANK);
            let mut slots: Vec<u64> = table.slots().collect();
            slots.sort_unstable();
            let mut expected: Vec<u64> =
                pairs.iter().map(|(&(left, right), &rank)| slot_of(left, right) | u64::from(rank)).collect();
            expected.sort_unstable();
            prop_assert_eq!(slots, expected);
        }
    }

    /// As many pairs as entries of the directory may have, whose groups are the largest; ids that differ in few bits.
    #[test]
    fn crowded_tables_have_a_place_for_each_pair() {
        let pairs: HashMap<(u32, u32), u32> =
            (0..(PAIRS_AN_ENTRY as u32) << 14).map(|number| ((number >> 8, number << 8 & 0xFF00), number)).collect();
        let table = table(&pairs);
        assert!(table.slots.len() <= pairs.len() * 3 && table.directory.len() * PAIRS_AN_ENTRY == pairs.len());
        for (&(left, right), &expected) in &pairs {
            assert_eq!(rank(&table, left, right), Some(expected));
            assert_eq!(rank(&table, left, right + 1), None);
        }
    }
}
