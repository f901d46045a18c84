//! Counting distinct pieces of a corpus: the first half of training any tokenizer.
//!
//! ```text
//! text ─ cut ─► Counter: a small table of its own for each thread, for what comes up all the time
//!                  │ what it has no room for, in batches
//!                  ▼
//!               Shard: a part of all pieces, found by hash; each piece is in one of them, once
//!                  │ all shards, when they have grown too large
//!                  ▼
//!               Runs: sorted, on disk; merged when they are read
//! ```

mod counter;
mod file;
mod merged;
mod shard;
#[cfg(test)]
mod tests;

pub use counter::Counter;
pub use file::Header;
pub use merged::CountsFiles;

use crate::documents::{BlockSource, Documents, for_each_group};
use crate::error::{Error, Result};
use crate::fs::write_atomically;
use crate::heap;
use crate::monitor::Monitor;
use crate::threads;
use crate::unicode::ClassTable;
use file::Writer;
use merged::Runs;
use rayon::prelude::*;
use shard::{Entry, Shard};
use std::hash::{BuildHasher as _, RandomState};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Shards: few enough that the batches on their way to them stay in the L2 cache, many enough that threads seldom
/// wait for each other.
const SHARDS: usize = 32;

/// Texts that are longer are counted by several threads, in parts of about this many bytes.
const PART_BYTES: usize = 1 << 20;

/// What is called with a piece and how often it occurs. An error of its ends the work.
pub type Visit<'a> = &'a mut dyn FnMut(&[u8], u64) -> Result<()>;

/// Distinct pieces and how often each occurs, which can be gone through more than once.
pub trait Pieces {
    /// Calls `visit(piece, count)` for each piece, in no particular order. Counts are above 0.
    fn each(&self, visit: Visit<'_>) -> Result<()>;
}

/// How much memory counting may take.
#[derive(Debug, Clone)]
pub struct Budget {
    /// Bytes of counts held in memory; `None`: as many as there are. What exceeds it goes to disk.
    pub bytes: Option<u64>,
    /// Where: a folder for temporary files.
    pub folder: PathBuf,
}

impl Default for Budget {
    fn default() -> Budget {
        Budget { bytes: None, folder: std::env::temp_dir() }
    }
}

/// What was counted: in memory or, where that was too much, on disk.
#[derive(Debug)]
pub struct PieceCounts {
    /// Empty once there are runs.
    shards: Vec<Shard>,
    runs: Runs,
}

/// How text is cut into pieces.
pub trait Cut: Sync {
    /// Counts the pieces of a text.
    fn count(&self, text: &str, counter: &mut Counter<'_>) -> Result<()>;
    /// A position behind `from` where `text` can be divided: its parts have the pieces of the whole. `None`: unknown.
    fn next_cut(&self, text: &str, from: usize) -> Option<usize>;
}

/// Counts the pieces of every document. The result depends on the documents alone, not on their order, the number of
/// threads or the budget.
pub fn count_pieces(
    source: &mut dyn BlockSource,
    cut: &dyn Cut,
    budget: &Budget,
    monitor: &dyn Monitor,
) -> Result<PieceCounts> {
    let pool = threads::pool()?;
    if budget.bytes.is_some() {
        heap::keep_little();
    }
    let shared = Shared::new();
    let mut runs = Runs::new(&budget.folder);
    let counters = Counters::new(&shared, pool.current_num_threads());
    // Hashing is half of what the reading thread would do.
    source.skip_inputs();
    for_each_group(source, "counting", monitor, |group| {
        pool.install(|| {
            let large = Mutex::new(Vec::new());
            group.into_par_iter().try_for_each(|block| {
                let documents = block.parse()?;
                if documents.text.len() > 2 * PART_BYTES {
                    large.lock().unwrap_or_else(PoisonError::into_inner).push(documents);
                    return Ok(());
                }
                counters.with_own(|own| documents.iter().try_for_each(|text| cut.count(text, own)))
            })?;
            let large = large.into_inner().unwrap_or_else(PoisonError::into_inner);
            let parts: Vec<&str> = large.iter().flat_map(Documents::iter).flat_map(|text| parts(text, cut)).collect();
            parts.into_par_iter().try_for_each(|part| counters.with_own(|own| cut.count(part, own)))
        })?;
        if budget.bytes.is_some_and(|most| shared.memory() > most) {
            spill(&shared.take(), &mut runs)?;
        }
        Ok(())
    })?;
    counters.finish();
    let mut shards = shared.take();
    if !runs.is_empty() {
        spill(&shards, &mut runs)?;
        shards.clear();
    }
    Ok(PieceCounts { shards, runs })
}

/// Divides a text that one thread would be long busy with, while others wait.
fn parts<'a>(text: &'a str, cut: &dyn Cut) -> Vec<&'a str> {
    let mut parts = Vec::new();
    let mut rest = text;
    while rest.len() > 2 * PART_BYTES
        && let Some(end) = cut.next_cut(rest, PART_BYTES)
    {
        let (part, behind) = rest.split_at(end);
        parts.push(part);
        rest = behind;
    }
    parts.push(rest);
    parts
}

