//! A text that arrives in chunks → ids, as if it had come at once.
//!
//! ```text
//! pending  ..........|..................|...................
//!          settled   cut       searched       open: a special token could begin here and end in a later chunk
//! ```
//!
//! What lies before the last place where the text can be cut (`split::cuts`) is encoded and forgotten. A special token
//! that is found may still turn out to be the beginning of a longer one, or lie behind the beginning of one, as long as
//! fewer bytes follow than the longest has; such places wait for the next chunk.

use super::Tokenizer;
use crate::error::{Error, Result};
use crate::monitor::Monitor;
use crate::special::{Allowed, Matcher};
use crate::split::floor;
use crate::utf8;
use std::sync::Arc;

/// More than this is not held: the text offers no place to be cut.
const MAX_PENDING: usize = 1 << 30;

/// The encoder of one text that arrives in chunks. It holds what the last cut left: little, unless the text offers no
/// place to be cut (letters, white space or symbols without end) or the pattern is an unknown regular expression; then all of
/// it, up to 1 GiB.
#[derive(Debug)]
pub struct Stream {
    tokenizer: Arc<Tokenizer>,
    settling: Settling,
    /// Bytes that have been encoded.
    done: u64,
}

impl Stream {
    /// Of a text whose special tokens are `allowed`.
    pub fn new(tokenizer: Arc<Tokenizer>, allowed: Allowed<'_>) -> Result<Stream> {
        let settling = Settling::new(&tokenizer, allowed)?;
        Ok(Stream { tokenizer, settling, done: 0 })
    }

    /// Takes the next chunk; the ids that are certain by now and have not been given yet.
    pub fn push(&mut self, chunk: &str, monitor: &dyn Monitor) -> Result<Vec<u32>> {
        let text = self.settling.push(&self.tokenizer, chunk);
        self.settling.check()?;
        self.encode(&text, monitor)
    }

    /// Takes what of the chunk is UTF-8 and whole, up to the first byte that is not; the ids, and how many bytes that is.
    pub fn push_bytes(&mut self, chunk: &[u8], monitor: &dyn Monitor) -> Result<(Vec<u32>, usize)> {
        let text = utf8::prefix(chunk);
        Ok((self.push(text, monitor)?, text.len()))
    }

    /// The text is at its end: the remaining ids.
    pub fn finish(&mut self, monitor: &dyn Monitor) -> Result<Vec<u32>> {
        let text = self.settling.finish();
        self.encode(&text, monitor)
    }

    /// How much text it holds.
    #[cfg(test)]
    pub(super) fn pending_bytes(&self) -> usize {
        self.settling.pending_bytes()
    }

    fn encode(&mut self, text: &str, monitor: &dyn Monitor) -> Result<Vec<u32>> {
        let mut ids = Vec::new();
        let encoded = self.tokenizer.encode_found(text, &self.settling.matcher, &mut ids, monitor);
        encoded.map_err(|error| in_part(error, self.done))?;
        self.done += text.len() as u64;
        Ok(ids)
    }
}

/// Says where the part of a text begins that could not be encoded.
pub(crate) fn in_part(error: Error, start: u64) -> Error {
    match error {
        Error::UnknownToken(reason) if start > 0 => {
            Error::UnknownToken(format!("in the part of the text that begins at byte {start}: {reason}"))
        }
        other => other,
    }
}

/// Cuts a text that arrives in chunks into parts that give the ids of the whole, one after the other.
#[derive(Debug)]
pub(crate) struct Settling {
    matcher: Matcher,
    /// What no part has.
    pending: String,
    search: Search,
}

impl Settling {
    /// Of a text whose special tokens are `allowed`.
    pub(crate) fn new(tokenizer: &Tokenizer, allowed: Allowed<'_>) -> Result<Settling> {
        Ok(Settling::with(&*tokenizer.specials.matcher(allowed)?))
    }

    /// The same with special tokens that have been looked up.
    pub(crate) fn with(matcher: &Matcher) -> Settling {
        Settling { matcher: matcher.clone(), pending: String::new(), search: Search::default() }
    }

