//! The text of a JSON record that is too long to be held.
//!
//! `serde_json` reads the record, byte by byte, and decides what is JSON, as it does for records in memory. The strings that
//! are long it never sees: where one begins as the value of a key, [`Feed`] takes its characters out of what is read,
//! unescaped, and leaves `""`. At anything in a string that is not plainly good it stops doing so, so that all that is
//! wrong is still found and told by `serde_json`. A key is kept in memory, whatever its length.

use super::json_escape::{LONGEST_ESCAPE, escape};
use super::json_lines::{self, Target};
use super::parts::Parts;
use super::valid::Valid;
use std::cell::RefCell;
use std::io::{self, Read};

/// Carriage returns handed out at once.
const RETURNS: usize = 1 << 16;

/// Reads the record to its end; `false` when nobody wants more.
pub(super) fn read<'a>(valid: Valid<'a>, parts: Parts<'a>, path: &[String]) -> io::Result<bool> {
    let feed = RefCell::new(Feed {
        valid,
        parts,
        text: String::new(),
        at: 0,
        returns: 0,
        later: None,
        mode: Mode::Pass,
        taken: 0,
        is_blank: true,
        error: None,
    });
    let found = json_lines::read_long(Bytes(&feed), &mut &feed, path);
    let mut feed = feed.into_inner();
    while feed.parts.wanted && feed.error.is_none() && feed.next_text().is_some() {}
    let Feed { valid, parts, taken, is_blank, error, .. } = feed;
    match (error, valid.bad) {
        (Some(error), _) => Err(error),
        _ if !parts.wanted => Ok(false),
        (None, Some(bad)) => {
            let rejected = parts.not_utf8(bad, valid.read);
            Ok(parts.end(Err(rejected)))
        }
        // No record at all.
        (None, None) if is_blank => Ok(true),
        (None, None) => {
            let rejected = |(column, reason): (Option<usize>, String)| {
                let offset = column.map_or(0, |column| (column as u64 + taken).saturating_sub(1));
                parts.rejected(offset, reason, valid.read)
            };
            let end = found.map(|()| valid.read).map_err(rejected);
            Ok(parts.end(end))
        }
    }
}

/// What becomes of the bytes that are read.
#[derive(Clone, Copy)]
enum Mode {
    /// They are handed on.
    Pass,
    /// The same, and the next that is not white space begins a value.
    Value { keep: bool },
    /// They are in a string that is taken out, and kept or not.
    Inside { keep: bool },
}

/// The bytes of a record without its long strings.
struct Feed<'a> {
    valid: Valid<'a>,
    parts: Parts<'a>,
    text: String,
    /// How much of `text` has been read.
    at: usize,
    /// Carriage returns that come next if anything comes behind them,
    returns: usize,
    /// which is this.
    later: Option<String>,
    mode: Mode,
    /// Bytes that were taken out.
    taken: u64,
    is_blank: bool,
    error: Option<io::Error>,
}

impl Feed<'_> {
    fn read_byte(&mut self) -> Option<u8> {
        if let Mode::Inside { keep } = self.mode {
            self.take_string(keep);
            self.mode = Mode::Pass;
        }
        if self.at == self.text.len() && !self.more() {
            return None;
        }
        let byte = *self.text.as_bytes().get(self.at)?;
        self.at += 1;
        let is_space = matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
        self.is_blank &= is_space;
        if let Mode::Value { keep } = self.mode
            && !is_space
        {
            self.mode = if byte == b'"' { Mode::Inside { keep } } else { Mode::Pass };
        }
        Some(byte)
    }

    /// Takes out the characters of a string, up to the quote that ends it or what is not good in a string.
    fn take_string(&mut self, keep: bool) {
        loop {
            let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
            let end = memchr::memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
            let end = rest.iter().take(end).position(|byte| *byte < b' ').unwrap_or(end);
            let stopper = rest.get(end).copied();
            if keep {
                // A character begins at each byte below 128.
                self.parts.add(&self.text[self.at..self.at + end]);
            }
            self.skip(end);
            match stopper {
                None if self.more() => {}
                Some(b'\\') => {
                    let Some((character, bytes)) = self.escape() else { return };
                    if keep {
                        self.parts.add(character.encode_utf8(&mut [0; 4]));
                    }
                    self.skip(bytes);
                }
                _ => return,
            }
        }
    }

    fn skip(&mut self, bytes: usize) {
        self.at += bytes;
        self.taken += bytes as u64;
    }

    /// The escape that comes next, and its length; `None`: it is not one.
    fn escape(&mut self) -> Option<(char, usize)> {
        while self.text.len() - self.at < LONGEST_ESCAPE && self.more() {}
        escape(self.text.as_bytes().get(self.at + 1..)?)
    }

    /// Puts what comes next behind the unread text.
    fn more(&mut self) -> bool {
        let Some(next) = self.next_text() else { return false };
        self.text.drain(..self.at);
        self.at = 0;
        if self.text.is_empty() {
            self.valid.give_back(std::mem::replace(&mut self.text, next));
        } else {
            self.text.push_str(&next);
        }
        true
    }

    /// Text without carriage returns at its end, as those at the end of the line are no part of the record; they come when
    /// something is seen to come behind them.
    fn next_text(&mut self) -> Option<String> {
        if !self.parts.wanted || self.error.is_some() {
            return None;
        }
        while self.later.is_none() {
            let next = self.valid.next();
            let text = next.unwrap_or_else(|error| {
                self.error = Some(error);
                None
            })?;
            if text.bytes().all(|byte| byte == b'\r') {
                self.returns += text.len();
            } else {
                self.later = Some(text);
            }
        }
        if self.returns > 0 {
            let now = self.returns.min(RETURNS);
            self.returns -= now;
            return Some("\r".repeat(now));
        }
        let mut text = self.later.take()?;
        let length = text.trim_end_matches('\r').len();
        self.returns = text.len() - length;
        text.truncate(length);
        Some(text)
    }
}

/// What `serde_json` reads.
struct Bytes<'a, 'b>(&'a RefCell<Feed<'b>>);

impl Read for Bytes<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match (buffer.first_mut(), self.0.borrow_mut().read_byte()) {
            (Some(slot), Some(byte)) => {
                *slot = byte;
                Ok(1)
            }
            _ => Ok(0),
        }
    }
}

impl Target for &RefCell<Feed<'_>> {
    fn clear(&mut self) {
        self.borrow_mut().parts.clear();
    }

    fn push(&mut self, text: &str) {
        self.borrow_mut().parts.add(text);
    }

    fn value(&mut self, wanted: bool) {
        self.borrow_mut().mode = Mode::Value { keep: wanted };
    }
}
