//! The file of counts, format 1 (docs/counts-format.md): a header, the pieces in the order of their bytes with a count
//! for each source, totals, and a SHA-256 of all that.
//!
//! ```text
//! "tmcounts"  u32 length  header (JSON)
//! piece:      varint: bytes shared with the piece before   varint: bytes that follow   these bytes   varint: count, per source
//! end:        varint 0  varint 0  u64 pieces  u64 total, per source  32 bytes: SHA-256 of what lies before
//! ```
//!
//! Integers are little-endian, varints are LEB128. No piece is empty, so nothing but the end has two zeros.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::io::{self, Read, Write};
use std::path::Path;

const MAGIC: &[u8; 8] = b"tmcounts";

/// Longest header that is read.
const MAX_HEADER: u32 = 1 << 24;

/// Longest piece that is read: one byte less than what an arena holds.
const MAX_PIECE: u64 = u32::MAX as u64;

/// What the counts are of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Of the format: 1.
    pub version: u32,
    /// How the text was cut: the name of a pattern or a regular expression.
    pub pattern: String,
    /// Which Unicode tables it was cut with ([`crate::unicode::ClassTable::fingerprint`]).
    pub unicode: String,
    /// A name for each column of counts.
    pub sources: Vec<String>,
}

/// Writes pieces one by one.
pub(super) struct Writer<W> {
    out: Hashing<W>,
    last: Vec<u8>,
    buffer: Vec<u8>,
    pieces: u64,
    totals: Vec<u64>,
}

impl<W: Write> Writer<W> {
    pub(super) fn new(out: W, header: &Header) -> io::Result<Writer<W>> {
        let json = serde_json::to_vec(header)?;
        let length = u32::try_from(json.len()).map_err(io::Error::other)?;
        let mut out = Hashing { inner: out, sha256: Sha256::new() };
        out.write_all(MAGIC)?;
        out.write_all(&length.to_le_bytes())?;
        out.write_all(&json)?;
        let totals = vec![0; header.sources.len()];
        Ok(Writer { out, last: Vec::new(), buffer: Vec::new(), pieces: 0, totals })
    }

    /// Pieces must come in order, each once, and not be empty. The sum of all counts must be below 2^64.
    pub(super) fn push(&mut self, piece: &[u8], counts: &[u64]) -> io::Result<()> {
        debug_assert!(self.last.as_slice() < piece, "pieces come in order");
        debug_assert_eq!(counts.len(), self.totals.len());
        let shared = self.last.iter().zip(piece).take_while(|(a, b)| a == b).count();
        push_varint(&mut self.buffer, shared as u64);
        push_varint(&mut self.buffer, (piece.len() - shared) as u64);
        self.buffer.extend_from_slice(&piece[shared..]);
        for (count, total) in counts.iter().zip(&mut self.totals) {
            push_varint(&mut self.buffer, *count);
            *total =
                total.checked_add(*count).ok_or_else(|| io::Error::other("the counts sum up to more than 2^64"))?;
        }
        self.last.truncate(shared);
        self.last.extend_from_slice(&piece[shared..]);
        self.pieces += 1;
        if self.buffer.len() >= 1 << 16 { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }

    pub(super) fn finish(mut self) -> io::Result<()> {
        self.buffer.extend_from_slice(&[0, 0]);
        self.buffer.extend_from_slice(&self.pieces.to_le_bytes());
        for total in &self.totals {
            self.buffer.extend_from_slice(&total.to_le_bytes());
        }
        self.flush()?;
        let Hashing { mut inner, sha256 } = self.out;
        inner.write_all(&sha256.finalize())?;
        inner.flush()
    }
}

struct Hashing<W> {
    inner: W,
    sha256: Sha256,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.sha256.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

fn push_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7F) as u8 | 0x80);
        value >>= 7;
    }
    out.push((value & 0x7F) as u8);
}

/// Reads pieces one by one. All is checked when the end has been reached.
pub(super) struct Reader<R> {
    input: R,
    sha256: Sha256,
    /// Bytes read and not yet used: `buffer[start..]`.
    buffer: Vec<u8>,
    start: usize,
    /// Where the buffer begins in the file, for messages.
    offset: u64,
    pub header: Header,
    piece: Vec<u8>,
    counts: Vec<u64>,
    pieces: u64,
    totals: Vec<u64>,
    done: bool,
}

/// A piece, and its count in each source.
pub(super) type Row<'a> = (&'a [u8], &'a [u64]);

/// Bytes asked for at once.
const READ_BYTES: usize = 1 << 16;

