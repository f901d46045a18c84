//! Copies windows of ids out of the segments they are stored in, into buffers of the caller's.

mod columns;
mod readahead;
mod widen;

pub use columns::{Columns, IGNORED, NO_DOCUMENT, Rows, Sequences, Source, Style, gather_columns};

use crate::error::{Error, Result};
use crate::sample::Window;
use crate::store::Store;
use crate::threads;
use crate::tokens::Tokens;
use rayon::prelude::*;
use widen::{AHEAD, widen};

/// Output from which the threads are worth waking. One thread writes 1 MiB from warm memory in about 100 µs; handing
/// work to the pool costs about 10.
const PARALLEL_BYTES: usize = 1 << 20;

/// The least output for one job: an eighth of that, so that threads share even the smallest parallel batch.
const JOB_BYTES: usize = PARALLEL_BYTES / 8;

/// Tokens stored in pieces, read as one sequence.
#[derive(Debug)]
pub enum Segments<'a> {
    /// Arrays, one after another; empty ones are allowed. The second list says where each ends in the sequence.
    Arrays(Vec<Tokens<'a>>, Vec<u64>),
    /// The shards of a store. Thousands of them need not be listed for each batch.
    Store(&'a Store),
}

impl<'a> Segments<'a> {
    /// The parts one after another.
    ///
    /// # Errors
    /// More tokens in all than a `u64` counts.
    pub fn new(parts: Vec<Tokens<'a>>) -> Result<Segments<'a>> {
        let mut end = 0u64;
        let ends = parts
            .iter()
            .map(|part| {
                end = end.checked_add(part.len() as u64)?;
                Some(end)
            })
            .collect::<Option<Vec<u64>>>()
            .ok_or_else(|| Error::value("the segments have more than 2^64 - 1 tokens"))?;
        Ok(Segments::Arrays(parts, ends))
    }

    /// Tokens in all segments.
    pub fn num_tokens(&self) -> u64 {
        match self {
            Segments::Arrays(_, ends) => ends.last().copied().unwrap_or(0),
            Segments::Store(store) => store.num_tokens(),
        }
    }

    /// The segment that a token is in, and its place there.
    fn at(&self, token: u64) -> Result<Option<(Tokens<'a>, usize)>> {
        match self {
            Segments::Store(store) => store.segment_at(token),
            Segments::Arrays(parts, ends) => Ok(array_at(parts, ends, token)),
        }
    }

    /// Asks for the memory of a window, as far as its first segment has it.
    fn prefetch(&self, window: &Window) {
        if let Ok(Some((tokens, first))) = self.at(window.start) {
            let count = window.valid.saturating_add(1).min((tokens.len() - first) as u64);
            let count = usize::try_from(count).unwrap_or(usize::MAX);
            widen::ask(tokens.bytes(first..first + count));
        }
    }

    /// Copies the tokens from `start` on, as many as `out` takes, across segments.
    fn copy<T: Id>(&self, start: u64, mut out: &mut [T]) -> Result<()> {
        let mut place = start;
        while !out.is_empty() {
            let Some((tokens, first)) = self.at(place)? else {
                return Err(Error::value(format!(
                    "tokens {start} and following are not all in the data, which has {}; were the plan and the data made \
                     for each other?",
                    self.num_tokens()
                )));
            };
            let (now, later) = out.split_at_mut(out.len().min(tokens.len() - first));
            if let Err(id) = T::copy(tokens, first, now) {
                return Err(Error::value(format!(
                    "id {id}, among tokens {place} and following, does not fit the {} output; use int64",
                    T::NAME
                )));
            }
            place = place.saturating_add(now.len() as u64);
            out = later;
        }
        Ok(())
    }
}

fn array_at<'a>(parts: &[Tokens<'a>], ends: &[u64], token: u64) -> Option<(Tokens<'a>, usize)> {
    let part = ends.partition_point(|&end| end <= token);
    let tokens = parts.get(part)?;
    let left = usize::try_from(ends.get(part)? - token).ok()?;
    Some((*tokens, tokens.len().checked_sub(left)?))
}

/// An integer type of the output: `i64` or `i32`.
pub trait Id: Copy + Send + Sync + From<i32> + TryFrom<i64> {
    /// NumPy's name of it.
    const NAME: &'static str;

