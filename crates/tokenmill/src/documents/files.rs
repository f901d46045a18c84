//! Files as a source of blocks: one thread reads ahead, hashes, decompresses and cuts, while the caller parses.

use super::compressed::{Compression, Hashed};
use super::cut::Cutter;
use super::long;
use super::queue::Queue;
use super::sizes::Sizes;
use super::{Block, BlockSource, GROUP_BYTES, Idle, InputRecord, Layout, PlannedInput, PositionUnit};
use crate::error::{Error, Place, Result};
use crate::spare::Spare;
use serde::{Deserialize, Serialize};
use std::cell::Cell;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The path that means standard input.
pub const STDIN: &str = "-";

/// Enough for a parser to run at full speed on one block, small enough that a handful lie in cache and memory.
const BLOCK_BYTES: usize = 1 << 20;

/// From so many bytes on a document comes in parts where that will do: about what is under way at once of others.
const LONG_BYTES: usize = 16 << 20;

/// How far the reading thread runs ahead, so that the group that the consumer takes next is ready when it asks.
const AHEAD_BYTES: usize = 2 * GROUP_BYTES;

/// Likewise, of one who takes blocks one by one: some milliseconds of the work of all others. All of it is memory that is touched
/// before the first block is done, which costs 4 µs a page.
const AHEAD_OF_ONE_BYTES: usize = 2 << 20;

/// What a message costs in the queue besides its bytes, so that a folder of empty files is bounded too.
const MESSAGE_BYTES: usize = 1 << 10;

/// How the files are to be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileOptions {
    /// `None`: by the name of each file.
    pub format: Option<Format>,
    /// Dotted path of the text in a JSON record, "text" by default.
    pub text_field: String,
    /// Text files: what ends a document; `None`: a file is a document.
    pub separator: Option<String>,
}

impl Default for FileOptions {
    fn default() -> Self {
        FileOptions { format: None, text_field: "text".into(), separator: None }
    }
}

/// What a file holds once decompressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Plain text.
    Text,
    /// JSON Lines.
    #[serde(rename = "jsonl")]
    JsonLines,
    /// Columns: Parquet, Arrow IPC, Feather. Libraries of other languages read them.
    Columns,
}

impl Format {
    /// The format that a file's name tells: `.txt`; `.jsonl`, `.ndjson`; each also with `.gz` or `.zst`; `.parquet`,
    /// `.arrow`, `.feather`, `.ipc`; in any case.
    pub fn of_path(path: &Path) -> Option<Format> {
        let name = lower_name(path);
        let (compression, name) = Compression::of_name(&name);
        match name.rsplit_once('.')?.1 {
            "txt" => Some(Format::Text),
            "jsonl" | "ndjson" => Some(Format::JsonLines),
            "parquet" | "arrow" | "feather" | "ipc" if compression == Compression::None => Some(Format::Columns),
            _ => None,
        }
    }
}

/// How a file divides into documents.
pub(super) fn layout_of(path: &Path, options: &FileOptions) -> Result<Layout> {
    let json = text_path(&options.text_field)?;
    let text = match &options.separator {
        None => Layout::Whole,
        Some(separator) if separator.is_empty() => {
            return Err(Error::value("the separator is empty; pass None to read each file as one document"));
        }
        Some(separator) => Layout::Separated(separator.as_str().into()),
    };
    match options.format.or_else(|| Format::of_path(path)) {
        Some(Format::Text) => Ok(text),
        Some(Format::JsonLines) => Ok(Layout::JsonLines(json)),
        Some(Format::Columns) | None => Err(unknown_format(path)),
    }
}

/// How a file is compressed, by its name.
pub(super) fn compression_of(path: &Path) -> Compression {
    Compression::of_name(&lower_name(path)).0
}

/// The last part of a path in lower case.
fn lower_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().to_lowercase()
}

/// Files, read one after the other.
pub struct FileSource {
    inputs: Arc<[Input]>,
    reading: Reading,
    spare: Arc<Spare<u8>>,
    /// `None` until the first block is asked for.
    queue: Option<Arc<Queue<Message>>>,
    finished: bool,
    total: Option<u64>,
    read: u64,
    records: Vec<InputRecord>,
}

