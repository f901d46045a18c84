//! A file of what was left out: a line of JSON for each record, with its place, the reason, and the record itself.

use crate::documents::{Record as RejectedRecord, Rejected};
use crate::error::{Error, Result};
use crate::fs::{sync_folder, temporary_beside};
use crate::hex::to_hex;
use serde::Serialize;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// Written under another name until it is whole; dropped before, it leaves nothing.
pub(super) struct Quarantine {
    path: PathBuf,
    temporary: PathBuf,
    file: BufWriter<File>,
    finished: bool,
}

#[derive(Serialize)]
struct Line<'a> {
    input: &'a str,
    line: Option<u64>,
    byte: Option<u64>,
    reason: &'a str,
    #[serde(flatten)]
    record: Record<'a>,
}

#[derive(Serialize)]
enum Record<'a> {
    #[serde(rename = "record")]
    Text(&'a str),
    /// Not text: its bytes.
    #[serde(rename = "record_hex")]
    Bytes(String),
    /// Too long to be kept: its first byte in the input, and the one behind its last.
    #[serde(rename = "record_at")]
    At(u64, u64),
}

impl Quarantine {
    pub fn create(path: &Path) -> Result<Quarantine> {
        let temporary = temporary_beside(path)?;
        let file = BufWriter::new(File::create_new(&temporary).map_err(Error::io(path))?);
        Ok(Quarantine { path: path.into(), temporary, file, finished: false })
    }

    pub fn add(&mut self, rejected: &Rejected) -> Result<()> {
        let record = match &rejected.record {
            RejectedRecord::Bytes(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => Record::Text(text),
                Err(_) => Record::Bytes(to_hex(bytes)),
            },
            RejectedRecord::At(range) => Record::At(range.start, range.end),
        };
        let place = &rejected.place;
        let line = Line { input: &place.input, line: place.line, byte: place.byte, reason: &rejected.reason, record };
        serde_json::to_writer(&mut self.file, &line)
            .map_err(std::io::Error::from)
            .and_then(|()| self.file.write_all(b"\n"))
            .map_err(Error::io(&self.path))
    }

    /// Gives the file its name.
    pub fn finish(mut self) -> Result<()> {
        self.file.flush().and_then(|()| self.file.get_ref().sync_all()).map_err(Error::io(&self.path))?;
        fs::rename(&self.temporary, &self.path).map_err(Error::io(&self.path))?;
        self.finished = true;
        sync_folder(self.path.parent())
    }
}

impl Drop for Quarantine {
    fn drop(&mut self) {
        if !self.finished {
            // Already failing: what matters to the user is the first error.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}
