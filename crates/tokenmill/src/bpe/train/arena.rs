//! The corpus as training sees it: each distinct piece once, in slots that never move.
//!
//! ```text
//! bytes         t  h  e  #  t  h  e  n  #        # a wall between pieces
//! after t+h     th th e  #  th th e  n  #        a token has a slot a byte, its id in the first and in the last
//! after th+e    T  .  T  #  T  .  T  n  #        . a hole: what was a token's end once
//! ```
//!
//! So the neighbours of a token are found in one step on each side, whatever the length of the piece: a merge costs the
//! same in a word and in 50 MB without a space. The invariant that makes a stale place harmless: a slot holds the id
//! of a token only while it is the first or the last of one.

use super::pairs::Pair;
use crate::counts::PieceCounts;
use crate::error::{Error, Result};
use crate::prefetch::prefetch;
use std::collections::BTreeMap;

/// A place in the arena. (4 GiB of distinct pieces: a web corpus of some terabytes.)
pub(super) type Place = u32;

/// What a slot holds: an id, a wall or a hole. Two bytes as long as the ids fit.
pub(super) trait Slot: Copy + Eq + Send + Sync + 'static {
    /// Between pieces.
    const WALL: Self;
    /// Inside of a token.
    const HOLE: Self;
    /// Ids from here on do not fit.
    const LIMIT: u32;
    fn of(id: u32) -> Self;
    fn id(self) -> u32;
}

impl Slot for u16 {
    const WALL: u16 = u16::MAX;
    const HOLE: u16 = u16::MAX - 1;
    const LIMIT: u32 = u16::MAX as u32 - 1;
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "below LIMIT")]
    fn of(id: u32) -> u16 {
        id as u16
    }
    #[inline(always)]
    fn id(self) -> u32 {
        u32::from(self)
    }
}

impl Slot for u32 {
    const WALL: u32 = u32::MAX;
    const HOLE: u32 = u32::MAX - 1;
    const LIMIT: u32 = u32::MAX - 1;
    #[inline(always)]
    fn of(id: u32) -> u32 {
        id
    }
    #[inline(always)]
    fn id(self) -> u32 {
        self
    }
}

/// Pieces that occur equally often lie together.
#[derive(Debug, Clone, Copy)]
struct Run {
    start: Place,
    weight: u64,
}

/// Slots between two looks for Ctrl-C: some 10 ms.
const STEP: usize = 1 << 20;

/// Slots whose run is noted once.
const NOTED: usize = 32;

/// See above.
pub(super) struct Arena<S> {
    /// Begins and ends with a wall.
    slots: Vec<S>,
    /// By start; the last one begins behind the end.
    runs: Vec<Run>,
    /// The run of each 32nd slot.
    notes: Vec<u32>,
    /// Bytes of each token, by id.
    lengths: Vec<u32>,
    num_pairs: u64,
}

impl<S: Slot> Arena<S> {
    /// `byte_ids`: the id of each byte. They follow one another from `first`.
    pub(super) fn new(pieces: &PieceCounts, byte_ids: &[u32], first: u32) -> Result<Arena<S>> {
        let (runs, num_pairs, end) = lay_out(pieces)?;
        let mut slots = vec![S::WALL; end as usize];
        let mut cursors: BTreeMap<u64, Place> = runs.iter().map(|run| (run.weight, run.start)).collect();
        pieces.each(|piece, count| {
            if piece.len() > 1
                && let Some(cursor) = cursors.get_mut(&count)
            {
                let start = *cursor as usize;
                for (slot, byte) in slots[start..start + piece.len()].iter_mut().zip(piece) {
                    *slot = S::of(byte_ids[usize::from(*byte)]);
                }
                *cursor += width(piece);
            }
        });
        let notes = note(&runs, slots.len());
        let lengths = vec![1; first as usize + byte_ids.len()];
        Ok(Arena { slots, runs, notes, lengths, num_pairs })
    }

    /// Pairs in all, each as often as its piece occurs. No pair's count is ever higher.
    pub(super) fn num_pairs(&self) -> u64 {
        self.num_pairs
    }

    /// One more than the highest id.
    pub(super) fn ids(&self) -> usize {
        self.lengths.len()
    }

    /// The next id stands for these two.
    pub(super) fn add_token(&mut self, left: u32, right: u32) {
        self.lengths.push(self.length(left) + self.length(right));
    }

    /// Bytes of a token.
    #[inline(always)]
    pub(super) fn length(&self, id: u32) -> u32 {
        self.lengths[id as usize]
    }

    #[inline(always)]
    pub(super) fn prefetch(&self, place: Place) {
        prefetch(&self.slots[place as usize]);
    }

