//! Character classes, as the patterns of the GPT family see them.
//!
//! The table is filled at first use from the tables of `regex-syntax`, the Unicode data behind `fancy-regex` and so
//! behind tiktoken: the scanners agree with that engine by construction, and an update of one is an update of both.

use regex_syntax::hir::{Class as HirClass, HirKind};
use std::ops::RangeInclusive;
use std::sync::LazyLock;

/// What a character is to a scanner. Every character is in exactly one class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Class {
    /// None of the others: punctuation, symbols, controls, unassigned.
    Other,
    /// `\s` without the two of `Newline`.
    Space,
    /// `\r` and `\n`.
    Newline,
    /// `\p{N}`
    Number,
    /// `\p{Lu}` and `\p{Lt}`
    Upper,
    /// `\p{Ll}`
    Lower,
    /// `\p{Lm}` and `\p{Lo}`: letters without case, most of the world's scripts.
    Caseless,
    /// `\p{M}`
    Mark,
}

impl Class {
    /// How many classes there are.
    pub const COUNT: usize = 8;

    /// All of them, by number.
    const ALL: [Class; Class::COUNT] = [
        Class::Other,
        Class::Space,
        Class::Newline,
        Class::Number,
        Class::Upper,
        Class::Lower,
        Class::Caseless,
        Class::Mark,
    ];

    /// `\p{L}`
    pub fn is_letter(self) -> bool {
        matches!(self, Class::Upper | Class::Lower | Class::Caseless)
    }

    /// `\s`
    pub fn is_space(self) -> bool {
        matches!(self, Class::Space | Class::Newline)
    }

    /// `[^\s\p{L}\p{N}]`
    pub fn is_symbol(self) -> bool {
        matches!(self, Class::Other | Class::Mark)
    }

    /// `[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]`, the head of a word for gpt4o.
    pub fn is_head(self) -> bool {
        matches!(self, Class::Upper | Class::Caseless | Class::Mark)
    }

    /// `[\p{Ll}\p{Lm}\p{Lo}\p{M}]`, the tail of a word for gpt4o.
    pub fn is_tail(self) -> bool {
        matches!(self, Class::Lower | Class::Caseless | Class::Mark)
    }
}

/// What is of which class, the last that says so: \r and \n are also in \s.
const SOURCES: [(&str, Class); 7] = [
    (r"\s", Class::Space),
    (r"[\r\n]", Class::Newline),
    (r"\p{N}", Class::Number),
    (r"[\p{Lu}\p{Lt}]", Class::Upper),
    (r"\p{Ll}", Class::Lower),
    (r"[\p{Lm}\p{Lo}]", Class::Caseless),
    (r"\p{M}", Class::Mark),
];

/// Code points that share a page.
const PAGE: usize = 256;

/// Pages of all code points.
const PAGES: usize = 0x11_0000 / PAGE;

/// Class of every code point in two levels: pages, of which those of one class are stored once (45 KiB in all).
pub struct ClassTable {
    /// The first 128 again, for one load.
    ascii: [Class; 128],
    page_of: Vec<u16>,
    /// Those of each class alone come first.
    pages: Vec<[Class; PAGE]>,
}

impl ClassTable {
    /// The table of this process.
    pub fn get() -> &'static ClassTable {
        static TABLE: LazyLock<ClassTable> = LazyLock::new(ClassTable::build);
        &TABLE
    }

    /// Tells tables apart: what text is cut into depends on them, and they change with versions of Unicode.
    pub fn fingerprint(&self) -> String {
        use sha2::{Digest, Sha256};
        let mut sha256 = Sha256::new();
        for page in &self.page_of {
            sha256.update(self.pages[usize::from(*page)].map(|class| class as u8));
        }
        crate::hex::to_hex(&sha256.finalize()[..8])
    }

    /// The class of one code point.
    #[inline]
    pub fn class(&self, character: char) -> Class {
        self.class_of_code(character as u32)
    }

    #[inline(always)]
    fn class_of_code(&self, code: u32) -> Class {
        let code = code as usize;
        self.pages[usize::from(self.page_of[code >> 8])][code & 0xFF]
    }

    /// Page by page, not code point by code point: a process waits for it before its first piece.
    fn build() -> ClassTable {
        let mut table = ClassTable {
            ascii: [Class::Other; 128],
            page_of: vec![Class::Other as u16; PAGES],
            pages: Class::ALL.map(|class| [class; PAGE]).into(),
        };
        for (expression, class) in SOURCES {
            for (first, last) in ranges(expression) {
                let (first, last) = (first as usize, last as usize);
                for page in first / PAGE..=last / PAGE {
                    let start = page * PAGE;
                    table.fill(page, first.max(start) - start..=last.min(start + PAGE - 1) - start, class);
                }
            }
        }
        let ascii = table.pages[usize::from(table.page_of[0])];
        table.ascii.copy_from_slice(&ascii[..128]);
        table
    }

    /// Gives places of a page a class.
    fn fill(&mut self, page: usize, places: RangeInclusive<usize>, class: Class) {
        if places == (0..=PAGE - 1) {
            self.page_of[page] = class as u16;
            return;
        }
        let mut number = usize::from(self.page_of[page]);
        if number < Class::COUNT {
            self.pages.push(self.pages[number]);
            number = self.pages.len() - 1;
            // At most `PAGES` and those of `Class::COUNT` exist.
            self.page_of[page] = u16::try_from(number).unwrap_or(u16::MAX);
        }
        self.pages[number][places].fill(class);
    }
}

