//! Learning the merges: pair counts kept up to date, a heap that is corrected when looked at.

use super::words::Words;
use super::{Merge, Numbering};
use crate::counts::Counted;
use crate::error::{Error, Result};
use crate::monitor::{Monitor, Progress};
use rustc_hash::FxHashMap;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

type Pair = (u32, u32);

/// A pair that occurs: how often, and in which words it may be found (a word can have lost it since).
#[derive(Default)]
struct Occurrences {
    count: u64,
    words: Vec<u32>,
}

struct Learner {
    words: Words,
    pairs: FxHashMap<Pair, Occurrences>,
    /// Highest count first, then smallest pair. Counts only ever fall after an entry is pushed without a new one being
    /// pushed, so the top is an upper bound: correct it, and when it needs no correction it is the true best.
    queue: BinaryHeap<(u64, Reverse<Pair>)>,
}

/// Learns up to `room` new tokens.
pub(super) fn learn(
    counted: &[Counted],
    numbering: &mut Numbering,
    room: u32,
    min_frequency: u64,
    monitor: &dyn Monitor,
) -> Result<Vec<Merge>> {
    let mut learner = Learner::new(Words::new(counted, numbering))?;
    let mut merges = Vec::new();
    let mut learned = 0;
    let progress =
        |done: u32| Progress { stage: "merging", unit: "merges", done: done.into(), total: Some(room.into()) };
    while learned < room
        && let Some(pair) = learner.best(min_frequency.max(1))
    {
        let (id, new) = numbering.make(pair.0, pair.1);
        learner.merge(pair, id)?;
        merges.push(Merge { left: pair.0, right: pair.1, id });
        learned += u32::from(new);
        monitor.tick(progress(learned))?;
    }
    Ok(merges)
}

impl Learner {
    fn new(words: Words) -> Result<Learner> {
        let mut pairs: FxHashMap<Pair, Occurrences> = FxHashMap::default();
        for index in 0..words.len() {
            let number = u32::try_from(index).map_err(|_| Error::value("more than 2^32 distinct pieces"))?;
            let (count, tokens) = words.get(index);
            for pair in tokens.windows(2) {
                let found = pairs.entry((pair[0], pair[1])).or_default();
                found.add(count)?;
                found.note(number);
            }
        }
        let queue = pairs.iter().map(|(pair, found)| (found.count, Reverse(*pair))).collect();
        Ok(Learner { words, pairs, queue })
    }

    /// The pair to merge next.
    fn best(&mut self, min_frequency: u64) -> Option<Pair> {
        while let Some((count, Reverse(pair))) = self.queue.pop() {
            if count < min_frequency {
                return None;
            }
            match self.pairs.get(&pair) {
                Some(found) if found.count == count => return Some(pair),
                Some(found) if found.count > 0 => self.queue.push((found.count, Reverse(pair))),
                _ => {}
            }
        }
        None
    }

    /// Replaces the pair by `made` in every word that has it, and brings the counts up to date.
    fn merge(&mut self, pair: Pair, made: u32) -> Result<()> {
        let Some(occurrences) = self.pairs.remove(&pair) else { return Ok(()) };
        // Changes are summed first: each pair is then looked up, and queued, once.
        let mut changes: FxHashMap<Pair, Change> = FxHashMap::default();
        for number in occurrences.words {
            let index = number as usize;
            let count = i128::from(self.words.get(index).0);
            self.words.merge(index, pair, made, &mut |changed, up| {
                if changed != pair {
                    let change = changes.entry(changed).or_default();
                    change.difference += if up { count } else { -count };
                    if up && change.words.last() != Some(&number) {
                        change.words.push(number);
                    }
                }
            });
        }
        for (changed, change) in changes {
            self.apply(changed, change)?;
        }
        Ok(())
    }

    fn apply(&mut self, pair: Pair, change: Change) -> Result<()> {
        let found = self.pairs.entry(pair).or_default();
        let count = i128::from(found.count) + change.difference;
        found.count = u64::try_from(count).map_err(|_| Error::value("a pair occurs more than 2^64 times"))?;
        found.words.extend(change.words);
        if found.count == 0 {
            self.pairs.remove(&pair);
        } else if change.difference > 0 {
            self.queue.push((found.count, Reverse(pair)));
        }
        Ok(())
    }
}

/// The sum of what one merge did to one pair.
#[derive(Default)]
struct Change {
    difference: i128,
    words: Vec<u32>,
}

impl Occurrences {
    fn add(&mut self, count: u64) -> Result<()> {
        self.count = self.count.checked_add(count).ok_or_else(|| Error::value("a pair occurs more than 2^64 times"))?;
        Ok(())
    }

    /// Words come in order, so a word already noted is the last.
    fn note(&mut self, word: u32) {
        if self.words.last() != Some(&word) {
            self.words.push(word);
        }
    }
}
