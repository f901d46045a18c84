//! Where a text can be cut so that its parts, split one by one, give the pieces of the whole.
//!
//! For every known pattern that is so between two characters where
//!
//! * a letter is followed by neither a letter nor a mark nor an apostrophe,
//! * a number is followed by no number, or
//! * a symbol (no white space, letter or number) is followed by a number or by white space that is no line break:
//!
//! Because
//!
//! * *A match ends there.* Every character is part of some match. Where an alternative of a pattern takes a letter and goes
//!   on, it goes on with a letter (`\p{L}+`; `ll`, `ve` and `re` of the contractions), for gpt4o also with a mark
//!   (`[head]*[tail]+`) or the apostrophe of a contraction. One that takes a number goes on with numbers. One that takes a symbol
//!   goes on with symbols, line breaks and slashes, or with letters, where the symbol leads a word, is a mark in it or the
//!   apostrophe of a contraction. No alternative goes on with anything else: what may lead (` ?`, `[^\r\n\p{L}\p{N}]?`) comes
//!   first, and `\s` takes none of the three, so no match of its begins before the position and ends behind it.
//! * *The part before gives the same matches.* An engine asks what follows in three ways. It tries to take the next
//!   character: behind the first of the two it fails at the end of the part as it fails at the character in the whole. It asks
//!   for `(?!\S)` or for `$`: only behind white space, and the first of the two is none.
//! * *The part behind gives the same matches.* No pattern looks back.

use super::{Kind, Pattern};
use crate::unicode::{Class, ClassTable};

impl Pattern {
    /// The first position behind `from` where `text` can be cut; `None` for a regular expression of the user's own, of
    /// which nothing is known.
    pub(crate) fn next_cut(&self, text: &str, from: usize) -> Option<usize> {
        let Kind::Known(_) = self.0 else { return None };
        let from = floor(text, from);
        let mut characters = text[from..].char_indices();
        let (_, mut before) = characters.next()?;
        for (position, character) in characters {
            if is_cut(before, character) {
                return Some(from + position);
            }
            before = character;
        }
        None
    }

    /// The last position behind `from` and not behind `to` where `text` can be cut.
    pub(crate) fn last_cut(&self, text: &str, from: usize, to: usize) -> Option<usize> {
        let Kind::Known(_) = self.0 else { return None };
        let (from, to) = (floor(text, from), floor(text, to));
        let mut behind = text[to..].chars().next();
        for (start, character) in text[from..to].char_indices().rev() {
            if behind.is_some_and(|behind| is_cut(character, behind)) {
                return Some(from + start + character.len_utf8());
            }
            behind = Some(character);
        }
        None
    }
}

/// The start of the character that `position` lies in, or the end of the text.
pub(crate) fn floor(text: &str, position: usize) -> usize {
    let mut position = position.min(text.len());
    while !text.is_char_boundary(position) {
        position -= 1;
    }
    position
}

/// Whether text can be cut between these two.
fn is_cut(before: char, behind: char) -> bool {
    let table = ClassTable::get();
    let class = table.class(behind);
    match table.class(before) {
        Class::Upper | Class::Lower | Class::Caseless => !class.is_letter() && class != Class::Mark && behind != '\'',
        Class::Number => class != Class::Number,
        Class::Other | Class::Mark => matches!(class, Class::Number | Class::Space),
        Class::Space | Class::Newline => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NAMES: [&str; 5] = ["gpt2", "gpt4", "gpt4o", "llama3", "qwen2"];

    /// Of every class and every literal of the patterns.
    const ALPHABET: [char; 23] = [
        's', 'l', 'v', 'e', 'S', 'ʰ', 'ǅ', '中', '\u{301}', '1', '²', ' ', '\t', '\n', '\r', '\u{a0}', '\u{2028}',
        '\'', '.', '/', 'ſ', '😀', 'D',
    ];

    fn pieces(pattern: &Pattern, text: &str) -> Vec<String> {
        let mut pieces = Vec::new();
        pattern.split(text, |range| pieces.push(text[range].to_string())).unwrap();
        pieces
    }

    fn cuts(pattern: &Pattern, text: &str) -> Vec<usize> {
        std::iter::successors(pattern.next_cut(text, 0), |&cut| pattern.next_cut(text, cut)).collect()
    }

    fn check(pattern: &Pattern, text: &str) {
        let mut whole = None;
        for cut in cuts(pattern, text) {
            let whole = whole.get_or_insert_with(|| pieces(pattern, text));
            let parts = [pieces(pattern, &text[..cut]), pieces(pattern, &text[cut..])].concat();
            assert_eq!(*whole, parts, "{:?} {text:?} cut at {cut}", pattern.name());
        }
    }

    fn tuples(length: usize) {
        let patterns = NAMES.map(|name| Pattern::parse(name).unwrap());
        for number in 0..ALPHABET.len().pow(length as u32) {
            let digits = (0..length as u32).map(|place| number / ALPHABET.len().pow(place) % ALPHABET.len());
            let text: String = digits.map(|digit| ALPHABET[digit]).collect();
            for pattern in &patterns {
                check(pattern, &text);
            }
        }
    }

    #[test]
    fn parts_give_the_pieces_of_the_whole_for_all_tuples_up_to_three() {
        (1..=3).for_each(tuples);
    }

    #[test]
    #[ignore = "minutes: 6 million texts, 5 patterns"]
    fn parts_give_the_pieces_of_the_whole_for_all_tuples_of_four_and_five() {
        (4..=5).for_each(tuples);
    }

    proptest! {
        #[test]
        fn parts_give_the_pieces_of_the_whole(
            text in prop::collection::vec(prop::sample::select(&ALPHABET[..]), 0..40),
            others in any::<String>(),
        ) {
            let text: String = text.into_iter().chain(others.chars()).collect();
            for name in NAMES {
                let pattern = Pattern::parse(name).unwrap();
                check(&pattern, &text);
                check(&pattern, &others);
            }
        }

        #[test]
        fn the_last_cut_is_the_last_of_all(
            text in prop::collection::vec(prop::sample::select(&ALPHABET[..]), 0..20),
            from in 0..60usize,
            to in 0..60usize,
        ) {
            let text: String = text.into_iter().collect();
            let pattern = Pattern::parse("gpt2").unwrap();
            let (from, to) = (floor(&text, from.min(to)), floor(&text, from.max(to)));
            let want = cuts(&pattern, &text).into_iter().rfind(|&cut| cut > from && cut <= to);
            prop_assert_eq!(pattern.last_cut(&text, from, to), want);
        }
    }

    #[test]
    fn words_and_numbers_are_cut_behind_and_an_unknown_pattern_is_not() {
        let text = "It's 12 cats.";
        assert_eq!(cuts(&Pattern::parse("gpt4").unwrap(), text), [4, 7, 12]);
        assert_eq!(cuts(&Pattern::parse("gpt4").unwrap(), "-1.5, 中文。"), [1, 2, 3, 4, 5, 12]);
        assert_eq!(cuts(&Pattern::parse(r"\w+ ?").unwrap(), text), [0; 0]);
        assert_eq!(Pattern::parse(r"\w+ ?").unwrap().last_cut(text, 0, 13), None);
    }
}
