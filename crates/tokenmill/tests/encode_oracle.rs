//! Encoding against byte-level BPE by its definition (`oracle/bpe.rs`): made-up vocabularies, both merge rules, whole
//! pieces on and off, every text with cold and with warm caches.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

mod oracle;

use oracle::bpe::{Parts, Twin};
use oracle::cases::{encode_case, same, split_case};
use oracle::patterns::PAIRS;
use oracle::texts::{FRAGMENTS, Random, SAMPLE};
use proptest::prelude::*;
use rayon::prelude::*;
use tokenmill::bpe::Merge;
use tokenmill::special::Allowed;
use tokenmill::tokenizer::Tokenizer;

proptest! {
    #![proptest_config(ProptestConfig { cases: 250, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn made_up_vocabularies_encode_like_the_twin(data in prop::collection::vec(any::<u8>(), 0..1500)) {
        encode_case(&data);
    }

    #[test]
    fn random_bytes_are_cut_like_the_regular_expression(data in prop::collection::vec(any::<u8>(), 0..600)) {
        split_case(&data);
    }
}

#[test]
#[ignore = "forty thousand vocabularies: minutes, optimised"]
fn very_many_made_up_vocabularies_encode_like_the_twin() {
    (0..40_000_u64).into_par_iter().for_each(|seed| {
        let mut random = Random(seed);
        let length = random.next() % 2000;
        encode_case(&random.bytes(length as usize));
    });
}

/// The bytes, ids 0 to 255, and `more` from 256 on.
fn with_bytes(more: &[&[u8]]) -> Vec<(u32, Vec<u8>)> {
    let bytes = (0..=u8::MAX).map(|byte| vec![byte]);
    (0..).zip(bytes.chain(more.iter().map(|token| token.to_vec()))).collect()
}

fn ready(parts: &Parts) -> (Tokenizer, Twin) {
    (parts.tokenizer(), parts.twin())
}

fn encode(tokenizer: &Tokenizer, text: &str) -> Vec<u32> {
    let mut ids = Vec::new();
    tokenizer.encode_ordinary(text, &mut ids).unwrap();
    ids
}

/// The four ways to read one vocabulary.
fn four_ways(pattern: usize, tokens: &[(u32, Vec<u8>)], merges: &[Merge]) -> [Parts; 4] {
    [(true, false), (true, true), (false, false), (false, true)].map(|(list, whole_pieces)| Parts {
        pattern,
        tokens: tokens.to_vec(),
        merges: list.then(|| merges.to_vec()),
        whole_pieces,
    })
}

/// "abc" merges as a+bc by the list and as ab+c by the ranks; "abcd" is a token that neither reaches.
#[test]
fn list_and_ranks_disagree_and_only_whole_pieces_are_taken_whole() {
    let tokens = with_bytes(&[b"ab", b"bc", b"abcd", b"cd"]);
    let merges = [Merge { left: 98, right: 99, id: 257 }, Merge { left: 97, right: 98, id: 256 }];
    let ways = four_ways(0, &tokens, &merges);
    let got = ways.map(|parts| encode(&parts.tokenizer(), "abc abcd abcd"));
    assert_eq!(got[0], [97, 257, 32, 97, 257, 100, 32, 97, 257, 100]);
    assert_eq!(got[1], [97, 257, 32, 97, 257, 100, 32, 97, 257, 100]);
    // By ranks ab + cd is a pair that makes the token: reached, though no list says so.
    assert_eq!(got[2], [256, 99, 32, 258, 32, 258]);
    assert_eq!(got[3], [256, 99, 32, 258, 32, 258]);
    let alone = four_ways(0, &tokens, &merges).map(|parts| encode(&parts.tokenizer(), "abcd"));
    assert_eq!(alone, [vec![97, 257, 100], vec![258], vec![258], vec![258]]);
}

