//! Pieces seen before and what they became.
//!
//! Words follow Zipf's law, so most pieces of a text have been merged already. Two tables, none of which grows past a
//! bound, so that memory does not depend on the corpus:
//!
//! * up to 15 bytes and 7 ids, 6 or 5 where there are more than 131,072 or 1,048,576 in the vocabulary (99 of 100 pieces of
//!   English): 32 bytes each, two to a cache line;
//! * the others up to 4,096 bytes: records as long as they must be, and an index of them (`records`).
//!
//! A lookup looks at two places of the first, in one cache line, where nearly all pieces are, and at few more, or at two lines of
//! the index and one record, whatever the input. Where a piece belongs depends on a random key, so nobody can write a text whose
//! pieces all want the same place. The ids of a piece do not depend on any of it.

mod became;
mod ids;
mod limits;
mod look_up;
mod records;
mod short;
#[cfg(target_arch = "x86_64")]
mod x86;

pub(super) use became::Became;
pub(super) use limits::check_variable;
pub(super) use look_up::Found;
pub(super) use short::{LINE, ShortPieces};

use super::key::{self, Kind, Secrets};
use super::output::Output;
use crate::short_key::{SHORT, short_bytes};
use became::Width;
use limits::Limits;
use records::Records;
use short::{ShortPiece, ShortTable};

/// So many new short pieces are a part of what is learned.
pub(super) const PART: usize = 1024;

/// New pieces, and what they became, for other caches of the same tokenizer.
#[derive(Debug)]
pub(super) enum Learned {
    Short(Box<[ShortPiece]>),
    /// The records of a segment.
    Others(Box<[u8]>),
}

/// The cache of one thread and one tokenizer.
pub(super) struct PieceCache {
    secrets: Secrets,
    /// Of the ids of short pieces.
    width: Width,
    short: ShortTable,
    records: Records,
    /// What is new since somebody asked, where `keeps_learned`: whole parts, and short pieces that will be one.
    learned: Vec<Learned>,
    new: Vec<ShortPiece>,
    keeps_learned: bool,
}

impl std::fmt::Debug for PieceCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PieceCache").field("short", &self.short.count()).field("records", &self.records.len()).finish()
    }
}

impl PieceCache {
    /// For a tokenizer whose ids are below `vocab_size`.
    pub(super) fn new(vocab_size: usize) -> PieceCache {
        let (limits, secrets, width) = (Limits::get(), Secrets::default(), Width::of(vocab_size));
        PieceCache {
            secrets,
            width,
            short: ShortTable::new(secrets, width, limits.buckets),
            records: Records::new(vocab_size, limits.records),
            learned: Vec::new(),
            new: Vec::new(),
            keeps_learned: false,
        }
    }

