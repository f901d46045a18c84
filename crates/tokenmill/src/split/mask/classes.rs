//! The classes of the characters of a window: a bit for every byte of them.

use super::WINDOW;
use super::block::Block;
use crate::unicode::{Class, ClassedText};

/// Bit `i` is about byte `i` of the window; every byte of a character outside ASCII has the bit of its class.
#[derive(Debug, Clone, Copy)]
pub(super) struct Masks {
    /// `\p{Lu}` and `\p{Lt}`
    pub upper: u64,
    /// `\p{Ll}`
    pub lower: u64,
    /// `\p{L}`
    pub letter: u64,
    /// `\p{M}`
    pub mark: u64,
    /// `\p{N}`
    pub number: u64,
    /// `\s`
    pub space: u64,
    /// `\r` and `\n`
    pub newline: u64,
    /// U+0020
    pub blank: u64,
    /// U+0027
    pub apostrophe: u64,
    /// `/`
    pub slash: u64,
    /// Bytes of characters outside ASCII,
    pub high: u64,
    /// and all but the first byte of each.
    pub continuing: u64,
}

impl Masks {
    /// Of the window of `text` that begins at `position`. What the caller does not use is not computed: this is inlined.
    #[inline(always)]
    pub(super) fn of<B: Block>(window: &[u8; WINDOW], text: ClassedText<'_>, position: usize) -> Masks {
        let block = B::load(window);
        let newline = block.equal(b'\n') | block.equal(b'\r');
        let blank = block.equal(b' ');
        let mut masks = Masks {
            upper: block.within(b'A', b'Z'),
            lower: block.within(b'a', b'z'),
            letter: block.letters(),
            mark: 0,
            number: block.within(b'0', b'9'),
            space: blank | block.within(b'\t', b'\r'),
            newline,
            blank,
            apostrophe: block.equal(b'\''),
            slash: block.equal(b'/'),
            high: block.high(),
            continuing: 0,
        };
        if masks.high != 0 {
            masks.continuing = block.continuing();
            masks.add_wide(text, position);
        }
        masks
    }

    /// The characters outside ASCII, one at a time.
    #[inline(always)]
    fn add_wide(&mut self, text: ClassedText<'_>, position: usize) {
        let mut by_class = [0_u64; Class::COUNT];
        let mut leads = self.high & !self.continuing;
        while leads != 0 {
            let at = leads.trailing_zeros();
            let (class, length) = text.wide_class(position + at as usize);
            // What does not fit falls off at the top.
            by_class[class as usize] |= ((1 << length) - 1) << at;
            leads &= leads - 1;
        }
        let of = |class: Class| by_class[class as usize];
        self.upper |= of(Class::Upper);
        self.lower |= of(Class::Lower);
        self.letter |= of(Class::Upper) | of(Class::Lower) | of(Class::Caseless);
        self.mark |= of(Class::Mark);
        self.number |= of(Class::Number);
        self.space |= of(Class::Space);
    }

    /// Blanks behind something else than white space. Every pattern begins a piece there, and what is before does not depend on
    /// what is behind (see `cuts`). They are found in a fraction of the time that the rules take.
    #[inline(always)]
    pub(super) fn cuts(&self) -> u64 {
        self.blank & !(self.space << 1) & !1
    }

    /// The bits of `starts` that may be trusted: those before `unclear`, and of white space that reaches up to there
    /// only the first, as the rest depends on what follows it.
    #[inline(always)]
    pub(super) fn sure(&self, unclear: u32) -> u64 {
        let above = u64::BITS - unclear;
        // `space` moved to the top, so that the run before `unclear` is that of the leading ones. Nothing is before
        // bit 0, where `unclear` is 0: a shift by 64 is none.
        let run = if unclear == 0 { 0 } else { (self.space << above).leading_ones() };
        let known = unclear - run.min(unclear);
        let reach = if run > 0 { known + 1 } else { known };
        if reach >= u64::BITS { u64::MAX } else { (1 << reach) - 1 }
    }
}
