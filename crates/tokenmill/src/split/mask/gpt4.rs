//! `split::gpt4` in bits.

use super::classes::Masks;
use super::{Starts, words};
use crate::split::gpt4::Rules;
use crate::unicode::ClassedText;

/// Where pieces begin in the window at `position`.
#[inline(always)]
pub(super) fn starts(masks: &Masks, text: ClassedText<'_>, position: usize, rules: Rules) -> Starts {
    let Masks { letter, number, space, newline, blank, apostrophe, high, .. } = *masks;
    let symbol = !(letter | number | space);
    // Symbols begin a piece, unless a blank leads them; one that begins a piece leads a word.
    let symbols = words::first(symbol) & !(blank << 1);
    let words = words::first(letter) & !words::led(masks, symbols);
    let gaps = words::white_space(masks, words::taken_breaks(symbol, newline));
    let mut starts = symbols | words | gaps | words::digits(number, rules.max_digits) | 1;
    let mut quotes = apostrophe & starts;
    while quotes != 0 {
        let at = quotes.trailing_zeros();
        quotes &= quotes - 1;
        if let Some(length) = words::contraction(text, position, at, true) {
            starts |= words::bit(at + length);
        }
    }
    // Bytes are not characters: of white space outside ASCII the last is not found, of digits not every third.
    Starts { starts, unclear: ((space | number) & high).trailing_zeros() }
}
