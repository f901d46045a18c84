//! The order of windows, epoch by epoch.

use super::layout::Layout;
use super::shuffle::{EpochOrder, Shuffle};
use crate::error::{Error, Result};

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

    /// The window numbers of samples that are numbered through all epochs: sample `i` of an epoch of `n` is
    /// `epoch * n + i`.
    pub fn at(&self, samples: &[u64]) -> Vec<u64> {
        let count = self.layout.count();
        let mut numbers = vec![0; samples.len()];
        let mut from = 0;
        // Samples next to each other are permuted side by side.
        for run in samples.chunk_by(|a, b| a.checked_add(1) == Some(*b) && a / count == b / count) {
            let to = from + run.len();
            self.order(run[0] / count).fill(run[0] % count, &mut numbers[from..to]);
            from = to;
        }
        numbers
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

    /// The order of an epoch.
    pub(super) fn order(&self, epoch: u64) -> EpochOrder {
        EpochOrder::new(self.shuffle, self.layout.count(), self.layout.stride(), self.seed, epoch, 0)
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
    fn samples_are_numbered_through_all_epochs() {
        let samples = [24, 25, 26, 7, 8, 3, 49, 50];
        let expected = samples.map(|sample| plan(true, 5).window(sample / 25, sample % 25).unwrap());
        assert_eq!(plan(true, 5).at(&samples), expected);
        assert!(plan(true, 5).at(&[]).is_empty());
        assert!(plan(true, 5).at(&[u64::MAX, 0])[0] < 25);
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
}
