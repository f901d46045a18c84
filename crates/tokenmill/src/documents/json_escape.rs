//! Escapes in the strings of JSON.

/// The longest escape, of a surrogate pair.
pub(super) const LONGEST_ESCAPE: usize = "\\ud83d\\ude00".len();

/// Appends what a JSON string that is in JSON stands for; `false`: it is none, or no UTF-8 text can hold it.
pub(super) fn unescape(json: &str, out: &mut String) -> bool {
    let Some(mut rest) = json.strip_prefix('"').and_then(|json| json.strip_suffix('"')) else { return false };
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        let Some((character, bytes)) = escape(&rest.as_bytes()[at + 1..]) else { return false };
        out.push_str(&rest[..at]);
        out.push(character);
        rest = &rest[at + bytes..];
    }
    out.push_str(rest);
    true
}

/// The character of an escape, of which these bytes follow the backslash, and its length with that; `None`: it is not one.
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
