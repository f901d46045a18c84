//! Code points → UTF-8.

use crate::level::Level;

/// Most bytes of a code point.
const MOST: usize = 4;

/// Bytes that may be written behind the last, as registers are stored whole.
const BEYOND: usize = 64;

/// So many at a time: what lies beyond whole groups is encoded one by one.
const GROUP: usize = 16;

/// Appends code points as UTF-8; `false`, and nothing appended, if one of them is no character (half of a surrogate pair, or
/// above U+10FFFF).
#[must_use]
pub fn push_utf8(points: &[u32], text: &mut String) -> bool {
    push_utf8_at(Level::best(), points, text)
}

fn push_utf8_at(level: Level, points: &[u32], text: &mut String) -> bool {
    let (whole, rest) = points.split_at(points.len() / GROUP * GROUP);
    let before = text.len();
    let done = match level {
        // SAFETY: only processors with these instructions have this level.
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => unsafe { push_avx512(whole, text) },
        _ => push_each(whole, text),
    };
    let done = done && push_each(rest, text);
    if !done {
        text.truncate(before);
    }
    done
}

/// One by one: as fast as CPython's own UTF-8.
fn push_each(points: &[u32], text: &mut String) -> bool {
    text.reserve(points.len() * MOST);
    let mut len = text.len();
    for &point in points {
        let Some(char) = char::from_u32(point) else { return false };
        // SAFETY: there is room for four bytes each.
        unsafe { text.as_mut_vec().as_mut_ptr().add(len).cast::<u32>().write_unaligned(bytes_of(point)) };
        len += char.len_utf8();
    }
    // SAFETY: all up to there was written above, as UTF-8.
    unsafe { text.as_mut_vec().set_len(len) };
    true
}

/// The UTF-8 of a code point, first byte lowest.
#[inline(always)]
fn bytes_of(point: u32) -> u32 {
    let six = |shift: u32| point >> shift & 0x3F;
    match point {
        ..0x80 => point,
        0x80..0x800 => 0x80C0 | point >> 6 | six(0) << 8,
        0x800..0x1_0000 => 0x8080E0 | point >> 12 | six(6) << 8 | six(0) << 16,
        _ => 0x8080_80F0 | point >> 18 | six(12) << 8 | six(6) << 16 | six(0) << 24,
    }
}

/// 16 at a time: the bytes of each in 32 bits, then those that it has side by side.
///
/// Whole groups only.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi2,avx2,bmi1,bmi2,lzcnt,popcnt")]
fn push_avx512(points: &[u32], text: &mut String) -> bool {
    use std::arch::x86_64::*;
    debug_assert!(points.len().is_multiple_of(GROUP));
    text.reserve(points.len() * MOST + BEYOND);
    let all = |number: u32| _mm512_set1_epi32(number.cast_signed());
    let mut len = text.len();
    for group in points.chunks_exact(GROUP) {
        // SAFETY: 16 code points can be read; 64 bytes written, as each group adds at most that, and there is room for one more.
        unsafe {
            let point = _mm512_loadu_si512(group.as_ptr().cast());
            let to = text.as_mut_vec().as_mut_ptr().add(len);
            let longer = _mm512_cmpge_epu32_mask(point, all(0x80));
            if longer == 0 {
                _mm_storeu_si128(to.cast(), _mm512_cvtepi32_epi8(point));
                len += GROUP;
                continue;
            }
            let surrogate = _mm512_cmpeq_epi32_mask(_mm512_and_si512(point, all(!0x7FF)), all(0xD800));
            let outside = _mm512_cmpgt_epu32_mask(point, all(0x10_FFFF));
            if surrogate | outside != 0 {
                return false;
            }
            let six = |shifted| _mm512_and_si512(shifted, all(0x3F));
            let or = |a, b| _mm512_or_si512(a, b);
            let (last, second) = (six(point), six(_mm512_srli_epi32::<6>(point)));
            let of_two = or(or(_mm512_srli_epi32::<6>(point), _mm512_slli_epi32::<8>(last)), all(0x80C0));
            let of_three = or(_mm512_slli_epi32::<8>(second), _mm512_slli_epi32::<16>(last));
            let of_three = or(or(_mm512_srli_epi32::<12>(point), of_three), all(0x8080E0));
            let mut bytes = _mm512_mask_mov_epi32(point, longer, of_two);
            bytes = _mm512_mask_mov_epi32(bytes, _mm512_cmpge_epu32_mask(point, all(0x800)), of_three);
            let longest = _mm512_cmpge_epu32_mask(point, all(0x1_0000));
            if longest != 0 {
                let third = six(_mm512_srli_epi32::<12>(point));
                let rest = or(_mm512_slli_epi32::<8>(third), _mm512_slli_epi32::<16>(second));
                let rest = or(rest, _mm512_slli_epi32::<24>(last));
                let of_four = or(or(_mm512_srli_epi32::<18>(point), rest), all(0x8080_80F0));
                bytes = _mm512_mask_mov_epi32(bytes, longest, of_four);
            }
            // Each has its first byte, whatever it is; the others are not 0.
            let kept = _mm512_test_epi8_mask(bytes, bytes) | 0x1111_1111_1111_1111;
            _mm512_storeu_si512(to.cast(), _mm512_maskz_compress_epi8(kept, bytes));
            len += kept.count_ones() as usize;
        }
    }
    // SAFETY: all up to there was written above, as UTF-8.
    unsafe { text.as_mut_vec().set_len(len) };
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The ends of what has one length, and any.
    fn points() -> impl Strategy<Value = Vec<char>> {
        const ENDS: [char; 9] =
            ['\0', '\x7F', '\u{80}', '\u{7FF}', '\u{800}', '\u{D7FF}', '\u{E000}', '\u{FFFF}', '\u{10000}'];
        let one = prop_oneof![4 => proptest::char::range(' ', '~'), 2 => any::<char>(), 2 => proptest::sample::select(&ENDS[..])];
        prop::collection::vec(one, 0..200)
    }

    proptest! {
        #[test]
        fn every_level_gives_the_text_of_its_characters(chars in points(), before in "[aä€]{0,20}") {
            let points: Vec<u32> = chars.iter().map(|&char| u32::from(char)).collect();
            let want = format!("{before}{}", chars.iter().collect::<String>());
            for &level in Level::available() {
                let mut text = before.clone();
                prop_assert!(push_utf8_at(level, &points, &mut text));
                prop_assert_eq!(&text, &want, "{:?}", level);
            }
        }

        #[test]
        fn what_is_no_character_is_told_and_nothing_stays(
            chars in points(), at in any::<prop::sample::Index>(), bad in prop_oneof![0xD800..0xE000_u32, 0x11_0000..=u32::MAX],
        ) {
            let mut points: Vec<u32> = chars.iter().map(|&char| u32::from(char)).collect();
            points.insert(at.index(points.len() + 1), bad);
            for &level in Level::available() {
                let mut text = "ä".to_string();
                prop_assert!(!push_utf8_at(level, &points, &mut text), "{:?}", level);
                prop_assert_eq!(&text, "ä");
            }
        }
    }
}
