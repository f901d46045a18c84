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
use crate::special::{Allowed, Matcher};
use crate::split::floor;
use std::sync::Arc;

/// The encoder of one text that arrives in chunks. It holds what the last cut left: little, unless the text offers no
/// place to be cut (white space or digits without end) or the pattern is an unknown regular expression; then all of it.
#[derive(Debug)]
pub struct Stream {
    tokenizer: Arc<Tokenizer>,
    matcher: Matcher,
    /// What has not been encoded.
    pending: String,
    /// Before this position of `pending` no special token begins and there is no cut.
    searched: usize,
    /// Bytes that have been encoded.
    done: u64,
}

impl Stream {
    /// Of a text whose special tokens are `allowed`.
    pub fn new(tokenizer: Arc<Tokenizer>, allowed: Allowed<'_>) -> Result<Stream> {
        let matcher = tokenizer.specials.matcher(allowed)?.into_owned();
        Ok(Stream { tokenizer, matcher, pending: String::new(), searched: 0, done: 0 })
    }

    /// Takes the next chunk; the ids that are certain by now and have not been given yet.
    pub fn push(&mut self, chunk: &str) -> Result<Vec<u32>> {
        self.pending.push_str(chunk);
        let end = self.settle();
        self.encode(end)
    }

    /// The text is at its end: the remaining ids.
    pub fn finish(&mut self) -> Result<Vec<u32>> {
        self.searched = 0;
        self.encode(self.pending.len())
    }

    /// How much text it holds.
    #[cfg(test)]
    pub(super) fn pending_bytes(&self) -> usize {
        self.pending.len()
    }

    /// How much of `pending` no later chunk can change.
    fn settle(&mut self) -> usize {
        let (text, from) = (self.pending.as_str(), self.searched);
        // A token that begins before `open` lies in the text to its end.
        let open = (text.len() + 1).saturating_sub(self.matcher.longest().max(1));
        let token_end = self.matcher.last_end(text, from, open);
        let from = token_end.unwrap_or(from);
        let cut = if from < open { self.tokenizer.last_cut(text, from, open) } else { None };
        let end = cut.or(token_end).unwrap_or(0);
        // The last character before `open` is looked at again: what follows it may not have been there.
        self.searched = floor(text, open.saturating_sub(4)).saturating_sub(end);
        end
    }

    fn encode(&mut self, end: usize) -> Result<Vec<u32>> {
        let mut ids = Vec::new();
        let encoded = self.tokenizer.encode_found(&self.pending[..end], &self.matcher, &mut ids);
        encoded.map_err(|error| match error {
            Error::UnknownToken(reason) if self.done > 0 => {
                Error::UnknownToken(format!("in the part of the text that begins at byte {}: {reason}", self.done))
            }
            other => other,
        })?;
        self.pending.drain(..end);
        self.done += end as u64;
        Ok(ids)
    }
}
