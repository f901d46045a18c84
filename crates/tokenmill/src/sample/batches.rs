//! How the sequence of all samples becomes batches, and how ranks share them.
//!
//! Samples are numbered through, epoch after epoch. Batches are cut from those that are kept: with `c(g)`, the number of
//! samples before `g` that are kept, a batch is an interval of values of `c`, and `c` and its inverse are found by bisection.
//! So skipping costs nothing that grows with what is skipped, and a sample's number is the same with and without it.

use crate::error::{Error, Result};
use std::ops::Range;

/// Parts of the sequence that no batch crosses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sections {
    /// Epochs of so many samples, without end.
    Epochs(u64),
    /// Stages: where each begins, the first at 0, and where the last ends.
    Stages(Vec<u64>, u64),
}

impl Sections {
    /// Samples of the shortest section.
    fn shortest(&self) -> Result<u64> {
        let shortest = match self {
            Sections::Epochs(samples) => *samples,
            Sections::Stages(starts, end) => {
                let bounds: Vec<u64> = starts.iter().copied().chain([*end]).collect();
                if bounds[0] != 0 || !bounds.is_sorted() {
                    return Err(Error::value("stages begin at sample 0, and each after the one before"));
                }
                bounds.windows(2).map(|pair| pair[1] - pair[0]).min().unwrap_or(0)
            }
        };
        if shortest == 0 { Err(Error::value("there is no sample in an epoch or stage")) } else { Ok(shortest) }
    }

    /// The samples of section `number`; `None` where there is no such section, or its numbers pass 2^64.
    fn get(&self, number: u64) -> Option<Range<u64>> {
        match self {
            Sections::Epochs(samples) => {
                let start = number.checked_mul(*samples)?;
                Some(start..start.checked_add(*samples)?)
            }
            Sections::Stages(starts, end) => {
                let number = usize::try_from(number).ok()?;
                let start = *starts.get(number)?;
                Some(start..starts.get(number + 1).copied().unwrap_or(*end))
            }
        }
    }

    /// The section that a sample is in.
    fn at(&self, sample: u64) -> Option<(u64, Range<u64>)> {
        let number = match self {
            Sections::Epochs(samples) => sample / samples,
            Sections::Stages(starts, _) => starts.partition_point(|&start| start <= sample) as u64 - 1,
        };
        self.get(number).filter(|section| section.contains(&sample)).map(|section| (number, section))
    }
}

/// One batch, as one rank sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The epoch, or stage.
    pub section: u64,
    /// Counted from the beginning of the sequence.
    pub number: u64,
    /// The first sample of all ranks.
    pub start: u64,
    /// The samples of this rank; one empty range where it has none.
    pub rows: Vec<Range<u64>>,
    /// Where the next batch is to be looked for.
    pub after: u64,
}

/// How samples become global batches, and those the rows of ranks.
///
/// A full global batch gives rank `r` its rows `r * batch_size ..`. The last one of a section, where it is partial, is divided
/// contiguously and evenly (sizes differ by at most 1, the first ranks have the larger ones), so that every rank takes the
/// same number of steps; a rank may get no row. Or it is dropped.
#[derive(Debug, Clone)]
pub struct Batches {
    sections: Sections,
    skipped: Skipped,
    batch_size: u64,
    world_size: u64,
    global: u64,
    drop_last: bool,
    /// Epochs that have other than the usual number of steps, because samples of them are skipped: in order.
    odd: Vec<(Range<u64>, u64)>,
}

