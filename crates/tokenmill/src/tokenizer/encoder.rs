//! Many texts → ids on one thread, with the same buffers.

use super::encode::parallel_bytes;
use super::{Model, Tokenizer};
use crate::bpe::{Buffers, Output};
use crate::error::Result;
use crate::special::{Allowed, Matcher, Part};
use std::borrow::Cow;

/// What a thread encodes with. It holds the cache of pieces that it fills, until it is dropped: nobody else has that meanwhile.
pub(crate) struct Encoder<'a> {
    tokenizer: &'a Tokenizer,
    matcher: Cow<'a, Matcher>,
    /// `None` until there is a text for them.
    buffers: Option<Buffers<'a>>,
}

impl<'a> Encoder<'a> {
    pub(crate) fn new(tokenizer: &'a Tokenizer, allowed: Allowed<'_>) -> Result<Encoder<'a>> {
        Ok(Encoder::finding(tokenizer, tokenizer.specials.matcher(allowed)?))
    }

    /// With special tokens that have been looked up.
    pub(super) fn finding(tokenizer: &'a Tokenizer, matcher: Cow<'a, Matcher>) -> Encoder<'a> {
        Encoder { tokenizer, matcher, buffers: None }
    }

    /// Appends the ids of `text`; a long one is cut and encoded on all threads.
    pub(crate) fn encode<O: Output>(&mut self, text: &str, ids: &mut O) -> Result<()> {
        if text.len() < parallel_bytes() {
            return self.encode_part(text, 0, ids);
        }
        // This thread is one of them, and takes buffers as each of them does: it shall find its own.
        self.buffers = None;
        self.tokenizer.encode_long(&[text], &self.matcher, ids, |_| (), &())
    }

    /// One text, or the part of one that begins at `start`, on this thread.
    pub(super) fn encode_part<O: Output>(&mut self, text: &str, start: usize, ids: &mut O) -> Result<()> {
        let Encoder { tokenizer, matcher, buffers } = self;
        matcher.cut(text, |part| match (part, &tokenizer.model) {
            (Part::Special(id, _), _) => {
                ids.push_all(&[id]);
                Ok(())
            }
            (Part::Text(range), Model::Bpe(bpe)) => {
                bpe.encode_with(&text[range], buffers.get_or_insert_with(|| bpe.buffers()), ids)
            }
            (Part::Text(range), Model::Word(word)) => {
                word.encode(&text[range.clone()], start + range.start, |id, _| ids.push_all(&[id]))
            }
        })
    }
}
