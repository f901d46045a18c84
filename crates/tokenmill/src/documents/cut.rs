//! Cuts a stream of bytes into blocks that end where records end.

use super::{Block, Layout};
use std::io::{self, Read};
use std::sync::Arc;

/// The byte order mark that some Windows programs put before UTF-8 text. It is no part of the text.
const BOM: &[u8] = b"\xEF\xBB\xBF";

/// Cuts one input. Where it cuts depends on the bytes and `block_bytes` alone, never on how the reader portions them.
pub(super) struct Cutter {
    input: u32,
    name: Arc<str>,
    layout: Layout,
    block_bytes: usize,
    /// Bytes not handed out yet.
    buffer: Vec<u8>,
    /// Offset of `buffer` in the input.
    start: u64,
    /// 1-based number of the line that `buffer` begins in.
    line: u64,
    started: bool,
    ended: bool,
}

impl Cutter {
    /// A cutter for one input; `block_bytes` is the size of a block whose records are shorter than that.
    pub(super) fn new(input: u32, name: Arc<str>, layout: Layout, block_bytes: usize) -> Cutter {
        Cutter { input, name, layout, block_bytes, buffer: Vec::new(), start: 0, line: 1, started: false, ended: false }
    }

    /// The same, for a reader that begins at byte `start` of the input.
    pub(super) fn starting_at(self, start: u64) -> Cutter {
        Cutter { start, ..self }
    }

    /// Offset of the last byte read, in the decompressed input.
    pub(super) fn reached(&self) -> u64 {
        self.start + self.buffer.len() as u64
    }

    /// The next block, `None` at the end. A record longer than a block becomes one block of its own:
    /// memory is bounded by the longest record.
    pub(super) fn next(&mut self, reader: &mut dyn Read) -> io::Result<Option<Block>> {
        let first = !self.started;
        if first {
            self.started = true;
            self.fill(reader, BOM.len())?;
            if self.start == 0 && self.buffer.starts_with(BOM) {
                self.buffer.clear();
                self.start = BOM.len() as u64;
            }
        }
        let mut target = self.block_bytes.max(1);
        let mut scan = Scan::default();
        while !self.ended {
            self.fill(reader, target)?;
            if let Some(end) = scan.last_end(&self.layout, &self.buffer)
                && !self.ended
            {
                return Ok(Some(self.cut(end)));
            }
            target = target.saturating_mul(2);
        }
        // An empty file of plain text is one empty document; an empty file of records holds none.
        let empty_document = first && matches!(self.layout, Layout::Whole);
        if self.buffer.is_empty() && !empty_document {
            return Ok(None);
        }
        Ok(Some(self.cut(self.buffer.len())))
    }

    /// Reads until the buffer holds `target` bytes or the input ends.
    fn fill(&mut self, reader: &mut dyn Read, target: usize) -> io::Result<()> {
        let wanted = target.saturating_sub(self.buffer.len());
        if wanted == 0 || self.ended {
            return Ok(());
        }
        // A record that outgrows memory is an error the caller can report; plain growth would abort the process.
        self.buffer.try_reserve(wanted).map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
        let read = reader.take(wanted as u64).read_to_end(&mut self.buffer)?;
        self.ended = read < wanted;
        Ok(())
    }

    fn cut(&mut self, end: usize) -> Block {
        let rest = self.buffer.split_off(end);
        let bytes = std::mem::replace(&mut self.buffer, rest);
        let (start, first_line) = (self.start, self.line);
        self.start += bytes.len() as u64;
        self.line += memchr::memchr_iter(b'\n', &bytes).count() as u64;
        Block { input: self.input, name: Arc::clone(&self.name), layout: self.layout.clone(), bytes, start, first_line }
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
            Layout::Whole | Layout::Texts(_) => {}
            Layout::JsonLines(_) => {
                if let Some(at) = memchr::memrchr(b'\n', &buffer[self.scanned..]) {
                    self.end = Some(self.scanned + at + 1);
                }
                self.scanned = buffer.len();
            }
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
}
