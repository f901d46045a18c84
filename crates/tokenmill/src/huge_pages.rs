//! Large pages for memory that is about to be filled.
//!
//! The first touch of a page of 4 KiB takes 1 to 4 µs (in a virtual machine the host takes part), which is as long as
//! encoding a kilobyte; a page of 2 MiB has one such touch.

use std::collections::TryReserveError;

/// Bytes of a large page on x86-64 and mostly elsewhere.
pub(crate) const HUGE_PAGE: usize = 2 << 20;

/// What the allocator may need for itself in a mapping of its own.
const HEADER: usize = 64;

/// Sees to it that a list has room for `more` items, in large pages where it is large enough and the system has them.
///
/// A large list that has no room is copied: where parts of its memory have large pages, Linux moves none of it, and what
/// `realloc` gives instead has small ones.
pub(crate) fn reserve<T: Copy>(list: &mut Vec<T>, more: usize) -> Result<(), TryReserveError> {
    let bytes = list.len().saturating_add(more).saturating_mul(size_of::<T>());
    if list.capacity() - list.len() >= more || bytes < 2 * HUGE_PAGE {
        return list.try_reserve_exact(more);
    }
    // Linux begins a mapping at a large page only if it is whole large pages.
    let whole = bytes.saturating_add(HEADER).checked_next_multiple_of(HUGE_PAGE).unwrap_or(usize::MAX);
    let mut larger = Vec::new();
    larger.try_reserve_exact((whole - HEADER) / size_of::<T>())?;
    ask(&larger);
    larger.extend_from_slice(list);
    *list = larger;
    Ok(())
}

/// Asks for large pages. Only a wish: systems may say no.
fn ask<T>(list: &Vec<T>) {
    #[cfg(target_os = "linux")]
    {
        const PAGE: usize = 4096;
        let start = list.as_ptr().addr();
        let (first, end) = (start / PAGE * PAGE, start + list.capacity() * size_of::<T>());
        let first = list.as_ptr().cast::<libc::c_void>().cast_mut().with_addr(first);
        // SAFETY: this advice changes no content and takes nothing away, of whomever the bytes in the first and the last
        // page may be; if there is no such page, the system says so.
        unsafe { libc::madvise(first, end - first.addr(), libc::MADV_HUGEPAGE) };
    }
    #[cfg(not(target_os = "linux"))]
    let _ = list;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_any_length_keep_what_they_have_and_get_the_room() {
        for len in [0, 1, 1000, HUGE_PAGE / 4 - 1, HUGE_PAGE / 2, HUGE_PAGE] {
            for more in [0, 1, 1000, HUGE_PAGE / 4, HUGE_PAGE] {
                let content: Vec<u32> = (0..len as u32).collect();
                let mut list = content.clone();
                reserve(&mut list, more).unwrap();
                assert!(list.capacity() - list.len() >= more, "{len} {more}");
                assert!(list == content, "{len} {more}");
            }
        }
    }

    #[test]
    fn room_that_is_there_is_used() {
        let mut list = Vec::<u16>::with_capacity(HUGE_PAGE);
        list.extend(0..1000);
        let before = list.as_ptr();
        reserve(&mut list, HUGE_PAGE - 1000).unwrap();
        assert_eq!(list.as_ptr(), before);
    }

    #[test]
    fn more_than_there_can_be_is_an_error() {
        for more in [usize::MAX, usize::MAX / 4, usize::MAX / 8] {
            let mut list = vec![7_u32, 8];
            assert!(reserve(&mut list, more).is_err());
            assert_eq!(list, [7, 8]);
        }
    }
}
