//! How long work reports progress and learns that it should stop.

use crate::error::Result;
use std::time::Duration;

/// A snapshot of long work. `done` and `total` count `unit`s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is being done, for a progress bar: "counting words", "merging", "encoding", "verifying".
    pub stage: &'static str,
    /// "bytes", "merges", "tokens".
    pub unit: &'static str,
    /// How much is done.
    pub done: u64,
    /// How much there is, where that is known.
    pub total: Option<u64>,
}

/// Called from the thread that called the core, between units of work of at most some 100 ms.
/// An error ends the work at once and is returned to the caller: this is how Ctrl-C arrives.
pub trait Monitor {
    /// Reports progress; an `Err` cancels.
    fn tick(&self, progress: Progress) -> Result<()>;

    /// `tick`, with more to say of the work if anyone wants to hear it: `note` is called only then.
    fn tick_with(&self, progress: Progress, note: &dyn Fn() -> String) -> Result<()> {
        let _ = note;
        self.tick(progress)
    }

    /// At the end of work: what a stage of it took, the times of all threads added up.
    fn stage(&self, name: &'static str, took: Duration) -> Result<()> {
        let _ = (name, took);
        Ok(())
    }
}

/// Nobody is watching.
impl Monitor for () {
    fn tick(&self, _progress: Progress) -> Result<()> {
        Ok(())
    }
}
