//! Ids as records have them: the lower 16 bits of each, and then, in as few bits as the vocabulary permits, what is above.

/// How many bits of an id are above the lower 16.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IdWidth {
    /// gpt2, and most vocabularies that are trained today on one language.
    Bits16,
    /// cl100k_base, o200k_base: a byte for four ids.
    Bits18,
    Bits24,
    Bits32,
}

/// So many ids are made wide at a time.
const AT_ONCE: usize = 64;

/// Ids of 18 bits whose upper bits are in one byte.
const IN_A_BYTE: usize = 4;

impl IdWidth {
    /// For ids below `vocab_size`.
    pub(super) fn of(vocab_size: usize) -> IdWidth {
        match vocab_size {
            0..=0x1_0000 => IdWidth::Bits16,
            0x1_0001..=0x4_0000 => IdWidth::Bits18,
            0x4_0001..=0x100_0000 => IdWidth::Bits24,
            _ => IdWidth::Bits32,
        }
    }

    /// How many bytes so many ids take.
    #[inline(always)]
    pub(super) fn bytes_of(self, count: usize) -> usize {
        2 * count
            + match self {
                IdWidth::Bits16 => 0,
                IdWidth::Bits18 => count.div_ceil(IN_A_BYTE),
                IdWidth::Bits24 => count,
                IdWidth::Bits32 => 2 * count,
            }
    }

    /// Writes ids to the beginning of `room`, which has room for them.
    #[inline]
    pub(super) fn store(self, ids: &[u32], room: &mut [u8]) {
        let (low, high) = room.split_at_mut(2 * ids.len());
        for (room, id) in low.as_chunks_mut().0.iter_mut().zip(ids) {
            *room = lower(*id).to_le_bytes();
        }
        match self {
            IdWidth::Bits16 => {}
            IdWidth::Bits18 => {
                for (byte, ids) in high.iter_mut().zip(ids.chunks(IN_A_BYTE)) {
                    *byte = ids.iter().rev().fold(0, |byte, id| byte << 2 | third(*id) & 3);
                }
            }
            IdWidth::Bits24 => high.iter_mut().zip(ids).for_each(|(byte, id)| *byte = third(*id)),
            IdWidth::Bits32 => {
                for (room, id) in high.as_chunks_mut().0.iter_mut().zip(ids) {
                    *room = lower(id >> 16).to_le_bytes();
                }
            }
        }
    }

    /// The first `count` ids that begin in `bytes`.
    #[inline(always)]
    pub(super) fn ids(self, bytes: &[u8], count: usize) -> Ids<'_> {
        let (low, high) = bytes.split_at(2 * count);
        Ids { low: low.as_chunks().0, high, width: self }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the lower half")]
fn lower(id: u32) -> u16 {
    id as u16
}

/// The byte above the lower half.
fn third(id: u32) -> u8 {
    id.to_le_bytes()[2]
}

/// See [`IdWidth::ids`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Ids<'a> {
    low: &'a [[u8; 2]],
    /// Begins with what is above.
    high: &'a [u8],
    width: IdWidth,
}

impl Ids<'_> {
    /// Gives them to `push`, some at a time.
    #[inline]
    pub(super) fn push_to(self, mut push: impl FnMut(&[u32])) {
        let mut ids = [0; AT_ONCE];
        for (number, low) in self.low.chunks(AT_ONCE).enumerate() {
            let done = number * AT_ONCE;
            for (id, low) in ids.iter_mut().zip(low) {
                *id = u16::from_le_bytes(*low).into();
            }
            match self.width {
                IdWidth::Bits16 => {}
                IdWidth::Bits18 => {
                    let high = &self.high[done / IN_A_BYTE..];
                    for (ids, &byte) in
                        ids.as_chunks_mut::<IN_A_BYTE>().0.iter_mut().zip(high).take(low.len().div_ceil(IN_A_BYTE))
                    {
                        for (shift, id) in [0, 2, 4, 6].into_iter().zip(ids) {
                            *id |= u32::from(byte >> shift & 3) << 16;
                        }
                    }
                }
                IdWidth::Bits24 => {
                    let high = &self.high[done..];
                    ids.iter_mut().zip(high).take(low.len()).for_each(|(id, byte)| *id |= u32::from(*byte) << 16);
                }
                IdWidth::Bits32 => {
                    let high = &self.high[2 * done..].as_chunks().0;
                    for (id, high) in ids.iter_mut().zip(*high).take(low.len()) {
                        *id |= u32::from(u16::from_le_bytes(*high)) << 16;
                    }
                }
            }
            push(&ids[..low.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SIZES: [usize; 8] = [1, 1 << 16, (1 << 16) + 1, 1 << 18, (1 << 18) + 1, 1 << 24, (1 << 24) + 1, 1 << 32];

    proptest! {
        /// The largest among them, fewer than are made wide at once, as many, and more; whatever lies behind them.
        #[test]
        fn ids_come_back_as_they_were(
            vocab_size in prop::sample::select(&SIZES[..]),
            seeds in prop::collection::vec(prop_oneof![1 => Just(u32::MAX), 5 => any::<u32>()], 0..200),
            behind in prop::collection::vec(any::<u8>(), 0..10),
        ) {
            let width = IdWidth::of(vocab_size);
            let largest = vocab_size - 1;
            let ids: Vec<u32> = seeds.into_iter().map(|seed| (seed as usize).min(largest) as u32).map(|id| id & largest as u32).collect();
            let mut bytes = vec![0; width.bytes_of(ids.len())];
            width.store(&ids, &mut bytes);
            bytes.extend(behind);
            let mut back = Vec::new();
            width.ids(&bytes, ids.len()).push_to(|some| back.extend_from_slice(some));
            prop_assert_eq!(back, ids);
        }
    }
}