/// A counter for each thread of the pool.
struct Counters<'a>(Vec<Mutex<Counter<'a>>>);

impl<'a> Counters<'a> {
    fn new(shared: &'a Shared, threads: usize) -> Counters<'a> {
        Counters((0..threads).map(|_| Mutex::new(Counter::new(shared))).collect())
    }

    /// Runs `work`, which must not wait for other threads, with the counter of this one.
    fn with_own<T>(&self, work: impl FnOnce(&mut Counter<'a>) -> T) -> T {
        let own = &self.0[rayon::current_thread_index().unwrap_or(0)];
        work(&mut own.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn finish(self) {
        for counter in self.0 {
            counter.into_inner().unwrap_or_else(PoisonError::into_inner).finish();
        }
    }
}

fn spill(shards: &[Shard], runs: &mut Runs) -> Result<()> {
    runs.add(|push| sorted(shards)?.iter().try_for_each(|entry| entry.with(&mut *push)))
}

/// All pieces in the order of their bytes.
fn sorted(shards: &[Shard]) -> Result<Vec<Entry<'_>>> {
    let mut entries = Vec::with_capacity(shards.iter().map(Shard::len).sum());
    for shard in shards {
        shard.list(&mut entries);
    }
    threads::pool()?.install(|| entries.par_sort_unstable());
    Ok(entries)
}

impl PieceCounts {
    /// Calls `visit(piece, count)` for each piece in the order of their bytes.
    pub fn each_sorted(&self, visit: Visit<'_>) -> Result<()> {
        if self.runs.is_empty() {
            sorted(&self.shards)?.iter().try_for_each(|entry| entry.with(&mut *visit))
        } else {
            self.runs.each(visit)
        }
    }

    /// Writes the counts to a file, as those of `source`. `pattern` is what the pieces were cut with.
    pub fn save(&self, path: &Path, pattern: &str, source: &str) -> Result<()> {
        let header = Header {
            version: 1,
            pattern: pattern.into(),
            unicode: ClassTable::get().fingerprint(),
            sources: vec![source.into()],
        };
        let mut fault = None;
        let written = write_atomically(path, |out| {
            let mut writer = Writer::new(out, &header)?;
            fault = self.each_sorted(&mut |piece, count| writer.push(piece, &[count]).map_err(Error::io(path))).err();
            match fault {
                Some(_) => Err(std::io::Error::other("not written")),
                None => writer.finish(),
            }
        });
        fault.map_or(written, Err)
    }
}

impl Pieces for PieceCounts {
    fn each(&self, visit: Visit<'_>) -> Result<()> {
        self.shards.iter().try_for_each(|shard| shard.each(&mut *visit))?;
        self.runs.each(visit)
    }
}

/// What the counters of all threads have in common.
#[derive(Debug)]
struct Shared {
    shards: Vec<Mutex<Shard>>,
    /// Numbers that nobody can foresee: no text can be written whose pieces all fall into one place.
    secrets: [u64; 2],
}

impl Shared {
    fn new() -> Shared {
        let random = RandomState::new();
        let secrets = [random.hash_one(0), random.hash_one(1)];
        Shared { shards: (0..SHARDS).map(|_| Mutex::new(Shard::default())).collect(), secrets }
    }

    /// Runs `work` on a shard, which no other thread has meanwhile.
    fn with_shard<T>(&self, number: usize, work: impl FnOnce(&mut Shard) -> T) -> T {
        work(&mut self.shards[number].lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn memory(&self) -> u64 {
        (0..SHARDS).map(|number| self.with_shard(number, |shard| shard.memory() as u64)).sum()
    }

    /// The shards as they are; empty ones take their places.
    fn take(&self) -> Vec<Shard> {
        (0..SHARDS).map(|number| self.with_shard(number, std::mem::take)).collect()
    }
}
