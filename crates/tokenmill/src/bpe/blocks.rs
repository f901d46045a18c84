//! Merging long pieces: ranks in blocks, each with its least.
//!
//! ```text
//! least       5              3        ...      the best pair of all is the least of these; what it makes changes three
//! ranks   7 5 9 - 8 ...   - 3 - 6 ...          ranks at most, so three blocks are looked through again
//! ```
//!
//! A heap has fewer comparisons, but a branch on each, half of which are guessed wrong.

use super::pairs::{NEVER, PairTable};
use crate::level::Level;

/// So many ranks, a power of two.
const BLOCK: usize = 16;

/// Rank and place in one number: the smallest is the best rank, and of equals the leftmost.
type Ranked = u64;

/// A place without a pair that merges.
const NOTHING: Ranked = u64::MAX;

/// No neighbour.
const END: u32 = u32::MAX;

/// What merging a piece takes.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    /// By the place of a pair's left token, filled up to whole blocks.
    ranked: Vec<Ranked>,
    /// Of each block, filled up to whole blocks.
    least: Vec<Ranked>,
    /// The neighbours of a token: places, which are those of the first tokens.
    previous: Vec<u32>,
    next: Vec<u32>,
}

impl Blocks {
    /// Merges `tokens`, of which there are fewer than 2^32; `ranks` are those of each with the next.
    pub(super) fn merge(&mut self, tokens: &mut Vec<u32>, ranks: &[u32], pairs: &PairTable) {
        self.merge_at(Level::best(), tokens, ranks, pairs);
    }

    fn merge_at(&mut self, level: Level, tokens: &mut Vec<u32>, ranks: &[u32], pairs: &PairTable) {
        match level {
            // SAFETY: only processors with these instructions have these levels.
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 | Level::Avx512 => unsafe { self.merge_avx2(tokens, ranks, pairs) },
            _ => self.merge_blocks(tokens, ranks, pairs),
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    fn merge_avx2(&mut self, tokens: &mut Vec<u32>, ranks: &[u32], pairs: &PairTable) {
        self.merge_blocks(tokens, ranks, pairs);
    }

    #[inline(always)]
    fn merge_blocks(&mut self, tokens: &mut Vec<u32>, ranks: &[u32], pairs: &PairTable) {
        self.start(tokens.len(), ranks);
        loop {
            let best = self.least.chunks_exact(BLOCK).map(least).fold(NOTHING, Ranked::min);
            if best == NOTHING {
                break;
            }
            #[expect(clippy::cast_possible_truncation, reason = "`ranked` reversed")]
            let (rank, place) = ((best >> 32) as u32, best as u32);
            let (left, right) = (self.previous[place as usize], self.next[place as usize]);
            let after = self.next[right as usize];
            tokens[place as usize] = pairs.id(rank);
            self.next[place as usize] = after;
            if after != END {
                self.previous[after as usize] = place;
            }
            let rank_of = |left: u32, right: u32| match left.max(right) {
                END => NEVER,
                _ => pairs.rank(tokens[left as usize], tokens[right as usize]),
            };
            let (before, behind) = (rank_of(left, place), rank_of(place, after));
            self.set(right, NEVER);
            self.set(place, behind);
            if left != END {
                self.set(left, before);
                self.renew(left);
            }
            self.renew(place);
            self.renew(right);
        }
        self.keep_first_of_each(tokens);
    }

    #[expect(clippy::cast_possible_truncation, reason = "fewer than 2^32")]
    fn start(&mut self, count: usize, ranks: &[u32]) {
        self.ranked.clear();
        self.ranked.extend((0..).zip(ranks).map(|(place, &rank)| ranked(rank, place)));
        self.ranked.resize(count.next_multiple_of(BLOCK), NOTHING);
        self.least.clear();
        self.least.extend(self.ranked.chunks_exact(BLOCK).map(least));
        self.least.resize(self.least.len().next_multiple_of(BLOCK), NOTHING);
        self.previous.clear();
        self.previous.extend((0..count as u32).map(|place| place.wrapping_sub(1)));
        self.next.clear();
        self.next.extend(1..=count as u32);
        if let Some(last) = self.next.last_mut() {
            *last = END;
        }
    }

    #[inline(always)]
    fn set(&mut self, place: u32, rank: u32) {
        self.ranked[place as usize] = ranked(rank, place);
    }

    /// Looks through the block of a place.
    #[inline(always)]
    fn renew(&mut self, place: u32) {
        let block = place as usize / BLOCK;
        self.least[block] = least(&self.ranked[block * BLOCK..][..BLOCK]);
    }

    /// Leaves what the list goes through.
    fn keep_first_of_each(&self, tokens: &mut Vec<u32>) {
        let (mut place, mut kept) = (0, 0);
        while let Some(&next) = self.next.get(place as usize) {
            tokens[kept] = tokens[place as usize];
            kept += 1;
            place = next;
        }
        tokens.truncate(kept);
    }
}

#[inline(always)]
fn ranked(rank: u32, place: u32) -> Ranked {
    if rank == NEVER { NOTHING } else { u64::from(rank) << 32 | u64::from(place) }
}

/// Of a block, in four strands.
#[inline(always)]
fn least(block: &[Ranked]) -> Ranked {
    let mut least = [NOTHING; 4];
    for four in block.chunks_exact(4) {
        for (least, &other) in least.iter_mut().zip(four) {
            *least = other.min(*least);
        }
    }
    least[0].min(least[1]).min(least[2].min(least[3]))
}

#[cfg(test)]
pub(super) mod tests_support {
    //! All ways, for differential tests.
    use super::*;

    /// What `tokens` merge to by each way that this processor has.
    pub(in crate::bpe) fn blocks(pairs: &PairTable, tokens: &[u32], ranks: &[u32]) -> Vec<Vec<u32>> {
        let at = |level: &Level| {
            let mut tokens = tokens.to_vec();
            Blocks::default().merge_at(*level, &mut tokens, ranks, pairs);
            tokens
        };
        Level::available().iter().map(at).collect()
    }
}
