//! A block of raw input and what it parses to.

use super::records;
use crate::error::{Error, Place, Result};
use crate::spare::Spare;
use crate::utf8;
use std::fmt;
use std::ops::Range;
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
    /// A part of a long document, as one of the above has it, in a block without bytes: see [`super::BlockSource::in_parts`].
    Part(Box<Part>),
}

/// What a part of a document is to the whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// It is the first: what came before it, if anything, is void.
    pub begins: bool,
    /// Its text.
    pub text: String,
    /// It is the last, and the record, of so many bytes, holds a document; or it holds none.
    pub end: Option<Result<u64, Rejected>>,
}

/// In words, for a person who has to see what differs.
impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Layout::Whole => f.write_str("text, one document"),
            Layout::Separated(separator) => write!(f, "text, separated by {separator:?}"),
            Layout::JsonLines(path) => write!(f, "JSON Lines, text in {:?}", path.join(".")),
            Layout::Texts(_) => f.write_str("texts"),
            Layout::Part(_) => f.write_str("a part of a document"),
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
    /// Offset of `bytes` in the (uncompressed) input; for `Layout::Texts` the row number of the first text, for `Layout::Part`
    /// the offset of the whole record.
    pub start: u64,
    /// 1-based number of the first line, for messages.
    pub first_line: u64,
}

/// Documents shorter than this on average are moved together.
const SHORT_BYTES: usize = 512;

/// The documents of one block: parts of one string.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Documents {
    /// The number of the input they come from.
    pub input: u32,
    /// All texts, in order, and perhaps what divides them.
    pub text: String,
    /// Where each document is in `text`.
    pub ranges: Vec<Range<usize>>,
    /// Position of each document's record in its input (byte offset or row).
    pub positions: Vec<u64>,
}

impl Documents {
    /// The texts in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.ranges.iter().map(|range| &self.text[range.clone()])
    }

    /// Document `i` of this block.
    pub fn get(&self, i: usize) -> &str {
        &self.text[self.ranges[i].clone()]
    }

    /// Where the documents end, if nothing lies between them.
    pub(crate) fn side_by_side(&self) -> Option<Vec<usize>> {
        let mut end = 0;
        let ends: Vec<usize> = self
            .ranges
            .iter()
            .map_while(|range| (std::mem::replace(&mut end, range.end) == range.start).then_some(range.end))
            .collect();
        (ends.len() == self.ranges.len()).then_some(ends)
    }

    /// Moves short documents together, as they are encoded faster side by side.
    fn close_up(mut self) -> Result<Documents> {
        if self.ranges.len() * SHORT_BYTES < self.text.len() {
            return Ok(self);
        }
        let mut bytes = self.text.into_bytes();
        let mut end = 0;
        for range in &mut self.ranges {
            let length = range.len();
            bytes.copy_within(range.clone(), end);
            *range = end..end + length;
            end += length;
        }
        bytes.truncate(end);
        self.text = utf8::into_string(bytes).map_err(|_| Error::value("a document is not UTF-8"))?;
        Ok(self)
    }

    /// Adds a document.
    fn push(&mut self, text: &str, position: u64) {
        let start = self.text.len();
        self.text.push_str(text);
        self.ranges.push(start..self.text.len());
        self.positions.push(position);
    }

    /// How many documents.
    pub fn len(&self) -> usize {
        self.ranges.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }
}

/// What a block counts at least: a million empty files are work too.
const MIN_WEIGHT: usize = 1 << 10;

impl Block {
    /// How much work and memory it is, about in bytes.
    pub fn weight(&self) -> usize {
        let part = if let Layout::Part(part) = &self.layout { part.text.len() } else { 0 };
        self.bytes.len().max(part).max(MIN_WEIGHT)
    }

    /// Finds and checks the documents.
    ///
    /// # Errors
    /// [`Error::Document`] naming input, line and byte: text that is not UTF-8, a record that is not JSON or has no text.
    pub fn parse(self) -> Result<Documents> {
        self.parse_each(&Spare::default(), &mut |rejected| Err(rejected.into_error()))
    }