    /// Where short pieces are looked up.
    #[inline(always)]
    pub(super) fn short(&self) -> ShortPieces<'_> {
        self.short.pieces()
    }

    /// What a longer piece, or one with more ids than the others have, is looked up by.
    #[inline]
    pub(super) fn tag(&self, piece: &[u8], kind: Kind) -> u32 {
        self.secrets.tag(piece, kind)
    }

    /// The same of the piece with a short key.
    #[inline(always)]
    pub(super) fn tag_short(&self, key: u128) -> u32 {
        self.secrets.tag_short(key)
    }

    /// Asks for the first cache line that `find_record` will read,
    #[inline(always)]
    pub(super) fn prefetch_line(&self, tag: u32) {
        self.records.prefetch_line(tag);
    }

    /// and, reading that, for the others, if there are any: a piece of which there is no record is not known.
    #[inline(always)]
    pub(super) fn prefetch_record(&self, tag: u32) -> bool {
        self.records.prefetch_record(tag)
    }

    /// Appends the ids of a piece that is not among the short ones, if they are known.
    #[inline]
    pub(super) fn find_record<O: Output>(&self, tag: u32, piece: &[u8], kind: Kind, ids: &mut O) -> bool {
        self.records.find(tag, piece, kind).map(|found| found.push_to(|some| ids.push_all(some))).is_some()
    }

    /// Appends the ids of a short piece, if they are known.
    #[inline(always)]
    pub(super) fn push_short<O: Output>(&self, became: Became, ids: &mut O) -> bool {
        became.push(self.width, ids)
    }

    /// Remembers what the piece with this hash became.
    pub(super) fn put(&mut self, tag: u32, piece: &[u8], kind: Kind, became: &[u32]) {
        if piece.len() <= SHORT {
            let key = key::short(piece, 0, piece.len(), kind);
            let packed = Became::of(became, self.width);
            self.put_short(key, packed.unwrap_or(Became::ELSEWHERE));
            if packed.is_some() {
                return;
            }
        }
        self.put_record(tag, piece, kind, became);
    }

    /// The same of a longer piece.
    pub(super) fn put_record(&mut self, tag: u32, piece: &[u8], kind: Kind, became: &[u32]) {
        debug_assert_eq!(tag, self.tag(piece, kind));
        let full = self.records.insert(tag, piece, kind, became);
        if let Some(records) = full.filter(|_| self.keeps_learned) {
            self.learned.push(Learned::Others(records.into()));
        }
    }

    /// Remembers that a short piece became the first `count` of four ids, and gives them as they are kept. Only
    /// where all ids fit into 24 bits.
    #[inline(always)]
    pub(super) fn put_few(&mut self, key: u128, ids: [u32; 4], count: usize) -> Became {
        let became = Became::of_first(ids, count, self.width);
        self.put_short(key, became);
        became
    }

    /// Remembers what a short piece became, and gives it as it is kept.
    pub(super) fn put_key(&mut self, key: u128, became: impl Iterator<Item = u32>) -> Became {
        let mut ids = [0; SHORT];
        let mut count = 0;
        for (id, place) in became.zip(&mut ids) {
            (*place, count) = (id, count + 1);
        }
        let ids = &ids[..count];
        let packed = Became::of(ids, self.width).unwrap_or(Became::ELSEWHERE);
        self.put_short(key, packed);
        if packed == Became::ELSEWHERE {
            let (bytes, length) = short_bytes(&key);
            self.put_record(self.tag_short(key), &bytes[..length], key::kind(key), ids);
        }
        packed
    }

    fn put_short(&mut self, key: u128, became: Became) {
        self.short.put(key, became);
        if self.keeps_learned {
            self.new.push((key, became));
            if self.new.len() == PART {
                self.learned.push(Learned::Short(self.new.as_slice().into()));
                self.new.clear();
            }
        }
    }

    /// What a short piece became that is beside its own line, whose place this is: from now on it is in it.
    #[inline(always)]
    pub(super) fn bring_home(&mut self, place: usize, key: u128) -> Became {
        self.short.bring_home(place, key)
    }

    /// Takes in what another cache of the same tokenizer has learned.
    pub(super) fn take_in(&mut self, learned: &Learned) {
        match learned {
            Learned::Short(pieces) => self.short.take_in(pieces),
            Learned::Others(segment) => self.records.take_in(segment),
        }
    }

    /// Whether new pieces are kept for others.
    pub(super) fn keep_learned(&mut self, keep: bool) {
        self.keeps_learned = keep;
    }

    /// How many parts there are of those that have been kept.
    #[inline(always)]
    pub(super) fn num_learned(&self) -> usize {
        self.learned.len()
    }

    /// Gives these away.
    pub(super) fn drain_learned(&mut self) -> impl Iterator<Item = Learned> {
        self.learned.drain(..)
    }
}

#[cfg(test)]
mod tests {
    use super::records::Bounds;
    use super::*;
    use proptest::prelude::*;

    const VOCAB_SIZE: usize = 1 << 24;

    impl PieceCache {
        /// [`PieceCache::put`], for tests that have no hash.
        pub(in crate::bpe) fn put_piece(&mut self, piece: &[u8], kind: Kind, became: &[u32]) {
            self.put(self.tag(piece, kind), piece, kind, became);
        }
    }

    fn get(cache: &PieceCache, piece: &[u8], kind: Kind) -> Option<Vec<u32>> {
        let mut ids = Vec::new();
        let found = if piece.len() <= SHORT {
            let key = key::short(piece, 0, piece.len(), kind);
            cache.push_short(cache.short().at_or_beside(cache.short().place(key), key), &mut ids)
        } else {
            false
        };
        let found = found || cache.find_record(cache.tag(piece, kind), piece, kind, &mut ids);
        found.then_some(ids)
    }