impl Batches {
    /// Batches of `batch_size` rows on each of `world_size` ranks, from all samples but those of `skip`.
    ///
    /// # Errors
    /// A number is 0, the global batch is too large for a `u64`, `drop_last` would leave no batch at all, stages are not in
    /// order, or ranges to skip are empty or not in order.
    pub fn new(
        sections: Sections,
        skip: Vec<Range<u64>>,
        batch_size: u64,
        world_size: u64,
        drop_last: bool,
    ) -> Result<Batches> {
        for (name, value) in [("batch_size", batch_size), ("world_size", world_size)] {
            if value == 0 {
                return Err(Error::value(format!("{name}=0 is too small; it must be 1 or more")));
            }
        }
        let global = batch_size.checked_mul(world_size).ok_or_else(|| {
            Error::value(format!("batch_size={batch_size} times world_size={world_size} is larger than 2^64 - 1"))
        })?;
        let shortest = sections.shortest()?;
        if drop_last && shortest < global {
            let what = if matches!(sections, Sections::Epochs(_)) { "an epoch" } else { "a stage" };
            return Err(Error::value(format!(
                "{what} of {shortest} windows is smaller than one global batch of {global} (batch_size={batch_size} \
                 times world_size={world_size}), so drop_last=True leaves nothing; use a smaller batch_size, a smaller \
                 stride, more text, or drop_last=False"
            )));
        }
        let skipped = Skipped::new(skip)?;
        let mut batches = Batches { sections, skipped, batch_size, world_size, global, drop_last, odd: Vec::new() };
        batches.odd = batches.odd_epochs();
        Ok(batches)
    }

    fn odd_epochs(&self) -> Vec<(Range<u64>, u64)> {
        let Sections::Epochs(samples) = self.sections else { return Vec::new() };
        let mut odd: Vec<(Range<u64>, u64)> = Vec::new();
        for range in &self.skipped.ranges {
            let (first, last) = (range.start / samples, (range.end - 1) / samples);
            // What lies between the epochs at the ends of a range is skipped as a whole.
            for epochs in [first..first + 1, first + 1..last, last..last + 1] {
                let known = odd.last().is_some_and(|(known, _)| epochs.start < known.end);
                if !known && !epochs.is_empty() {
                    let steps = self.steps(epochs.start);
                    odd.push((epochs, steps));
                }
            }
        }
        odd
    }

    /// Steps of one section; 0 where there is none.
    pub fn steps(&self, section: u64) -> u64 {
        self.sections.get(section).map_or(0, |samples| self.steps_of(self.skipped.kept(&samples)))
    }

    fn steps_of(&self, samples: u64) -> u64 {
        if self.drop_last { samples / self.global } else { samples.div_ceil(self.global) }
    }

    /// Steps of all sections before one; at most 2^64 - 1.
    pub fn steps_before(&self, section: u64) -> u64 {
        match &self.sections {
            Sections::Epochs(samples) => {
                let usual = self.steps_of(*samples);
                let before = |epochs: &Range<u64>| epochs.end.min(section).saturating_sub(epochs.start);
                let fewer = self.odd.iter().map(|(epochs, steps)| before(epochs).saturating_mul(usual - steps));
                section.saturating_mul(usual).saturating_sub(fewer.fold(0, u64::saturating_add))
            }
            Sections::Stages(starts, _) => (0..section.min(starts.len() as u64)).map(|stage| self.steps(stage)).sum(),
        }
    }

    /// The next batch at `position` or after, and what of it belongs to `rank` (nothing to one that does not exist).
    /// `None`: there is none.
    pub fn step(&self, mut position: u64, rank: u64) -> Option<Step> {
        loop {
            position = self.skipped.next_kept(position);
            let (section, samples) = self.sections.at(position)?;
            let left = self.skipped.kept(&(position..samples.end));
            let size = left.min(self.global);
            if size == 0 || (self.drop_last && size < self.global) {
                position = samples.end; // too few are left for a batch
                continue;
            }
            let first = self.skipped.rank(position);
            let over = self.steps_of(left - size) == 0;
            let after = if over { samples.end } else { self.skipped.nth(first + size - 1) + 1 };
            let mut rows = self.skipped.ranges_of(&self.rows(&(first..first + size), rank));
            if rows.is_empty() {
                rows.push(position..position);
            }
            let done = self.skipped.kept(&(samples.start..position));
            return Some(Step {
                section,
                number: self.steps_before(section).saturating_add(done / self.global),
                start: position,
                rows,
                after,
            });
        }
    }

