//! How the tokens of one source are laid out in rows.

use super::best_fit_file::BestFit;
use super::document_windows::DocumentWindows;
use super::window::{Window, Windows};
use crate::error::{Error, Result};

/// The rule that makes rows. Another rule is another variant, and a branch in each of the functions below.
#[derive(Debug, Clone)]
pub enum Layout {
    /// Windows over all tokens, one after another, whatever documents they are in.
    Concat(Windows),
    /// Windows within one document each.
    Document(DocumentWindows),
    /// Whole documents, several in a row.
    BestFit(BestFit),
}

impl Layout {
    /// How many rows there are; at least 1.
    pub fn count(&self) -> u64 {
        match self {
            Layout::Concat(windows) => windows.count(),
            Layout::Document(windows) => windows.count(),
            Layout::BestFit(rows) => rows.count(),
        }
    }

    /// Inputs, and targets, of a full row.
    pub fn max_length(&self) -> u64 {
        match self {
            Layout::Concat(windows) => windows.max_length(),
            Layout::Document(windows) => windows.max_length(),
            Layout::BestFit(rows) => rows.max_length(),
        }
    }

    /// Tokens from the start of one row to the next, or about as many.
    pub fn stride(&self) -> u64 {
        match self {
            Layout::Concat(windows) => windows.stride(),
            Layout::Document(windows) => windows.stride(),
            Layout::BestFit(rows) => rows.max_length(),
        }
    }

    /// Appends what row `i` holds, from left to right, to `windows`: at least one, with at most `max_length` targets in all.
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
        }
        Ok(())
    }
}
