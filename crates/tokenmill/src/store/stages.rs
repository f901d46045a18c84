//! What the stages of a run take, added up over threads.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Time spent so far. Read once a block of a megabyte, so that it costs nothing.
#[derive(Debug, Default)]
pub(super) struct Clock(AtomicU64);

impl Clock {
    /// Does a part of the work and adds its time.
    pub(super) fn time<T>(&self, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let done = work();
        let nanoseconds = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.0.fetch_add(nanoseconds, Ordering::Relaxed);
        done
    }

    pub(super) fn total(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }
}

/// Of a run.
#[derive(Debug, Default)]
pub(super) struct Stages {
    /// Waiting for the thread that reads.
    pub(super) input: Clock,
    /// Checking and decoding, the hashes of the texts.
    pub(super) parse: Clock,
    /// Texts to ids.
    pub(super) encode: Clock,
    /// Ids to files, with the hashes of their blocks.
    pub(super) write: Clock,
}
