//! Words back to text. The white space is lost, so this is a reader's convention, not an inverse.

/// No space before these.
const CLOSING: &[&str] = &[",", ".", ":", ";", "?", "!", ")", "]", "}", "%", "…", "’", "”", "»"];
/// No space after these.
const OPENING: &[&str] = &["(", "[", "{", "‘", "“", "«", "¿", "¡", "$", "£", "€"];
/// No space on either side.
const TIGHT: &[&str] = &["--", "—", "/", "_", "@"];
/// What may follow an apostrophe without a space: "don't", "I'll".
const SUFFIXES: &[&str] = &["s", "t", "d", "m", "ll", "re", "ve"];

/// `[("Hello", false), (",", false), ("world", false)]` → `Hello, world`.
pub(super) fn join<'a>(words: impl Iterator<Item = (&'a str, bool)>) -> String {
    let mut text = String::new();
    let mut before = Before::Start;
    for (word, special) in words {
        let quote = word == "\"" && !special;
        let closes = quote && before.inside_quotes();
        if before.wants_space() && !(closes || (!special && hugs_left(word)) || before.joins(word)) {
            text.push(' ');
        }
        text.push_str(word);
        before = before.then(word, special, quote);
    }
    text
}

fn hugs_left(word: &str) -> bool {
    word == "'" || CLOSING.contains(&word) || TIGHT.contains(&word)
}

/// What the next word finds to its left.
#[derive(Clone, Copy)]
enum Before {
    Start,
    Word { quoted: bool },
    Apostrophe { quoted: bool },
    Opening { quoted: bool },
}

impl Before {
    fn inside_quotes(self) -> bool {
        match self {
            Before::Start => false,
            Before::Word { quoted } | Before::Apostrophe { quoted } | Before::Opening { quoted } => quoted,
        }
    }

    fn wants_space(self) -> bool {
        matches!(self, Before::Word { .. } | Before::Apostrophe { .. })
    }

    /// The second half of a contraction.
    fn joins(self, word: &str) -> bool {
        matches!(self, Before::Apostrophe { .. }) && SUFFIXES.iter().any(|suffix| suffix.eq_ignore_ascii_case(word))
    }

    fn then(self, word: &str, special: bool, quote: bool) -> Before {
        let quoted = self.inside_quotes() != quote;
        if special {
            Before::Word { quoted }
        } else if word == "'" {
            Before::Apostrophe { quoted }
        } else if (quote && quoted) || OPENING.contains(&word) || TIGHT.contains(&word) {
            Before::Opening { quoted }
        } else {
            Before::Word { quoted }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::join;

    fn joined(words: &str) -> String {
        join(words.split(' ').map(|word| (word, word.starts_with("[U"))))
    }

    #[test]
    fn text_reads_as_it_was_written() {
        assert_eq!(joined("Hello , world !"), "Hello, world!");
        assert_eq!(
            joined("He said , \" I don ' t know ( yet ) . \" Then -- silence ."),
            "He said, \"I don't know (yet).\" Then--silence."
        );
        assert_eq!(joined("the boys ' room costs $ 5"), "the boys' room costs $5");
        assert_eq!(joined("[UNK] , world"), "[UNK], world");
        assert_eq!(joined("a [UNK] b"), "a [UNK] b");
    }
}