/// How the thread reads.
#[derive(Debug, Clone, Copy)]
struct Reading {
    block_bytes: usize,
    /// Documents of this many bytes and more come in parts, if that is wanted.
    long_bytes: usize,
    in_parts: bool,
    /// Whether files are hashed and recorded.
    hash: bool,
}

/// One file, checked.
#[derive(Clone)]
struct Input {
    number: u32,
    /// `None`: standard input.
    path: Option<PathBuf>,
    name: Arc<str>,
    layout: Layout,
    compression: Compression,
    /// `None`: not a regular file.
    bytes: Option<u64>,
}

enum Message {
    /// A block, and the bytes read off the disk so far.
    Block(Block, u64),
    /// A file has been read to its end.
    End(Option<InputRecord>, u64),
    /// All files have.
    Done,
    Failed(Error),
}

impl FileSource {
    /// Opens nothing for reading yet; checks that every file exists, may be read and is of a known format.
    ///
    /// # Errors
    /// [`Error::Io`] for a file that cannot be opened, [`Error::Value`] for a folder, an unknown suffix, or
    /// options that cannot be right.
    pub fn new(paths: &[PathBuf], options: FileOptions) -> Result<FileSource> {
        Self::with_block_bytes(paths, &options, BLOCK_BYTES)
    }

    /// For tests: the same, with long documents of any size.
    #[cfg(test)]
    pub(crate) fn with_long_bytes(mut self, long_bytes: usize) -> FileSource {
        self.reading.long_bytes = long_bytes;
        self
    }

    /// The same, its files called otherwise, in their order: as where they were fetched from.
    #[must_use]
    pub fn called(mut self, names: &[String]) -> FileSource {
        let mut inputs = Vec::from_iter(self.inputs.iter().cloned());
        for (input, name) in inputs.iter_mut().zip(names) {
            input.name = name.as_str().into();
        }
        self.inputs = inputs.into();
        self
    }

    /// `new`, with blocks of any size.
    pub(crate) fn with_block_bytes(paths: &[PathBuf], options: &FileOptions, block_bytes: usize) -> Result<FileSource> {
        let mut total = Some(0u64);
        let mut inputs = Vec::with_capacity(paths.len());
        for path in paths {
            let layout = layout_of(path, options)?;
            let size = if path.as_os_str() == STDIN { None } else { check(path)? };
            total = total.zip(size).and_then(|(total, size)| total.checked_add(size));
            let number = u32::try_from(inputs.len())
                .map_err(|_| Error::value(format!("{} files are more than 2^32 - 1; join some", paths.len())))?;
            inputs.push(Input::new(number, path, layout, size));
        }
        if options.separator.is_some() && inputs.iter().all(|input| matches!(input.layout, Layout::JsonLines(_))) {
            return Err(Error::value("a separator divides plain text, and none of the files is that; leave it out"));
        }
        Ok(FileSource {
            inputs: inputs.into(),
            reading: Reading { block_bytes, long_bytes: LONG_BYTES, in_parts: false, hash: true },
            spare: Arc::default(),
            queue: None,
            finished: false,
            total,
            read: 0,
            records: Vec::new(),
        })
    }

    /// Starts the thread on first use: a source that is never read costs none, and survives a fork.
    fn queue(&mut self) -> Result<Arc<Queue<Message>>> {
        if let Some(queue) = &self.queue {
            return Ok(Arc::clone(queue));
        }
        let ahead = if self.reading.in_parts { AHEAD_OF_ONE_BYTES } else { AHEAD_BYTES };
        let queue = Arc::new(Queue::new(ahead));
        let (inputs, sender) = (Arc::clone(&self.inputs), Arc::clone(&queue));
        let (reading, spare) = (self.reading, Arc::clone(&self.spare));
        std::thread::Builder::new()
            .name("tokenmill-reader".into())
            .spawn(move || read_ahead(&inputs, &sender, reading, &spare))
            .map_err(|error| Error::value(format!("cannot start the thread that reads files: {error}")))?;
        Ok(Arc::clone(self.queue.insert(queue)))
    }
}

