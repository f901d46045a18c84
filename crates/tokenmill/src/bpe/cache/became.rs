//! What a short piece became, in 16 bytes.

use crate::bpe::output::Output;

/// Most ids of a short piece, in the narrowest width.
pub(in crate::bpe) const SHORT_IDS: usize = 7;

/// How many bits an id of a short piece takes: as few as the vocabulary permits, as 120 bits then hold more of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Width(u32);

impl Width {
    /// 7 ids: up to 131,072 in the vocabulary (gpt2, cl100k_base); 6: up to 1,048,576 (o200k_base); 5. Pieces with ids that
    /// need more bits are kept elsewhere.
    pub(super) const ALL: [Width; 3] = [Width(17), Width(20), Width(24)];

    /// For ids below `vocab_size`.
    pub(super) fn of(vocab_size: usize) -> Width {
        Width::ALL.into_iter().find(|width| vocab_size <= 1 << width.bits()).unwrap_or(Width::ALL[2])
    }

    #[inline(always)]
    pub(super) const fn bits(self) -> u32 {
        self.0
    }

    /// Which of them.
    #[inline(always)]
    pub(super) const fn number(self) -> usize {
        match self.0 {
            17 => 0,
            20 => 1,
            _ => 2,
        }
    }

    /// The largest id.
    #[inline(always)]
    pub(super) const fn mask(self) -> u32 {
        (1 << self.bits()) - 1
    }

    /// Most ids of a short piece.
    #[inline(always)]
    pub(super) const fn most(self) -> usize {
        120 / self.bits() as usize
    }

    /// From which bit on an id is kept: behind the number. The last of them lies across the middle of the 128 bits, so that the
    /// others, which nearly all pieces do with, are found by one shift of 64.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "at most 7")]
    pub(super) const fn place(self, id: usize) -> u32 {
        let below = (u64::BITS - NUMBER_BITS) as usize / self.bits() as usize;
        let at = if id < below {
            id
        } else if id + 1 == self.most() {
            below
        } else {
            id + 1
        };
        NUMBER_BITS + at as u32 * self.bits()
    }

    /// Calls `work` with what it can take for a constant, as shifting by constants takes half of the instructions.
    #[inline(always)]
    fn constant<R>(self, work: impl FnOnce(Width) -> R) -> R {
        match self.number() {
            0 => work(const { Width::ALL[0] }),
            1 => work(const { Width::ALL[1] }),
            _ => work(const { Width::ALL[2] }),
        }
    }
}

/// In place of a number of ids: the piece may be among the others. The bits of a number are none of it, and
/// neither are they of the zeros that stand for a piece that is not known.
const ELSEWHERE: u8 = 0x80;
pub(super) const NUMBER: u8 = 7;

/// The number and the flag are the lowest byte, which is the first to come out of a vector register.
const NUMBER_BITS: u32 = 8;

/// For each number of ids up to four: their bits.
const FIRST: [[u32; 4]; 5] = {
    const ID: u32 = u32::MAX;
    [[0; 4], [ID, 0, 0, 0], [ID, ID, 0, 0], [ID, ID, ID, 0], [ID; 4]]
};

/// The ids of a piece as they are kept, or why they are not: each at its [`Width::place`], and their number in the first byte. How
/// wide they are is the same for the whole table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::bpe) struct Became(u128);

impl Became {
    /// The piece is not known.
    pub(in crate::bpe) const UNKNOWN: Became = Became(0);
    /// It may be among the others.
    pub(in crate::bpe) const ELSEWHERE: Became = Became(ELSEWHERE as u128);

    /// Of some ids, where there is room for so many that are as large.
    pub(super) fn of(ids: &[u32], width: Width) -> Option<Became> {
        let mut seven = [0; SHORT_IDS];
        seven.get_mut(..ids.len())?.copy_from_slice(ids);
        let fits = (1..=width.most()).contains(&ids.len()) && seven.iter().fold(0, |all, id| all | id) <= width.mask();
        fits.then(|| Became::pack(seven, ids.len(), width))
    }

    /// Of the first `count` of four ids that are as large, 1 to 4.
    #[inline(always)]
    pub(super) fn of_first(ids: [u32; 4], count: usize, width: Width) -> Became {
        let id = |place: usize| ids[place] & FIRST[count][place];
        Became::pack([id(0), id(1), id(2), id(3), 0, 0, 0], count, width)
    }

