//! The hand-written scanners against the regular expressions that define them, run by a real regex engine.
//!
//! Three kinds of input: every tuple of up to four representative characters, every character of Unicode in the places
//! where its class matters, and random strings. `cargo test -- --ignored` adds the tuples of five and six.

#![allow(clippy::unwrap_used)]

mod oracle;

use oracle::patterns::{PAIRS, PUBLISHED, check};
use oracle::texts::{ALPHABET, FRAGMENTS, MORE};
use proptest::prelude::*;
use rayon::prelude::*;
use tokenmill::split::Pattern;

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

/// Each alone, and each behind and before each other, also far enough from the end of the text to be seen 64 bytes at a
/// time.
#[test]
fn cases_that_have_broken_others() {
    let filling = " ab".repeat(30);
    check_one("");
    for first in FRAGMENTS {
        check_one(first);
        for second in FRAGMENTS {
            check_one(&format!("{first}{second}"));
            check_one(&format!("{first}{second}{filling}"));
            check_one(&format!("{first} {second}\n{first}"));
        }
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
