//! How often each row of a source comes among the samples of a loader, counted a stretch of rows at a time.
//!
//! An epoch that comes as a whole is one number. Of one that does not, the samples that come are replayed, or those that do
//! not, whichever are fewer.

use super::curriculum::Curriculum;
use super::mixture::Mixture;
use super::plan::Plan;
use super::shuffle::EpochOrder;
use crate::error::Result;
use crate::monitor::{Monitor, Progress};
use std::ops::Range;

/// Rows that are drawn at once.
const DRAWN: u64 = 4096;

/// Where samples come from.
#[derive(Debug, Clone, Copy)]
pub enum Order<'a> {
    /// Epochs over one source.
    Plan(&'a Plan),
    /// One source of several.
    Mixture(&'a Mixture, usize),
}

impl Order<'_> {
    /// Rows of an epoch.
    fn rows(&self) -> u64 {
        match self {
            Order::Plan(plan) => plan.layout.count(),
            Order::Mixture(mixture, source) => mixture.rows(*source),
        }
    }

    /// The source's own samples among these, numbered through its epochs.
    fn own(&self, samples: &Range<u64>) -> Range<u64> {
        match self {
            Order::Plan(_) => samples.clone(),
            Order::Mixture(mixture, source) => {
                mixture.taken_by(*source, samples.start)..mixture.taken_by(*source, samples.end)
            }
        }
    }

    fn epoch(&self, epoch: u64) -> EpochOrder {
        match self {
            Order::Plan(plan) => plan.order(epoch),
            Order::Mixture(mixture, source) => mixture.order(*source, epoch),
        }
    }

    /// The row of each of the samples; `None` where it is another source's.
    fn draw(&self, samples: &[u64]) -> Result<Vec<Option<u64>>> {
        Ok(match self {
            Order::Plan(plan) => plan.at(samples).into_iter().map(Some).collect(),
            Order::Mixture(mixture, source) => {
                let drawn = mixture.at(samples)?.into_iter();
                drawn.map(|sample| (sample.source == *source).then_some(sample.window)).collect()
            }
        })
    }
}

/// An epoch that does not come as a whole.
#[derive(Debug)]
struct OddEpoch {
    epoch: u64,
    /// Of its samples those that come, or (`come` is false) those that do not.
    places: Vec<Range<u64>>,
    come: bool,
}

/// All samples of a loader that come, as draws of one source.
#[derive(Debug)]
pub struct Comings<'a> {
    order: Order<'a>,
    kind: Kind<'a>,
}

#[derive(Debug)]
enum Kind<'a> {
    /// How many epochs come as a whole, and the others.
    Epochs(u64, Vec<OddEpoch>),
    /// Rows are parts of windows: all samples are replayed.
    Parts(&'a Curriculum, &'a [Range<u64>]),
}

/// How often each row of some windows comes.
#[derive(Debug)]
pub struct Counts {
    first: u64,
    /// What is to be added to each number below.
    base: u64,
    /// For each stage, into how many rows a window is cut, and how often each comes, less `base`.
    stages: Vec<(u64, Vec<i32>)>,
}

impl Counts {
    /// How often row `part` of window `window` comes in stage `stage`.
    pub fn get(&self, stage: usize, window: u64, part: u64) -> u64 {
        let (cut, odd) = &self.stages[stage];
        let place = usize::try_from((window - self.first) * cut + part).unwrap_or(usize::MAX);
        self.base.wrapping_add_signed(i64::from(odd[place]))
    }

    fn add(&mut self, stage: usize, window: u64, part: u64, change: i32) {
        let (cut, odd) = &mut self.stages[stage];
        let place = window.checked_sub(self.first).and_then(|at| at.checked_mul(*cut)).map(|at| at + part);
        if let Some(count) = place.and_then(|at| usize::try_from(at).ok()).and_then(|at| odd.get_mut(at)) {
            *count += change;
        }
    }
}

