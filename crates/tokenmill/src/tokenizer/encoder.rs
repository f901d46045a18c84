//! Many texts → ids on one thread, with the same buffers.

use super::encode::parallel_bytes;
use super::{Model, Tokenizer};
use crate::bpe::{Buffers, Output};
use crate::error::{Error, Result};
use crate::special::{Allowed, Matcher, Part};
use std::borrow::Cow;
use std::iter;

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

    /// Appends the ids of texts that lie side by side in `text` and end at `text_ends`, and calls `ended` behind those of each.
    ///
    /// # Errors
    /// With the number of the text.
    pub(crate) fn encode_texts<O: Output>(
        &mut self,
        text: &str,
        text_ends: &[usize],
        ids: &mut O,
        mut ended: impl FnMut(&mut O),
    ) -> Result<(), (usize, Error)> {
        let is_short = |(start, end): (&usize, &usize)| end - start < parallel_bytes();
        if let Model::Bpe(bpe) = &self.tokenizer.model
            && let Some(texts) = bpe.pattern().texts_cutter(text, text_ends)
            && self.matcher.finds_none()
            && iter::once(&0).chain(text_ends).zip(text_ends).all(is_short)
        {
            let buffers = self.buffers.get_or_insert_with(|| bpe.buffers());
            let mut number = 0;
            let count = |ids: &mut O| {
                number += 1;
                ended(ids);
            };
            return bpe.encode_texts(texts, buffers, ids, count).map_err(|error| (number, error));
        }
        let mut start = 0;
        for (number, &end) in text_ends.iter().enumerate() {
            self.encode(&text[start..end], ids).map_err(|error| (number, error))?;
            ended(ids);
            start = end;
        }
        Ok(())
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

#[cfg(test)]
pub(super) mod tests {
    use super::super::tests::{snippets, tokenizers};
    use super::*;
    use crate::bpe::{BpeModel, Merges};
    use crate::split::Pattern;
    use crate::vocab::Vocab;
    use proptest::prelude::*;
    use std::sync::LazyLock;

    /// Without tokens that are special in every text, so that texts are taken together.
    pub(in super::super) static PLAIN: LazyLock<Vec<Tokenizer>> = LazyLock::new(|| {
        let make = |pattern| {
            let words = ["th", "the", " the", "ca", "cat", " ca", " cat", "12", "  ", "aa", "aaaa", "中", "\n\n"];
            let words = words.map(|word| word.as_bytes().to_vec());
            let tokens = (0..=u8::MAX).map(|byte| (u32::from(byte), vec![byte])).chain((256..).zip(words)).collect();
            let (pattern, vocab) = (Pattern::parse(pattern).unwrap(), Vocab::new(tokens).unwrap());
            let bpe = BpeModel::new(pattern, vocab, Merges::Ranks, true).unwrap();
            Tokenizer::new(Model::Bpe(bpe), vec![]).unwrap()
        };
        ["gpt2", "gpt4", "gpt4o", "llama3", "qwen2", r"\w+|\W+"].map(make).into()
    });

    /// Short and empty ones, and some whose pieces are long.
    fn texts() -> impl Strategy<Value = Vec<String>> {
        let long = (prop::sample::select(vec!["a", "中文", "é!", "\t"]), 1..200usize);
        let text = prop_oneof![
            4 => snippets(6),
            2 => any::<String>(),
            1 => long.prop_map(|(text, times)| text.repeat(times)),
            1 => Just(String::new()),
        ];
        prop::collection::vec(text, 0..400)
    }

    /// The ids of texts that lie side by side, and where those of each end.
    fn together(tokenizer: &Tokenizer, texts: &[String], allowed: Allowed<'_>) -> (Vec<u32>, Vec<usize>) {
        let (mut ids, mut ends) = (Vec::new(), Vec::new());
        let mut end = 0;
        let text_ends: Vec<usize> = texts
            .iter()
            .map(|text| {
                end += text.len();
                end
            })
            .collect();
        let mut encoder = Encoder::new(tokenizer, allowed).unwrap();
        let ended = |ids: &mut Vec<u32>| ends.push(ids.len());
        encoder.encode_texts(&texts.concat(), &text_ends, &mut ids, ended).unwrap();
        (ids, ends)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn texts_side_by_side_come_to_the_ids_of_each(texts in texts()) {
            let plain = PLAIN.iter().map(|tokenizer| (tokenizer, Allowed::None));
            let others = tokenizers().flat_map(|tokenizer| [Allowed::None, Allowed::All].map(|allowed| (&**tokenizer, allowed)));
            for (tokenizer, allowed) in plain.chain(others) {
                let (mut ids, mut ends) = (Vec::new(), Vec::new());
                for text in &texts {
                    ids.extend(tokenizer.encode_in_one_go(text, allowed));
                    ends.push(ids.len());
                }
                prop_assert_eq!(together(tokenizer, &texts, allowed), (ids, ends));
            }
        }
    }

    #[test]
    fn an_error_comes_with_the_number_of_the_text() {
        let vocab = Vocab::new(vec![(0, b"a".to_vec()), (1, b" ".to_vec())]).unwrap();
        let bpe = BpeModel::new(Pattern::parse("gpt2").unwrap(), vocab, Merges::Ranks, true).unwrap();
        let tokenizer = Tokenizer::new(Model::Bpe(bpe), vec![]).unwrap();
        for (text, number) in [("axa a", 1), ("a a a x", 6)] {
            let text_ends = Vec::from_iter(1..=text.len());
            let mut ended = 0;
            let encoded = Encoder::new(&tokenizer, Allowed::None).unwrap().encode_texts(
                text,
                &text_ends,
                &mut Vec::<u32>::new(),
                |_| ended += 1,
            );
            let (found, error) = encoded.unwrap_err();
            assert!((found, ended) == (number, number) && error.to_string().contains("0x78"), "{found} {error}");
        }
    }
}
