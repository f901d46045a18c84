//! Whether bytes are UTF-8: by SIMD, and where they are not, the standard library says where.
//!
//! Of 24 languages the standard library's check is a twelfth of preparing a corpus, this one a fiftieth.

use std::str::Utf8Error;

/// [`std::str::from_utf8`].
pub(crate) fn to_str(bytes: &[u8]) -> Result<&str, Utf8Error> {
    simdutf8::basic::from_utf8(bytes).or_else(|_| std::str::from_utf8(bytes))
}

/// [`String::from_utf8`]; where it fails, what is wrong, and the bytes.
pub(crate) fn into_string(bytes: Vec<u8>) -> Result<String, (Utf8Error, Vec<u8>)> {
    match to_str(&bytes) {
        // SAFETY: they have just been checked.
        Ok(_) => Ok(unsafe { String::from_utf8_unchecked(bytes) }),
        Err(error) => Err((error, bytes)),
    }
}

/// The text up to the first byte that is not UTF-8, or whose character is cut off.
pub(crate) fn prefix(bytes: &[u8]) -> &str {
    let whole = &bytes[..bytes.len() - cut_off(bytes)];
    to_str(whole).or_else(|error| to_str(&whole[..error.valid_up_to()])).unwrap_or_default()
}

/// How many bytes at the end begin a character that has more.
pub(crate) fn cut_off(bytes: &[u8]) -> usize {
    let is_first = |byte: &&u8| !matches!(byte, 0x80..=0xBF);
    let Some(first) = bytes.iter().rev().take(3).position(|byte| is_first(&byte)) else { return 0 };
    let there = first + 1;
    let length = match bytes[bytes.len() - there] {
        0xC2..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xF4 => 4,
        _ => 1,
    };
    if there < length { there } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Characters of each length, and bytes that are none.
    fn some_bytes() -> impl Strategy<Value = Vec<u8>> {
        let pieces = ["a", "\n", "\u{e9}", "\u{20ac}", "\u{1f600}"].map(str::as_bytes);
        let wrong: [&[u8]; 5] = [b"\xFF", b"\xC0\x80", b"\xED\xA0\x80", b"\xF0\x80", b"\xF4\x90"];
        let good =
            prop::collection::vec(prop::sample::select(pieces.to_vec()), 0..80).prop_map(|pieces| pieces.concat());
        let parts = (good.clone(), prop::option::weighted(0.3, prop::sample::select(wrong.to_vec())), good, 0..4usize);
        parts.prop_map(|(before, wrong, after, less)| {
            let mut bytes = [&before, wrong.unwrap_or_default(), &after].concat();
            bytes.truncate(bytes.len().saturating_sub(less));
            bytes
        })
    }

    proptest! {
        #[test]
        fn says_what_the_standard_library_says(bytes in some_bytes()) {
            let expected = std::str::from_utf8(&bytes);
            prop_assert_eq!(to_str(&bytes), expected);
            let given_back = expected.map(String::from).map_err(|error| (error, bytes.clone()));
            prop_assert_eq!(into_string(bytes.clone()), given_back);
            let valid = expected.map_or_else(|error| error.valid_up_to(), str::len);
            prop_assert_eq!(prefix(&bytes).as_bytes(), &bytes[..valid]);
        }

        /// What is cut off is at most what the standard library calls incomplete, and all of it.
        #[test]
        fn only_the_last_character_is_cut_off(text in "\\PC{0,9}", less in 0..4usize) {
            let bytes = &text.as_bytes()[..text.len().saturating_sub(less)];
            let whole = std::str::from_utf8(bytes).map_or_else(|error| error.valid_up_to(), str::len);
            prop_assert_eq!(bytes.len() - cut_off(bytes), whole);
        }
    }
}
