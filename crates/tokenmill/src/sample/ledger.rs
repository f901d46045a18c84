//! Every token and every place of an epoch, counted: what is learned, and what is not, and why.

use super::documents::Documents;
use super::layout::Layout;
use super::window::Windows;
use crate::error::Result;

/// One epoch over one source. Both sums below hold:
///
/// - tokens = `learned` + `masked` + `openers` + `dropped`, of tokens;
/// - windows * `max_length` = `learned` + `repeats` + `masked_places` + `padding`, of places for labels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Tokens stored.
    pub tokens: u64,
    /// Rows.
    pub windows: u64,
    /// Tokens that are a label at least once.
    pub learned: u64,
    /// Tokens that are a label only where it is masked.
    pub masked: u64,
    /// Tokens that nothing comes before: the first of all, or of each document where windows stay within one.
    pub openers: u64,
    /// Tokens that no window has as a label.
    pub dropped: u64,
    /// Places whose label another place has, too (windows overlap).
    pub repeats: u128,
    /// Places whose label is masked: another document begins there.
    pub masked_places: u128,
    /// Places without a label.
    pub padding: u128,
}

impl Layout {
    /// Counts an epoch. Labels that begin a document are masked where `masked_at` gives the documents.
    ///
    /// Reads where all documents end, except for windows over all tokens without masks.
    ///
    /// # Errors
    /// The data is damaged.
    pub fn ledger(&self, masked_at: Option<&dyn Documents>) -> Result<Ledger> {
        let mut ledger = match self {
            Layout::Concat(windows) => of_windows(windows, masked_at)?,
            Layout::Document(all) => {
                let mut sum = Ledger::default();
                for document in 0..all.documents().count() {
                    let range = all.documents().range(document)?;
                    let windows =
                        Windows::possibly_none(range.end - range.start, all.max_length(), all.stride(), all.tail());
                    sum.add(&of_windows(&windows, None)?);
                }
                sum
            }
            Layout::BestFit(rows) => {
                let mut sum = Ledger { windows: rows.count(), ..Ledger::default() };
                for document in 0..rows.documents().count() {
                    let range = rows.documents().range(document)?;
                    sum.tokens += range.end - range.start;
                    sum.openers += u64::from(!range.is_empty());
                }
                // Every transition is in some row.
                sum.learned = sum.tokens - sum.openers;
                sum
            }
        };
        let places = u128::from(ledger.windows) * u128::from(self.max_length());
        ledger.padding = places - u128::from(ledger.learned) - ledger.repeats - ledger.masked_places;
        Ok(ledger)
    }
}

impl Ledger {
    fn add(&mut self, other: &Ledger) {
        self.tokens += other.tokens;
        self.windows += other.windows;
        self.learned += other.learned;
        self.openers += other.openers;
        self.dropped += other.dropped;
        self.repeats += other.repeats;
    }
}

/// All but the padding.
fn of_windows(windows: &Windows, masked_at: Option<&dyn Documents>) -> Result<Ledger> {
    let openers = windows.num_tokens().min(1);
    let mut ledger = Ledger {
        tokens: windows.num_tokens(),
        windows: windows.count(),
        openers,
        dropped: windows.dropped_tokens(),
        ..Ledger::default()
    };
    if let Some(documents) = masked_at {
        for document in 0..documents.count() {
            let range = documents.range(document)?;
            if range.start > 0 && !range.is_empty() {
                let times = windows.times_a_target(range.start);
                ledger.masked += u64::from(times > 0);
                ledger.masked_places += u128::from(times);
            }
        }
    }
    ledger.learned = ledger.tokens - openers - ledger.dropped - ledger.masked;
    ledger.repeats = windows.targets() - u128::from(ledger.learned) - ledger.masked_places;
    Ok(ledger)
}

#[cfg(test)]
mod tests {
    use super::super::{BestFit, DocumentWindows, Tail, cut};
    use super::*;
    use proptest::prelude::*;
    use std::sync::Arc;

    /// Each place of each row, one by one.
    fn slow(layout: &Layout, documents: &Vec<u64>, mask: bool, within: bool) -> Ledger {
        let tokens = documents.last().copied().unwrap_or(0);
        let (mut learned, mut masked) = (vec![0u64; tokens as usize], vec![0u64; tokens as usize]);
        let mut places = 0;
        for i in 0..layout.count() {
            let mut windows = Vec::new();
            layout.get(i, &mut windows).unwrap();
            for window in windows {
                let mut pieces = Vec::new();
                cut(documents, window, &mut pieces).unwrap();
                for piece in pieces {
                    for label in piece.start + 1..=piece.start + piece.length {
                        let crosses = piece.crosses && label == piece.start + piece.length;
                        if crosses && mask { masked[label as usize] += 1 } else { learned[label as usize] += 1 }
                    }
                }
            }
            places += layout.max_length();
        }
        let opens = |token: u64| {
            if within { documents.range(documents.at(token).unwrap()).unwrap().start == token } else { token == 0 }
        };
        let count = |test: &dyn Fn(usize) -> bool| (0..tokens as usize).filter(|&token| test(token)).count() as u64;
        let all: u64 = learned.iter().chain(&masked).sum();
        Ledger {
            tokens,
            windows: layout.count(),
            learned: count(&|token| learned[token] > 0),
            masked: count(&|token| learned[token] == 0 && masked[token] > 0),
            openers: count(&|token| opens(token as u64)),
            dropped: count(&|token| learned[token] + masked[token] == 0 && !opens(token as u64)),
            repeats: learned.iter().map(|&times| u128::from(times.saturating_sub(1))).sum(),
            masked_places: masked.iter().map(|&times| u128::from(times)).sum(),
            padding: u128::from(places - all),
        }
    }

    proptest! {
        #[test]
        fn counts_are_those_of_looking_at_each_place(
            lengths in prop::collection::vec(0u64..20, 1..12), max_length in 1u64..9, stride in 1u64..12, mask: bool, tail in 0usize..3,
        ) {
            let documents: Vec<u64> = lengths.iter().scan(0, |end, length| { *end += length; Some(*end) }).collect();
            let shared: Arc<dyn Documents> = Arc::new(documents.clone());
            let tail = [Tail::Drop, Tail::Pad, Tail::Shift][tail];
            if let Ok(windows) = Windows::new(documents[documents.len() - 1], max_length, stride, tail) {
                let layout = Layout::Concat(windows);
                let masked_at = mask.then_some(&*shared);
                prop_assert_eq!(layout.ledger(masked_at).unwrap(), slow(&layout, &documents, mask, false));
            }
            if let Ok(windows) = DocumentWindows::new(shared.clone(), max_length, stride, tail) {
                let layout = Layout::Document(windows);
                prop_assert_eq!(layout.ledger(None).unwrap(), slow(&layout, &documents, mask, true));
            }
            if let Ok(rows) = BestFit::pack(shared, &"0".repeat(64), max_length, &()) {
                let layout = Layout::BestFit(rows);
                prop_assert_eq!(layout.ledger(None).unwrap(), slow(&layout, &documents, mask, true));
            }
        }
    }
}
