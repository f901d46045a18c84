//! Pieces of every length at every offset, in memory that ends where the text does: the cuts and the ids are right, and
//! no byte before or behind the text is read.

#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod oracle;

use oracle::bpe::{Parts, Twin, invent};
use oracle::cases::same;
use oracle::guard::Guarded;
use oracle::patterns::PAIRS;
use oracle::texts::{LENGTHS, Random, SAMPLE, Source};
use rayon::prelude::*;
use std::ops::Range;
use tokenmill::tokenizer::Tokenizer;

/// What pieces are made of: characters of one class and one length in turn, and one byte that fills up the length.
const KINDS: [(&str, char); 14] = [
    ("etaoinshrdlucmfwypvbgkjqxz", 'a'),
    ("HTTPresponseXMLHttp", 'E'),
    ("0123456789", '7'),
    (" ", ' '),
    ("\n", '\n'),
    (" \t", ' '),
    (".,;:!?()[]{}<>/=+-*&^%$#@~|", '!'),
    ("'", '\''),
    ("'s'LL'ſ", 't'),
    ("éяßωж", 'a'),
    ("中文字的一是あ한", 'a'),
    ("𝒜𐐨𠀀", 'a'),
    ("😀🚀🎉", '!'),
    ("\u{301}\u{308}", '.'),
];

/// A piece of exactly `length` bytes.
fn piece((characters, fill): (&str, char), length: usize) -> String {
    let mut piece = String::new();
    for character in characters.chars().cycle() {
        if piece.len() + character.len_utf8() > length {
            break;
        }
        piece.push(character);
    }
    while piece.len() < length {
        piece.push(fill);
    }
    piece
}

/// `length` bytes that end in a word of one letter: the piece behind begins at that very offset, or joins that word.
fn filler(length: usize) -> String {
    let mut text = "It's 4 o'clock, é — x ".repeat(4);
    while text.len() > length || !text.is_char_boundary(text.len() - text.len().min(length)) {
        text.remove(0);
    }
    while text.len() < length {
        text.insert(0, '.');
    }
    text
}

/// Runs `check` with every `text` and the place in it where the piece begins.
fn every_text(
    offsets: Range<usize>,
    ends: &[usize],
    lengths: &[usize],
    check: impl Fn(&mut Guarded, &str, usize) + Sync,
) {
    let cases: Vec<(usize, usize)> =
        (0..KINDS.len()).flat_map(|kind| offsets.clone().map(move |offset| (kind, offset))).collect();
    cases.into_par_iter().for_each_init(
        || Guarded::new(lengths.iter().max().unwrap() + (16 << 10)),
        |memory, (kind, offset)| {
            for &length in lengths {
                for &end in ends {
                    // Mirrored, so that offsets from the end are those of other texts than offsets from the start.
                    let behind: String = filler(end).chars().rev().collect();
                    let text = format!("{}{}{behind}", filler(offset), piece(KINDS[kind], length));
                    check(memory, &text, offset + length / 2);
                }
            }
        },
    );
}

/// All five patterns at the end, at the start, and over the edge of a page.
fn cut_at_edges(memory: &mut Guarded, text: &str, middle: usize) {
    let (mut want, mut got) = (Vec::new(), Vec::new());
    for pair in PAIRS.iter() {
        pair.wanted(text, &mut want);
        for placed in 0..3 {
            let copy = match placed {
                0 => memory.at_end(text),
                1 => memory.at_start(text),
                _ => memory.across(text, middle),
            };
            if let Some(difference) = pair.unlike(copy, &want, &mut got) {
                panic!("placed {placed}: {difference}");
            }
        }
    }
}

#[test]
fn pieces_of_every_length_are_cut_alike_at_every_offset() {
    every_text(0..71, &[0, 1, 7], &LENGTHS, cut_at_edges);
}

#[test]
#[ignore = "every offset before, every offset behind: minutes"]
fn pieces_of_every_length_are_cut_alike_between_any_two_offsets() {
    let ends: Vec<usize> = (0..71).collect();
    every_text(0..71, &ends, &LENGTHS, cut_at_edges);
}

#[test]
fn pieces_of_64_kib_are_cut_alike() {
    every_text(0..2, &[0, 1], &[65_535, 65_536], cut_at_edges);
}

#[test]
#[ignore = "gigabytes of text: minutes"]
fn pieces_of_64_kib_are_cut_alike_at_every_offset() {
    every_text(0..71, &[0, 1], &[65_535, 65_536], cut_at_edges);
}

#[test]
fn every_prefix_and_suffix_is_cut_alike() {
    let edges: Vec<usize> = SAMPLE.char_indices().map(|(at, _)| at).collect();
    edges.into_par_iter().for_each_init(
        || Guarded::new(SAMPLE.len()),
        |memory, edge| {
            for text in [&SAMPLE[..edge], &SAMPLE[edge..]] {
                cut_at_edges(memory, text, text.len() / 2);
            }
        },
    );
}

// Ids.

/// A vocabulary for each pattern, both rules, learned and otherwise, so that pieces of all kinds are merged.
fn vocabularies() -> Vec<Parts> {
    let parts = (0..).map(|seed| invent(&mut Source::new(&Random(seed).bytes(1200))));
    let mut chosen: Vec<Parts> = Vec::new();
    for parts in parts {
        let taken = chosen.iter().filter(|other| other.pattern == parts.pattern);
        let same_rule = taken.clone().any(|other| other.merges.is_some() == parts.merges.is_some());
        // All bytes have a token, and there are merges to do.
        if parts.tokens.len() > 300
            && (0..=255_u8).all(|byte| parts.tokens.iter().any(|(_, t)| *t == [byte]))
            && !same_rule
        {
            chosen.push(parts);
        }
        if chosen.len() == 2 * PAIRS.len() {
            return chosen;
        }
    }
    chosen
}

fn encoded_at_edges(parts: &Parts, tokenizer: &Tokenizer, twin: &mut Twin, memory: &mut Guarded, text: &str) {
    same(parts, tokenizer, twin, memory.at_end(text));
    same(parts, tokenizer, twin, memory.at_start(text));
    same(parts, tokenizer, twin, memory.across(text, text.len() / 2));
}

#[test]
fn pieces_of_every_length_are_encoded_alike_at_page_edges() {
    vocabularies().into_par_iter().for_each(|parts| {
        let (tokenizer, mut twin) = (parts.tokenizer(), parts.twin());
        let mut memory = Guarded::new(4096);
        for kind in KINDS {
            for length in 1..=LENGTHS[LENGTHS.len() - 1] {
                for (before, behind) in [("", ""), ("x ", ""), ("", " x"), ("(", ")\n")] {
                    let text = format!("{before}{}{behind}", piece(kind, length));
                    encoded_at_edges(&parts, &tokenizer, &mut twin, &mut memory, &text);
                }
            }
        }
    });
}

#[test]
fn every_prefix_and_suffix_is_encoded_alike_at_page_edges() {
    vocabularies().into_par_iter().for_each(|parts| {
        let (tokenizer, mut twin) = (parts.tokenizer(), parts.twin());
        let mut memory = Guarded::new(SAMPLE.len());
        for (edge, _) in SAMPLE.char_indices() {
            for text in [&SAMPLE[..edge], &SAMPLE[edge..]] {
                encoded_at_edges(&parts, &tokenizer, &mut twin, &mut memory, text);
            }
        }
    });
}
