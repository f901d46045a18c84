//! Cuts a stream of bytes into blocks that end where records end.

use super::held::Held;
use super::{Block, Layout};
use crate::spare::Spare;
use std::io::{self, Read};
use std::sync::Arc;

/// The byte order mark that some Windows programs put before UTF-8 text. It is no part of the text.
const BOM: &[u8] = b"\xEF\xBB\xBF";

/// Cuts one input. Where it cuts depends on the bytes and `block_bytes`, never on how the reader portions them.
pub(super) struct Cutter {
    input: u32,
    name: Arc<str>,
    layout: Layout,
    block_bytes: usize,
    /// Bytes not handed out yet.
    held: Held,
    /// Their offset in the input.
    start: u64,
    /// 1-based number of the line that they begin in.
    line: u64,
    started: bool,
    /// A record from this many bytes on is not held, where there is such a number.
    long_bytes: Option<usize>,
    /// Whether they begin in such a record.
    in_long: bool,
}

impl Cutter {
    /// A cutter for one input; `block_bytes` is the size of a block whose records are shorter than that.
    pub(super) fn new(input: u32, name: Arc<str>, layout: Layout, block_bytes: usize) -> Cutter {
        Cutter {
            input,
            name,
            layout,
            block_bytes,
            held: Held::new(block_bytes, Arc::default()),
            start: 0,
            line: 1,
            started: false,
            long_bytes: None,
            in_long: false,
        }
    }

    /// The same, but records of so many bytes and more are not to become blocks.
    pub(super) fn with_long(self, long_bytes: Option<usize>) -> Cutter {
        Cutter { long_bytes, ..self }
    }

    /// The same, with buffers that were used before.
    pub(super) fn with_spare(self, spare: Arc<Spare<u8>>) -> Cutter {
        Cutter { held: Held::new(self.block_bytes, spare), ..self }
    }

    /// Blocks are to have about this size from now on.
    pub(super) fn set_block_bytes(&mut self, block_bytes: usize) {
        self.block_bytes = block_bytes;
    }

    /// The same, for a reader that begins at byte `start` of the input.
    pub(super) fn starting_at(self, start: u64) -> Cutter {
        Cutter { start, ..self }
    }

    /// Offset of the last byte read, in the decompressed input.
    pub(super) fn reached(&self) -> u64 {
        self.start + self.held.bytes().len() as u64
    }

    /// The next block, `None` at the end or [in a long record](Cutter::in_long). Any other record longer than a block becomes
    /// one block of its own: memory is bounded by the longest.
    pub(super) fn next(&mut self, reader: &mut dyn Read) -> io::Result<Option<Block>> {
        let first = !self.started;
        if first {
            self.started = true;
            self.held.fill(reader, BOM.len())?;
            if self.start == 0 && self.held.bytes().starts_with(BOM) {
                self.take(BOM.len());
            }
        }
        let mut target = self.block_bytes.max(1);
        let mut scan = Scan::default();
        while !self.held.ended {
            self.held.fill(reader, target)?;
            if let Some(end) = scan.last_end(&self.layout, self.held.bytes())
                && !self.held.ended
            {
                return Ok(Some(self.cut(end)));
            }
            if self.long_bytes.is_some_and(|bytes| self.held.bytes().len() >= bytes) && !self.held.ended {
                self.in_long = true;
                return Ok(None);
            }
            target = target.saturating_mul(2);
        }
        // An empty file of plain text is one empty document; an empty file of records holds none.
        let empty_document = first && matches!(self.layout, Layout::Whole);
        if self.held.bytes().is_empty() && !empty_document {
            return Ok(None);
        }
        Ok(Some(self.cut(self.held.bytes().len())))
    }

    fn cut(&mut self, end: usize) -> Block {
        let block = self.block();
        Block { bytes: self.take(end), ..block }
    }

    /// A block without bytes, from here on.
    pub(super) fn block(&self) -> Block {
        let (name, layout) = (Arc::clone(&self.name), self.layout.clone());
        Block { input: self.input, name, layout, bytes: Vec::new(), start: self.start, first_line: self.line }
    }

    fn take(&mut self, end: usize) -> Vec<u8> {
        let bytes = self.held.take(end);
        self.start += bytes.len() as u64;
        self.line += memchr::memchr_iter(b'\n', &bytes).count() as u64;
        bytes
    }

    /// Where its memory comes from. Bytes that were handed out and are no more needed belong there.
    pub(super) fn spare(&self) -> &Arc<Spare<u8>> {
        self.held.spare()
    }

    /// Whether a long record comes next, to be read by [`Cutter::portion`].
    pub(super) fn in_long(&self) -> bool {
        self.in_long
    }

    /// Bytes of a long record without what ends it, as many as a block has but for its last, and newlines in them; `None` at its
    /// end.
    pub(super) fn portion(&mut self, reader: &mut dyn Read) -> io::Result<Option<(Vec<u8>, u64)>> {
        if !self.in_long {
            return Ok(None);
        }
        // The buffer may end inside a separator: what could begin one is kept, and there is at least a byte more.
        let kept = if let Layout::Separated(separator) = &self.layout { separator.len().saturating_sub(1) } else { 0 };
        self.held.fill(reader, self.block_bytes.max(kept + 1))?;
        let ending = match &self.layout {
            Layout::JsonLines(_) => memchr::memchr(b'\n', self.held.bytes()).map(|at| (at, 1)),
            Layout::Separated(separator) => {
                memchr::memmem::find(self.held.bytes(), separator.as_bytes()).map(|at| (at, separator.len()))
            }
            Layout::Whole | Layout::Texts(_) | Layout::Part(_) => None,
        };
        self.in_long = ending.is_none() && !self.held.ended;
        let kept = if self.in_long { kept } else { 0 };
        let (end, length) = ending.unwrap_or((self.held.bytes().len() - kept, 0));
        let line = self.line;
        let bytes = self.take(end);
        let newlines = self.line - line;
        self.take(length);
        Ok(Some((bytes, newlines)))
    }
}

/// Looks for the end of the last whole record in a growing buffer, at each byte once.
#[derive(Default)]
struct Scan {
    scanned: usize,
    end: Option<usize>,
}

impl Scan {
    fn last_end(&mut self, layout: &Layout, buffer: &[u8]) -> Option<usize> {
        match layout {
            Layout::Whole | Layout::Texts(_) | Layout::Part(_) => {}
            Layout::JsonLines(_) => self.find_byte(b'\n', buffer),
            Layout::Separated(separator) if separator.len() == 1 => self.find_byte(separator.as_bytes()[0], buffer),
            // Forward, as the parser will: in "aaa" the separator "aa" ends at 2; from behind it would end at 3.
            Layout::Separated(separator) => {
                let from = self.scanned;
                let last = memchr::memmem::find_iter(&buffer[from..], separator.as_bytes()).last();
                if let Some(at) = last {
                    self.end = Some(from + at + separator.len());
                }
                // The buffer may end inside a separator.
                let unfinished = buffer.len().saturating_sub(separator.len().saturating_sub(1));
                self.scanned = unfinished.max(self.end.unwrap_or(0));
            }
        }
        self.end
    }

    /// A record ends at the last of this byte.
    fn find_byte(&mut self, byte: u8, buffer: &[u8]) {
        if let Some(at) = memchr::memrchr(byte, &buffer[self.scanned..]) {
            self.end = Some(self.scanned + at + 1);
        }
        self.scanned = buffer.len();
    }
}
