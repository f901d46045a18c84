//! 64 bytes and the questions that a processor answers about all of them at once: bit `i` of each answer is byte `i`'s.

use super::WINDOW;

pub(super) trait Block: Copy {
    fn load(window: &[u8; WINDOW]) -> Self;
    /// Bytes that equal `byte`.
    fn equal(self, byte: u8) -> u64;
    /// Bytes in `first..=last`, which are ASCII.
    fn within(self, first: u8, last: u8) -> u64;
    /// ASCII letters.
    fn letters(self) -> u64;
    /// Bytes of characters outside ASCII.
    fn high(self) -> u64;
    /// Bytes that continue a character: `0b10xx_xxxx`.
    fn continuing(self) -> u64;

    /// Writes `position` + the number of each bit, in order; what is behind them may change, too. Four at a time, whether
    /// or not there are as many: a loop that ends after a number of rounds that nobody can predict costs more than a few
    /// stores too many.
    #[inline(always)]
    fn write_places(mut bits: u64, position: usize, places: &mut [usize; WINDOW]) {
        let mut fours = places.chunks_exact_mut(4);
        while bits != 0
            && let Some(four) = fours.next()
        {
            for place in four {
                // Volatile: else the four bits would be counted side by side in vectors, which takes twice as long.
                // SAFETY: a place of the array.
                unsafe { std::ptr::write_volatile(place, position + bits.trailing_zeros() as usize) };
                bits &= bits.wrapping_sub(1);
            }
        }
    }
}

#[cfg(target_arch = "aarch64")]
pub(super) use neon::Neon;
#[cfg(target_arch = "x86_64")]
pub(super) use x86::{Avx2, Avx512, Sse2};

#[cfg(target_arch = "x86_64")]
mod x86 {
    //! Every function here is inlined into a caller that has the features enabled (`super::super::fill_avx2` ...), which
    //! is what makes the intrinsics sound; SSE2 is part of x86-64.
    use super::{Block, WINDOW};
    use std::arch::x86_64::*;

    #[derive(Clone, Copy)]
    pub(in super::super) struct Sse2([__m128i; 4]);

    impl Sse2 {
        #[inline(always)]
        #[expect(clippy::cast_sign_loss, reason = "a mask of 16 bits")]
        fn bits(self, ask: impl Fn(__m128i) -> __m128i) -> u64 {
            // SAFETY: SSE2 is part of x86-64.
            let part = |i: usize| u64::from(unsafe { _mm_movemask_epi8(ask(self.0[i])) } as u32);
            part(0) | part(1) << 16 | part(2) << 32 | part(3) << 48
        }
    }

    #[expect(clippy::cast_possible_wrap, reason = "the instructions take bytes as signed")]
    impl Block for Sse2 {
        #[inline(always)]
        fn load(window: &[u8; WINDOW]) -> Self {
            // SAFETY: 4 × 16 bytes lie inside the window; the loads need no alignment.
            Sse2([0, 16, 32, 48].map(|at| unsafe { _mm_loadu_si128(window.as_ptr().add(at).cast()) }))
        }

        #[inline(always)]
        fn equal(self, byte: u8) -> u64 {
            // SAFETY: SSE2 is part of x86-64, here and below.
            self.bits(|part| unsafe { _mm_cmpeq_epi8(part, _mm_set1_epi8(byte as i8)) })
        }

        #[inline(always)]
        fn within(self, first: u8, last: u8) -> u64 {
            // SAFETY: as above.
            self.bits(|part| unsafe {
                let moved = _mm_sub_epi8(part, _mm_set1_epi8(first as i8));
                _mm_cmpeq_epi8(_mm_min_epu8(moved, _mm_set1_epi8((last - first) as i8)), moved)
            })
        }

        #[inline(always)]
        fn letters(self) -> u64 {
            // SAFETY: as above.
            Sse2(self.0.map(|part| unsafe { _mm_or_si128(part, _mm_set1_epi8(0x20)) })).within(b'a', b'z')
        }

        #[inline(always)]
        fn high(self) -> u64 {
            self.bits(|part| part)
        }

        #[inline(always)]
        fn continuing(self) -> u64 {
            // As signed numbers they are the smallest: -128 to -65.
            // SAFETY: as above.
            self.bits(|part| unsafe { _mm_cmplt_epi8(part, _mm_set1_epi8(-64)) })
        }
    }

    #[derive(Clone, Copy)]
    pub(in super::super) struct Avx2([__m256i; 2]);

