//! Looking pieces up among the short ones, a batch of them at a time.
//!
//! ```text
//! chunk 1: keys
//! chunk 2: keys   chunk 1: places, cache lines asked for
//! chunk 3: keys   chunk 2: places, cache lines asked for   chunk 1: lines read ─┬► ids, 32 bytes at a time
//! chunk 4: keys   chunk 3: ...                             chunk 2: ...         └► a hole: not known, or not short
//! ```
//!
//! No branch depends on what is found, as nobody can predict that.

use super::became::{SHORT_IDS, Width};
use super::short::ShortPieces;
#[cfg(target_arch = "x86_64")]
use super::x86::{Avx2, Avx512};
use crate::bpe::key;
use crate::level::Level;
use crate::split::Ends;

/// So many pieces: the loads of a chunk are on their way while the one before is read. Half as many take 10 % longer, as each
/// step of a chunk ends with a branch that is guessed wrong; three of them still fit into a corner of the L1 cache.
pub(super) const CHUNK: usize = 64;

/// Ids are stored as if every piece had so many.
pub(super) const IDS_ROOM: usize = 8;

/// Some pieces on their way.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
pub(super) struct Chunk {
    /// [`key::NONE`] for longer pieces.
    pub keys: [u128; CHUNK],
    /// Where in the table they would be: see [`ShortPieces::place`].
    pub places: [usize; CHUNK],
    pub len: usize,
}

impl Chunk {
    const EMPTY: Chunk = Chunk { keys: [0; CHUNK], places: [0; CHUNK], len: 0 };
}

/// What is known of the pieces of a batch.
#[derive(Debug)]
pub(in crate::bpe) struct Found {
    pub(super) ids: [u32; IDS_ROOM * Ends::MOST],
    pub(super) holes: [Hole; Ends::MOST],
    pub(super) so_far: SoFar,
    /// Kept from text to text, as clearing them takes as long as a short text does; away while pieces are looked up.
    chunks: Option<Box<[Chunk; 3]>>,
}

/// A piece whose ids are not among the others: its number in the batch, and how many ids the known pieces before it have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::bpe) struct Hole(pub(super) u64);

/// How far it has come.
#[derive(Debug, Clone, Copy)]
pub(super) struct SoFar {
    /// The hole that would be here: two numbers in one register.
    pub here: Hole,
    pub num_holes: usize,
}

impl Hole {
    pub(in crate::bpe) fn piece(self) -> usize {
        (self.0 >> u32::BITS) as usize
    }

    #[expect(clippy::cast_possible_truncation, reason = "the lower half")]
    pub(in crate::bpe) fn ids_before(self) -> usize {
        self.0 as u32 as usize
    }

    /// The next piece, before which there are `ids` more.
    #[inline(always)]
    pub(super) fn next(self, ids: usize) -> Hole {
        Hole(self.0 + (1 << u32::BITS) + ids as u64)
    }
}

impl Default for Found {
    fn default() -> Found {
        let so_far = SoFar { here: Hole(0), num_holes: 0 };
        Found { ids: [0; IDS_ROOM * Ends::MOST], holes: [Hole(0); Ends::MOST], so_far, chunks: None }
    }
}

impl Found {
    /// The ids of the known pieces back to back.
    pub(in crate::bpe) fn ids(&self) -> &[u32] {
        &self.ids[..self.so_far.here.ids_before()]
    }

    /// The other pieces, in order.
    pub(in crate::bpe) fn holes(&self) -> &[Hole] {
        &self.holes[..self.so_far.num_holes]
    }

    /// Looks up the pieces of `text` that end at `ends`, of which the first begins at `start`.
    #[inline(always)]
    pub(in crate::bpe) fn look_up(&mut self, text: &[u8], start: usize, ends: &Ends, known: ShortPieces<'_>) {
        self.look_up_at(Level::best(), text, start, ends, known);
    }