    /// The samples before `end` that are in some batch, in order.
    pub fn samples(&self, end: u64) -> Vec<Range<u64>> {
        if !self.drop_last {
            return self.skipped.ranges_of(&(0..self.skipped.rank(end)));
        }
        let mut found: Vec<Range<u64>> = Vec::new();
        let sections = (0..).map_while(|number| self.sections.get(number)).take_while(|section| section.start < end);
        for section in sections {
            let first = self.skipped.rank(section.start);
            let kept = self.skipped.kept(&section);
            for range in self.skipped.ranges_of(&(first..first + kept / self.global * self.global)) {
                let range = range.start..range.end.min(end);
                match found.last_mut() {
                    Some(last) if last.end == range.start => last.end = range.end,
                    _ if range.is_empty() => {}
                    _ => found.push(range),
                }
            }
        }
        found
    }

    /// How many samples before `end` are skipped.
    pub fn skipped(&self, end: u64) -> u64 {
        end - self.skipped.rank(end)
    }

    /// Where the batch `number`, counted from the beginning of the sequence, starts, if all are of this size.
    pub fn find(&self, number: u64) -> Option<u64> {
        let (mut low, mut high) = match &self.sections {
            Sections::Epochs(samples) => (0, u64::MAX / samples),
            Sections::Stages(starts, _) => (0, starts.len() as u64),
        };
        // The last section with no more than `number` steps before it: `low`.
        while low + 1 < high {
            let middle = u64::midpoint(low, high);
            if self.steps_before(middle) <= number { low = middle } else { high = middle }
        }
        let inside = number - self.steps_before(low);
        let samples = self.sections.get(low).filter(|_| inside < self.steps(low))?;
        Some(self.skipped.nth(self.skipped.rank(samples.start) + inside * self.global))
    }

    /// The part of a global batch that belongs to `rank`.
    fn rows(&self, batch: &Range<u64>, rank: u64) -> Range<u64> {
        let size = batch.end - batch.start;
        let (each, larger) =
            if size == self.global { (self.batch_size, 0) } else { (size / self.world_size, size % self.world_size) };
        let rank = rank.min(self.world_size);
        let start = batch.start + rank * each + rank.min(larger);
        let rows = each + u64::from(rank < larger);
        start..if rank < self.world_size { start + rows } else { start }
    }
}

/// Samples that are left out.
#[derive(Debug, Clone)]
struct Skipped {
    /// In order, with kept samples between them.
    ranges: Vec<Range<u64>>,
    /// How many samples are skipped by the ranges before each, and at last by all.
    before: Vec<u64>,
    /// How many samples before each range are kept.
    ranks: Vec<u64>,
}

impl Skipped {
    fn new(ranges: Vec<Range<u64>>) -> Result<Skipped> {
        let apart = ranges.is_sorted_by(|a, b| a.end < b.start) && ranges.iter().all(|range| range.start < range.end);
        if !apart {
            return Err(Error::value("ranges to skip must be in order, with samples in them and between them"));
        }
        let mut before = vec![0];
        for range in &ranges {
            before.push(before[before.len() - 1] + (range.end - range.start));
        }
        let ranks = ranges.iter().zip(&before).map(|(range, before)| range.start - before).collect();
        Ok(Skipped { ranges, before, ranks })
    }

    /// How many of the samples before `sample` are kept.
    fn rank(&self, sample: u64) -> u64 {
        let after = self.ranges.partition_point(|range| range.start < sample);
        let inside = after.checked_sub(1).map_or(0, |last| self.ranges[last].end.saturating_sub(sample));
        sample - (self.before[after] - inside)
    }

