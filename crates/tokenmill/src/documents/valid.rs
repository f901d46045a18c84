//! The bytes of a record too long to be held as text, checked while they are read.

use super::cut::Cutter;
use crate::utf8;
use std::io::{self, Read};

/// The text of the record, as far as it is UTF-8.
pub(super) struct Valid<'a> {
    cutter: &'a mut Cutter,
    reader: &'a mut dyn Read,
    /// The beginning of a character whose rest has not come.
    carry: Vec<u8>,
    /// Bytes of the record so far, but for `carry`;
    pub read: u64,
    newlines: u64,
    /// The first byte that is not UTF-8, and the newlines before it.
    pub bad: Option<(u64, u64)>,
}

impl<'a> Valid<'a> {
    /// Of the record that the cutter is in.
    pub fn new(cutter: &'a mut Cutter, reader: &'a mut dyn Read) -> Valid<'a> {
        Valid { cutter, reader, carry: Vec::new(), read: 0, newlines: 0, bad: None }
    }

    /// So many bytes make the next text.
    pub fn read_at_once(&mut self, bytes: usize) {
        self.cutter.set_block_bytes(bytes);
    }

    /// The next text, never an empty one; `None` at the end of the record. After bad bytes there is no more, but the record
    /// is read to its end.
    pub fn next(&mut self) -> io::Result<Option<String>> {
        while let Some((portion, newlines)) = self.cutter.portion(self.reader)? {
            if self.bad.is_some() {
                self.read += portion.len() as u64;
                continue;
            }
            let mut bytes = std::mem::take(&mut self.carry);
            if bytes.is_empty() {
                bytes = portion;
            } else {
                bytes.extend_from_slice(&portion);
            }
            let text = self.check(bytes, newlines);
            if !text.is_empty() {
                return Ok(Some(text));
            }
        }
        if !self.carry.is_empty() {
            self.bad = Some((self.read, self.newlines));
            self.read += std::mem::take(&mut self.carry).len() as u64;
        }
        Ok(None)
    }

    /// Takes back a text that is no more needed: its memory is that of the next but one.
    pub fn give_back(&self, text: String) {
        self.cutter.spare().give(text.into_bytes());
    }

    /// The text of bytes with so many newlines.
    fn check(&mut self, mut bytes: Vec<u8>, newlines: u64) -> String {
        self.carry = bytes.split_off(bytes.len() - utf8::cut_off(&bytes));
        let text = utf8::into_string(bytes).unwrap_or_else(|(error, bytes)| {
            let valid = utf8::prefix(&bytes[..error.valid_up_to()]);
            let newlines = memchr::memchr_iter(b'\n', valid.as_bytes()).count() as u64;
            self.bad = Some((self.read + valid.len() as u64, self.newlines + newlines));
            self.read += (bytes.len() - valid.len() + std::mem::take(&mut self.carry).len()) as u64;
            valid.to_string()
        });
        self.read += text.len() as u64;
        self.newlines += newlines;
        text
    }
}