/// Tokens of 2 to 130 bytes that no merge makes, as pieces of their own, in pairs, and inside longer pieces that differ by
/// one byte: the whole-piece rule is for the whole piece, never for a part of it.
#[test]
fn unreachable_tokens_are_taken_only_as_whole_pieces() {
    let letters: Vec<u8> = Random(3).bytes(400).into_iter().map(|byte| b'a' + byte % 3).collect();
    let lengths = [2, 3, 7, 14, 15, 16, 17, 30, 31, 32, 33, 40, 63, 64, 65, 66, 100, 128, 130];
    let mut wanted: Vec<&[u8]> = vec![b"aa", b"ab", b"bc", b"abc", b"cab"];
    for length in lengths {
        wanted.push(&letters[length..2 * length]);
    }
    let mut tokens = with_bytes(&wanted);
    tokens.sort_by(|(a, x), (b, y)| x.cmp(y).then(a.cmp(b)));
    tokens.dedup_by(|(_, x), (_, y)| x == y);
    let id = |bytes: &[u8]| tokens.iter().find(|(_, token)| token == bytes).unwrap().0;
    let merge = |left: &[u8], right: &[u8]| Merge { left: id(left), right: id(right), id: id(&[left, right].concat()) };
    let merges = [merge(b"b", b"c"), merge(b"a", b"a"), merge(b"c", b"ab"), merge(b"a", b"b"), merge(b"ab", b"c")];
    for pattern in 0..PAIRS.len() {
        for parts in four_ways(pattern, &tokens, &merges) {
            let (tokenizer, mut twin) = ready(&parts);
            for _ in ["cold", "warm"] {
                for length in lengths {
                    let token = std::str::from_utf8(&letters[length..2 * length]).unwrap();
                    for text in [
                        token.to_string(),
                        format!("{token} {token}"),
                        format!("{token}{token}"),
                        format!("c{token} {token}c a{token}b"),
                        format!("x{token}, {}x{token}x{}", "b".repeat(70), "a".repeat(70)),
                        format!("{token}é{token}中{token}"),
                    ] {
                        same(&parts, &tokenizer, &mut twin, &text);
                    }
                }
            }
            let alone = encode(&tokenizer, std::str::from_utf8(&letters[40..80]).unwrap());
            assert_eq!(alone.len() == 1, parts.whole_pieces);
        }
    }
}

/// Bytes whose ids are larger than those of what they make, and ids that no packed table holds.
#[test]
fn ids_may_come_in_any_order_and_lie_far_apart() {
    let mut tokens = with_bytes(&[b"ab", b"bc", b"abc", b"abcabc"]);
    for (place, (id, _)) in tokens.iter_mut().enumerate() {
        *id = match place {
            256.. => place as u32 - 256,
            97 => 2_000_000,
            98 => 1 << 20,
            _ => 10 + place as u32,
        };
    }
    // Ids may not jump by more than 65,536 at once.
    let steps = (1..60).map(|step| (step * 40_000, vec![0xFF, step as u8])).filter(|(id, _)| *id < 2_000_000);
    tokens.extend(steps);
    let id = |bytes: &[u8]| tokens.iter().find(|(_, token)| token == bytes).unwrap().0;
    let merges = [
        Merge { left: id(b"b"), right: id(b"c"), id: id(b"bc") },
        Merge { left: id(b"a"), right: id(b"bc"), id: id(b"abc") },
        Merge { left: id(b"abc"), right: id(b"abc"), id: id(b"abcabc") },
    ];
    for parts in four_ways(1, &tokens, &merges) {
        let (tokenizer, mut twin) = ready(&parts);
        for text in ["abcabcabc", "abc", "ab", "bcbc aab", &"abc".repeat(50), &"ab".repeat(40)] {
            same(&parts, &tokenizer, &mut twin, text);
        }
    }
}

/// What a real tokenizer would learn of the sample, as a list whose order is not that of the ids.
fn learned(pattern: usize, list: bool, whole_pieces: bool) -> Parts {
    let mut tokens = with_bytes(&[]);
    let mut merges = Vec::new();
    let mut words: Vec<u32> = SAMPLE.bytes().chain(FRAGMENTS.concat().bytes()).map(u32::from).collect();
    for step in 0..300_u32 {
        let mut counts = std::collections::BTreeMap::new();
        words.windows(2).for_each(|pair| *counts.entry((pair[0], pair[1])).or_insert(0) += 1);
        let ((left, right), _) = counts.into_iter().max_by_key(|(_, count)| *count).unwrap();
        let bytes_of = |id: u32| tokens.iter().find(|(known, _)| *known == id).unwrap().1.clone();
        let bytes = [bytes_of(left), bytes_of(right)].concat();
        let known = tokens.iter().find(|(_, token)| *token == bytes).map(|(id, _)| *id);
        let id = known.unwrap_or(256 + (step * 77) % 300);
        if known.is_none() {
            tokens.push((id, bytes));
        }
        merges.push(Merge { left, right, id });
        let mut at = 0;
        while at + 1 < words.len() {
            if (words[at], words[at + 1]) == (left, right) {
                words.splice(at..at + 2, [id]);
            }
            at += 1;
        }
    }
    Parts { pattern, tokens, merges: list.then_some(merges), whole_pieces }
}