    /// The sample before which `rank` are kept, itself kept.
    fn nth(&self, rank: u64) -> u64 {
        rank + self.before[self.ranks.partition_point(|&range| range <= rank)]
    }

    fn kept(&self, samples: &Range<u64>) -> u64 {
        self.rank(samples.end) - self.rank(samples.start)
    }

    /// The first kept sample from `sample` on.
    fn next_kept(&self, sample: u64) -> u64 {
        let after = self.ranges.partition_point(|range| range.start <= sample);
        after.checked_sub(1).map_or(sample, |last| self.ranges[last].end.max(sample))
    }

    /// The samples with these ranks.
    fn ranges_of(&self, ranks: &Range<u64>) -> Vec<Range<u64>> {
        let (mut found, mut rank) = (Vec::new(), ranks.start);
        while rank < ranks.end {
            let start = self.nth(rank);
            let next = self.ranges.partition_point(|range| range.start <= start);
            let until = self.ranges.get(next).map_or(u64::MAX, |range| range.start);
            let size = (until - start).min(ranks.end - rank);
            found.push(start..start + size);
            rank += size;
        }
        found
    }
}

#[cfg(test)]
#[expect(clippy::single_range_in_vec_init, reason = "a list of ranges may have one")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn epochs(samples: u64, batch_size: u64, world_size: u64, drop_last: bool) -> Batches {
        Batches::new(Sections::Epochs(samples), Vec::new(), batch_size, world_size, drop_last).unwrap()
    }

    /// The batches up to `end`, by hand: kept samples of each section, in chunks.
    fn by_hand(batches: &Batches, end: u64) -> Vec<Vec<u64>> {
        let kept = |sample: &u64| !batches.skipped.ranges.iter().any(|range| range.contains(sample));
        let mut all = Vec::new();
        for section in (0..).map_while(|number| batches.sections.get(number)).take_while(|range| range.start < end) {
            let samples: Vec<u64> = section.filter(kept).collect();
            for batch in samples.chunks(usize::try_from(batches.global).unwrap()) {
                if batch.len() as u64 == batches.global || !batches.drop_last {
                    all.push(batch.to_vec());
                }
            }
        }
        all
    }

    fn assert_equal_by_hand(batches: &Batches, end: u64) {
        let expected = by_hand(batches, end);
        let (mut position, mut found) = (0, Vec::new());
        while let Some(step) = batches.step(position, 0).filter(|step| step.start < end) {
            assert_eq!(step.number, found.len() as u64);
            assert_eq!(batches.find(step.number), Some(step.start));
            let ranks: Vec<Vec<u64>> = (0..batches.world_size)
                .map(|rank| batches.step(position, rank).unwrap().rows.into_iter().flatten().collect())
                .collect();
            let sizes: Vec<usize> = ranks.iter().map(Vec::len).collect();
            assert!(sizes.is_sorted_by(|a, b| a >= b) && sizes[0] - sizes[sizes.len() - 1] <= 1);
            assert!(batches.step(position, batches.world_size).unwrap().rows[0].is_empty());
            found.push(ranks.concat());
            // Anywhere between two batches, the next one is found.
            for between in [position, step.start] {
                assert_eq!(batches.step(between, 0).unwrap().start, step.start);
            }
            assert!(step.after > step.start);
            position = step.after;
        }
        assert_eq!(found, expected);
        for until in [0, end / 3, end] {
            let samples: Vec<u64> = batches.samples(until).into_iter().flatten().collect();
            assert!(samples.iter().eq(found.iter().flatten().filter(|&&sample| sample < until)));
            let skipped = batches.skipped.ranges.iter().map(|range| range.end.min(until).saturating_sub(range.start));
            assert_eq!(batches.skipped(until), skipped.sum::<u64>());
        }
        let steps: Vec<u64> = (0..end).map_while(|n| batches.sections.get(n).map(|_| batches.steps(n))).collect();
        for section in 0..steps.len().min(9) {
            assert_eq!(batches.steps_before(section as u64), steps[..section].iter().sum::<u64>());
        }
    }

    #[test]
    fn ranks_divide_each_global_batch() {
        for samples in 1..60 {
            for (batch_size, world_size) in [(1, 1), (4, 1), (3, 2), (2, 3), (5, 8), (1, 8)] {
                assert_equal_by_hand(&epochs(samples, batch_size, world_size, false), 2 * samples);
            }
        }
    }

    proptest! {
        #[test]
        fn batches_of_what_is_kept_equal_those_by_hand(
            samples in 1u64..40, size in 1u64..6, world in 1u64..4, drop_last: bool,
            cuts in prop::collection::btree_set(0u64..200, 0..8), starts in prop::collection::btree_set(1u64..100, 0..4),
        ) {
            let cuts: Vec<u64> = cuts.into_iter().collect();
            let skip: Vec<Range<u64>> = cuts.chunks_exact(2).map(|pair| pair[0]..pair[1]).collect();
            let starts: Vec<u64> = [0].into_iter().chain(starts).collect();
            for (sections, end) in [(Sections::Epochs(samples), samples * 5), (Sections::Stages(starts, 110), 110)] {
                if let Ok(batches) = Batches::new(sections, skip.clone(), size, world, drop_last) {
                    assert_equal_by_hand(&batches, end);
                }
            }
        }
    }

    #[test]
    fn drop_last_ends_with_the_last_full_batch() {
        let batches = epochs(10, 2, 2, true);
        assert_eq!(batches.steps(0), 2);
        let step = batches.step(4, 1).unwrap();
        assert_eq!((step.rows, step.after), (vec![6..8], 10));
        assert_eq!(batches.step(8, 0).unwrap().start, 10);
        assert_eq!(batches.step(u64::MAX, 0), None);
    }

    #[test]
    fn a_batch_goes_around_what_is_skipped() {
        let batches = Batches::new(Sections::Epochs(20), vec![3..5, 6..9, 15..48], 4, 1, true).unwrap();
        assert_eq!(batches.step(0, 0).unwrap().rows, [0..3, 5..6]);
        assert_eq!(batches.step(6, 0).unwrap().rows, [9..13]);
        // Samples 13 and 14 fill no batch, and epoch 1 has none.
        let step = batches.step(13, 0).unwrap();
        assert_eq!((step.section, step.number, step.rows), (2, 2, vec![48..52]));
        assert_eq!(batches.steps_before(3), 2 + 3);
    }

    #[test]
    fn many_epochs_are_skipped_at_once() {
        let batches = Batches::new(Sections::Epochs(10), vec![15..u64::MAX - 100], 5, 1, true).unwrap();
        let step = batches.step(15, 0).unwrap();
        assert!(step.start >= u64::MAX - 100 && step.number == 3);
        assert_eq!(batches.find(3), Some(step.start));
    }

    #[test]
    fn impossible_batches_are_refused() {
        let refused = |sections, skip, size, world| Batches::new(sections, skip, size, world, true).is_err();
        for (size, world) in [(0, 1), (1, 0), (u64::MAX, 2), (11, 1), (6, 2)] {
            assert!(refused(Sections::Epochs(10), Vec::new(), size, world));
        }
        for skip in [vec![3..3], vec![4..6, 6..8], vec![4..6, 1..2], vec![Range { start: 5, end: 4 }]] {
            assert!(refused(Sections::Epochs(10), skip, 1, 1));
        }
        for (starts, end) in [(vec![1], 9), (vec![0, 5, 5], 9), (vec![0, 5], 5), (vec![], 9), (vec![0, 7], 9)] {
            assert!(refused(Sections::Stages(starts, end), Vec::new(), 3, 1));
        }
        assert!(refused(Sections::Epochs(0), Vec::new(), 1, 1));
    }
}
