//! The hand-written scanners against the regular expressions that define them, run by a real regex engine.
//!
//! Three kinds of input: every tuple of up to four representative characters, every character of Unicode in the places
//! where its class matters, and random strings. `cargo test -- --ignored` adds the tuples of five and six.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use rayon::prelude::*;
use std::ops::Range;
use std::sync::LazyLock;
use tokenmill::split::Pattern;

/// The patterns as tiktoken 0.14 (gpt2, gpt4, gpt4o) and Hugging Face (llama3, qwen2) publish them.
const PUBLISHED: [(&str, &str); 5] = [
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

/// One or more of every class and every literal in the patterns: the letters of the contractions (small, capital and
/// U+017F, which folds to s), title case, modifier, other letters, a mark, three kinds of number, white space of one, two and
/// three bytes, line ends, the apostrophe, other marks and the slash.
const ALPHABET: [char; 29] = [
    's', 't', 'm', 'd', 'l', 'v', 'e', 'r', 'S', 'A', 'ʰ', 'ǅ', '中', '\u{301}', '1', '²', '٣', ' ', '\t', '\n', '\r',
    '\u{a0}', '\u{85}', '\u{2028}', '\'', '.', '/', 'ſ', '😀',
];

/// What the random strings are made of besides `ALPHABET`: more capitals of contractions, characters that fold oddly,
/// look-alike apostrophes, joiners, the ends of the encoding lengths, unassigned and private characters.
const MORE: [char; 30] = [
    'L',
    'V',
    'E',
    'R',
    'T',
    'M',
    'D',
    'İ',
    'ı',
    'K',
    'ß',
    'é',
    'я',
    'Я',
    'あ',
    'ア',
    '한',
    'ª',
    'Ⅷ',
    '’',
    '-',
    '_',
    '\u{200d}',
    '\u{fe0f}',
    '\u{7f}',
    '\u{7ff}',
    '\u{800}',
    '\u{ffff}',
    '\u{e000}',
    '\u{10ffff}',
];

struct Pair {
    name: &'static str,
    scanner: Pattern,
    oracle: fancy_regex::Regex,
}

static PAIRS: LazyLock<Vec<Pair>> = LazyLock::new(|| {
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
    /// Where the two cut `text`, if not at the same places.
    fn difference(&self, text: &str, buffers: &mut [Vec<Range<usize>>; 2]) -> Option<String> {
        let [got, want] = buffers;
        got.clear();
        self.scanner.split(text, |piece| got.push(piece)).unwrap();
        want.clear();
        want.extend(self.oracle.find_iter(text).map(|found| found.unwrap().range()));
        let show = |ranges: &[Range<usize>]| {
            ranges.iter().map(|r| text.get(r.clone()).unwrap_or("<not on a boundary>")).collect::<Vec<_>>()
        };
        (got != want).then(|| format!("{}: {text:?} -> {:?}, want {:?}", self.name, show(got), show(want)))
    }
}

fn check(text: &str, buffers: &mut [Vec<Range<usize>>; 2]) {
    for pair in PAIRS.iter() {
        if let Some(difference) = pair.difference(text, buffers) {
            panic!("{difference}");
        }
    }
}

fn check_one(text: &str) {
    check(text, &mut Default::default());
}

/// Checks every string of `length` characters of the alphabet: 29^4 = 707,281 of four, 29^6 = 594,823,321 of six.
fn check_tuples(length: u32) {
    let base = ALPHABET.len() as u64;
    (0..base.pow(length)).into_par_iter().for_each_init(
        || (String::new(), Default::default()),
        |(text, buffers), number| {
            text.clear();
            let mut rest = number;
            for _ in 0..length {
                text.push(ALPHABET[usize::try_from(rest % base).unwrap()]);
                rest /= base;
            }
            check(text, buffers);
        },
    );
}

#[test]
fn the_published_spelling_is_recognised_by_its_name() {
    for (name, regex) in PUBLISHED {
        assert_eq!(Pattern::parse(regex).unwrap().name(), Some(name), "{regex}");
        assert_eq!(Pattern::parse(name).unwrap().name(), Some(name));
    }
}

#[test]
fn tuples_of_up_to_four_characters() {
    (0..=4).for_each(check_tuples);
}

#[test]
#[ignore = "20 million strings: a minute, optimised"]
fn tuples_of_five_characters() {
    check_tuples(5);
}

#[test]
#[ignore = "595 million strings: half an hour, optimised"]
fn tuples_of_six_characters() {
    check_tuples(6);
}

/// What stands before and after: letters of both cases, white space, an apostrophe, a digit, a mark, a line end.
const FRAMES: [[&str; 2]; 18] = [
    ["a", "a"],
    ["A", "A"],
    [" ", ""],
    ["'", "1"],
    ["", ""],
    ["a", "A"],
    ["A", "a"],
    [" ", "a"],
    ["  ", "a"],
    ["'", ""],
    ["a'", "a"],
    ["'", "e"],
    ["'r", ""],
    ["1", "1"],
    [".", "a"],
    [".", "\n"],
    ["\n", "\n"],
    [" ", " "],
];

/// All frames up to U+33FF, where nearly all scripts with upper and lower case are; above, mostly ideographs and
/// unassigned, the first four, which tell the classes apart.
#[test]
fn every_character_of_unicode_in_its_neighbourhoods() {
    ('\0'..=char::MAX).into_par_iter().for_each_init(
        || (String::new(), Default::default()),
        |(text, buffers), character| {
            let frames = if character < '\u{3400}' { &FRAMES[..] } else { &FRAMES[..4] };
            for [before, after] in frames {
                text.clear();
                text.extend([before, &*character.encode_utf8(&mut [0; 4]), after]);
                check(text, buffers);
            }
        },
    );
}

/// Scanners that work on blocks must carry runs over the edges: lengths around 64, 128 and 192 in one to four bytes each.
#[test]
fn runs_across_block_edges() {
    (0..ALPHABET.len()).into_par_iter().for_each(|index| {
        let character = ALPHABET[index];
        let mut buffers = Default::default();
        for before in ["", "a", ".", " "] {
            for length in (1..=34).chain(62..=66).chain(126..=130).chain(190..=194) {
                let run: String = std::iter::repeat_n(character, length).collect();
                for after in ["", "a", "\n", " x"] {
                    check(&format!("{before}{run}{after}"), &mut buffers);
                }
            }
        }
    });
}

/// Known cases that have broken other implementations.
#[test]
fn cases_that_have_broken_others() {
    for text in [
        "",
        "HTTPResponse",
        "can'ts",
        "3'ts",
        "'ſ",
        "it'ſ",
        " 's",
        "I'LL'VE",
        ".\n//",
        "。\n\n",
        "a  \r\n\r\n  b",
        "\u{a0}\u{301}a",
        "\t\u{301}a",
        "12345678",
        " 1234",
        "x \n \n y",
        "x \n ",
        "\r\n ",
        "'re're",
        "''s",
        "word.\r\n\n//x",
        "e\u{301}'S",
    ] {
        check_one(text);
    }
}

/// Mostly the alphabet, in runs, sometimes anything: uniformly random characters would hardly ever form a contraction.
fn texts() -> impl Strategy<Value = String> {
    let known: Vec<char> = ALPHABET.iter().chain(&MORE).copied().collect();
    let character =
        prop_oneof![8 => proptest::sample::select(known), 1 => any::<char>(), 3 => Just(' '), 2 => Just('\'')];
    let run = (character, prop_oneof![6 => Just(1usize), 2 => 2..5usize, 1 => 5..80usize]);
    proptest::collection::vec(run, 0..60)
        .prop_map(|runs| runs.into_iter().flat_map(|(c, n)| std::iter::repeat_n(c, n)).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_strings(text in texts()) {
        let mut buffers = Default::default();
        for pair in PAIRS.iter() {
            prop_assert_eq!(pair.difference(&text, &mut buffers), None);
        }
    }

    #[test]
    fn random_ascii(text in "[ -~\n\r\t]{0,300}") {
        let mut buffers = Default::default();
        for pair in PAIRS.iter() {
            prop_assert_eq!(pair.difference(&text, &mut buffers), None);
        }
    }
}
