//! Pairs that may yet be merged: how often each occurs, and where.

use crate::byte_map::folded_multiply;
use crate::prefetch::prefetch;

/// Two ids in one number, which orders as (left, right) does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Pair(u64);

impl Pair {
    const NONE: Pair = Pair(u64::MAX);

    #[inline(always)]
    pub(super) fn new(left: u32, right: u32) -> Pair {
        Pair(u64::from(left) << 32 | u64::from(right))
    }

    #[inline(always)]
    pub(super) fn left(self) -> u32 {
        (self.0 >> 32) as u32
    }

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the low half")]
    pub(super) fn right(self) -> u32 {
        self.0 as u32
    }

    /// The high bits are good ones.
    #[inline(always)]
    fn hash(self) -> u64 {
        folded_multiply(self.0 ^ 0x9E37_79B9_7F4A_7C15, 0xD6E8_FEB8_6659_FD93)
    }
}

/// What is known of a pair.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    pub pair: Pair,
    /// 0: it no longer matters.
    pub count: u64,
    /// Where its places begin in the list of places. Some may be out of date.
    pub start: usize,
    pub places: u32,
}

const FREE: Found = Found { pair: Pair::NONE, count: 0, start: 0, places: 0 };

/// Pair → [`Found`]. Open addressing, 32 bytes a slot, at most 2/3 full. A slot is never freed: when the table grows,
/// pairs of count 0 stay behind.
pub(super) struct PairTable {
    slots: Vec<Found>,
    /// Slots that are not free.
    taken: usize,
    shift: u32,
}

impl PairTable {
    pub(super) fn with_room_for(pairs: usize) -> PairTable {
        let size = (pairs + pairs / 2 + 1).next_power_of_two().max(64);
        PairTable { slots: vec![FREE; size], taken: 0, shift: 64 - size.trailing_zeros() }
    }

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "shifted below the length")]
    fn home(&self, pair: Pair) -> usize {
        (pair.hash() >> self.shift) as usize
    }

    #[inline(always)]
    pub(super) fn prefetch(&self, pair: Pair) {
        prefetch(&self.slots[self.home(pair)]);
    }

    /// The slot of the pair, or the free one where it would be.
    #[inline(always)]
    fn slot(&self, pair: Pair) -> usize {
        let mask = self.slots.len() - 1;
        let mut slot = self.home(pair);
        while self.slots[slot].pair != pair && self.slots[slot].pair != Pair::NONE {
            slot = (slot + 1) & mask;
        }
        slot
    }

    #[inline(always)]
    pub(super) fn get(&mut self, pair: Pair) -> Option<&mut Found> {
        let slot = self.slot(pair);
        Some(&mut self.slots[slot]).filter(|found| found.pair == pair)
    }

    /// The pair's entry; a new one has count 0.
    #[inline]
    pub(super) fn entry(&mut self, pair: Pair) -> &mut Found {
        let mut slot = self.slot(pair);
        if self.slots[slot].pair != pair {
            if 3 * (self.taken + 1) > 2 * self.slots.len() {
                let live = self.iter().count();
                self.rebuild(2 * live.max(32), |_| true);
                slot = self.slot(pair);
            }
            self.taken += 1;
            self.slots[slot] = Found { pair, ..FREE };
        }
        &mut self.slots[slot]
    }

    /// All pairs of a count above 0, in no particular order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Found> {
        self.slots.iter().filter(|found| found.count > 0)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Found> {
        self.slots.iter_mut().filter(|found| found.count > 0)
    }

    /// Drops the others, and makes the table as small as it can be.
    pub(super) fn retain(&mut self, keep: impl Fn(&Found) -> bool) {
        let kept = self.iter().filter(|found| keep(found)).count();
        self.rebuild(kept, keep);
    }

    #[cold]
    fn rebuild(&mut self, room: usize, keep: impl Fn(&Found) -> bool) {
        let mut other = PairTable::with_room_for(room);
        for found in self.iter().filter(|found| keep(found)) {
            let slot = other.slot(found.pair);
            other.slots[slot] = *found;
            other.taken += 1;
        }
        *self = other;
    }
}

/// Upper bounds for the counts of pairs in little memory: what all pairs come to that share a number.
pub(super) struct Bounds {
    sums: Vec<u32>,
    shift: u32,
}

impl Bounds {
    /// At most 16 MiB.
    const MOST: usize = 1 << 22;

    pub(super) fn for_pairs(pairs: usize) -> Bounds {
        let size = pairs.clamp(2, Bounds::MOST).next_power_of_two();
        Bounds { sums: vec![0; size], shift: 64 - size.trailing_zeros() }
    }

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "shifted below the length")]
    fn place(&self, pair: Pair) -> usize {
        (pair.hash() >> self.shift) as usize
    }

    #[inline(always)]
    pub(super) fn add(&mut self, pair: Pair, count: u64) {
        let place = self.place(pair);
        self.sums[place] = self.sums[place].saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
    }

    /// Whether the pair may occur so often.
    #[inline(always)]
    pub(super) fn may_reach(&self, pair: Pair, count: u64) -> bool {
        let sum = self.sums[self.place(pair)];
        sum == u32::MAX || u64::from(sum) >= count
    }
}
