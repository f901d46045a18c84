//! Several sources mixed in exact proportions, as a function of the sample's number.
//!
//! The samples of a stage are divided into blocks of `P = 2^k`, the smallest such that every source has at least one place
//! in a block on average. With `W_s` the sum of the weights before source `s`, and `W` of all, source `s` has
//!
//! ```text
//! floor(m P W_{s+1} / W) - floor(m P W_s / W)
//! ```
//!
//! samples before block `m`: within one of its share. As its share of a block is at least 1, this never falls. In a block
//! the sources take intervals of the numbers below `P`, and place `r` goes to whoever has the number `reverse(r) ^ key`,
//! the `k` bits of `r` in reverse order and a key of the block's own. That spreads each source evenly over the block, and
//! lets one count in `k` steps how many places before `r` a source has. So everything here is computed from a sample's
//! number; nothing is drawn, and nothing is remembered.

use super::permute::permutation_key;
use super::shuffle::{EpochOrder, Shuffle};
use crate::error::{Error, Result};
use std::collections::HashMap;

/// The largest sum of weights: with samples below 2^63 their products fit 128 bits.
pub const MAX_WEIGHT: u64 = 1 << 62;

/// Blocks have at most 2^this samples, so a share is at least 2^-this.
const MAX_BITS: u32 = 40;

/// Samples are below this.
const END: u64 = 1 << 62;

/// What a mixture is made of.
#[derive(Debug, Clone)]
pub struct MixtureOptions {
    /// Rows of an epoch of each source.
    pub rows: Vec<u64>,
    /// After how many epochs each source is used up; `None`: never.
    pub max_epochs: Vec<Option<u64>>,
    /// From which sample on which weights hold, one for each source. The first begins at sample 0.
    pub stages: Vec<(u64, Vec<u64>)>,
    /// Whether the mixture ends when a source is used up; else the others go on without it.
    pub stop: bool,
    /// How an epoch of a source is ordered.
    pub shuffle: Shuffle,
    /// Tokens from the start of one row of a source to the next.
    pub stride: u64,
    /// Chooses the orders.
    pub seed: u64,
}

/// One sample: a row of one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// Which source.
    pub source: usize,
    /// The epoch of that source.
    pub epoch: u64,
    /// The row, or window, of that source.
    pub window: u64,
}

/// The order of the samples of several sources.
#[derive(Debug, Clone)]
pub struct Mixture {
    rows: Vec<u64>,
    stages: Vec<Stage>,
    /// How many samples there are, and the source that is used up then. `None`: no end.
    end: Option<(u64, usize)>,
    shuffle: Shuffle,
    stride: u64,
    seed: u64,
}

impl Mixture {
    /// Checks the options and finds when each source is used up.
    ///
    /// # Errors
    /// The lists have different lengths; a source has no rows; stages are not in order; the weights of a stage are all 0,
    /// too large, or one of them is less than 2^-40 of their sum.
    pub fn new(options: MixtureOptions) -> Result<Mixture> {
        let MixtureOptions { rows, max_epochs, stages, stop, shuffle, stride, seed } = options;
        check(&rows, &max_epochs, &stages)?;
        // The most samples of each source.
        let limits: Vec<u64> = rows
            .iter()
            .zip(&max_epochs)
            .map(|(&rows, epochs)| epochs.map_or(u64::MAX, |epochs| rows.saturating_mul(epochs)))
            .collect();
        let mut mixture = Mixture { rows, stages: Vec::new(), end: None, shuffle, stride, seed };
        let mut taken = vec![0; limits.len()];
        let mut used_up = vec![false; limits.len()];
        let mut last = 0;
        for (number, (first, weights)) in stages.iter().enumerate() {
            let mut first = *first;
            let end = stages.get(number + 1).map_or(END, |(next, _)| *next);
            while first < end {
                let left = weights.iter().zip(&used_up).map(|(&weight, &gone)| if gone { 0 } else { weight });
                let left: Vec<u64> = left.collect();
                if left.iter().all(|&weight| weight == 0) {
                    mixture.end = Some((first, last));
                    return Ok(mixture);
                }
                let key = permutation_key(seed, mixture.stages.len() as u64, u64::MAX);
                let stage = Stage::new(first, &left, taken, key[0] ^ key[1])?;
                let gone = stage.first_used_up(&limits, end - first);
                let length = gone.map_or(end - first, |(length, _)| length);
                taken = (0..limits.len()).map(|source| stage.taken(source, length)).collect();
                if length > 0 {
                    mixture.stages.push(stage);
                }
                first += length;
                if let Some((_, source)) = gone {
                    used_up[source] = true;
                    last = source;
                    if stop {
                        mixture.end = Some((first, last));
                        return Ok(mixture);
                    }
                }
            }
        }
        Ok(mixture)
    }

