//! A part of all pieces: two hash tables that grow, one for pieces that are their own key, one for longer ones.

use super::Visit;
use crate::error::Result;
use crate::prefetch::prefetch;
use crate::short_key::{SHORT, short_bytes};

/// A piece of up to 15 bytes ([`crate::short_key`]) and its count; count 0: a free slot.
#[derive(Debug, Clone, Copy, Default)]
struct Short {
    /// The key's halves: a `u128` would make the slot 32 bytes.
    key: [u64; 2],
    count: u64,
}

/// A piece of 16 bytes or more; count 0: a free slot.
#[derive(Debug, Clone, Copy, Default)]
struct Long {
    hash: u64,
    /// Where its bytes begin.
    start: u64,
    length: u64,
    count: u64,
}

/// Both tables: open addressing by the low half of the hash (the high bits chose the shard), at most 2/3 full.
#[derive(Debug, Default)]
pub(super) struct Shard {
    short: Vec<Short>,
    num_short: usize,
    long: Vec<Long>,
    num_long: usize,
    bytes: Vec<u8>,
}

/// A short piece on its way to its shard.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    pub key: u128,
    pub hash: u64,
    pub count: u64,
}

/// A piece, so that entries are ordered as the bytes of the pieces are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry<'a> {
    /// The first 15 bytes, and the length where it is at most that: of two pieces that differ only in zeros at the
    /// end the shorter is less.
    order: u128,
    /// A longer piece.
    long: &'a [u8],
    count: u64,
}

/// In place of the length of a longer piece: it comes after all that it begins with.
const LONGER: u8 = u8::MAX;

impl Entry<'_> {
    /// Calls `visit(piece, count)`.
    pub(super) fn with<T>(&self, visit: impl FnOnce(&[u8], u64) -> T) -> T {
        if self.long.is_empty() {
            let key = self.order.swap_bytes();
            let (bytes, length) = short_bytes(&key);
            visit(&bytes[..length], self.count)
        } else {
            visit(self.long, self.count)
        }
    }
}

/// Slots of a table's first allocation.
const FIRST: usize = 1 << 8;

/// The place of a hash in a table of `slots`.
#[inline(always)]
fn home(hash: u64, slots: usize) -> usize {
    (((hash & u64::from(u32::MAX)) * slots as u64) >> 32) as usize
}

#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "halves are taken")]
fn halves(key: u128) -> [u64; 2] {
    [key as u64, (key >> 64) as u64]
}

/// Whether a table with so many taken of so many slots has no room for so many more.
fn is_full(taken: usize, slots: usize, more: usize) -> bool {
    3 * (taken + more) > 2 * slots
}

/// How many slots come after so many: half as many again, as a table is 44 % to 67 % full then.
fn larger(slots: usize, needed: usize) -> usize {
    (slots + slots / 2).max(needed + needed / 2 + 1).max(FIRST)
}

impl Shard {
    /// Adds the counts of short pieces. `rehash` gives the hash of a key.
    pub(super) fn add_short(&mut self, pieces: &[Sent], rehash: impl Fn(u128) -> u64) {
        if is_full(self.num_short, self.short.len(), pieces.len()) {
            self.grow_short(pieces.len(), rehash);
        }
        for piece in pieces {
            prefetch(&self.short[home(piece.hash, self.short.len())]);
        }
        for piece in pieces {
            let place = self.place_of_short(halves(piece.key), piece.hash);
            let slot = &mut self.short[place];
            self.num_short += usize::from(slot.count == 0);
            slot.key = halves(piece.key);
            slot.count += piece.count;
        }
    }

    #[inline(always)]
    fn place_of_short(&self, key: [u64; 2], hash: u64) -> usize {
        let mut place = home(hash, self.short.len());
        while self.short[place].count > 0 && self.short[place].key != key {
            place = if place + 1 == self.short.len() { 0 } else { place + 1 };
        }
        place
    }