    /// [`Block::parse`], with `reject` told of each record that holds no document; an error of its ends the work. Rows of
    /// texts are not records: a bad one is an error. Where the text is not the block's bytes, its memory comes from `spare`,
    /// and theirs goes there.
    pub fn parse_each(
        mut self,
        spare: &Spare<u8>,
        reject: &mut dyn FnMut(Rejected) -> Result<()>,
    ) -> Result<Documents> {
        let (input, start) = (self.input, self.start);
        let mut documents = Documents { input, ..Documents::default() };
        match self.layout {
            Layout::Whole => match utf8::into_string(self.bytes) {
                Ok(text) => {
                    let ranges = std::iter::once(0..text.len()).collect();
                    return Ok(Documents { input, ranges, positions: vec![start], text });
                }
                Err((_, bytes)) => reject(not_utf8(&self.name, self.first_line, start, &bytes))?,
            },
            Layout::Separated(ref separator) => {
                let separator = Arc::clone(separator);
                // Pieces of what is UTF-8 are, as what divides them is. Checked at once and not copied, but for blocks that are not.
                self.bytes = match utf8::into_string(self.bytes) {
                    Ok(text) => {
                        let ranges: Vec<_> = pieces(text.as_bytes(), separator.as_bytes()).collect();
                        let positions = ranges.iter().map(|range| start + range.start as u64).collect();
                        return Documents { input, text, ranges, positions }.close_up();
                    }
                    Err((_, bytes)) => bytes,
                };
                documents.text.reserve(self.bytes.len());
                let mut line = self.first_line;
                for piece in pieces(&self.bytes, separator.as_bytes()) {
                    let position = start + piece.start as u64;
                    match utf8::to_str(&self.bytes[piece.clone()]) {
                        Ok(text) => documents.push(text, position),
                        Err(_) => reject(not_utf8(&self.name, line, position, &self.bytes[piece.clone()]))?,
                    }
                    line += newlines(&self.bytes[piece]) + newlines(separator.as_bytes());
                }
            }
            Layout::JsonLines(ref path) => {
                documents = records::read(&self, path, spare, reject)?;
                spare.give(self.bytes);
            }
            Layout::Texts(ref mut ends) => {
                let ends = std::mem::take(ends);
                return self.into_rows(ends);
            }
            Layout::Part(_) => return Err(Error::value("a part of a document cannot be read alone")),
        }
        Ok(documents)
    }

    /// Rows need no copy: the bytes are the text. Valid as a whole is not enough, each row must be valid by itself.
    fn into_rows(self, ends: Vec<usize>) -> Result<Documents> {
        let (name, first_row) = (self.name, self.start);
        let bad_row = |row: usize| Error::Document {
            // 0-based, as positions are.
            place: Place { input: format!("{name}, row {}", first_row + row as u64), line: None, byte: None },
            reason: "the text of this row is not valid UTF-8".into(),
        };
        let text = utf8::into_string(self.bytes).map_err(|(error, _)| {
            let offset = error.valid_up_to();
            bad_row(ends.partition_point(|&end| end <= offset))
        })?;
        let mut ranges = Vec::with_capacity(ends.len());
        let mut previous = 0;
        for (row, end) in ends.into_iter().enumerate() {
            if end < previous || !text.is_char_boundary(end) {
                return Err(bad_row(row));
            }
            ranges.push(previous..end);
            previous = end;
        }
        let positions = (0..ranges.len() as u64).map(|row| first_row + row).collect();
        Ok(Documents { input: self.input, text, ranges, positions })
    }
}

/// A record that holds no document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// Where it is.
    pub place: Place,
    /// What is wrong with it, and what to do about it.
    pub reason: String,
    /// The record itself.
    pub record: Record,
}

/// A rejected record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// Its bytes.
    Bytes(Vec<u8>),
    /// Where its bytes are in the uncompressed input: there were too many to be kept.
    At(Range<u64>),
}

impl Rejected {
    /// What to say where nothing may be left out.
    pub fn into_error(self) -> Error {
        Error::Document { place: self.place, reason: self.reason }
    }
}

/// What is wrong with a record that is not text.
pub(super) fn not_utf8(name: &str, first_line: u64, start: u64, record: &[u8]) -> Rejected {
    let offset = utf8::to_str(record).map_or_else(|error| error.valid_up_to(), str::len);
    let line = first_line + newlines(&record[..offset]);
    not_utf8_at(name, line, start + offset as u64, Record::Bytes(record.into()))
}

/// The same, where line and byte are known.
pub(super) fn not_utf8_at(name: &str, line: u64, byte: u64, record: Record) -> Rejected {
    Rejected {
        place: Place { input: name.into(), line: Some(line), byte: Some(byte) },
        reason: "the text is not valid UTF-8; convert the file, for example with iconv".into(),
        record,
    }
}

/// Lines with what ends them.
pub(super) fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut from = 0;
    let ends = memchr::memchr_iter(b'\n', bytes).map(|at| at + 1);
    let last = (!bytes.is_empty() && !bytes.ends_with(b"\n")).then_some(bytes.len());
    ends.chain(last).map(move |end| &bytes[std::mem::replace(&mut from, end)..end])
}

fn newlines(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}

/// The ranges between separators, leftmost first. What follows the last one counts unless it is empty.
fn pieces<'a>(bytes: &'a [u8], separator: &'a [u8]) -> impl Iterator<Item = Range<usize>> + 'a {
    let mut from = 0;
    let last = std::iter::once(bytes.len()).filter(move |_| !bytes.is_empty());
    memchr::memmem::find_iter(bytes, separator).map(|at| (at, true)).chain(last.map(|end| (end, false))).filter_map(
        move |(at, ended)| {
            let piece = from..at;
            from = at + separator.len();
            (ended || !piece.is_empty()).then_some(piece)
        },
    )
}