/// The code points of a character class written as a regular expression.
fn ranges(expression: &str) -> Vec<(char, char)> {
    match regex_syntax::parse(expression).map(|hir| hir.into_kind()) {
        Ok(HirKind::Class(HirClass::Unicode(class))) => {
            class.ranges().iter().map(|range| (range.start(), range.end())).collect()
        }
        // `regex_syntax` turns small ASCII-only classes into bytes.
        Ok(HirKind::Class(HirClass::Bytes(class))) => {
            class.ranges().iter().map(|range| (char::from(range.start()), char::from(range.end()))).collect()
        }
        other => unreachable!("{expression} is a character class: {other:?}"),
    }
}

/// UTF-8 text with the class of the character at any boundary.
#[derive(Clone, Copy)]
pub struct ClassedText<'a> {
    text: &'a str,
    table: &'static ClassTable,
}

impl<'a> ClassedText<'a> {
    /// Wraps a text.
    pub fn new(text: &'a str) -> Self {
        ClassedText { text, table: ClassTable::get() }
    }

    /// The bytes.
    #[inline]
    pub fn bytes(&self) -> &'a [u8] {
        self.text.as_bytes()
    }

    /// The end of the text: its length in bytes.
    #[inline]
    pub fn end(&self) -> usize {
        self.text.len()
    }

    /// Class and end of the character that starts at `position`; `None` at the end of the text.
    #[inline(always)]
    pub fn at(&self, position: usize) -> Option<(Class, usize)> {
        match *self.bytes().get(position)? {
            byte @ 0..0x80 => Some((self.table.ascii[usize::from(byte)], position + 1)),
            _ => self.wide_at(position),
        }
    }

    /// `at`, for a character outside ASCII: apart, so that `at` is small enough to stand in every loop.
    fn wide_at(&self, position: usize) -> Option<(Class, usize)> {
        let (class, length) = self.wide_class(position);
        Some((class, position + length))
    }

    /// Class and length in bytes of the character outside ASCII that starts at `position`.
    #[inline(always)]
    pub fn wide_class(&self, position: usize) -> (Class, usize) {
        let bytes = &self.bytes()[position..];
        let six = |index: usize| u32::from(bytes[index]) & 0x3F;
        let first = u32::from(bytes[0]);
        // Valid UTF-8, as the text is a `str`: the first byte tells the length, and the others are there.
        let (code, length) = match first {
            0xF0.. => ((first & 0x07) << 18 | six(1) << 12 | six(2) << 6 | six(3), 4),
            0xE0.. => ((first & 0x0F) << 12 | six(1) << 6 | six(2), 3),
            _ => ((first & 0x1F) << 6 | six(1), 2),
        };
        (self.table.class_of_code(code), length)
    }

    /// The class at `position`, if it satisfies `wanted`.
    #[inline(always)]
    pub fn is(&self, position: usize, wanted: impl Fn(Class) -> bool) -> bool {
        self.at(position).is_some_and(|(class, _)| wanted(class))
    }

    /// End of the longest run of characters from `position` that all satisfy `wanted`.
    #[inline(always)]
    pub fn run(&self, mut position: usize, wanted: impl Fn(Class) -> bool) -> usize {
        while let Some((class, end)) = self.at(position)
            && wanted(class)
        {
            position = end;
        }
        position
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_point_has_the_class_that_the_expressions_say() {
        let mut want = vec![Class::Other; 0x11_0000];
        for (expression, class) in SOURCES {
            for (first, last) in ranges(expression) {
                want[first as usize..=last as usize].fill(class);
            }
        }
        let table = ClassTable::get();
        assert!((0..).zip(&want).all(|(code, class)| table.class_of_code(code) == *class));
        assert_eq!(table.ascii, want[..128]);
        assert!(Class::ALL.iter().enumerate().all(|(number, class)| *class as usize == number));
    }
}
