//! A view of stored token ids, whatever their width.

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
}
