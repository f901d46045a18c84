//! Byte-level BPE by its definition: look at all pairs, merge the best, start again. And vocabularies to try it on.

use super::patterns::PAIRS;
use super::texts::Source;
use std::collections::HashMap;
use tokenmill::bpe::{BpeModel, Merge, Merges};
use tokenmill::split::Pattern;
use tokenmill::tokenizer::{Model, Tokenizer};
use tokenmill::vocab::Vocab;

/// What makes a tokenizer: for the crate and for the twin.
#[derive(Debug, Clone)]
pub struct Parts {
    /// Which of `PAIRS`.
    pub pattern: usize,
    pub tokens: Vec<(u32, Vec<u8>)>,
    /// The merge list; `None`: merge by ranks.
    pub merges: Option<Vec<Merge>>,
    pub whole_pieces: bool,
}

impl Parts {
    /// The crate's.
    pub fn tokenizer(&self) -> Tokenizer {
        let pattern = Pattern::parse(PAIRS[self.pattern].name).unwrap();
        let merges = self.merges.clone().map_or(Merges::Ranks, Merges::List);
        let vocab = Vocab::new(self.tokens.clone()).unwrap();
        let model = BpeModel::new(pattern, vocab, merges, self.whole_pieces).unwrap();
        Tokenizer::new(Model::Bpe(model), Vec::new()).unwrap()
    }

    pub fn twin(&self) -> Twin {
        let mut ids: HashMap<Vec<u8>, u32> = HashMap::new();
        for (id, bytes) in &self.tokens {
            // Of two ids for the same bytes the smaller counts.
            ids.entry(bytes.clone()).and_modify(|known| *known = (*known).min(*id)).or_insert(*id);
        }
        let list = self.merges.as_ref().map(|merges| {
            let ranked = merges.iter().enumerate();
            ranked.map(|(rank, merge)| ((merge.left, merge.right), (rank, merge.id))).collect()
        });
        Twin { pattern: self.pattern, ids, list, whole_pieces: self.whole_pieces, known: HashMap::new() }
    }
}

/// A byte that has no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MissingByte(pub u8);

type Ids = Result<Vec<u32>, MissingByte>;

/// The slow encoder.
pub struct Twin {
    pattern: usize,
    ids: HashMap<Vec<u8>, u32>,
    list: Option<HashMap<(u32, u32), (usize, u32)>>,
    whole_pieces: bool,
    /// Pieces merged before: this encoder is slow enough as it is.
    known: HashMap<Vec<u8>, Ids>,
}

impl Twin {
    pub fn encode(&mut self, text: &str) -> Ids {
        let mut pieces = Vec::new();
        PAIRS[self.pattern].wanted(text, &mut pieces);
        let mut ids = Vec::new();
        for piece in pieces {
            let piece = &text.as_bytes()[piece];
            if !self.known.contains_key(piece) {
                let became = self.piece(piece);
                self.known.insert(piece.to_vec(), became);
            }
            ids.extend_from_slice(self.known[piece].as_ref().map_err(|missing| *missing)?);
        }
        Ok(ids)
    }

    fn piece(&self, piece: &[u8]) -> Ids {
        if let Some(&id) = self.ids.get(piece).filter(|_| self.whole_pieces) {
            return Ok(vec![id]);
        }
        for byte in piece {
            self.ids.get(&[*byte][..]).ok_or(MissingByte(*byte))?;
        }
        Ok(match &self.list {
            Some(list) => self.by_list(list, piece),
            None => self.by_ranks(piece),
        })
    }

    fn by_list(&self, list: &HashMap<(u32, u32), (usize, u32)>, piece: &[u8]) -> Vec<u32> {
        let mut ids: Vec<u32> = piece.iter().map(|byte| self.ids[&[*byte][..]]).collect();
        loop {
            let found = ids.windows(2).enumerate().filter_map(|(at, pair)| {
                let (rank, id) = list.get(&(pair[0], pair[1]))?;
                Some((*rank, at, *id))
            });
            let Some((_, at, id)) = found.min() else { return ids };
            ids.splice(at..at + 2, [id]);
        }
    }

    fn by_ranks(&self, piece: &[u8]) -> Vec<u32> {
        // Where the parts begin, and the end.
        let mut cuts: Vec<usize> = (0..=piece.len()).collect();
        loop {
            let found = cuts.windows(3).enumerate().filter_map(|(at, cut)| {
                let rank = self.ids.get(&piece[cut[0]..cut[2]])?;
                Some((*rank, at))
            });
            let Some((_, at)) = found.min() else { break };
            cuts.remove(at + 1);
        }
        cuts.windows(2).map(|cut| self.ids[&piece[cut[0]..cut[1]]]).collect()
    }
}

/// Longest token of a made-up vocabulary: longer than a cache keeps, than a block, and than any merge buffer on the stack.
const LONGEST: usize = 140;

