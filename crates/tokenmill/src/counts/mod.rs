//! Counting distinct pieces of a corpus: the first half of training any tokenizer.
//!
//! ```text
//! text ─ cut ─► Counter: a small table of its own for each thread, for what comes up all the time
//!                  │ what it has no room for, in batches
//!                  ▼
//!               Shard: a part of all pieces, found by hash; each piece is in one of them, once
//! ```

mod counter;
mod shard;

pub use counter::Counter;

use crate::documents::{BlockSource, for_each_group};
use crate::error::Result;
use crate::monitor::Monitor;
use crate::threads;
use rayon::prelude::*;
use shard::Shard;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, PoisonError};

/// Shards: few enough that the batches on their way to them stay in the L2 cache, many enough that threads seldom
/// wait for each other.
const SHARDS: usize = 32;

/// Distinct pieces, and how often each occurs.
#[derive(Debug)]
pub struct PieceCounts {
    shards: Vec<Shard>,
}

/// Cuts every document with `cut(text, counter)`, which hands the pieces on to the counter. The result depends on the
/// documents alone, not on their order or the number of threads.
pub fn count_pieces(
    source: &mut dyn BlockSource,
    cut: impl Fn(&str, &mut Counter<'_>) -> Result<()> + Sync,
    monitor: &dyn Monitor,
) -> Result<PieceCounts> {
    let pool = threads::pool()?;
    let shared = Shared::new();
    let counters: Vec<Mutex<Counter<'_>>> =
        (0..pool.current_num_threads()).map(|_| Mutex::new(Counter::new(&shared))).collect();
    for_each_group(source, "counting", monitor, |group| {
        pool.install(|| {
            group.into_par_iter().try_for_each(|block| {
                let own = &counters[rayon::current_thread_index().unwrap_or(0)];
                let mut own = own.lock().unwrap_or_else(PoisonError::into_inner);
                block.parse()?.iter().try_for_each(|text| cut(text, &mut own))
            })
        })
    })?;
    for counter in counters {
        counter.into_inner().unwrap_or_else(PoisonError::into_inner).finish();
    }
    Ok(PieceCounts { shards: shared.into_shards() })
}

impl PieceCounts {
    /// Calls `visit(piece, count)` for each piece, in no particular order.
    pub fn each(&self, mut visit: impl FnMut(&[u8], u64)) {
        for shard in &self.shards {
            shard.each(&mut visit);
        }
    }

    /// All pieces and their counts in the order of their bytes.
    pub fn sorted(&self) -> Vec<(Box<[u8]>, u64)> {
        let mut all = Vec::with_capacity(self.len());
        self.each(|piece, count| all.push((piece.into(), count)));
        all.par_sort_unstable();
        all
    }

    /// How many distinct pieces there are.
    pub fn len(&self) -> usize {
        self.shards.iter().map(Shard::len).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
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

    fn into_shards(self) -> Vec<Shard> {
        self.shards.into_iter().map(|shard| shard.into_inner().unwrap_or_else(PoisonError::into_inner)).collect()
    }

    fn with_shard<T>(&self, number: usize, work: impl FnOnce(&mut Shard) -> T) -> T {
        work(&mut self.shards[number].lock().unwrap_or_else(PoisonError::into_inner))
    }
}
