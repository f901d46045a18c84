//! Training a word vocabulary: which words get an id.

use super::{WordCutter, WordModel, WordSplit};
use crate::counts::{Budget, Counter, Cut, count_pieces};
use crate::documents::BlockSource;
use crate::error::{Error, Result};
use crate::monitor::Monitor;
use crate::vocab::{SpecialToken, Vocab};
use std::cmp::Reverse;

/// How to train.
#[derive(Debug, Clone)]
pub struct WordTrainOptions {
    /// How text is cut.
    pub split: WordSplit,
    /// Special tokens, numbered after the words in this order.
    pub special_tokens: Vec<String>,
    /// Which of them stands for unknown words.
    pub unknown_token: Option<String>,
    /// A word must occur this often.
    pub min_frequency: u64,
    /// Tokens in all at most, special ones included: the most frequent words stay, of equals the first in order.
    pub max_vocab: Option<u32>,
}

/// Words get ids in the order of their bytes, which is the order of their code points. A word spelled like a special
/// token gets none: it would be two things at once.
pub fn train(
    source: &mut dyn BlockSource,
    options: &WordTrainOptions,
    monitor: &dyn Monitor,
) -> Result<(WordModel, Vec<SpecialToken>)> {
    let cutter = WordCutter::new(&options.split)?;
    let mut words: Vec<(Box<[u8]>, u64)> = Vec::new();
    count_pieces(source, &cutter, &Budget::default(), monitor)?.each_sorted(&mut |word, count| {
        words.push((word.into(), count));
        Ok(())
    })?;
    words.retain(|(word, count)| {
        *count >= options.min_frequency && !options.special_tokens.iter().any(|special| special.as_bytes() == &**word)
    });
    if let Some(max) = options.max_vocab {
        let room = (max as usize).checked_sub(options.special_tokens.len()).ok_or_else(|| {
            Error::value(format!("max_vocab={max} is less than the {} special tokens", options.special_tokens.len()))
        })?;
        words.sort_by(|a, b| Reverse(a.1).cmp(&Reverse(b.1)).then_with(|| a.0.cmp(&b.0)));
        words.truncate(room);
        words.sort_unstable();
    }
    let first_special = u32::try_from(words.len()).map_err(|_| Error::value("more than 2^32 distinct words"))?;
    let specials: Vec<SpecialToken> = (first_special..)
        .zip(&options.special_tokens)
        .map(|(id, text)| SpecialToken { text: text.clone(), id, always: false })
        .collect();
    let unknown = match &options.unknown_token {
        None => None,
        Some(name) => {
            Some(specials.iter().find(|special| special.text == *name).map(|special| special.id).ok_or_else(|| {
                Error::value(format!(
                    "unk_token {name:?} is not among the special tokens {:?}; add it there",
                    options.special_tokens
                ))
            })?)
        }
    };
    let vocab = Vocab::new((0..).zip(words.into_iter().map(|(word, _)| word.into_vec())).collect())?;
    Ok((WordModel::new(options.split.clone(), vocab, unknown)?, specials))
}

impl Cut for WordCutter {
    fn count(&self, text: &str, counter: &mut Counter<'_>) -> Result<()> {
        self.cut(text, |word| counter.add(text[word].as_bytes()))
    }

    fn next_cut(&self, text: &str, from: usize) -> Option<usize> {
        WordCutter::next_cut(self, text, from)
    }
}
