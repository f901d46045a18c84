//! Asks the system for all windows of a batch at once, where they have to come from a disk.
//!
//! A page that is not in memory is read when it is touched, one window after another, and 128 KiB around it. Asked for
//! beforehand, the windows of a batch are read beside each other and nothing else is: twice as many tokens a second from a
//! cold disk. Asking takes a microsecond a window, as long as copying it from memory does; so it is done only while
//! batches take longer than memory does.
//!
//! Where a batch has a few windows of a stretch of tokens of which others follow soon (`Shuffle::Block`), the whole stretch is asked
//! for: 800 MB took 860 reads, where windows alone took 3,900, and 19,600 in any order.

use super::Segments;
use crate::sample::Window;
use std::ops::Range;
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
    /// Asks the system to read windows, as far as there are such tokens, in whole stretches of so many tokens.
    pub(super) fn ask<'w>(&self, windows: impl Iterator<Item = &'w Window>, stretch: u64) {
        let mut asked = 0..0;
        let mut wanted: Vec<Range<u64>> = windows.map(|window| stretches(window, stretch)).collect();
        wanted.sort_unstable_by_key(|range| range.start);
        for range in wanted {
            // Most windows of a batch are in the same few stretches.
            if range.end > asked.end {
                self.ask_for(&(range.start.max(asked.end)..range.end));
                asked = range;
            }
        }
    }

    fn ask_for(&self, range: &Range<u64>) {
        let end = range.end.min(self.num_tokens());
        let mut place = range.start;
        while place < end {
            let Ok(Some((tokens, first))) = self.at(place) else { return };
            let here = usize::try_from(end - place).map_or(usize::MAX, |left| left.min(tokens.len() - first));
            will_need(tokens.bytes(first..first.saturating_add(here)));
            place += here as u64;
        }
    }
}

/// The stretches that a window is in, its last target included.
fn stretches(window: &Window, stretch: u64) -> Range<u64> {
    let stretch = stretch.max(1);
    let end = window.start.saturating_add(window.valid).saturating_add(1);
    window.start - window.start % stretch..end.checked_next_multiple_of(stretch).unwrap_or(u64::MAX)
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
        let windows = [(0, 1), (4999, 2), (10, 8000), (0, u64::MAX), (8000, 1), (u64::MAX, u64::MAX), (3, 0)];
        let windows = windows.map(|(start, valid)| Window { start, valid });
        for stretch in [0, 1, 7, 1 << 20, u64::MAX] {
            windows.iter().for_each(|window| segments.ask(std::iter::once(window), stretch));
            segments.ask(windows.iter(), stretch);
        }
        let file = tempfile::tempfile().unwrap();
        file.set_len(1 << 20).unwrap();
        // SAFETY: the file has no name, so nobody else changes it.
        let map = unsafe { memmap2::Mmap::map(&file) }.unwrap();
        // SAFETY: any bytes are numbers, and a map begins at a page.
        let (_, ids, _) = unsafe { map.align_to::<u16>() };
        let segments = Segments::new(vec![Tokens::U16(ids)]).unwrap();
        segments.ask([(777, 100_000), ((1 << 19) - 1, 100)].map(|(start, valid)| Window { start, valid }).iter(), 1);
    }

    #[test]
    fn whole_stretches_are_asked_for() {
        let of = |start, valid, stretch| stretches(&Window { start, valid }, stretch);
        assert_eq!((of(10, 4, 1), of(10, 4, 0)), (10..15, 10..15));
        assert_eq!((of(10, 4, 8), of(8, 7, 8), of(8, 8, 8)), (8..16, 8..16, 8..24));
        assert_eq!((of(u64::MAX - 1, 9, 8), of(5, u64::MAX, 4)), (u64::MAX - 7..u64::MAX, 4..u64::MAX));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_is_asked_for_comes_into_memory_and_nothing_else() {
        const STRETCH: u64 = 1 << 18; // 512 KiB
        let file = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut &file, &vec![1; 8 << 20]).unwrap();
        file.sync_all().unwrap();
        // SAFETY: the file has no name, so nobody else changes it.
        let map = unsafe { memmap2::Mmap::map(&file) }.unwrap();
        let fd = std::os::fd::AsRawFd::as_raw_fd(&file);
        // SAFETY: the descriptor is open; the advice changes no memory.
        if unsafe { libc::posix_fadvise(fd, 0, 0, libc::POSIX_FADV_DONTNEED) } != 0 || resident(&map, 0..8 << 20) > 0 {
            return; // a file system in memory, which drops nothing
        }
        // SAFETY: any bytes are numbers, and a map begins at a page.
        let (_, ids, _) = unsafe { map.align_to::<u16>() };
        let segments = Segments::new(vec![Tokens::U16(ids)]).unwrap();
        let windows = [3 * STRETCH + 5, 9 * STRETCH + 7, 3 * STRETCH + 99].map(|start| Window { start, valid: 8 });
        segments.ask(windows.iter(), STRETCH);
        let bytes = |number: usize| number << 19..(number + 1) << 19;
        let deadline = Instant::now() + Duration::from_secs(60);
        while [3, 9].iter().any(|&number| resident(&map, bytes(number)) < 128) && Instant::now() < deadline {
            std::thread::yield_now();
        }
        assert_eq!((0..16).map(|number| resident(&map, bytes(number)) / 128).sum::<usize>(), 2);
    }

    /// How many pages of 4 KiB are in memory.
    #[cfg(target_os = "linux")]
    fn resident(map: &memmap2::Mmap, bytes: Range<usize>) -> usize {
        let mut pages = vec![0u8; bytes.len() / 4096];
        // SAFETY: the range is within the map and begins at a page; there is a byte for each page.
        unsafe { libc::mincore(map[bytes.clone()].as_ptr().cast_mut().cast(), bytes.len(), pages.as_mut_ptr().cast()) };
        pages.iter().filter(|&&page| page & 1 == 1).count()
    }
}
