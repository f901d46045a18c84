//! The scanners again, 64 bytes at a time.
//!
//! ```text
//! 64 bytes at a piece's start ─ block ─► a bit a byte for each class ─ rules ─► a bit for each start of a piece
//! ```
//!
//! A window always begins where a piece begins, and what follows such a place does not depend on what lies before it
//! (no pattern looks behind). So nothing is carried from window to window: the next one begins at the last start that
//! this one is sure of, or, as windows wait for each other, at a late one that is known before the rules have been
//! applied. What the bits cannot express (a piece longer than a window, rare classes, the last piece of the text) goes to
//! the scanner, one piece at a time; the scanners are the specification, and the tests compare.

mod block;
mod classes;
mod gpt2;
mod gpt4;
mod gpt4o;
mod words;

use super::Scanner;
use crate::level::Level;
use crate::unicode::ClassedText;
use block::Block;
use classes::Masks;

/// Bytes in a window.
const WINDOW: usize = 64;

/// A window ends at its last cut, if there is one from this byte on: then the next one need not wait for the rules. An earlier
/// one would make windows too short.
const LATE: u32 = 40;

/// Ends of pieces, as many as a batch holds. A window adds at most 64.
#[derive(Debug)]
pub(crate) struct Ends {
    ends: [usize; Ends::MOST],
    len: usize,
}

impl Ends {
    /// A batch is full at this many: their keys and places stay in the L1 cache, and the loads of a batch overlap.
    const ENOUGH: usize = 512;

    /// A window more.
    pub(crate) const MOST: usize = Ends::ENOUGH + WINDOW;

    pub(crate) fn new() -> Ends {
        Ends { ends: [0; Ends::MOST], len: 0 }
    }

    pub(crate) fn as_slice(&self) -> &[usize] {
        &self.ends[..self.len]
    }

    pub(crate) fn clear(&mut self) {
        self.len = 0;
    }

    #[inline(always)]
    pub(crate) fn is_full(&self) -> bool {
        self.len >= Ends::ENOUGH
    }

    #[inline(always)]
    pub(crate) fn push(&mut self, end: usize) {
        self.ends[self.len] = end;
        self.len += 1;
    }

    /// Pushes `position` + the number of each bit.
    #[inline(always)]
    fn push_bits<B: Block>(&mut self, position: usize, bits: u64) {
        debug_assert!(self.len < Ends::ENOUGH, "a full batch takes no window more");
        let room = self.ends[self.len..].first_chunk_mut().unwrap_or_else(|| unreachable!("a window more has room"));
        B::write_places(bits, position, room);
        self.len += bits.count_ones() as usize;
    }
}

/// Pushes ends of pieces from `start`, where a piece begins, until there are enough or the text is at its end. Gives
/// the last of them, where the next piece begins.
pub(crate) fn fill(scanner: Scanner, level: Level, text: ClassedText<'_>, start: usize, ends: &mut Ends) -> usize {
    match level {
        Level::Scalar => scan(text, start, ends, usize::MAX, |text, start| scanner.piece_end(text, start)),
        #[cfg(target_arch = "x86_64")]
        Level::Sse2 => fill_with::<block::Sse2>(scanner, text, start, ends),
        // SAFETY: `Level::available` lists this level only on a processor that has these features.
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => unsafe { fill_avx2(scanner, text, start, ends) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => unsafe { fill_avx512(scanner, text, start, ends) },
        #[cfg(target_arch = "aarch64")]
        Level::Neon => fill_with::<block::Neon>(scanner, text, start, ends),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
fn fill_avx2(scanner: Scanner, text: ClassedText<'_>, start: usize, ends: &mut Ends) -> usize {
    fill_with::<block::Avx2>(scanner, text, start, ends)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi2,avx2,bmi1,bmi2,lzcnt,popcnt")]
fn fill_avx512(scanner: Scanner, text: ClassedText<'_>, start: usize, ends: &mut Ends) -> usize {
    fill_with::<block::Avx512>(scanner, text, start, ends)
}

#[inline(always)]
fn fill_with<B: Block>(scanner: Scanner, text: ClassedText<'_>, start: usize, ends: &mut Ends) -> usize {
    match scanner {
        Scanner::Gpt2 => windows::<B>(text, start, ends, gpt2::starts, super::gpt2::piece_end),
        Scanner::Gpt4(rules) => windows::<B>(
            text,
            start,
            ends,
            |masks, text, start| gpt4::starts(masks, text, start, rules),
            |text, start| super::gpt4::piece_end(text, start, rules),
        ),
        Scanner::Gpt4o => windows::<B>(text, start, ends, gpt4o::starts, super::gpt4o::piece_end),
    }
}

/// What the bits of a window say.
#[derive(Debug, Clone, Copy)]
struct Starts {
    /// Where pieces begin.
    starts: u64,
    /// The bits from here on say nothing, because of what stands at this place: 64 where all is plain.
    unclear: u32,
}

/// The loop over windows.
#[inline(always)]
fn windows<B: Block>(
    text: ClassedText<'_>,
    start: usize,
    ends: &mut Ends,
    starts: impl Fn(&Masks, ClassedText<'_>, usize) -> Starts,
    piece_end: impl Fn(ClassedText<'_>, usize) -> usize,
) -> usize {
    let bytes = text.bytes();
    let mut position = start;
    while !ends.is_full() {
        let rest = &bytes[position..];
        let mut last = [0; WINDOW];
        let window = match rest.first_chunk::<WINDOW>() {
            Some(window) => window,
            None if rest.is_empty() => break,
            None => {
                last[..rest.len()].copy_from_slice(rest);
                &last
            }
        };
        let masks = Masks::of::<B>(window, text, position);
        let Starts { starts, unclear } = starts(&masks, text, position);
        // What follows the end of the text says as little as what cannot be said by bits.
        let unclear = unclear.min(u32::try_from(rest.len()).unwrap_or(u32::MAX));
        let cuts = masks.cuts();
        if cuts >> LATE != 0 && unclear == u64::BITS {
            let cut = 63 - cuts.leading_zeros();
            debug_assert!(starts >> cut & 1 == 1, "a piece begins at a cut");
            ends.push_bits::<B>(position, starts & (u64::MAX >> (63 - cut)) & !1);
            position += cut as usize;
            continue;
        }
        let sure = starts & masks.sure(unclear) & !1;
        if sure != 0 {
            ends.push_bits::<B>(position, sure);
            let last = 63 - sure.leading_zeros();
            let behind = position + unclear as usize + 1;
            position += last as usize;
            if unclear < u64::BITS {
                position = scan(text, position, ends, behind, &piece_end);
            }
        } else {
            let behind = position + if unclear < u64::BITS { unclear as usize + 1 } else { 1 };
            position = scan(text, position, ends, behind, &piece_end);
        }
    }
    position
}

/// The scanner, from piece to piece until one ends at `behind` or later.
#[inline(never)]
fn scan(
    text: ClassedText<'_>,
    start: usize,
    ends: &mut Ends,
    behind: usize,
    piece_end: impl Fn(ClassedText<'_>, usize) -> usize,
) -> usize {
    let mut position = start;
    while position < text.end() && position < behind && !ends.is_full() {
        position = piece_end(text, position);
        ends.push(position);
    }
    position
}

#[cfg(test)]
mod tests;
