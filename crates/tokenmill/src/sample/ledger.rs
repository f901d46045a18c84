//! Every token and every place of the rows that come, counted: what is learned and how often, what is not, and why.

use super::comings::{Comings, Counts};
use super::documents::Documents;
use super::layout::{Layout, keep_places};
use super::window::Window;
use crate::error::Result;
use crate::monitor::{Monitor, Progress};
use std::collections::BTreeMap;

/// Rows whose comings are counted at once: 128 MB.
const COUNTED: u64 = 1 << 25;

/// What becomes of one source. Both sums hold:
///
/// - tokens = `learned` + `masked` + `openers` + `dropped` + `left_out`, of tokens;
/// - places = `learned` + `repeats` + `masked_places` + `padding`, of places for labels.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Tokens stored.
    pub tokens: u64,
    /// How many tokens are a label so many times: from once on.
    pub times: BTreeMap<u64, u64>,
    /// Tokens that are a label only where it is masked.
    pub masked: u64,
    /// Tokens that nothing comes before: the first of all, or of each document where windows stay within one.
    pub openers: u64,
    /// Tokens that no window has as a label.
    pub dropped: u64,
    /// Tokens that only rows which do not come have as a label.
    pub left_out: u64,
    /// Tokens that several windows have as a label.
    pub overlapped: u64,
    /// Rows that come.
    pub rows: u64,
    /// Places of all these rows.
    pub places: u128,
    /// Places whose label is masked: another document begins there.
    pub masked_places: u128,
}

impl Ledger {
    /// Tokens that are a label at least once.
    pub fn learned(&self) -> u64 {
        self.times.values().sum()
    }

    /// Places whose label another place has, too: windows overlap, or come again.
    pub fn repeats(&self) -> u128 {
        self.times.iter().map(|(&times, &tokens)| u128::from(times - 1) * u128::from(tokens)).sum()
    }

    /// Places without a label.
    pub fn padding(&self) -> u128 {
        self.places - u128::from(self.learned()) - self.repeats() - self.masked_places
    }
}

impl Layout {
    /// Counts the rows that come. `cuts`: into how many rows each stage cuts a window of this layout. Labels that begin a
    /// document are masked where `masked_at` gives the documents.
    ///
    /// # Errors
    /// The data is damaged, or the monitor stops it.
    pub fn ledger(
        &self,
        comings: &Comings<'_>,
        cuts: &[u64],
        masked_at: Option<&dyn Documents>,
        monitor: &dyn Monitor,
    ) -> Result<Ledger> {
        // Windows within documents have no label that begins one.
        let masked_at = if matches!(self, Layout::Concat(_)) { masked_at } else { None };
        let mut account = Account::new(self, cuts, masked_at);
        let step = (COUNTED / cuts.iter().sum::<u64>().max(1)).max(1);
        let count = self.count();
        let mut first = 0;
        while first < count {
            let end = first.saturating_add(step).min(count);
            monitor.tick(Progress { stage: "counting", unit: "windows", done: first, total: Some(count) })?;
            let counts = comings.count(first..end, cuts, monitor)?;
            for window in first..end {
                account.window(window, &counts)?;
            }
            first = end;
        }
        account.flush(u64::MAX)?;
        let mut ledger = account.ledger;
        (ledger.tokens, ledger.openers) = self.tokens_and_openers()?;
        ledger.dropped = ledger.tokens - ledger.openers - account.covered;
        Ok(ledger)
    }

    fn tokens_and_openers(&self) -> Result<(u64, u64)> {
        let documents = match self {
            Layout::Concat(windows) => return Ok((windows.num_tokens(), windows.num_tokens().min(1))),
            Layout::Document(windows) => windows.documents(),
            Layout::BestFit(rows) => rows.documents(),
            Layout::Cut(rows, _) => return rows.tokens_and_openers(),
        };
        let (mut tokens, mut openers) = (0, 0);
        for document in 0..documents.count() {
            let range = documents.range(document)?;
            tokens += range.end - range.start;
            openers += u64::from(!range.is_empty());
        }
        Ok((tokens, openers))
    }

