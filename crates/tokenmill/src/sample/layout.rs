//! How the tokens of one source are laid out in rows.

use super::best_fit_file::BestFit;
use super::document_windows::DocumentWindows;
use super::window::{Tail, Window, Windows};
use crate::error::{Error, Result};
use std::ops::Range;

/// The rule that makes rows. Another rule is another variant, and a branch in each of the functions below.
#[derive(Debug, Clone)]
pub enum Layout {
    /// Windows over all tokens, one after another, whatever documents they are in.
    Concat(Windows),
    /// Windows within one document each.
    Document(DocumentWindows),
    /// Whole documents, several in a row.
    BestFit(BestFit),
    /// Rows of another layout, each cut into so many shorter ones.
    Cut(Box<Layout>, u64),
}

impl Layout {
    /// How many rows there are; at least 1.
    pub fn count(&self) -> u64 {
        match self {
            Layout::Concat(windows) => windows.count(),
            Layout::Document(windows) => windows.count(),
            Layout::BestFit(rows) => rows.count(),
            Layout::Cut(rows, parts) => rows.count() * parts, // see `Layout::cut`
        }
    }

    /// The rows of this layout, each cut into `parts` rows: row `i` becomes `i * parts`, `i * parts + 1`, ...
    ///
    /// # Errors
    /// They would not be equally long, or more than a `u64` counts.
    pub fn cut(self, parts: u64) -> Result<Layout> {
        let length = self.max_length();
        if parts == 0 || !length.is_multiple_of(parts) || self.count().checked_mul(parts).is_none() {
            return Err(Error::value(format!("{} rows of {length} cannot be cut into {parts} each", self.count())));
        }
        Ok(Layout::Cut(Box::new(self), parts))
    }

    /// Inputs, and targets, of a full row.
    pub fn max_length(&self) -> u64 {
        match self {
            Layout::Concat(windows) => windows.max_length(),
            Layout::Document(windows) => windows.max_length(),
            Layout::BestFit(rows) => rows.max_length(),
            Layout::Cut(rows, parts) => rows.max_length() / parts,
        }
    }

    /// Tokens from the start of one row to the next, or about as many.
    pub fn stride(&self) -> u64 {
        match self {
            Layout::Concat(windows) => windows.stride(),
            Layout::Document(windows) => windows.stride(),
            Layout::BestFit(rows) => rows.max_length(),
            Layout::Cut(rows, parts) => (rows.stride() / parts).max(1),
        }
    }

    /// Whether some token may be a target of two rows.
    pub fn overlaps(&self) -> bool {
        match self {
            Layout::Concat(windows) => windows.stride() < windows.max_length() || windows.tail() == Tail::Shift,
            Layout::Document(windows) => windows.stride() < windows.max_length() || windows.tail() == Tail::Shift,
            Layout::BestFit(_) => false,
            Layout::Cut(rows, _) => rows.overlaps(),
        }
    }

    /// Appends what row `i` holds, from left to right, to `windows`: at most `max_length` targets in all. A row that is cut
    /// from the padding of another holds nothing.
    ///
    /// # Errors
    /// There is no such row, or the data is damaged.
    pub fn get(&self, i: u64, windows: &mut Vec<Window>) -> Result<()> {
        match self {
            Layout::Concat(all) => windows.push(all.get(i).ok_or_else(|| {
                Error::value(format!("window {i} does not exist; there are {}, counted from 0", all.count()))
            })?),
            Layout::Document(all) => windows.push(all.get(i)?),
            Layout::BestFit(rows) => rows.get(i, windows)?,
            Layout::Cut(rows, parts) => {
                let (first, length) = (windows.len(), self.max_length());
                rows.get(i / parts, windows)?;
                keep_places(windows, first, i % parts * length..(i % parts + 1) * length);
            }
        }
        Ok(())
    }
}

/// Of a row, the windows from `first` on, what lies in some of its places.
pub(super) fn keep_places(windows: &mut Vec<Window>, first: usize, places: Range<u64>) {
    let (mut at, mut kept) = (0, first);
    for index in first..windows.len() {
        let Window { start, valid } = windows[index];
        let (from, to) = (places.start.max(at), places.end.min(at + valid));
        if from < to {
            windows[kept] = Window { start: start + from - at, valid: to - from };
            kept += 1;
        }
        at += valid;
    }
    windows.truncate(kept);
}

#[cfg(test)]
mod tests {
    use super::super::Windows;
    use super::*;

    #[test]
    fn rows_are_cut_into_equal_ones() {
        let window = |start, valid| Window { start, valid };
        let packed = [window(100, 3), window(40, 1), window(7, 6)];
        let kept = |places| {
            let mut windows = packed.to_vec();
            keep_places(&mut windows, 1, places);
            windows
        };
        // Places 0 to 6 of the row of the last two.
        assert_eq!(kept(0..4), [packed[0], packed[1], window(7, 3)]);
        assert_eq!(kept(4..8), [packed[0], window(10, 3)]);
        assert_eq!(kept(8..12), [packed[0]]);
    }

    #[test]
    fn a_row_of_a_cut_layout_is_a_part_of_the_whole() {
        let whole = Layout::Concat(Windows::new(20, 6, 4, Tail::Pad).unwrap());
        let cut = whole.clone().cut(3).unwrap();
        assert_eq!((cut.count(), cut.max_length(), cut.overlaps()), (whole.count() * 3, 2, true));
        let row = |i| {
            let mut windows = Vec::new();
            cut.get(i, &mut windows).map(|()| windows)
        };
        assert_eq!(row(4).unwrap(), [Window { start: 6, valid: 2 }]);
        // The last window, from token 16 on, has 3 targets: a row and a half.
        let last = cut.count() - 3;
        let valid: Vec<u64> = (last..last + 3).map(|i| row(i).unwrap().iter().map(|w| w.valid).sum()).collect();
        assert_eq!(valid, [2, 1, 0]);
        assert!(row(cut.count()).is_err());
        for parts in [0, 4, 7] {
            assert!(whole.clone().cut(parts).is_err());
        }
    }
}