    #[test]
    fn pieces_that_differ_only_in_zero_bytes_at_the_end_or_in_kind_are_different() {
        let mut cache = PieceCache::new(VOCAB_SIZE);
        let pieces = [&b"a"[..], b"a\0", b"\0", b"\0\0", &[0; 15], &[0; 16], &[0; 17], &[0; 31], &[0; 32], &[0; 33]];
        for (number, piece) in (0..).zip(pieces) {
            cache.put_piece(piece, Kind::Whole, &[number]);
            cache.put_piece(piece, Kind::Part, &[number, 7]);
        }
        for (number, piece) in (0..).zip(pieces) {
            assert_eq!(get(&cache, piece, Kind::Whole), Some(vec![number]));
            assert_eq!(get(&cache, piece, Kind::Part), Some(vec![number, 7]));
        }
    }

    #[test]
    fn a_few_ids_are_kept_without_what_follows_them() {
        for vocab_size in [1 << 17, 1 << 20, 1 << 24] {
            let mut cache = PieceCache::new(vocab_size);
            let ids = [7, vocab_size as u32 - 1, 0, 9];
            for count in 1..=4 {
                let piece = &b"abcd"[..count];
                let became = cache.put_few(key::short(piece, 0, count, Kind::Whole), ids, count);
                assert_eq!((became, became.count()), (Became::of(&ids[..count], cache.width).unwrap(), count));
                assert_eq!(get(&cache, piece, Kind::Whole).as_deref(), Some(&ids[..count]));
            }
        }
    }

    #[test]
    fn the_cache_grows_to_its_bound_and_keeps_what_fits() {
        let mut cache = PieceCache::new(VOCAB_SIZE);
        for number in 0..3_u32 << 20 {
            cache.put_piece(&number.to_le_bytes(), Kind::Whole, &[number & 0xFF_FFFF]);
            if number % 4 == 0 {
                cache.put_piece(&[number.to_le_bytes(); 5].concat(), Kind::Whole, &[number & 0xFF_FFFF; 8]);
            }
        }
        let limits = Limits::of(limits::DEFAULT_MIB);
        assert_eq!(cache.short.num_lines(), limits.buckets);
        assert_eq!(
            limits,
            Limits { buckets: 1 << 18, records: Bounds { lines: 1 << 16, segments: 448, segment: 1 << 16 } }
        );
        let newest = 3_u32 << 20;
        let found = (newest - 1000..newest).filter(|number| get(&cache, &number.to_le_bytes(), Kind::Whole).is_some());
        assert!(found.count() > 990);
    }

    proptest! {
        /// Whatever was put, `get` gives the ids of that very piece or nothing.
        #[test]
        fn the_cache_never_confuses_pieces(pieces in prop::collection::vec(prop::collection::vec(0u8..3, 1..40), 1..200)) {
            let mut cache = PieceCache::new(VOCAB_SIZE);
            let truth = |piece: &[u8]| -> Vec<u32> { piece.iter().take(usize::from(piece[0]) * 10 + 1).map(|&byte| u32::from(byte) + 7 * piece.len() as u32).collect() };
            for piece in &pieces {
                match get(&cache, piece, Kind::Whole) {
                    Some(ids) => prop_assert_eq!(&ids, &truth(piece)),
                    None => cache.put_piece(piece, Kind::Whole, &truth(piece)),
                }
                prop_assert_eq!(get(&cache, piece, Kind::Whole), Some(truth(piece)));
            }
        }

        #[test]
        fn a_key_does_not_depend_on_what_surrounds_a_piece(piece in prop::collection::vec(any::<u8>(), 1..=SHORT), after in prop::collection::vec(any::<u8>(), 0..20)) {
            let text = [&piece[..], &after].concat();
            prop_assert_eq!(key::short(&text, 0, piece.len(), Kind::Whole), key::short(&piece, 0, piece.len(), Kind::Whole));
        }
    }
}
