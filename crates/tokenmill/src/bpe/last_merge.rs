//! Of a vocabulary of ranks: the one pair of tokens that each token is made of.
//!
//! By the rule, any two tokens whose bytes together are a token merge: 2.2 pairs for each token of o200k_base. But of the
//! ways to cut a token in two at most one is ever asked for. Two tokens side by side have been made by merges inside
//! of them alone, so they are what merging the bytes of the two, with nothing around, comes to at some point: the best of
//! all pairs merges, and where it lies inside, it is the best of those inside, leftmost of equals. And each merge
//! makes one token of two, so that there is one moment at most when two are left.
//!
//! So the bytes of each token are merged until two tokens are left. That takes the pairs of shorter tokens only, which
//! come first. Lookups wait for memory; so the tokens of one length, which take the same number of merges, go through
//! them several at a time, each asking for its next pairs before the others use theirs (half the time of one after the other).

use super::ByteIds;
use super::merge::{MergeBuffers, merge};
use super::pairs::{Asked, NEVER, Packed, PairTable};
use crate::error::Result;
use crate::threads;
use crate::vocab::Vocab;
use rayon::prelude::*;

/// Puts into `table`, which is empty, the one pair of each token that merges make of single bytes. The pairs of tokens of
/// one length depend on shorter ones alone: a large vocabulary's are looked for by several threads.
pub(super) fn fill(table: &mut PairTable, vocab: &Vocab, byte_ids: &ByteIds) -> Result<()> {
    let ids = by_length(vocab);
    if ids.len() < ENOUGH_FOR_THREADS {
        fill_by_length(table, vocab, byte_ids, &ids, false);
        return Ok(());
    }
    threads::briefly(|shared| fill_by_length(table, vocab, byte_ids, &ids, shared))
}

/// Some 2 ms of work, twenty times what starting the threads takes.
const ENOUGH_FOR_THREADS: usize = 10_000;

/// Of tokens of one length one thread takes so many at least.
const SHARE: usize = 64 * LANES;

/// `shared`: in a pool, whose threads take shares.
fn fill_by_length(table: &mut PairTable, vocab: &Vocab, byte_ids: &ByteIds, ids: &[u32], shared: bool) {
    let bytes = |id: u32| vocab.bytes(id).unwrap_or_default();
    let mut pairs = Vec::new();
    for same_length in ids.chunk_by(|one, other| bytes(*one).len() == bytes(*other).len()) {
        pairs.clear();
        pairs.resize(same_length.len(), None);
        let search = Search { table, vocab, byte_ids };
        if shared && same_length.len() > SHARE {
            let shares = same_length.par_chunks(SHARE).zip(pairs.par_chunks_mut(SHARE));
            shares.for_each(|(ids, pairs)| search.pairs_of(ids, pairs));
        } else {
            search.pairs_of(same_length, &mut pairs);
        }
        for (pair, id) in pairs.iter().zip(same_length) {
            if let Some((left, right)) = *pair {
                table.insert(left, right, *id, bytes(*id));
            }
        }
    }
}

/// What a search for pairs reads.
struct Search<'a> {
    /// Has the pairs of all shorter tokens.
    table: &'a PairTable,
    vocab: &'a Vocab,
    byte_ids: &'a ByteIds,
}

impl Search<'_> {
    /// The pairs of tokens of one length.
    fn pairs_of(&self, ids: &[u32], pairs: &mut [Option<(u32, u32)>]) {
        let Search { table, vocab, byte_ids } = *self;
        let bytes = |id: u32| vocab.bytes(id).unwrap_or_default();
        let length = ids.first().map_or(0, |id| bytes(*id).len());
        let Some(packed) = table.packed().filter(|_| length <= SHORT) else {
            let mut buffers = (Vec::new(), MergeBuffers::default());
            for (pair, id) in pairs.iter_mut().zip(ids) {
                *pair = last_two(table, bytes(*id), byte_ids, &mut buffers);
            }
            return;
        };
        let mut lanes = vec![Lane::default(); LANES.min(ids.len())];
        for (ids, pairs) in ids.chunks(LANES).zip(pairs.chunks_mut(LANES)) {
            let lanes = &mut lanes[..ids.len()];
            for (lane, id) in lanes.iter_mut().zip(ids) {
                lane.start(table, bytes(*id), byte_ids);
            }
            match length {
                ..=8 => merge_side_by_side::<8>(packed, length, lanes),
                9..=16 => merge_side_by_side::<16>(packed, length, lanes),
                _ => merge_side_by_side::<SHORT>(packed, length, lanes),
            }
            for (pair, lane) in pairs.iter_mut().zip(lanes) {
                *pair = lane.last_two();
            }
        }
    }
}

