//! Escapes in the strings of JSON.

/// The longest escape, of a surrogate pair.
pub(super) const LONGEST_ESCAPE: usize = "\\ud83d\\ude00".len();

/// The character of an escape, of which these bytes follow the backslash, and its length with that; `None`: it is not one.
#[inline(always)]
pub(super) fn escape(bytes: &[u8]) -> Option<(char, usize)> {
    let character = match bytes.first()? {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return unicode_escape(bytes),
        _ => return None,
    };
    Some((character, 2))
}

/// `u` and what follows, in JSON: a character or both halves of a surrogate pair.
#[inline(never)]
fn unicode_escape(bytes: &[u8]) -> Option<(char, usize)> {
    let first = hexadecimal(bytes.get(1..5)?)?;
    if let Some(character) = char::from_u32(first) {
        return Some((character, "\\ud83d".len()));
    }
    let second = hexadecimal(bytes.get(5..11)?.strip_prefix(b"\\u")?)?;
    let [low, high] = [first.wrapping_sub(0xD800), second.wrapping_sub(0xDC00)];
    if low >= 0x400 || high >= 0x400 {
        return None;
    }
    char::from_u32(0x1_0000 + (low << 10) + high).map(|character| (character, LONGEST_ESCAPE))
}

fn hexadecimal(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |number, digit| Some(number * 16 + char::from(*digit).to_digit(16)?))
}
