//! [`LookUp`] with AVX2 and with AVX-512.

use super::became::{NUMBER, Width};
use super::look_up::{CHUNK, Chunk, Found, IDS_ROOM, LookUp, Portable, SoFar};
use super::{Bucket, LINE, ShortPieces};
use crate::bpe::key;
use crate::short_key::SHORT;
use std::arch::x86_64::*;
use std::mem::offset_of;

/// Its functions are inlined into a caller that has the instructions enabled (`Found::look_up_avx2`), which is what makes
/// the intrinsics sound.
pub(super) struct Avx2;

/// The same, with eight hashes at once; its caller is `Found::look_up_avx512`.
pub(super) struct Avx512;

/// For each length, and for all longer pieces together: what of 16 bytes is kept, and what is set, to make a key of them.
static ROWS: [[u128; 2]; SHORT + 2] = {
    let mut rows = [[0, key::NONE]; SHORT + 2];
    let mut length = 0;
    while length <= SHORT {
        rows[length] = [(1 << (8 * length)) - 1, (length as u128) << 120];
        length += 1;
    }
    rows
};

/// How ids are taken apart: the three bytes in which each is, how far it lies from the lowest bit of them, and its bits.
#[repr(align(32))]
struct Lanes {
    bytes: [[u8; 4]; IDS_ROOM],
    shifts: [u32; IDS_ROOM],
    mask: u32,
}

impl Lanes {
    #[expect(clippy::cast_possible_truncation, reason = "at most 15")]
    const fn of(width: Width) -> Lanes {
        // No byte: zero.
        let mut lanes = Lanes { bytes: [[0x80; 4]; IDS_ROOM], shifts: [0; IDS_ROOM], mask: width.mask() };
        let mut id = 0;
        while id < width.most() {
            let bit = width.place(id);
            let byte = (bit / 8) as u8;
            lanes.bytes[id] = [byte, byte + 1, byte + 2, 0x80];
            lanes.shifts[id] = bit % 8;
            id += 1;
        }
        lanes
    }
}

static LANES: [Lanes; 3] = {
    let [first, second, third] = Width::ALL;
    [Lanes::of(first), Lanes::of(second), Lanes::of(third)]
};

impl LookUp for Avx2 {
    #[inline(always)]
    fn find_keys(text: &[u8], begin: usize, ends: &[usize], chunk: &mut Chunk) {
        chunk.len = ends.len();
        let last_begin = match *ends {
            [] => return,
            [_] => begin,
            [.., last, _] => last,
        };
        debug_assert!(ends.len() <= CHUNK && ends.is_sorted() && last_begin <= text.len());
        if last_begin + 16 <= text.len() {
            // SAFETY: 16 bytes can be read where the last piece begins, so also where the others do.
            unsafe { find_keys(text, begin, ends, &mut chunk.keys) };
        } else {
            Portable::find_keys(text, begin, ends, chunk);
        }
    }

    #[inline(always)]
    fn seek(chunk: &mut Chunk, known: ShortPieces<'_>) {
        Portable::seek(chunk, known);
    }

    #[inline(always)]
    fn find(chunk: &Chunk, known: ShortPieces<'_>, found: &mut Found) {
        // SAFETY: the caller has AVX2; places are those of the table.
        unsafe { find(chunk, known, found) };
    }
}

impl LookUp for Avx512 {
    #[inline(always)]
    fn find_keys(text: &[u8], begin: usize, ends: &[usize], chunk: &mut Chunk) {
        Avx2::find_keys(text, begin, ends, chunk);
    }

    #[inline(always)]
    fn seek(chunk: &mut Chunk, known: ShortPieces<'_>) {
        // SAFETY: the caller has AVX-512.
        unsafe { find_places(chunk, known) };
        chunk.places[..chunk.len].iter().for_each(|&place| known.prefetch(place));
    }

    #[inline(always)]
    fn find(chunk: &Chunk, known: ShortPieces<'_>, found: &mut Found) {
        Avx2::find(chunk, known, found);
    }
}

/// The keys of pieces.
///
/// # Safety
/// AVX2; pieces lie one behind the other, the first begins at `begin`, and 16 bytes of `text` can be read where each begins.
#[inline(always)]
unsafe fn find_keys(text: &[u8], mut begin: usize, ends: &[usize], keys: &mut [u128; CHUNK]) {
    for (&end, key) in ends.iter().zip(keys) {
        let [kept, set] = &ROWS[(end - begin).min(SHORT + 1)];
        // SAFETY: as said above; the others are 16 bytes long, and aligned.
        unsafe {
            let bytes = _mm_loadu_si128(text.as_ptr().add(begin).cast());
            let kept = _mm_and_si128(bytes, _mm_load_si128(std::ptr::from_ref(kept).cast()));
            let whole = _mm_or_si128(kept, _mm_load_si128(std::ptr::from_ref(set).cast()));
            _mm_store_si128(std::ptr::from_mut(key).cast(), whole);
        }
        begin = end;
    }
}

