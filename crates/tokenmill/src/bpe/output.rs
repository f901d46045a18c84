//! Where ids go: a list of 32-bit ids, one of 16-bit ids, or only a number.

/// Takes ids in order.
pub trait Output {
    /// Makes room for this many ids more, so that pushing need not.
    fn make_room(&mut self, additional: usize);

    /// Appends the first `count` of four ids. `count` is at most 4.
    fn push_four(&mut self, ids: [u32; 4], count: usize);

    /// Appends ids.
    fn push_all(&mut self, ids: &[u32]);
}

impl Output for Vec<u32> {
    #[inline]
    fn make_room(&mut self, additional: usize) {
        Vec::reserve(self, additional);
    }

    #[inline(always)]
    fn push_four(&mut self, ids: [u32; 4], count: usize) {
        let len = self.len();
        if self.capacity() - len < 4 {
            Vec::reserve(self, 4);
        }
        // SAFETY: there is room for four more, of which `count` <= 4 are kept; all four are written, as one store takes
        // less time than a loop that ends nobody knows where.
        unsafe {
            self.as_mut_ptr().add(len).cast::<[u32; 4]>().write_unaligned(ids);
            self.set_len(len + count.min(4));
        }
    }

    #[inline]
    fn push_all(&mut self, ids: &[u32]) {
        self.extend_from_slice(ids);
    }
}

/// For vocabularies of at most 65,536 ids; the caller sees to that.
impl Output for Vec<u16> {
    #[inline]
    fn make_room(&mut self, additional: usize) {
        Vec::reserve(self, additional);
    }

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the caller's vocabulary has 16-bit ids")]
    fn push_four(&mut self, ids: [u32; 4], count: usize) {
        let len = self.len();
        if self.capacity() - len < 4 {
            Vec::reserve(self, 4);
        }
        // SAFETY: as for 32 bits.
        unsafe {
            self.as_mut_ptr().add(len).cast::<[u16; 4]>().write_unaligned(ids.map(|id| id as u16));
            self.set_len(len + count.min(4));
        }
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the caller's vocabulary has 16-bit ids")]
    fn push_all(&mut self, ids: &[u32]) {
        self.extend(ids.iter().map(|&id| id as u16));
    }
}

/// Counts ids and keeps none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count(pub usize);

impl Output for Count {
    #[inline]
    fn make_room(&mut self, _: usize) {}

    #[inline(always)]
    fn push_four(&mut self, _: [u32; 4], count: usize) {
        self.0 += count;
    }

    #[inline]
    fn push_all(&mut self, ids: &[u32]) {
        self.0 += ids.len();
    }
}
