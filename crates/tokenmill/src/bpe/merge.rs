//! Merging the tokens of one piece: always the pair of lowest rank, the leftmost of equals, until none merges.

use super::pairs::{PairTable, Target};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Up to this many tokens a scan for the minimum beats a heap (nearly all pieces: English words have 1 to 10 bytes).
const SCAN_LIMIT: usize = 64;

/// Buffers that outlive a piece.
#[derive(Debug, Default)]
pub(super) struct MergeBuffers {
    targets: Vec<Target>,
    links: Vec<Link>,
    queue: BinaryHeap<Reverse<(Target, usize)>>,
}

/// Merges `tokens` in place.
pub(super) fn merge(pairs: &PairTable, tokens: &mut Vec<u32>, buffers: &mut MergeBuffers) {
    if tokens.len() <= SCAN_LIMIT {
        merge_by_scan(pairs, tokens, &mut buffers.targets);
    } else {
        merge_by_heap(pairs, tokens, buffers);
    }
}

/// O(n²) with a tiny constant. `targets[i]` is what tokens `i` and `i + 1` become.
fn merge_by_scan(pairs: &PairTable, tokens: &mut Vec<u32>, targets: &mut Vec<Target>) {
    targets.clear();
    targets.extend(tokens.windows(2).map(|pair| pairs.target(pair[0], pair[1])));
    loop {
        let mut best = (Target::NONE, 0);
        for (position, &target) in targets.iter().enumerate() {
            if target < best.0 {
                best = (target, position);
            }
        }
        let (target, position) = best;
        if target == Target::NONE {
            return;
        }
        tokens[position] = target.id();
        tokens.remove(position + 1);
        targets.remove(position);
        if position > 0 {
            targets[position - 1] = pairs.target(tokens[position - 1], tokens[position]);
        }
        if position < targets.len() {
            targets[position] = pairs.target(tokens[position], tokens[position + 1]);
        }
    }
}

/// A token in a linked list over the places of the piece's first tokens.
#[derive(Debug, Clone, Copy)]
struct Link {
    previous: usize,
    next: usize,
    /// What this token and the next become; a queue entry counts only while it says the same.
    target: Target,
}

/// No neighbour.
const END: usize = usize::MAX;

/// O(n log n) for any input: entries made stale by a merge stay in the queue and are skipped when they come up.
fn merge_by_heap(pairs: &PairTable, tokens: &mut Vec<u32>, buffers: &mut MergeBuffers) {
    let MergeBuffers { links, queue, .. } = buffers;
    let count = tokens.len();
    links.clear();
    links.extend((0..count).map(|place| Link {
        previous: place.checked_sub(1).unwrap_or(END),
        next: if place + 1 < count { place + 1 } else { END },
        target: if place + 1 < count { pairs.target(tokens[place], tokens[place + 1]) } else { Target::NONE },
    }));
    queue.clear();
    queue.extend(
        links
            .iter()
            .enumerate()
            .filter(|(_, link)| link.target != Target::NONE)
            .map(|(place, link)| Reverse((link.target, place))),
    );
    while let Some(Reverse((target, place))) = queue.pop() {
        if links[place].target != target {
            continue;
        }
        let Link { previous, next, .. } = links[place];
        tokens[place] = target.id();
        let after = links[next].next;
        links[next].target = Target::NONE;
        links[place].next = after;
        if after != END {
            links[after].previous = place;
        }
        links[place].target = Target::NONE;
        for (left, right) in [(previous, place), (place, after)] {
            if left != END && right != END {
                let renewed = pairs.target(tokens[left], tokens[right]);
                links[left].target = renewed;
                if renewed != Target::NONE {
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

    pub(in crate::bpe) fn scan(pairs: &PairTable, tokens: &mut Vec<u32>) {
        merge_by_scan(pairs, tokens, &mut Vec::new());
    }

    pub(in crate::bpe) fn heap(pairs: &PairTable, tokens: &mut Vec<u32>) {
        merge_by_heap(pairs, tokens, &mut MergeBuffers::default());
    }
}
