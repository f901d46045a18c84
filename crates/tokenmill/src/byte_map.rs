//! Which of many byte strings is this one?
//!
//! The strings stay with the caller, one after the other in one buffer; the map has 12 bytes for each at most and makes
//! no allocation of its own per string. Hashes are keyed with a number drawn anew for each map, so no file can be
//! written whose strings all fall into one place.

use crate::prefetch::prefetch;
use crate::short_key::short_key;
use std::hash::{BuildHasher as _, RandomState};

/// String → number, for numbers below [`ByteMap::NONE`].
#[derive(Debug, Clone)]
pub(crate) struct ByteMap {
    /// High half: tag, which tells nearly all other strings apart without a look at them. Low half: number.
    /// Linear probing at a load of at most 2/3.
    slots: Box<[u64]>,
    key: [u64; 2],
}

/// No slot is like this, as no number is `NONE`.
const FREE: u64 = u64::MAX;

impl ByteMap {
    /// What no string's number may be.
    pub(crate) const NONE: u32 = u32::MAX;

    /// For at most `count` strings.
    pub(crate) fn for_at_most(count: usize) -> ByteMap {
        ByteMap { slots: vec![FREE; count + count / 2 + 1].into_boxed_slice(), key: random_key() }
    }

    /// The number of `bytes`; `string` gives the string of a number.
    #[inline]
    pub(crate) fn find<'a>(&self, bytes: &[u8], string: impl Fn(u32) -> &'a [u8]) -> Option<u32> {
        self.search(self.hash(bytes), |number| string(number) == bytes).ok()
    }

    /// Gives each string its number. A string that has one keeps it: `repeated` is called with that and with the one it
    /// is not given.
    ///
    /// Lookups wait for memory; so places are asked for some strings ahead.
    pub(crate) fn insert_all<'a>(
        &mut self,
        strings: impl Iterator<Item = (u32, &'a [u8])>,
        string: impl Fn(u32) -> &'a [u8],
        mut repeated: impl FnMut(u32, u32),
    ) {
        const BATCH: usize = 16;
        let mut strings = strings.map(|(number, bytes)| (number, bytes, 0));
        let mut batch = [(0, [].as_slice(), 0); BATCH];
        loop {
            let mut count = 0;
            // The batch first: the other way round, the string behind a full batch would be lost.
            for (slot, entry) in batch.iter_mut().zip(strings.by_ref()) {
                *slot = entry;
                slot.2 = self.hash(slot.1);
                self.prefetch(slot.2);
                count += 1;
            }
            for (number, bytes, hash) in &batch[..count] {
                if let Some(first) = self.insert_hashed(*hash, *number, |number| string(number) == *bytes) {
                    repeated(first, *number);
                }
            }
            if count < BATCH {
                return;
            }
        }
    }

    /// [`ByteMap::find`] by the [`short_key`] of the string, which `same` compares.
    #[inline]
    pub(crate) fn find_short(&self, key: u128, same: impl Fn(u32) -> bool) -> Option<u32> {
        self.search(self.hash_short(key), same).ok()
    }

    /// Asks for the cache line that [`ByteMap::find_short`] will read first.
    #[inline]
    pub(crate) fn prefetch_short(&self, key: u128) {
        self.prefetch(self.hash_short(key));
    }

    #[inline]
    fn prefetch(&self, hash: u64) {
        prefetch(&self.slots[self.place(hash)]);
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "a place below the length")]
    fn place(&self, hash: u64) -> usize {
        ((u128::from(hash) * self.slots.len() as u128) >> 64) as usize
    }

    /// Gives what `key` is the [`short_key`] of a number, where `same` finds no number that has it; whether it did.
    #[inline]
    pub(crate) fn insert_short(&mut self, key: u128, number: u32, same: impl Fn(u32) -> bool) -> bool {
        self.insert_hashed(self.hash_short(key), number, same).is_some()
    }

    #[inline]
    fn insert_hashed(&mut self, hash: u64, number: u32, same: impl Fn(u32) -> bool) -> Option<u32> {
        debug_assert!(number != ByteMap::NONE);
        match self.search(hash, same) {
            Ok(first) => Some(first),
            Err(place) => {
                self.slots[place] = hash << 32 | u64::from(number);
                None
            }
        }
    }

    /// The number, or the free place where the search ended.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "a slot's low half")]
    fn search(&self, hash: u64, same: impl Fn(u32) -> bool) -> Result<u32, usize> {
        let mut place = self.place(hash);
        loop {
            let slot = self.slots[place];
            if slot == FREE {
                return Err(place);
            }
            if slot >> 32 == hash & u64::from(u32::MAX) && same(slot as u32) {
                return Ok(slot as u32);
            }
            place += 1;
            if place == self.slots.len() {
                place = 0;
            }
        }
    }

    #[inline]
    fn hash(&self, bytes: &[u8]) -> u64 {
        match short_key(bytes) {
            Some(key) => self.hash_short(key),
            None => self.hash_long(bytes),
        }
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "halves are taken")]
    fn hash_short(&self, key: u128) -> u64 {
        folded_multiply(key as u64 ^ self.key[0], (key >> 64) as u64 ^ self.key[1])
    }

    fn hash_long(&self, bytes: &[u8]) -> u64 {
        let mut hash = bytes.len() as u64;
        let (blocks, _) = bytes.as_chunks::<16>();
        // What is no whole block is hashed with the 16 bytes at the end; some bytes may count twice.
        for block in blocks.iter().chain(bytes.last_chunk::<16>()) {
            hash = folded_multiply(low(block) ^ self.key[0] ^ hash, high(block) ^ self.key[1]).rotate_left(23);
        }
        hash
    }
}

fn low(block: &[u8; 16]) -> u64 {
    u64::from_le_bytes([block[0], block[1], block[2], block[3], block[4], block[5], block[6], block[7]])
}

fn high(block: &[u8; 16]) -> u64 {
    u64::from_le_bytes([block[8], block[9], block[10], block[11], block[12], block[13], block[14], block[15]])
}

/// Every bit of both factors reaches every bit of the result.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "halves are taken")]
pub(crate) fn folded_multiply(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

/// Two numbers that nobody can foresee.
pub(crate) fn random_key() -> [u64; 2] {
    let random = RandomState::new();
    [random.hash_one(0), random.hash_one(1)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    proptest! {
        #[test]
        fn the_map_agrees_with_the_standard_one(strings in prop::collection::vec(prop::collection::vec(0u8..3, 0..40), 0..300), other: Vec<u8>) {
            let string = |number: u32| strings[number as usize].as_slice();
            let (mut map, mut short) = (ByteMap::for_at_most(strings.len()), ByteMap::for_at_most(strings.len()));
            let (mut expected, mut expected_repeats, mut repeats) = (HashMap::new(), vec![], vec![]);
            for (number, bytes) in (0..).zip(&strings) {
                let first = *expected.entry(bytes.clone()).or_insert(number);
                expected_repeats.extend((first != number).then_some((first, number)));
                if let Some(key) = short_key(bytes) {
                    prop_assert_eq!(short.insert_short(key, number, |number| string(number) == bytes), first != number);
                }
            }
            map.insert_all((0..).zip(strings.iter().map(Vec::as_slice)), string, |first, number| repeats.push((first, number)));
            prop_assert_eq!(repeats, expected_repeats);
            for bytes in strings.iter().chain([&other]) {
                prop_assert_eq!(map.find(bytes, string), expected.get(bytes).copied());
            }
        }
    }

    #[test]
    fn an_empty_map_has_nothing() {
        assert_eq!(ByteMap::for_at_most(0).find(b"a", |_| b""), None);
    }
}
