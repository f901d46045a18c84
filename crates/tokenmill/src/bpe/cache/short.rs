//! The table of short pieces: two to a cache line, and what becomes of a third.

use super::became::{Became, Width};
use crate::bpe::key::Secrets;
use crate::prefetch::prefetch;
use crate::zeroed::{Plain, Zeroed};

/// It begins with 256 KiB, so that a short text does not pay for a large table, and doubles when half of the places are
/// taken: then one piece in ten, a rare one, is not in its own line.
const FIRST_BUCKETS: usize = 1 << 12;

/// So many pieces are taken in at once, as their lines are asked for first.
const AT_ONCE: usize = 32;

/// Lines whose pieces may lie beside each other. With one line for two pieces one in ten would be thrown out when the table is about
/// to double, and merged again each time that it comes: 10 % of the time that text takes that comes again.
const GROUP: usize = 4;

/// Bytes of a cache line.
pub(in crate::bpe) const LINE: usize = size_of::<Bucket>();

/// A new short piece, and what it became.
pub(super) type ShortPiece = (u128, Became);

/// A cache line: two pieces. The first stays, as what comes early in a text comes often. A third goes beside: into the first of
/// the other lines of its [`GROUP`] that has room. If none has, it throws the second out.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Bucket {
    /// 0: free. No piece is empty, so no key is 0.
    pub(super) keys: [u128; 2],
    pub(super) became: [Became; 2],
}

// SAFETY: 64 bytes of integers.
unsafe impl Plain for Bucket {}

impl Bucket {
    #[cfg(test)]
    pub(super) const EMPTY: Bucket = Bucket { keys: [0; 2], became: [Became::UNKNOWN; 2] };

    /// Puts a piece in, if it is not there and there is room; whether it did.
    fn fill(&mut self, key: u128, became: Became) -> bool {
        !self.keys.contains(&key) && self.insert(key, became)
    }

