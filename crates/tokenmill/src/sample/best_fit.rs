//! Whole documents packed into rows by best-fit-decreasing.
//!
//! A document of `n` tokens has `n - 1` transitions, an input and its target each. Those are what is packed: a document
//! needs `n - 1` places of a row, and its last token is a target only. A document with more than `max_length`
//! transitions gives full rows and one rest. The pieces, longest first (equal ones in the order of the documents), go each
//! into the fullest row that has room: the rule of "Fewer Truncations Improve Language Modeling" (Ding et al., 2024).
//! Rows are then numbered by their first document, so that unshuffled rows follow the order of the text.

use super::documents::Documents;
use super::window::Window;
use crate::error::{Error, Result};
use crate::monitor::{Monitor, Progress};

/// Rows longer than this are not packed: a table of as many numbers is kept while packing.
pub const LONGEST_ROW: u64 = 1 << 26;

/// Documents or pieces between two reports.
const TICK: usize = 1 << 18;

/// Which pieces make each row.
#[derive(Debug, PartialEq, Eq)]
pub struct Packed {
    /// How many pieces there are up to the end of each row.
    pub ends: Vec<u64>,
    /// The pieces of all rows, each row's in the order of the text.
    pub pieces: Vec<Window>,
}

/// Packs the documents. Takes some 40 bytes of memory for each piece while it works.
///
/// # Errors
/// `max_length` is 0 or above [`LONGEST_ROW`], there are more than 2^32 - 1 pieces, no document has 2 tokens, the data is
/// damaged, or the monitor stops it.
pub fn pack(documents: &dyn Documents, max_length: u64, monitor: &dyn Monitor) -> Result<Packed> {
    if max_length == 0 || max_length > LONGEST_ROW {
        return Err(Error::value(format!(
            "max_length={max_length} is out of range; packing=\"best_fit\" takes 1 to {LONGEST_ROW}"
        )));
    }
    let pieces = pieces(documents, max_length, monitor)?;
    if pieces.is_empty() {
        return Err(Error::value("no document has 2 tokens, an input and its target; give more text"));
    }
    let rows = Rows::fill(&pieces, max_length, monitor)?;
    Ok(rows.in_order_of_text(&pieces))
}

/// What has to be packed, in the order of the text.
fn pieces(documents: &dyn Documents, max_length: u64, monitor: &dyn Monitor) -> Result<Vec<Window>> {
    let mut pieces = Vec::new();
    let count = documents.count();
    for document in 0..count {
        if document.is_multiple_of(TICK as u64) {
            monitor.tick(Progress { stage: "packing", unit: "documents", done: document, total: None })?;
        }
        let range = documents.range(document)?;
        let mut start = range.start;
        while start + 1 < range.end {
            let valid = (range.end - 1 - start).min(max_length);
            pieces.push(Window { start, valid });
            start += valid;
        }
        if u32::try_from(pieces.len()).is_err() {
            return Err(Error::value(format!(
                "packing=\"best_fit\" takes up to 2^32 - 1 pieces of documents, and there are more after {document} of \
                 {count} documents; use packing=\"document\", or several stores"
            )));
        }
    }
    Ok(pieces)
}

/// Rows in the order in which they were begun.
struct Rows {
    /// The row of each piece.
    row_of: Vec<u32>,
    count: u32,
}

impl Rows {
    fn fill(pieces: &[Window], max_length: u64, monitor: &dyn Monitor) -> Result<Rows> {
        let mut rows = Rows { row_of: vec![0; pieces.len()], count: 0 };
        let mut room = Room::new(size(max_length));
        for (done, &piece) in longest_first(pieces, size(max_length)).iter().enumerate() {
            if done.is_multiple_of(TICK) {
                let total = Some(pieces.len() as u64);
                monitor.tick(Progress { stage: "packing", unit: "pieces", done: done as u64, total })?;
            }
            let length = size(pieces[piece as usize].valid);
            let (left, row) = room.take(length).unwrap_or_else(|| {
                rows.count += 1;
                (size(max_length), rows.count - 1)
            });
            rows.row_of[piece as usize] = row;
            room.put(left - length, row);
        }
        Ok(rows)
    }

    fn in_order_of_text(&self, pieces: &[Window]) -> Packed {
        let mut number = vec![u32::MAX; self.count as usize];
        let mut next = 0;
        let mut ends = vec![0u64; self.count as usize];
        for &row in &self.row_of {
            let number = &mut number[row as usize];
            if *number == u32::MAX {
                *number = next;
                next += 1;
            }
            ends[*number as usize] += 1;
        }
        let mut end = 0;
        // Where each row begins; after the loop below, where it ends.
        for slot in &mut ends {
            end += std::mem::replace(slot, end);
        }
        let mut sorted = vec![Window { start: 0, valid: 0 }; pieces.len()];
        for (piece, &row) in pieces.iter().zip(&self.row_of) {
            let place = &mut ends[number[row as usize] as usize];
            sorted[size(*place)] = *piece;
            *place += 1;
        }
        Packed { ends, pieces: sorted }
    }
}

