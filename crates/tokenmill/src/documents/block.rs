//! A block of raw input and what it parses to.

use super::json_lines::{self, Lines};
use crate::error::{Error, Place, Result};
use std::fmt;
use std::sync::Arc;

/// How the bytes of a block divide into documents.
#[derive(Debug, Clone)]
pub enum Layout {
    /// The whole block is one document.
    Whole,
    /// Documents end at each occurrence of the separator, which belongs to none of them.
    Separated(Arc<str>),
    /// One JSON object a line; the text is at this path of keys.
    JsonLines(Arc<[String]>),
    /// Texts back to back; each entry is the end of one. They come from iterables and Arrow columns.
    Texts(Vec<usize>),
}

/// In words, for a person who has to see what differs.
impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Layout::Whole => f.write_str("text, one document"),
            Layout::Separated(separator) => write!(f, "text, separated by {separator:?}"),
            Layout::JsonLines(path) => write!(f, "JSON Lines, text in {:?}", path.join(".")),
            Layout::Texts(_) => f.write_str("texts"),
        }
    }
}

/// Raw bytes cut at record boundaries.
#[derive(Debug, Clone)]
pub struct Block {
    /// The number of the input, counted from 0.
    pub input: u32,
    /// The name of the input, for messages.
    pub name: Arc<str>,
    /// How to find the documents.
    pub layout: Layout,
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Offset of `bytes` in the (uncompressed) input; for `Layout::Texts` the row number of the first text.
    pub start: u64,
    /// 1-based number of the first line, for messages.
    pub first_line: u64,
}

/// The documents of one block: texts back to back in one string.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Documents {
    /// The number of the input they come from.
    pub input: u32,
    /// All texts, concatenated.
    pub text: String,
    /// End of each document in `text`.
    pub ends: Vec<usize>,
    /// Position of each document's record in its input (byte offset or row).
    pub positions: Vec<u64>,
}

impl Documents {
    /// The texts in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.ends.len()).map(|i| self.get(i))
    }

    /// Document `i` of this block.
    pub fn get(&self, i: usize) -> &str {
        let start = if i == 0 { 0 } else { self.ends[i - 1] };
        &self.text[start..self.ends[i]]
    }

    /// How many documents.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }
}

impl Block {
    /// Finds and checks the documents.
    ///
    /// # Errors
    /// [`Error::Document`] naming input, line and byte: text that is not UTF-8, a record that is not JSON or has no text.
    pub fn parse(self) -> Result<Documents> {
        let (input, start) = (self.input, self.start);
        match self.layout.clone() {
            Layout::Whole => {
                let text = self.into_text()?;
                Ok(Documents { input, ends: vec![text.len()], positions: vec![start], text })
            }
            Layout::Separated(separator) => Ok(split(input, start, &self.into_text()?, &separator)),
            Layout::JsonLines(path) => {
                let (name, first_line) = (Arc::clone(&self.name), self.first_line);
                let text = self.into_text()?;
                json_lines::parse(&Lines { input, name: &name, text: &text, start, first_line }, &path)
            }
            Layout::Texts(ends) => self.into_rows(ends),
        }
    }

    fn into_text(self) -> Result<String> {
        let (name, start, first_line) = (self.name, self.start, self.first_line);
        String::from_utf8(self.bytes).map_err(|error| {
            let offset = error.utf8_error().valid_up_to();
            let newlines = memchr::memchr_iter(b'\n', &error.as_bytes()[..offset]).count();
            Error::Document {
                place: Place {
                    input: name.to_string(),
                    line: Some(first_line + newlines as u64),
                    byte: Some(start + offset as u64),
                },
                reason: "the text is not valid UTF-8; convert the file, for example with iconv".into(),
            }
        })
    }

    /// Rows need no copy: the bytes are the text. Valid as a whole is not enough, each row must be valid by itself.
    fn into_rows(self, ends: Vec<usize>) -> Result<Documents> {
        let (name, first_row) = (self.name, self.start);
        let bad_row = |row: usize| Error::Document {
            // 0-based, as positions are.
            place: Place { input: format!("{name}, row {}", first_row + row as u64), line: None, byte: None },
            reason: "the text of this row is not valid UTF-8".into(),
        };
        let text = String::from_utf8(self.bytes).map_err(|error| {
            let offset = error.utf8_error().valid_up_to();
            bad_row(ends.partition_point(|&end| end <= offset))
        })?;
        let mut previous = 0;
        for (row, &end) in ends.iter().enumerate() {
            if end < previous || !text.is_char_boundary(end) {
                return Err(bad_row(row));
            }
            previous = end;
        }
        let positions = (0..ends.len() as u64).map(|row| first_row + row).collect();
        Ok(Documents { input: self.input, text, ends, positions })
    }
}

/// Splits at each separator, leftmost first. What follows the last one is a document unless it is empty.
fn split(input: u32, start: u64, text: &str, separator: &str) -> Documents {
    let mut documents = Documents { input, text: String::with_capacity(text.len()), ..Documents::default() };
    let mut push = |from: usize, to: usize| {
        documents.text.push_str(&text[from..to]);
        documents.ends.push(documents.text.len());
        documents.positions.push(start + from as u64);
    };
    let mut from = 0;
    for at in memchr::memmem::find_iter(text.as_bytes(), separator.as_bytes()) {
        push(from, at);
        from = at + separator.len();
    }
    if from < text.len() {
        push(from, text.len());
    }
    documents
}