    #[inline(always)]
    fn look_up_at(&mut self, level: Level, text: &[u8], start: usize, ends: &Ends, known: ShortPieces<'_>) {
        match level {
            // SAFETY: only processors with these instructions have this level.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => unsafe { self.look_up_avx512(text, start, ends, known) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => unsafe { self.look_up_avx2(text, start, ends, known) },
            _ => self.look_up_by::<Portable>(text, start, ends, known),
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    fn look_up_avx2(&mut self, text: &[u8], start: usize, ends: &Ends, known: ShortPieces<'_>) {
        self.look_up_by::<Avx2>(text, start, ends, known);
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi2,avx2,bmi1,bmi2,lzcnt,popcnt")]
    fn look_up_avx512(&mut self, text: &[u8], start: usize, ends: &Ends, known: ShortPieces<'_>) {
        self.look_up_by::<Avx512>(text, start, ends, known);
    }

    #[inline(always)]
    fn look_up_by<L: LookUp>(&mut self, text: &[u8], start: usize, ends: &Ends, known: ShortPieces<'_>) {
        self.so_far = SoFar { here: Hole(0), num_holes: 0 };
        let mut chunks = self.chunks.take().unwrap_or_else(|| Box::new([Chunk::EMPTY; 3]));
        let [first, second, third] = &mut *chunks;
        (second.len, third.len) = (0, 0);
        let (mut new, mut sought, mut old) = (first, second, third);
        let mut begin = start;
        let mut parts = ends.as_slice().chunks(CHUNK);
        // Two rounds more, for what is on its way behind the last.
        for _ in 0..ends.as_slice().len().div_ceil(CHUNK) + 2 {
            let ends = parts.next().unwrap_or(&[]);
            L::find_keys(text, begin, ends, new);
            L::seek(sought, known);
            L::find(old, known, self);
            begin = ends.last().copied().unwrap_or(begin);
            (new, sought, old) = (old, new, sought);
        }
        self.chunks = Some(chunks);
    }
}

/// The steps of a lookup.
pub(super) trait LookUp {
    /// Finds the keys of pieces that lie one behind the other.
    fn find_keys(text: &[u8], begin: usize, ends: &[usize], chunk: &mut Chunk);

    /// Finds their places, and asks for the cache lines.
    fn seek(chunk: &mut Chunk, known: ShortPieces<'_>);

    /// Reads the lines.
    fn find(chunk: &Chunk, known: ShortPieces<'_>, found: &mut Found);
}

/// With what every processor has; the definition of what the others do.
pub(super) struct Portable;

impl LookUp for Portable {
    #[inline(always)]
    fn find_keys(text: &[u8], mut begin: usize, ends: &[usize], chunk: &mut Chunk) {
        chunk.len = ends.len();
        for (&end, key) in ends.iter().zip(&mut chunk.keys) {
            *key = key::short_or_none(text, begin, end - begin);
            begin = end;
        }
    }

    #[inline(always)]
    fn seek(chunk: &mut Chunk, known: ShortPieces<'_>) {
        for (&key, place) in chunk.keys.iter().zip(&mut chunk.places).take(chunk.len) {
            *place = known.place(key);
            known.prefetch(*place);
        }
    }

    #[inline(always)]
    fn find(chunk: &Chunk, known: ShortPieces<'_>, found: &mut Found) {
        match known.width.number() {
            0 => find::<0>(chunk, known, found),
            1 => find::<1>(chunk, known, found),
            _ => find::<2>(chunk, known, found),
        }
    }
}

/// A function for each width, as shifting by constants takes half of the instructions. Not inlined, or the compiler makes one
/// loop of the three.
#[inline(never)]
fn find<const WIDTH: usize>(chunk: &Chunk, known: ShortPieces<'_>, found: &mut Found) {
    let width = const { Width::ALL[WIDTH] };
    let SoFar { mut here, mut num_holes } = found.so_far;
    for (&key, &place) in chunk.keys.iter().zip(&chunk.places).take(chunk.len) {
        let became = known.at(place, key);
        let ids = became.ids(width);
        let room = &mut found.ids[here.ids_before()..];
        if let (Some(four), Some(first)) = (room.first_chunk_mut::<4>(), ids.first_chunk()) {
            *four = *first;
        }
        // One piece of 100 of English.
        if became.count() > 4 {
            room[4..SHORT_IDS].copy_from_slice(&ids[4..]);
        }
        found.holes[num_holes] = here;
        here = here.next(became.count());
        num_holes += usize::from(became.count() == 0);
    }
    found.so_far = SoFar { here, num_holes };
}

#[cfg(test)]
mod tests {
    use super::super::became::Became;
    use super::super::short::{Bucket, LINE};
    use super::*;
    use crate::bpe::key::Secrets;
    use proptest::prelude::*;

    type Looked = (Vec<u32>, Vec<(usize, usize)>);

    fn looked_up(level: Level, text: &[u8], start: usize, ends: &Ends, known: ShortPieces<'_>) -> Looked {
        let mut found = Found::default();
        found.look_up_at(level, text, start, ends, known);
        let holes = found.holes().iter().map(|hole| (hole.piece(), hole.ids_before()));
        (found.ids().to_vec(), holes.collect())
    }

    /// Piece by piece.
    fn by_definition(text: &[u8], mut start: usize, ends: &Ends, known: ShortPieces<'_>) -> Looked {
        let (mut ids, mut holes) = (Vec::new(), Vec::new());
        for (piece, &end) in ends.as_slice().iter().enumerate() {
            let key = key::short_or_none(text, start, end - start);
            let bucket = &known.buckets[known.place(key) / LINE];
            match bucket.keys.iter().position(|known| *known == key) {
                Some(place) if bucket.became[place].count() != 0 => {
                    let became = bucket.became[place];
                    ids.extend_from_slice(&became.ids(known.width)[..became.count()]);
                }
                _ => holes.push((piece, ids.len())),
            }
            start = end;
        }
        (ids, holes)
    }

    proptest! {
        /// In tables of few places, so that many pieces want the same, and of few spellings, so that pieces differ in their
        /// first or their last bytes alone; known by as many ids as fit, by more, or not at all; the last may end with the text.
        #[test]
        fn every_level_finds_what_is_there_by_definition(
            lines in 0..4u32,
            pieces in prop::collection::vec((0..3usize, 0..3usize, 0..9usize), 1..Ends::MOST),
            width in prop::sample::select(&Width::ALL[..]),
            before in 0..20usize,
            after in 0..20usize,
        ) {
            const FIRST: [&str; 3] = ["", "abcdefgh", "abcdefgi"];
            const LAST: [&str; 3] = ["x", "yyyyyy", "zzzzzzzz"];
            let mut buckets = vec![Bucket::EMPTY; 1 << lines];
            let secrets = Secrets::default();
            let mut text = vec![b'-'; before];
            let mut ends = Ends::new();
            for (first, last, num_ids) in pieces {
                let start = text.len();
                text.extend_from_slice(FIRST[first].as_bytes());
                text.extend_from_slice(LAST[last].as_bytes());
                ends.push(text.len());
                let key = key::short_or_none(&text, start, text.len() - start);
                let ids: Vec<u32> = (0..num_ids as u32).map(|id| width.mask() - id * 0x2222 - last as u32).collect();
                if num_ids > 0 && !key::is_none(key) {
                    let place = ShortPieces { buckets: &buckets, secrets, width, group: 1 }.place(key) / LINE;
                    buckets[place].insert(key, Became::of(&ids, width).unwrap_or(Became::ELSEWHERE));
                }
            }
            text.extend(vec![b'+'; after]);
            let known = ShortPieces { buckets: &buckets, secrets, width, group: 1 };
            let want = by_definition(&text, before, &ends, known);
            for &level in Level::available() {
                prop_assert_eq!(&looked_up(level, &text, before, &ends, known), &want, "{:?}", level);
            }
        }
    }
}
