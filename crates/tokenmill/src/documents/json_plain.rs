//! Records of JSON Lines in which nothing is wrong, whose text is read once.
//!
//! The text is nearly all of a record. It is copied, unescaped, from where its key is seen to stand, and `serde_json` decides what the
//! record is without it: whether that is JSON, and whether its text is at the path. `serde_json` would pass over a string once to find
//! its end and once more to unescape it, with a call for each run between escapes. A record that is not plainly good is not judged here.

use super::json_escape::escape;
use super::json_lines::KeyIs;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;
use std::ops::Range;

/// Copies the text of a record to the beginning of `out`, which is at least as long as the record and [`CHUNK`] more, and says how long it is; `None`:
/// there may be something wrong with the record. Whether the text is UTF-8 is not known yet. `rest` is memory that is used again.
pub(super) fn read(line: &[u8], path: &[String], out: &mut [u8], rest: &mut Vec<u8>) -> Option<usize> {
    let (string, copied) = copy_value(line, path.last()?, out)?;
    rest.clear();
    rest.extend_from_slice(&line[..string.start]);
    rest.extend_from_slice(&line[string.end..]);
    // Both ends of the string are ASCII, so that its neighbours are UTF-8 if they are together.
    let rest = std::str::from_utf8(rest).ok()?;
    let mut json = serde_json::Deserializer::from_str(rest);
    let found = AtPath(path).deserialize(&mut json).ok()??;
    json.end().ok()?;
    std::ptr::eq(found.get().as_ptr(), rest[string.start - 1..].as_ptr()).then_some(copied)
}

/// Copies the first string that is the value of this key in any object: where it is in the line, and its length in `out`.
fn copy_value(line: &[u8], key: &str, out: &mut [u8]) -> Option<(Range<usize>, usize)> {
    let mut at = 0;
    let mut is_key = false;
    loop {
        let quote = at + memchr::memchr(b'"', &line[at..])?;
        let begin = quote + 1;
        if is_key && line[at..quote].trim_ascii() == b":" {
            let (read, copied) = copy_string(&line[begin..], out)?;
            return Some((begin..begin + read, copied));
        }
        let end = begin + string_end(&line[begin..])?;
        is_key = line[begin..end] == *key.as_bytes();
        at = end + 1;
    }
}

/// Where the quote is that ends a string.
fn string_end(json: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'"', b'\\', json.get(at..)?)?;
        if json[at] == b'"' {
            return Some(at);
        }
        at += 2;
    }
}

/// So many bytes are looked at and copied at once.
pub(super) const CHUNK: usize = 16;

/// Copies the characters of a string up to the quote that ends it: how many bytes come before that, and how many they are in `out`.
fn copy_string(json: &[u8], out: &mut [u8]) -> Option<(usize, usize)> {
    let (mut at, mut end) = (0, 0);
    loop {
        if let Some((chunk, _)) = json.get(at..)?.split_first_chunk::<CHUNK>() {
            // All of it: what is too much is overwritten.
            out[end..end + CHUNK].copy_from_slice(chunk);
            // A branch, so that where the next chunk begins need not wait for what is in this one.
            let Some(plain) = first_stop(chunk) else {
                (at, end) = (at + CHUNK, end + CHUNK);
                continue;
            };
            (at, end) = (at + plain, end + plain);
        }
        match *json.get(at)? {
            b'"' => return Some((at, end)),
            b'\\' => {
                let (character, length) = escape(&json[at + 1..])?;
                end += character.encode_utf8(&mut out[end..]).len();
                at += length;
            }
            control if control < b' ' => return None,
            // Of the last few bytes of the line.
            byte => {
                out[end] = byte;
                (at, end) = (at + 1, end + 1);
            }
        }
    }
}

/// Where the first byte is that is not plainly a character: a quote, a backslash or a control character.
#[inline(always)]
fn first_stop(chunk: &[u8; CHUNK]) -> Option<usize> {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: SSE2 is part of x86-64, and the load reads the chunk.
    let stops = unsafe {
        use std::arch::x86_64::*;
        let chunk = _mm_loadu_si128(chunk.as_ptr().cast());
        let equal = |byte: u8| _mm_cmpeq_epi8(chunk, _mm_set1_epi8(byte.cast_signed()));
        let last_control = _mm_set1_epi8(0x1F);
        let controls = _mm_cmpeq_epi8(_mm_max_epu8(chunk, last_control), last_control);
        _mm_movemask_epi8(_mm_or_si128(controls, _mm_or_si128(equal(b'"'), equal(b'\\'))))
    };
    #[cfg(not(target_arch = "x86_64"))]
    let stops = stops_of_words(chunk);
    (stops != 0).then(|| stops.trailing_zeros() as usize)
}

/// A bit for each byte that is one, without vectors. Bits above the lowest may be set without a reason.
#[cfg(any(test, not(target_arch = "x86_64")))]
fn stops_of_words(chunk: &[u8; CHUNK]) -> u16 {
    const ONES: u64 = u64::MAX / 0xFF;
    // The highest bit of each byte below the bound.
    let below = |word: u64, bound: u8| word.wrapping_sub(ONES * u64::from(bound)) & !word & (ONES << 7);
    let equal = |word: u64, byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    let stops = |word: u64| below(word, b' ') | equal(word, b'"') | equal(word, b'\\');
    // One bit of each byte, side by side.
    let bits = |word: u64| ((word >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56) as u16;
    let [first, second] = [0, 8].map(|at| u64::from_le_bytes(std::array::from_fn(|i| chunk[at + i])));
    bits(stops(first)) | bits(stops(second)) << 8
}

/// Reads the value at a path; `None`: there is none.
struct AtPath<'a>(&'a [String]);

impl<'de> DeserializeSeed<'de> for AtPath<'_> {
    type Value = Option<&'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        if self.0.is_empty() { <&RawValue>::deserialize(json).map(Some) } else { json.deserialize_map(self) }
    }
}

impl<'de> Visitor<'de> for AtPath<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let Some((wanted, path)) = self.0.split_first() else { return Ok(None) };
        let mut found = None;
        while let Some(matches) = map.next_key_seed(KeyIs(wanted))? {
            if !matches {
                map.next_value::<IgnoredAny>()?;
            } else if found.replace(map.next_value_seed(AtPath(path))?).is_some() {
                return Err(A::Error::custom("a key comes twice"));
            }
        }
        Ok(found.flatten())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn all_ways_to_find_the_end_of_what_is_plain_agree(
            bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'a'), Just(b'"'), Just(b'\\')], CHUNK),
            plain in 0..=CHUNK,
        ) {
            let mut chunk: [u8; CHUNK] = bytes.try_into().unwrap();
            chunk[..plain].fill(b'b');
            let found = chunk.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..b' '));
            prop_assert_eq!(first_stop(&chunk), found);
            let of_words = stops_of_words(&chunk);
            prop_assert_eq!((of_words != 0).then(|| of_words.trailing_zeros() as usize), found);
        }
    }
}
