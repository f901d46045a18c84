//! Where ids go: a list of 32-bit ids, one of 16-bit ids, or only a number.

use crate::error::{Error, Result};
use crate::huge_pages;

/// Takes ids in order.
pub trait Output: Default + Send + 'static {
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

    /// Moves all that `other` has taken behind what this one has.
    fn append(&mut self, other: &mut Self);

    /// Room for some ids, which are the output's when it is dropped.
    type Room<'a>: Room
    where
        Self: 'a;

    /// Makes room for that many ids.
    fn room(&mut self, ids: usize) -> Self::Room<'_>;

    /// Allocates for that many ids more.
    fn make_room(&mut self, ids: usize);

    /// Appends ids.
    fn push_all(&mut self, ids: &[u32]);
}

/// Takes ids while its length is in a register: a length in memory that every piece reads and writes costs as much as all
/// else that a known piece does.
pub trait Room {
    /// Appends the first `count` of four ids of 32 bits each, the first in the lowest bits. `count` is at most 4.
    fn push_four(&mut self, ids: u128, count: usize);
}

/// Room in a vector.
#[derive(Debug)]
pub struct VecRoom<'a, T> {
    vec: &'a mut Vec<T>,
    /// Of `vec`: where it begins, how many are in it with those pushed here, and how many it has room for.
    start: *mut T,
    len: usize,
    capacity: usize,
}

impl<'a, T> VecRoom<'a, T> {
    fn new(vec: &'a mut Vec<T>, additional: usize) -> VecRoom<'a, T> {
        vec.reserve(additional);
        VecRoom { start: vec.as_mut_ptr(), len: vec.len(), capacity: vec.capacity(), vec }
    }

    /// Where the next four may be written, of which `count` <= 4 count.
    #[inline(always)]
    fn four(&mut self, count: usize) -> *mut T {
        if self.capacity - self.len < 4 {
            self.grow();
        }
        // SAFETY: there is room for four more, so this is inside the vector's memory.
        let place = unsafe { self.start.add(self.len) };
        self.len += count.min(4);
        place
    }

    /// Less room was asked for than is needed.
    #[cold]
    fn grow(&mut self) {
        // SAFETY: that many have been written.
        unsafe { self.vec.set_len(self.len) };
        self.vec.reserve(4);
        (self.start, self.capacity) = (self.vec.as_mut_ptr(), self.vec.capacity());
    }
}

impl<T> Drop for VecRoom<'_, T> {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: that many have been written.
        unsafe { self.vec.set_len(self.len) };
    }
}

impl Room for VecRoom<'_, u32> {
    #[inline(always)]
    fn push_four(&mut self, ids: u128, count: usize) {
        let place = self.four(count);
        // SAFETY: room for four ids. All are written, as one store takes less time than a loop that ends nobody knows where.
        unsafe { place.cast::<[u8; 16]>().write_unaligned(four(ids)) };
    }
}

impl Room for VecRoom<'_, u16> {
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the caller's vocabulary has 16-bit ids")]
    fn push_four(&mut self, ids: u128, count: usize) {
        let place = self.four(count);
        let ids = [0, 32, 64, 96].map(|shift| (ids >> shift) as u16);
        // SAFETY: room for four ids.
        unsafe { place.cast::<[u16; 4]>().write_unaligned(ids) };
    }
}

/// As they lie in memory.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the low 32 bits are taken")]
fn four(ids: u128) -> [u8; 16] {
    if cfg!(target_endian = "little") {
        return ids.to_le_bytes();
    }
    let mut bytes = [0; 16];
    for (bytes, shift) in bytes.chunks_exact_mut(4).zip([0, 32, 64, 96]) {
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

    fn append(&mut self, other: &mut Self) {
        Vec::append(self, other);
    }

    fn make_room(&mut self, ids: usize) {
        make_room(self, ids);
    }

    type Room<'a> = VecRoom<'a, u32>;

    #[inline]
    fn room(&mut self, ids: usize) -> VecRoom<'_, u32> {
        VecRoom::new(self, ids)
    }

    #[inline]
    fn push_all(&mut self, ids: &[u32]) {
        self.extend_from_slice(ids);
    }
}

/// Allocates where there is not enough, and only then asks the system for large pages.
fn make_room<T>(ids: &mut Vec<T>, more: usize) {
    if ids.capacity() - ids.len() < more {
        ids.reserve(more);
        huge_pages::ask(ids.spare_capacity_mut());
    }
}

/// For vocabularies of at most 65,536 ids: see [`Output::check`].
impl Output for Vec<u16> {
    const IDS: u64 = 1 << 16;

    #[inline]
    fn count(&self) -> usize {
        self.len()
    }

    fn append(&mut self, other: &mut Self) {
        Vec::append(self, other);
    }

    fn make_room(&mut self, ids: usize) {
        make_room(self, ids);
    }

    type Room<'a> = VecRoom<'a, u16>;

    #[inline]
    fn room(&mut self, ids: usize) -> VecRoom<'_, u16> {
        VecRoom::new(self, ids)
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

    fn append(&mut self, other: &mut Self) {
        self.0 += std::mem::take(&mut other.0);
    }

    fn make_room(&mut self, _: usize) {}

    type Room<'a> = &'a mut Count;

    #[inline]
    fn room(&mut self, _: usize) -> &mut Count {
        self
    }

    #[inline]
    fn push_all(&mut self, ids: &[u32]) {
        self.0 += ids.len();
    }
}

impl Room for &mut Count {
    #[inline(always)]
    fn push_four(&mut self, _: u128, count: usize) {
        self.0 += count;
    }
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
            out.room(if *count % 2 == 0 { 0 } else { 4 }).push_four(four, *count);
            out.push_all(&ids[..*count]);
        }
        out
    }

    fn joined<O: Output>(parts: &[Groups]) -> O {
        let mut out = filled::<O>(&parts[0]);
        for part in &parts[1..] {
            let mut part = filled::<O>(part);
            out.make_room(part.count() / 2);
            out.append(&mut part);
            assert_eq!(part.count(), 0);
        }
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
