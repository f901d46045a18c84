//! The thread pool that all parallel work runs in.
//!
//! A pool's threads do not survive `fork`, and a job sent to dead threads waits for ever (PyTorch workers fork by
//! default on Linux). So the pool remembers the process that made it, and a child makes its own.

use crate::error::{Error, Result};
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::sync::{Arc, Mutex, PoisonError};

static POOL: Mutex<Option<(u32, Arc<ThreadPool>)>> = Mutex::new(None);

/// The variable that sets the number of threads; unset means all processors.
pub const THREADS_VARIABLE: &str = "TOKENMILL_NUM_THREADS";

/// The pool of this process, built on first use.
pub fn pool() -> Result<Arc<ThreadPool>> {
    let mut slot = POOL.lock().unwrap_or_else(PoisonError::into_inner);
    let process = std::process::id();
    if let Some((owner, pool)) = slot.as_ref()
        && *owner == process
    {
        return Ok(Arc::clone(pool));
    }
    let pool = ThreadPoolBuilder::new()
        .num_threads(requested_threads()?)
        .thread_name(|i| format!("tokenmill-{i}"))
        .build()
        .map_err(|error| Error::value(format!("cannot start the worker threads: {error}")))?;
    let pool = Arc::new(pool);
    if let Some((_, stale)) = slot.replace((process, Arc::clone(&pool))) {
        // The parent's pool: its threads do not exist here, and dropping it would wait for them.
        std::mem::forget(stale);
    }
    Ok(pool)
}

/// 0 lets rayon take all processors.
fn requested_threads() -> Result<usize> {
    match std::env::var(THREADS_VARIABLE) {
        Err(_) => Ok(0),
        Ok(text) => match text.trim().parse::<usize>() {
            Ok(threads) if threads > 0 => Ok(threads),
            _ => Err(Error::value(format!(
                "{THREADS_VARIABLE}={text:?} is not a number of threads; set it to 1 or more"
            ))),
        },
    }
}
