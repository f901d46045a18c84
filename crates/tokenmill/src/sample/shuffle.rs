//! The order of an epoch: as it lies, an exact shuffle of all, or one that reads long stretches.

use super::permute::{Permutation, permutation_key};
use crate::error::{Error, Result};
use std::str::FromStr;

/// Tokens of a stretch that is read as it lies: 2 MB of two-byte ids, some 20 ms of a spinning disk or an object store.
const BLOCK_TOKENS: u64 = 1 << 20;

/// Blocks whose rows are shuffled together: 128 MB.
const GROUP: u64 = 64;

/// How the rows of an epoch are ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shuffle {
    /// As they lie.
    Off,
    /// Any row may come next.
    Full,
    /// Blocks of neighbouring rows in random order, and within each 64 of them the rows.
    Block,
}

impl Shuffle {
    /// How many tokens, counted from the first of all, are read together, as all of them are wanted soon: 1 where they are not.
    pub fn stretch(self) -> u64 {
        if self == Shuffle::Block { BLOCK_TOKENS } else { 1 }
    }
}

impl FromStr for Shuffle {
    type Err = Error;

    fn from_str(text: &str) -> Result<Shuffle> {
        match text {
            "off" => Ok(Shuffle::Off),
            "full" => Ok(Shuffle::Full),
            "block" => Ok(Shuffle::Block),
            _ => Err(Error::value(format!("shuffle={text:?} is unknown; choose \"off\", \"full\" or \"block\""))),
        }
    }
}

/// The order of one epoch of one source, a bijection of the numbers of its rows.
#[derive(Debug, Clone)]
pub(super) enum EpochOrder {
    Off,
    Full(Permutation),
    Block(Blocks),
}

impl EpochOrder {
    /// The order of `rows` rows, a new one begun every `stride` tokens or so.
    pub(super) fn new(shuffle: Shuffle, rows: u64, stride: u64, seed: u64, epoch: u64, source: u64) -> EpochOrder {
        let key = permutation_key(seed, epoch, source);
        match shuffle {
            Shuffle::Off => EpochOrder::Off,
            Shuffle::Full => EpochOrder::Full(Permutation::new(rows, key)),
            Shuffle::Block => EpochOrder::Block(Blocks::new(rows, (BLOCK_TOKENS / stride.max(1)).max(1), GROUP, key)),
        }
    }

    /// Which row comes at place `i`, which must be below their number.
    pub(super) fn index(&self, i: u64) -> u64 {
        let mut row = [0];
        self.fill(i, &mut row);
        row[0]
    }

    /// Fills `out` with the rows at the places from `first` on, all of them below the number of rows.
    pub(super) fn fill(&self, first: u64, out: &mut [u64]) {
        match self {
            EpochOrder::Off => out.iter_mut().zip(first..).for_each(|(row, place)| *row = place),
            EpochOrder::Full(permutation) => permutation.fill(first, out),
            EpochOrder::Block(blocks) => blocks.fill(first, out),
        }
    }
}

/// Rows in blocks of neighbours. The blocks are put in random order, the last one, which may be shorter, among them; then
/// the rows of each group of them change places.
#[derive(Debug, Clone)]
pub(super) struct Blocks {
    rows: u64,
    block: u64,
    /// Places of a group, but for the last. The short block shifts what comes after it, so that a group may begin and end
    /// inside a block.
    group: u64,
    order: Permutation,
    /// Which place among the blocks the last one has.
    short_at: u64,
    key: [u64; 2],
}

impl Blocks {
    /// At least one row, in blocks of at least one.
    fn new(rows: u64, block: u64, group: u64, key: [u64; 2]) -> Blocks {
        let count = rows.div_ceil(block);
        let order = Permutation::new(count, key);
        let short_at = order.place_of(count.saturating_sub(1));
        Blocks { rows, block, group: group * block, order, short_at, key }
    }

    fn fill(&self, mut first: u64, mut out: &mut [u64]) {
        while !out.is_empty() {
            let start = first - first % self.group;
            let size = self.rows.saturating_sub(start).min(self.group);
            // A key of its own, and another than that of the blocks.
            let key = [self.key[0].wrapping_add(first / self.group + 1), self.key[1]];
            let left = usize::try_from((start + size).saturating_sub(first)).unwrap_or(out.len());
            let (now, later) = out.split_at_mut(left.clamp(1, out.len()));
            Permutation::new(size, key).fill(first - start, now);
            for row in now.iter_mut() {
                *row = self.in_block_order(start + *row);
            }
            first += now.len() as u64;
            out = later;
        }
    }

    /// The row at a place, before rows change places within their group.
    fn in_block_order(&self, place: u64) -> u64 {
        let last = self.order.len().saturating_sub(1);
        let (before, short) = (self.short_at * self.block, self.rows - last * self.block);
        let block_at =
            |blocks: u64, place: u64| self.order.index(blocks + place / self.block) * self.block + place % self.block;
        if place < before {
            block_at(0, place)
        } else if place < before + short {
            last * self.block + (place - before)
        } else {
            block_at(self.short_at + 1, place - before - short)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(rows: u64, block: u64, group: u64) -> Vec<u64> {
        let blocks = Blocks::new(rows, block, group, permutation_key(rows, block, group));
        let mut out = vec![0; usize::try_from(rows).unwrap()];
        blocks.fill(0, &mut out);
        for first in [0, rows / 3, rows - 1] {
            let mut part = vec![0; usize::try_from((rows - first).min(50)).unwrap()];
            blocks.fill(first, &mut part);
            assert!(out[usize::try_from(first).unwrap()..].starts_with(&part));
        }
        out
    }

    #[test]
    fn each_row_comes_once() {
        for (n, block, group) in (1..60).flat_map(|n| (1..9).flat_map(move |b| [1, 2, 5].map(|g| (n, b, g)))) {
            let mut all = rows(n, block, group);
            all.sort_unstable();
            assert!(all.into_iter().eq(0..n), "{n} {block} {group}");
        }
    }

    #[test]
    fn a_group_reads_its_blocks_only() {
        let all = rows(1000, 10, 4);
        assert_ne!(all[..40], rows(1000, 10, 4)[40..80]);
        for group in all.chunks(40) {
            let mut blocks: Vec<u64> = group.iter().map(|row| row / 10).collect();
            blocks.sort_unstable();
            blocks.dedup();
            assert_eq!(blocks.len(), 4);
            assert!(!group.is_sorted());
        }
        let first: Vec<u64> = all.chunks(40).map(|group| group[0] / 10).collect();
        assert!(!first.is_sorted());
    }

    #[test]
    fn the_largest_numbers_do_not_wrap() {
        for (rows, block) in [(1 << 62, 1 << 20), ((1 << 62) - 5, 1 << 20), (1 << 62, 1), ((1 << 40) + 1, 1 << 39)] {
            let blocks = Blocks::new(rows, block, GROUP, [1, 2]);
            let mut out = [0; 100];
            for first in [0, blocks.short_at * block, rows - 100] {
                blocks.fill(first.min(rows - 100), &mut out);
                assert!(out.iter().all(|&row| row < rows));
            }
        }
    }

    #[test]
    fn one_block_is_shuffled_within() {
        let EpochOrder::Block(blocks) = EpochOrder::new(Shuffle::Block, 500, 1024, 0, 0, 0) else { unreachable!() };
        assert_eq!(blocks.block, 1024);
        let mut all = [0; 500];
        blocks.fill(0, &mut all);
        assert!(!all.is_sorted() && all[77] == EpochOrder::Block(blocks).index(77));
    }
}
