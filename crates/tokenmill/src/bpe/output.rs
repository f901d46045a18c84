//! Where ids go: an array of either width, or nowhere but into a count.

use crate::error::{Error, Result};

/// Takes ids in the order of the text.
///
/// `Vec<u32>` holds any id, `Vec<u16>` those of at most 65,536 tokens (what encodes checks that first, with
/// [`Output::check`]), [`Count`] holds none and needs no memory.
pub trait Output: Send {
    /// How many ids can be told apart: every id must be below.
    const IDS: u64;

    /// Appends the first `count` of `ids`; at most 4.
    fn four(&mut self, ids: [u32; 4], count: usize);

    /// Appends all of `ids`.
    fn extend(&mut self, ids: &[u32]);

    /// Makes room for `additional` ids.
    fn reserve(&mut self, additional: usize);

    /// How many ids there are.
    fn len(&self) -> usize;

    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends one id.
    #[inline]
    fn push(&mut self, id: u32) {
        self.extend(&[id]);
    }

    /// Refuses a vocabulary whose ids do not fit.
    #[inline]
    fn check(vocab_size: usize) -> Result<()> {
        if vocab_size as u64 <= Self::IDS {
            return Ok(());
        }
        Err(Error::value(format!(
            "ids of a vocabulary of {vocab_size} do not fit into an array for {}; take a wider one",
            Self::IDS
        )))
    }
}

impl Output for Vec<u32> {
    const IDS: u64 = 1 << 32;

    /// One store of 16 bytes whatever `count` is: no loop, no branch that could be predicted wrongly.
    #[inline(always)]
    fn four(&mut self, ids: [u32; 4], count: usize) {
        if self.capacity() - self.len() < 4 {
            grow(self);
        }
        // SAFETY: there is capacity for 4 ids behind the length, all 4 are written, and the length grows by at most 4.
        unsafe {
            self.as_mut_ptr().add(self.len()).cast::<[u32; 4]>().write_unaligned(ids);
            self.set_len(self.len() + count.min(4));
        }
    }

    #[inline]
    fn extend(&mut self, ids: &[u32]) {
        self.extend_from_slice(ids);
    }

    fn reserve(&mut self, additional: usize) {
        Vec::reserve(self, additional);
    }

    #[inline]
    fn len(&self) -> usize {
        Vec::len(self)
    }
}

impl Output for Vec<u16> {
    const IDS: u64 = 1 << 16;

    /// One store of 8 bytes.
    #[inline(always)]
    fn four(&mut self, ids: [u32; 4], count: usize) {
        if self.capacity() - self.len() < 4 {
            grow(self);
        }
        // SAFETY: there is capacity for 4 ids behind the length, all 4 are written, and the length grows by at most 4.
        unsafe {
            self.as_mut_ptr().add(self.len()).cast::<[u16; 4]>().write_unaligned(ids.map(narrow));
            self.set_len(self.len() + count.min(4));
        }
    }

    #[inline]
    fn extend(&mut self, ids: &[u32]) {
        Extend::extend(self, ids.iter().copied().map(narrow));
    }

    fn reserve(&mut self, additional: usize) {
        Vec::reserve(self, additional);
    }

    #[inline]
    fn len(&self) -> usize {
        Vec::len(self)
    }
}

/// The places of a group of four behind `count` hold anything, so this cannot check.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "`Output::check` has seen that all ids are below 65,536")]
fn narrow(id: u32) -> u16 {
    id as u16
}

/// Apart, so that `four` is small enough to stand in every loop.
#[cold]
#[inline(never)]
fn grow<T>(ids: &mut Vec<T>) {
    ids.reserve(4);
}

/// Counts ids and keeps none.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Count(pub usize);

impl Output for Count {
    const IDS: u64 = u64::MAX;

    #[inline(always)]
    fn four(&mut self, _ids: [u32; 4], count: usize) {
        self.0 += count.min(4);
    }

    #[inline]
    fn extend(&mut self, ids: &[u32]) {
        self.0 += ids.len();
    }

    fn reserve(&mut self, _additional: usize) {}

    #[inline]
    fn len(&self) -> usize {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fill<O: Output>(out: &mut O, groups: &[([u32; 4], usize)]) {
        for (ids, count) in groups {
            out.four(*ids, *count);
            out.extend(&ids[..*count]);
        }
    }

    proptest! {
        #[test]
        fn all_outputs_take_the_same_ids(groups in prop::collection::vec((any::<[u16; 4]>(), 0..=4usize), 0..50)) {
            let groups: Vec<_> = groups.into_iter().map(|(ids, count)| (ids.map(u32::from), count)).collect();
            let want: Vec<u32> = groups.iter().flat_map(|(ids, count)| [&ids[..*count], &ids[..*count]].concat()).collect();
            let (mut wide, mut narrow, mut count) = (Vec::<u32>::new(), Vec::<u16>::new(), Count(0));
            fill(&mut wide, &groups);
            fill(&mut narrow, &groups);
            fill(&mut count, &groups);
            prop_assert_eq!(narrow.into_iter().map(u32::from).collect::<Vec<_>>(), want.clone());
            prop_assert_eq!(count.len(), want.len());
            prop_assert_eq!(wide, want);
        }
    }

    #[test]
    fn a_vocabulary_that_is_too_large_is_refused() {
        assert!(<Vec<u16> as Output>::check(65_536).is_ok());
        let error = <Vec<u16> as Output>::check(65_537).unwrap_err().to_string();
        assert!(error.contains("65537"), "{error}");
        assert!(<Vec<u32> as Output>::check(65_537).is_ok());
    }
}
