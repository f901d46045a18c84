//! What the ways of documents to a store share: what they ask of a tokenizer, where their ids go, and what is said of those
//! that it cannot take.

use super::Origin;
use super::split::Split;
use super::writer::StoredId;
use crate::bpe::Output;
use crate::documents::{Record, Rejected};
use crate::error::{Error, Place, Result};
use crate::spare::Spare;
use crate::special::Allowed;
use crate::tokenizer::{Encoder, LongText, Tokenizer};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// Special tokens that a text spells: how many, and where the first is.
pub(super) type SpecialTokens = (u64, Option<Range<usize>>);

/// What a thread encodes with.
pub(super) trait Encode<T> {
    /// Appends the ids of a text.
    fn text(&mut self, text: &str, ids: &mut Vec<T>) -> Result<()>;

    /// Appends the ids of texts that lie side by side in `text` and end at `text_ends`, and calls `ended` behind those of each. An
    /// error comes with the number of the text.
    fn texts(
        &mut self,
        text: &str,
        text_ends: &[usize],
        ids: &mut Vec<T>,
        ended: &mut dyn FnMut(&mut Vec<T>),
    ) -> Result<(), (usize, Error)> {
        let mut start = 0;
        for (number, &end) in text_ends.iter().enumerate() {
            self.text(&text[start..end], ids).map_err(|error| (number, error))?;
            ended(ids);
            start = end;
        }
        Ok(())
    }
}

impl<T> Encode<T> for Encoder<'_>
where
    Vec<T>: Output,
{
    fn text(&mut self, text: &str, ids: &mut Vec<T>) -> Result<()> {
        self.encode(text, ids)
    }

    fn texts(
        &mut self,
        text: &str,
        text_ends: &[usize],
        ids: &mut Vec<T>,
        ended: &mut dyn FnMut(&mut Vec<T>),
    ) -> Result<(), (usize, Error)> {
        self.encode_texts(text, text_ends, ids, ended)
    }
}

/// For tests: any function of a text.
#[cfg(test)]
impl<T, F: FnMut(&str, &mut Vec<T>) -> Result<()>> Encode<T> for F {
    fn text(&mut self, text: &str, ids: &mut Vec<T>) -> Result<()> {
        self(text, ids)
    }
}

/// [`Coder::encoder`] of a tokenizer.
pub(super) fn encoder<'a, T>(tokenizer: &'a Tokenizer, allowed: Allowed<'_>) -> Result<Box<dyn Encode<T> + 'a>>
where
    Vec<T>: Output,
{
    Ok(Box::new(Encoder::new(tokenizer, allowed)?))
}

/// What is asked of a tokenizer.
pub(super) struct Coder<'a, T> {
    /// Gives what a thread encodes some texts with, one after the other.
    pub encoder: &'a (dyn Fn() -> Result<Box<dyn Encode<T> + 'a>> + Sync),
    /// Special tokens that a text spells: how many, and where the first is.
    pub special_text: &'a (dyn Fn(&str) -> Result<SpecialTokens> + Sync),
    /// Begins a text that comes in parts.
    pub long_text: &'a (dyn Fn() -> Result<LongText<'a>> + Sync),
}

/// What blocks were read into and their ids were, for the next.
pub(super) struct Memory<T> {
    pub texts: Arc<Spare<u8>>,
    pub ids: Spare<T>,
}

impl<T> Default for Memory<T> {
    fn default() -> Self {
        Memory { texts: Arc::default(), ids: Spare::default() }
    }
}

impl<T> Memory<T> {
    /// An empty vector for the ids of so many bytes of text, in so many documents.
    pub fn for_ids(&self, bytes: usize, documents: usize) -> Vec<T> {
        // English takes 4 to 5 bytes a token, code and other languages as few as 3, and what is not touched costs nothing. BOS and EOS
        // are two more.
        let mut ids = self.ids.take(bytes / 3 + 2 * documents);
        ids.clear();
        ids
    }
}

/// Where the documents go, in the order of the inputs.
pub(super) trait Sink: Send {
    /// Documents that were encoded, each with its ids.
    fn append<'a, T: StoredId>(
        &mut self,
        split: Split,
        documents: impl Iterator<Item = (&'a [T], &'a Origin)>,
    ) -> Result<()> {
        for (ids, origin) in documents {
            self.extend(split, ids)?;
            self.end(split, origin)?;
        }
        Ok(())
    }

    /// The next ids of a document that was encoded.
    fn extend<T: StoredId>(&mut self, split: Split, ids: &[T]) -> Result<()>;
    /// Its end.
    fn end(&mut self, split: Split, origin: &Origin) -> Result<()>;
    /// One that is on disk.
    fn skip(&mut self, split: Split, origin: &Origin) -> Result<()>;
    /// Where temporary files can be.
    fn folder(&mut self) -> Result<&Path>;
}

/// What is wrong with a document that spells a special token, which is at a byte of its text.
pub(super) fn spells_special(
    name: &str,
    unit: &str,
    position: u64,
    (token, byte): (&str, u64),
    record: Record,
) -> Rejected {
    let place = Place { input: format!("{name}, document at {unit} {position}"), line: None, byte: None };
    let reason = format!(
        "its text spells the special token {token:?} at byte {byte}; remove it, or prepare with specials=\"text\" or \"allow\""
    );
    Rejected { place, reason, record }
}

/// The tokenizer knows the text that it has no token for, not where it comes from.
pub(super) fn located(error: Error, name: &str, unit: &str, position: u64) -> Error {
    match error {
        Error::UnknownToken(reason) => Error::UnknownToken(format!("{name}, document at {unit} {position}: {reason}")),
        other => other,
    }
}