    #[cold]
    fn grow_short(&mut self, more: usize, rehash: impl Fn(u128) -> u64) {
        let slots = larger(self.short.len(), self.num_short + more);
        let old = std::mem::replace(&mut self.short, vec![Short::default(); slots]);
        for short in old.into_iter().filter(|short| short.count > 0) {
            let key = u128::from(short.key[0]) | u128::from(short.key[1]) << 64;
            let place = self.place_of_short(short.key, rehash(key));
            self.short[place] = short;
        }
    }

    /// Adds to the count of a piece of 16 bytes or more.
    pub(super) fn add_long(&mut self, piece: &[u8], hash: u64, count: u64) {
        if is_full(self.num_long, self.long.len(), 1) {
            self.grow_long();
        }
        let place = self.place_of_long(hash, |long| self.bytes_of(long) == piece);
        if self.long[place].count == 0 {
            let (start, length) = (self.bytes.len() as u64, piece.len() as u64);
            self.bytes.extend_from_slice(piece);
            self.num_long += 1;
            self.long[place] = Long { hash, start, length, count: 0 };
        }
        self.long[place].count += count;
    }

    /// Asks for the slot that [`Shard::add_long`] will read first.
    pub(super) fn prefetch_long(&self, hash: u64) {
        if !self.long.is_empty() {
            prefetch(&self.long[home(hash, self.long.len())]);
        }
    }

    #[inline(always)]
    fn place_of_long(&self, hash: u64, same: impl Fn(&Long) -> bool) -> usize {
        let mut place = home(hash, self.long.len());
        while self.long[place].count > 0 && !(self.long[place].hash == hash && same(&self.long[place])) {
            place = if place + 1 == self.long.len() { 0 } else { place + 1 };
        }
        place
    }

    #[cold]
    fn grow_long(&mut self) {
        let slots = larger(self.long.len(), self.num_long + 1);
        let old = std::mem::replace(&mut self.long, vec![Long::default(); slots]);
        for long in old.into_iter().filter(|long| long.count > 0) {
            let place = self.place_of_long(long.hash, |_| false);
            self.long[place] = long;
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "both were lengths of what lies in memory")]
    fn bytes_of(&self, long: &Long) -> &[u8] {
        &self.bytes[long.start as usize..][..long.length as usize]
    }

    pub(super) fn len(&self) -> usize {
        self.num_short + self.num_long
    }

    /// Bytes of memory in use.
    pub(super) fn memory(&self) -> usize {
        self.short.capacity() * size_of::<Short>() + self.long.capacity() * size_of::<Long>() + self.bytes.capacity()
    }

    /// Adds an entry for each piece.
    pub(super) fn list<'a>(&'a self, entries: &mut Vec<Entry<'a>>) {
        entries.extend(self.short.iter().filter(|short| short.count > 0).map(|short| {
            let key = u128::from(short.key[0]) | u128::from(short.key[1]) << 64;
            Entry { order: key.swap_bytes(), long: &[], count: short.count }
        }));
        entries.extend(self.long.iter().filter(|long| long.count > 0).map(|long| {
            let bytes = self.bytes_of(long);
            let mut first = [LONGER; 16];
            first[..SHORT].copy_from_slice(&bytes[..SHORT]);
            Entry { order: u128::from_be_bytes(first), long: bytes, count: long.count }
        }));
    }

    /// Calls `visit(piece, count)` for each piece, in no particular order.
    pub(super) fn each(&self, visit: Visit<'_>) -> Result<()> {
        for short in self.short.iter().filter(|short| short.count > 0) {
            let key = u128::from(short.key[0]) | u128::from(short.key[1]) << 64;
            let (bytes, length) = short_bytes(&key);
            visit(&bytes[..length], short.count)?;
        }
        self.long.iter().filter(|long| long.count > 0).try_for_each(|long| visit(self.bytes_of(long), long.count))
    }
}
