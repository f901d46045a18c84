use super::super::KNOWN;
use super::*;
use proptest::prelude::*;
use rayon::prelude::*;

#[cfg(unix)]
#[path = "../../../tests/oracle/guard.rs"]
mod guard;

/// Characters that the rules treat differently, one byte to four.
const CHARACTERS: [&str; 36] = [
    "a", "s", "r", "l", "e", "E", "S", "1", " ", "\t", "\n", "\r", "'", "/", ".", "é", "É", "ſ", "ǅ", "²", "\u{a0}",
    "\u{301}", "λ", "א", "—", "漢", "。", "\u{3000}", "३", "ि", "क", "ʰ", "𝐀", "😀", "\u{85}", "ﬁ",
];

fn ends_of(scanner: Scanner, level: Level, text: &str) -> Vec<usize> {
    let classed = ClassedText::new(text);
    let (mut all, mut ends, mut position) = (Vec::new(), Ends::new(), 0);
    while position < text.len() {
        ends.clear();
        position = fill(scanner, level, classed, position, &mut ends);
        all.extend_from_slice(ends.as_slice());
    }
    all
}

/// Every level of this processor against the scanner.
fn check(text: &str) {
    for known in &KNOWN {
        let wanted = ends_of(known.scanner, Level::Scalar, text);
        for &level in Level::available() {
            assert_eq!(ends_of(known.scanner, level, text), wanted, "{} {level:?} {text:?}", known.name);
        }
    }
}

#[test]
fn every_level_cuts_three_characters_at_every_place_as_the_scanner_does() {
    // The text goes on long enough that all of it but the filling is seen through a window.
    let filling = "ab".repeat(40);
    for offset in [0, 1, 2, 40, 58, 59, 60, 61, 62, 63, 64] {
        for first in CHARACTERS {
            for second in CHARACTERS {
                let mut text = String::new();
                for third in CHARACTERS {
                    text.clear();
                    for part in [&filling[..offset], first, second, third] {
                        text.push_str(part);
                    }
                    // At the end of a text, too.
                    check(&text);
                    text.push_str("x ");
                    text.push_str(&filling);
                    check(&text);
                }
            }
        }
    }
}

/// The scanners are compared with the regular expressions on such tuples; here, the levels with the scanners.
#[test]
fn every_level_cuts_four_characters_as_the_scanner_does() {
    let filling = "ab".repeat(40);
    (0..CHARACTERS.len().pow(4)).into_par_iter().for_each_init(String::new, |text, number| {
        text.clear();
        text.push('x');
        for place in 0..4 {
            text.push_str(CHARACTERS[number / CHARACTERS.len().pow(place) % CHARACTERS.len()]);
        }
        text.push_str(&filling);
        check(text);
    });
}

#[test]
fn contractions_in_every_case_are_cut_alike_at_every_level() {
    let letters = ["s", "S", "ſ", "t", "T", "d", "D", "m", "M", "r", "R", "e", "E", "v", "V", "l", "L", "a", "Z", "é"];
    let filling = "ab ".repeat(30);
    for before in ["", "a", "A", "1", ".", "a'", "é", "a's", "क"] {
        for (first, second) in letters.iter().flat_map(|first| letters.map(|second| (first, second))) {
            for after in ["", "a", "A", "1", "'s", "'rE", "."] {
                check(&format!("{before}'{first}{second}{after} {filling}"));
            }
        }
    }
}