    /// Of ids and zeros behind them.
    #[inline(always)]
    fn pack(ids: [u32; SHORT_IDS], count: usize, width: Width) -> Became {
        debug_assert!(ids.iter().all(|id| *id <= width.mask()));
        width.constant(|width| {
            // Halves, as shifting 128 bits takes six instructions, and one by one, as in a loop nothing is a constant.
            let id = |id| match (u64::from(ids[id]), width.place(id)) {
                _ if id >= width.most() => [0, 0],
                (id, place @ 64..) => [0, id << (place - 64)],
                (id, place) if place + width.bits() <= 64 => [id << place, 0],
                (id, place) => [id << place, id >> (64 - place)],
            };
            let all = [id(0), id(1), id(2), id(3), id(4), id(5), id(6)];
            let half = |half: usize| all.iter().fold(0, |packed, id| packed | id[half]);
            Became(u128::from(half(0) | count as u64) | u128::from(half(1)) << 64)
        })
    }

    #[inline(always)]
    pub(super) fn bits(self) -> u128 {
        self.0
    }

    #[inline(always)]
    pub(super) fn from_bits(bits: u128) -> Became {
        Became(bits)
    }

    /// Whether it is `UNKNOWN`.
    #[inline(always)]
    pub(in crate::bpe) fn is_unknown(self) -> bool {
        self.0.to_le_bytes()[0] == 0
    }

    /// How many ids there are; 0 if they are not known.
    #[inline(always)]
    pub(in crate::bpe) fn count(self) -> usize {
        usize::from(self.0.to_le_bytes()[0] & NUMBER)
    }

    /// The ids, if they are known, and zeros behind them. The width should be a constant.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the lowest bits")]
    pub(super) fn ids(self, width: Width) -> [u32; SHORT_IDS] {
        let (lower, upper) = (self.0 as u64, (self.0 >> 64) as u64);
        let id = |id| {
            let shifted = match width.place(id) {
                _ if id >= width.most() => 0,
                place @ 64.. => upper >> (place - 64),
                place if place + width.bits() <= 64 => lower >> place,
                place => lower >> place | upper << (64 - place),
            };
            shifted as u32 & width.mask()
        };
        [id(0), id(1), id(2), id(3), id(4), id(5), id(6)]
    }

    /// Appends the ids, if they are known.
    #[inline(always)]
    pub(super) fn push<O: Output>(self, width: Width, ids: &mut O) -> bool {
        let all = width.constant(|width| self.ids(width));
        ids.push_all(&all[..self.count()]);
        self.count() != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_vocabulary_gets_the_narrowest_width_that_holds_its_ids() {
        for (size, width, most) in [
            (0, Width(17), 7),
            (1 << 17, Width(17), 7),
            ((1 << 17) + 1, Width(20), 6),
            (1 << 20, Width(20), 6),
            ((1 << 20) + 1, Width(24), 5),
            (usize::MAX, Width(24), 5),
        ] {
            assert_eq!((Width::of(size), width.most()), (width, most), "{size}");
        }
    }

    #[test]
    fn what_is_not_known_has_no_ids() {
        assert_eq!((Became::UNKNOWN.count(), Became::ELSEWHERE.count()), (0, 0));
        assert!(Became::UNKNOWN.is_unknown() && !Became::ELSEWHERE.is_unknown());
    }

    proptest! {
        /// Of every width, with no ids, as many as fit, and more; ids with all bits, with none, and too large by one.
        #[test]
        fn ids_come_back_as_they_were_or_are_refused(
            seeds in prop::collection::vec((0..4u8, any::<u32>()), 0..9),
            width in prop::sample::select(&Width::ALL[..]),
        ) {
            let ids: Vec<u32> = seeds.into_iter().map(|(kind, id)| match kind {
                0 => width.mask(),
                1 => width.mask() + u32::from(id % 8 == 0),
                _ => id & width.mask(),
            }).collect();
            let fits = (1..=width.most()).contains(&ids.len()) && ids.iter().all(|id| *id <= width.mask());
            let became = Became::of(&ids, width);
            prop_assert_eq!(became.is_some(), fits);
            if let Some(became) = became {
                // By definition.
                let mut places: Vec<usize> = (0..width.most()).collect();
                places.insert(56 / width.bits() as usize, width.most() - 1);
                for (place, &id) in places[..width.most()].iter().enumerate() {
                    let kept = became.0 >> (8 + place as u32 * width.bits()) & u128::from(width.mask());
                    prop_assert_eq!(kept, ids.get(id).map_or(0, |id| u128::from(*id)));
                }
                prop_assert_eq!(became.0 & 0xFF, ids.len() as u128);
                prop_assert_eq!((became.count(), &became.ids(width)[..ids.len()]), (ids.len(), &ids[..]));
                prop_assert!(!became.is_unknown());
                if let Ok(mut four) = <[u32; 4]>::try_from(became.ids(width)[..4].to_vec()) && ids.len() <= 4 {
                    four[ids.len()..].fill(u32::MAX);
                    prop_assert_eq!(Became::of_first(four, ids.len(), width), became);
                }
            }
        }
    }
}
