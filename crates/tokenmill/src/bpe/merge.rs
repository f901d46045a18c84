//! Merging the tokens of one piece: always the pair of lowest rank, the leftmost of equals, until none merges.

use super::pairs::{NEVER, PairTable};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Up to this many tokens a scan for the minimum beats a heap (nearly all pieces: English words have 1 to 10 bytes).
const SCAN_LIMIT: usize = 64;

/// Buffers that outlive a piece.
#[derive(Debug, Default)]
pub(super) struct MergeBuffers {
    ranks: Vec<u32>,
    links: Vec<Link>,
    queue: BinaryHeap<Reverse<(u32, usize)>>,
}

/// Merges `tokens`, which are those of the single bytes of `piece`, in place.
pub(super) fn merge(pairs: &PairTable, piece: &[u8], tokens: &mut Vec<u32>, buffers: &mut MergeBuffers) {
    let ranks = &mut buffers.ranks;
    ranks.clear();
    ranks.extend(piece.windows(2).map(|pair| pairs.rank_of_bytes(pair[0], pair[1])));
    if tokens.len() <= SCAN_LIMIT {
        merge_by_scan(pairs, tokens, ranks);
    } else {
        merge_by_heap(pairs, tokens, buffers);
    }
}

/// O(n²) with a tiny constant. `ranks[i]` is that of tokens `i` and `i + 1`.
fn merge_by_scan(pairs: &PairTable, tokens: &mut Vec<u32>, ranks: &mut Vec<u32>) {
    loop {
        let mut best = (NEVER, 0);
        for (position, &rank) in ranks.iter().enumerate() {
            if rank < best.0 {
                best = (rank, position);
            }
        }
        let (rank, position) = best;
        if rank == NEVER {
            return;
        }
        tokens[position] = pairs.id(rank);
        tokens.remove(position + 1);
        ranks.remove(position);
        if position > 0 {
            ranks[position - 1] = pairs.rank(tokens[position - 1], tokens[position]);
        }
        if position < ranks.len() {
            ranks[position] = pairs.rank(tokens[position], tokens[position + 1]);
        }
    }
}

/// A token in a linked list over the places of the piece's first tokens.
#[derive(Debug, Clone, Copy)]
struct Link {
    previous: usize,
    next: usize,
    /// Of this token and the next; a queue entry counts only while it says the same.
    rank: u32,
}

/// No neighbour.
const END: usize = usize::MAX;

/// O(n log n) for any input: entries made stale by a merge stay in the queue and are skipped when they come up.
fn merge_by_heap(pairs: &PairTable, tokens: &mut Vec<u32>, buffers: &mut MergeBuffers) {
    let MergeBuffers { ranks, links, queue } = buffers;
    let count = tokens.len();
    links.clear();
    links.extend((0..count).map(|place| Link {
        previous: place.checked_sub(1).unwrap_or(END),
        next: if place + 1 < count { place + 1 } else { END },
        rank: ranks.get(place).copied().unwrap_or(NEVER),
    }));
    queue.clear();
    queue.extend(
        ranks.iter().enumerate().filter(|(_, rank)| **rank != NEVER).map(|(place, rank)| Reverse((*rank, place))),
    );
    while let Some(Reverse((rank, place))) = queue.pop() {
        if links[place].rank != rank {
            continue;
        }
        let Link { previous, next, .. } = links[place];
        tokens[place] = pairs.id(rank);
        let after = links[next].next;
        links[next].rank = NEVER;
        links[place].next = after;
        if after != END {
            links[after].previous = place;
        }
        links[place].rank = NEVER;
        for (left, right) in [(previous, place), (place, after)] {
            if left != END && right != END {
                let renewed = pairs.rank(tokens[left], tokens[right]);
                links[left].rank = renewed;
                if renewed != NEVER {
                    queue.push(Reverse((renewed, left)));
                }
            }
        }
    }
    let mut place = if count == 0 { END } else { 0 };
    let mut kept = 0;
    while place != END {
        tokens[kept] = tokens[place];
        kept += 1;
        place = links[place].next;
    }
    tokens.truncate(kept);
}

#[cfg(test)]
pub(super) mod tests_support {
    //! Both strategies on any length, for differential tests.
    use super::*;

    fn ranks(pairs: &PairTable, tokens: &[u32]) -> Vec<u32> {
        tokens.windows(2).map(|pair| pairs.rank(pair[0], pair[1])).collect()
    }

    pub(in crate::bpe) fn scan(pairs: &PairTable, tokens: &mut Vec<u32>) {
        let mut ranks = ranks(pairs, tokens);
        merge_by_scan(pairs, tokens, &mut ranks);
    }

    pub(in crate::bpe) fn heap(pairs: &PairTable, tokens: &mut Vec<u32>) {
        let ranks = ranks(pairs, tokens);
        merge_by_heap(pairs, tokens, &mut MergeBuffers { ranks, ..MergeBuffers::default() });
    }
}
