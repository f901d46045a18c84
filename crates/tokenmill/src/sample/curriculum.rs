//! Rows that get longer in the course of training, as a function of the sample's number.
//!
//! A unit is a window of the greatest length. Each stage cuts its units into so many rows of the same length, so no token is
//! repeated or left out where the length changes. Rows that are cut from one unit, and follow each other in the text, should
//! not be in one batch: a stage deals its units in hands, first the first row of each unit of a hand, then the second, ...

use crate::error::{Error, Result};

/// Samples, and units, of what never ends.
const END: u64 = 1 << 62;

/// A part of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// The window of the greatest length.
    pub unit: u64,
    /// Which of the rows that it is cut into.
    pub part: u64,
}

/// Which part of which unit a sample is.
#[derive(Debug, Clone)]
pub struct Curriculum {
    stages: Vec<Stage>,
    end: u64,
    hand: u64,
}

#[derive(Debug, Clone)]
struct Stage {
    first: u64,
    cut: u64,
    first_unit: u64,
    units: u64,
}

impl Curriculum {
    /// Stages as (first sample, rows of a unit), over so many units (`None`: without end), dealt in hands of `hand` units.
    ///
    /// # Errors
    /// Stages are not in order; one ends inside a unit, or begins when all units are used up.
    pub fn new(stages: &[(u64, u64)], units: Option<u64>, hand: u64) -> Result<Curriculum> {
        if stages.first().is_none_or(|&(first, _)| first != 0)
            || !stages.is_sorted_by(|a, b| a.0 < b.0)
            || stages.iter().any(|&(first, cut)| first >= END || cut == 0)
            || hand == 0
        {
            return Err(Error::value("stages begin at sample 0, and each after the one before, below 2^62"));
        }
        let mut made: Vec<Stage> = Vec::with_capacity(stages.len());
        let mut first_unit = 0;
        for (number, &(first, cut)) in stages.iter().enumerate() {
            let left = units.map_or(END, |units| units.min(END)) - first_unit;
            let here = match stages.get(number + 1) {
                None => left.min((END - first) / cut),
                Some(&(next, _)) => whole_units(first, next, cut, left)?,
            };
            made.push(Stage { first, cut, first_unit, units: here });
            first_unit += here;
        }
        let end = made.last().map_or(0, |stage| stage.first + stage.units * stage.cut);
        Ok(Curriculum { stages: made, end, hand })
    }

    /// Where the last stage ends.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Which stage a sample is in.
    pub fn stage(&self, sample: u64) -> usize {
        self.stages.partition_point(|stage| stage.first <= sample).saturating_sub(1)
    }

    /// What a sample is.
    ///
    /// # Errors
    /// It is past the end.
    pub fn part(&self, sample: u64) -> Result<Part> {
        let Some(stage) = self.stages.get(self.stage(sample)).filter(|_| sample < self.end) else {
            return Err(Error::value(format!("sample {sample} does not exist; there are {}", self.end)));
        };
        let hand = (sample - stage.first) / stage.cut / self.hand * self.hand;
        let size = (stage.units - hand).min(self.hand);
        let inside = sample - stage.first - hand * stage.cut;
        Ok(Part { unit: stage.first_unit + hand + inside % size, part: inside / size })
    }
}

/// Units of a stage that another one follows.
fn whole_units(first: u64, next: u64, cut: u64, left: u64) -> Result<u64> {
    let units = (next - first) / cut;
    if units >= left {
        return Err(Error::value(format!(
            "the stage at sample {next} begins after the end of the data, sample {}",
            first.saturating_add(left.saturating_mul(cut))
        )));
    }
    if !(next - first).is_multiple_of(cut) {
        let low = first + units * cut;
        let high = low.saturating_add(cut);
        return Err(Error::value(format!(
            "the stage at sample {next} begins inside a window of the greatest max_length, which the stage before cuts into \
             {cut} rows; let it begin at {low} or {high}"
        )));
    }
    Ok(units)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(stages: &[(u64, u64)], units: Option<u64>, hand: u64, count: u64) -> Vec<(u64, u64)> {
        let curriculum = Curriculum::new(stages, units, hand).unwrap();
        (0..count).map(|sample| curriculum.part(sample).unwrap()).map(|part| (part.unit, part.part)).collect()
    }

    #[test]
    fn a_hand_is_dealt_part_by_part() {
        let dealt = parts(&[(0, 2), (6, 1)], Some(5), 2, 8);
        assert_eq!(dealt, [(0, 0), (1, 0), (0, 1), (1, 1), (2, 0), (2, 1), (3, 0), (4, 0)]);
    }

    #[test]
    fn each_part_of_each_unit_comes_once() {
        for hand in 1..9 {
            for (stages, units, cuts) in [
                (vec![(0, 4)], 13, vec![4; 13]),
                (vec![(0, 8), (24, 2), (34, 1)], 11, [vec![8; 3], vec![2; 5], vec![1; 3]].concat()),
                (vec![(0, 1), (3, 3)], 7, [vec![1; 3], vec![3; 4]].concat()),
            ] {
                let end = Curriculum::new(&stages, Some(units), hand).unwrap().end();
                let mut dealt = parts(&stages, Some(units), hand, end);
                dealt.sort_unstable();
                let expected: Vec<(u64, u64)> =
                    (0..).zip(cuts).flat_map(|(unit, cut)| (0..cut).map(move |part| (unit, part))).collect();
                assert_eq!(dealt, expected);
            }
        }
    }

    #[test]
    fn without_an_end_numbers_do_not_wrap() {
        let curriculum = Curriculum::new(&[(0, 1 << 40), (1 << 50, 8)], None, 4096).unwrap();
        assert!(curriculum.end() > 1 << 61);
        let last = curriculum.part(curriculum.end() - 1).unwrap();
        assert_eq!(last.part, 7);
        assert!(curriculum.part(curriculum.end()).is_err() && curriculum.part(u64::MAX).is_err());
    }

    #[test]
    fn stages_that_cannot_be_are_refused_with_a_remedy() {
        let refused = |stages: &[(u64, u64)]| Curriculum::new(stages, Some(10), 4).unwrap_err().to_string();
        assert!(refused(&[(0, 4), (10, 1)]).contains("begin at 8 or 12"));
        assert!(refused(&[(0, 4), (40, 1)]).contains("begins after the end of the data, sample 40"));
        for stages in [&[][..], &[(1, 1)], &[(0, 1), (0, 1)], &[(0, 0)], &[(0, 1), (END, 1)]] {
            assert!(refused(stages).contains("begin at sample 0"));
        }
    }
}
