//! [`LookUp`] with AVX2 and with AVX-512.

use super::became::{NUMBER, Width};
use super::look_up::{CHUNK, Chunk, Found, IDS_ROOM, LookUp, Portable, SoFar};
use super::short::{Bucket, LINE, ShortPieces};
use crate::bpe::key;
use crate::short_key::SHORT;
use std::arch::asm;
use std::arch::x86_64::*;
use std::mem::offset_of;

/// Its functions are inlined into a caller that has the instructions enabled (`Found::look_up_avx2`), which is what makes
/// the intrinsics sound.
pub(super) struct Avx2;

/// The same, with eight hashes at once; its caller is `Found::look_up_avx512`.
pub(super) struct Avx512;

/// For each length, and for all longer pieces together: what of 16 bytes is kept, and what is set, to make a key of them.
static ROWS: Rows = {
    let mut rows = [[0, key::NONE]; SHORT + 2];
    let mut length = 0;
    while length <= SHORT {
        rows[length] = [(1 << (8 * length)) - 1, (length as u128) << 120];
        length += 1;
    }
    Rows(rows)
};

#[repr(align(32))]
struct Rows([[u128; 2]; SHORT + 2]);

/// Bytes of a row.
const ROW: usize = size_of::<[u128; 2]>();

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
        if !can_read(text, begin, ends) {
            return Portable::find_keys(text, begin, ends, chunk);
        }
        chunk.len = ends.len();
        let mut before = begin;
        for (&end, key) in ends.iter().zip(&mut chunk.keys) {
            // SAFETY: the caller has AVX2, 16 bytes can be read where the piece begins, and there is a row for each length.
            *key = unsafe { key_of(text, before, (end - before).min(SHORT + 1) * ROW) };
            before = end;
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
        if !can_read(text, begin, ends) {
            return Portable::find_keys(text, begin, ends, chunk);
        }
        chunk.len = ends.len();
        // Places come later: until then they are where the rows are.
        // SAFETY: the caller has AVX-512.
        unsafe { find_rows(begin, ends, &mut chunk.places) };
        let mut before = begin;
        for ((&end, key), &row) in ends.iter().zip(&mut chunk.keys).zip(&chunk.places) {
            // SAFETY: the caller has AVX2, 16 bytes can be read where the piece begins, and this is its row.
            *key = unsafe { key_of(text, before, row) };
            before = end;
        }
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

/// Whether 16 bytes of the text can be read where each piece begins: where the last does.
#[inline(always)]
fn can_read(text: &[u8], begin: usize, ends: &[usize]) -> bool {
    debug_assert!(ends.len() <= CHUNK && ends.is_sorted());
    let last_begin = match *ends {
        [.., last, _] => last,
        _ => begin,
    };
    last_begin + 16 <= text.len()
}

/// The key of the piece that begins at `begin` and whose length has the row that begins at this byte of them.
///
/// # Safety
/// AVX2; there is such a row, and 16 bytes of `text` can be read at `begin`.
#[inline(always)]
unsafe fn key_of(text: &[u8], begin: usize, row: usize) -> u128 {
    let mut key = 0;
    // SAFETY: as said above; the others are 16 bytes long.
    unsafe {
        let row: *const __m128i = ROWS.0.as_ptr().byte_add(row).cast();
        let bytes = _mm_loadu_si128(text.as_ptr().add(begin).cast());
        let whole = _mm_or_si128(_mm_and_si128(bytes, _mm_load_si128(row)), _mm_load_si128(row.add(1)));
        _mm_storeu_si128(std::ptr::from_mut(&mut key).cast(), whole);
    }
    key
}

/// The rows of pieces that lie one behind the other, eight at a time.
///
/// # Safety
/// AVX-512.
#[inline(always)]
#[expect(clippy::cast_possible_wrap, reason = "the instructions take integers as signed")]
unsafe fn find_rows(begin: usize, ends: &[usize], rows: &mut [usize; CHUNK]) {
    // SAFETY: the caller has AVX-512; eight rows are written, and no ends read but those that there are.
    unsafe {
        let mut before = _mm512_set1_epi64(begin as i64);
        for (ends, rows) in ends.chunks(8).zip(rows.chunks_exact_mut(8)) {
            let ends = _mm512_maskz_loadu_epi64(u8::MAX >> (8 - ends.len()), ends.as_ptr().cast());
            let lengths = _mm512_sub_epi64(ends, _mm512_alignr_epi64::<7>(ends, before));
            let lengths = _mm512_min_epu64(lengths, _mm512_set1_epi64(SHORT as i64 + 1));
            _mm512_storeu_si512(rows.as_mut_ptr().cast(), _mm512_slli_epi64::<{ ROW.ilog2() }>(lengths));
            before = ends;
        }
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
#[inline]
#[target_feature(enable = "avx2")]
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
    let len = chunk.len.min(CHUNK);
    for (key, &place) in chunk.keys[..len].iter().zip(&chunk.places[..len]) {
        // SAFETY: a line is a bucket, and offsets are those of its parts. A batch has at most as many pieces as there is room
        // for holes and, `IDS_ROOM` times that, for ids; `here` counts at most seven ids for each piece before.
        unsafe {
            let line = known.buckets.as_ptr().cast::<u8>().add(place);
            let key = _mm256_broadcastsi128_si256(_mm_load_si128(std::ptr::from_ref(key).cast()));
            let mut same = _mm256_cmpeq_epi64(key, _mm256_load_si256(line.add(offset_of!(Bucket, keys)).cast()));
            // Does nothing, but that LLVM leaves the comparison in this register, where it would move it to one for masks and back.
            asm!("/* {0} */", inout(ymm_reg) same, options(pure, nomem, nostack, preserves_flags));
            let same = _mm256_and_si256(same, _mm256_shuffle_epi32::<0b01_00_11_10>(same));
            let became = _mm256_and_si256(same, _mm256_load_si256(line.add(offset_of!(Bucket, became)).cast()));
            // In both halves.
            let became = _mm256_or_si256(became, _mm256_permute4x64_epi64::<0b01_00_11_10>(became));
            let num_ids = _mm256_cvtsi256_si32(became) as u32 & u32::from(NUMBER);
            let apart = _mm256_srlv_epi32(_mm256_shuffle_epi8(became, bytes), shifts);
            _mm256_storeu_si256(ids.add(here.ids_before()).cast(), _mm256_and_si256(apart, mask));
            *holes.add(num_holes) = here;
            here = here.next(num_ids as usize);
            num_holes += usize::from(num_ids == 0);
        }
    }
    *so_far = SoFar { here, num_holes };
}
