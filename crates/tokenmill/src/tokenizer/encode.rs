//! Texts → ids: one or many, on one thread or on all.

use super::encoder::Encoder;
use super::feed::{MIN_TEXT_WEIGHT, in_text};
use super::{Model, Tokenizer};
use crate::bpe::Output;
use crate::error::Result;
use crate::monitor::{Monitor, Progress};
use crate::special::{Allowed, Matcher, Part};
use std::borrow::Cow;
use std::ops::Range;

/// Below this many bytes in all, handing work to threads costs more than it saves.
const PARALLEL_BYTES: usize = 64 << 10;

/// The same where the caller is one of these threads itself: the others have work of their own, and only what would
/// keep this one for 10 ms or more while they run dry is worth sharing.
const NESTED_BYTES: usize = 1 << 20;

/// The ids of many texts back to back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flat<O> {
    /// All ids.
    pub ids: O,
    /// Text `i` has the ids from `offsets[i]` to `offsets[i + 1]`; one more than there are texts, the first is 0.
    /// Signed, as NumPy and Arrow want them.
    pub offsets: Vec<i64>,
}

impl<T> Flat<Vec<T>> {
    /// The ids of each text.
    pub fn lists(&self) -> impl Iterator<Item = &[T]> {
        let mut rest = self.ids.as_slice();
        self.offsets.windows(2).map(move |place| {
            let count = usize::try_from(place[1] - place[0]).unwrap_or(0).min(rest.len());
            let (list, later) = rest.split_at(count);
            rest = later;
            list
        })
    }
}

impl Tokenizer {
    /// Appends the ids of `text`, every special token in it taken as ordinary text.
    pub fn encode_ordinary<O: Output>(&self, text: &str, ids: &mut O) -> Result<()> {
        self.encode(text, Allowed::None, ids)
    }

    /// Special tokens that a text spells: how many, and where the first is.
    pub fn special_text(&self, text: &str) -> Result<(u64, Option<Range<usize>>)> {
        let (mut count, mut first) = (0, None);
        self.specials.matcher(Allowed::All)?.cut(text, |part| {
            if let Part::Special(_, range) = part {
                count += 1;
                first.get_or_insert(range);
            }
            Ok(())
        })?;
        Ok((count, first))
    }

    /// Appends the ids of `text`; a long one is cut and encoded on all threads.
    pub fn encode<O: Output>(&self, text: &str, allowed: Allowed<'_>, ids: &mut O) -> Result<()> {
        let matcher = self.specials.matcher(allowed)?;
        self.encode_found(text, &matcher, ids, &())
    }

    /// [`Tokenizer::encode`] with special tokens that have been looked up, and with a look at the monitor now and then.
    pub(super) fn encode_found<O: Output>(
        &self,
        text: &str,
        matcher: &Matcher,
        ids: &mut O,
        monitor: &dyn Monitor,
    ) -> Result<()> {
        O::check(self.vocab_size())?;
        if text.len() < parallel_bytes() {
            return Encoder::finding(self, Cow::Borrowed(matcher)).encode_part(text, 0, ids);
        }
        self.encode_long(&[text], matcher, ids, |_| (), monitor)
    }

    /// The ids of each text, in order; in parallel where there is enough to do, and then with a look at the monitor
    /// several times a second. Of several texts that cannot be encoded, the first is the error.
    pub fn encode_batch<O: Output>(
        &self,
        texts: &[&str],
        allowed: Allowed<'_>,
        monitor: &dyn Monitor,
    ) -> Result<Flat<O>> {
        O::check(self.vocab_size())?;
        let matcher = self.specials.matcher(allowed)?;
        let mut ids = O::default();
        let mut offsets = Vec::with_capacity(texts.len() + 1);
        offsets.push(0);
        // No memory holds 2⁶³ ids.
        let mut ended = |end| offsets.push(i64::try_from(end).unwrap_or(i64::MAX));
        if texts.iter().map(|text| text.len().max(MIN_TEXT_WEIGHT)).sum::<usize>() < parallel_bytes() {
            // English has 4 to 5 bytes an id, and 4 seldom needs a second allocation.
            let likely = texts.iter().map(|text| text.len()).sum::<usize>() / 4;
            ids.make_room(likely, likely);
            let mut encoder = Encoder::finding(self, matcher);
            for (number, text) in texts.iter().enumerate() {
                let encoded = encoder.encode_part(text, 0, &mut ids);
                encoded.map_err(|error| if texts.len() > 1 { in_text(error, number) } else { error })?;
                ended(ids.count());
            }
        } else {
            self.encode_long(texts, &matcher, &mut ids, ended, monitor)?;
        }
        Ok(Flat { ids, offsets })
    }

