//! A block of raw input and what it parses to.

use crate::error::{Error, Place, Result};
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
    pub fn parse(self) -> Result<Documents> {
        match self.layout.clone() {
            Layout::Whole => {
                let (input, start) = (self.input, self.start);
                let text = self.into_text()?;
                Ok(Documents { input, ends: vec![text.len()], positions: vec![start], text })
            }
            _ => Err(Error::value("layout not read yet")),
        }
    }

    fn into_text(self) -> Result<String> {
        let (name, start, first_line) = (self.name, self.start, self.first_line);
        String::from_utf8(self.bytes).map_err(|error| {
            let offset = error.utf8_error().valid_up_to();
            let line = first_line + error.as_bytes()[..offset].iter().filter(|&&byte| byte == b'\n').count() as u64;
            Error::Document {
                place: Place { input: name.to_string(), line: Some(line), byte: Some(start + offset as u64) },
                reason: "the text is not valid UTF-8; convert the file, for example with iconv".into(),
            }
        })
    }
}
