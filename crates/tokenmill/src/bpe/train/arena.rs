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
use crate::counts::Pieces;
use crate::error::{Error, Result};
use crate::prefetch::prefetch;
use rustc_hash::FxHashMap;

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
    num_tokens: u64,
    num_pairs: u64,
    /// The longest pieces that are longer than words are.
    pub long_pieces: Vec<LongPiece>,
}

impl<S: Slot> Arena<S> {
    /// Each byte a token. `lengths`: bytes of each token, by id.
    pub(super) fn new(
        pieces: &dyn Pieces,
        byte_ids: &[u32; 256],
        lengths: Vec<u32>,
        tick: &dyn Fn() -> Result<()>,
    ) -> Result<Arena<S>> {
        let mut ticks = Ticks::new(tick);
        let Layout { long_pieces, runs, num_tokens, num_pairs, end } = Layout::of(pieces, &mut ticks)?;
        let mut slots = vec![S::WALL; end as usize];
        let mut cursors = ByCount::default();
        for run in &runs {
            *cursors.of(run.weight) = run.start.into();
        }
        pieces.each(&mut |piece, count| {
            if piece.len() > 1 {
                let cursor = cursors.of(count);
                let start = usize::try_from(*cursor).unwrap_or(usize::MAX);
                for (slot, byte) in slots[start..start + piece.len()].iter_mut().zip(piece) {
                    *slot = S::of(byte_ids[usize::from(*byte)]);
                }
                *cursor += width(piece);
            }
            ticks.add(piece.len())
        })?;
        let notes = note(&runs, slots.len());
        Ok(Arena { slots, runs, notes, lengths, num_tokens, num_pairs, long_pieces })
    }

    /// Replaces the tokens of each piece by those that `tokenize(bytes, ids)` gives. Before, each byte is a token.
    pub(super) fn retokenize(
        &mut self,
        byte_ids: &[u32; 256],
        mut tokenize: impl FnMut(&[u8], &mut Vec<u32>) -> Result<()>,
        tick: &dyn Fn() -> Result<()>,
    ) -> Result<()> {
        let bytes: FxHashMap<u32, u8> = byte_ids.iter().copied().zip(0..=u8::MAX).collect();
        let mut ticks = Ticks::new(tick);
        let (mut piece, mut ids, mut start) = (Vec::new(), Vec::new(), 0);
        while let Some(length) = self.slots[start..].iter().position(|slot| *slot == S::WALL) {
            piece.clear();
            piece.extend(self.slots[start..start + length].iter().map(|slot| bytes[&slot.id()]));
            ids.clear();
            tokenize(&piece, &mut ids)?;
            self.slots[start..start + length].fill(S::HOLE);
            let mut place = start;
            for id in &ids {
                let token_length = self.length(*id) as usize;
                self.slots[place] = S::of(*id);
                self.slots[place + token_length - 1] = S::of(*id);
                place += token_length;
            }
            if length > 0 {
                self.forget(start, (length - ids.len()) as u64);
            }
            start += length + 1;
            ticks.add(length + 1)?;
        }
        Ok(())
    }

    /// The piece at a place has so many tokens less.
    #[expect(clippy::cast_possible_truncation, reason = "a place in the arena")]
    fn forget(&mut self, place: usize, tokens: u64) {
        let fewer = tokens * self.weight(place as Place);
        self.num_tokens -= fewer;
        self.num_pairs -= fewer;
    }

    /// Tokens of all pieces, each as often as its piece occurs.
    pub(super) fn num_tokens(&self) -> u64 {
        self.num_tokens
    }

    /// Pairs at the start, each as often as its piece occurs. No pair's count is ever higher.
    pub(super) fn num_pairs(&self) -> u64 {
        self.num_pairs
    }

    /// Slots in all.
    pub(super) fn num_slots(&self) -> usize {
        self.slots.len()
    }

    /// One more than the highest id.
    pub(super) fn ids(&self) -> usize {
        self.lengths.len()
    }

    /// The next id stands for these two.
    pub(super) fn add_token(&mut self, left: u32, right: u32) {
        self.lengths.push(self.length(left) + self.length(right));
    }

    /// Whether the token that a pair makes has at most so many bytes.
    #[inline]
    pub(super) fn fits(&self, pair: Pair, most_bytes: u32) -> bool {
        u64::from(self.length(pair.left())) + u64::from(self.length(pair.right())) <= u64::from(most_bytes)
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
        let mut ticks = Ticks::new(tick);
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
            ticks.add(next - place)?;
            place = next;
        }
        Ok(())
    }
}