impl Input {
    fn new(number: u32, path: &Path, layout: Layout, bytes: Option<u64>) -> Input {
        if path.as_os_str() == STDIN {
            return Input { number, path: None, name: "<stdin>".into(), layout, compression: Compression::None, bytes };
        }
        let compression = compression_of(path);
        Input { number, path: Some(path.into()), name: path.display().to_string().into(), layout, compression, bytes }
    }
}

impl BlockSource for FileSource {
    fn next_block(&mut self, idle: Idle<'_>) -> Result<Option<Block>> {
        if self.finished {
            return Ok(None);
        }
        let queue = self.queue()?;
        loop {
            match queue.pop(idle)? {
                Some(Message::Block(block, read)) => {
                    self.read = read;
                    return Ok(Some(block));
                }
                Some(Message::End(record, read)) => {
                    self.read = read;
                    self.records.extend(record);
                }
                Some(Message::Failed(error)) => return Err(error),
                Some(Message::Done) => {
                    self.finished = true;
                    return Ok(None);
                }
                None => {
                    return Err(Error::value("reading ended at an error before; open the documents again"));
                }
            }
        }
    }

    fn bytes_read(&self) -> u64 {
        self.read
    }

    fn total_bytes(&self) -> Option<u64> {
        self.total
    }

    fn planned(&self) -> Vec<PlannedInput> {
        let planned = |input: &Input| PlannedInput {
            name: input.name.to_string(),
            layout: input.layout.to_string(),
            bytes: input.bytes,
        };
        self.inputs.iter().map(planned).collect()
    }

    fn inputs(&self) -> Vec<InputRecord> {
        self.records.clone()
    }

    fn only(&mut self, inputs: Range<usize>) -> Result<()> {
        let mut kept = Vec::from_iter(self.inputs.iter().skip(inputs.start).take(inputs.len()).cloned());
        for (number, input) in (0..).zip(&mut kept) {
            input.number = number;
        }
        self.total = kept.iter().map(|input| input.bytes).sum();
        self.inputs = kept.into();
        Ok(())
    }

    fn skip_inputs(&mut self) {
        self.reading.hash = false;
    }

    fn in_parts(&mut self, spare: &Arc<Spare<u8>>) {
        self.reading.in_parts = true;
        self.spare = Arc::clone(spare);
    }
}

impl Drop for FileSource {
    fn drop(&mut self) {
        // The thread sees this at its next block. Not joined: it may wait for standard input.
        if let Some(queue) = &self.queue {
            queue.close();
        }
    }
}

/// The body of the reading thread.
fn read_ahead(inputs: &[Input], queue: &Queue<Message>, reading: Reading, spare: &Arc<Spare<u8>>) {
    /// Wakes the consumer even if this thread panics.
    struct CloseAtEnd<'a>(&'a Queue<Message>);
    impl Drop for CloseAtEnd<'_> {
        fn drop(&mut self) {
            self.0.close();
        }
    }
    let _close = CloseAtEnd(queue);
    let read = Cell::new(0);
    // On disk and in blocks they are as many only where nothing is compressed.
    let bytes = |input: &Input| input.bytes.filter(|_| input.compression == Compression::None);
    let mut sizes = Sizes::new(reading.block_bytes, inputs.iter().map(bytes).sum());
    for input in inputs {
        match read_input(input, &read, queue, reading, &mut sizes, spare) {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                queue.push(Message::Failed(error), 0);
                return;
            }
        }
    }
    queue.push(Message::Done, 0);
}

