//! The one error type of the core. Every message names the value, the place and the remedy.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Where in an input something was found: a file (or `<stdin>`, `<texts>`), a 1-based line, a 0-based byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The input as the user named it.
    pub input: String,
    /// 1-based line, where the input has lines. (Rows of iterables and Arrow are named in `input`, from 0.)
    pub line: Option<u64>,
    /// 0-based byte offset in the input (after decompression), where there is one.
    pub byte: Option<u64>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.input)?;
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        if let Some(byte) = self.byte {
            write!(f, ", byte {byte}")?;
        }
        Ok(())
    }
}

/// Everything that can go wrong. The binding maps each variant to one Python exception, in one place.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An argument that cannot be right (`ValueError`).
    #[error("{0}")]
    Value(String),
    /// The operating system refused (`OSError`, with its errno).
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder concerned.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A document that cannot be read (`DocumentError`).
    #[error("{place}: {reason}")]
    Document {
        /// Where.
        place: Place,
        /// What is wrong, and what to do about it.
        reason: String,
    },
    /// A tokenizer file that is broken or not supported (`FormatError`).
    #[error("{}: {reason}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do about it.
        reason: String,
    },
    /// A token store that is damaged, incomplete or not what it should be (`StoreError`).
    #[error("{}: {reason}", path.display())]
    Store {
        /// The store, or the file in it.
        path: PathBuf,
        /// What is wrong, and what to do about it.
        reason: String,
    },
    /// Text that the tokenizer has no token for (`UnknownTokenError`).
    #[error("{0}")]
    UnknownToken(String),
    /// An error of the caller's own, carried through the core untouched: a Python exception raised by an
    /// iterator or a progress callback, Ctrl-C among them.
    #[error("{0}")]
    Caller(Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// Attaches the path to an I/O error: `.map_err(Error::io(path))`.
    pub fn io(path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Error {
        let path = path.as_ref().to_path_buf();
        move |source| Error::Io { path, source }
    }

    /// A [`Error::Value`] from anything printable.
    pub fn value(message: impl Into<String>) -> Error {
        Error::Value(message.into())
    }

    /// A [`Error::Format`] for a tokenizer file.
    pub fn format(path: impl AsRef<Path>, reason: impl Into<String>) -> Error {
        Error::Format { path: path.as_ref().to_path_buf(), reason: clipped(reason.into()) }
    }

    /// A [`Error::Store`] for a token store.
    pub fn store(path: impl AsRef<Path>, reason: impl Into<String>) -> Error {
        Error::Store { path: path.as_ref().to_path_buf(), reason: reason.into() }
    }
}

/// A message of readable length. It may quote a file, which may have a token of a megabyte.
fn clipped(reason: String) -> String {
    const FIRST: usize = 400;
    const LAST: usize = 100;
    let place = |(place, _): (usize, char)| place;
    let first = reason.char_indices().nth(FIRST).map(place);
    let last = reason.char_indices().nth_back(LAST - 1).map(place);
    match (first, last) {
        (Some(first), Some(last)) if first < last => format!("{} ... {}", &reason[..first], &reason[last..]),
        _ => reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_message_the_two_ends_are_kept() {
        for count in [0, 1, 400, 500] {
            assert_eq!(clipped("é".repeat(count)).chars().count(), count);
        }
        let message = Error::format("t.json", format!("begin {} at line 3", "é".repeat(10_000))).to_string();
        assert!(message.starts_with("t.json: begin é") && message.ends_with("é at line 3"), "{message}");
        assert_eq!(message.chars().count(), "t.json: ".len() + 400 + " ... ".len() + 100);
    }
}