    impl Avx2 {
        #[inline(always)]
        #[expect(clippy::cast_sign_loss, reason = "a mask of 32 bits")]
        fn bits(self, ask: impl Fn(__m256i) -> __m256i) -> u64 {
            // SAFETY: the caller has AVX2.
            let part = |i: usize| u64::from(unsafe { _mm256_movemask_epi8(ask(self.0[i])) } as u32);
            part(0) | part(1) << 32
        }
    }

    #[expect(clippy::cast_possible_wrap, reason = "the instructions take bytes as signed")]
    impl Block for Avx2 {
        #[inline(always)]
        fn load(window: &[u8; WINDOW]) -> Self {
            // SAFETY: 2 × 32 bytes lie inside the window; the loads need no alignment; the caller has AVX2.
            Avx2([0, 32].map(|at| unsafe { _mm256_loadu_si256(window.as_ptr().add(at).cast()) }))
        }

        #[inline(always)]
        fn equal(self, byte: u8) -> u64 {
            // SAFETY: the caller has AVX2, here and below.
            self.bits(|part| unsafe { _mm256_cmpeq_epi8(part, _mm256_set1_epi8(byte as i8)) })
        }

        #[inline(always)]
        fn within(self, first: u8, last: u8) -> u64 {
            // SAFETY: as above.
            self.bits(|part| unsafe {
                let moved = _mm256_sub_epi8(part, _mm256_set1_epi8(first as i8));
                _mm256_cmpeq_epi8(_mm256_min_epu8(moved, _mm256_set1_epi8((last - first) as i8)), moved)
            })
        }

        #[inline(always)]
        fn letters(self) -> u64 {
            // SAFETY: as above.
            Avx2(self.0.map(|part| unsafe { _mm256_or_si256(part, _mm256_set1_epi8(0x20)) })).within(b'a', b'z')
        }

        #[inline(always)]
        fn high(self) -> u64 {
            self.bits(|part| part)
        }

        #[inline(always)]
        fn continuing(self) -> u64 {
            // SAFETY: as above.
            self.bits(|part| unsafe { _mm256_cmpgt_epi8(_mm256_set1_epi8(-64), part) })
        }
    }

    #[derive(Clone, Copy)]
    pub(in super::super) struct Avx512(__m512i);

    /// 0 to 63.
    const NUMBERS: [u8; WINDOW] = {
        let mut numbers = [0; WINDOW];
        let mut number = 0;
        while number < WINDOW {
            #[expect(clippy::cast_possible_truncation, reason = "below 64")]
            let byte = number as u8;
            numbers[number] = byte;
            number += 1;
        }
        numbers
    };

    /// Writes `position` + each of sixteen numbers.
    ///
    /// # Safety
    /// AVX-512 F.
    #[inline(always)]
    #[expect(clippy::cast_possible_wrap, reason = "the instruction takes integers as signed")]
    unsafe fn write_sixteen(numbers: __m128i, position: usize, places: &mut [usize; 16]) {
        // SAFETY: the caller has AVX-512 F; twice eight places are the array.
        unsafe {
            let position = _mm512_set1_epi64(position as i64);
            let (lower, upper) = (_mm512_cvtepu8_epi64(numbers), _mm512_cvtepu8_epi64(_mm_srli_si128::<8>(numbers)));
            _mm512_storeu_si512(places.as_mut_ptr().cast(), _mm512_add_epi64(position, lower));
            _mm512_storeu_si512(places[8..].as_mut_ptr().cast(), _mm512_add_epi64(position, upper));
        }
    }

    #[expect(clippy::cast_possible_wrap, reason = "the instructions take bytes as signed")]
    impl Block for Avx512 {
        #[inline(always)]
        fn load(window: &[u8; WINDOW]) -> Self {
            // SAFETY: 64 bytes are the window; the load needs no alignment; the caller has AVX-512 F and BW.
            Avx512(unsafe { _mm512_loadu_si512(window.as_ptr().cast()) })
        }

        #[inline(always)]
        fn equal(self, byte: u8) -> u64 {
            // SAFETY: the caller has AVX-512 F and BW, here and below.
            unsafe { _mm512_cmpeq_epi8_mask(self.0, _mm512_set1_epi8(byte as i8)) }
        }

        #[inline(always)]
        fn within(self, first: u8, last: u8) -> u64 {
            // SAFETY: as above.
            unsafe {
                let moved = _mm512_sub_epi8(self.0, _mm512_set1_epi8(first as i8));
                _mm512_cmple_epu8_mask(moved, _mm512_set1_epi8((last - first) as i8))
            }
        }

