//! Training and validation documents, told apart by what they say and never by where they stand.

use super::text_hash::TextHash;
use crate::error::{Error, Result};

/// The two parts of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Split {
    /// What a model is trained on.
    Train,
    /// What it never sees, to tell how well it does.
    Validation,
}

impl Split {
    /// In the order of their numbers.
    pub(super) const ALL: [Split; 2] = [Split::Train, Split::Validation];

    /// "train" or "validation".
    pub fn name(self) -> &'static str {
        match self {
            Split::Train => "train",
            Split::Validation => "validation",
        }
    }

    /// What the names of its shards begin with.
    pub(super) fn shard_prefix(self) -> &'static str {
        match self {
            Split::Train => "shard",
            Split::Validation => "validation",
        }
    }
}

/// Puts a document into a split by its text alone: one more document elsewhere moves none, the same text is never on
/// both sides, and a larger fraction keeps what a smaller one had.
///
/// The first 8 bytes of the SHA-256 of the text, as a little-endian number, are below `fraction` of 2^64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Splitter {
    below: u64,
}

impl Splitter {
    /// `fraction` of the documents, on average, are for validation: at least 0 and below 1.
    pub fn new(fraction: f64) -> Result<Splitter> {
        if !(0.0..1.0).contains(&fraction) {
            return Err(Error::value(format!("val_fraction is {fraction}; it must be at least 0 and below 1")));
        }
        // Exact but for the digits below 1: scaling by a power of two changes no bit of the fraction.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below 2^64, and not negative")]
        let below = (fraction * 2f64.powi(64)) as u64;
        Ok(Splitter { below })
    }

    /// The splits that there are.
    pub(super) fn splits(self) -> &'static [Split] {
        if self.below == 0 { &[Split::Train] } else { &Split::ALL }
    }

    /// The split of a document whose text has this hash: with the SHA-256, where there are two splits.
    pub fn split(self, text: &TextHash) -> Result<Split> {
        if self.below == 0 {
            return Ok(Split::Train);
        }
        let [a, b, c, d, e, f, g, h, ..] = *text.sha256()?;
        let number = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
        Ok(if number < self.below { Split::Validation } else { Split::Train })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fraction_is_kept_on_average_and_a_larger_one_keeps_what_a_smaller_one_had() {
        let texts: Vec<String> = (0..20_000).map(|i| format!("document {i}")).collect();
        let chosen = |fraction: f64| -> Vec<&String> {
            let splitter = Splitter::new(fraction).unwrap();
            texts
                .iter()
                .filter(|text| splitter.split(&TextHash::of(text, true)).unwrap() == Split::Validation)
                .collect()
        };
        let (few, more) = (chosen(0.1), chosen(0.3));
        assert!((1_850..2_150).contains(&few.len()) && (5_800..6_200).contains(&more.len()));
        assert!(few.iter().all(|text| more.contains(text)));
        assert!(chosen(0.0).is_empty());
        assert_eq!(chosen(0.999_999_999).len(), texts.len());
    }

    #[test]
    fn fractions_outside_0_to_1_are_refused() {
        for fraction in [-0.1, 1.0, 2.0, f64::NAN, f64::INFINITY] {
            let error = Splitter::new(fraction).unwrap_err().to_string();
            assert!(error.contains("at least 0 and below 1"), "{error}");
        }
    }
}
