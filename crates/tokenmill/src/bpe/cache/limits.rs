//! How much memory a cache may take.

use super::Bucket;
use super::medium::Pair;
use crate::error::{Error, Result};
use std::sync::LazyLock;

/// The variable that sets how much memory the cache of one thread may take, in MiB.
const CACHE_VARIABLE: &str = "TOKENMILL_CACHE_MIB";

/// A million short pieces in 32 MiB, 131,072 pairs of medium ones in 16 MiB, and 16,384 long ones, which with their
/// allocations take 1 KiB at most.
pub(super) const DEFAULT_MIB: usize = 64;

/// How large the tables of one cache may grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    pub buckets: usize,
    pub pairs: usize,
    pub long: usize,
}

impl Limits {
    /// Half of the memory for short pieces, a quarter each for the others.
    pub(super) fn of(mib: usize) -> Limits {
        let bytes = mib << 20;
        let at_most = |count: usize| 1 << count.ilog2();
        Limits {
            buckets: at_most(bytes / 2 / size_of::<Bucket>()),
            pairs: at_most(bytes / 4 / size_of::<Pair>()),
            long: bytes / 4 / 1024,
        }
    }

    /// Of this process.
    pub(super) fn get() -> Limits {
        static LIMITS: LazyLock<Limits> = LazyLock::new(|| Limits::of(requested_mib().unwrap_or(DEFAULT_MIB)));
        *LIMITS
    }
}

/// What the environment asks for.
fn requested_mib() -> Result<usize> {
    match std::env::var(CACHE_VARIABLE) {
        Err(_) => Ok(DEFAULT_MIB),
        Ok(text) => match text.trim().parse() {
            Ok(mib @ 1..=65_536) => Ok(mib),
            _ => Err(Error::value(format!(
                "{CACHE_VARIABLE}={text:?} is not a size in MiB; set it to a number from 1 to 65536 (default {DEFAULT_MIB})"
            ))),
        },
    }
}

/// Refuses a value of the variable that is no size, before a cache is made by it.
pub(in crate::bpe) fn check_variable() -> Result<()> {
    requested_mib().map(drop)
}
