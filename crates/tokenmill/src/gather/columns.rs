//! Inputs, labels and what documents mean for attention, each in a buffer of its own.

use super::readahead::paced;
use super::widen::AHEAD;
use super::{Id, JOB_BYTES, PARALLEL_BYTES, Segments};
use crate::error::{Error, Result};
use crate::sample::{Documents, Piece, Window, cut};
use crate::threads;
use rayon::prelude::*;
use std::ops::Range;

/// The label of what is not to be learned: what PyTorch's cross-entropy ignores by default.
pub const IGNORED: i32 = -100;

/// The document id of padding.
pub const NO_DOCUMENT: i32 = -1;

/// Tokens, and where their documents end, where that matters.
#[derive(Debug)]
pub struct Source<'a> {
    /// The tokens.
    pub segments: Segments<'a>,
    /// Given: rows are marked where documents begin.
    pub documents: Option<&'a dyn Documents>,
}

/// What each row holds: windows of one source, from left to right; none where it is padding.
#[derive(Debug, Default)]
pub struct Rows {
    /// The windows of all rows.
    pub windows: Vec<Window>,
    /// The source of each row, and its windows.
    pub rows: Vec<(usize, Range<usize>)>,
}

/// Buffers of the caller's, each of as many rows, `max_length` wide.
#[derive(Debug)]
pub struct Columns<'a, T> {
    /// The tokens.
    pub input_ids: &'a mut [T],
    /// The token after each; [`IGNORED`] where there is none.
    pub labels: &'a mut [T],
    /// 0, 1, 2, ... from the beginning of each document in a row; 0 on padding.
    pub position_ids: Option<&'a mut [T]>,
    /// The same number, counted from 0 in each row, for tokens of one document; [`NO_DOCUMENT`] on padding.
    pub document_ids: Option<&'a mut [i32]>,
}

/// How a batch is to be filled.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    /// The width of a row.
    pub max_length: u64,
    /// What fills a row after its last input.
    pub pad_id: Option<i64>,
    /// Whether a label that is the first token of another document becomes [`IGNORED`].
    pub mask_boundaries: bool,
    /// From a disk, whole stretches of so many tokens are read; 1: the windows.
    pub stretch: u64,
}

/// Lengths of what attends to itself only, for attention of variable lengths: the documents of each row, and its padding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sequences {
    /// Where each begins in the batch read row by row, and at last the number of all places.
    pub starts: Vec<i32>,
    /// The longest.
    pub longest: i32,
}