    /// Copies `tokens[first ..]` into `out`, which is not longer; an id that does not fit is the error.
    fn copy(tokens: Tokens<'_>, first: usize, out: &mut [Self]) -> std::result::Result<(), i64>;
}

impl Id for i64 {
    const NAME: &'static str = "int64";

    fn copy(tokens: Tokens<'_>, first: usize, out: &mut [i64]) -> std::result::Result<(), i64> {
        match tokens {
            Tokens::U16(ids) => widen(&ids[first..], out),
            Tokens::U32(ids) => widen(&ids[first..], out),
            Tokens::I32(ids) => widen(&ids[first..], out),
            Tokens::I64(ids) => widen(&ids[first..], out),
        }
        Ok(())
    }
}

impl Id for i32 {
    const NAME: &'static str = "int32";

    fn copy(tokens: Tokens<'_>, first: usize, out: &mut [i32]) -> std::result::Result<(), i64> {
        match tokens {
            Tokens::U16(ids) => widen(&ids[first..], out),
            Tokens::I32(ids) => widen(&ids[first..], out),
            Tokens::U32(ids) => return narrow(&ids[first..], out),
            Tokens::I64(ids) => return narrow(&ids[first..], out),
        }
        Ok(())
    }
}

/// Some id may not fit. It is looked for only after the copy: a loop that can leave early is not vectorised.
#[inline]
fn narrow<S: Copy + Into<i64>>(ids: &[S], out: &mut [i32]) -> std::result::Result<(), i64> {
    let mut fits = true;
    for (slot, &id) in out.iter_mut().zip(ids) {
        let wide: i64 = id.into();
        #[expect(clippy::cast_possible_truncation, reason = "compared with the whole number in the next line")]
        let low = wide as i32;
        fits &= i64::from(low) == wide;
        *slot = low;
    }
    let too_large = |&id: &S| Some(id.into()).filter(|&wide| i32::try_from(wide).is_err());
    if fits { Ok(()) } else { ids.iter().find_map(too_large).map_or(Ok(()), Err) }
}

/// Fills `out`, row after row of `max_length + 1` ids: a window's inputs and its last target. Large batches are shared
/// among the threads of [`threads::pool`]. From a disk whole stretches of so many tokens are read, or with 1 the windows.
///
/// # Errors
/// `out` has another size than `windows.len()` rows; a window has fewer than `max_length` targets, or is not in the data;
/// an id does not fit `T`.
pub fn gather<T: Id>(
    segments: &Segments<'_>,
    windows: &[Window],
    max_length: u64,
    stretch: u64,
    out: &mut [T],
) -> Result<()> {
    let width = max_length.checked_add(1).and_then(|width| usize::try_from(width).ok());
    let size = width.and_then(|width| width.checked_mul(windows.len()));
    let (Some(width), true) = (width, size == Some(out.len())) else {
        return Err(Error::value(format!(
            "the output has {} ids; {} windows of max_length={max_length} fill rows of max_length + 1",
            out.len(),
            windows.len()
        )));
    };
    let fill = |(row, (number, window)): (&mut [T], (usize, &Window))| {
        if let Some(later) = windows.get(number + AHEAD) {
            segments.prefetch(later);
        }
        if window.valid != max_length {
            return Err(Error::value(format!("the window at token {} is not max_length long", window.start)));
        }
        segments.copy(window.start, row)
    };
    readahead::paced(
        out.len(),
        || segments.ask(windows.iter(), stretch),
        || {
            windows.iter().take(AHEAD).for_each(|window| segments.prefetch(window));
            if size_of_val(out) >= PARALLEL_BYTES && windows.len() > 1 {
                let rows_per_job = (JOB_BYTES / (width * size_of::<T>())).max(1);
                let numbered = windows.par_iter().enumerate();
                let rows = out.par_chunks_exact_mut(width).zip(numbered).with_min_len(rows_per_job);
                if threads::pool()?.install(|| rows.try_for_each(fill)).is_ok() {
                    return Ok(());
                }
                // Some row failed, which one depends on the threads: go on to report the first.
            }
            out.chunks_exact_mut(width).zip(windows.iter().enumerate()).try_for_each(fill)
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{Tail, Windows};

    fn all_windows(n: u64, length: u64, stride: u64, tail: Tail) -> Vec<Window> {
        let windows = Windows::new(n, length, stride, tail).unwrap();
        (0..windows.count()).map(|i| windows.get(i).unwrap()).collect()
    }

    #[test]
    fn windows_cross_segments_of_any_width() {
        let (a, b, c, d) = ([0u16, 1, 2], [3u32], [4i32, 5, 6, 7, 8], [9i64, 10]);
        let parts = vec![
            Tokens::U16(&[]),
            Tokens::U16(&a),
            Tokens::U32(&b),
            Tokens::U32(&[]),
            Tokens::I32(&c),
            Tokens::I64(&d),
        ];
        let segments = Segments::new(parts).unwrap();
        assert_eq!(segments.num_tokens(), 11);
        for length in 1..10u64 {
            let windows = all_windows(11, length, 1, Tail::Drop);
            let expected: Vec<i64> =
                (0..11 - i64::try_from(length).unwrap()).flat_map(|s| s..=s + i64::try_from(length).unwrap()).collect();
            let mut wide = vec![-7i64; expected.len()];
            gather(&segments, &windows, length, 1, &mut wide).unwrap();
            assert_eq!(wide, expected);
            let mut narrow = vec![-7i32; expected.len()];
            gather(&segments, &windows, length, 1, &mut narrow).unwrap();
            assert!(narrow.iter().map(|&id| i64::from(id)).eq(expected));
        }
    }

    #[test]
    fn large_batches_equal_small_ones() {
        let ids: Vec<u16> = (0..60_000).collect();
        let parts = ids.chunks(777).map(Tokens::U16).collect();
        let segments = Segments::new(parts).unwrap();
        let windows = all_windows(60_000, 255, 60, Tail::Drop);
        let mut together = vec![0i64; windows.len() * 256];
        assert!(size_of_val(&together[..]) >= PARALLEL_BYTES);
        gather(&segments, &windows, 255, 1, &mut together).unwrap();
        for (row, window) in together.chunks(256).zip(&windows) {
            let first = i64::try_from(window.start).unwrap();
            assert!(row.iter().copied().eq(first..first + 256));
        }
    }

    #[test]
    fn ids_that_do_not_fit_are_named() {
        let (wide, unsigned) = ([1i64, i64::from(i32::MAX) + 1, -5_000_000_000], [7u32, u32::MAX]);
        let window = [Window { start: 0, valid: 1 }];
        for (tokens, id) in [(Tokens::I64(&wide), "2147483648"), (Tokens::U32(&unsigned), "4294967295")] {
            let segments = Segments::new(vec![tokens]).unwrap();
            let error = gather(&segments, &window, 1, 1, &mut [0i32; 2]).unwrap_err().to_string();
            assert!(error.contains(id) && error.contains("int32"), "{error}");
            let mut out = [0i64; 2];
            gather(&segments, &window, 1, 1, &mut out).unwrap();
            assert_eq!(out[1].to_string(), id);
        }
    }

    #[test]
    fn windows_outside_the_data_and_wrong_buffers_are_errors() {
        let ids = [1u16, 2, 3];
        let segments = Segments::new(vec![Tokens::U16(&ids)]).unwrap();
        for (start, valid) in [(2, 2), (3, 2), (u64::MAX, 2), (0, u64::MAX), (0, 1)] {
            let result = gather(&segments, &[Window { start, valid }], 2, 1, &mut [0i64; 3]);
            assert!(result.is_err(), "{start} {valid}");
        }
        let window = [Window { start: 0, valid: 2 }];
        assert!(gather(&segments, &window, 2, 1, &mut [0i64; 4]).is_err());
        assert!(gather(&segments, &window, u64::MAX, 1, &mut [0i64; 4]).is_err());
        let none = Segments::new(Vec::new()).unwrap();
        assert!(gather(&none, &window, 2, 1, &mut [0i64; 3]).is_err());
        assert!(gather(&none, &[], 2, 1, &mut [0i64; 0]).is_ok());
    }
}
