//! What one merge does on one side of its places, summed up by the id that stands there.

use super::arena::Slot;

/// The sums of one id. All 0 while it has not been seen.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tally {
    /// How often it stands there.
    pub count: u64,
    /// At how many places of the arena.
    pub places: u32,
    /// Where the next place of its new pair is written, plus 1; 0: that pair is not kept.
    pub next: usize,
}

pub(super) struct Neighbours {
    tallies: Vec<Tally>,
    /// The ids that have been seen.
    touched: Vec<u32>,
}

impl Neighbours {
    pub(super) fn new(ids: usize) -> Neighbours {
        Neighbours { tallies: vec![Tally::default(); ids], touched: Vec::new() }
    }

    #[inline(always)]
    pub(super) fn see<S: Slot>(&mut self, slot: S, weight: u64) {
        if slot != S::WALL {
            let tally = &mut self.tallies[slot.id() as usize];
            if tally.places == 0 {
                self.touched.push(slot.id());
            }
            tally.count += weight;
            tally.places += 1;
        }
    }

    /// Takes back some of what was seen of an id.
    pub(super) fn unsee(&mut self, id: u32, some: Tally) {
        let tally = &mut self.tallies[id as usize];
        tally.count -= some.count;
        tally.places -= some.places;
    }

    #[inline(always)]
    pub(super) fn get(&self, id: u32) -> Tally {
        self.tallies[id as usize]
    }

    pub(super) fn touched(&self) -> &[u32] {
        &self.touched
    }

    /// The new pair of this id will have its places from here on.
    pub(super) fn keep(&mut self, id: u32, start: usize) {
        self.tallies[id as usize].next = start + 1;
    }

    /// Where to write a place of the new pair with what is in this slot; `None`: it is not kept.
    #[inline(always)]
    pub(super) fn next<S: Slot>(&mut self, slot: S) -> Option<usize> {
        if slot == S::WALL {
            return None;
        }
        let next = &mut self.tallies[slot.id() as usize].next;
        let place = next.checked_sub(1)?;
        *next += 1;
        Some(place)
    }

    pub(super) fn clear(&mut self) {
        for id in self.touched.drain(..) {
            self.tallies[id as usize] = Tally::default();
        }
    }
}
