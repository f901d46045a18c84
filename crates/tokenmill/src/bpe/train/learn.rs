//! Learning the merges: the counts of pairs, kept up to date merge by merge.
//!
//! A merge of `left right` to `made` visits the places where the pair was seen and adds up, by neighbour, what it does
//! there: each `x left` that goes is an `x made` that comes, so one sum a neighbour and side is all, and each pair is
//! looked up once.
//!
//! Most pairs that come are rare and will never be merged. Counts only fall after the merge that made a pair, so a new pair
//! below a *floor* is forgotten at once. Should the best pair fall below the floor, all pairs are counted anew with a
//! lower one.

use super::arena::{Arena, Place, Slot};
use super::neighbours::Neighbours;
use super::pairs::{Bounds, Pair, PairTable};
use crate::error::Result;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Places or neighbours whose memory is asked for ahead.
const AHEAD: usize = 12;

/// Places between two looks for Ctrl-C: some 10 ms.
const STEP: usize = 1 << 18;

/// A floor to begin with: of English and code that most merges keep above, and all but some thousand pairs below.
pub(super) fn first_floor(num_pairs: u64, room: u32) -> u64 {
    num_pairs / (u64::from(room) + 1) / 64
}

/// Each next floor is lower by this factor.
const LOWER: u64 = 4;

pub(super) struct Learner<'a, S> {
    arena: Arena<S>,
    pairs: PairTable,
    /// Where pairs are found, each pair's places in order.
    places: Vec<Place>,
    /// Highest count first, of equals the smallest pair. A count may since have fallen: what is on top is corrected
    /// until it needs no correction.
    queue: BinaryHeap<(u64, Reverse<Pair>)>,
    /// Pairs that occur less often are not in `pairs`.
    floor: u64,
    min_frequency: u64,
    most_bytes: u32,
    num_tokens: u64,
    before: Neighbours,
    after: Neighbours,
    /// Where the merge at hand took place, in order.
    merged: Vec<Place>,
    tick: &'a dyn Fn() -> Result<()>,
}