impl<'a> Comings<'a> {
    /// Of the samples of `kept`, ranges in order.
    pub fn new(order: Order<'a>, curriculum: Option<&'a Curriculum>, kept: &'a [Range<u64>]) -> Comings<'a> {
        let kind = match curriculum {
            Some(curriculum) => Kind::Parts(curriculum, kept),
            None => {
                let own = kept.iter().map(|samples| order.own(samples)).filter(|samples| !samples.is_empty());
                let (whole, odd) = epochs(own, order.rows());
                Kind::Epochs(whole, odd)
            }
        };
        Comings { order, kind }
    }

    /// Counts the rows of the windows `windows`, of which each stage cuts one into `cuts` of its own.
    ///
    /// # Errors
    /// A sample does not exist, or the monitor stops it.
    pub fn count(&self, windows: Range<u64>, cuts: &[u64], monitor: &dyn Monitor) -> Result<Counts> {
        let size = |cut: u64| usize::try_from((windows.end - windows.start) * cut).unwrap_or(usize::MAX);
        let stages = cuts.iter().map(|&cut| (cut, vec![0; size(cut)])).collect();
        let mut counts = Counts { first: windows.start, base: 0, stages };
        match &self.kind {
            Kind::Epochs(whole, odd) => {
                counts.base = whole + odd.iter().filter(|epoch| !epoch.come).count() as u64;
                for epoch in odd {
                    self.replay(epoch, &mut counts, monitor)?;
                }
            }
            Kind::Parts(curriculum, kept) => {
                for samples in *kept {
                    self.replay_parts(curriculum, samples, &mut counts, monitor)?;
                }
            }
        }
        Ok(counts)
    }

    fn replay(&self, epoch: &OddEpoch, counts: &mut Counts, monitor: &dyn Monitor) -> Result<()> {
        let order = self.order.epoch(epoch.epoch);
        for places in &epoch.places {
            for some in stretches(places) {
                monitor.tick(Progress { stage: "counting", unit: "samples", done: some.start, total: None })?;
                let mut rows = vec![0; usize::try_from(some.end - some.start).unwrap_or(0)];
                order.fill(some.start, &mut rows);
                rows.into_iter().for_each(|row| counts.add(0, row, 0, if epoch.come { 1 } else { -1 }));
            }
        }
        Ok(())
    }

    fn replay_parts(
        &self,
        curriculum: &Curriculum,
        samples: &Range<u64>,
        counts: &mut Counts,
        monitor: &dyn Monitor,
    ) -> Result<()> {
        for some in stretches(samples) {
            monitor.tick(Progress { stage: "counting", unit: "samples", done: some.start, total: None })?;
            let parts = some.clone().map(|sample| curriculum.part(sample)).collect::<Result<Vec<_>>>()?;
            let units: Vec<u64> = parts.iter().map(|part| part.unit).collect();
            for ((sample, part), row) in some.zip(parts).zip(self.order.draw(&units)?) {
                if let Some(row) = row {
                    counts.add(curriculum.stage(sample), row, part.part, 1);
                }
            }
        }
        Ok(())
    }
}

/// Parts of a range that are replayed at once.
fn stretches(range: &Range<u64>) -> impl Iterator<Item = Range<u64>> {
    let end = range.end;
    let starts = std::iter::successors(Some(range.start), |start| start.checked_add(DRAWN));
    starts.take_while(move |&start| start < end).map(move |start| start..start.saturating_add(DRAWN).min(end))
}

/// How many epochs of `rows` rows the samples cover, and what they cover of others.
fn epochs(samples: impl Iterator<Item = Range<u64>>, rows: u64) -> (u64, Vec<OddEpoch>) {
    let (mut whole, mut parts) = (0, Vec::<(u64, Vec<Range<u64>>)>::new());
    for range in samples {
        let mut start = range.start;
        while start < range.end {
            let (epoch, place) = (start / rows, start % rows);
            if place == 0 && range.end - start >= rows {
                let epochs = (range.end - start) / rows;
                whole += epochs;
                start += epochs * rows;
                continue;
            }
            let count = (rows - place).min(range.end - start);
            match parts.last_mut() {
                Some((last, places)) if *last == epoch => places.push(place..place + count),
                _ => parts.push((epoch, vec![Range { start: place, end: place + count }])),
            }
            start += count;
        }
    }
    let odd = parts.into_iter().map(|(epoch, places)| {
        let come: u64 = places.iter().map(|places| places.end - places.start).sum();
        if come <= rows / 2 {
            return OddEpoch { epoch, places, come: true };
        }
        let starts = [0].into_iter().chain(places.iter().map(|places| places.end));
        let ends = places.iter().map(|places| places.start).chain([rows]);
        let rest = starts.zip(ends).map(|(start, end)| start..end).filter(|gap| !gap.is_empty()).collect();
        OddEpoch { epoch, places: rest, come: false }
    });
    (whole, odd.collect())
}

#[cfg(test)]
mod tests {
    use super::super::{Layout, Shuffle, Tail, Windows};
    use super::*;

    #[test]
    fn epochs_are_divided_into_whole_ones_and_what_is_fewer_of_others() {
        let (whole, odd) = epochs([3..12, 13..25, 50..70].into_iter(), 10);
        assert_eq!(whole, 2);
        let odd: Vec<_> = odd.into_iter().map(|odd| (odd.epoch, odd.places, odd.come)).collect();
        #[expect(clippy::single_range_in_vec_init, reason = "a list of ranges may have one")]
        let expected = [(0, vec![0..3], false), (1, vec![2..3], false), (2, vec![0..5], true)];
        assert_eq!(odd, expected);
    }

    #[test]
    fn stretches_cover_a_range_once() {
        for range in [0..0, 5..6, 7..7 + DRAWN, 1..3 * DRAWN, u64::MAX - 10..u64::MAX] {
            let all: Vec<Range<u64>> = stretches(&range).collect();
            assert!(all.windows(2).all(|pair| pair[0].end == pair[1].start));
            assert_eq!(all.iter().map(|part| part.end - part.start).sum::<u64>(), range.end - range.start);
        }
    }

    #[test]
    fn rows_are_counted_a_stretch_at_a_time() {
        let layout = Layout::Concat(Windows::new(10_001, 1, 1, Tail::Drop).unwrap());
        let plan = Plan { layout, shuffle: Shuffle::Full, seed: 3 };
        let kept = [5..4_000, 6_000..29_990, 41_000..47_000];
        let mut expected = vec![0u64; 10_000];
        for sample in kept.iter().flat_map(Clone::clone) {
            expected[usize::try_from(plan.window(sample / 10_000, sample % 10_000).unwrap()).unwrap()] += 1;
        }
        let comings = Comings::new(Order::Plan(&plan), None, &kept);
        for windows in [0..10_000, 17..400, 9_999..10_000] {
            let counts = comings.count(windows.clone(), &[1], &()).unwrap();
            for window in windows {
                assert_eq!(counts.get(0, window, 0), expected[usize::try_from(window).unwrap()]);
            }
        }
    }
}
