//! What the patterns of the GPT family share.

use crate::unicode::{Class, ClassedText};

/// `'(?:[sdmt]|ll|ve|re)` at `start`; with `fold` in any case, where `s` is also U+017F LATIN SMALL LETTER LONG S
/// (no other letter of the list has a partner outside ASCII in simple case folding).
#[inline]
pub(super) fn contraction(bytes: &[u8], start: usize, fold: bool) -> Option<usize> {
    let rest = bytes[start..].strip_prefix(b"'")?;
    let letter = |index: usize| rest.get(index).map(|&byte| if fold { byte.to_ascii_lowercase() } else { byte });
    let length = match (letter(0)?, letter(1)) {
        (b's' | b'd' | b'm' | b't', _) => 1,
        (b'l', Some(b'l')) | (b'v' | b'r', Some(b'e')) => 2,
        (0xC5, Some(0xBF)) if fold => 2,
        _ => return None,
    };
    Some(start + 1 + length)
}

/// `\p{N}{1,max}` at a number.
pub(super) fn digits(text: ClassedText<'_>, start: usize, max: usize) -> usize {
    let mut position = start;
    for _ in 0..max {
        match text.at(position) {
            Some((Class::Number, end)) => position = end,
            _ => break,
        }
    }
    position
}

/// `\s+(?!\S)|\s`: white space up to the end of the text, or all but its last character, which is left to lead
/// what follows; a single one stands alone.
pub(super) fn white_space(text: ClassedText<'_>, start: usize) -> usize {
    let (end, last_start) = white_space_run(text, start, |_| {});
    if end == text.end() || last_start == start { end } else { last_start }
}

/// `\s*[\r\n]+|\s+(?!\S)|\s+`: up to the last line break of the run, where it has one. With `whole_tail`, `\s++$` goes
/// before: a run at the end of the text is one piece.
pub(super) fn white_space_by_line(text: ClassedText<'_>, start: usize, whole_tail: bool) -> usize {
    let mut behind_last_break = None;
    let (end, last_start) = white_space_run(text, start, |break_end| behind_last_break = Some(break_end));
    match behind_last_break {
        _ if whole_tail && end == text.end() => end,
        Some(break_end) => break_end,
        None if end == text.end() || last_start == start => end,
        None => last_start,
    }
}

/// End of the white space at `start`, and the start of its last character; calls `line_break` with the end of each
/// `\r` and `\n`.
fn white_space_run(text: ClassedText<'_>, start: usize, mut line_break: impl FnMut(usize)) -> (usize, usize) {
    let (mut position, mut last_start) = (start, start);
    while let Some((class, end)) = text.at(position)
        && class.is_space()
    {
        if class == Class::Newline {
            line_break(end);
        }
        (last_start, position) = (position, end);
    }
    (position, last_start)
}
