//! Where ids go: a list of 32-bit ids, one of 16-bit ids, or only a number.

/// Takes ids in order.
pub trait Output {
    /// Makes room for this many ids more, so that pushing need not.
    fn make_room(&mut self, additional: usize);

    /// Appends the first `count` of four ids of 32 bits each, the first in the lowest bits. `count` is at most 4.
    fn push_four(&mut self, ids: u128, count: usize);

    /// Appends ids.
    fn push_all(&mut self, ids: &[u32]);
}

/// As they lie in memory.
#[inline(always)]
fn four(ids: u128) -> [u8; 16] {
    if cfg!(target_endian = "little") {
        return ids.to_le_bytes();
    }
    let mut bytes = [0; 16];
    for (bytes, shift) in bytes.chunks_exact_mut(4).zip([0, 32, 64, 96]) {
        // 32 bits.
        bytes.copy_from_slice(&((ids >> shift) as u32).to_ne_bytes());
    }
    bytes
}

impl Output for Vec<u32> {
    #[inline]
    fn make_room(&mut self, additional: usize) {
        Vec::reserve(self, additional);
    }

    #[inline(always)]
    fn push_four(&mut self, ids: u128, count: usize) {
        let len = self.len();
        if self.capacity() - len < 4 {
            Vec::reserve(self, 4);
        }
        // SAFETY: there is room for four more, of which `count` <= 4 are kept; all four are written, as one store takes
        // less time than a loop that ends nobody knows where.
        unsafe {
            self.as_mut_ptr().add(len).cast::<[u8; 16]>().write_unaligned(four(ids));
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
    fn push_four(&mut self, ids: u128, count: usize) {
        let len = self.len();
        if self.capacity() - len < 4 {
            Vec::reserve(self, 4);
        }
        // SAFETY: as for 32 bits.
        unsafe {
            let ids = [0, 32, 64, 96].map(|shift| (ids >> shift) as u16);
            self.as_mut_ptr().add(len).cast::<[u16; 4]>().write_unaligned(ids);
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
    fn push_four(&mut self, _: u128, count: usize) {
        self.0 += count;
    }

    #[inline]
    fn push_all(&mut self, ids: &[u32]) {
        self.0 += ids.len();
    }
}