    /// How many tokens no window has as a label, those aside that nothing comes before.
    ///
    /// # Errors
    /// The data is damaged.
    pub fn dropped_tokens(&self) -> Result<u64> {
        match self {
            Layout::Concat(windows) => Ok(windows.dropped_tokens()),
            Layout::Document(windows) => windows.dropped_tokens(),
            Layout::BestFit(_) => Ok(0),
            Layout::Cut(rows, _) => rows.dropped_tokens(),
        }
    }
}

/// What changes at a token: how many windows have it as a label, and how many rows that come.
#[derive(Default, Clone, Copy)]
struct Change {
    windows: i64,
    rows: i64,
}

/// Goes through the windows in their order, and through the tokens behind them.
struct Account<'a> {
    layout: &'a Layout,
    cuts: &'a [u64],
    documents: Option<Beginnings<'a>>,
    /// Changes at tokens that later windows may have as a label, too.
    changes: BTreeMap<u64, Change>,
    at: u64,
    now: Change,
    parts: Vec<Window>,
    covered: u64,
    ledger: Ledger,
}

impl<'a> Account<'a> {
    fn new(layout: &'a Layout, cuts: &'a [u64], documents: Option<&'a dyn Documents>) -> Account<'a> {
        Account {
            layout,
            cuts,
            documents: documents.map(|documents| Beginnings { documents, next: 0 }),
            changes: BTreeMap::new(),
            at: 0,
            now: Change::default(),
            parts: Vec::new(),
            covered: 0,
            ledger: Ledger::default(),
        }
    }

    fn window(&mut self, window: u64, counts: &Counts) -> Result<()> {
        let mut parts = std::mem::take(&mut self.parts);
        parts.clear();
        self.layout.get(window, &mut parts)?;
        // No later window begins before this one. Those of packed rows do, but share no token with it.
        let packed = matches!(self.layout, Layout::BestFit(_));
        self.flush(parts.first().filter(|_| !packed).map_or(u64::MAX, |first| first.start + 1))?;
        if self.cuts == [1] && !self.layout.overlaps() {
            self.alone(&parts, counts.get(0, window, 0))?;
        } else {
            for part in &parts {
                self.change(part, Change { windows: 1, rows: 0 });
            }
            self.rows(window, &parts, counts);
        }
        self.parts = parts;
        Ok(())
    }

    /// A window that is one row, whose tokens no other has as a label.
    fn alone(&mut self, parts: &[Window], times: u64) -> Result<()> {
        for part in parts {
            self.run(part.start + 1, part.start + 1 + part.valid, 1, times)?;
        }
        self.ledger.rows += times;
        self.ledger.places += u128::from(times) * u128::from(self.layout.max_length());
        Ok(())
    }

    /// The rows that stages cut the window into.
    fn rows(&mut self, window: u64, parts: &[Window], counts: &Counts) {
        let mut row = Vec::new();
        for (stage, &cut) in self.cuts.iter().enumerate() {
            let length = self.layout.max_length() / cut;
            for number in 0..cut {
                let times = counts.get(stage, window, number);
                if times == 0 {
                    continue;
                }
                row.clear();
                row.extend_from_slice(parts);
                keep_places(&mut row, 0, number * length..(number + 1) * length);
                for part in &row {
                    self.change(part, Change { windows: 0, rows: i64::try_from(times).unwrap_or(i64::MAX) });
                }
                self.ledger.rows += times;
                self.ledger.places += u128::from(times) * u128::from(length);
            }
        }
    }

    fn change(&mut self, part: &Window, by: Change) {
        for (token, sign) in [(part.start + 1, 1), (part.start + 1 + part.valid, -1)] {
            let change = self.changes.entry(token).or_default();
            change.windows += sign * by.windows;
            change.rows += sign * by.rows;
        }
    }

    /// Counts the tokens before `end`, which no later window has as a label.
    fn flush(&mut self, end: u64) -> Result<()> {
        while let Some(entry) = self.changes.first_entry().filter(|entry| *entry.key() < end) {
            let (token, change) = entry.remove_entry();
            if self.now.windows > 0 {
                self.run(self.at, token, self.now.windows, self.now.rows.unsigned_abs())?;
            }
            self.at = token;
            self.now.windows += change.windows;
            self.now.rows += change.rows;
        }
        Ok(())
    }

    /// Counts the tokens from `start` to `end`, labels of so many windows, `times` times of rows that come.
    fn run(&mut self, start: u64, end: u64, windows: i64, times: u64) -> Result<()> {
        let beginnings = self.documents.as_mut().map_or(Ok(0), |documents| documents.between(start, end))?;
        let (all, plain) = (end - start, end - start - beginnings);
        let ledger = &mut self.ledger;
        self.covered += all;
        if windows > 1 {
            ledger.overlapped += all;
        }
        if times == 0 {
            ledger.left_out += all;
            return Ok(());
        }
        ledger.masked += beginnings;
        ledger.masked_places += u128::from(beginnings) * u128::from(times);
        if plain > 0 {
            *ledger.times.entry(times).or_default() += plain;
        }
        Ok(())
    }
}

/// Where documents begin, looked at once from left to right.
struct Beginnings<'a> {
    documents: &'a dyn Documents,
    next: u64,
}