/// The slots of a piece and its wall.
fn width(piece: &[u8]) -> u64 {
    piece.len() as u64 + 1
}

/// Where the pieces will lie.
struct Layout {
    long_pieces: Vec<LongPiece>,
    runs: Vec<Run>,
    num_tokens: u64,
    num_pairs: u64,
    /// Slots in all.
    end: Place,
}

impl Layout {
    fn of(pieces: &dyn Pieces, ticks: &mut Ticks<'_>) -> Result<Layout> {
        let mut slots = ByCount::default();
        let mut long_pieces = Vec::new();
        let (mut num_tokens, mut num_pairs) = (0u128, 0u128);
        pieces.each(&mut |piece, count| {
            num_tokens += u128::from(count) * piece.len() as u128;
            // Of one token no pair is made, and so it needs no place.
            if piece.len() > 1 {
                num_pairs += u128::from(count) * (piece.len() as u128 - 1);
                *slots.of(count) += width(piece);
            }
            if piece.len() >= LONG {
                note_long(&mut long_pieces, piece);
            }
            ticks.add(piece.len())
        })?;
        // Below 2^63 no sum of counts can overflow in what follows.
        let num_tokens = i64::try_from(num_tokens).map(i64::unsigned_abs).map_err(|_| {
            Error::value(format!("the corpus has {num_tokens} bytes, each piece as often as it occurs: more than 2^63 - 1; lower the weights"))
        })?;
        #[expect(clippy::cast_possible_truncation, reason = "less than the tokens")]
        let num_pairs = num_pairs as u64;
        let mut start: u64 = 1;
        let mut runs = Vec::new();
        for (weight, slots) in slots.sorted() {
            runs.push(Run { start: place(start)?, weight });
            start += slots;
        }
        runs.push(Run { start: Place::MAX, weight: 0 });
        Ok(Layout { long_pieces, runs, num_tokens, num_pairs, end: place(start)? })
    }
}

/// Bytes of a piece, and the first of them.
pub(super) type LongPiece = (usize, Vec<u8>);

/// Pieces of so many bytes are no words of any language.
const LONG: usize = 1 << 12;

/// Bytes of a long piece that are kept: enough to see what it is.
const BEGINNING: usize = 80;

/// Keeps the three longest, of equals the first in order.
fn note_long(longest: &mut Vec<LongPiece>, piece: &[u8]) {
    longest.push((piece.len(), piece[..BEGINNING].to_vec()));
    longest.sort_by(|one, other| other.0.cmp(&one.0).then_with(|| one.1.cmp(&other.1)));
    longest.truncate(3);
}

/// A number for each count of pieces. Most counts are low.
struct ByCount {
    low: [u64; ByCount::LOW],
    high: FxHashMap<u64, u64>,
}

impl Default for ByCount {
    fn default() -> ByCount {
        ByCount { low: [0; ByCount::LOW], high: FxHashMap::default() }
    }
}

impl ByCount {
    const LOW: usize = 1 << 10;

    #[inline]
    fn of(&mut self, count: u64) -> &mut u64 {
        match usize::try_from(count).ok().and_then(|count| self.low.get_mut(count)) {
            Some(number) => number,
            None => self.high.entry(count).or_default(),
        }
    }

    /// All counts whose number is not 0, and these.
    fn sorted(&self) -> Vec<(u64, u64)> {
        let low = (0..).zip(self.low).filter(|(_, number)| *number > 0);
        let mut all: Vec<(u64, u64)> = low.chain(self.high.iter().map(|(count, number)| (*count, *number))).collect();
        all.sort_unstable();
        all
    }
}

/// Calls `tick` now and then.
struct Ticks<'a> {
    tick: &'a dyn Fn() -> Result<()>,
    done: usize,
}

impl<'a> Ticks<'a> {
    fn new(tick: &'a dyn Fn() -> Result<()>) -> Ticks<'a> {
        Ticks { tick, done: 0 }
    }

    #[inline]
    fn add(&mut self, slots: usize) -> Result<()> {
        self.done += slots;
        if self.done < STEP {
            return Ok(());
        }
        self.done = 0;
        (self.tick)()
    }
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
