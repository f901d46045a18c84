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
#[cfg(target_arch = "x86_64")]
mod x86;

pub(super) use became::Became;
pub(super) use limits::check_variable;
pub(super) use look_up::Found;

use super::key::{self, Kind, Secrets};
use super::output::Output;
use crate::prefetch::prefetch;
use crate::short_key::{SHORT, short_bytes};
use crate::zeroed::{Plain, Zeroed};
use became::Width;
use limits::Limits;
use records::Records;

/// They begin with 256 KiB each, so that a short text does not pay for a large table, and double when half of the places are
/// taken: then one piece in ten, a rare one, is not in its own line.
const FIRST_BUCKETS: usize = 1 << 12;

/// So many pieces are taken in at once, as their lines are asked for first.
const AT_ONCE: usize = 32;

/// Lines whose pieces may lie beside each other. With one line for two pieces one in ten would be thrown out when the table is about
/// to double, and merged again each time that it comes: 10 % of the time that text takes that comes again.
const GROUP: usize = 4;

/// Bytes of a cache line.
pub(super) const LINE: usize = size_of::<Bucket>();

/// A new short piece, and what it became.
pub(super) type Learned = (u128, Became);

/// A cache line: two pieces. The first stays, as what comes early in a text comes often. A third goes beside: into the first of
/// the other lines of its [`GROUP`] that has room. If none has, it throws the second out.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Bucket {
    /// 0: free. No piece is empty, so no key is 0.
    keys: [u128; 2],
    became: [Became; 2],
}

// SAFETY: 64 bytes of integers.
unsafe impl Plain for Bucket {}

impl Bucket {
    #[cfg(test)]
    const EMPTY: Bucket = Bucket { keys: [0; 2], became: [Became::UNKNOWN; 2] };

    /// Puts a piece in, if it is not there and there is room; whether it did.
    fn fill(&mut self, key: u128, became: Became) -> bool {
        !self.keys.contains(&key) && self.insert(key, became)
    }

    /// Puts a piece there, if there is room for it or it is there already: a piece may be new twice in one batch.
    #[inline(always)]
    fn insert(&mut self, key: u128, became: Became) -> bool {
        if self.keys.contains(&key) {
            return true;
        }
        let fits = !self.is_full();
        if fits {
            self.set(usize::from(self.keys[0] != 0), key, became);
        }
        fits
    }

    #[inline(always)]
    fn is_full(&self) -> bool {
        (self.keys[0] != 0) & (self.keys[1] != 0)
    }

    #[inline(always)]
    fn set(&mut self, at: usize, key: u128, became: Became) {
        (self.keys[at], self.became[at]) = (key, became);
    }

    /// The pieces that stay and those that move, as `insert` would put them. Nobody can guess which they are, so there is no
    /// branch: two fifths of what it costs to put a new piece into a table that grows.
    #[inline(always)]
    fn divide(&self, moves: [bool; 2]) -> [Bucket; 2] {
        [false, true].map(|half| {
            let [first, second] = moves.map(|moves| u128::from(moves == half).wrapping_neg());
            let chosen = |[one, other]: [u128; 2]| [one & first | other & second & !first, other & second & first];
            Bucket { keys: chosen(self.keys), became: chosen(self.became.map(Became::bits)).map(Became::from_bits) }
        })
    }
}

/// The table of short pieces, as a loop takes it: it stays in registers whatever the loop writes.
#[derive(Clone, Copy)]
pub(super) struct ShortPieces<'a> {
    /// A power of two of them.
    buckets: &'a [Bucket],
    secrets: Secrets,
    width: Width,
    /// As many lines are looked at.
    group: usize,
}

impl ShortPieces<'_> {
    /// Where in the table a piece belongs, in bytes.
    #[inline(always)]
    pub(super) fn place(&self, key: u128) -> usize {
        place(self.secrets.hash_short(key), self.buckets.len()) * LINE
    }

    #[inline(always)]
    fn bucket(&self, place: usize) -> &Bucket {
        debug_assert!(place / LINE < self.buckets.len());
        // SAFETY: tables are a power of two, so that all places are below their length.
        unsafe { self.buckets.get_unchecked(place / LINE) }
    }

    /// Asks for the cache line of a place.
    #[inline(always)]
    pub(super) fn prefetch(&self, place: usize) {
        prefetch(self.buckets.as_ptr().wrapping_byte_add(place));
    }

    /// Whether a piece that is not in its own line may be beside it. Then it asks for the next line.
    #[inline(always)]
    pub(super) fn is_crowded(&self, place: usize) -> bool {
        let full = self.bucket(place).is_full() & (self.group > 1);
        self.prefetch(place ^ (usize::from(full) * LINE));
        full
    }

    /// Where the piece with this key is beside its own line, whose place this is, and what it became.
    #[inline(always)]
    fn beside(&self, place: usize, key: u128) -> Option<(usize, Became)> {
        let mut line = place;
        for other in 1..self.group {
            // When the table doubles, lines lose pieces, and some that are beside them are no longer found. They are merged again.
            if !self.bucket(line).is_full() {
                break;
            }
            line = place ^ (other * LINE);
            let became = self.at(line, key);
            if !became.is_unknown() {
                return Some((line, became));
            }
        }
        None
    }

    /// What the piece with this key, whose place this is, became.
    #[inline(always)]
    pub(super) fn at_or_beside(&self, place: usize, key: u128) -> Became {
        match self.at(place, key) {
            Became::UNKNOWN => self.beside(place, key).map_or(Became::UNKNOWN, |(_, became)| became),
            became => became,
        }
    }

    /// What the piece with this key, whose place this is, became, if it is in its own line. No branch depends on what is found.
    #[inline(always)]
    pub(super) fn at(&self, place: usize, key: u128) -> Became {
        let bucket = self.bucket(place);
        let second = bucket.keys[1] == key;
        let found = bucket.became[usize::from(second)];
        if second | (bucket.keys[0] == key) { found } else { Became::UNKNOWN }
    }
}