        #[inline(always)]
        fn letters(self) -> u64 {
            // SAFETY: as above.
            Avx512(unsafe { _mm512_or_si512(self.0, _mm512_set1_epi8(0x20)) }).within(b'a', b'z')
        }

        #[inline(always)]
        fn high(self) -> u64 {
            // SAFETY: as above.
            unsafe { _mm512_movepi8_mask(self.0) }
        }

        #[inline(always)]
        fn continuing(self) -> u64 {
            // SAFETY: as above.
            unsafe { _mm512_cmplt_epi8_mask(self.0, _mm512_set1_epi8(-64)) }
        }

        #[inline(always)]
        fn write_places(bits: u64, position: usize, places: &mut [usize; WINDOW]) {
            let (sixteens, _) = places.as_chunks_mut::<16>();
            let count = bits.count_ones();
            // SAFETY: the caller has AVX-512 F, BW and VBMI2.
            unsafe {
                let numbers = _mm512_maskz_compress_epi8(bits, _mm512_loadu_si512(NUMBERS.as_ptr().cast()));
                // Nearly all windows have between 8 and 16.
                write_sixteen(_mm512_castsi512_si128(numbers), position, &mut sixteens[0]);
                if count > 16 {
                    write_sixteen(_mm512_extracti32x4_epi32::<1>(numbers), position, &mut sixteens[1]);
                    if count > 32 {
                        write_sixteen(_mm512_extracti32x4_epi32::<2>(numbers), position, &mut sixteens[2]);
                        write_sixteen(_mm512_extracti32x4_epi32::<3>(numbers), position, &mut sixteens[3]);
                    }
                }
            }
        }
    }
}

#[cfg(target_arch = "aarch64")]
mod neon {
    use super::{Block, WINDOW};
    use std::arch::aarch64::*;

    #[derive(Clone, Copy)]
    pub(in super::super) struct Neon([uint8x16_t; 4]);

    impl Neon {
        /// One bit a byte: each lane keeps the bit of its place in a group of eight, then neighbours are added three times.
        #[inline(always)]
        fn bits(self, ask: impl Fn(uint8x16_t) -> uint8x16_t) -> u64 {
            const PLACES: [u8; 16] = [1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128];
            // SAFETY: NEON is part of every 64-bit ARM processor; the load reads the 16 bytes of `PLACES`.
            unsafe {
                let places = vld1q_u8(PLACES.as_ptr());
                let part = |i: usize| vandq_u8(ask(self.0[i]), places);
                let first = vpaddq_u8(part(0), part(1));
                let second = vpaddq_u8(part(2), part(3));
                let both = vpaddq_u8(first, second);
                vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(both, both)), 0)
            }
        }
    }

    impl Block for Neon {
        #[inline(always)]
        fn load(window: &[u8; WINDOW]) -> Self {
            // SAFETY: 4 × 16 bytes lie inside the window.
            Neon([0, 16, 32, 48].map(|at| unsafe { vld1q_u8(window.as_ptr().add(at)) }))
        }

        #[inline(always)]
        fn equal(self, byte: u8) -> u64 {
            // SAFETY: NEON is part of every 64-bit ARM processor, here and below.
            self.bits(|part| unsafe { vceqq_u8(part, vdupq_n_u8(byte)) })
        }

        #[inline(always)]
        fn within(self, first: u8, last: u8) -> u64 {
            // SAFETY: as above.
            self.bits(|part| unsafe { vcleq_u8(vsubq_u8(part, vdupq_n_u8(first)), vdupq_n_u8(last - first)) })
        }

        #[inline(always)]
        fn letters(self) -> u64 {
            // SAFETY: as above.
            Neon(self.0.map(|part| unsafe { vorrq_u8(part, vdupq_n_u8(0x20)) })).within(b'a', b'z')
        }

        #[inline(always)]
        fn high(self) -> u64 {
            // SAFETY: as above.
            self.bits(|part| unsafe { vcgeq_u8(part, vdupq_n_u8(0x80)) })
        }

        #[inline(always)]
        fn continuing(self) -> u64 {
            // SAFETY: as above.
            self.bits(|part| unsafe { vceqq_u8(vandq_u8(part, vdupq_n_u8(0xC0)), vdupq_n_u8(0x80)) })
        }
    }
}
