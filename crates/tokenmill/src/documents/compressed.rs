//! Bytes from the disk: counted and hashed as they lie there, then decompressed.

use crate::hex::to_hex;
use flate2::bufread::MultiGzDecoder;
use std::cell::Cell;
use std::io::{self, BufReader, Read};
use std::path::Path;

/// One read from the disk: large enough that the system call does not count, small enough for the L2 cache,
/// where the hash and the decompressor then find the bytes.
pub(super) const READ_BYTES: usize = 256 << 10;

/// zstd files made with `--long=31` need a window of 2 GiB (some published dumps do). The window is address space:
/// memory is used only as far as data really arrives, so a hostile header costs nothing.
const ZSTD_WINDOW_LOG: u32 = 31;

/// How a file is compressed, told by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Compression {
    /// The compression, and the name without its suffix. `name` is in lower case.
    pub(super) fn of_name(name: &str) -> (Compression, &str) {
        if let Some(rest) = name.strip_suffix(".gz") {
            (Compression::Gzip, rest)
        } else if let Some(rest) = name.strip_suffix(".zst") {
            (Compression::Zstd, rest)
        } else {
            (Compression::None, name)
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Compression::None => "plain",
            Compression::Gzip => "gzip",
            Compression::Zstd => "zstd",
        }
    }

    /// The decompressed bytes: all members of a gzip file, all frames of a zstd file.
    pub(super) fn decode<'a>(self, raw: &'a mut dyn Read) -> io::Result<Box<dyn Read + 'a>> {
        if self == Compression::None {
            return Ok(Box::new(raw));
        }
        let mut raw = BufReader::with_capacity(READ_BYTES, raw);
        // Nothing is not valid gzip or zstd: it is what a writer leaves that was killed at once.
        if io::BufRead::fill_buf(&mut raw)?.is_empty() {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file is empty"));
        }
        Ok(match self {
            Compression::None | Compression::Gzip => Box::new(MultiGzDecoder::new(raw)),
            Compression::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(raw)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG)?;
                Box::new(decoder)
            }
        })
    }
}

/// A reader that counts what passes, and hashes it if asked to.
pub(super) struct Hashed<'a> {
    inner: Box<dyn Read>,
    hash: Option<blake3::Hasher>,
    /// Outside, so that it can be read while a decompressor borrows this reader.
    count: &'a Cell<u64>,
}

impl<'a> Hashed<'a> {
    /// Opens a file; `None` is standard input. `count` is increased by what is read.
    pub(super) fn open(path: Option<&Path>, hash: bool, count: &'a Cell<u64>) -> io::Result<Hashed<'a>> {
        let inner: Box<dyn Read> = match path {
            Some(path) => Box::new(std::fs::File::open(path)?),
            None => Box::new(io::stdin().lock()),
        };
        Ok(Hashed { inner, hash: hash.then(blake3::Hasher::new), count })
    }

    /// The BLAKE3 of all bytes read, if it was asked for.
    pub(super) fn finish(self) -> Option<String> {
        self.hash.map(|hash| to_hex(hash.finalize().as_bytes()))
    }
}

impl Read for Hashed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        if let Some(hash) = &mut self.hash {
            hash.update(&buffer[..read]);
        }
        self.count.set(self.count.get() + read as u64);
        Ok(read)
    }
}
