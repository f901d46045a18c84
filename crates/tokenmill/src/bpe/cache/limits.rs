//! How much memory a cache may take.

use super::records::{Bounds, Line, MOST_SEGMENTS, SEGMENT};
use super::short::Bucket;
use crate::error::{Error, Result};
use std::sync::LazyLock;

/// The variable that sets how much memory the cache of one thread may take, in MiB.
const CACHE_VARIABLE: &str = "TOKENMILL_CACHE_MIB";

/// 524,288 short pieces in 16 MiB, 28 MiB of other pieces with their ids, and 524,288 places to find them by in 4 MiB. (Twice as
/// many short ones save a corpus less than their memory costs, which each thread touches for the first time.)
pub(super) const DEFAULT_MIB: usize = 48;

/// How large the tables of one cache may grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    pub buckets: usize,
    pub records: Bounds,
}

impl Limits {
    /// A third of the memory for short pieces, a twelfth for the index of the others, and what is left for these.
    pub(super) fn of(mib: usize) -> Limits {
        let bytes = mib << 20;
        let at_most = |count: usize| 1 << count.ilog2();
        Limits {
            buckets: at_most(bytes / 3 / size_of::<Bucket>()),
            records: Bounds {
                lines: at_most(bytes / 12 / size_of::<Line>()),
                segments: (bytes / 12 * 7 / SEGMENT).min(MOST_SEGMENTS),
                segment: SEGMENT,
            },
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
