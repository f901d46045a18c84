//! The order of windows, epoch by epoch, and how ranks share it.

use super::layout::Layout;
use super::shuffle::{EpochOrder, Shuffle};
use crate::error::{Error, Result};
use std::ops::Range;

/// Which window is sample `i` of an epoch: all of them once, in order or in an exact shuffle of all of them.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The windows, or rows of packed documents.
    pub layout: Layout,
    /// How an epoch is ordered.
    pub shuffle: Shuffle,
    /// Chooses the orders.
    pub seed: u64,
}

impl Plan {
    /// The window numbers of the samples `first .. first + count` of an epoch.
    ///
    /// # Errors
    /// The range passes the end of the epoch, or there is no memory for the answer.
    pub fn numbers(&self, epoch: u64, first: u64, count: u64) -> Result<Vec<u64>> {
        let samples = self.layout.count();
        if first.checked_add(count).is_none_or(|end| end > samples) {
            return Err(Error::value(format!(
                "{count} samples from number {first} on are not all in an epoch of {samples} windows"
            )));
        }
        let mut numbers = Vec::new();
        let size = usize::try_from(count).ok().filter(|&size| numbers.try_reserve_exact(size).is_ok());
        let Some(size) = size else {
            return Err(Error::value(format!("there is no memory for {count} window numbers; ask for fewer")));
        };
        numbers.resize(size, 0);
        self.order(epoch).fill(first, &mut numbers);
        Ok(numbers)
    }

    /// The window number of sample `i` of an epoch.
    ///
    /// # Errors
    /// `i` is past the end of the epoch.
    pub fn window(&self, epoch: u64, i: u64) -> Result<u64> {
        let samples = self.layout.count();
        if i >= samples {
            return Err(Error::value(format!("sample {i} is not in an epoch of {samples} windows, counted from 0")));
        }
        Ok(self.order(epoch).index(i))
    }

    fn order(&self, epoch: u64) -> EpochOrder {
        EpochOrder::new(self.shuffle, self.layout.count(), self.layout.stride(), self.seed, epoch, 0)
    }
}

/// How an epoch's samples become global batches, and those the rows of ranks.
///
/// A full global batch gives rank `r` its rows `r * batch_size ..`. A last, partial one is divided contiguously and
/// evenly (sizes differ by at most 1, the first ranks have the larger ones), so that every rank takes the same number of
/// steps; a rank may get no row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batches {
    samples: u64,
    batch_size: u64,
    world_size: u64,
    global: u64,
    drop_last: bool,
}

impl Batches {
    /// Batches of `batch_size` rows on each of `world_size` ranks, over epochs of `samples` samples.
    ///
    /// # Errors
    /// A number is 0, the global batch is too large for a `u64`, or `drop_last` would leave no batch at all.
    pub fn new(samples: u64, batch_size: u64, world_size: u64, drop_last: bool) -> Result<Batches> {
        for (name, value) in [("batch_size", batch_size), ("world_size", world_size)] {
            if value == 0 {
                return Err(Error::value(format!("{name}=0 is too small; it must be 1 or more")));
            }
        }
        let global = batch_size.checked_mul(world_size).ok_or_else(|| {
            Error::value(format!("batch_size={batch_size} times world_size={world_size} is larger than 2^64 - 1"))
        })?;
        if drop_last && samples < global {
            return Err(Error::value(format!(
                "an epoch of {samples} windows is smaller than one global batch of {global} (batch_size={batch_size} \
                 times world_size={world_size}), so drop_last=True leaves nothing; use a smaller batch_size, a smaller \
                 stride, more text, or drop_last=False"
            )));
        }
        Ok(Batches { samples, batch_size, world_size, global, drop_last })
    }

    /// Steps of a whole epoch, the same on every rank.
    pub fn steps_per_epoch(&self) -> u64 {
        if self.drop_last { self.samples / self.global } else { self.samples.div_ceil(self.global) }
    }

    /// The samples of the global batch that starts at sample `first` of an epoch; `None` where the epoch is over.
    pub fn global_batch(&self, first: u64) -> Option<Range<u64>> {
        let left = self.samples.checked_sub(first)?;
        let size = left.min(self.global);
        let over = size == 0 || (self.drop_last && size < self.global);
        (!over).then(|| first..first + size)
    }

