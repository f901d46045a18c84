//! `split::gpt4o` in bits.

use super::classes::Masks;
use super::{Starts, words};
use crate::unicode::ClassedText;

/// Where pieces begin in the window at `position`.
#[inline(always)]
pub(super) fn starts(masks: &Masks, text: ClassedText<'_>, position: usize) -> Starts {
    let Masks { upper, lower, letter, mark, number, space, newline, blank, apostrophe, slash, high, .. } = *masks;
    let word = letter | mark;
    let symbol = !(word | number | space);
    let symbols = words::first(symbol) & !(blank << 1);
    // A word begins, or goes on in upper case behind lower case.
    let words = words::first(word) & !words::led(masks, symbols) | upper & (lower << 1);
    let taken = words::taken_breaks(symbol, newline);
    let mut starts = symbols | words | words::white_space(masks, taken) | words::digits(number, 3) | 1;
    // A contraction belongs to the word before it, but not to another contraction.
    let mut quotes = apostrophe & symbols & (word << 1);
    let mut behind_contraction = 0;
    while quotes != 0 {
        let at = quotes.trailing_zeros();
        quotes &= quotes - 1;
        if behind_contraction & words::bit(at) == 0
            && let Some(length) = words::contraction(text, position, at, true)
        {
            behind_contraction = words::bit(at + length);
            // It is not cut inside either, not even before the upper case of `'rE`.
            let inside = (words::bit(length) - 1) << at;
            starts = starts & !inside | behind_contraction;
        }
    }
    // Left to the scanner: characters of several bytes where bytes are counted; marks that follow no letter, which are
    // symbols or lead; upper case behind a letter without case, where the end of the word depends on what comes later;
    // a slash behind line breaks that symbols have taken in, which they take too.
    let unclear =
        (space | number) & high | mark & !(word << 1) | upper & ((word & !(upper | lower)) << 1) | slash & (taken << 1);
    Starts { starts, unclear: unclear.trailing_zeros() }
}
