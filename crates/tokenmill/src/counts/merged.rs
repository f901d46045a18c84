//! Sorted counts from several places, as one.

use super::file::{Fault, Header, Reader, Writer};
use super::{Pieces, Visit};
use crate::error::{Error, Result};
use crate::fs::write_atomically;
use crate::unicode::ClassTable;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// What is called with a piece and what is known of it.
type VisitRow<'a, T> = &'a mut dyn FnMut(&[u8], &T) -> Result<()>;

/// Files of counts that belong together. A source of one name in two files is one source.
#[derive(Debug, Clone)]
pub struct CountsFiles {
    paths: Vec<PathBuf>,
    header: Header,
    /// For each file: which source each of its columns is.
    columns: Vec<Vec<usize>>,
    /// How often what was seen once in a source counts.
    weights: Vec<u64>,
}

impl CountsFiles {
    /// Reads the headers.
    ///
    /// # Errors
    /// [`Error::Format`] for what is no file of counts; [`Error::Value`] for counts that do not belong together.
    pub fn open(paths: &[PathBuf]) -> Result<CountsFiles> {
        let mut merged: Option<(Header, &Path)> = None;
        let mut columns = Vec::new();
        for path in paths {
            let header = open(path)?.header;
            let (merged, first) =
                merged.get_or_insert_with(|| (Header { sources: Vec::new(), ..header.clone() }, path));
            check_alike(merged, first, &header, path)?;
            let known = &mut merged.sources;
            columns.push(
                header
                    .sources
                    .into_iter()
                    .map(|source| {
                        known.iter().position(|name| *name == source).unwrap_or_else(|| {
                            known.push(source);
                            known.len() - 1
                        })
                    })
                    .collect(),
            );
        }
        let (header, _) = merged.ok_or_else(|| Error::value("no file of counts is given"))?;
        let weights = vec![1; header.sources.len()];
        Ok(CountsFiles { paths: paths.to_vec(), header, columns, weights })
    }

    /// What was counted.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Whether the texts would be cut into the same pieces now, with this pattern.
    pub fn check(&self, pattern: &str) -> Result<()> {
        let now = Header { pattern: pattern.into(), unicode: ClassTable::get().fingerprint(), ..self.header.clone() };
        if self.header.pattern != now.pattern {
            return Err(Error::value(format!(
                "the counts are of pieces that the pattern {:?} cuts, and the tokenizer is to cut by {:?}; \
                 leave the pattern out, or count the texts again",
                self.header.pattern, now.pattern
            )));
        }
        if self.header.unicode != now.unicode {
            return Err(Error::value(format!(
                "the counts were made with another version of Unicode (tables {}, here {}), which may cut texts \
                 otherwise; count the texts again",
                self.header.unicode, now.unicode
            )));
        }
        Ok(())
    }

    /// What was seen once in the source counts `weight` times; 0 leaves it out.
    pub fn set_weight(&mut self, source: &str, weight: u64) -> Result<()> {
        let sources = &self.header.sources;
        let column = sources.iter().position(|name| name == source).ok_or_else(|| {
            Error::value(format!("there is no source named {source:?} in the counts; there are {sources:?}"))
        })?;
        self.weights[column] = weight;
        Ok(())
    }

    /// Writes all into one file. Weights do not count: they belong to a training, not to what was counted.
    pub fn save(&self, path: &Path) -> Result<()> {
        let mut fault = None;
        let written = write_atomically(path, |out| {
            let mut writer = Writer::new(out, &self.header)?;
            let result = self.each_by_source(&mut |piece, counts| writer.push(piece, counts).map_err(Error::io(path)));
            fault = result.err();
            match fault {
                Some(_) => Err(std::io::Error::other("what is to be written cannot be read")),
                None => writer.finish(),
            }
        });
        fault.map_or(written, Err)
    }

    /// Calls `visit(piece, counts)` with a count for each source, in the order of the pieces' bytes.
    pub fn each_by_source(&self, visit: VisitRow<'_, [u64]>) -> Result<()> {
        let readers = self.paths.iter().map(|path| open(path)).collect::<Result<Vec<_>>>()?;
        let mut sums = vec![0u64; self.header.sources.len()];
        merge(readers, |file, fault| fault.of(&self.paths[file]), &mut |piece, rows| {
            sums.fill(0);
            for (file, counts) in rows {
                for (column, count) in self.columns[*file].iter().zip(counts) {
                    sums[*column] = sums[*column].checked_add(*count).ok_or_else(too_often)?;
                }
            }
            visit(piece, &sums)
        })
    }
}

impl Pieces for CountsFiles {
    fn each(&self, visit: Visit<'_>) -> Result<()> {
        self.each_by_source(&mut |piece, counts| {
            let count = counts.iter().zip(&self.weights).try_fold(0u64, |sum, (count, weight)| {
                count.checked_mul(*weight).and_then(|weighted| sum.checked_add(weighted)).ok_or_else(too_often)
            })?;
            if count > 0 { visit(piece, count) } else { Ok(()) }
        })
    }
}