    /// The part of a global batch that belongs to `rank`; no row for a rank that does not exist.
    pub fn rows(&self, batch: &Range<u64>, rank: u64) -> Range<u64> {
        let size = batch.end - batch.start;
        let (each, larger) =
            if size == self.global { (self.batch_size, 0) } else { (size / self.world_size, size % self.world_size) };
        let rank = rank.min(self.world_size);
        let start = batch.start + rank * each + rank.min(larger);
        let rows = each + u64::from(rank < larger);
        start..if rank < self.world_size { start + rows } else { start }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Tail, Windows};
    use super::*;

    fn plan(shuffled: bool, seed: u64) -> Plan {
        let shuffle = if shuffled { Shuffle::Full } else { Shuffle::Off };
        Plan { layout: Layout::Concat(Windows::new(103, 4, 4, Tail::Drop).unwrap()), shuffle, seed }
    }

    #[test]
    fn epochs_are_permutations_of_their_own() {
        let first = plan(true, 0).numbers(1, 0, 25).unwrap();
        let second = plan(true, 1).numbers(0, 0, 25).unwrap();
        assert_ne!(first, second);
        assert_eq!(plan(true, 0).window(1, 7).unwrap(), first[7]);
        assert_eq!(plan(true, 0).numbers(1, 7, 9).unwrap(), first[7..16]);
        for mut numbers in [first, second] {
            numbers.sort_unstable();
            assert!(numbers.iter().copied().eq(0..25));
        }
        assert_eq!(plan(false, 0).window(1, 7).unwrap(), 7);
    }

    #[test]
    fn ranges_past_the_end_are_refused() {
        for (first, count) in [(25, 1), (24, 2), (u64::MAX, 2), (26, 0), (0, u64::MAX)] {
            assert!(plan(true, 0).numbers(0, first, count).is_err());
        }
        assert!(plan(true, 0).numbers(0, 25, 0).is_ok() && plan(true, 0).window(0, 25).is_err());
        let mut windows = Vec::new();
        assert!(
            plan(true, 0).layout.get(24, &mut windows).is_ok() && plan(true, 0).layout.get(25, &mut windows).is_err()
        );
    }

    #[test]
    fn ranks_divide_each_global_batch() {
        for samples in 1..60 {
            for (batch_size, world_size) in [(1, 1), (4, 1), (3, 2), (2, 3), (5, 8), (1, 8)] {
                let batches = Batches::new(samples, batch_size, world_size, false).unwrap();
                let (mut first, mut steps) = (0, 0);
                while let Some(batch) = batches.global_batch(first) {
                    let mut next = batch.start;
                    let sizes: Vec<u64> = (0..world_size)
                        .map(|rank| {
                            let rows = batches.rows(&batch, rank);
                            assert_eq!(rows.start, next);
                            next = rows.end;
                            rows.end - rows.start
                        })
                        .collect();
                    assert_eq!(next, batch.end);
                    assert!(sizes.is_sorted_by(|a, b| a >= b) && sizes[0] - sizes[sizes.len() - 1] <= 1);
                    assert!(batches.rows(&batch, world_size).is_empty());
                    (first, steps) = (batch.end, steps + 1);
                }
                assert_eq!((first, steps), (samples, batches.steps_per_epoch()));
            }
        }
    }

    #[test]
    fn drop_last_ends_with_the_last_full_batch() {
        let batches = Batches::new(10, 2, 2, true).unwrap();
        assert_eq!(batches.steps_per_epoch(), 2);
        assert_eq!(batches.global_batch(4), Some(4..8));
        assert_eq!(batches.global_batch(8), None);
        assert_eq!(batches.global_batch(u64::MAX), None);
    }

    #[test]
    fn impossible_batches_are_refused() {
        for (batch_size, world_size) in [(0, 1), (1, 0), (u64::MAX, 2), (11, 1), (6, 2)] {
            assert!(Batches::new(10, batch_size, world_size, true).is_err());
        }
    }
}
