//! What the rules of gpt4 and gpt4o share, in bits.

use super::classes::Masks;
use crate::split::common;
use crate::unicode::ClassedText;

/// The bit of a place, none if the place is behind the window.
#[inline(always)]
pub(super) fn bit(place: u32) -> u64 {
    1_u64.checked_shl(place).unwrap_or(0)
}

/// Length of the contraction at the apostrophe `at` of the window.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "at most 3 bytes")]
pub(super) fn contraction(text: ClassedText<'_>, position: usize, at: u32, fold: bool) -> Option<u32> {
    let start = position + at as usize;
    common::contraction(text.bytes(), start, fold).map(|end| (end - start) as u32)
}

/// First of each run.
#[inline(always)]
pub(super) fn first(class: u64) -> u64 {
    class & !(class << 1)
}

/// The line breaks that directly follow symbols, which take them in.
#[inline(always)]
pub(super) fn taken_breaks(symbol: u64, newline: u64) -> u64 {
    // The sum carries through each run that begins behind a symbol.
    let begin = newline & (symbol << 1);
    newline & !newline.wrapping_add(begin)
}

/// `\s*[\r\n]+|\s+(?!\S)|\s+` for the white space that no symbols have taken: a run is cut behind its last line break,
/// and the last character of what remains begins a piece, as it may lead what follows.
#[inline(always)]
pub(super) fn white_space(masks: &Masks, taken: u64) -> u64 {
    let free = masks.space & !taken;
    // White space without line breaks, in runs that end before a line break or before something else.
    let plain = free & !masks.newline;
    let last = plain & !(masks.space >> 1);
    let mut behind_break = plain & (masks.newline << 1);
    let mut before_break = (masks.newline >> 1) & plain;
    // Rare: blanks at the end of a line, or a line of blanks. They belong to the break that follows them.
    while before_break != 0 {
        let end = 63 - before_break.leading_zeros();
        let begin = 64 - (!plain & (bit(end) - 1)).leading_zeros();
        behind_break &= !bit(begin);
        before_break &= bit(begin) - 1;
    }
    first(free) | behind_break | last
}

/// The starts of words that are none, because the one character before leads the word: white space other than a line
/// break, or a symbol that begins a piece.
#[inline(always)]
pub(super) fn led(masks: &Masks, symbol_starts: u64) -> u64 {
    let Masks { space, newline, high, continuing, .. } = *masks;
    let mut led = (space & !newline) << 1 | (symbol_starts & !high) << 1;
    if high != 0 {
        let lead = symbol_starts & high & !continuing;
        let three = lead & (continuing >> 2);
        let four = three & (continuing >> 3);
        led |= (lead & !three) << 2 | (three & !four) << 3 | four << 4;
    }
    led
}

/// Starts of groups of `max` digits in runs of ASCII digits.
#[inline(always)]
pub(super) fn digits(number: u64, max: usize) -> u64 {
    if max == 1 {
        return number;
    }
    let mut starts = first(number);
    // Three in a row before a fourth.
    let full = number & (number << 1) & (number << 2);
    let mut group = starts;
    loop {
        group = (group << 3) & full;
        if group == 0 {
            return starts;
        }
        starts |= group;
    }
}