/// Reads one file into the queue; `false` when nobody wants more.
fn read_input(
    input: &Input,
    read: &Cell<u64>,
    queue: &Queue<Message>,
    reading: Reading,
    sizes: &mut Sizes,
    spare: &Arc<Spare<u8>>,
) -> Result<bool> {
    let before = read.get();
    let path = input.path.as_deref();
    let Reading { block_bytes, long_bytes, in_parts, hash } = reading;
    // A text that fills a file is as long as the file: it need not be held to find that out.
    let is_long = input.bytes.is_some_and(|bytes| bytes >= long_bytes as u64);
    let fills_file = matches!(input.layout, Layout::Whole) && input.compression == Compression::None;
    let long_bytes = if is_long && fills_file { 0 } else { long_bytes };
    let mut cutter = Cutter::new(input.number, Arc::clone(&input.name), input.layout.clone(), block_bytes)
        .with_long(in_parts.then_some(long_bytes))
        .with_spare(Arc::clone(spare));
    let failed = |error, cutter: &Cutter| input.failed(error, read.get() - before, cutter.reached());

    let mut raw = Hashed::open(path, hash, read).map_err(|error| failed(error, &cutter))?;
    let mut bytes = input.compression.decode(&mut raw).map_err(|error| failed(error, &cutter))?;
    let mut push = |block: Block| {
        let weight = block.weight() + MESSAGE_BYTES;
        queue.push(Message::Block(block, read.get()), weight)
    };
    loop {
        cutter.set_block_bytes(sizes.next(read.get()));
        let wanted = match cutter.next(&mut bytes) {
            Ok(Some(block)) => Ok(push(block)),
            Ok(None) if cutter.in_long() => {
                long::read(&mut cutter, &mut bytes, block_bytes, &mut || sizes.next(read.get()), &mut push)
            }
            Ok(None) => break,
            Err(error) => Err(error),
        };
        if !wanted.map_err(|error| failed(error, &cutter))? {
            return Ok(false);
        }
    }
    drop(bytes);
    let record = raw.finish().map(|blake3| InputRecord {
        name: input.name.to_string(),
        position: PositionUnit::Byte,
        bytes: read.get() - before,
        blake3,
    });
    Ok(queue.push(Message::End(record, read.get()), MESSAGE_BYTES))
}

impl Input {
    /// What went wrong after `read` bytes off the disk, `reached` bytes into the decompressed input.
    fn failed(&self, error: io::Error, read: u64, reached: u64) -> Error {
        let reason = if error.kind() == io::ErrorKind::OutOfMemory {
            format!("the document around byte {reached} does not fit into memory; divide it")
        } else if self.compression != Compression::None && error.raw_os_error().is_none() {
            format!(
                "the {} data is damaged or cut short at about byte {read} of the file ({error}); \
                 fetch or compress the file again",
                self.compression.name()
            )
        } else {
            return Error::Io { path: self.path.clone().unwrap_or_else(|| "<stdin>".into()), source: error };
        };
        Error::Document { place: Place { input: self.name.to_string(), line: None, byte: None }, reason }
    }
}

/// The size of a regular file, `None` for pipes and devices; an error for what cannot be read.
fn check(path: &Path) -> Result<Option<u64>> {
    let metadata = std::fs::metadata(path).map_err(Error::io(path))?;
    if metadata.is_dir() {
        return Err(Error::value(format!("{} is a folder where a file is expected", path.display())));
    }
    if !metadata.is_file() {
        // Opening a pipe would wait for its writer.
        return Ok(None);
    }
    File::open(path).map_err(Error::io(path))?;
    Ok(Some(metadata.len()))
}

/// "meta.text" -> ["meta", "text"].
fn text_path(text_field: &str) -> Result<Arc<[String]>> {
    let keys: Vec<String> = text_field.split('.').map(String::from).collect();
    if keys.iter().any(String::is_empty) {
        return Err(Error::value(format!(
            "text_field {text_field:?} is not a path of keys; write it like \"text\" or \"document.text\""
        )));
    }
    Ok(keys.into())
}

fn unknown_format(path: &Path) -> Error {
    if path.as_os_str() == STDIN {
        return Error::value("standard input has no suffix that tells its format; pass format=\"text\" or \"jsonl\"");
    }
    let remedy = if Format::of_path(path) == Some(Format::Columns) {
        "read it with pyarrow and pass the table to Documents.from_arrow"
    } else {
        "known are .txt, .jsonl and .ndjson, also with .gz or .zst; for others pass format=\"text\" or \"jsonl\""
    };
    Error::value(format!("{}: the suffix does not tell the format; {remedy}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_dropped_early_ends_its_thread() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        std::fs::write(&path, "{\"text\":\"x\"}\n".repeat(2 << 20)).unwrap();
        let mut source = FileSource::new(&[path], FileOptions::default()).unwrap();
        source.next_block(&|| Ok(())).unwrap().unwrap();
        let queue = source.queue().unwrap();
        drop(source);
        // The thread's handle on the queue goes when the thread does.
        while Arc::strong_count(&queue) > 1 {
            std::thread::yield_now();
        }
    }
}