fn open(path: &Path) -> Result<Reader<File>> {
    Reader::new(File::open(path).map_err(Error::io(path))?).map_err(|fault| fault.of(path))
}

fn too_often() -> Error {
    Error::value("a piece occurs more than 2^64 times; lower the weights")
}

fn check_alike(first: &Header, first_path: &Path, other: &Header, path: &Path) -> Result<()> {
    let differ = |what: &str, one: &str, two: &str| {
        Error::value(format!(
            "{} and {} cannot be counted together: the {what} is {one:?} in one and {two:?} in the other; \
             count the texts of one again",
            first_path.display(),
            path.display()
        ))
    };
    if first.pattern != other.pattern {
        return Err(differ("pattern", &first.pattern, &other.pattern));
    }
    if first.unicode != other.unicode {
        return Err(differ("version of Unicode", &first.unicode, &other.unicode));
    }
    Ok(())
}

/// Sorted runs in temporary files that nobody else sees.
#[derive(Debug)]
pub(super) struct Runs {
    files: Vec<File>,
    header: Header,
    folder: PathBuf,
}

/// Files that are open at once; more are merged first.
const MOST_RUNS: usize = 64;

impl Runs {
    /// Runs in `folder`.
    pub(super) fn new(folder: &Path) -> Runs {
        let header =
            Header { version: 1, pattern: String::new(), unicode: String::new(), sources: vec![String::new()] };
        Runs { files: Vec::new(), header, folder: folder.into() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Adds a run: `each` gives the pieces in order.
    pub(super) fn add(
        &mut self,
        each: impl FnOnce(&mut dyn FnMut(&[u8], u64) -> Result<()>) -> Result<()>,
    ) -> Result<()> {
        if self.files.len() == MOST_RUNS {
            let merged = self.write(|push| self.each(&mut |piece, count| push(piece, count)))?;
            self.files = vec![merged];
        }
        let file = self.write(each)?;
        self.files.push(file);
        Ok(())
    }

    fn write(&self, each: impl FnOnce(&mut dyn FnMut(&[u8], u64) -> Result<()>) -> Result<()>) -> Result<File> {
        let file = tempfile::tempfile_in(&self.folder).map_err(Error::io(&self.folder))?;
        let io = |error| Error::Io { path: self.folder.clone(), source: error };
        let mut out = BufWriter::new(file);
        let mut writer = Writer::new(&mut out as &mut dyn Write, &self.header).map_err(io)?;
        each(&mut |piece, count| writer.push(piece, &[count]).map_err(io))?;
        writer.finish().map_err(io)?;
        out.into_inner().map_err(|error| io(error.into_error()))
    }

    /// Calls `visit(piece, count)` for each piece, in order.
    pub(super) fn each(&self, visit: Visit<'_>) -> Result<()> {
        let fault = |fault: Fault| fault.of(&self.folder);
        let mut readers = Vec::with_capacity(self.files.len());
        for mut file in &self.files {
            file.seek(SeekFrom::Start(0)).map_err(Error::io(&self.folder))?;
            readers.push(Reader::new(file).map_err(fault)?);
        }
        merge(
            readers,
            |_, error| fault(error),
            // Below 2^64: that many pieces are in no text.
            &mut |piece, rows| visit(piece, rows.iter().map(|(_, counts)| counts[0]).sum()),
        )
    }
}

/// Calls `visit(piece, rows)` for each distinct piece in order; `rows`: the number of each reader that has it, and its
/// counts there.
fn merge<R: Read>(
    mut readers: Vec<Reader<R>>,
    error: impl Fn(usize, Fault) -> Error,
    visit: VisitRow<'_, [(usize, Vec<u64>)]>,
) -> Result<()> {
    let count = readers.len();
    let mut heap = BinaryHeap::with_capacity(count);
    let mut rows: Vec<(usize, Vec<u64>)> = Vec::new();
    // The reader that gave the smallest piece gives another: its buffers go round.
    let mut refill = |number: usize, mut piece: Vec<u8>, mut counts: Vec<u64>, heap: &mut BinaryHeap<_>| {
        if let Some((next, next_counts)) = readers[number].next().map_err(|fault| error(number, fault))? {
            piece.clear();
            piece.extend_from_slice(next);
            counts.clear();
            counts.extend_from_slice(next_counts);
            heap.push(Reverse((piece, number, counts)));
        }
        Ok(())
    };
    for number in 0..count {
        refill(number, Vec::new(), Vec::new(), &mut heap)?;
    }
    while let Some(Reverse((piece, number, counts))) = heap.pop() {
        rows.push((number, counts));
        let mut spare = Vec::new();
        while let Some(Reverse((other, ..))) = heap.peek()
            && *other == piece
            && let Some(Reverse((other, number, counts))) = heap.pop()
        {
            rows.push((number, counts));
            spare.push(other);
        }
        visit(&piece, &rows)?;
        spare.push(piece);
        for ((number, counts), piece) in rows.drain(..).zip(spare) {
            refill(number, piece, counts, &mut heap)?;
        }
    }
    Ok(())
}
