//! Memory between two pages that may not be touched: reading a byte too much ends the process.

use std::ptr::NonNull;

/// Some pages of memory, an inaccessible one before and one behind.
pub struct Guarded {
    base: NonNull<u8>,
    page: usize,
    /// Bytes between the two inaccessible pages.
    size: usize,
}

impl Guarded {
    /// Room for texts of at least `size` bytes.
    pub fn new(size: usize) -> Guarded {
        // SAFETY: asks for a number.
        let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap();
        let size = size.next_multiple_of(page).max(2 * page);
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping, at an address of the system's choice.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), size + 2 * page, libc::PROT_NONE, flags, -1, 0) };
        assert_ne!(base, libc::MAP_FAILED, "no memory");
        let base = NonNull::new(base.cast::<u8>()).unwrap();
        // SAFETY: these pages are ours, and nothing refers to them yet.
        let opened =
            unsafe { libc::mprotect(base.as_ptr().add(page).cast(), size, libc::PROT_READ | libc::PROT_WRITE) };
        assert_eq!(opened, 0);
        Guarded { base, page, size }
    }

    /// A copy of `text` that ends where the last accessible page does.
    pub fn at_end(&mut self, text: &str) -> &str {
        self.copy(text, self.size - text.len())
    }

    /// A copy of `text` that begins where the first accessible page does.
    pub fn at_start(&mut self, text: &str) -> &str {
        self.copy(text, 0)
    }

    /// A copy of `text` whose byte `at` is the first of a page.
    pub fn across(&mut self, text: &str, at: usize) -> &str {
        let page = at.next_multiple_of(self.page);
        self.copy(text, page - at)
    }

    fn copy(&mut self, text: &str, offset: usize) -> &str {
        assert!(offset + text.len() <= self.size, "a text of {} bytes at {offset}", text.len());
        // SAFETY: the bytes lie between the inaccessible pages (asserted), are initialized by the copy, and are those of
        // a str; `self` stays borrowed as long as the result lives.
        unsafe {
            let to = self.base.as_ptr().add(self.page + offset);
            to.copy_from_nonoverlapping(text.as_ptr(), text.len());
            std::str::from_utf8_unchecked(std::slice::from_raw_parts(to, text.len()))
        }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // SAFETY: our own mapping; texts in it borrow `self` and are gone.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.size + 2 * self.page) };
    }
}
