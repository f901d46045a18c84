//! Where ids go: a list of 32-bit ids, one of 16-bit ids, or only a number.

use crate::error::{Error, Result};
use rayon::prelude::*;

/// Takes ids in order.
pub trait Output: Default + Send {
    /// How many different ids it can hold: every id must be below.
    const IDS: u64;

    /// Refuses a vocabulary whose ids do not fit. Whoever encodes asks once, so that storing an id need not.
    #[inline]
    fn check(vocab_size: usize) -> Result<()> {
        if vocab_size as u64 <= Self::IDS {
            return Ok(());
        }
        Err(Error::value(format!(
            "the ids of {vocab_size} tokens do not fit into an array for {} of them; take one of wider integers",
            Self::IDS
        )))
    }

    /// How many ids it has taken.
    fn count(&self) -> usize;

    /// Appends all that `parts` have taken, in order. With copies to make, it makes them on all threads of the pool
    /// that it is called in.
    fn push_parts(&mut self, parts: Vec<Self>);

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
    const IDS: u64 = 1 << 32;

    #[inline]
    fn count(&self) -> usize {
        self.len()
    }

    fn push_parts(&mut self, parts: Vec<Self>) {
        append(self, parts);
    }

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

/// For vocabularies of at most 65,536 ids: see [`Output::check`].
impl Output for Vec<u16> {
    const IDS: u64 = 1 << 16;

    #[inline]
    fn count(&self) -> usize {
        self.len()
    }

    fn push_parts(&mut self, parts: Vec<Self>) {
        append(self, parts);
    }

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
    const IDS: u64 = u64::MAX;

    #[inline]
    fn count(&self) -> usize {
        self.0
    }

    fn push_parts(&mut self, parts: Vec<Self>) {
        self.0 += parts.iter().map(|part| part.0).sum::<usize>();
    }

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

/// One allocation, then every part is copied to its place and freed by some thread: first touching so many pages takes
/// longer than the copying.
fn append<T: Copy + Send + Sync>(ids: &mut Vec<T>, mut parts: Vec<Vec<T>>) {
    if ids.is_empty() && parts.len() == 1 {
        *ids = parts.swap_remove(0);
        return;
    }
    let length = ids.len();
    let total: usize = parts.iter().map(Vec::len).sum();
    ids.reserve(total);
    let mut room = &mut ids.spare_capacity_mut()[..total];
    let mut copies = Vec::with_capacity(parts.len());
    for part in parts {
        let (place, rest) = std::mem::take(&mut room).split_at_mut(part.len());
        copies.push((place, part));
        room = rest;
    }
    copies.into_par_iter().for_each(|(place, part)| {
        // SAFETY: the place has the length of the part, and they cannot overlap: one is borrowed mutably.
        unsafe { std::ptr::copy_nonoverlapping(part.as_ptr(), place.as_mut_ptr().cast::<T>(), part.len()) };
    });
    // SAFETY: the places are side by side and cover the `total` elements behind the length; all have been written.
    unsafe { ids.set_len(length + total) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Groups = Vec<([u32; 4], usize)>;

    fn filled<O: Output>(groups: &Groups) -> O {
        let mut out = O::default();
        for (ids, count) in groups {
            let four = ids.iter().rev().fold(0, |four, id| four << 32 | u128::from(*id));
            out.push_four(four, *count);
            out.push_all(&ids[..*count]);
        }
        out
    }

    fn joined<O: Output>(parts: &[Groups]) -> O {
        let mut out = filled::<O>(&parts[0]);
        out.push_parts(parts[1..].iter().map(filled::<O>).collect());
        out
    }

    proptest! {
        #[test]
        fn all_outputs_take_the_same_ids(parts in prop::collection::vec(prop::collection::vec((any::<[u16; 4]>(), 0..=4usize), 0..50), 1..6)) {
            let parts: Vec<Groups> = parts
                .into_iter()
                .map(|groups| groups.into_iter().map(|(ids, count)| (ids.map(u32::from), count)).collect())
                .collect();
            let want: Vec<u32> =
                parts.iter().flatten().flat_map(|(ids, count)| [&ids[..*count], &ids[..*count]].concat()).collect();
            let wide = joined::<Vec<u32>>(&parts);
            let narrow = joined::<Vec<u16>>(&parts);
            prop_assert_eq!(joined::<Count>(&parts), Count(want.len()));
            prop_assert_eq!((wide.count(), narrow.count()), (want.len(), want.len()));
            prop_assert_eq!(narrow.into_iter().map(u32::from).collect::<Vec<_>>(), want.clone());
            prop_assert_eq!(wide, want);
        }
    }

    #[test]
    fn a_vocabulary_that_is_too_large_is_refused() {
        assert!(Vec::<u16>::check(65_536).is_ok());
        let error = Vec::<u16>::check(65_537).unwrap_err().to_string();
        assert!(error.contains("65537"), "{error}");
        assert!(Vec::<u32>::check(65_537).is_ok() && Count::check(usize::MAX).is_ok());
    }
}
