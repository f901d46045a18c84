//! Pairs of tokens and their ranks, while there come more.

use super::pairs::{EMPTY, Lookup, NO_RANK, RANK_BITS, Sought, slot_of};
use crate::byte_map::{folded_multiply, random_key};
use crate::prefetch::prefetch;

/// A hash table without deletion. Four slots lie together and are filled in turn; what finds them full goes to the next four. At
/// most half are taken, so one lookup in seven goes on at most. The hash is keyed with a number drawn anew for each table, so no
/// vocabulary can be written whose pairs all fall into one place.
#[derive(Debug)]
pub(super) struct Growing {
    /// A power of two of them.
    buckets: Box<[Bucket]>,
    key: u64,
    /// The slots with a pair, in the order in which they came.
    slots: Vec<u64>,
}

/// Half a cache line.
#[derive(Debug, Clone, Copy)]
#[repr(align(32))]
struct Bucket([u64; SLOTS]);

const SLOTS: usize = 4;

impl Growing {
    pub(super) fn for_at_most(count: usize) -> Growing {
        let slots = (count * 2).next_power_of_two().max(SLOTS);
        let buckets = vec![Bucket([EMPTY; SLOTS]); slots / SLOTS].into_boxed_slice();
        Growing { buckets, key: random_key()[0], slots: Vec::with_capacity(count) }
    }

    /// All that have a pair.
    pub(super) fn slots(&self) -> &[u64] {
        &self.slots
    }

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the bits of a place remain")]
    fn start(&self, left: u32, right: u32) -> Sought {
        let slot = slot_of(left, right);
        let hash = folded_multiply(slot ^ self.key, 0x9e37_79b9_7f4a_7c15);
        Sought { slot, place: hash as usize & (self.buckets.len() - 1) }
    }

    /// Where the pair is in the table already, its rank stays and is returned.
    pub(super) fn insert(&mut self, left: u32, right: u32, rank: u32) -> Option<u32> {
        let Sought { slot: new, mut place } = self.start(left, right);
        let last = self.buckets.len() - 1;
        loop {
            for slot in &mut self.buckets[place].0 {
                if *slot == EMPTY {
                    *slot = new | u64::from(rank);
                    self.slots.push(*slot);
                    return None;
                }
                if *slot >> RANK_BITS == new >> RANK_BITS {
                    return Some(rank_of(*slot));
                }
            }
            place = (place + 1) & last;
        }
    }
}

impl Lookup for Growing {
    #[inline(always)]
    fn seek(&self, left: u32, right: u32) -> Sought {
        let sought = self.start(left, right);
        prefetch(&self.buckets[sought.place]);
        sought
    }

    #[inline(always)]
    fn rank(&self, sought: &Sought) -> u32 {
        let mut place = sought.place;
        loop {
            let Bucket(slots) = &self.buckets[place];
            let found = slots
                .iter()
                .fold(EMPTY, |found, &slot| if slot >> RANK_BITS == sought.slot >> RANK_BITS { slot } else { found });
            if (found != EMPTY) | (slots[SLOTS - 1] == EMPTY) {
                return rank_of(found) | u32::from(found == EMPTY) << RANK_BITS;
            }
            place = (place + 1) & (self.buckets.len() - 1);
        }
    }
}

#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "24 bits")]
fn rank_of(slot: u64) -> u32 {
    slot as u32 & (NO_RANK - 1)
}