    /// How many samples there are; `None`: the mixture never ends.
    pub fn count(&self) -> Option<u64> {
        self.end.map(|(count, _)| count)
    }

    /// The source whose end is the mixture's.
    pub fn ended_by(&self) -> Option<usize> {
        self.end.map(|(_, source)| source)
    }

    /// How many of the samples before `sample` each source has.
    pub fn taken(&self, sample: u64) -> Vec<u64> {
        (0..self.rows.len()).map(|source| self.taken_by(source, sample)).collect()
    }

    /// How many of the samples before `sample` source `source` has.
    pub(super) fn taken_by(&self, source: usize, sample: u64) -> u64 {
        let sample = sample.min(self.count().unwrap_or(END));
        self.stage(sample).map_or(0, |stage| stage.taken(source, sample - stage.first))
    }

    /// Rows of an epoch of a source.
    pub(super) fn rows(&self, source: usize) -> u64 {
        self.rows[source]
    }

    /// The order of an epoch of a source.
    pub(super) fn order(&self, source: usize, epoch: u64) -> EpochOrder {
        EpochOrder::new(self.shuffle, self.rows[source], self.stride, self.seed, epoch, source as u64)
    }

    /// The rows of sources that samples are.
    ///
    /// # Errors
    /// One is past the end.
    pub fn at(&self, samples: &[u64]) -> Result<Vec<Sample>> {
        let end = self.count().unwrap_or(END);
        let mut orders = HashMap::new();
        let row = |&sample: &u64| {
            let stage = self.stage(sample).filter(|_| sample < end);
            let stage = stage.ok_or_else(|| {
                Error::value(format!("sample {sample} is not in a mixture of {end} samples, counted from 0"))
            })?;
            let (source, index) = stage.draw(sample - stage.first);
            let (epoch, row) = (index / self.rows[source], index % self.rows[source]);
            let order = orders.entry((source, epoch)).or_insert_with(|| self.order(source, epoch));
            Ok(Sample { source, epoch, window: order.index(row) })
        };
        samples.iter().map(row).collect()
    }

    /// The stage that `sample` is in, or the last.
    fn stage(&self, sample: u64) -> Option<&Stage> {
        let after = self.stages.partition_point(|stage| stage.first <= sample);
        self.stages.get(after.saturating_sub(1))
    }
}

fn check(rows: &[u64], max_epochs: &[Option<u64>], stages: &[(u64, Vec<u64>)]) -> Result<()> {
    let same = max_epochs.len() == rows.len() && stages.iter().all(|(_, weights)| weights.len() == rows.len());
    if !same || rows.is_empty() || rows.contains(&0) || max_epochs.contains(&Some(0)) {
        return Err(Error::value("a mixture needs sources with rows, and a weight and a limit above 0 for each"));
    }
    if stages.first().is_none_or(|(first, _)| *first != 0) || !stages.is_sorted_by(|a, b| a.0 < b.0) {
        return Err(Error::value("stages begin at sample 0, and each after the one before"));
    }
    if let Some((first, _)) =
        stages.iter().find(|(first, weights)| *first >= END || weights.iter().all(|&weight| weight == 0))
    {
        return Err(Error::value(format!(
            "the stage at sample {first} has no weight above 0, or begins at 2^62 or later"
        )));
    }
    Ok(())
}

/// Samples with the same weights.
#[derive(Debug, Clone)]
struct Stage {
    first: u64,
    /// The sum of the weights before each source, and at last of all.
    sums: Vec<u64>,
    bits: u32,
    key: u64,
    /// Samples of each source before this stage.
    before: Vec<u64>,
}

