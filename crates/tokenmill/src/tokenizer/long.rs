//! A text too long to be held: what of it can be encoded by itself, and the special tokens that it spells.

use super::Tokenizer;
use super::stream::Settling;
use crate::error::Result;
use crate::special::{Allowed, Counter};

/// See above.
#[derive(Debug)]
pub(crate) struct LongText<'a> {
    tokenizer: &'a Tokenizer,
    settling: Settling,
    specials: Counter,
}

/// Special tokens that a text spells: how many, the first, and where that is.
pub(crate) type SpelledTokens = (u64, Option<(String, u64)>);

impl<'a> LongText<'a> {
    /// Of a text whose special tokens are `allowed`.
    pub(crate) fn new(tokenizer: &'a Tokenizer, allowed: Allowed<'_>) -> Result<LongText<'a>> {
        let specials = Counter::new(tokenizer.specials.matcher(Allowed::All)?.into_owned());
        Ok(LongText { tokenizer, settling: Settling::new(tokenizer, allowed)?, specials })
    }

    /// Takes the next of the text; what can be encoded by itself of what has come.
    pub(crate) fn push(&mut self, text: String) -> Result<String> {
        self.specials.push(&text);
        self.settling.hold_owned(text);
        let part = self.settling.settled(self.tokenizer, String::new);
        self.settling.check()?;
        Ok(part.unwrap_or_default())
    }

    /// Takes the next of a text that nobody will encode.
    pub(crate) fn pass(&mut self, text: &str) {
        self.specials.push(text);
    }

    /// The text is at its end: what is left of it to be encoded, and the special tokens in all of it.
    pub(crate) fn finish(&mut self) -> (String, SpelledTokens) {
        (self.settling.finish(), self.specials.finish())
    }
}