    /// Appends the ids of texts that are worth several threads, if there are several, and calls `ended` at the end of
    /// each text with the number of ids there.
    pub(super) fn encode_long<O: Output>(
        &self,
        texts: &[&str],
        matcher: &Matcher,
        ids: &mut O,
        mut ended: impl FnMut(usize),
        monitor: &dyn Monitor,
    ) -> Result<()> {
        let bytes = texts.iter().map(|text| text.len()).sum();
        self.feed_found(Cow::Borrowed(matcher), bytes, texts.len() > 1, |feed| {
            texts.iter().for_each(|text| feed.push(Cow::Borrowed(text)));
            let mut done = 0;
            let tick = |done| {
                let total = Some(texts.len() as u64);
                monitor.tick(Progress { stage: "encoding", unit: "texts", done, total })
            };
            let mut took = true;
            while took {
                let mut count = |end| {
                    done += 1;
                    ended(end);
                };
                took = feed.take_next(ids, &mut count, &mut || Ok(()))?;
                tick(done)?;
            }
            Ok(())
        })?
    }

    /// The ids of `text` and the bytes of it that each stands for.
    pub fn encode_with_offsets(&self, text: &str, allowed: Allowed<'_>) -> Result<(Vec<u32>, Vec<Range<usize>>)> {
        let (mut ids, mut spans) = (Vec::new(), Vec::new());
        self.specials.matcher(allowed)?.cut(text, |part| match (part, &self.model) {
            (Part::Special(id, range), _) => {
                ids.push(id);
                spans.push(range);
                Ok(())
            }
            (Part::Text(range), Model::Bpe(bpe)) => {
                let first = ids.len();
                bpe.encode(&text[range.clone()], &mut ids)?;
                // BPE drops and changes nothing: tokens lie side by side.
                let mut position = range.start;
                spans.extend(ids[first..].iter().map(|&id| {
                    let start = position;
                    position += bpe.vocab().bytes(id).map_or(0, <[u8]>::len);
                    start..position
                }));
                Ok(())
            }
            (Part::Text(range), Model::Word(word)) => word.encode(&text[range.clone()], range.start, |id, found| {
                ids.push(id);
                spans.push(range.start + found.start..range.start + found.end);
            }),
        })?;
        Ok((ids, spans))
    }

    /// For tests: one text on this thread, however long it is.
    #[cfg(test)]
    pub(super) fn encode_in_one_go(&self, text: &str, allowed: Allowed<'_>) -> Vec<u32> {
        let mut ids = Vec::new();
        Encoder::new(self, allowed).unwrap().encode_part(text, 0, &mut ids).unwrap();
        ids
    }

    /// The last position behind `from` and not behind `to` where ordinary text can be cut and its parts encoded one by one.
    pub(super) fn last_cut(&self, text: &str, from: usize, to: usize) -> Option<usize> {
        match &self.model {
            Model::Bpe(bpe) => bpe.pattern().last_cut(text, from, to),
            Model::Word(word) => word.cutter().last_cut(text, from, to),
        }
    }
}

/// From how many bytes on work is handed to the pool.
pub(super) fn parallel_bytes() -> usize {
    if rayon::current_thread_index().is_some() { NESTED_BYTES } else { PARALLEL_BYTES }
}