impl Stage {
    fn new(first: u64, weights: &[u64], before: Vec<u64>, key: u64) -> Result<Stage> {
        let mut sums = vec![0u64];
        for &weight in weights {
            let sum = sums[sums.len() - 1].checked_add(weight).filter(|&sum| sum <= MAX_WEIGHT);
            sums.push(sum.ok_or_else(|| Error::value("the weights of a stage add up to more than 2^62"))?);
        }
        let total = sums[weights.len()];
        let (source, least) = (0..)
            .zip(weights.iter().copied())
            .filter(|&(_, weight)| weight > 0)
            .min_by_key(|&(_, weight)| weight)
            .unwrap_or((0, 1));
        let bits = total.div_ceil(least).next_power_of_two().trailing_zeros();
        if bits > MAX_BITS {
            return Err(Error::value(format!(
                "the weight of source {source} is {least} of {total}, less than 2^-{MAX_BITS}; raise it or leave it out"
            )));
        }
        Ok(Stage { first, sums, bits, key, before })
    }

    /// floor(samples before block `block` times the weight before `source`).
    fn scaled(&self, source: usize, block: u64) -> u64 {
        let samples = u128::from(block) << self.bits;
        let total = u128::from(self.sums[self.sums.len() - 1]);
        // At most `samples`, which is below 2^63.
        u64::try_from(samples * u128::from(self.sums[source]) / total).unwrap_or(u64::MAX)
    }

    /// Where the numbers of `source` begin in block `block`.
    fn bound(&self, source: usize, block: u64) -> u64 {
        self.scaled(source, block + 1) - self.scaled(source, block)
    }

    /// The number of place `place` of block `block`.
    fn number(&self, place: u64, block: u64) -> u64 {
        if self.bits == 0 { 0 } else { (place.reverse_bits() >> (u64::BITS - self.bits)) ^ self.block_key(block) }
    }

    fn block_key(&self, block: u64) -> u64 {
        let mut x = self.key.wrapping_add(block.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x ^ (x >> 31)) & ((1 << self.bits) - 1)
    }

    /// How many of the places before `place` of block `block` have a number below `limit`.
    ///
    /// The places before `place` are, for each bit of it that is 1, those that agree with it above this bit, have a 0
    /// there and anything below. What is below are the high bits of the number: each value of them comes once, with the
    /// same low bits.
    fn below(&self, place: u64, block: u64, limit: u64) -> u64 {
        let mut count = 0;
        let mut ones = place;
        while ones != 0 {
            let free = ones.trailing_zeros();
            let bit = 1 << free;
            ones ^= bit;
            let low_bits = self.bits - free;
            // Of place, the bits above `free`; of its number, the low bits.
            let low = self.number(ones, block) & ((1 << low_bits) - 1);
            count += (limit >> low_bits) + u64::from(limit & ((1 << low_bits) - 1) > low);
        }
        count
    }

    /// Samples of `source` before the sample `place` of this stage, those of earlier stages included.
    fn taken(&self, source: usize, place: u64) -> u64 {
        let (block, place) = (place >> self.bits, place & ((1 << self.bits) - 1));
        let before = self.scaled(source + 1, block) - self.scaled(source, block);
        self.before[source] + before + self.in_block(source, block, place)
    }

    fn in_block(&self, source: usize, block: u64, place: u64) -> u64 {
        self.below(place, block, self.bound(source + 1, block)) - self.below(place, block, self.bound(source, block))
    }

    /// The source of sample `place` of this stage, and which of that source's samples it is.
    fn draw(&self, place: u64) -> (usize, u64) {
        let (block, inside) = (place >> self.bits, place & ((1 << self.bits) - 1));
        let number = self.number(inside, block);
        // The last source whose numbers begin at this one or before: those without numbers end where they begin.
        let (mut low, mut high) = (0, self.sums.len() - 1);
        while low + 1 < high {
            let middle = usize::midpoint(low, high);
            if self.bound(middle, block) <= number { low = middle } else { high = middle }
        }
        (low, self.taken(low, place))
    }