/// The places of a chunk: `ShortPieces::place` eight times at once, for what is behind its last piece, too.
///
/// # Safety
/// AVX-512.
#[inline(always)]
#[expect(clippy::cast_possible_wrap, reason = "the instructions take integers as signed")]
unsafe fn find_places(chunk: &mut Chunk, known: ShortPieces<'_>) {
    let [lower, upper, last] = known.secrets.multipliers();
    let mask = (known.buckets.len() - 1) * LINE;
    let eights = chunk.keys.chunks_exact(8).zip(chunk.places.chunks_exact_mut(8));
    for (keys, places) in eights.take(chunk.len.div_ceil(8)) {
        // SAFETY: the caller has AVX-512; eight keys and eight places, aligned.
        unsafe {
            let four = |at: usize| _mm512_load_si512(keys[at..].as_ptr().cast());
            let (first, second) = (four(0), four(4));
            let lowers = _mm512_permutex2var_epi64(first, _mm512_set_epi64(14, 12, 10, 8, 6, 4, 2, 0), second);
            let uppers = _mm512_permutex2var_epi64(first, _mm512_set_epi64(15, 13, 11, 9, 7, 5, 3, 1), second);
            let times = |eight, number: u64| _mm512_mullo_epi64(eight, _mm512_set1_epi64(number as i64));
            let sum = _mm512_add_epi64(times(lowers, lower), times(uppers, upper));
            let hash = times(_mm512_xor_si512(sum, _mm512_srli_epi64::<32>(sum)), last);
            let place = _mm512_srli_epi64::<{ 32 - LINE.ilog2() }>(hash);
            let place = _mm512_and_si512(place, _mm512_set1_epi64(mask as i64));
            _mm512_store_si512(places.as_mut_ptr().cast(), place);
        }
    }
}

/// # Safety
/// AVX2; the places of the chunk are places of the table.
#[inline(always)]
#[expect(clippy::cast_possible_wrap, clippy::cast_sign_loss, reason = "the instructions take integers as signed")]
unsafe fn find(chunk: &Chunk, known: ShortPieces<'_>, found: &mut Found) {
    let Found { ids, holes, so_far, .. } = found;
    let (ids, holes) = (ids.as_mut_ptr(), holes.as_mut_ptr());
    let SoFar { mut here, mut num_holes } = *so_far;
    let lanes = &LANES[known.width.number()];
    // SAFETY: 32 bytes each.
    let (bytes, shifts, mask) = unsafe {
        (
            _mm256_loadu_si256(lanes.bytes.as_ptr().cast()),
            _mm256_loadu_si256(lanes.shifts.as_ptr().cast()),
            _mm256_set1_epi32(lanes.mask as i32),
        )
    };
    for (key, &place) in chunk.keys.iter().zip(&chunk.places).take(chunk.len) {
        // SAFETY: a line is a bucket, and offsets are those of its parts. A batch has at most as many pieces as there is room
        // for holes and, `IDS_ROOM` times that, for ids; `here` counts at most seven ids for each piece before.
        unsafe {
            let line = known.buckets.as_ptr().cast::<u8>().add(place);
            let key = _mm256_broadcastsi128_si256(_mm_load_si128(std::ptr::from_ref(key).cast()));
            let other = _mm256_xor_si256(key, _mm256_load_si256(line.add(offset_of!(Bucket, keys)).cast()));
            let other = _mm256_or_si256(other, _mm256_shuffle_epi32::<0b01_00_11_10>(other));
            let same = _mm256_cmpeq_epi64(other, _mm256_setzero_si256());
            let became = _mm256_and_si256(same, _mm256_load_si256(line.add(offset_of!(Bucket, became)).cast()));
            // In both halves.
            let became = _mm256_or_si256(became, _mm256_permute4x64_epi64::<0b01_00_11_10>(became));
            let num_ids = _mm256_extract_epi8::<15>(became) as u32 & u32::from(NUMBER);
            let apart = _mm256_srlv_epi32(_mm256_shuffle_epi8(became, bytes), shifts);
            _mm256_storeu_si256(ids.add(here.ids_before()).cast(), _mm256_and_si256(apart, mask));
            *holes.add(num_holes) = here;
            here = here.next(num_ids as usize);
            num_holes += usize::from(num_ids == 0);
        }
    }
    *so_far = SoFar { here, num_holes };
}
