//! What hard texts are made of, and texts out of any bytes: a fuzzer's, or a property test's.

/// One or more of every class and every literal in the patterns: the letters of the contractions (small, capital and
/// U+017F, which folds to s), title case, modifier, other letters, a mark, three kinds of number, white space of one, two and
/// three bytes, line ends, the apostrophe, other marks and the slash.
pub const ALPHABET: [char; 29] = [
    's', 't', 'm', 'd', 'l', 'v', 'e', 'r', 'S', 'A', 'ʰ', 'ǅ', '中', '\u{301}', '1', '²', '٣', ' ', '\t', '\n', '\r',
    '\u{a0}', '\u{85}', '\u{2028}', '\'', '.', '/', 'ſ', '😀',
];

/// What random strings are made of besides `ALPHABET`: more capitals of contractions, characters that fold oddly,
/// look-alike apostrophes, joiners, letters of four bytes, the ends of the encoding lengths, unassigned and private
/// characters.
pub const MORE: [char; 34] = [
    'L',
    'V',
    'E',
    'R',
    'T',
    'M',
    'D',
    'İ',
    'ı',
    'K',
    'ß',
    'é',
    'я',
    'Я',
    'あ',
    'ア',
    '한',
    'ª',
    'Ⅷ',
    '’',
    '-',
    '_',
    '𝒜',
    '𐐨',
    '𠀀',
    '𝟘',
    '\u{200d}',
    '\u{fe0f}',
    '\u{7f}',
    '\u{7ff}',
    '\u{800}',
    '\u{ffff}',
    '\u{e000}',
    '\u{10ffff}',
];

/// Known cases that have broken other implementations.
pub const FRAGMENTS: [&str; 46] = [
    "HTTPResponse",
    "can'ts",
    "3'ts",
    "'ſ",
    "it'ſ",
    " 's",
    "I'LL'VE",
    "you'rE0",
    "we'vEa",
    ".\n//",
    "。\n\n",
    "a  \r\n\r\n  b",
    "\u{a0}\u{301}a",
    "\t\u{301}a",
    "\u{a0}a",
    "12345678",
    " 1234",
    "x \n \n y",
    "x \n ",
    "\r\n ",
    "'re're",
    "''s",
    "word.\r\n\n//x",
    "e\u{301}'S",
    "\u{301}\u{301}x",
    "ǅa'd",
    "  \u{2028} ",
    "\u{85}\n",
    "{return(a+b)};",
    "YWJjZGVmZ2hpamtsbW5v+/==",
    "中文字的一是不了人我在有他这",
    "これは日本語の文章です。",
    "яеошяеош",
    "हिन्दी",
    "한국어",
    "👩\u{200d}👩\u{200d}👧",
    "<|endoftext|>",
    "\u{0}\u{0}",
    "don't",
    " the",
    "    ",
    "0000",
    "://",
    "^^^^",
    "é",
    "\u{fffd}",
];

/// Writing systems, code, line ends, numbers: something of everything, for prefixes and suffixes.
pub const SAMPLE: &str = "Hello, world! I'm sure they'll say it's what WE'VE done; don't you'D 'tis it'ſ.\r\n\
    \tif (x[i] != 0x1F600) { return foo->bar(12345678, 3.14e-10); }  // trailing  \n\n\n\
    Zażółć gęślą jaźń. Straße İstanbul ǅ ﬁne e\u{301}te\u{301}. Съешь же ещё этих мягких булок. Ελληνικά.\n\
    これは日本語の文章です。\u{3000}中文文本，没有空格。한국어 문장입니다. हिन्दी ไทย עברית العربية ١٢٣٤ 𝒜𐐨𠀀\n\
    👍🏽 👩\u{200d}👩\u{200d}👧 ½ ²³ Ⅷ €£¥ …—–‘’“”\u{a0}\u{2003}\u{2028}x\u{85}y\u{200b}z https://e.org/a?c=d&e=%20f#g__h--i\n\
    0 00 000 0000 1,000,000 a1b22c333d4444 \u{0}\u{1}\u{7f}   \n \n  \r\n \r \n\t \u{1c}HTTPResponse can'ts 3'ts \t  ";

/// Lengths around the sizes that encoders cut by: registers, cache keys, blocks, the switch between merge algorithms.
pub const LENGTHS: [usize; 13] = [14, 15, 16, 17, 31, 32, 33, 63, 64, 65, 99, 100, 101];

/// Choices out of bytes; zeros when they run out.
pub struct Source<'a>(&'a [u8]);

impl<'a> Source<'a> {
    pub fn new(bytes: &'a [u8]) -> Source<'a> {
        Source(bytes)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().map_or((0, self.0), |(first, rest)| (*first, rest));
        self.0 = rest;
        first
    }

    /// Below `count`, which is not 0.
    pub fn below(&mut self, count: usize) -> usize {
        let low = usize::from(self.byte());
        if count <= 256 { low % count } else { (low << 8 | usize::from(self.byte())) % count }
    }

    /// True once in `count` times.
    pub fn once_in(&mut self, count: usize) -> bool {
        // Not at 0, which is what a source that has run dry gives.
        self.below(count) == 1
    }

    pub fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// How often something is repeated: mostly once or a few times, sometimes about one of `LENGTHS`.
    pub fn times(&mut self) -> usize {
        match self.below(8) {
            0..=4 => 1,
            5 => 1 + self.below(5),
            6 => 1 + self.below(40),
            _ => self.one_of(&LENGTHS),
        }
    }

    /// Appends a part of a text: a character (of the alphabets or any), a fragment, or one of `known`; repeated.
    pub fn append(&mut self, known: &[&str], text: &mut String) {
        let mut buffer = [0; 4];
        let part: &str = match self.below(8) {
            0 | 1 => self.one_of(&ALPHABET).encode_utf8(&mut buffer),
            2 => self.one_of(&MORE).encode_utf8(&mut buffer),
            3 => self.one_of(&FRAGMENTS),
            4 => {
                let code = u32::from(self.byte()) << 16 | u32::from(self.byte()) << 8 | u32::from(self.byte());
                char::from_u32(code % 0x11_0000).unwrap_or('\u{fffd}').encode_utf8(&mut buffer)
            }
            5 => char::from(b' ' + self.byte() % 95).encode_utf8(&mut buffer),
            _ if known.is_empty() => " ",
            _ => self.one_of(known),
        };
        for _ in 0..self.times() {
            text.push_str(part);
        }
    }

    /// A text of at most about `limit` bytes and `parts` parts.
    pub fn text(&mut self, parts: usize, limit: usize, known: &[&str]) -> String {
        let mut text = String::new();
        for _ in 0..parts {
            if self.is_empty() || text.len() >= limit {
                break;
            }
            self.append(known, &mut text);
        }
        text
    }
}

/// splitmix64: random bytes for tests that need many, the same on every run.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ x >> 31
    }

    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next() as u8).collect()
    }

    /// `count` words of 1 to `longest` letters, a space before each.
    pub fn words(&mut self, count: usize, longest: u64) -> String {
        let mut text = String::new();
        for _ in 0..count {
            text.push(' ');
            for _ in 0..=self.next() % longest {
                text.push(char::from(b'a' + (self.next() % 26) as u8));
            }
        }
        text
    }
}