/// The cache of one thread and one tokenizer.
pub(super) struct PieceCache {
    secrets: Secrets,
    limits: Limits,
    /// Of the ids of short pieces.
    width: Width,
    short: Zeroed<Bucket>,
    num_short: usize,
    records: Records,
    /// The new short pieces since somebody asked, where `keeps_learned`.
    learned: Vec<Learned>,
    keeps_learned: bool,
}

impl std::fmt::Debug for PieceCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PieceCache").field("short", &self.num_short).field("records", &self.records.len()).finish()
    }
}

impl PieceCache {
    /// For a tokenizer whose ids are below `vocab_size`.
    pub(super) fn new(vocab_size: usize) -> PieceCache {
        let limits = Limits::get();
        PieceCache {
            secrets: Secrets::default(),
            width: Width::of(vocab_size),
            short: Zeroed::new(FIRST_BUCKETS, limits.buckets),
            num_short: 0,
            records: Records::new(vocab_size, limits.records),
            limits,
            learned: Vec::new(),
            keeps_learned: false,
        }
    }

    /// Where short pieces are looked up.
    #[inline(always)]
    pub(super) fn short(&self) -> ShortPieces<'_> {
        ShortPieces { buckets: &self.short, secrets: self.secrets, width: self.width, group: self.group() }
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

    /// Remembers what a piece became.
    pub(super) fn put(&mut self, piece: &[u8], kind: Kind, became: &[u32]) {
        if piece.len() <= SHORT {
            let key = key::short(piece, 0, piece.len(), kind);
            let packed = Became::of(became, self.width);
            self.put_short(key, packed.unwrap_or(Became::ELSEWHERE));
            if packed.is_some() {
                return;
            }
        }
        self.put_record(self.tag(piece, kind), piece, kind, became);
    }

    /// The same of a longer piece.
    pub(super) fn put_record(&mut self, tag: u32, piece: &[u8], kind: Kind, became: &[u32]) {
        self.records.insert(tag, piece, kind, became);
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
            self.records.insert(self.secrets.tag_short(key), &bytes[..length], key::kind(key), ids);
        }
        packed
    }

    /// What the piece with this key became, if it is beside its own line, whose place this is: then it changes places with the second
    /// there, so that what comes often is found at once.
    #[inline(always)]
    pub(super) fn bring_home(&mut self, place: usize, key: u128) -> Became {
        // A batch may have it twice: then it is there by now.
        let Some((line, became)) = self.short().beside(place, key) else { return self.short().at(place, key) };
        let (home, other) = (place / LINE, line / LINE);
        let at = usize::from(self.short[other].keys[1] == key);
        let Bucket { keys: [_, second], became: [_, its] } = self.short[home];
        self.short[home].set(1, key, became);
        self.short[other].set(at, second, its);
        became
    }

    /// One line alone where the table may not grow and has more pieces than it is made for: then all lines of a group are full, and
    /// text that is new for ever would pay for looking at each.
    #[inline(always)]
    fn group(&self) -> usize {
        if self.num_short < self.short.len() { GROUP } else { 1 }
    }

    fn put_short(&mut self, key: u128, became: Became) {
        self.make_place();
        self.insert_short(key, became);
        self.num_short += 1;
        if self.keeps_learned && became != Became::ELSEWHERE {
            self.learned.push((key, became));
        }
    }

    /// Doubles the table of short pieces where it is time.
    #[inline(always)]
    fn make_place(&mut self) {
        if self.num_short >= self.short.len() && self.short.len() < self.limits.buckets {
            let before = self.short.len();
            self.short.double();
            // One bit more of the hash: a piece stays where it is or moves into the new half.
            for place in 0..before {
                let bucket = self.short[place];
                let [stays, moves] = bucket.divide(bucket.keys.map(|key| self.short_place(key) >= before));
                (self.short[place], self.short[before + place]) = (stays, moves);
            }
        }
    }

    /// Whether new short pieces are kept for others.
    pub(super) fn keep_learned(&mut self, keep: bool) {
        self.keeps_learned = keep;
    }

    /// Those that have been kept.
    pub(super) fn learned(&mut self) -> &mut Vec<Learned> {
        &mut self.learned
    }

    /// Takes in what another cache of the same tokenizer has learned, where there is room: what is here came here more often.
    pub(super) fn take_in(&mut self, learned: &[Learned]) {
        for some in learned.chunks(AT_ONCE) {
            self.make_place();
            let places: [usize; AT_ONCE] = std::array::from_fn(|number| {
                let place = some.get(number).map_or(0, |(key, _)| self.short_place(*key));
                prefetch(&self.short[place]);
                place
            });
            for (&(key, became), place) in some.iter().zip(places) {
                self.num_short += usize::from(self.short[place].fill(key, became));
            }
        }
    }

    fn insert_short(&mut self, key: u128, became: Became) {
        let place = self.short_place(key);
        if !(0..self.group()).any(|other| self.short[place ^ other].insert(key, became)) {
            self.short[place].set(1, key, became);
        }
    }

    #[inline(always)]
    fn short_place(&self, key: u128) -> usize {
        place(self.secrets.hash_short(key), self.short.len())
    }
}