/// What is wrong with a file.
pub(super) enum Fault {
    Io(io::Error),
    /// What, and at which byte.
    Damaged(&'static str, u64),
    /// Not ours, or of another version.
    Foreign(String),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Fault {
        Fault::Io(error)
    }
}

impl Fault {
    pub(super) fn of(self, path: &Path) -> Error {
        match self {
            Fault::Io(source) => Error::Io { path: path.into(), source },
            Fault::Damaged(what, byte) => Error::format(
                path,
                format!(
                    "the counts are damaged or cut short: {what} at byte {byte}; count again, or copy the file anew"
                ),
            ),
            Fault::Foreign(what) => Error::format(path, what),
        }
    }
}

impl<R: Read> Reader<R> {
    pub(super) fn new(input: R) -> Result<Reader<R>, Fault> {
        let header = Header { version: 1, pattern: String::new(), unicode: String::new(), sources: Vec::new() };
        let mut reader = Reader {
            input,
            sha256: Sha256::new(),
            buffer: Vec::new(),
            start: 0,
            offset: 0,
            header,
            piece: Vec::new(),
            counts: Vec::new(),
            pieces: 0,
            totals: Vec::new(),
            done: false,
        };
        if reader.take(MAGIC.len()).ok() != Some(MAGIC.as_slice()) {
            return Err(Fault::Foreign("this is not a file of counts; `tokenmill count-words` makes one".into()));
        }
        let length = u32::from_le_bytes(reader.take_array()?);
        if length > MAX_HEADER {
            return Err(reader.damaged("a header of more than 16 MiB"));
        }
        let json = reader.take(length as usize)?.to_vec();
        reader.header = serde_json::from_slice(&json).map_err(|_| reader.damaged("an unreadable header"))?;
        if reader.header.version != 1 {
            let version = reader.header.version;
            return Err(Fault::Foreign(format!("counts of version {version}; this tokenmill reads version 1")));
        }
        reader.totals = vec![0; reader.header.sources.len()];
        reader.counts = vec![0; reader.header.sources.len()];
        Ok(reader)
    }

    /// The next piece and its counts; `None` at the end, once the totals and the hash were found to be right.
    pub(super) fn next(&mut self) -> Result<Option<Row<'_>>, Fault> {
        if self.done {
            return Ok(None);
        }
        let (shared, more) = (self.take_varint()?, self.take_varint()?);
        if (shared, more) == (0, 0) {
            self.check_end()?;
            self.done = true;
            return Ok(None);
        }
        let before = self.piece.len();
        if shared > before as u64 || shared + more > MAX_PIECE {
            return Err(self.damaged("a piece of an impossible length"));
        }
        #[expect(clippy::cast_possible_truncation, reason = "both are below 2^32")]
        let (shared, more) = (shared as usize, more as usize);
        let mut rest = std::mem::take(&mut self.piece);
        // The first byte that differs must be higher, or nothing may differ and something follow.
        let old = rest.get(shared).copied();
        rest.truncate(shared);
        rest.extend_from_slice(self.take(more)?);
        self.piece = rest;
        if old.is_some_and(|old| self.piece.get(shared).is_none_or(|new| *new <= old)) || more == 0 {
            return Err(self.damaged("a piece out of order"));
        }
        for source in 0..self.totals.len() {
            let count = self.take_varint()?;
            self.counts[source] = count;
            self.totals[source] =
                self.totals[source].checked_add(count).ok_or_else(|| self.damaged("counts beyond 2^64"))?;
        }
        self.pieces += 1;
        Ok(Some((&self.piece, &self.counts)))
    }

    fn check_end(&mut self) -> Result<(), Fault> {
        if u64::from_le_bytes(self.take_array()?) != self.pieces {
            return Err(self.damaged("another number of pieces"));
        }
        for source in 0..self.totals.len() {
            if u64::from_le_bytes(self.take_array()?) != self.totals[source] {
                return Err(self.damaged("another total"));
            }
        }
        let used = self.start;
        self.sha256.update(&self.buffer[..used]);
        self.offset += used as u64;
        self.buffer.drain(..used);
        self.start = 0;
        let want = std::mem::take(&mut self.sha256).finalize();
        if self.take(want.len())? != want.as_slice() {
            return Err(self.damaged("another SHA-256"));
        }
        self.fill(1).map_or(Ok(()), |()| Err(self.damaged("more bytes behind the end")))
    }

    fn damaged(&self, what: &'static str) -> Fault {
        Fault::Damaged(what, self.offset + self.start as u64)
    }

    /// Makes sure that `count` bytes more are in the buffer.
    #[cold]
    fn fill(&mut self, count: usize) -> Result<(), Fault> {
        self.sha256.update(&self.buffer[..self.start]);
        self.offset += self.start as u64;
        self.buffer.drain(..self.start);
        self.start = 0;
        while self.buffer.len() < count {
            let more = READ_BYTES.max((count - self.buffer.len()).min(1 << 24)) as u64;
            if self.input.by_ref().take(more).read_to_end(&mut self.buffer)? == 0 {
                return Err(Fault::Damaged("an end", self.offset + self.buffer.len() as u64));
            }
        }
        Ok(())
    }

    fn take(&mut self, count: usize) -> Result<&[u8], Fault> {
        if self.buffer.len() - self.start < count {
            self.fill(count)?;
        }
        let start = self.start;
        self.start += count;
        Ok(&self.buffer[start..self.start])
    }

    fn take_array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    #[inline]
    fn take_varint(&mut self) -> Result<u64, Fault> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = match self.buffer.get(self.start) {
                Some(byte) => {
                    self.start += 1;
                    *byte
                }
                None => self.take(1)?[0],
            };
            let bits = u64::from(byte & 0x7F);
            if bits << shift >> shift != bits {
                break;
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(self.damaged("a number beyond 2^64"))
    }
}