/// A number that was checked to be at most 2^32.
fn size(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Numbers of pieces by decreasing length, equal ones in order: a counting sort.
fn longest_first(pieces: &[Window], max_length: usize) -> Vec<u32> {
    let mut places = vec![0u32; max_length + 1];
    for piece in pieces {
        places[size(piece.valid)] += 1;
    }
    let mut next = 0;
    for place in places.iter_mut().rev() {
        next += std::mem::replace(place, next);
    }
    let mut sorted = vec![0; pieces.len()];
    for (number, piece) in (0u32..).zip(pieces) {
        let place = &mut places[size(piece.valid)];
        sorted[*place as usize] = number;
        *place += 1;
    }
    sorted
}

/// Rows that are not full, by the places they have left; of equally full ones the last that became so is found.
struct Room {
    rows: Vec<Vec<u32>>,
    /// A bit for each number of places that some row has left, and over each 64 words of a level a word of the next.
    levels: Vec<Vec<u64>>,
}

impl Room {
    fn new(max_length: usize) -> Room {
        let mut levels = vec![vec![0u64; max_length / 64 + 1]];
        while let Some(level) = levels.last().filter(|level| level.len() > 1) {
            levels.push(vec![0; level.len().div_ceil(64)]);
        }
        Room { rows: vec![Vec::new(); max_length + 1], levels }
    }

    fn put(&mut self, left: usize, row: u32) {
        if left == 0 {
            return;
        }
        self.rows[left].push(row);
        let mut at = left;
        for level in &mut self.levels {
            level[at / 64] |= 1 << (at % 64);
            at /= 64;
        }
    }

    /// The fullest row with `length` places left, and how many it has.
    fn take(&mut self, length: usize) -> Option<(usize, u32)> {
        let left = self.first_from(length)?;
        let row = self.rows[left].pop()?;
        if self.rows[left].is_empty() {
            let mut at = left;
            for level in &mut self.levels {
                level[at / 64] &= !(1 << (at % 64));
                if level[at / 64] != 0 {
                    break;
                }
                at /= 64;
            }
        }
        Some((left, row))
    }

    /// The least set bit of the lowest level that is `from` or more: up until a word has one, then down to it.
    fn first_from(&self, from: usize) -> Option<usize> {
        let mut at = from;
        for (height, level) in self.levels.iter().enumerate() {
            let word = level.get(at / 64)? >> (at % 64);
            if word != 0 {
                at += word.trailing_zeros() as usize;
                for lower in self.levels[..height].iter().rev() {
                    at = at * 64 + lower[at].trailing_zeros() as usize;
                }
                return Some(at);
            }
            at = at / 64 + 1;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition: each piece, longest first, into the fullest row that it fits (the latest of equal ones).
    fn slow(lengths: &[u64], max_length: u64) -> Vec<Vec<Window>> {
        let mut pieces = Vec::new();
        let mut start = 0;
        for length in lengths {
            let mut at = start;
            while at + 1 < start + length {
                let valid = (start + length - 1 - at).min(max_length);
                pieces.push(Window { start: at, valid });
                at += valid;
            }
            start += length;
        }
        pieces.sort_by_key(|piece| std::cmp::Reverse(piece.valid));
        // (rows, the time of the last change): the latest of the fullest.
        let mut rows: Vec<(Vec<Window>, usize)> = Vec::new();
        for (time, piece) in pieces.into_iter().enumerate() {
            let filled = |row: &Vec<Window>| row.iter().map(|piece| piece.valid).sum::<u64>();
            let fits = rows.iter_mut().filter(|(row, _)| filled(row) + piece.valid <= max_length);
            match fits.max_by_key(|(row, changed)| (filled(row), *changed)) {
                Some(row) => {
                    row.0.push(piece);
                    row.1 = time;
                }
                None => rows.push((vec![piece], time)),
            }
        }
        let mut rows: Vec<Vec<Window>> = rows.into_iter().map(|(row, _)| row).collect();
        rows.iter_mut().for_each(|row| row.sort_by_key(|piece| piece.start));
        rows.sort_by_key(|row| row[0].start);
        rows
    }

    fn fast(lengths: &[u64], max_length: u64) -> Result<Vec<Vec<Window>>> {
        let ends: Vec<u64> = lengths
            .iter()
            .scan(0, |end, length| {
                *end += length;
                Some(*end)
            })
            .collect();
        let packed = pack(&ends, max_length, &())?;
        let mut start = 0;
        Ok(packed
            .ends
            .iter()
            .map(|&end| {
                let row = packed.pieces[start..size(end)].to_vec();
                start = size(end);
                row
            })
            .collect())
    }

    proptest! {
        #[test]
        fn rows_are_those_of_the_definition(lengths in prop::collection::vec(0u64..300, 1..60), max_length in 1u64..200) {
            match fast(&lengths, max_length) {
                Ok(rows) => prop_assert_eq!(rows, slow(&lengths, max_length)),
                Err(_) => prop_assert!(lengths.iter().all(|&length| length < 2)),
            }
        }
    }

    #[test]
    fn a_row_of_any_room_is_found_across_levels() {
        let max_length = 300_000;
        let mut room = Room::new(max_length);
        let sizes = [1, 63, 64, 4095, 4096, 262_143, 262_144, 300_000];
        for (row, &left) in (0..).zip(&sizes) {
            room.put(left, row);
        }
        assert_eq!(room.first_from(65), Some(4095));
        for (row, &left) in (0..).zip(&sizes) {
            assert_eq!(room.take(left), Some((left, row)));
            let next = sizes.iter().copied().find(|&size| size > left);
            assert_eq!(room.first_from(1), next);
        }
        assert_eq!(room.take(1), None);
    }

    #[test]
    fn lengths_out_of_range_and_text_without_transitions_are_refused() {
        for max_length in [0, LONGEST_ROW + 1, u64::MAX] {
            assert!(pack(&vec![9u64], max_length, &()).unwrap_err().to_string().contains("max_length="));
        }
        assert!(pack(&vec![1u64, 2, 2], 4, &()).unwrap_err().to_string().contains("2 tokens"));
    }
}
