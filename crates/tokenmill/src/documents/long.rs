//! A record too long to be held in memory, handed on in parts while it is read.
//!
//! ```text
//! Cutter::portion ─► Valid ─► parts of a document                                plain text
//! raw bytes          UTF-8 └► Feed ─► parts: the string at the path, unescaped   JSON Lines
//! ```
//!
//! Whether a record holds a document is known at its end: its last part says it, and what of it came before is void if it
//! does not. What the parts come to is what [`Block::parse`] makes of the whole record, and so are place and reason of an
//! error, but that nobody lists the keys of the record.

use super::block::not_utf8_at;
use super::cut::Cutter;
use super::long_json;
use super::{Block, Layout, Record, Rejected};
use crate::error::Place;
use std::io::{self, Read};
use std::sync::Arc;

/// What a part of a document is to the whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// It is the first: what came before it, if anything, is void.
    pub begins: bool,
    /// It is the last, and the record, of so many bytes, holds a document; or it holds none.
    pub end: Option<Result<u64, Rejected>>,
}

/// Reads the record that the cutter is in to its end; `false` when `push` wants no more.
pub(super) fn read(
    cutter: &mut Cutter,
    reader: &mut dyn Read,
    part_bytes: usize,
    push: &mut dyn FnMut(Block) -> bool,
) -> io::Result<bool> {
    let block = cutter.block();
    let layout = block.layout.clone();
    let mut parts = Parts::new(block, part_bytes, push);
    let mut valid = Valid { cutter, reader, carry: Vec::new(), read: 0, newlines: 0, bad: None };
    if let Layout::JsonLines(path) = &layout {
        return long_json::read(valid, parts, path);
    }
    while let Some(text) = valid.next()? {
        parts.add(&text);
        if !parts.wanted {
            return Ok(false);
        }
    }
    let end = valid.bad.map_or(Ok(valid.read), |bad| Err(parts.not_utf8(bad, valid.read)));
    Ok(parts.end(end))
}

/// The parts of one document on their way out.
pub(super) struct Parts<'a> {
    /// What every part is like, without its text.
    block: Block,
    part_bytes: usize,
    text: String,
    begins: bool,
    push: &'a mut dyn FnMut(Block) -> bool,
    /// Whether anybody wants more.
    pub wanted: bool,
}

impl<'a> Parts<'a> {
    fn new(block: Block, part_bytes: usize, push: &'a mut dyn FnMut(Block) -> bool) -> Parts<'a> {
        Parts { block, part_bytes: part_bytes.max(4), text: String::new(), begins: true, push, wanted: true }
    }

    /// Begins again: what has been added is void.
    pub fn clear(&mut self) {
        self.text.clear();
        self.begins = true;
    }

    /// Adds text.
    pub fn add(&mut self, mut text: &str) {
        while self.text.len() + text.len() >= self.part_bytes {
            // At least a character: a part has room for one.
            let mut now = self.part_bytes.saturating_sub(self.text.len()).min(text.len());
            while !text.is_char_boundary(now) {
                now -= 1;
            }
            self.text.push_str(&text[..now]);
            text = &text[now..];
            self.hand_on(None);
        }
        self.text.push_str(text);
    }

    /// The document is at its end; whether anybody wants more.
    pub fn end(mut self, end: Result<u64, Rejected>) -> bool {
        self.hand_on(Some(end));
        self.wanted
    }

    fn hand_on(&mut self, end: Option<Result<u64, Rejected>>) {
        let part = Part { begins: std::mem::take(&mut self.begins), end };
        let room = String::with_capacity(if part.end.is_some() { 0 } else { self.part_bytes });
        let text = std::mem::replace(&mut self.text, room);
        let block = Block { layout: Layout::Part(Box::new(part)), bytes: text.into_bytes(), ..self.block.clone() };
        self.wanted = self.wanted && (self.push)(block);
    }

    /// What to say of bytes that are not UTF-8, in a record of `bytes` bytes.
    pub fn not_utf8(&self, (offset, newlines): (u64, u64), bytes: u64) -> Rejected {
        let Block { name, start, first_line, .. } = &self.block;
        not_utf8_at(name, first_line + newlines, start + offset, Record::At(*start..start + bytes))
    }

    /// What to say of a record of `bytes` bytes whose byte `offset` is wrong.
    pub fn rejected(&self, offset: u64, reason: String, bytes: u64) -> Rejected {
        let Block { name, start, first_line, .. } = &self.block;
        let place = Place { input: Arc::clone(name).to_string(), line: Some(*first_line), byte: Some(start + offset) };
        Rejected { place, reason, record: Record::At(*start..start + bytes) }
    }
}

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

impl Valid<'_> {
    /// The next text, never an empty one; `None` at the end of the record. After bad bytes there is no more, but the record
    /// is read to its end.
    pub fn next(&mut self) -> io::Result<Option<String>> {
        while let Some(portion) = self.cutter.portion(self.reader)? {
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
            let text = self.check(bytes);
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

    fn check(&mut self, bytes: Vec<u8>) -> String {
        let text = String::from_utf8(bytes).unwrap_or_else(|error| {
            let (valid, is_cut) = (error.utf8_error().valid_up_to(), error.utf8_error().error_len().is_none());
            let mut bytes = error.into_bytes();
            let rest = bytes.split_off(valid);
            // Valid, as it has just been said.
            let text = String::from_utf8(bytes).unwrap_or_default();
            if is_cut {
                self.carry = rest;
            } else {
                let newlines = memchr::memchr_iter(b'\n', text.as_bytes()).count() as u64;
                self.bad = Some((self.read + valid as u64, self.newlines + newlines));
                self.read += rest.len() as u64;
            }
            text
        });
        self.read += text.len() as u64;
        self.newlines += memchr::memchr_iter(b'\n', text.as_bytes()).count() as u64;
        text
    }
}
