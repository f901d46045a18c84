//! One document out of the middle of a file.

use super::compressed::Compression;
use super::cut::Cutter;
use super::files::{FileOptions, compression_of, layout_of};
use super::{Block, Layout};
use crate::error::{Error, Place, Result};
use crate::monitor::{Monitor, Progress};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

/// Enough for most documents; a longer one doubles it until it fits.
const BLOCK_BYTES: usize = 16 << 10;

/// Decompressed between two looks at the monitor, in some 10 to 50 ms.
const STEP_BYTES: u64 = 8 << 20;

/// The text of the document whose record begins at byte `position` of the file at `path`, read as with `options`. The time
/// is that of the document, wherever it lies, but in a compressed file that of decompressing all before it. And whether it is
/// the string of a JSON record, which has escapes.
///
/// # Errors
/// [`Error::Io`]: the file cannot be read. [`Error::Value`]: it has columns. [`Error::Document`]: no document begins there.
pub fn document_at(path: &Path, options: &FileOptions, position: u64, monitor: &dyn Monitor) -> Result<(String, bool)> {
    let layout = layout_of(path, options)?;
    let is_record = matches!(layout, Layout::JsonLines(_));
    let mut file = File::open(path).map_err(Error::io(path))?;
    let compression = compression_of(path);
    let mut reader: Box<dyn Read + '_> = if compression == Compression::None {
        file.seek(SeekFrom::Start(position)).map_err(Error::io(path))?;
        Box::new(&mut file)
    } else {
        let mut reader = compression.decode(&mut file).map_err(Error::io(path))?;
        skip(&mut reader, position, path, monitor)?;
        reader
    };
    let name: Arc<str> = path.display().to_string().into();
    let nothing = || Error::Document {
        place: Place { input: name.to_string(), line: None, byte: Some(position) },
        reason: "no document begins here".into(),
    };
    let mut cutter = Cutter::new(0, Arc::clone(&name), layout, BLOCK_BYTES).starting_at(position);
    let block = cutter.next(&mut reader).map_err(Error::io(path))?.ok_or_else(nothing)?;
    let documents = first_record(block).parse()?;
    if documents.is_empty() { Err(nothing()) } else { Ok((documents.get(0).to_string(), is_record)) }
}

/// Reads on to a position; not to it where the file ends before.
fn skip(mut reader: &mut dyn Read, position: u64, path: &Path, monitor: &dyn Monitor) -> Result<()> {
    let mut done = 0;
    while done < position {
        let step = (position - done).min(STEP_BYTES);
        let read = io::copy(&mut (&mut reader).take(step), &mut io::sink()).map_err(Error::io(path))?;
        if read < step {
            break;
        }
        done += read;
        monitor.tick(Progress { stage: "decompressing", unit: "bytes", done, total: Some(position) })?;
    }
    Ok(())
}

/// The block without what follows its first record.
fn first_record(mut block: Block) -> Block {
    let end = match &block.layout {
        Layout::Whole | Layout::Texts(_) | Layout::Part(_) => None,
        Layout::JsonLines(_) => memchr::memchr(b'\n', &block.bytes).map(|at| at + 1),
        Layout::Separated(separator) => {
            memchr::memmem::find(&block.bytes, separator.as_bytes()).map(|at| at + separator.len())
        }
    };
    block.bytes.truncate(end.unwrap_or(block.bytes.len()));
    block
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::documents::{BlockSource, FileSource};
    use std::fs;
    use std::io::Write;

    fn check(name: &str, bytes: &[u8], options: &FileOptions) -> usize {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        let mut source = FileSource::new(std::slice::from_ref(&path), options.clone()).unwrap();
        let mut count = 0;
        while let Some(block) = source.next_block(&|| Ok(())).unwrap() {
            let documents = block.parse().unwrap();
            for (text, position) in documents.iter().zip(&documents.positions) {
                assert_eq!(document_at(&path, options, *position, &()).unwrap().0, text, "{name}, byte {position}");
                count += 1;
            }
        }
        count
    }

    #[test]
    fn every_document_is_found_by_its_position() {
        let separated = |text: &str| FileOptions { separator: Some(text.into()), ..FileOptions::default() };
        let long = "x".repeat(3 * BLOCK_BYTES);
        assert_eq!(check("a.txt", b"one document", &FileOptions::default()), 1);
        assert_eq!(check("a.txt", b"", &FileOptions::default()), 1);
        assert_eq!(check("a.txt", "\u{feff}\u{feff}two marks".as_bytes(), &FileOptions::default()), 1);
        assert_eq!(check("a.txt", format!("\u{feff}a--{long}----b--c").as_bytes(), &separated("--")), 5);
        let records = format!("{{\"text\":\"a\"}}\r\n\n{{\"text\":\"{long}\"}}\n{{\"text\":\"\\u00e4\"}}");
        assert_eq!(check("a.jsonl", records.as_bytes(), &FileOptions::default()), 3);
        // Compressed: several members and frames, and positions behind the first step.
        let record = |number: usize| format!("{{\"text\":\"{number}{}\"}}\n", "y".repeat(1 << 20));
        let [first, last] = [0..5, 5..10].map(|numbers| numbers.map(record).collect::<String>());
        let frame = |bytes: &str| zstd::encode_all(bytes.as_bytes(), 1).unwrap();
        assert_eq!(check("a.jsonl.zst", &[frame(&first), frame(&last)].concat(), &FileOptions::default()), 10);
        let members = [gzip(first.as_bytes()), gzip(last.as_bytes())].concat();
        assert_eq!(check("a.jsonl.gz", &members, &FileOptions::default()), 10);
        assert_eq!(check("a.txt.gz", &gzip("\u{feff}a--b----c".as_bytes()), &separated("--")), 4);
        assert_eq!(check("a.txt.zst", &frame("one document"), &FileOptions::default()), 1);
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// Ctrl-C at the first look.
    struct Interrupt;

    impl Monitor for Interrupt {
        fn tick(&self, _progress: Progress) -> Result<()> {
            Err(Error::Caller("interrupted".into()))
        }
    }

    #[test]
    fn a_long_way_through_a_compressed_file_can_be_interrupted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt.gz");
        fs::write(&path, gzip(&vec![b'a'; 20 << 20])).unwrap();
        let error = document_at(&path, &FileOptions::default(), 19 << 20, &Interrupt).unwrap_err();
        assert!(matches!(error, Error::Caller(_)), "{error}");
    }

    #[test]
    fn what_cannot_be_read_there_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            fs::write(&path, bytes).unwrap();
            path
        };
        let cases = [
            (path("a.jsonl.gz", b""), 0, "the file is empty"),
            (path("b.jsonl.gz", &gzip(b"{}\n")), 100, "byte 100: no document begins here"),
            (path("c.jsonl.gz", &gzip(b"{}\n")[..12]), 100, "c.jsonl.gz"),
            (path("a.jsonl", b"{\"text\": \"a\"}\n"), 100, "byte 100: no document begins here"),
            (path("b.jsonl", b"{\"text\": \"a\"}\n"), 3, "invalid JSON"),
            (path("c.parquet", b""), 0, "the suffix does not tell the format"),
            (folder.path().join("none.txt"), 0, "none.txt"),
        ];
        for (path, position, reason) in cases {
            let error = document_at(&path, &FileOptions::default(), position, &()).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