/// A made-up vocabulary. Its recipe decides what is unusual about it: merges at random instead of the most frequent pair,
/// tokens that no merge makes, ids in any order (so that list and ranks disagree), gaps, two ids for the same bytes, bytes
/// without a token.
pub fn invent(source: &mut Source<'_>) -> Parts {
    let pattern = source.below(PAIRS.len());
    let by_list = source.once_in(2);
    let whole_pieces = source.once_in(2);
    let missing = source.once_in(8).then(|| source.byte());
    let (shuffled, gaps, twice) = (source.once_in(2), source.once_in(4), source.once_in(8));
    let sample = source.text(12, 600, &[]);
    let mut tokens: Vec<Vec<u8>> = (0..=u8::MAX).filter(|byte| Some(*byte) != missing).map(|byte| vec![byte]).collect();
    let pairs = invent_merges(source, &sample, &mut tokens);
    let reachable = tokens.len();
    invent_unreachable(source, pattern, &sample, &mut tokens);
    if twice {
        tokens.push(tokens[reachable - 1].clone());
    }
    let ids = invent_ids(source, tokens.len(), shuffled, gaps);
    let merge =
        |(left, right, made): &(usize, usize, usize)| Merge { left: ids[*left], right: ids[*right], id: ids[*made] };
    let merges = by_list.then(|| pairs.iter().map(merge).collect());
    Parts { pattern, tokens: ids.iter().copied().zip(tokens).collect(), merges, whole_pieces }
}

/// Appends merged tokens to `tokens` and returns the merges as (left, right, made), places in `tokens`.
fn invent_merges(source: &mut Source<'_>, sample: &str, tokens: &mut Vec<Vec<u8>>) -> Vec<(usize, usize, usize)> {
    let place_of = |tokens: &[Vec<u8>], byte: u8| tokens.iter().position(|token| *token == [byte]);
    let mut words: Vec<usize> = sample.bytes().filter_map(|byte| place_of(tokens, byte)).collect();
    let mut pairs: Vec<(usize, usize, usize)> = Vec::new();
    for _ in 0..source.below(80) {
        let (left, right) = if source.below(4) == 0 || words.len() < 2 {
            // Of the last tokens rather than of the first, to get long ones.
            let recent = tokens.len().min(24);
            (tokens.len() - 1 - source.below(recent), tokens.len() - 1 - source.below(recent))
        } else if source.below(4) > 0 {
            let mut counts: HashMap<(usize, usize), usize> = HashMap::new();
            words.windows(2).for_each(|pair| *counts.entry((pair[0], pair[1])).or_default() += 1);
            counts.into_iter().max_by_key(|(pair, count)| (*count, *pair)).unwrap().0
        } else {
            let at = source.below(words.len() - 1);
            (words[at], words[at + 1])
        };
        let bytes = [tokens[left].as_slice(), &tokens[right]].concat();
        if bytes.len() > LONGEST || pairs.iter().any(|(a, b, _)| (*a, *b) == (left, right)) {
            continue;
        }
        // Two ways to the same bytes give the same token, as in a file.
        let made = tokens.iter().position(|token| *token == bytes).unwrap_or_else(|| {
            tokens.push(bytes);
            tokens.len() - 1
        });
        pairs.push((left, right, made));
        let mut at = 0;
        while at + 1 < words.len() {
            if (words[at], words[at + 1]) == (left, right) {
                words.splice(at..at + 2, [made]);
            }
            at += 1;
        }
    }
    pairs
}

/// Appends tokens that no merge makes: whole pieces of the sample, and cuttings out of it.
fn invent_unreachable(source: &mut Source<'_>, pattern: usize, sample: &str, tokens: &mut Vec<Vec<u8>>) {
    let mut pieces = Vec::new();
    PAIRS[pattern].wanted(sample, &mut pieces);
    for _ in 0..source.below(12) {
        if pieces.is_empty() {
            return;
        }
        let piece =
            &sample.as_bytes()[source.one_of(&(0..pieces.len()).map(|i| pieces[i].start).collect::<Vec<_>>())..];
        let length = match source.below(3) {
            0 => pieces.iter().find(|range| range.start == sample.len() - piece.len()).map_or(1, |range| range.len()),
            _ => 1 + source.below(piece.len().min(LONGEST)),
        };
        let start = if source.once_in(2) { source.below(length) } else { 0 };
        let token = piece[start..length].to_vec();
        if token.len() > 1 && !tokens.contains(&token) {
            tokens.push(token);
        }
    }
}

/// An id for each token.
fn invent_ids(source: &mut Source<'_>, count: usize, shuffled: bool, gaps: bool) -> Vec<u32> {
    let step = if gaps { 3 } else { 1 };
    let mut ids: Vec<u32> = (0..count).map(|place| (place * step) as u32).collect();
    if shuffled {
        let mut random = super::texts::Random(u64::from(source.byte()));
        for last in (1..count).rev() {
            ids.swap(last, (random.next() % (last as u64 + 1)) as usize);
        }
    }
    ids
}