#[test]
fn runs_of_every_length_are_cut_alike_at_every_level() {
    let filling = "ab ".repeat(30);
    for character in CHARACTERS {
        for count in (1..70).chain([99, 127, 128, 129, 200]) {
            for (before, after) in [("", "x"), ("x", ""), (" ", "1"), ("!", "\n"), ("'", "A"), ("\n", "'s")] {
                check(&format!("{filling}{before}{}{after}{filling}", character.repeat(count)));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn random_texts_are_cut_alike_at_every_level(picks in prop::collection::vec(0..CHARACTERS.len(), 0..300)) {
        check(&picks.into_iter().map(|pick| CHARACTERS[pick]).collect::<String>());
    }

    /// Mostly words, so that windows are clear and the bits decide.
    #[test]
    fn texts_with_few_rare_characters_are_cut_alike_at_every_level(
        picks in prop::collection::vec(prop_oneof![20 => 0..15_usize, 1 => 0..CHARACTERS.len()], 0..400)
    ) {
        check(&picks.into_iter().map(|pick| CHARACTERS[pick]).collect::<String>());
    }

    #[test]
    fn texts_of_any_characters_are_cut_alike_at_every_level(text in any::<String>()) {
        check(&format!("{text}{}", "x".repeat(64)));
    }
}

/// Memory that ends where the text does: levels other than the processor's best are only ever forced here.
#[cfg(unix)]
mod at_page_edges {
    use super::guard::Guarded;
    use super::*;

    /// Around the sizes of registers and windows.
    const LENGTHS: [usize; 13] = [0, 1, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128];

    #[test]
    fn every_level_cuts_at_every_offset_as_the_scanner_does_and_reads_no_byte_too_much() {
        let filling = "Ab c".repeat(20);
        let cases: Vec<(&str, usize)> = CHARACTERS
            .into_iter()
            .flat_map(|character| (0..WINDOW + 7).map(move |offset| (character, offset)))
            .collect();
        cases.into_par_iter().for_each_init(
            || Guarded::new(8 << 10),
            |memory, (character, offset)| {
                for length in LENGTHS {
                    let run = character.repeat(length.div_ceil(character.len()));
                    for behind in ["", "x", "\n"] {
                        let text = format!("{}{run}{behind}", &filling[..offset]);
                        check(memory.at_start(&text));
                        check(memory.at_end(&text));
                        check(memory.across(&text, offset));
                    }
                }
            },
        );
    }
}

/// Every answer of a block against its definition.
fn check_block<B: Block>(window: &[u8; WINDOW]) {
    let by = |ask: &dyn Fn(u8) -> bool| (0..WINDOW).fold(0_u64, |bits, at| bits | u64::from(ask(window[at])) << at);
    let block = B::load(window);
    for byte in [b'\n', b'\r', b' ', b'\'', b'/', 0, 0x7F, 0x80, 0xFF] {
        assert_eq!(block.equal(byte), by(&|b| b == byte), "equal {byte} {window:?}");
    }
    for (first, last) in [(b'A', b'Z'), (b'a', b'z'), (b'0', b'9'), (b'\t', b'\r'), (0, 0x7F), (0x7F, 0x7F), (0, 0)] {
        assert_eq!(block.within(first, last), by(&|b| (first..=last).contains(&b)), "within {first} {last} {window:?}");
    }
    assert_eq!(block.letters(), by(&|b| b.is_ascii_alphabetic()), "letters {window:?}");
    assert_eq!(block.high(), by(&|b| b >= 0x80), "high {window:?}");
    assert_eq!(block.continuing(), by(&|b| b & 0xC0 == 0x80), "continuing {window:?}");
}

fn check_blocks(window: &[u8; WINDOW]) {
    #[cfg(target_arch = "aarch64")]
    check_block::<block::Neon>(window);
    #[cfg(target_arch = "x86_64")]
    {
        check_block::<block::Sse2>(window);
        if Level::available().contains(&Level::Avx2) {
            #[target_feature(enable = "avx2")]
            fn ask(window: &[u8; WINDOW]) {
                check_block::<block::Avx2>(window);
            }
            // SAFETY: the processor has it.
            unsafe { ask(window) };
        }
        if Level::available().contains(&Level::Avx512) {
            #[target_feature(enable = "avx512f,avx512bw")]
            fn ask(window: &[u8; WINDOW]) {
                check_block::<block::Avx512>(window);
            }
            // SAFETY: the processor has them.
            unsafe { ask(window) };
        }
    }
}

#[test]
fn blocks_answer_as_defined() {
    // One byte of each value at each place, then random ones.
    for value in 0..=255 {
        for filling in [0, value ^ 0xFF, b'a', 0x80, 0xFF] {
            for at in 0..WINDOW {
                let mut window = [filling; WINDOW];
                window[at] = value;
                check_blocks(&window);
            }
        }
    }
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    for _ in 0..100_000 {
        let window = std::array::from_fn(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        });
        check_blocks(&window);
    }
}