/// Ids of tokens of two bytes and more, the shortest first. Of ids with the same bytes only the smallest: no other is ever
/// made.
fn by_length(vocab: &Vocab) -> Vec<u32> {
    let repeats = vocab.has_repeats();
    let tokens = || vocab.iter().filter(|(id, bytes)| bytes.len() > 1 && (!repeats || vocab.id(bytes) == Some(*id)));
    // Counting sort. All that are longer than `SHORT` count as one length; these few are sorted by comparison.
    let bucket = |bytes: &[u8]| bytes.len().min(SHORT + 1);
    let mut starts = [0; SHORT + 3];
    for (_, bytes) in tokens() {
        starts[bucket(bytes) + 1] += 1;
    }
    for length in 0..=SHORT + 1 {
        starts[length + 1] += starts[length];
    }
    let mut sorted = vec![0; starts[SHORT + 2]];
    for (id, bytes) in tokens() {
        let place = &mut starts[bucket(bytes)];
        sorted[*place] = id;
        *place += 1;
    }
    // Where the tokens of `SHORT` bytes end.
    sorted[starts[SHORT]..].sort_by_key(|id| vocab.bytes(*id).map_or(0, <[u8]>::len));
    sorted
}

/// The two tokens that merging the bytes of `token` comes to, if it does; in the way that pieces of text go, which takes
/// O(n log n) for long ones.
fn last_two(
    table: &PairTable,
    token: &[u8],
    byte_ids: &ByteIds,
    (ids, buffers): &mut (Vec<u32>, MergeBuffers),
) -> Option<(u32, u32)> {
    ids.clear();
    merge(token, byte_ids, table, ids, buffers).ok()?;
    if let [left, right] = **ids { Some((left, right)) } else { None }
}

/// The longest token that has a lane.
const SHORT: usize = 32;

/// A load from beyond L2 takes as long as some ten steps of other lanes.
const LANES: usize = 16;

/// A rank and its place in one number, so that the smallest is the best pair, the leftmost of equals. Signed, as SSE2
/// compares only such.
type Key = i32;
const NO_KEY: Key = Key::MAX;
const PLACE_BITS: u32 = SHORT.trailing_zeros();

#[inline]
#[expect(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "24 and 5 bits")]
fn key(rank: u32, place: usize) -> Key {
    if rank == NEVER { NO_KEY } else { (rank << PLACE_BITS | place as u32) as Key }
}

/// No neighbour.
const NONE: u8 = u8::MAX;

/// A token whose bytes are being merged. What was merged into its left neighbour keeps its place, without a key.
#[derive(Clone)]
struct Lane {
    /// Whether no pair merges, or a byte has no token.
    stuck: bool,
    ids: [u32; SHORT],
    /// That of the pair of a token and the next.
    keys: [Key; SHORT],
    next: [u8; SHORT],
    previous: [u8; SHORT],
    /// The pairs that the last merge made, and their places.
    asked: [(Asked, u8); 2],
}

impl Default for Lane {
    fn default() -> Self {
        let links = [NONE; SHORT];
        let asked = [(Asked::default(), NONE); 2];
        Lane { stuck: false, ids: [0; SHORT], keys: [NO_KEY; SHORT], next: links, previous: links, asked }
    }
}

/// Merges the bytes of tokens of one length, at most `WIDTH`, until two tokens are left of each or nothing merges.
fn merge_side_by_side<const WIDTH: usize>(packed: &Packed, length: usize, lanes: &mut [Lane]) {
    for _ in 2..length {
        for lane in lanes.iter_mut().filter(|lane| !lane.stuck) {
            lane.take_answers(packed);
            lane.merge_best::<WIDTH>(packed);
        }
    }
}

