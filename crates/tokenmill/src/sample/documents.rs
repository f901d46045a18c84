//! Where documents lie among the tokens, and windows cut at their ends.

use super::window::Window;
use crate::error::{Error, Result};
use crate::store::Store;
use std::fmt::Debug;
use std::ops::Range;

/// Documents that lie one after another: a token store, or a list of their ends. Empty ones are allowed.
pub trait Documents: Debug + Send + Sync {
    /// How many there are.
    fn count(&self) -> u64;

    /// The tokens of document `document`.
    ///
    /// # Errors
    /// There is no such document, or the data is damaged.
    fn range(&self, document: u64) -> Result<Range<u64>>;

    /// The document that `token` belongs to.
    ///
    /// # Errors
    /// There is no such token, or the data is damaged.
    fn at(&self, token: u64) -> Result<u64>;
}

impl Documents for Store {
    fn count(&self) -> u64 {
        self.num_documents()
    }

    fn range(&self, document: u64) -> Result<Range<u64>> {
        self.document_range(document).map(|(start, end)| start..end)
    }

    fn at(&self, token: u64) -> Result<u64> {
        self.document_at(token)
    }
}

/// The end of each document, in order.
impl Documents for Vec<u64> {
    fn count(&self) -> u64 {
        self.len() as u64
    }

    fn range(&self, document: u64) -> Result<Range<u64>> {
        let index = usize::try_from(document).ok().filter(|&index| index < self.len());
        let index = index.ok_or_else(|| Error::value(format!("there is no document {document}")))?;
        Ok(index.checked_sub(1).map_or(0, |before| self[before])..self[index])
    }

    fn at(&self, token: u64) -> Result<u64> {
        let document = self.partition_point(|&end| end <= token);
        if document == self.len() {
            Err(Error::value(format!("there is no token {token}")))
        } else {
            Ok(document as u64)
        }
    }
}

/// Inputs of one document, next to each other in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// Index of the first input token.
    pub start: u64,
    /// Inputs; at least 1.
    pub length: u64,
    /// Whether the last input's target is the first token of another document.
    pub crosses: bool,
}

/// Appends the pieces of a window to `pieces`, cut wherever an input begins another document.
///
/// # Errors
/// The window is not within the documents, or the data is damaged.
pub fn cut(documents: &dyn Documents, window: Window, pieces: &mut Vec<Piece>) -> Result<()> {
    // The last target is token `end`.
    let end = window.start.saturating_add(window.valid);
    let (mut start, mut document) = (window.start, documents.at(window.start)?);
    while start < end {
        let stop = documents.range(document)?.end;
        if stop > end {
            pieces.push(Piece { start, length: end - start, crosses: false });
            break;
        }
        if stop > start {
            pieces.push(Piece { start, length: stop - start, crosses: true });
            start = stop;
        }
        document += 1;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(ends: &[u64], start: u64, valid: u64) -> Vec<(u64, u64, bool)> {
        let mut pieces = Vec::new();
        cut(&ends.to_vec(), Window { start, valid }, &mut pieces).unwrap();
        pieces.iter().map(|piece| (piece.start, piece.length, piece.crosses)).collect()
    }

    #[test]
    fn windows_are_cut_where_documents_end() {
        let ends = [0, 3, 3, 5, 6, 12, 12];
        assert_eq!(pieces(&ends, 0, 2), [(0, 2, false)]);
        assert_eq!(pieces(&ends, 0, 3), [(0, 3, true)]);
        assert_eq!(pieces(&ends, 1, 6), [(1, 2, true), (3, 2, true), (5, 1, true), (6, 1, false)]);
        assert_eq!(pieces(&ends, 6, 5), [(6, 5, false)]);
        assert_eq!(pieces(&ends, 5, 1), [(5, 1, true)]);
    }

    #[test]
    fn tokens_and_documents_that_do_not_exist_are_errors() {
        let ends = vec![3u64, 5];
        let mut pieces = Vec::new();
        for (start, valid) in [(5, 1), (3, 9), (0, u64::MAX)] {
            assert!(cut(&ends, Window { start, valid }, &mut pieces).is_err(), "{start} {valid}");
        }
        assert!(ends.range(2).is_err() && ends.at(5).is_err());
    }
}
