//! The parts of a document too long to be held, on their way out.

use super::block::not_utf8_at;
use super::{Block, Layout, Part, Record, Rejected};
use crate::error::Place;
use crate::spare::Spare;
use std::sync::Arc;

/// The parts of one document on their way out.
pub(super) struct Parts<'a> {
    /// What every part is like, without its text.
    block: Block,
    part_bytes: usize,
    spare: Arc<Spare<u8>>,
    text: String,
    begins: bool,
    push: &'a mut dyn FnMut(Block) -> bool,
    /// Whether anybody wants more.
    pub wanted: bool,
}

impl<'a> Parts<'a> {
    /// Of a document; each part that is put together here, but the last, has about so many bytes, in memory from `spare`.
    pub fn new(
        block: Block,
        part_bytes: usize,
        spare: Arc<Spare<u8>>,
        push: &'a mut dyn FnMut(Block) -> bool,
    ) -> Parts<'a> {
        let part_bytes = part_bytes.max(4);
        Parts { block, part_bytes, spare, text: String::new(), begins: true, push, wanted: true }
    }

    /// Begins again: what has been added is void.
    pub fn clear(&mut self) {
        self.text.clear();
        self.begins = true;
    }

    /// Adds text, which is a part itself unless it is too long for one: then it is given back.
    pub fn add_whole(&mut self, text: String) -> Option<String> {
        if text.len() > self.part_bytes {
            self.add(&text);
            return Some(text);
        }
        if !self.text.is_empty() {
            self.hand_on(None);
        }
        self.text = text;
        self.hand_on(None);
        None
    }

    /// Adds text.
    pub fn add(&mut self, mut text: &str) {
        if self.text.capacity() == 0 {
            let mut memory = self.spare.take(self.part_bytes);
            memory.clear();
            self.text = String::from_utf8(memory).unwrap_or_default();
        }
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
        let (begins, text) = (std::mem::take(&mut self.begins), std::mem::take(&mut self.text));
        let block = Block { layout: Layout::Part(Box::new(Part { begins, text, end })), ..self.block.clone() };
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