impl Lane {
    #[expect(clippy::cast_possible_truncation, reason = "a token has at most SHORT bytes")]
    fn start(&mut self, table: &PairTable, token: &[u8], byte_ids: &ByteIds) {
        self.stuck = false;
        self.keys = [NO_KEY; SHORT];
        self.asked = [(Asked::default(), NONE); 2];
        for (place, byte) in token.iter().enumerate() {
            match byte_ids[usize::from(*byte)] {
                Some(id) => self.ids[place] = id,
                None => self.stuck = true,
            }
            self.next[place] = place as u8 + 1;
            self.previous[place] = (place as u8).wrapping_sub(1);
        }
        self.next[token.len() - 1] = NONE;
        for (place, pair) in token.windows(2).enumerate() {
            self.keys[place] = key(table.rank_of_bytes(pair[0], pair[1]), place);
        }
    }

    #[inline]
    fn take_answers(&mut self, packed: &Packed) {
        for (asked, place) in &self.asked {
            if *place != NONE {
                let place = usize::from(*place);
                self.keys[place] = key(packed.answer(asked), place);
            }
        }
    }

    /// Merges the best pair, and asks for those that it makes.
    #[inline]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "24 and 5 bits")]
    fn merge_best<const WIDTH: usize>(&mut self, packed: &Packed) {
        let best = self.keys[..WIDTH].iter().fold(NO_KEY, |best, key| best.min(*key));
        if best == NO_KEY {
            self.stuck = true;
            return;
        }
        let (id, place) = (best as u32 >> PLACE_BITS, best as usize % SHORT);
        let gone = usize::from(self.next[place]) % SHORT;
        let (previous, next) = (self.previous[place], self.next[gone]);
        self.ids[place] = id;
        self.keys[place] = NO_KEY;
        self.keys[gone] = NO_KEY;
        self.next[place] = next;
        self.asked = [(Asked::default(), NONE); 2];
        if next != NONE {
            self.previous[usize::from(next) % SHORT] = place as u8;
            self.ask(packed, 0, place as u8, next);
        }
        if previous != NONE {
            self.ask(packed, 1, previous, place as u8);
        }
    }

    #[inline]
    fn ask(&mut self, packed: &Packed, number: usize, left: u8, right: u8) {
        let id = |place: u8| self.ids[usize::from(place) % SHORT];
        let asked = packed.ask(id(left), id(right));
        packed.prefetch(&asked);
        self.asked[number] = (asked, left);
    }

    /// What is left, where it is two tokens.
    fn last_two(&self) -> Option<(u32, u32)> {
        let right = usize::from(self.next[0]);
        (!self.stuck && self.next[right] == NONE).then(|| (self.ids[0], self.ids[right]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bpe::{Merge, byte_ids};

    /// Thousands of tokens of each length: all pairs of 40 letters, and what some of these make with one more.
    fn crowded() -> Vocab {
        let letters = 0xA0..0xC8_u8;
        let pairs: Vec<Vec<u8>> = letters.clone().flat_map(|a| letters.clone().map(move |b| vec![a, b])).collect();
        let longer = |tokens: &[Vec<u8>], step: usize| -> Vec<Vec<u8>> {
            let more = |token: &Vec<u8>| {
                letters.clone().step_by(step).map(|letter| [&token[..], &[letter]].concat()).collect()
            };
            tokens.iter().step_by(7).flat_map::<Vec<Vec<u8>>, _>(more).collect()
        };
        let of_three = longer(&pairs, 1);
        let of_four = longer(&of_three, 2);
        let long = vec![vec![0xA1; SHORT + 3], vec![0xA1; SHORT + 4]];
        let bytes = (0..=u8::MAX).map(|byte| vec![byte]);
        let tokens = bytes.chain(pairs).chain(of_three).chain(of_four).chain(long);
        Vocab::new((0..).zip(tokens).collect()).unwrap()
    }

    #[test]
    fn threads_that_take_shares_find_the_pairs_that_one_finds() {
        let (vocab, ids) = (crowded(), by_length(&crowded()));
        assert!(ids.len() > ENOUGH_FOR_THREADS);
        let filled = |shared| -> Vec<Merge> {
            let mut table = PairTable::empty(&vocab);
            let fill = || fill_by_length(&mut table, &vocab, &byte_ids(&vocab), &ids, shared);
            threads::pool().unwrap().install(fill);
            table.by_rank()
        };
        let alone = filled(false);
        assert!(alone.len() > ENOUGH_FOR_THREADS);
        assert_eq!(filled(true), alone);
        assert_eq!(PairTable::from_ranks(&vocab, &byte_ids(&vocab)).unwrap().by_rank(), alone);
    }
}
