//! `split::gpt2` in bits.

use super::classes::Masks;
use super::{Starts, words};
use crate::unicode::ClassedText;

/// Where pieces begin in the window at `position`.
#[inline(always)]
pub(super) fn starts(masks: &Masks, text: ClassedText<'_>, position: usize) -> Starts {
    let Masks { letter, number, space, blank, apostrophe, .. } = *masks;
    let symbol = !(letter | number | space);
    // A blank leads what follows it; other white space does not.
    let words = (words::first(letter) | words::first(number) | words::first(symbol)) & !(blank << 1);
    // White space: the run, and its last character, which leads or stands alone.
    let gaps = words::first(space) | space & !(space >> 1);
    let mut starts = words | gaps | 1;
    let mut quotes = apostrophe & starts;
    while quotes != 0 {
        let at = quotes.trailing_zeros();
        quotes &= quotes - 1;
        if let Some(length) = words::contraction(text, position, at, false) {
            starts &= !(2 << at);
            starts |= words::bit(at + length);
        }
    }
    // The last character of a run of white space is not found so if it has more than one byte.
    Starts { starts, unclear: (space & masks.high).trailing_zeros() }
}
