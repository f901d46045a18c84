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

// SAFETY: integers.
unsafe impl Plain for u8 {}

/// A slice in memory of its own, which can grow where it is. Its pages are there from the start: one that is read before it
/// is written would be two faults, the second of which interrupts the other threads (a quarter of the time of two). From
/// 2 MiB on it asks for huge pages on Linux: 512 times fewer faults, and neighbours in the table share an entry of the TLB.
pub(crate) struct Zeroed<T: Plain> {
    /// Has room for the most that it may grow to. What nobody has touched costs nothing.
    map: MmapMut,
    len: usize,
    of: PhantomData<T>,
}

impl<T: Plain> Zeroed<T> {
    /// `len` zeros, which may grow to `most`. Where the system has no memory left it aborts, as `Vec` does.
    pub(crate) fn new(len: usize, most: usize) -> Zeroed<T> {
        let Ok(map) = MmapMut::map_anon((most.max(len) * size_of::<T>()).max(1)) else {
            std::alloc::handle_alloc_error(std::alloc::Layout::new::<T>());
        };
        let mut zeroed = Zeroed { map, len: 0, of: PhantomData };
        zeroed.grow(len);
        zeroed
    }

    /// Makes it twice as long, which it must have room for. What is new is zeros.
    pub(crate) fn double(&mut self) {
        self.grow(self.len * 2);
    }

    /// Makes it longer, which it must have room for. What is new is zeros.
    pub(crate) fn grow(&mut self, len: usize) {
        let (start, end) = (self.len * size_of::<T>(), len * size_of::<T>());
        assert!(end <= self.map.len(), "no room for {len}");
        #[cfg(target_os = "linux")]
        {
            // Wishes: kernels built without huge pages say no, and such as are older than 5.14 to the second.
            if start >= crate::huge_pages::HUGE_PAGE {
                let _ = self.map.advise_range(memmap2::Advice::HugePage, start, end - start);
            }
            let _ = self.map.advise_range(memmap2::Advice::PopulateWrite, start, end - start);
        }
        self.len = len;
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
    fn tables_begin_as_zeros_and_keep_what_is_written_when_they_grow() {
        for len in [0, 1, 1000, 1 << 19] {
            let mut table = Zeroed::<u64>::new(len, 4 * len);
            assert_eq!(table.len(), len);
            for grown in [2 * len, 4 * len] {
                assert!(table.iter().all(|value| *value == 0 || *value == 7));
                let sevens = table.iter().filter(|value| **value == 7).count();
                if let Some(last) = table.last_mut() {
                    *last = 7;
                }
                table.double();
                assert_eq!(table.len(), grown);
                assert_eq!(table.iter().filter(|value| **value == 7).count(), sevens + usize::from(len > 0));
            }
        }
    }

    #[test]
    #[should_panic(expected = "no room for 8")]
    fn a_table_does_not_grow_beyond_its_bound() {
        Zeroed::<u64>::new(4, 7).double();
    }
}
