//! The patterns as published, run by a real regex engine, beside the scanners.

use std::ops::Range;
use std::sync::LazyLock;
use tokenmill::split::Pattern;

/// The patterns as tiktoken 0.14 (gpt2, gpt4, gpt4o) and Hugging Face (llama3, qwen2) publish them.
pub const PUBLISHED: [(&str, &str); 5] = [
    ("gpt2", r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"),
    (
        "gpt4",
        concat!(
            r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+",
            r"|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
        ),
    ),
    (
        "gpt4o",
        concat!(
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
            r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
            r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
        ),
    ),
    (
        "llama3",
        concat!(
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*",
            r"|\s*[\r\n]+|\s+(?!\S)|\s+"
        ),
    ),
    (
        "qwen2",
        concat!(
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*",
            r"|\s*[\r\n]+|\s+(?!\S)|\s+"
        ),
    ),
];

/// One pattern, twice.
pub struct Pair {
    pub name: &'static str,
    pub scanner: Pattern,
    pub oracle: fancy_regex::Regex,
}

pub static PAIRS: LazyLock<Vec<Pair>> = LazyLock::new(|| {
    PUBLISHED
        .iter()
        .map(|(name, regex)| Pair {
            name,
            scanner: Pattern::parse(name).unwrap(),
            oracle: fancy_regex::Regex::new(regex).unwrap(),
        })
        .collect()
});

impl Pair {
    /// Where the regular expression cuts `text`. It matches every character: nothing lies between two pieces.
    pub fn wanted(&self, text: &str, pieces: &mut Vec<Range<usize>>) {
        pieces.clear();
        pieces.extend(self.oracle.find_iter(text).map(|found| found.unwrap().range()));
    }

    /// Where the scanner cuts `text`, if not at the places `want`.
    pub fn unlike(&self, text: &str, want: &[Range<usize>], got: &mut Vec<Range<usize>>) -> Option<String> {
        got.clear();
        self.scanner.split(text, |piece| got.push(piece)).unwrap();
        if got == want {
            return None;
        }
        let same = got.iter().zip(want).take_while(|(got, want)| got == want).count();
        let from = want.get(same).map_or(text.len(), |piece| piece.start);
        let show = |ranges: &[Range<usize>]| {
            let shown = ranges.iter().skip(same).take(3);
            shown.map(|r| text.get(r.clone()).unwrap_or("<not on a boundary>")).collect::<Vec<_>>()
        };
        let text = if text.len() < 1000 { text } else { "(long)" };
        Some(format!("{}: {text:?}, from byte {from}, piece {same}: {:?}, want {:?}", self.name, show(got), show(want)))
    }

    /// Where the two cut `text`, if not at the same places.
    pub fn difference(&self, text: &str, buffers: &mut [Vec<Range<usize>>; 2]) -> Option<String> {
        let [got, want] = buffers;
        self.wanted(text, want);
        self.unlike(text, want, got)
    }
}

/// Panics where a scanner cuts `text` unlike its regular expression.
pub fn check(text: &str, buffers: &mut [Vec<Range<usize>>; 2]) {
    for pair in PAIRS.iter() {
        if let Some(difference) = pair.difference(text, buffers) {
            panic!("{difference}");
        }
    }
}