    /// Takes the next chunk; the next part, empty where none is certain.
    pub(crate) fn push(&mut self, tokenizer: &Tokenizer, chunk: &str) -> String {
        self.hold(chunk);
        self.settled(tokenizer, String::new).unwrap_or_default()
    }

    /// Takes the next chunk, and looks for no part yet.
    pub(crate) fn hold(&mut self, chunk: &str) {
        self.pending.push_str(chunk);
    }

    /// The same; the next part has the memory of the chunk, if that is long.
    pub(crate) fn hold_owned(&mut self, mut chunk: String) {
        if self.pending.len() < chunk.len() {
            chunk.insert_str(0, &self.pending);
            self.pending = chunk;
        } else {
            self.pending.push_str(&chunk);
        }
    }

    /// The next part, if one is certain. What is behind it goes into a new string.
    pub(crate) fn settled(&mut self, tokenizer: &Tokenizer, new: impl FnOnce() -> String) -> Option<String> {
        let end = self.search.settled(tokenizer, &self.matcher, &self.pending)?;
        let mut rest = new();
        rest.push_str(&self.pending[end..]);
        self.pending.truncate(end);
        Some(std::mem::replace(&mut self.pending, rest))
    }

    /// The text is at its end: the last part.
    pub(crate) fn finish(&mut self) -> String {
        self.search = Search::default();
        std::mem::take(&mut self.pending)
    }

    /// An error where it holds too much text.
    pub(crate) fn check(&self) -> Result<()> {
        match self.pending.len() {
            0..=MAX_PENDING => Ok(()),
            bytes => Err(Error::value(format!(
                "{bytes} bytes in a row offer no place to be cut, and so would have to be encoded at once: letters, white \
                 space or symbols without end, or the tokenizer's pattern is a regular expression that nothing is known of; \
                 divide the text"
            ))),
        }
    }

    /// How much text it holds.
    pub(super) fn pending_bytes(&self) -> usize {
        self.pending.len()
    }
}

/// The search for the last place where the beginning of a text can be cut off.
#[derive(Debug, Default)]
struct Search {
    /// Before this position of the text no special token begins and there is no cut.
    searched: usize,
}

impl Search {
    /// How much of `text` nothing that may follow it can change; the next search is in what is behind.
    fn settled(&mut self, tokenizer: &Tokenizer, matcher: &Matcher, text: &str) -> Option<usize> {
        let from = self.searched;
        // A token that begins before `open` lies in the text to its end.
        let open = (text.len() + 1).saturating_sub(matcher.longest().max(1));
        let token_end = matcher.last_end(text, from, open);
        let from = token_end.unwrap_or(from);
        let cut = if from < open { tokenizer.last_cut(text, from, open) } else { None };
        let end = cut.or(token_end).filter(|end| *end > 0);
        // The last character before `open` is looked at again: what follows it may not have been there.
        self.searched = floor(text, open.saturating_sub(4)).saturating_sub(end.unwrap_or(0));
        end
    }
}

/// Parts of a text that is there, of some `goal` bytes each, which give the ids of the whole one after the other.
pub(super) fn settled_parts<'t>(
    tokenizer: &Tokenizer,
    matcher: &Matcher,
    text: &'t str,
    goal: usize,
) -> impl Iterator<Item = &'t str> {
    let (mut search, mut rest, mut seen) = (Search::default(), text, 0);
    std::iter::from_fn(move || {
        while seen < rest.len() {
            seen += floor(&rest[seen..], goal.max(4));
            let settled = if seen < rest.len() { search.settled(tokenizer, matcher, &rest[..seen]) } else { None };
            if let Some(end) = settled {
                let (part, later) = rest.split_at(end);
                (rest, seen) = (later, seen - end);
                return Some(part);
            }
        }
        seen = 0;
        Some(std::mem::take(&mut rest)).filter(|part| !part.is_empty())
    })
}

/// Parts of a text of some `goal` bytes each, between characters.
pub(super) fn chunks(text: &str, goal: usize) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (chunk, later) = rest.split_at(floor(rest, goal.max(4)));
        rest = later;
        (!chunk.is_empty()).then_some(chunk)
    })
}
