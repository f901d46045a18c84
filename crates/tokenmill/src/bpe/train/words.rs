//! The corpus as training sees it: each distinct piece once, as a row of tokens that shrinks with every merge.

use super::Numbering;
use crate::counts::Counted;

/// All words back to back; a merge shortens a word in its place.
pub(super) struct Words {
    tokens: Vec<u32>,
    spans: Vec<Span>,
}

struct Span {
    start: usize,
    len: usize,
    count: u64,
}

/// What a merge did to the pairs around it: `change(pair, up)` is called once for each pair that appeared (`up`) or
/// went away.
pub(super) type Change<'a> = &'a mut dyn FnMut((u32, u32), bool);

impl Words {
    pub(super) fn new(counted: &[Counted], numbering: &Numbering) -> Words {
        let mut words = Words { tokens: Vec::new(), spans: Vec::with_capacity(counted.len()) };
        for (piece, count) in counted {
            words.spans.push(Span { start: words.tokens.len(), len: piece.len(), count: *count });
            words.tokens.extend(piece.iter().map(|&byte| numbering.byte_id(byte)));
        }
        words
    }

    /// How often word `index` occurs, and its tokens now.
    pub(super) fn get(&self, index: usize) -> (u64, &[u32]) {
        let span = &self.spans[index];
        (span.count, &self.tokens[span.start..span.start + span.len])
    }

    pub(super) fn len(&self) -> usize {
        self.spans.len()
    }

    /// Replaces `left right` by `made` in word `index`, left to right, and reports the pairs that changed; the pair
    /// itself is not reported: it is gone afterwards.
    pub(super) fn merge(&mut self, index: usize, (left, right): (u32, u32), made: u32, change: Change<'_>) {
        let span = &mut self.spans[index];
        let word = &mut self.tokens[span.start..span.start + span.len];
        let is_pair = |word: &[u32], at: usize| at + 1 < word.len() && word[at] == left && word[at + 1] == right;
        let (mut read, mut write) = (0, 0);
        let mut after_merge = false;
        while read < word.len() {
            if !is_pair(word, read) {
                word[write] = word[read];
                (read, write, after_merge) = (read + 1, write + 1, false);
                continue;
            }
            if write > 0 {
                // Two merges in a row: between them lay the pair (right, left), now lies (made, made).
                let before = word[write - 1];
                change((if after_merge { right } else { before }, left), false);
                change((before, made), true);
            }
            if read + 2 < word.len() && !is_pair(word, read + 2) {
                let after = word[read + 2];
                change((right, after), false);
                change((made, after), true);
            }
            word[write] = made;
            (read, write, after_merge) = (read + 2, write + 1, true);
        }
        span.len = write;
    }
}
