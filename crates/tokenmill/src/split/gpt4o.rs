//! The pattern of GPT-4o (o200k_base), seven alternatives:
//!
//! ```text
//! 1  [^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?
//! 2  [^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?
//! 3  \p{N}{1,3}
//! 4  ` ?[^\s\p{L}\p{N}]+[\r\n/]*`
//! 5  \s*[\r\n]+
//! 6  \s+(?!\S)
//! 7  \s+
//! ```
//!
//! The head class `[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]` and the tail class `[\p{Ll}\p{Lm}\p{Lo}\p{M}]` overlap in caseless
//! letters and marks, and this engine backtracks: what that comes to is spelled out at each function.

use super::common::{contraction, digits, white_space_by_line};
use crate::unicode::{Class, ClassedText};

/// End of the piece that starts at `start`, which is before the end of the text.
pub(super) fn piece_end(text: ClassedText<'_>, start: usize) -> usize {
    if let Some(end) = word(text, start) {
        return contraction(text.bytes(), end, true).unwrap_or(end);
    }
    if text.is(start, |class| class == Class::Number) {
        return digits(text, start, 3);
    }
    let body = if text.bytes()[start] == b' ' { start + 1 } else { start };
    if text.is(body, Class::is_symbol) {
        let end = text.run(body, Class::is_symbol);
        return line_breaks_and_slashes(text.bytes(), end);
    }
    white_space_by_line(text, start, false)
}

/// Alternatives 1 and 2 without the contraction. The engine tries 1 with the leading character, 1 without it, then 2
/// with, 2 without. (A mark can be both the leading character and the start of the word.)
fn word(text: ClassedText<'_>, start: usize) -> Option<usize> {
    let (first, after_first) = text.at(start)?;
    let may_lead = !(first.is_letter() || matches!(first, Class::Number | Class::Newline));
    let led = |find: fn(ClassedText<'_>, usize) -> Option<usize>| {
        may_lead.then(|| find(text, after_first)).flatten().or_else(|| find(text, start))
    };
    led(cased_word).or_else(|| led(upper_word))
}

/// `[head]*[tail]+`. Where the head run is followed by a lower-case letter, the tail run goes on from there. Otherwise
/// the head run must give characters back until the tail class takes one: the word ends behind the last character of
/// the head run that is in both classes.
fn cased_word(text: ClassedText<'_>, start: usize) -> Option<usize> {
    let mut position = start;
    let mut behind_last_shared = None;
    while let Some((class, end)) = text.at(position)
        && class.is_head()
    {
        position = end;
        if class.is_tail() {
            behind_last_shared = Some(end);
        }
    }
    let end = text.run(position, Class::is_tail);
    if end > position { Some(end) } else { behind_last_shared }
}

/// `[head]+[tail]*`, tried only where `cased_word` found nothing: then no character of the tail class follows.
fn upper_word(text: ClassedText<'_>, start: usize) -> Option<usize> {
    let end = text.run(start, Class::is_head);
    (end > start).then_some(end)
}

fn line_breaks_and_slashes(bytes: &[u8], start: usize) -> usize {
    start + bytes[start..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n' | b'/')).count()
}
