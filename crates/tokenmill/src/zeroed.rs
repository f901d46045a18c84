//! Large tables that begin as zeros.

use memmap2::MmapMut;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

/// Types for which any bytes are a value, zeros among them.
///
/// # Safety
/// No padding, no invalid values, no pointers, an alignment of at most a page.
pub(crate) unsafe trait Plain: Copy {}

// SAFETY: integers.
unsafe impl Plain for u64 {}

/// A slice in memory of its own. On Linux tables of 2 MiB and more ask for huge pages: 512 times fewer faults, and
/// neighbours in the table share an entry of the TLB. And all pages are there from the start: one that is read before it is
/// written would be two faults, the second of which interrupts the other threads (a quarter of the time of two).
pub(crate) struct Zeroed<T: Plain> {
    map: MmapMut,
    len: usize,
    of: PhantomData<T>,
}

#[cfg(target_os = "linux")]
const HUGE_PAGE: usize = 2 << 20;

impl<T: Plain> Zeroed<T> {
    /// `len` zeros. Where the system has no memory left it aborts, as `Vec` does.
    pub(crate) fn new(len: usize) -> Zeroed<T> {
        let size = (len * size_of::<T>()).max(1);
        let Ok(map) = MmapMut::map_anon(size) else {
            std::alloc::handle_alloc_error(std::alloc::Layout::new::<T>());
        };
        #[cfg(target_os = "linux")]
        {
            // Wishes: kernels built without huge pages say no, and such as are older than 5.14 to the second.
            if size >= HUGE_PAGE {
                let _ = map.advise(memmap2::Advice::HugePage);
            }
            let _ = map.advise(memmap2::Advice::PopulateWrite);
        }
        Zeroed { map, len, of: PhantomData }
    }
}

impl<T: Plain> Deref for Zeroed<T> {
    type Target = [T];

    #[inline(always)]
    fn deref(&self) -> &[T] {
        // SAFETY: the map has room for `len` values and begins at a page; any bytes are a value of a `Plain` type.
        unsafe { std::slice::from_raw_parts(self.map.as_ptr().cast(), self.len) }
    }
}

impl<T: Plain> DerefMut for Zeroed<T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above, and the map is borrowed alone.
        unsafe { std::slice::from_raw_parts_mut(self.map.as_mut_ptr().cast(), self.len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_begin_as_zeros_and_keep_what_is_written() {
        for len in [0, 1, 1000, 1 << 19] {
            let mut table = Zeroed::<u64>::new(len);
            assert_eq!(table.len(), len);
            assert!(table.iter().all(|value| *value == 0));
            if let Some(last) = table.last_mut() {
                *last = 7;
            }
            assert_eq!(table.last().copied(), (len > 0).then_some(7));
        }
    }
}