    /// The first sample, below `length`, that would be of a source that has reached its limit; and that source.
    fn first_used_up(&self, limits: &[u64], length: u64) -> Option<(u64, usize)> {
        let (mut first, mut found) = (length, None);
        for (source, &limit) in limits.iter().enumerate() {
            if limit == u64::MAX || self.sums[source] == self.sums[source + 1] || self.taken(source, first) <= limit {
                continue;
            }
            // The least number of samples among which are more than the limit; the last of them is too many.
            let (mut low, mut high) = (0, first);
            while low + 1 < high {
                let middle = u64::midpoint(low, high);
                if self.taken(source, middle) > limit { high = middle } else { low = middle }
            }
            (first, found) = (high - 1, Some((high - 1, source)));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::super::permute::Permutation;
    use super::*;
    use proptest::prelude::*;

    fn options(rows: &[u64], weights: &[u64]) -> MixtureOptions {
        MixtureOptions {
            rows: rows.to_vec(),
            max_epochs: vec![None; rows.len()],
            stages: vec![(0, weights.to_vec())],
            stop: false,
            shuffle: Shuffle::Full,
            stride: 1024,
            seed: 7,
        }
    }

    fn samples(mixture: &Mixture, first: u64, count: u64) -> Result<Vec<Sample>> {
        mixture.at(&(first..first + count).collect::<Vec<_>>())
    }

    fn sources(mixture: &Mixture, count: u64) -> Vec<usize> {
        samples(mixture, 0, count).unwrap().iter().map(|sample| sample.source).collect()
    }

    /// At each edge of a block, how far each source is from its share, times the sum of the weights.
    fn assert_exact(mixture: &Mixture, stage: usize, blocks: u64) {
        let stage = &mixture.stages[stage];
        let total = i128::from(stage.sums[stage.sums.len() - 1]);
        for block in (0..8).chain([blocks / 3, blocks - 1]) {
            let samples = block << stage.bits;
            let mut sum = 0;
            for source in 0..stage.before.len() {
                let weight = i128::from(stage.sums[source + 1] - stage.sums[source]);
                let taken = stage.taken(source, samples) - stage.before[source];
                sum += taken;
                let error = i128::from(taken) * total - i128::from(samples) * weight;
                assert!(error.abs() < total, "source {source} at sample {samples}: {error} / {total}");
            }
            assert_eq!(sum, samples);
        }
    }

    #[test]
    fn a_thousand_sources_and_weights_of_a_millionth_are_within_one_sample_at_each_block() {
        let mut weights: Vec<u64> = (0..1000).map(|i| i * i % 977 * 1000 + 1).collect();
        weights[3] += 1_000_000_000 - weights.iter().sum::<u64>();
        for (weights, bits) in
            [(weights, 30), (vec![1, 999_999], 20), (vec![5, 3, 2], 3), (vec![1; 7], 3), (vec![9], 0)]
        {
            let mixture = Mixture::new(options(&vec![1_000; weights.len()], &weights)).unwrap();
            assert_eq!(mixture.stages[0].bits, bits);
            assert_exact(&mixture, 0, 1 << 30);
        }
    }

    #[test]
    fn samples_of_a_source_come_one_by_one_in_its_own_order() {
        let weights = [7, 0, 2, 1, 30];
        let mixture = Mixture::new(options(&[10, 10, 3, 1, 100], &weights)).unwrap();
        let mut taken = [0u64; 5];
        for (number, sample) in (0..).zip(samples(&mixture, 0, 5_000).unwrap()) {
            assert_eq!(mixture.taken(number), taken);
            let (n, rows) = (&mut taken[sample.source], mixture.rows[sample.source]);
            let order = Permutation::new(rows, permutation_key(7, *n / rows, sample.source as u64));
            assert_eq!((sample.epoch, sample.window), (*n / rows, order.index(*n % rows)));
            *n += 1;
        }
        assert_eq!(taken[1], 0);
        // Inside blocks, too, a source is never far from its share.
        for (source, &weight) in weights.iter().enumerate() {
            assert!(taken[source].abs_diff(5_000 * weight / 40) <= 6);
        }
    }

    proptest! {
        #[test]
        fn any_sample_is_the_same_whatever_is_asked_for(
            weights in prop::collection::vec(0u64..50, 1..9), first in 0u64..3000, count in 0u64..50,
        ) {
            prop_assume!(weights.iter().any(|&weight| weight > 0));
            let mixture = Mixture::new(options(&vec![13; weights.len()], &weights)).unwrap();
            let all = samples(&mixture, 0, 3050).unwrap();
            let (from, to) = (first as usize, (first + count) as usize);
            prop_assert_eq!(samples(&mixture, first, count).unwrap(), &all[from..to]);
            assert_exact(&mixture, 0, 50);
        }

        #[test]
        fn a_source_is_used_to_its_last_row_and_never_beyond(
            given in prop::collection::vec((1u64..60, 0u64..20, prop::option::of(1u64..4)), 1..6), stop: bool, change in 1u64..200,
        ) {
            let (rows, weights): (Vec<u64>, Vec<u64>) = given.iter().map(|&(rows, weight, _)| (rows, weight)).unzip();
            let max_epochs: Vec<_> = given.iter().map(|&(_, _, epochs)| epochs).collect();
            prop_assume!(weights.iter().any(|&weight| weight > 0));
            let mut reversed = weights.clone();
            reversed.reverse();
            let stages = vec![(0, weights), (change, reversed)];
            let mixture = Mixture::new(MixtureOptions { max_epochs: max_epochs.clone(), stages, stop, ..options(&rows, &[]) }).unwrap();
            let count = mixture.count().unwrap_or(END).min(2000);
            let mut seen = vec![0u64; rows.len()];
            for sample in samples(&mixture, 0, count).unwrap() {
                prop_assert_eq!(sample.epoch, seen[sample.source] / rows[sample.source]);
                seen[sample.source] += 1;
            }
            prop_assert_eq!(mixture.taken(count), seen.clone());
            let full = |source: usize| max_epochs[source].is_some_and(|epochs| seen[source] == epochs * rows[source]);
            for source in 0..rows.len() {
                prop_assert!(max_epochs[source].is_none_or(|epochs| seen[source] <= epochs * rows[source]));
            }
            if let (Some(source), true) = (mixture.ended_by(), mixture.count() == Some(count)) {
                prop_assert!(full(source));
                prop_assert!(samples(&mixture, 0, count + 1).is_err());
            }
        }
    }

    #[test]
    fn a_stage_goes_on_where_the_one_before_ended() {
        let mut options = options(&[1000, 1000, 1000], &[1, 1, 0]);
        let alone = Mixture::new(options.clone()).unwrap();
        options.stages.push((777, vec![1, 2, 5]));
        let mixture = Mixture::new(options).unwrap();
        assert_eq!(sources(&alone, 777), sources(&mixture, 777));
        assert_exact(&mixture, 1, 1 << 20);
        let mut rows: Vec<_> =
            samples(&mixture, 0, 1600).unwrap().iter().map(|s| (s.source, s.epoch, s.window)).collect();
        rows.sort_unstable();
        rows.dedup();
        assert_eq!(rows.len(), 1600);
    }

    #[test]
    fn what_cannot_be_mixed_is_refused() {
        let good = options(&[5, 5], &[1, 1]);
        for bad in [
            MixtureOptions { rows: vec![5, 0], ..good.clone() },
            MixtureOptions { rows: vec![5], ..good.clone() },
            MixtureOptions { rows: vec![], max_epochs: vec![], stages: vec![(0, vec![])], ..good.clone() },
            MixtureOptions { stages: vec![], ..good.clone() },
            MixtureOptions { stages: vec![(1, vec![1, 1])], ..good.clone() },
            MixtureOptions { stages: vec![(0, vec![1, 1]), (0, vec![1, 1])], ..good.clone() },
            MixtureOptions { stages: vec![(0, vec![0, 0])], ..good.clone() },
            MixtureOptions { stages: vec![(0, vec![MAX_WEIGHT, 1])], ..good.clone() },
            MixtureOptions { stages: vec![(0, vec![1 << 41, 1])], ..good.clone() },
            MixtureOptions { max_epochs: vec![Some(0), None], ..good.clone() },
        ] {
            assert!(Mixture::new(bad).is_err());
        }
        assert!(Mixture::new(good).unwrap().at(&[u64::MAX]).is_err());
    }
}
