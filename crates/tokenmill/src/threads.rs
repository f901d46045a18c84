//! The thread pool that all parallel work runs in.
//!
//! A pool's threads do not survive `fork`, and a job sent to dead threads waits for ever (PyTorch workers fork by
//! default on Linux). So the pool remembers the process that made it, and a child makes its own. No lock guards it: one
//! that another thread of the parent held at the moment of the `fork` would stay locked in the child.

use crate::error::{Error, Result};
use rayon::{ScopeFifo, ThreadPool, ThreadPoolBuilder};
use std::num::NonZeroUsize;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// A pool and the process whose threads it has.
struct Owned {
    process: u32,
    pool: ThreadPool,
}

/// Null, or a pool that lives as long as the process.
static POOL: AtomicPtr<Owned> = AtomicPtr::new(ptr::null_mut());

/// The variable that sets the number of threads; unset means all processors.
pub const THREADS_VARIABLE: &str = "TOKENMILL_NUM_THREADS";

/// The pool of this process, built on first use.
pub fn pool() -> Result<&'static ThreadPool> {
    let known = POOL.load(Ordering::Acquire);
    let process = std::process::id();
    // SAFETY: what is stored here is never freed, and Acquire shows all that was written to it before.
    if let Some(owned) = unsafe { known.as_ref() }
        && owned.process == process
    {
        return Ok(&owned.pool);
    }
    let made = Box::into_raw(Box::new(Owned { process, pool: build(requested_threads()?)? }));
    // A parent's pool stays where it is: its threads do not exist here, and dropping it would wait for them.
    match POOL.compare_exchange(known, made, Ordering::AcqRel, Ordering::Acquire) {
        // SAFETY: `made` is now shared and never freed.
        Ok(_) => Ok(unsafe { &(*made).pool }),
        Err(winner) => {
            // SAFETY: `made` came out of a box above, and nobody else has seen it. Its threads end.
            drop(unsafe { Box::from_raw(made) });
            // SAFETY: only pools replace what was there, and another thread of this process has just put one.
            Ok(unsafe { &(*winner).pool })
        }
    }
}

/// Runs `work` in the pool of this process, or in one of its own with so many threads.
pub fn with_pool<T>(threads: Option<NonZeroUsize>, work: impl FnOnce(&ThreadPool) -> Result<T>) -> Result<T> {
    match threads {
        None => work(pool()?),
        Some(threads) => work(&build(threads.get())?),
    }
}

/// Runs `work` on this thread, with a scope whose jobs go to the pool that this thread belongs to, or to that of the
/// process.
pub fn scope<'a, T>(work: impl FnOnce(&ScopeFifo<'a>) -> T) -> Result<T> {
    if rayon::current_thread_index().is_some() {
        Ok(rayon::in_place_scope_fifo(work))
    } else {
        Ok(pool()?.in_place_scope_fifo(work))
    }
}

/// How many threads [`scope`] has.
pub fn count() -> Result<usize> {
    match rayon::current_thread_index() {
        Some(_) => Ok(rayon::current_num_threads()),
        None => Ok(pool()?.current_num_threads()),
    }
}

/// Starting more threads than this takes what they would save.
const MOST_BRIEFLY: usize = 8;

/// Runs `work` in a pool that ends with it, and tells it whether there is one: not for one thread, nor where the system
/// gives no more. A process that has only loaded a tokenizer has one thread before and after, as Python warns of a `fork`
/// where there are several.
pub fn briefly<R: Send>(mut work: impl FnMut(bool) -> R + Send) -> Result<R> {
    let threads = match requested_threads()? {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    };
    if threads > 1 {
        let pool = ThreadPoolBuilder::new().num_threads(threads.min(MOST_BRIEFLY));
        let done = pool.build_scoped(rayon::ThreadBuilder::run, |pool| pool.install(|| work(true)));
        if let Ok(done) = done {
            return Ok(done);
        }
    }
    Ok(work(false))
}

/// A pool; 0 threads let rayon take all processors.
fn build(threads: usize) -> Result<ThreadPool> {
    ThreadPoolBuilder::new()
        .num_threads(threads)
        .thread_name(|i| format!("tokenmill-{i}"))
        .build()
        .map_err(|error| Error::value(format!("cannot start the worker threads: {error}")))
}

/// What the environment asks for; 0: nothing.
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

#[cfg(test)]
mod tests {
    #[test]
    fn threads_that_ask_at_once_get_the_same_pool() {
        let ask = || std::ptr::from_ref(super::pool().unwrap()) as usize;
        let first = ask();
        std::thread::scope(|scope| {
            let all: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
            assert!(all.into_iter().all(|thread| thread.join().unwrap() == first));
        });
    }
}
