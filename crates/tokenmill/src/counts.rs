//! Counting distinct pieces of a corpus: the first half of training any tokenizer.

use crate::documents::{Block, BlockSource, for_each_group};
use crate::error::{Error, Result};
use crate::monitor::Monitor;
use crate::threads;
use rayon::prelude::*;
use rustc_hash::FxHashMap;
use std::sync::{Mutex, PoisonError};

/// A distinct piece and how often it occurs.
pub type Counted = (Box<[u8]>, u64);

type Counts = FxHashMap<Box<[u8]>, u64>;

/// Cuts every document with `cut(text, emit)` and counts what it emits. Sorted by bytes, so the result depends on the
/// documents alone, not on their order or the number of threads. Memory: distinct pieces × threads.
pub fn count_pieces(
    source: &mut dyn BlockSource,
    cut: impl Fn(&str, &mut dyn FnMut(&str)) -> Result<()> + Sync,
    monitor: &dyn Monitor,
) -> Result<Vec<Counted>> {
    let pool = threads::pool()?;
    let per_thread: Vec<Mutex<Counts>> = (0..pool.current_num_threads()).map(|_| Mutex::default()).collect();
    for_each_group(source, "counting", monitor, |group| {
        pool.install(|| {
            group.into_par_iter().try_for_each(|block| {
                let own = &per_thread[rayon::current_thread_index().unwrap_or(0)];
                count_block(block, &cut, &mut own.lock().unwrap_or_else(PoisonError::into_inner))
            })
        })
    })?;
    let mut all = Counts::default();
    for counts in per_thread {
        let counts = counts.into_inner().unwrap_or_else(PoisonError::into_inner);
        if all.is_empty() {
            all = counts;
            continue;
        }
        for (piece, count) in counts {
            let sum = all.entry(piece).or_default();
            *sum = sum.checked_add(count).ok_or_else(|| Error::value("a piece occurs more than 2^64 times"))?;
        }
    }
    let mut sorted: Vec<Counted> = all.into_iter().collect();
    pool.install(|| sorted.par_sort_unstable());
    Ok(sorted)
}

fn count_block(
    block: Block,
    cut: &(impl Fn(&str, &mut dyn FnMut(&str)) -> Result<()> + Sync),
    counts: &mut Counts,
) -> Result<()> {
    let documents = block.parse()?;
    for text in documents.iter() {
        cut(text, &mut |piece| match counts.get_mut(piece.as_bytes()) {
            Some(count) => *count += 1,
            None => {
                counts.insert(piece.as_bytes().into(), 1);
            }
        })?;
    }
    Ok(())
}