/// Fills the buffers row after row. Large batches are shared among the threads of [`threads::pool`].
///
/// # Errors
/// A buffer has another size; a window is not in its source; an id does not fit `T`; a row needs padding and there is no
/// `pad_id`; the batch has 2^31 places or more, and documents are marked.
pub fn gather_columns<T: Id>(
    sources: &[Source<'_>],
    rows: &Rows,
    style: Style,
    columns: &mut Columns<'_, T>,
) -> Result<Option<Sequences>> {
    let width = checked_width(rows, style, columns)?;
    let pad = pad(style)?;
    let pieces = Pieces::new(sources, rows, style.max_length)?;
    let sequences = pieces.as_ref().map(|pieces| pieces.sequences(width)).transpose()?;
    let prefetch = |number: usize| {
        if let Some((source, windows)) = rows.rows.get(number) {
            rows.windows[windows.clone()].iter().for_each(|window| sources[*source].segments.prefetch(window));
        }
    };
    let fill = |(number, mut row): (usize, Row<'_, T>)| {
        let (source, windows) = &rows.rows[number];
        prefetch(number + AHEAD);
        let inputs = row.fill(&sources[*source].segments, &rows.windows[windows.clone()], pad)?;
        if let Some(pieces) = &pieces {
            row.mark(pieces.of_row(number), inputs, style.mask_boundaries);
        }
        Ok(())
    };
    let ask = || {
        for (number, source) in sources.iter().enumerate() {
            let of_source = rows.rows.iter().filter(|(of, _)| *of == number);
            source.segments.ask(of_source.flat_map(|(_, windows)| &rows.windows[windows.clone()]), style.stretch);
        }
    };
    paced(2 * columns.input_ids.len(), ask, || {
        (0..AHEAD).for_each(prefetch);
        if rows.rows.len() > 1 && 2 * size_of_val(columns.input_ids) >= PARALLEL_BYTES {
            let rows_per_job = (JOB_BYTES / (2 * width * size_of::<T>())).max(1);
            let jobs = columns.rows(width).collect::<Vec<_>>().into_par_iter().enumerate().with_min_len(rows_per_job);
            if threads::pool()?.install(|| jobs.try_for_each(fill)).is_ok() {
                return Ok(sequences);
            }
            // Some row failed, which one depends on the threads: go on to report the first.
        }
        columns.rows(width).enumerate().try_for_each(fill)?;
        Ok(sequences)
    })
}

/// The width, where all buffers have the right size.
fn checked_width<T: Id>(rows: &Rows, style: Style, columns: &Columns<'_, T>) -> Result<usize> {
    let width = usize::try_from(style.max_length).ok().filter(|&width| width > 0);
    let size = width.and_then(|width| width.checked_mul(rows.rows.len()));
    let right = |length: usize| Some(length) == size;
    let marks = columns.position_ids.as_ref().is_none_or(|ids| right(ids.len()))
        && columns.document_ids.as_ref().is_none_or(|ids| right(ids.len()));
    match width {
        Some(width) if marks && right(columns.input_ids.len()) && right(columns.labels.len()) => Ok(width),
        _ => Err(Error::value(format!(
            "the outputs must each have {} rows of max_length={}",
            rows.rows.len(),
            style.max_length
        ))),
    }
}

fn pad<T: Id>(style: Style) -> Result<Option<T>> {
    let fits =
        |id| T::try_from(id).map_err(|_| Error::value(format!("pad_id={id} does not fit the {} output", T::NAME)));
    style.pad_id.map(fits).transpose()
}

/// The pieces of documents that each row consists of.
struct Pieces {
    pieces: Vec<Piece>,
    ends: Vec<usize>,
}

impl Pieces {
    /// `None` where no source says where its documents are.
    fn new(sources: &[Source<'_>], rows: &Rows, max_length: u64) -> Result<Option<Pieces>> {
        if sources.iter().all(|source| source.documents.is_none()) {
            return Ok(None);
        }
        let (mut pieces, mut ends) = (Vec::new(), Vec::with_capacity(rows.rows.len()));
        for (source, windows) in &rows.rows {
            let documents = sources[*source].documents;
            let documents = documents.ok_or_else(|| Error::value("some sources have documents and some have none"))?;
            let first = pieces.len();
            for window in &rows.windows[windows.clone()] {
                cut(documents, *window, &mut pieces)?;
            }
            if pieces[first..].iter().map(|piece| piece.length).sum::<u64>() < max_length
                && let Some(last) = pieces[first..].last_mut()
            {
                last.length += 1; // its last target is an input, too: see `Row::fill`
            }
            ends.push(pieces.len());
        }
        Ok(Some(Pieces { pieces, ends }))
    }

    fn of_row(&self, row: usize) -> &[Piece] {
        &self.pieces[row.checked_sub(1).map_or(0, |before| self.ends[before])..self.ends[row]]
    }

    fn sequences(&self, width: usize) -> Result<Sequences> {
        let places = i32::try_from(width as u64 * self.ends.len() as u64);
        let places = places.map_err(|_| {
            Error::value("a batch of 2^31 tokens or more is too large for document masks, whose numbers are int32")
        })?;
        let mut starts = Vec::with_capacity(self.pieces.len() + self.ends.len() + 1);
        let mut longest = 0;
        for row in 0..self.ends.len() {
            // Both fit, as all places do.
            let mut at = row * width;
            for piece in self.of_row(row) {
                starts.push(i32::try_from(at).unwrap_or(places));
                at += usize::try_from(piece.length).unwrap_or(width);
            }
            if at < (row + 1) * width {
                starts.push(i32::try_from(at).unwrap_or(places));
            }
        }
        starts.push(places);
        for pair in starts.windows(2) {
            longest = longest.max(pair[1] - pair[0]);
        }
        Ok(Sequences { starts, longest })
    }
}

impl<T> Columns<'_, T> {
    /// One row of each buffer after another.
    fn rows(&mut self, width: usize) -> impl Iterator<Item = Row<'_, T>> {
        let mut positions = self.position_ids.as_deref_mut().map(|ids| ids.chunks_exact_mut(width));
        let mut documents = self.document_ids.as_deref_mut().map(|ids| ids.chunks_exact_mut(width));
        self.input_ids.chunks_exact_mut(width).zip(self.labels.chunks_exact_mut(width)).map(
            move |(input_ids, labels)| Row {
                input_ids,
                labels,
                position_ids: positions.as_mut().and_then(Iterator::next),
                document_ids: documents.as_mut().and_then(Iterator::next),
            },
        )
    }
}

