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

    /// Where there is no room for `at_least` ids more, allocates for `likely` more, if that is not fewer.
    fn make_room(&mut self, at_least: usize, likely: usize);

    /// Appends ids.
    fn push_all(&mut self, ids: &[u32]);
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

    fn make_room(&mut self, at_least: usize, likely: usize) {
        make_room(self, at_least, likely);
    }

    #[inline]
    fn push_all(&mut self, ids: &[u32]) {
        self.extend_from_slice(ids);
    }
}

/// Allocates where there is not enough.
fn make_room<T: Copy>(ids: &mut Vec<T>, at_least: usize, likely: usize) {
    if ids.capacity() - ids.len() < at_least {
        // What is likely is a guess: where there is not as much memory, it may not be needed either.
        if huge_pages::reserve(ids, likely.max(at_least)).is_err() {
            ids.reserve(at_least);
        }
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

    fn make_room(&mut self, at_least: usize, likely: usize) {
        make_room(self, at_least, likely);
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

    fn make_room(&mut self, _: usize, _: usize) {}

    #[inline]
    fn push_all(&mut self, ids: &[u32]) {
        self.0 += ids.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Groups = Vec<Vec<u32>>;

    fn filled<O: Output>(groups: &Groups) -> O {
        let mut out = O::default();
        groups.iter().for_each(|ids| out.push_all(ids));
        out
    }

    fn joined<O: Output>(parts: &[Groups]) -> O {
        let mut out = filled::<O>(&parts[0]);
        for part in &parts[1..] {
            let mut part = filled::<O>(part);
            out.make_room(part.count() / 2, part.count());
            out.append(&mut part);
            assert_eq!(part.count(), 0);
        }
        out
    }

    proptest! {
        #[test]
        fn all_outputs_take_the_same_ids(parts in prop::collection::vec(prop::collection::vec(prop::collection::vec(0..1u32 << 16, 0..9), 0..50), 1..6)) {
            let want: Vec<u32> = parts.iter().flatten().flatten().copied().collect();
            let wide = joined::<Vec<u32>>(&parts);
            let narrow = joined::<Vec<u16>>(&parts);
            prop_assert_eq!(joined::<Count>(&parts), Count(want.len()));
            prop_assert_eq!((wide.count(), narrow.count()), (want.len(), want.len()));
            prop_assert_eq!(narrow.into_iter().map(u32::from).collect::<Vec<_>>(), want.clone());
            prop_assert_eq!(wide, want);
        }
    }

    #[test]
    fn a_guess_that_no_memory_holds_does_no_harm() {
        let mut ids = vec![7_u32];
        ids.make_room(100, usize::MAX / 8);
        assert!(ids == [7] && (101..10_000).contains(&ids.capacity()));
    }

    #[test]
    fn a_vocabulary_that_is_too_large_is_refused() {
        assert!(Vec::<u16>::check(65_536).is_ok());
        let error = Vec::<u16>::check(65_537).unwrap_err().to_string();
        assert!(error.contains("65537"), "{error}");
        assert!(Vec::<u32>::check(65_537).is_ok() && Count::check(usize::MAX).is_ok());
    }
}