/// Tables have a power of two of places, far fewer than 2^32. The upper half of the hash, as every bit of the key reaches it.
#[inline(always)]
fn place(hash: u64, len: usize) -> usize {
    (hash >> 32) as usize & (len - 1)
}

#[cfg(test)]
mod tests {
    use super::records::Bounds;
    use super::*;
    use proptest::prelude::*;

    const VOCAB_SIZE: usize = 1 << 24;

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
            cache.put(piece, Kind::Whole, &[number]);
            cache.put(piece, Kind::Part, &[number, 7]);
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
    fn a_line_is_divided_as_if_its_pieces_were_put_into_two() {
        let became = |id| Became::of(&[id], Width::of(VOCAB_SIZE)).unwrap();
        for pieces in 0..=2 {
            for moves in [[false, false], [false, true], [true, false], [true, true]] {
                let (mut bucket, mut want) = (Bucket::EMPTY, [Bucket::EMPTY; 2]);
                for (number, &moves) in (1..).zip(&moves[..pieces]) {
                    bucket.insert(u128::from(number), became(number));
                    want[usize::from(moves)].insert(u128::from(number), became(number));
                }
                for (half, want) in bucket.divide(moves).iter().zip(want) {
                    assert_eq!((half.keys, half.became), (want.keys, want.became), "{pieces} {moves:?}");
                }
            }
        }
    }

    /// One fewer than there are lines: then the table doubles.
    #[test]
    fn pieces_without_room_in_their_line_are_beside_it_until_they_come_again() {
        let mut cache = PieceCache::new(VOCAB_SIZE);
        let keys = (1..FIRST_BUCKETS as u128).map(|number| 3 << 120 | number);
        let became = |key: u128| Became::of(&[key as u32], Width::of(VOCAB_SIZE)).unwrap();
        keys.clone().for_each(|key| cache.put_short(key, became(key)));
        let found = |cache: &PieceCache, key| cache.short().at_or_beside(cache.short().place(key), key);
        let (mut beside, mut lost) = (0, 0_usize);
        for key in keys.clone() {
            let place = cache.short().place(key);
            match (cache.short().at(place, key), found(&cache, key)) {
                (Became::UNKNOWN, Became::UNKNOWN) => lost += 1,
                (Became::UNKNOWN, it) => {
                    beside += 1;
                    assert_eq!((it, cache.bring_home(place, key)), (became(key), it));
                    assert_eq!(cache.short().at(place, key), it);
                }
                (it, _) => assert_eq!(it, became(key)),
            }
        }
        // Whoever was moved for another is still there, but where the lines between are not full.
        let gone = keys.filter(|key| found(&cache, *key) != became(*key)).count();
        assert!(gone.abs_diff(lost) < FIRST_BUCKETS / 50, "{lost} {gone}");
        assert!(
            cache.short.len() == FIRST_BUCKETS && beside > FIRST_BUCKETS / 40 && lost < FIRST_BUCKETS / 50,
            "{beside} {lost}"
        );
    }

    #[test]
    fn the_cache_grows_to_its_bound_and_keeps_what_fits() {
        let mut cache = PieceCache::new(VOCAB_SIZE);
        for number in 0..3_u32 << 20 {
            cache.put(&number.to_le_bytes(), Kind::Whole, &[number & 0xFF_FFFF]);
            if number % 4 == 0 {
                cache.put(&[number.to_le_bytes(); 5].concat(), Kind::Whole, &[number & 0xFF_FFFF; 8]);
            }
        }
        let limits = Limits::of(limits::DEFAULT_MIB);
        assert_eq!(cache.short.len(), limits.buckets);
        assert_eq!(
            limits,
            Limits { buckets: 1 << 19, records: Bounds { lines: 1 << 16, segments: 448, segment: 1 << 16 } }
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
                    None => cache.put(piece, Kind::Whole, &truth(piece)),
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