struct Row<'a, T> {
    input_ids: &'a mut [T],
    labels: &'a mut [T],
    position_ids: Option<&'a mut [T]>,
    document_ids: Option<&'a mut [i32]>,
}

impl<T: Id> Row<'_, T> {
    /// Copies the windows, and pads. Returns the number of inputs.
    fn fill(&mut self, segments: &Segments<'_>, windows: &[Window], pad: Option<T>) -> Result<usize> {
        let mut at = 0;
        for window in windows {
            let end = usize::try_from(window.valid).ok().and_then(|valid| valid.checked_add(at));
            let end = end.filter(|&end| end <= self.labels.len()).ok_or_else(|| {
                Error::value(format!("the window at token {} is longer than max_length", window.start))
            })?;
            segments.copy(window.start, &mut self.input_ids[at..end])?;
            segments.copy(window.start.saturating_add(1), &mut self.labels[at..end])?;
            at = end;
        }
        if at < self.labels.len() {
            let pad = pad.ok_or_else(|| {
                let start = windows.last().map_or(0, |window| window.start);
                Error::value(format!("the window at token {start} is shorter than max_length: give pad_id"))
            })?;
            self.labels[at..].fill(IGNORED.into());
            if let Some(window) = windows.last() {
                // There is room for the last target as an input, which has no target of its own.
                segments.copy(window.start.saturating_add(window.valid), &mut self.input_ids[at..=at])?;
                at += 1;
            }
            self.input_ids[at..].fill(pad);
        }
        Ok(at)
    }

    fn mark(&mut self, pieces: &[Piece], inputs: usize, mask_boundaries: bool) {
        let mut at = 0;
        for (number, piece) in (0..).zip(pieces) {
            let end = usize::try_from(piece.length).map_or(inputs, |length| (at + length).min(inputs));
            if let Some(ids) = self.position_ids.as_deref_mut() {
                for (slot, position) in ids[at..end].iter_mut().zip(0i32..) {
                    *slot = position.into();
                }
            }
            if let Some(ids) = self.document_ids.as_deref_mut() {
                ids[at..end].fill(number);
            }
            if mask_boundaries && piece.crosses && end > at {
                self.labels[end - 1] = IGNORED.into();
            }
            at = end;
        }
        if let Some(ids) = self.position_ids.as_deref_mut() {
            ids[at..].fill(0i32.into());
        }
        if let Some(ids) = self.document_ids.as_deref_mut() {
            ids[at..].fill(NO_DOCUMENT);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokens::Tokens;

    const STYLE: Style = Style { max_length: 4, pad_id: Some(99), mask_boundaries: true, stretch: 1 };

    /// Rows of one window each, and their four columns.
    fn columns(
        ids: &[u16],
        ends: &Vec<u64>,
        windows: &[(u64, u64)],
        style: Style,
    ) -> Result<(Vec<Vec<i64>>, Sequences)> {
        let segments = Segments::new(ids.chunks(5).map(Tokens::U16).collect()).unwrap();
        let windows: Vec<Window> = windows.iter().map(|&(start, valid)| Window { start, valid }).collect();
        let rows = Rows { rows: (0..windows.len()).map(|row| (0, row..row + 1)).collect(), windows };
        let size = rows.rows.len() * usize::try_from(style.max_length).unwrap();
        let (mut inputs, mut labels, mut positions) = (vec![-7i64; size], vec![-7i64; size], vec![-7i64; size]);
        let mut documents = vec![-7i32; size];
        let mut buffers = Columns {
            input_ids: &mut inputs,
            labels: &mut labels,
            position_ids: Some(&mut positions),
            document_ids: Some(&mut documents),
        };
        let source = Source { segments, documents: Some(ends) };
        let sequences = gather_columns(&[source], &rows, style, &mut buffers)?.unwrap();
        Ok((vec![inputs, labels, positions, documents.into_iter().map(i64::from).collect()], sequences))
    }

    #[test]
    fn documents_are_marked_and_labels_across_them_masked() {
        let ids: Vec<u16> = (0..12).collect();
        let (columns, sequences) = columns(&ids, &vec![3, 3, 6, 12], &[(1, 4), (8, 3), (8, 2)], STYLE).unwrap();
        assert_eq!(columns[0], [1, 2, 3, 4, 8, 9, 10, 11, 8, 9, 10, 99]);
        assert_eq!(columns[1], [2, -100, 4, 5, 9, 10, 11, -100, 9, 10, -100, -100]);
        assert_eq!(columns[2], [0, 1, 0, 1, 0, 1, 2, 3, 0, 1, 2, 0]);
        assert_eq!(columns[3], [0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, -1]);
        assert_eq!(sequences, Sequences { starts: vec![0, 2, 4, 8, 11, 12], longest: 4 });
    }

    #[test]
    fn a_row_without_windows_is_padding() {
        let segments = Segments::new(vec![Tokens::U16(&[1, 2, 3])]).unwrap();
        let rows = Rows { windows: vec![Window { start: 0, valid: 2 }], rows: vec![(0, 0..0), (0, 0..1)] };
        let (mut inputs, mut labels, mut positions, mut documents) = ([-7i64; 8], [-7i64; 8], [-7i64; 8], [-7i32; 8]);
        let mut buffers = Columns {
            input_ids: &mut inputs,
            labels: &mut labels,
            position_ids: Some(&mut positions),
            document_ids: Some(&mut documents),
        };
        let ends = vec![3u64];
        let source = Source { segments, documents: Some(&ends) };
        let sequences = gather_columns(&[source], &rows, STYLE, &mut buffers).unwrap().unwrap();
        assert_eq!(inputs, [99, 99, 99, 99, 1, 2, 3, 99]);
        assert_eq!(labels, [-100, -100, -100, -100, 2, 3, -100, -100]);
        assert_eq!(positions, [0, 0, 0, 0, 0, 1, 2, 0]);
        assert_eq!(documents, [-1, -1, -1, -1, 0, 0, 0, -1]);
        assert_eq!(sequences, Sequences { starts: vec![0, 4, 7, 8], longest: 4 });
    }

    #[test]
    fn batches_shared_among_threads_equal_those_of_one() {
        let ids: Vec<u16> = (0..60_000).collect();
        let ends: Vec<u64> = (1..=1000).map(|i| i * 60).collect();
        let style = Style { max_length: 300, ..STYLE };
        let windows: Vec<(u64, u64)> = (0..400).map(|i| (i * 149, 300 - i % 3)).collect();
        assert!(400 * 300 * 2 * size_of::<i64>() >= PARALLEL_BYTES);
        let (together, _) = columns(&ids, &ends, &windows, style).unwrap();
        for (row, window) in windows.iter().enumerate() {
            let (alone, _) = columns(&ids, &ends, std::slice::from_ref(window), style).unwrap();
            for (all, one) in together.iter().zip(alone) {
                assert_eq!(all[row * 300..(row + 1) * 300], one);
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let (ids, ends) = ((0..12).collect::<Vec<u16>>(), vec![12u64]);
        let refused = |windows: &[(u64, u64)], style| columns(&ids, &ends, windows, style).unwrap_err().to_string();
        assert!(refused(&[(0, 5)], STYLE).contains("longer than max_length"));
        assert!(refused(&[(9, 3)], STYLE).contains("12"));
        assert!(refused(&[(0, 2)], Style { pad_id: None, ..STYLE }).contains("give pad_id"));
        assert!(refused(&[(0, 4)], Style { max_length: 0, ..STYLE }).contains("max_length=0"));
        let segments = Segments::new(vec![Tokens::U16(&ids)]).unwrap();
        let rows = Rows { windows: vec![Window { start: 0, valid: 4 }], rows: vec![(0, 0..1)] };
        let mut buffers =
            Columns { input_ids: &mut [0i64; 4], labels: &mut [0; 3], position_ids: None, document_ids: None };
        assert!(gather_columns(&[Source { segments, documents: None }], &rows, STYLE, &mut buffers).is_err());
    }
}
