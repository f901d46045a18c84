//! Merging the tokens of one piece: always the pair of lowest rank, the leftmost of equals, until none merges.

use super::pairs::{NEVER, PairTable};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Up to this many tokens a scan for the minimum beats a heap (nearly all pieces: English words have 1 to 10 bytes).
pub(super) const SCAN_LIMIT: usize = 64;
/// And nearly all pieces have no more than this.
const FEW: usize = 16;

/// Buffers that outlive a piece.
#[derive(Debug, Default)]
pub(super) struct MergeBuffers {
    ranks: Vec<u32>,
    links: Vec<Link>,
    queue: BinaryHeap<Reverse<(u32, usize)>>,
}

/// Merges `tokens`, which are those of the single bytes of `piece`, in place.
pub(super) fn merge(pairs: &PairTable, piece: &[u8], tokens: &mut Vec<u32>, buffers: &mut MergeBuffers) {
    let ranks = piece.windows(2).map(|pair| pairs.rank_of_bytes(pair[0], pair[1]));
    let small = pairs.ranks() <= MAX_RANKS;
    match tokens.len() {
        0 | 1 => {}
        2..=FEW if small => merge_by_scan::<FEW>(pairs, tokens, ranks),
        ..=SCAN_LIMIT if small => merge_by_scan::<SCAN_LIMIT>(pairs, tokens, ranks),
        _ => {
            buffers.ranks.clear();
            buffers.ranks.extend(ranks);
            merge_by_heap(pairs, tokens, buffers);
        }
    }
}

/// O(n²) with a tiny constant, for up to `N` tokens, of which `ranks` are those of each with the next. Nothing is moved,
/// and every scan for the minimum looks at `N` places, used or not: a loop whose end can be predicted.
fn merge_by_scan<const N: usize>(pairs: &PairTable, tokens: &mut Vec<u32>, ranks: impl Iterator<Item = u32>) {
    let count = tokens.len();
    let mut ids = [0; N];
    ids[..count].copy_from_slice(tokens);
    // Rank and place in one number: the smallest is the best rank, and of equals the leftmost. The last token has none,
    // nor has one that was merged into the token before it.
    let mut ranked = [NOTHING; N];
    for (place, (entry, rank)) in ranked.iter_mut().zip(ranks).enumerate() {
        *entry = rank_at::<N>(rank, place);
    }
    let (mut previous, mut next) = (PREVIOUS, NEXT);
    loop {
        let best = least(&ranked);
        if best == NOTHING {
            break;
        }
        let (rank, place) = (best as u32 / N as u32, best as usize % N);
        let merged = usize::from(next[place]);
        let after = usize::from(next[merged]);
        let token = pairs.id(rank);
        ids[place] = token;
        next[place] = after as u8;
        previous[after] = place as u8;
        ranked[merged % N] = NOTHING;
        ranked[place] = NOTHING;
        if after < count {
            ranked[place] = rank_at::<N>(pairs.rank(token, ids[after % N]), place);
        }
        if place > 0 {
            let before = usize::from(previous[place]) % N;
            ranked[before] = rank_at::<N>(pairs.rank(ids[before], token), before);
        }
    }
    tokens.clear();
    let mut place = 0;
    while place < count {
        tokens.push(ids[place]);
        place = usize::from(next[place]);
    }
}

const NOTHING: i32 = i32::MAX;

/// Ranks from here on would not fit beside a place of 6 bits. (No vocabulary has 33 million tokens.)
const MAX_RANKS: u64 = (i32::MAX as u64 + 1) / SCAN_LIMIT as u64 - 1;

#[inline(always)]
fn rank_at<const N: usize>(rank: u32, place: usize) -> i32 {
    // In range: ranks are below `MAX_RANKS`, places below `N`.
    if rank == NEVER { NOTHING } else { (rank as usize * N + place) as i32 }
}

/// Signed numbers in four strands, which becomes a comparison of four at a time even in SSE2.
#[inline(always)]
fn least<const N: usize>(ranked: &[i32; N]) -> i32 {
    let mut least = [NOTHING; 4];
    for four in ranked.chunks_exact(4) {
        for (least, &other) in least.iter_mut().zip(four) {
            *least = other.min(*least);
        }
    }
    least[0].min(least[1]).min(least[2].min(least[3]))
}

/// The neighbours of each place before anything has been merged.
const PREVIOUS: [u8; SCAN_LIMIT + 1] = {
    let mut previous = [0; SCAN_LIMIT + 1];
    let mut place = 1;
    while place <= SCAN_LIMIT {
        previous[place] = place as u8 - 1;
        place += 1;
    }
    previous
};
const NEXT: [u8; SCAN_LIMIT + 1] = {
    let mut next = [0; SCAN_LIMIT + 1];
    let mut place = 0;
    while place <= SCAN_LIMIT {
        next[place] = place as u8 + 1;
        place += 1;
    }
    next
};

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

    /// Both sizes where both can.
    pub(in crate::bpe) fn scan(pairs: &PairTable, tokens: &mut Vec<u32>) {
        let ranks = ranks(pairs, tokens);
        let mut few = (tokens.len() <= FEW).then(|| tokens.clone());
        merge_by_scan::<SCAN_LIMIT>(pairs, tokens, ranks.iter().copied());
        if let Some(few) = &mut few {
            merge_by_scan::<FEW>(pairs, few, ranks.into_iter());
            assert_eq!(few, tokens);
        }
    }

    pub(in crate::bpe) fn heap(pairs: &PairTable, tokens: &mut Vec<u32>) {
        let ranks = ranks(pairs, tokens);
        merge_by_heap(pairs, tokens, &mut MergeBuffers { ranks, ..MergeBuffers::default() });
    }
}
