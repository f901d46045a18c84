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
use super::growing::Growing;
use super::in_turn::{Pieces, merge_in_turn};
use super::merge::{MergeBuffers, Scan, merge};
use super::pairs::{Lookup, PairTable};
use crate::error::Result;
use crate::threads;
use crate::vocab::Vocab;
use rayon::prelude::*;

/// Puts into `table`, which is empty, the one pair of each token that merges make of single bytes. The pairs of tokens of
/// one length depend on shorter ones alone: a large vocabulary's are looked for by several threads. Gives whether every token
/// has its pair.
pub(super) fn fill(table: &mut PairTable, vocab: &Vocab, byte_ids: &ByteIds) -> Result<bool> {
    let ids = by_length(vocab);
    if ids.len() < ENOUGH_FOR_THREADS {
        return Ok(fill_by_length(table, vocab, byte_ids, &ids, false));
    }
    threads::briefly(|shared| fill_by_length(table, vocab, byte_ids, &ids, shared))
}

/// Some 2 ms of work, twenty times what starting the threads takes.
const ENOUGH_FOR_THREADS: usize = 10_000;

/// Of tokens of one length one thread takes so many at least.
const SHARE: usize = 1024;

/// `shared`: in a pool, whose threads take shares.
fn fill_by_length(table: &mut PairTable, vocab: &Vocab, byte_ids: &ByteIds, ids: &[u32], shared: bool) -> bool {
    let bytes = |id: u32| vocab.bytes(id).unwrap_or_default();
    let (mut pairs, mut all) = (Vec::new(), true);
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
        for (number, (pair, id)) in pairs.iter().zip(same_length).enumerate() {
            if let (Some(growing), Some(Some((left, right)))) = (table.growing(), pairs.get(number + AHEAD)) {
                growing.seek(*left, *right);
            }
            match *pair {
                Some((left, right)) => table.insert(left, right, *id, bytes(*id)),
                None => all = false,
            }
        }
    }
    all
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
        match table.growing() {
            Some(growing) if length < 16 => self.merge_side_by_side::<16>(growing, ids, pairs),
            Some(growing) if length < LONG => self.merge_side_by_side::<LONG>(growing, ids, pairs),
            _ => {
                let mut buffers = (Vec::new(), MergeBuffers::default());
                for (pair, id) in pairs.iter_mut().zip(ids) {
                    *pair = last_two(table, bytes(*id), byte_ids, &mut buffers);
                }
            }
        }
    }

    /// Of tokens of less than `N` bytes. No pair of theirs is in the table yet, so merging leaves two tokens of each, or more.
    fn merge_side_by_side<const N: usize>(&self, growing: &Growing, ids: &[u32], pairs: &mut [Option<(u32, u32)>]) {
        let mut tokens = SameLength { vocab: self.vocab, ids, at: 0, pairs };
        merge_in_turn::<N>(&mut tokens, growing, self.table, self.byte_ids);
    }
}

/// Tokens of one length, and the pairs that they are made of.
struct SameLength<'a> {
    vocab: &'a Vocab,
    ids: &'a [u32],
    at: usize,
    pairs: &'a mut [Option<(u32, u32)>],
}

impl<const N: usize> Pieces<N> for SameLength<'_> {
    #[inline(always)]
    fn count(&self) -> usize {
        self.ids.len()
    }

    #[inline(always)]
    fn next(&mut self) -> Option<(usize, [u8; N], usize)> {
        let number = self.at;
        let token = self.vocab.bytes(*self.ids.get(number)?).unwrap_or_default();
        self.at += 1;
        if let Some(later) = self.ids.get(number + AHEAD) {
            self.vocab.prefetch_bytes(*later);
        }
        let mut bytes = [0; N];
        bytes[..token.len()].copy_from_slice(token);
        Some((number, bytes, token.len()))
    }

    #[inline(always)]
    fn done(&mut self, number: usize, scan: &Scan<N>) {
        let ([left, right, ..], count) = scan.first_four();
        self.pairs[number] = (count == 2).then_some((left, right));
    }
}

/// Ids of tokens of two bytes and more, the shortest first. Of ids with the same bytes only the smallest: no other is ever
/// made.
fn by_length(vocab: &Vocab) -> Vec<u32> {
    let repeats = vocab.has_repeats();
    let tokens = || vocab.iter().filter(|(id, bytes)| bytes.len() > 1 && (!repeats || vocab.id(bytes) == Some(*id)));
    // Counting sort. All of `LONG` bytes and more count as one length; these few are sorted by comparison.
    let bucket = |bytes: &[u8]| bytes.len().min(LONG);
    let mut starts = [0; LONG + 2];
    for (_, bytes) in tokens() {
        starts[bucket(bytes) + 1] += 1;
    }
    for length in 0..=LONG {
        starts[length + 1] += starts[length];
    }
    let mut sorted = vec![0; starts[LONG + 1]];
    for (id, bytes) in tokens() {
        let place = &mut starts[bucket(bytes)];
        sorted[*place] = id;
        *place += 1;
    }
    // Where the shorter ones end.
    sorted[starts[LONG - 1]..].sort_by_key(|id| vocab.bytes(*id).map_or(0, <[u8]>::len));
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

/// The bytes of a token are asked for so many before it.
const AHEAD: usize = 16;

/// Tokens of so many bytes and more are merged one after the other.
const LONG: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bpe::Merge;

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
        let long = vec![vec![0xA1; LONG - 1], vec![0xA1; LONG + 2], vec![0xA1; LONG + 3]];
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
            let fill = || fill_by_length(&mut table, &vocab, &ByteIds::of(&vocab), &ids, shared);
            threads::pool().unwrap().install(fill);
            table.by_rank()
        };
        let alone = filled(false);
        assert!(alone.len() > ENOUGH_FOR_THREADS);
        assert_eq!(filled(true), alone);
        assert_eq!(PairTable::from_ranks(&vocab, &ByteIds::of(&vocab)).unwrap().by_rank(), alone);
    }
}
