//! Several processes that prepare one store, each a share of its inputs: the tasks of a Slurm array.
//!
//! ```text
//! corpus.tm.tasks/
//!     task-00001/    a store of the first share of the inputs, written as any other, but with what `texts` keeps of each text
//!     task-00002/    ...
//! ```
//!
//! `seal` joins them. Shards cannot be handed over as they are: where one ends depends on all tokens before it.

use super::disk::Disk;
use super::plan::{Plan, TaskPlan};
use super::workspace::{beside, parent, refuse_existing};
use super::{Manifest, WriterOptions};
use crate::documents::{BlockSource, PlannedInput};
use crate::error::{Error, Result};
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// What an input weighs besides its bytes: opening it.
const INPUT_WEIGHT: u128 = 1 << 10;

/// Task `number`, from 1 on, `of` so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Task {
    number: u64,
    of: u64,
}

impl Task {
    /// # Errors
    /// [`Error::Value`]: there is no such task.
    pub fn new(number: u64, of: u64) -> Result<Task> {
        if number == 0 || number > of {
            return Err(Error::value(format!("there is no task {number} of {of}; tasks are numbered from 1")));
        }
        Ok(Task { number, of })
    }

    /// The inputs of this task: in a row, and about as many bytes as those of any other.
    pub(super) fn share(self, inputs: &[PlannedInput]) -> Result<Range<usize>> {
        let mut sizes = Vec::with_capacity(inputs.len());
        for input in inputs {
            let bytes = input.bytes.ok_or_else(|| {
                Error::value(format!("{} has no size that tells which task reads it; save it to a file", input.name))
            })?;
            sizes.push(u128::from(bytes) + INPUT_WEIGHT);
        }
        let total: u128 = sizes.iter().sum();
        // An input is in the share that its middle is in.
        let mut before = 0;
        let mut ends = Range { start: 0, end: 0 };
        for size in sizes {
            let share = (before + size / 2) * u128::from(self.of) / total;
            ends.start += usize::from(share + 1 < u128::from(self.number));
            ends.end += usize::from(share < u128::from(self.number));
            before += size;
        }
        Ok(ends)
    }

    /// Where its part of the store `out` will be, whether or not it is there.
    pub fn path(self, out: &Path) -> Result<PathBuf> {
        Ok(folder(out)?.join(format!("task-{:05}", self.number)))
    }

    /// Leaves the source the inputs of this task, and makes the folder of all.
    pub(super) fn begin(self, out: &Path, source: &mut dyn BlockSource, disk: &Disk) -> Result<TaskPlan> {
        refuse_existing(out)?;
        let inputs = source.planned();
        let share = self.share(&inputs)?;
        source.only(share)?;
        let folder = folder(out)?;
        if fs::symlink_metadata(&folder).is_err() {
            match disk.create_folder(&folder) {
                // Another task has.
                Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::AlreadyExists => {}
                made => made?,
            }
            disk.sync_folder(parent(&folder))?;
        }
        Ok(TaskPlan { number: self.number, of: self.of, inputs })
    }
}

/// The folder that the tasks of a store work in.
pub(super) fn folder(out: &Path) -> Result<PathBuf> {
    beside(out, ".tasks")
}

/// The manifest of a part that is whole, if it is what these options make.
pub(super) fn finished(path: &Path, options: &WriterOptions) -> Result<Option<Manifest>> {
    if fs::symlink_metadata(path).is_err() {
        return Ok(None);
    }
    let (manifest, before) = (Manifest::load(path)?, Plan::load(path)?);
    let mut now = Plan::new(options, before.tokenizer_sha256.clone());
    now.created_by.clone_from(&before.created_by);
    let other = (manifest.tokenizer_fingerprint != options.tokenizer_fingerprint)
        .then(|| "the tokenizer was another".to_string());
    match other.or_else(|| now.difference(&before, usize::MAX)) {
        None => Ok(Some(manifest)),
        Some(difference) => {
            let remedy = "give all tasks the same, or remove the folder and start again";
            Err(Error::store(path, format!("this task is done, but {difference}; {remedy}")))
        }
    }
}

/// What is said of a part that is not as its task wrote it.
pub(super) fn damaged(part: &Path, file: &str, reason: &str) -> Error {
    Error::store(part.join(file), format!("{reason}; remove {} and run the task again", part.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_input_is_in_one_share_and_shares_are_about_equal() {
        let mut state = 1_u64;
        let mut random = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        for _ in 0..500 {
            let count = random(20);
            let input = |bytes| PlannedInput { name: "a".into(), layout: String::new(), bytes: Some(bytes) };
            let inputs: Vec<_> = (0..count).map(|_| input(random(1_000_000))).collect();
            let of = 1 + random(7);
            let mut next = 0;
            for number in 1..=of {
                let share = Task::new(number, of).unwrap().share(&inputs).unwrap();
                assert_eq!(share.start, next);
                next = share.end;
                let bytes =
                    |inputs: &[PlannedInput]| inputs.iter().map(|input| input.bytes.unwrap() + 1024).sum::<u64>();
                let largest = inputs.iter().map(|input| input.bytes.unwrap() + 1024).max().unwrap_or(0);
                assert!(bytes(&inputs[share]) <= bytes(&inputs) / of + largest + 1);
            }
            assert_eq!(next, inputs.len());
        }
        for (number, of) in [(0, 3), (4, 3), (0, 0)] {
            assert!(Task::new(number, of).is_err());
        }
    }
}