    /// Puts a piece there, if there is room for it or it is there already: a piece may be new twice in one batch.
    #[inline(always)]
    pub(super) fn insert(&mut self, key: u128, became: Became) -> bool {
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
pub(in crate::bpe) struct ShortPieces<'a> {
    /// A power of two of them.
    pub(super) buckets: &'a [Bucket],
    pub(super) secrets: Secrets,
    pub(super) width: Width,
    /// As many lines are looked at.
    pub(super) group: usize,
}

impl ShortPieces<'_> {
    /// Where in the table a piece belongs, in bytes.
    #[inline(always)]
    pub(in crate::bpe) fn place(&self, key: u128) -> usize {
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
    pub(in crate::bpe) fn prefetch(&self, place: usize) {
        prefetch(self.buckets.as_ptr().wrapping_byte_add(place));
    }

    /// Whether a piece that is not in its own line may be beside it. Then it asks for the next line.
    #[inline(always)]
    pub(in crate::bpe) fn is_crowded(&self, place: usize) -> bool {
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
    pub(in crate::bpe) fn at_or_beside(&self, place: usize, key: u128) -> Became {
        match self.at(place, key) {
            Became::UNKNOWN => self.beside(place, key).map_or(Became::UNKNOWN, |(_, became)| became),
            became => became,
        }
    }

    /// What the piece with this key, whose place this is, became, if it is in its own line. No branch depends on what is found.
    #[inline(always)]
    pub(in crate::bpe) fn at(&self, place: usize, key: u128) -> Became {
        let bucket = self.bucket(place);
        let second = bucket.keys[1] == key;
        let found = bucket.became[usize::from(second)];
        if second | (bucket.keys[0] == key) { found } else { Became::UNKNOWN }
    }
}

/// The table, which grows up to a bound.
pub(super) struct ShortTable {
    secrets: Secrets,
    width: Width,
    /// A power of two of them.
    lines: Zeroed<Bucket>,
    most: usize,
    /// How many pieces have been put there; those that others have thrown out count, too.
    count: usize,
}

impl ShortTable {
    /// Of up to `most` lines.
    pub(super) fn new(secrets: Secrets, width: Width, most: usize) -> ShortTable {
        ShortTable { secrets, width, lines: Zeroed::new(FIRST_BUCKETS, most), most, count: 0 }
    }

    /// How many pieces have been put there.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    #[cfg(test)]
    pub(super) fn num_lines(&self) -> usize {
        self.lines.len()
    }

    /// Where pieces are looked up.
    #[inline(always)]
    pub(super) fn pieces(&self) -> ShortPieces<'_> {
        ShortPieces { buckets: &self.lines, secrets: self.secrets, width: self.width, group: self.group() }
    }

    /// Puts a piece there.
    pub(super) fn put(&mut self, key: u128, became: Became) {
        self.make_place();
        self.insert(key, became);
        self.count += 1;
    }

    /// What the piece with this key became, if it is beside its own line, whose place this is: then it changes places with the second
    /// there, so that what comes often is found at once.
    #[inline(always)]
    pub(super) fn bring_home(&mut self, place: usize, key: u128) -> Became {
        // A batch may have it twice: then it is there by now.
        let Some((line, became)) = self.pieces().beside(place, key) else { return self.pieces().at(place, key) };
        let (home, other) = (place / LINE, line / LINE);
        let at = usize::from(self.lines[other].keys[1] == key);
        let Bucket { keys: [_, second], became: [_, its] } = self.lines[home];
        self.lines[home].set(1, key, became);
        self.lines[other].set(at, second, its);
        became
    }

    /// One line alone where as many pieces have been put as there are places: then all lines of a group are full, and text that is new
    /// for ever would pay for looking at each.
    #[inline(always)]
    fn group(&self) -> usize {
        if self.count < 2 * self.lines.len() { GROUP } else { 1 }
    }

    /// Doubles the table where it is time.
    #[inline(always)]
    fn make_place(&mut self) {
        if self.count >= self.lines.len() && self.lines.len() < self.most {
            let before = self.lines.len();
            self.lines.double();
            // One bit more of the hash: a piece stays where it is or moves into the new half.
            for place in 0..before {
                let bucket = self.lines[place];
                let [stays, moves] = bucket.divide(bucket.keys.map(|key| self.place(key) >= before));
                (self.lines[place], self.lines[before + place]) = (stays, moves);
            }
        }
    }

    /// Takes in what another cache of the same tokenizer has learned, where there is room: what is here came here more often.
    pub(super) fn take_in(&mut self, learned: &[ShortPiece]) {
        for some in learned.chunks(AT_ONCE) {
            self.make_place();
            let places: [usize; AT_ONCE] = std::array::from_fn(|number| {
                let place = some.get(number).map_or(0, |(key, _)| self.place(*key));
                prefetch(&self.lines[place]);
                place
            });
            for (&(key, became), place) in some.iter().zip(places) {
                self.count += usize::from(self.lines[place].fill(key, became));
            }
        }
    }

    fn insert(&mut self, key: u128, became: Became) {
        let place = self.place(key);
        if !(0..self.group()).any(|other| self.lines[place ^ other].insert(key, became)) {
            self.lines[place].set(1, key, became);
        }
    }

    #[inline(always)]
    fn place(&self, key: u128) -> usize {
        place(self.secrets.hash_short(key), self.lines.len())
    }
}

/// Tables have a power of two of places, far fewer than 2^32. The upper half of the hash, as every bit of the key reaches it.
#[inline(always)]
fn place(hash: u64, len: usize) -> usize {
    (hash >> 32) as usize & (len - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const VOCAB_SIZE: usize = 1 << 24;

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
        let mut table = ShortTable::new(Secrets::default(), Width::of(VOCAB_SIZE), 1 << 20);
        let keys = (1..FIRST_BUCKETS as u128).map(|number| 3 << 120 | number);
        let became = |key: u128| Became::of(&[key as u32], Width::of(VOCAB_SIZE)).unwrap();
        keys.clone().for_each(|key| table.put(key, became(key)));
        let found = |table: &ShortTable, key| table.pieces().at_or_beside(table.pieces().place(key), key);
        let (mut beside, mut lost) = (0, 0_usize);
        for key in keys.clone() {
            let place = table.pieces().place(key);
            match (table.pieces().at(place, key), found(&table, key)) {
                (Became::UNKNOWN, Became::UNKNOWN) => lost += 1,
                (Became::UNKNOWN, it) => {
                    beside += 1;
                    assert_eq!((it, table.bring_home(place, key)), (became(key), it));
                    assert_eq!(table.pieces().at(place, key), it);
                }
                (it, _) => assert_eq!(it, became(key)),
            }
        }
        // Whoever was moved for another is still there, but where the lines between are not full.
        let gone = keys.filter(|key| found(&table, *key) != became(*key)).count();
        assert!(gone.abs_diff(lost) < FIRST_BUCKETS / 50, "{lost} {gone}");
        assert!(
            table.num_lines() == FIRST_BUCKETS && beside > FIRST_BUCKETS / 40 && lost < FIRST_BUCKETS / 50,
            "{beside} {lost}"
        );
    }
}
