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
        let text = std::str::from_utf8(chunk).or_else(|error| std::str::from_utf8(&chunk[..error.valid_up_to()]));
        let text = text.unwrap_or_default();
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
    /// Before this position of `pending` no special token begins and there is no cut.
    searched: usize,
}

impl Settling {
    /// Of a text whose special tokens are `allowed`.
    pub(crate) fn new(tokenizer: &Tokenizer, allowed: Allowed<'_>) -> Result<Settling> {
        Ok(Settling::with(&*tokenizer.specials.matcher(allowed)?))
    }

    /// The same with special tokens that have been looked up.
    pub(crate) fn with(matcher: &Matcher) -> Settling {
        Settling { matcher: matcher.clone(), pending: String::new(), searched: 0 }
    }

    /// Takes the next chunk; the next part, empty where none is certain.
    pub(crate) fn push(&mut self, tokenizer: &Tokenizer, chunk: &str) -> String {
        self.pending.push_str(chunk);
        let end = self.settle(tokenizer);
        if end == 0 {
            return String::new();
        }
        let rest = self.pending.split_off(end);
        std::mem::replace(&mut self.pending, rest)
    }

    /// The text is at its end: the last part.
    pub(crate) fn finish(&mut self) -> String {
        self.searched = 0;
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
    #[cfg(test)]
    pub(super) fn pending_bytes(&self) -> usize {
        self.pending.len()
    }

    /// How much of `pending` no later chunk can change.
    fn settle(&mut self, tokenizer: &Tokenizer) -> usize {
        let (text, from) = (self.pending.as_str(), self.searched);
        // A token that begins before `open` lies in the text to its end.
        let open = (text.len() + 1).saturating_sub(self.matcher.longest().max(1));
        let token_end = self.matcher.last_end(text, from, open);
        let from = token_end.unwrap_or(from);
        let cut = if from < open { tokenizer.last_cut(text, from, open) } else { None };
        let end = cut.or(token_end).unwrap_or(0);
        // The last character before `open` is looked at again: what follows it may not have been there.
        self.searched = floor(text, open.saturating_sub(4)).saturating_sub(end);
        end
    }
}