/// Several hundred thousand different pieces between two looks at the same texts, more than any cache keeps.
#[test]
fn thrashing_the_caches_changes_nothing() {
    for (list, whole_pieces) in [(true, false), (false, true)] {
        let parts = learned(1, list, whole_pieces);
        let (tokenizer, mut twin) = ready(&parts);
        let mut random = Random(5);
        let texts: Vec<String> = FRAGMENTS.iter().map(|fragment| format!("{fragment} {SAMPLE}{fragment}")).collect();
        texts.iter().for_each(|text| same(&parts, &tokenizer, &mut twin, text));
        // Short words fill a first table, long ones a second.
        let noise = [random.words(300_000, 8), random.words(60_000, 60)].concat();
        encode(&tokenizer, &noise);
        texts.iter().for_each(|text| same(&parts, &tokenizer, &mut twin, text));
        same(&parts, &tokenizer, &mut twin, &random.words(40_000, 12));
        same(&parts, &tokenizer, &mut twin, &noise[..noise.len() / 8]);
    }
}

/// Keys that differ in one bit or one byte, in their length alone, or in zeros: what a weak hash or a short key confuses.
#[test]
fn pieces_that_are_nearly_the_same_are_told_apart() {
    for (list, whole_pieces) in [(true, false), (false, true)] {
        let parts = learned(0, list, whole_pieces);
        let (tokenizer, mut twin) = ready(&parts);
        let mut text = String::new();
        for length in 1..70_usize {
            // All places in short pieces, some in those that only a second table keeps.
            for at in (0..length).step_by(1 + length / 20) {
                for character in ['a', 'b', 'c', 'q', 'A'] {
                    let mut word = "a".repeat(length);
                    word.replace_range(at..=at, &character.to_string());
                    text.push_str(&word);
                    text.push(' ');
                }
            }
            text.push_str(&"\0".repeat(length));
            text.push('a');
            text.push_str(&" ".repeat(length));
            text.push('\n');
        }
        for first in 'a'..='z' {
            for second in '!'..='~' {
                text.extend([' ', first, second, first, ' ', second]);
            }
        }
        same(&parts, &tokenizer, &mut twin, &text);
        same(&parts, &tokenizer, &mut twin, &text);
    }
}

/// Long pieces against the twin, which is slow: a few hundred to two thousand bytes, of letters and of CJK.
#[test]
fn long_pieces_merge_as_by_definition() {
    (0..20_usize).into_par_iter().for_each(|number| {
        let parts = learned(number % 5, number % 2 == 0, number % 4 < 2);
        let (tokenizer, mut twin) = ready(&parts);
        let mut random = Random(number as u64);
        for length in [126, 127, 128, 129, 255, 256, 257, 500, 1023, 1024, 1025, 2000] {
            let mut pick = |from: &str| -> String {
                let from: Vec<char> = from.chars().collect();
                let mut text = String::new();
                while text.len() < length {
                    text.push(from[random.next() as usize % from.len()]);
                }
                text
            };
            for text in
                [pick("etaoinshr"), pick("ab"), pick("これは日本語の文章です中文"), pick("a中é"), pick(" "), pick("=-")]
            {
                same(&parts, &tokenizer, &mut twin, &text);
            }
        }
    });
}

/// An error in the middle of a text leaves nothing behind that shows up later.
#[test]
fn after_an_error_everything_encodes_as_before() {
    let tokens: Vec<(u32, Vec<u8>)> =
        with_bytes(&[b"ab", b"zz", b"q"]).into_iter().filter(|(id, _)| *id != 113 && *id != 122).collect();
    let merges = [Merge { left: 97, right: 98, id: 256 }];
    for parts in four_ways(1, &tokens, &merges) {
        let (tokenizer, mut twin) = ready(&parts);
        let bad = "ab ".repeat(50) + "abz zz" + &" ab".repeat(50);
        for text in
            ["abab ab", &bad, "zz", "abab ab", "zz ab", &"ab".repeat(60), &format!("{}z", "ab".repeat(60)), "abab"]
        {
            same(&parts, &tokenizer, &mut twin, text);
        }
        let batch = tokenizer.encode_batch::<Vec<u32>>(&["ab", "z", "ab"], Allowed::None, &());
        assert!(batch.unwrap_err().to_string().contains("0x7A"));
    }
}

/// Sixteen threads, one tokenizer, different texts at the same time.
#[test]
fn sixteen_threads_share_one_tokenizer() {
    let parts = learned(2, false, true);
    let (tokenizer, _) = ready(&parts);
    std::thread::scope(|scope| {
        for seed in 0..16 {
            let (parts, tokenizer) = (&parts, &tokenizer);
            scope.spawn(move || {
                let mut twin = parts.twin();
                for round in 0..4 {
                    let text = Random(seed * 10 + round).words(2000, 12) + SAMPLE;
                    same(parts, tokenizer, &mut twin, &text);
                }
            });
        }
    });
}