impl<'a, S: Slot> Learner<'a, S> {
    /// For `room` more tokens at most, of `most_bytes` each. The result does not depend on `floor`. `tick` is called
    /// several times a second; an error of its ends the work.
    pub(super) fn new(
        arena: Arena<S>,
        room: u32,
        [floor, min_frequency]: [u64; 2],
        most_bytes: u32,
        tick: &'a dyn Fn() -> Result<()>,
    ) -> Result<Learner<'a, S>> {
        let ids = arena.ids() + room as usize;
        let min_frequency = min_frequency.max(1);
        let mut learner = Learner {
            floor: floor.max(min_frequency),
            num_tokens: arena.num_tokens(),
            most_bytes,
            arena,
            pairs: PairTable::with_room_for(0),
            places: Vec::new(),
            queue: BinaryHeap::new(),
            min_frequency,
            before: Neighbours::new(ids),
            after: Neighbours::new(ids),
            merged: Vec::new(),
            tick,
        };
        learner.count_all()?;
        Ok(learner)
    }

    /// Tokens of all pieces, each as often as its piece occurs.
    pub(super) fn num_tokens(&self) -> u64 {
        self.num_tokens
    }

    /// The pair to merge next, and how often it occurs.
    pub(super) fn best(&mut self) -> Result<Option<(Pair, u64)>> {
        loop {
            while let Some((count, Reverse(pair))) = self.queue.pop() {
                match self.pairs.get(pair) {
                    Some(found) if found.count == count => return Ok(Some((pair, count))),
                    Some(found) if found.count > 0 => self.queue.push((found.count, Reverse(pair))),
                    _ => {}
                }
            }
            if self.floor == self.min_frequency {
                return Ok(None);
            }
            self.floor = (self.floor / LOWER).max(self.min_frequency);
            self.count_all()?;
        }
    }

    /// Counts all pairs, and notes the places of those that reach the floor.
    fn count_all(&mut self) -> Result<()> {
        let bounds = self.bounds()?;
        let (arena, floor, most) = (&self.arena, self.floor, self.most_bytes);
        let may_reach = |pair| bounds.as_ref().is_none_or(|bounds| bounds.may_reach(pair, floor));
        let pairs = &mut self.pairs;
        *pairs = PairTable::with_room_for(0);
        arena.for_each_pair(self.tick, |_, pair, weight| {
            if may_reach(pair) {
                let found = pairs.entry(pair);
                found.count += weight;
                found.places += 1;
            }
        })?;
        pairs.retain(|found| found.count >= floor && arena.fits(found.pair, most));
        let mut total = 0;
        for found in pairs.iter_mut() {
            found.start = total;
            total += found.places as usize;
            found.places = 0;
        }
        let places = &mut self.places;
        places.clear();
        places.resize(total, 0);
        arena.for_each_pair(self.tick, |place, pair, _| {
            if may_reach(pair)
                && let Some(found) = pairs.get(pair)
            {
                places[found.start + found.places as usize] = place;
                found.places += 1;
            }
        })?;
        self.queue = pairs.iter().map(|found| (found.count, Reverse(found.pair))).collect();
        Ok(())
    }

    /// Bounds for the counts of pairs, where most pairs are rare: a table of all pairs of 50,000 tokens in 89 MB of
    /// English would take 128 MiB, and most of them occur once.
    fn bounds(&self) -> Result<Option<Bounds>> {
        let slots = self.arena.num_slots();
        if self.arena.ids().saturating_pow(2) < slots {
            return Ok(None);
        }
        let mut bounds = Bounds::for_pairs(slots / 2);
        self.arena.for_each_pair(self.tick, |_, pair, weight| bounds.add(pair, weight))?;
        Ok(Some(bounds))
    }

    /// Replaces the pair by `made` wherever it occurs. `new`: the token is; else it existed, and pairs with it may have
    /// been forgotten.
    pub(super) fn merge(&mut self, pair: Pair, made: u32, new: bool) -> Result<()> {
        let (left, right) = (pair.left(), pair.right());
        if new {
            self.arena.add_token(left, right);
        }
        self.replace(pair, made)?;
        subtract(&mut self.pairs, self.floor, &self.before, |id| (Pair::new(id, left), new || id != made));
        subtract(&mut self.pairs, self.floor, &self.after, |id| (Pair::new(right, id), new || id != made));
        if new {
            // Two merges side by side: the first saw `left` behind it, which the second then made part of its own.
            self.after.unsee(left, self.before.get(made));
        } else {
            self.find(made);
        }
        self.add(made);
        self.before.clear();
        self.after.clear();
        Ok(())
    }

    /// Writes the new token wherever the pair stands, and adds up the neighbours.
    fn replace(&mut self, pair: Pair, made: u32) -> Result<()> {
        self.merged.clear();
        let Some(found) = self.pairs.get(pair) else { return Ok(()) };
        found.count = 0;
        let places = &self.places[found.start..found.start + found.places as usize];
        for (number, &place) in places.iter().enumerate() {
            if let Some(&ahead) = places.get(number + AHEAD) {
                self.arena.prefetch(ahead);
            }
            if let Some((before, after)) = self.arena.replace(place, pair, made) {
                let weight = self.arena.weight(place);
                self.before.see(before, weight);
                self.after.see(after, weight);
                self.merged.push(place);
                self.num_tokens -= weight;
            }
            if number % STEP == STEP - 1 {
                (self.tick)()?;
            }
        }
        Ok(())
    }

    /// Where a token stands, and what stands beside it. A pair of two of it is seen from the right one.
    fn find(&mut self, token: u32) {
        self.before.clear();
        self.after.clear();
        self.merged.clear();
        for place in self.arena.places_of(token) {
            let (before, after) = self.arena.beside(place, token);
            let weight = self.arena.weight(place);
            self.before.see(before, weight);
            if after != S::of(token) {
                self.after.see(after, weight);
            }
            self.merged.push(place);
        }
    }

    /// Adds the pairs that a merge made.
    fn add(&mut self, made: u32) {
        let kept = self.keep(made, true) + self.keep(made, false);
        if kept == 0 {
            return;
        }
        for &place in &self.merged {
            let (before, after) = self.arena.beside(place, made);
            if let Some(next) = self.before.next(before) {
                self.places[next] = place - self.arena.length(before.id());
            }
            if let Some(next) = self.after.next(after) {
                self.places[next] = place;
            }
        }
    }

    /// Makes entries for the pairs that reach the floor, and room for their places. How many there are.
    fn keep(&mut self, made: u32, is_before: bool) -> usize {
        let side = if is_before { &mut self.before } else { &mut self.after };
        let pair = |id| if is_before { Pair::new(id, made) } else { Pair::new(made, id) };
        let mut kept = 0;
        for index in 0..side.touched().len() {
            let id = side.touched()[index];
            let tally = side.get(id);
            if tally.count >= self.floor && self.arena.fits(pair(id), self.most_bytes) {
                let start = self.places.len();
                self.places.resize(start + tally.places as usize, 0);
                let found = self.pairs.entry(pair(id));
                (found.count, found.start, found.places) = (tally.count, start, tally.places);
                self.queue.push((tally.count, Reverse(pair(id))));
                side.keep(id, start);
                kept += 1;
            }
        }
        kept
    }
}

/// Takes what a merge ended off the pairs that existed. `old` gives a neighbour's pair, and whether the sum is all that
/// is to be known of it; a pair that will be counted anew is forgotten.
fn subtract(pairs: &mut PairTable, floor: u64, side: &Neighbours, old: impl Fn(u32) -> (Pair, bool)) {
    let touched = side.touched();
    for (number, &id) in touched.iter().enumerate() {
        if let Some(&ahead) = touched.get(number + AHEAD) {
            pairs.prefetch(old(ahead).0);
        }
        let (pair, known) = old(id);
        if let Some(found) = pairs.get(pair)
            && found.count > 0
        {
            found.count = if known { found.count - side.get(id).count } else { 0 };
            if found.count < floor {
                found.count = 0;
            }
        }
    }
}
