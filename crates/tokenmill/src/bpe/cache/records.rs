//! Pieces of 16 bytes and more, and shorter ones of many ids.
//!
//! ```text
//! index   lines of eight: 32 bits of a piece's hash, and where its record lies
//! bytes   │ hash, length, number of ids │ the piece │ its ids │ hash, length, ... │ 0 │
//!         └ a segment of 64 KiB                                                   └ the next
//! ```
//!
//! A record takes as much as its piece and its ids, so that 20 MB of text without a space fit into 24. They lie in the order
//! in which the text had them, which is the order in which it asks for them again. Where the memory ends, any of the segments
//! is written anew: each new piece costs as much as at the beginning, and of a text that is a tenth too long most is known
//! when it comes again. (If the oldest went first, nothing would be.)

use super::ids::{IdWidth, Ids};
use crate::bpe::key::Kind;
use crate::prefetch::prefetch;
use crate::zeroed::{Plain, Zeroed};
use std::ops::Range;

/// Longest piece that is kept: beyond, hardly any comes again.
pub(super) const LONGEST: usize = 4096;

/// Bytes that are written from one end to the other before any of them goes. The largest record takes a third.
pub(super) const SEGMENT: usize = 1 << 16;

/// Records begin at multiples of it, so that 32 bits say where.
const UNIT: usize = 4;

/// What lies in 2^32 units.
pub(super) const MOST_SEGMENTS: usize = (1 << 32) / (SEGMENT / UNIT);

/// Bytes of a `Header`.
const HEADER: usize = 8;

/// Entries of a line of the index.
const WAYS: usize = 8;

const FIRST_LINES: usize = 1 << 9;

/// So many records are taken in at once.
const AT_ONCE: usize = 16;

/// So many segments more are asked for at most at once.
const STEP: usize = 64;

/// A cache line of the index: the hashes of its pieces, and the units where their records begin. The lowest bits of the hash
/// say which line; if that is full, it may be the other one of the pair. (Without that, of lines that are half full one in
/// thirty has no room, and its pieces drive each other out whenever the text comes again.)
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Line {
    tags: [u32; WAYS],
    /// 0: free, as no record begins there. The first that is free is taken, so a line whose last is free has room.
    units: [u32; WAYS],
}

// SAFETY: 64 bytes of integers.
unsafe impl Plain for Line {}

impl Line {
    const EMPTY: Line = Line { tags: [0; WAYS], units: [0; WAYS] };

    /// Where the record of a piece with this hash is, or 0. No branch depends on what is found.
    #[inline(always)]
    fn unit(&self, tag: u32) -> u32 {
        (0..WAYS).fold(0, |unit, way| unit | if self.tags[way] == tag { self.units[way] } else { 0 })
    }

    /// The way of the same hash, or a free one.
    fn way_for(&self, tag: u32) -> Option<usize> {
        let same = (0..WAYS).find(|&way| self.units[way] != 0 && self.tags[way] == tag);
        same.or_else(|| (0..WAYS).find(|&way| self.units[way] == 0))
    }
}

/// What a record begins with; of zeros behind the last of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Header {
    tag: u32,
    /// The length of the piece, with its kind.
    length: u16,
    /// How many ids it has.
    count: u16,
}

impl Header {
    #[inline(always)]
    fn of(tag: u32, piece: &[u8], kind: Kind, count: usize) -> Option<Header> {
        let length = u16::try_from(piece.len()).ok().filter(|length| (1..=LONGEST).contains(&usize::from(*length)))?;
        Some(Header { tag, length: length | u16::from(kind == Kind::Part) << 15, count: u16::try_from(count).ok()? })
    }

    #[inline(always)]
    fn to_bytes(self) -> [u8; HEADER] {
        (u64::from(self.tag) | u64::from(self.length) << 32 | u64::from(self.count) << 48).to_le_bytes()
    }

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "`to_bytes` reversed")]
    fn from_bytes(bytes: [u8; HEADER]) -> Header {
        let all = u64::from_le_bytes(bytes);
        Header { tag: all as u32, length: (all >> 32) as u16, count: (all >> 48) as u16 }
    }

    /// Bytes of the record.
    #[inline(always)]
    fn size(self, width: IdWidth) -> usize {
        let (piece, count) = (usize::from(self.length & 0x7FFF), usize::from(self.count));
        (HEADER + piece + width.bytes_of(count)).next_multiple_of(UNIT)
    }
}