    /// Writes `made` where `pair` stands; what stands before and behind it. `None`: the pair is not there (any more).
    #[inline(always)]
    pub(super) fn replace(&mut self, place: Place, pair: Pair, made: u32) -> Option<(S, S)> {
        let start = place as usize;
        if self.slots[start] != S::of(pair.left()) {
            return None;
        }
        let middle = start + self.length(pair.left()) as usize;
        if self.slots[middle] != S::of(pair.right()) {
            return None;
        }
        let end = middle + self.length(pair.right()) as usize;
        // The outer slots last: they may be the inner ones too.
        self.slots[middle - 1] = S::HOLE;
        self.slots[middle] = S::HOLE;
        self.slots[start] = S::of(made);
        self.slots[end - 1] = S::of(made);
        Some((self.slots[start - 1], self.slots[end]))
    }

    /// What stands before and behind the token that begins here.
    #[inline(always)]
    pub(super) fn beside(&self, place: Place, token: u32) -> (S, S) {
        let start = place as usize;
        (self.slots[start - 1], self.slots[start + self.length(token) as usize])
    }

    /// How often the piece with this slot occurs.
    #[inline(always)]
    pub(super) fn weight(&self, place: Place) -> u64 {
        let mut run = self.notes[place as usize / NOTED] as usize;
        while self.runs[run + 1].start <= place {
            run += 1;
        }
        self.runs[run].weight
    }

    /// Where a token stands, in order.
    #[expect(clippy::cast_possible_truncation, reason = "a place in the arena")]
    pub(super) fn places_of(&self, token: u32) -> impl Iterator<Item = Place> {
        let length = self.length(token) as usize;
        let mut from = 0;
        std::iter::from_fn(move || {
            let place = from + self.slots[from..].iter().position(|slot| *slot == S::of(token))?;
            // Its last slot has its id too.
            from = place + length;
            Some(place as Place)
        })
    }

    /// Calls `visit(place, pair, weight)` for each pair, in order; `tick` now and then.
    #[expect(clippy::cast_possible_truncation, reason = "a place in the arena")]
    pub(super) fn for_each_pair(
        &self,
        tick: &dyn Fn() -> Result<()>,
        mut visit: impl FnMut(Place, Pair, u64),
    ) -> Result<()> {
        let mut place = 0;
        let mut next_tick = STEP;
        while place < self.slots.len() {
            let left = self.slots[place];
            if left == S::WALL {
                place += 1;
                continue;
            }
            let next = place + self.length(left.id()) as usize;
            let right = self.slots[next];
            if right != S::WALL {
                visit(place as Place, Pair::new(left.id(), right.id()), self.weight(place as Place));
            }
            place = next;
            if place >= next_tick {
                tick()?;
                next_tick = place + STEP;
            }
        }
        Ok(())
    }
}

/// The slots of a piece and its wall.
#[expect(clippy::cast_possible_truncation, reason = "the sum was checked")]
fn width(piece: &[u8]) -> Place {
    piece.len() as Place + 1
}

/// Where the pieces of each count begin, how many pairs there are, and the end of all.
fn lay_out(pieces: &PieceCounts) -> Result<(Vec<Run>, u64, Place)> {
    // Few: counts are small or rare.
    let mut slots: BTreeMap<u64, u64> = BTreeMap::new();
    let mut pairs: u128 = 0;
    pieces.each(|piece, count| {
        if piece.len() > 1 {
            pairs += u128::from(count) * (piece.len() as u128 - 1);
            *slots.entry(count).or_default() += piece.len() as u64 + 1;
        }
    });
    let pairs = i64::try_from(pairs)
        .map(i64::unsigned_abs)
        .map_err(|_| Error::value(format!("the corpus has {pairs} pairs, more than 2^63 - 1; lower the weights")))?;
    let mut start: u64 = 1;
    let mut runs = Vec::with_capacity(slots.len() + 1);
    for (&weight, &slots) in slots.iter().rev() {
        runs.push(Run { start: place(start)?, weight });
        start += slots;
    }
    runs.push(Run { start: Place::MAX, weight: 0 });
    Ok((runs, pairs, place(start)?))
}

fn place(slots: u64) -> Result<Place> {
    Place::try_from(slots).ok().filter(|&place| place < Place::MAX).ok_or_else(|| {
        Error::value("the distinct pieces of the corpus are more than 4 GiB; train on a part of it, or choose a pattern that cuts finer")
    })
}

#[expect(clippy::cast_possible_truncation, reason = "fewer runs than slots")]
fn note(runs: &[Run], slots: usize) -> Vec<u32> {
    let mut run = 0;
    (0..slots.div_ceil(NOTED))
        .map(|note| {
            while runs.get(run + 1).is_some_and(|next| next.start as usize <= note * NOTED) {
                run += 1;
            }
            run as u32
        })
        .collect()
}