impl Beginnings<'_> {
    /// How many documents with tokens begin from `start` to `end`. `start` must not fall from call to call.
    fn between(&mut self, start: u64, end: u64) -> Result<u64> {
        let mut count = 0;
        while self.next < self.documents.count() {
            let range = self.documents.range(self.next)?;
            if range.start >= end {
                break;
            }
            count += u64::from(range.start >= start && !range.is_empty());
            self.next += 1;
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::super::comings::Order;
    use super::super::{BestFit, Curriculum, DocumentWindows, Plan, Shuffle, Tail, Windows, cut};
    use super::*;
    use proptest::prelude::*;
    use std::ops::Range;
    use std::sync::Arc;

    /// Each place of each row that comes, one by one.
    fn slow(
        plan: &Plan,
        curriculum: Option<(&Curriculum, &[u64])>,
        kept: &[Range<u64>],
        documents: &Vec<u64>,
        mask: bool,
    ) -> Ledger {
        let tokens = usize::try_from(documents.last().copied().unwrap_or(0)).unwrap();
        let (mut learned, mut masked, mut windows) = (vec![0u64; tokens], vec![0u64; tokens], vec![0u64; tokens]);
        let mut ledger = Ledger { tokens: tokens as u64, ..Ledger::default() };
        let labels = |layout: &Layout, row: u64| {
            let mut found: Vec<(usize, bool)> = Vec::new();
            let mut parts = Vec::new();
            layout.get(row, &mut parts).unwrap();
            for part in parts {
                let mut pieces = Vec::new();
                cut(documents, part, &mut pieces).unwrap();
                for piece in pieces {
                    let last = piece.start + piece.length;
                    found.extend(
                        (piece.start + 1..=last)
                            .map(|label| (usize::try_from(label).unwrap(), mask && piece.crosses && label == last)),
                    );
                }
            }
            found
        };
        for window in 0..plan.layout.count() {
            labels(&plan.layout, window).into_iter().for_each(|(label, _)| windows[label] += 1);
        }
        for sample in kept.iter().flat_map(Clone::clone) {
            let (layout, row) = match curriculum {
                None => (plan.layout.clone(), plan.at(&[sample])[0]),
                Some((curriculum, cuts)) => {
                    let (part, cut) = (curriculum.part(sample).unwrap(), cuts[curriculum.stage(sample)]);
                    (plan.layout.clone().cut(cut).unwrap(), plan.at(&[part.unit])[0] * cut + part.part)
                }
            };
            for (label, is_masked) in labels(&layout, row) {
                if is_masked { masked[label] += 1 } else { learned[label] += 1 }
            }
            ledger.rows += 1;
            ledger.places += u128::from(layout.max_length());
        }
        for token in 0..tokens {
            let number = token as u64;
            let opens = match plan.layout {
                Layout::Concat(_) => number == 0,
                _ => documents.range(documents.at(number).unwrap()).unwrap().start == number,
            };
            ledger.overlapped += u64::from(windows[token] > 1);
            ledger.masked_places += u128::from(masked[token]);
            match (learned[token], masked[token], windows[token]) {
                (0, 0, 0) if opens => ledger.openers += 1,
                (0, 0, 0) => ledger.dropped += 1,
                (0, 0, _) => ledger.left_out += 1,
                (0, ..) => ledger.masked += 1,
                (times, ..) => *ledger.times.entry(times).or_default() += 1,
            }
        }
        ledger
    }

    fn layouts(documents: &[u64], max_length: u64, stride: u64, tail: Tail) -> Vec<Layout> {
        let shared: Arc<dyn Documents> = Arc::new(documents.to_vec());
        let concat = Windows::new(documents[documents.len() - 1], max_length, stride, tail).map(Layout::Concat);
        let within = DocumentWindows::new(shared.clone(), max_length, stride, tail).map(Layout::Document);
        let packed = BestFit::pack(shared, &"0".repeat(64), max_length, &()).map(Layout::BestFit);
        [concat, within, packed].into_iter().flatten().collect()
    }

    proptest! {
        #[test]
        fn counts_are_those_of_looking_at_each_place(
            lengths in prop::collection::vec(0u64..20, 1..12), max_length in 1u64..9, stride in 1u64..12, mask: bool,
            tail in 0usize..3, shuffled: bool, seed: u64, bounds in prop::collection::btree_set(0u64..200, 0..9),
            cuts in prop::collection::vec(1u64..9, 1..4),
        ) {
            let ends: Vec<u64> = lengths.iter().scan(0, |end, length| { *end += length; Some(*end) }).collect();
            let tail = [Tail::Drop, Tail::Pad, Tail::Shift][tail];
            let bounds: Vec<u64> = bounds.into_iter().collect();
            let kept: Vec<Range<u64>> = bounds.chunks_exact(2).map(|pair| pair[0]..pair[1]).collect();
            let masked_at = mask.then_some(&ends as &dyn Documents);
            for layout in layouts(&ends, max_length, stride, tail) {
                let shuffle = if shuffled { Shuffle::Full } else { Shuffle::Off };
                let plan = Plan { layout, shuffle, seed };
                let comings = Comings::new(Order::Plan(&plan), None, &kept);
                let ledger = plan.layout.ledger(&comings, &[1], masked_at, &()).unwrap();
                prop_assert_eq!(&ledger, &slow(&plan, None, &kept, &ends, mask));
                prop_assert_eq!(ledger.dropped, plan.layout.dropped_tokens().unwrap());
                let sum = ledger.learned() + ledger.masked + ledger.openers + ledger.dropped + ledger.left_out;
                prop_assert_eq!(ledger.tokens, sum);

                let cuts: Vec<u64> = cuts.iter().copied().filter(|cut| max_length.is_multiple_of(*cut)).collect();
                let stages: Vec<(u64, u64)> = cuts
                    .iter()
                    .scan(0, |first, &cut| { let stage = (*first, cut); *first += 3 * cut; Some(stage) })
                    .collect();
                let Ok(curriculum) = Curriculum::new(&stages, None, 4) else { continue };
                let comings = Comings::new(Order::Plan(&plan), Some(&curriculum), &kept);
                let ledger = plan.layout.ledger(&comings, &cuts, masked_at, &()).unwrap();
                prop_assert_eq!(&ledger, &slow(&plan, Some((&curriculum, &cuts)), &kept, &ends, mask));
            }
        }
    }
}