/// How large a table may grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    /// Lines of the index, a power of two of at least two.
    pub lines: usize,
    /// Segments of records, at least one,
    pub segments: usize,
    /// and the bytes of each.
    pub segment: usize,
}

/// The table.
pub(super) struct Records {
    bounds: Bounds,
    width: IdWidth,
    index: Zeroed<Line>,
    num_entries: usize,
    bytes: Zeroed<u8>,
    /// Segments that have been begun.
    num_segments: usize,
    /// Where the next record begins, and where its segment ends.
    head: usize,
    end: usize,
    /// Says which segment is written anew.
    random: u64,
}

impl Records {
    /// For ids below `vocab_size`.
    pub(super) fn new(vocab_size: usize, bounds: Bounds) -> Records {
        Records {
            bounds,
            width: IdWidth::of(vocab_size),
            index: Zeroed::new(FIRST_LINES.min(bounds.lines), bounds.lines),
            num_entries: 0,
            bytes: Zeroed::new(bounds.segment, bounds.segments * bounds.segment),
            num_segments: 1,
            head: UNIT,
            end: bounds.segment,
            random: 0,
        }
    }

    /// Takes in what another table of the same tokenizer has: a segment like any other, which is full. Only where there is
    /// room, as what is here is what this thread has met.
    pub(super) fn take_in(&mut self, segment: &[u8]) {
        if UNIT + segment.len() + HEADER > self.bounds.segment || self.num_segments == self.bounds.segments {
            return;
        }
        let start = self.free_segment() + UNIT;
        let end = start + segment.len();
        self.bytes[start..end].copy_from_slice(segment);
        self.bytes[end..][..HEADER].fill(0);
        let mut at = start;
        loop {
            // Their lines of the index are on their way at once.
            let mut some = [(0, 0); AT_ONCE];
            let mut count = 0;
            while let Some(header) = self.header(at).filter(|_| count < AT_ONCE) {
                some[count] = (header.tag, unit(at));
                self.prefetch_line(header.tag);
                at += header.size(self.width);
                count += 1;
            }
            if count == 0 {
                return;
            }
            for &(tag, unit) in &some[..count] {
                // What has been here before stays: it is read where it is.
                if self.at(tag) == 0 {
                    self.enter(tag, unit);
                }
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.num_entries
    }

    #[inline(always)]
    fn place(&self, tag: u32) -> usize {
        tag as usize & (self.index.len() - 1)
    }

    /// Where the record of the piece with this hash would be; 0: nowhere.
    #[inline(always)]
    fn at(&self, tag: u32) -> usize {
        let place = self.place(tag);
        let line = &self.index[place];
        let unit = match line.unit(tag) {
            0 if line.units[WAYS - 1] != 0 => self.index[place ^ 1].unit(tag),
            unit => unit,
        };
        unit as usize * UNIT
    }

    /// Asks for the line of the index that `find` and `prefetch_record` will read.
    #[inline(always)]
    pub(super) fn prefetch_line(&self, tag: u32) {
        prefetch(&self.index[self.place(tag)]);
    }

    /// Asks for the record that `find` will read, most of which lie in two cache lines, and says whether there is one.
    #[inline(always)]
    pub(super) fn prefetch_record(&self, tag: u32) -> bool {
        let at = self.at(tag);
        let record = &self.bytes[at..];
        prefetch(record.as_ptr());
        prefetch(record.as_ptr().wrapping_add(64));
        at != 0
    }

    /// The ids of the piece with this hash.
    #[inline]
    pub(super) fn find(&self, tag: u32, piece: &[u8], kind: Kind) -> Option<Ids<'_>> {
        let at = self.at(tag);
        let (header, rest) = self.bytes[at..].split_first_chunk()?;
        let header = Header::from_bytes(*header);
        let count = usize::from(header.count);
        let same =
            at != 0 && Header::of(tag, piece, kind, count) == Some(header) && rest.get(..piece.len()) == Some(piece);
        same.then(|| self.width.ids(&rest[piece.len()..], count))
    }

    /// Remembers what a piece became, if it is not too long. Where that filled a segment, gives its records, one behind the
    /// other: another table can take them in.
    pub(super) fn insert(&mut self, tag: u32, piece: &[u8], kind: Kind, ids: &[u32]) -> Option<&[u8]> {
        let header = Header::of(tag, piece, kind, ids.len())?;
        // A piece may be new twice in one batch.
        if self.find(tag, piece, kind).is_some() {
            return None;
        }
        let size = header.size(self.width);
        let (at, full) = self.make_room(size)?;
        let (first, rest) = self.bytes[at..at + size].split_at_mut(HEADER);
        first.copy_from_slice(&header.to_bytes());
        let (bytes, rest) = rest.split_at_mut(piece.len());
        bytes.copy_from_slice(piece);
        self.width.store(ids, rest);
        self.enter(tag, unit(at));
        full.map(|full| &self.bytes[full])
    }

    /// Where a record of `size` bytes begins, and the records of the segment that it found full.
    #[inline]
    fn make_room(&mut self, size: usize) -> Option<(usize, Option<Range<usize>>)> {
        // Behind it there is room for zeros.
        let taken = size + HEADER;
        let mut full = None;
        if self.head + taken > self.end {
            if UNIT + taken > self.bounds.segment {
                return None;
            }
            full = self.begin_segment();
        }
        self.head += size;
        Some((self.head - size, full))
    }

    /// Goes on in a new segment, or in any of the others. Gives where the records of the one before are, if it is another.
    #[cold]
    fn begin_segment(&mut self) -> Option<Range<usize>> {
        self.bytes[self.head..][..HEADER].fill(0);
        let size = self.bounds.segment;
        let full = self.end - size + UNIT..self.head;
        let start = self.free_segment();
        self.head = start + UNIT;
        self.end = start + size;
        (self.head != full.start).then_some(full)
    }

    /// Where a segment begins that is new, or any but that which is being written, without its records.
    fn free_segment(&mut self) -> usize {
        let size = self.bounds.segment;
        let segment = if self.num_segments < self.bounds.segments {
            let there = self.bytes.len() / size;
            if self.num_segments == there {
                self.bytes.grow((there + there.min(STEP)).min(self.bounds.segments) * size);
            }
            self.num_segments += 1;
            self.num_segments - 1
        } else {
            self.random = self.random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            let others = (self.num_segments - 1).max(1);
            let further = 1 + (self.random >> 32) as usize % others;
            let segment = (self.end / size - 1 + further) % self.num_segments;
            self.clear_segment(segment * size);
            segment
        };
        segment * size
    }

    /// Of the record that begins here; `None` behind the last of a segment.
    #[inline(always)]
    fn header(&self, at: usize) -> Option<Header> {
        let header = Header::from_bytes(*self.bytes[at..].first_chunk()?);
        (header.length != 0).then_some(header)
    }

    /// Takes the records of the segment that begins here out of the index.
    fn clear_segment(&mut self, start: usize) {
        let mut at = start + UNIT;
        while let Some(header) = self.header(at) {
            let place = self.place(header.tag);
            for place in [place, place ^ 1] {
                for entry in self.index[place].units.iter_mut().filter(|entry| **entry == unit(at)) {
                    *entry = 0;
                    self.num_entries -= 1;
                }
            }
            at += header.size(self.width);
        }
    }

    fn enter(&mut self, tag: u32, unit: u32) {
        if self.num_entries >= self.index.len() * WAYS / 2 && self.index.len() < self.bounds.lines {
            self.double();
        }
        let home = self.place(tag);
        let way_in = |place: usize| self.index[place].way_for(tag).map(|way| (place, way));
        let (place, way) = way_in(home).or_else(|| way_in(home ^ 1)).unwrap_or((home, unit as usize % WAYS));
        let line = &mut self.index[place];
        self.num_entries += usize::from(line.units[way] == 0);
        (line.tags[way], line.units[way]) = (tag, unit);
    }

    /// One bit more of the hash: the entries of a pair of lines stay where they are or move into the new half.
    fn double(&mut self) {
        let before = self.index.len();
        self.index.double();
        self.num_entries = 0;
        for first in (0..before).step_by(2) {
            let pair = [first, first + 1].map(|place| std::mem::replace(&mut self.index[place], Line::EMPTY));
            for (tag, unit) in pair.iter().flat_map(|line| line.tags.into_iter().zip(line.units)) {
                if unit != 0 {
                    self.enter(tag, unit);
                }
            }
        }
    }
}

#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "`Limits` has fewer than 2^32 units")]
fn unit(at: usize) -> u32 {
    (at / UNIT) as u32
}

#[cfg(test)]
#[path = "records_tests.rs"]
mod tests;
