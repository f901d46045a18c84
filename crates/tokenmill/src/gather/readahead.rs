//! Asks the system for all windows of a batch at once, where they have to come from a disk.
//!
//! A page that is not in memory is read when it is touched, one window after another, and 128 KiB around it. Asked for
//! beforehand, the windows of a batch are read beside each other and nothing else is: twice as many tokens a second from a
//! cold disk. Asking takes a microsecond a window, as long as copying it from memory does; so it is done only while
//! batches take longer than memory does.

use super::Segments;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// From memory an id takes 1 ns, 2 on a busy machine; from a cold disk 20 and more.
const SLOW: Duration = Duration::from_nanos(4);

/// Whether the last batch was slow. Of the process, as it is no more than a guess; at first it is not known what is in memory.
static COLD: AtomicBool = AtomicBool::new(true);

/// Does `copy`, which writes so many ids, after `ask` where the batch before was slow.
pub(super) fn paced<R>(ids: usize, ask: impl FnOnce(), copy: impl FnOnce() -> R) -> R {
    if COLD.load(Ordering::Relaxed) {
        ask();
    }
    let start = Instant::now();
    let result = copy();
    COLD.store(is_slow(ids, start.elapsed()), Ordering::Relaxed);
    result
}

/// A few ids say nothing: whatever is done once a batch takes longer.
fn is_slow(ids: usize, time: Duration) -> bool {
    let limit = u32::try_from(ids.max(1024)).map_or(Duration::MAX, |ids| SLOW * ids);
    time > limit
}

impl Segments<'_> {
    /// Asks the system to read the tokens from `start` on, as far as there are some.
    pub(super) fn ask(&self, start: u64, count: u64) {
        let end = start.saturating_add(count).min(self.num_tokens());
        let mut place = start;
        while place < end {
            let Ok(Some((tokens, first))) = self.at(place) else { return };
            let here = usize::try_from(end - place).map_or(usize::MAX, |left| left.min(tokens.len() - first));
            will_need(tokens.bytes(first..first.saturating_add(here)));
            place += here as u64;
        }
    }
}

#[cfg(unix)]
fn will_need(bytes: &[u8]) {
    use std::sync::OnceLock;
    static PAGE: OnceLock<usize> = OnceLock::new();
    // SAFETY: asks for a constant of the system.
    let page = *PAGE.get_or_init(|| usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096));
    let before = bytes.as_ptr().addr() % page;
    // SAFETY: from the beginning of a page that is mapped to the end of the slice. This advice changes no memory.
    unsafe {
        libc::madvise(
            bytes.as_ptr().wrapping_sub(before).cast_mut().cast(),
            bytes.len() + before,
            libc::MADV_WILLNEED, // a wish: what it returns does not matter
        );
    }
}

#[cfg(not(unix))]
fn will_need(_: &[u8]) {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokens::Tokens;

    #[test]
    fn a_batch_is_slow_by_the_time_of_an_id() {
        assert!(!is_slow(32 * 1025, Duration::from_micros(35)) && !is_slow(32 * 1025, Duration::from_micros(120)));
        assert!(is_slow(32 * 1025, Duration::from_micros(700)));
        assert!(!is_slow(8, Duration::from_micros(3)) && is_slow(8, Duration::from_micros(300)));
        assert!(!is_slow(usize::MAX, Duration::from_secs(1 << 40)));
    }

    #[test]
    fn it_asks_where_the_batch_before_was_slow_and_only_there() {
        let asked = |time: Duration| {
            paced(1, || (), || std::thread::sleep(time));
            let mut asked = false;
            paced(1, || asked = true, || ());
            asked
        };
        // Other tests gather in the same process: what they leave may come between.
        assert!((0..100).any(|_| asked(Duration::from_millis(2))));
        assert!((0..100).any(|_| !asked(Duration::ZERO)));
    }

    #[test]
    fn any_range_may_be_asked_for() {
        let (a, b) = ([1u16; 5000], [2i64; 3000]);
        let segments = Segments::new(vec![Tokens::U16(&a), Tokens::U16(&[]), Tokens::I64(&b)]).unwrap();
        for (start, count) in [(0, 1), (4999, 2), (10, 8000), (0, u64::MAX), (8000, 1), (u64::MAX, u64::MAX), (3, 0)] {
            segments.ask(start, count);
        }
        let file = tempfile::tempfile().unwrap();
        file.set_len(1 << 20).unwrap();
        // SAFETY: the file has no name, so nobody else changes it.
        let map = unsafe { memmap2::Mmap::map(&file) }.unwrap();
        // SAFETY: any bytes are numbers, and a map begins at a page.
        let (_, ids, _) = unsafe { map.align_to::<u16>() };
        let segments = Segments::new(vec![Tokens::U16(ids)]).unwrap();
        segments.ask(777, 100_000);
        segments.ask((1 << 19) - 1, 100);
    }
}
