//! Large pages for memory that is about to be filled.
//!
//! The first touch of a page of 4 KiB takes 1 to 4 µs (in a virtual machine the host takes part), which is as long as
//! encoding a kilobyte; a page of 2 MiB has one such touch.

use std::mem::MaybeUninit;

/// Asks for them, where the system has them and the memory is large enough to hold one. Only a wish: systems may say no.
pub(crate) fn ask<T>(memory: &mut [MaybeUninit<T>]) {
    #[cfg(target_os = "linux")]
    {
        const HUGE_PAGE: usize = 2 << 20;
        let bytes = size_of_val(memory);
        let start = memory.as_mut_ptr().cast::<libc::c_void>();
        let before = start.align_offset(HUGE_PAGE);
        let whole = bytes.saturating_sub(before) / HUGE_PAGE * HUGE_PAGE;
        if whole > 0 {
            // SAFETY: whole pages inside the slice. This advice changes no content and takes nothing away.
            unsafe { libc::madvise(start.byte_add(before), whole, libc::MADV_HUGEPAGE) };
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = memory;
}
