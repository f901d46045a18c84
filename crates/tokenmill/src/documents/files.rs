//! Files as a source of blocks.
use super::{Block, BlockSource, InputRecord};
use crate::error::Result;

/// How the files are to be read.
#[derive(Debug, Clone, Default)]
pub struct FileOptions {
    /// `None`: by the name of each file.
    pub format: Option<Format>,
    /// Dotted path of the text in a JSON record, "text" by default.
    pub text_field: String,
    /// Text files: what ends a document; `None`: a file is a document.
    pub separator: Option<String>,
}

/// What a file holds once decompressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Plain text.
    Text,
    /// JSON Lines.
    JsonLines,
}

/// Files, read one after the other.
pub struct FileSource {}

impl FileSource {
    /// Opens nothing yet; checks that every file exists and is of a known format.
    pub fn new(_paths: &[std::path::PathBuf], _options: FileOptions) -> Result<FileSource> {
        Ok(FileSource {})
    }
}

impl BlockSource for FileSource {
    fn next_block(&mut self) -> Result<Option<Block>> {
        Ok(None)
    }
    fn bytes_read(&self) -> u64 {
        0
    }
    fn total_bytes(&self) -> Option<u64> {
        None
    }
    fn inputs(&self) -> Vec<InputRecord> {
        Vec::new()
    }
}
