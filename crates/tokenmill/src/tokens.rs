//! A view of stored token ids, whatever their width.

use std::ops::Range;

/// A run of ids in memory (or in a memory map).
#[derive(Debug, Clone, Copy)]
pub enum Tokens<'a> {
    /// 16-bit ids.
    U16(&'a [u16]),
    /// 32-bit ids.
    U32(&'a [u32]),
    /// 32-bit signed, from arrays of the caller's.
    I32(&'a [i32]),
    /// 64-bit signed, from arrays of the caller's.
    I64(&'a [i64]),
}

impl Tokens<'_> {
    /// How many ids.
    pub fn len(&self) -> usize {
        match self {
            Tokens::U16(ids) => ids.len(),
            Tokens::U32(ids) => ids.len(),
            Tokens::I32(ids) => ids.len(),
            Tokens::I64(ids) => ids.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The memory of some of the ids; none where they are not all there.
    pub(crate) fn bytes(&self, range: Range<usize>) -> &[u8] {
        fn of<T>(ids: &[T], range: Range<usize>) -> &[u8] {
            let part = ids.get(range).unwrap_or_default();
            // SAFETY: initialised integers without padding, as bytes.
            unsafe { std::slice::from_raw_parts(part.as_ptr().cast(), size_of_val(part)) }
        }
        match self {
            Tokens::U16(ids) => of(ids, range),
            Tokens::U32(ids) => of(ids, range),
            Tokens::I32(ids) => of(ids, range),
            Tokens::I64(ids) => of(ids, range),
        }
    }
}
