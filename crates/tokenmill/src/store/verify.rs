//! Checks every byte of a store and says what is wrong, where. Does not stop at the first problem.

use super::append;
use super::manifest::{CHANGED, Manifest};
use super::plan::Plan;
use super::sealed::{self, Hash, from_hex, sha256};
use super::shard::{ShardEntry, ShardRecord, Table, record_name, texts_name};
use super::split::Split;
use super::verify_blocks::{BlockTask, FileTask};
use super::{MANIFEST, PLAN, ShardFile, TOKENIZER};
use crate::error::{Error, Result};
use crate::formats::tokenizer_json;
use crate::hex::to_hex;
use crate::monitor::{Monitor, Progress};
use crate::threads;
use rayon::prelude::*;
use std::collections::BTreeSet;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// What `verify` found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Everything that is wrong, in the order of the shards; empty for a sound store.
    pub problems: Vec<Problem>,
    /// Files of the store that were looked at.
    pub files: u64,
    /// Bytes of shard data that were read and hashed.
    pub bytes: u64,
    /// Tokens of all splits, as the manifest has it.
    pub tokens: u64,
    /// Documents of all splits, as the manifest has it.
    pub documents: u64,
}

impl Report {
    /// Whether the store is sound.
    pub fn is_ok(&self) -> bool {
        self.problems.is_empty()
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file's name in the store.
    pub file: String,
    /// Which 4 MiB block of the file, counted from 0; `None`: the file as a whole.
    pub block: Option<u64>,
    /// The damaged bytes of the file, as narrow as is known.
    pub bytes: Option<Range<u64>>,
    /// What is wrong.
    pub reason: String,
}

impl Problem {
    fn of_file(file: impl Into<String>, reason: impl Into<String>) -> Problem {
        Problem { file: file.into(), block: None, bytes: None, reason: reason.into() }
    }
}

/// Verifies the store at `path`; with `was`, what of it makes up the store that had this content hash, in any split, before documents
/// were appended. An `Err` is Ctrl-C, a path that is no folder, or a content hash that the store never had; damage is in the report.
pub fn verify(path: &Path, was: Option<&str>, monitor: &dyn Monitor) -> Result<Report> {
    verify_with(path, was, monitor, &|path| Ok(tokenizer_json::load(path)?.fingerprint().to_string()))
}

/// How a tokenizer's file is read for its fingerprint.
pub(super) type Fingerprint<'a> = &'a dyn Fn(&Path) -> Result<String>;

/// [`verify`], with the reading of the tokenizer left to the caller.
pub(super) fn verify_with(
    path: &Path,
    was: Option<&str>,
    monitor: &dyn Monitor,
    fingerprint: Fingerprint<'_>,
) -> Result<Report> {
    let names = list(path)?;
    let mut report = Report { files: names.len() as u64, ..Report::default() };
    match read_manifest(path) {
        Err(reason) => report.problems.push(Problem::of_file(MANIFEST, reason)),
        Ok((manifest, complaint)) => {
            let manifest = match was {
                Some(hash) => manifest.go_back(path, &Split::ALL, hash, None)?,
                None => manifest,
            };
            report.problems.extend(complaint.map(|reason| Problem::of_file(MANIFEST, reason)));
            for (_, table) in manifest.tables() {
                report.tokens = report.tokens.saturating_add(table.num_tokens);
                report.documents = report.documents.saturating_add(table.num_documents);
            }
            report.problems.extend(check_tokenizer(path, &manifest, fingerprint));
            let plan = Plan::load(path);
            let is_part = plan.as_ref().is_ok_and(|plan| plan.task.is_some());
            report.problems.extend(plan.err().map(|error| Problem::of_file(PLAN, reason_of(&error))));
            check_shards(path, &manifest, monitor, &mut report)?;
            match was {
                // What else is there came later.
                Some(_) => report.files = files_of(&manifest, is_part).len() as u64,
                None => {
                    let coming = append::pending(path, &manifest);
                    let expected = files_of(coming.as_ref().unwrap_or(&manifest), is_part);
                    report.problems.extend(unexpected(&names, &expected));
                }
            }
        }
    }
    Ok(report)
}

fn list(path: &Path) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(path).map_err(Error::io(path))? {
        names.insert(entry.map_err(Error::io(path))?.file_name().to_string_lossy().into_owned());
    }
    Ok(names)
}

/// The manifest, and what is wrong with it where it can be used all the same.
fn read_manifest(folder: &Path) -> Result<(Manifest, Option<String>), String> {
    let path = folder.join(MANIFEST);
    let text = Manifest::read_text(&path).map_err(|error| reason_of(&error))?;
    let manifest = Manifest::parse(&path, &text).map_err(|error| reason_of(&error))?;
    // Without this the numbers cannot be used: sums overflow, names lead out of the folder.
    manifest.check()?;
    let complaint = if !sealed::is_intact(&text) {
        Some(CHANGED.to_string())
    } else {
        let wrong = |table: &Table| manifest.expected_content_hash(table) != from_hex(&table.content_hash);
        let found = manifest.tables().find(|(_, table)| wrong(table)).map(|(_, table)| table.content_hash.clone());
        let found = found.or_else(|| manifest.wrong_hash());
        found.map(|hash| format!("its content hash {hash} is not the one of its shards"))
    };
    Ok((manifest, complaint))
}

fn check_tokenizer(folder: &Path, manifest: &Manifest, fingerprint: Fingerprint<'_>) -> Option<Problem> {
    let path = folder.join(TOKENIZER);
    let problem = |reason: String| Some(Problem::of_file(TOKENIZER, reason));
    match fs::read(&path) {
        Err(error) => return problem(format!("cannot be read: {error}")),
        Ok(bytes) if to_hex(&sha256(&bytes)) != manifest.tokenizer_sha256 => {
            return problem("is not the file the store was written with (its SHA-256 differs)".into());
        }
        Ok(_) => {}
    }
    match fingerprint(&path) {
        Err(error) => problem(reason_of(&error)),
        Ok(found) if found != manifest.tokenizer_fingerprint => problem(format!(
            "is another tokenizer (fingerprint {found}) than the store was encoded with ({})",
            manifest.tokenizer_fingerprint
        )),
        Ok(_) => None,
    }
}

/// The message without the path, which the problem has already.
fn reason_of(error: &Error) -> String {
    match error {
        Error::Store { reason, .. } | Error::Format { reason, .. } => reason.clone(),
        Error::Io { source, .. } => format!("cannot be read: {source}"),
        other => other.to_string(),
    }
}

fn check_shards(folder: &Path, manifest: &Manifest, monitor: &dyn Monitor, report: &mut Report) -> Result<()> {
    let total = data_bytes(manifest);
    for entry in manifest.tables().flat_map(|(_, table)| &table.shards) {
        check_shard(folder, entry, manifest, total, monitor, report)?;
    }
    Ok(())
}

/// Checks the files of one shard in `folder`, which need not be the store's.
pub(super) fn check_shard(
    folder: &Path,
    entry: &ShardEntry,
    manifest: &Manifest,
    total: u64,
    monitor: &dyn Monitor,
    report: &mut Report,
) -> Result<()> {
    let record = match read_record(folder, entry, manifest) {
        Ok(record) => Some(record),
        Err(reason) => {
            report.problems.push(Problem::of_file(record_name(&entry.name), reason));
            None
        }
    };
    for kind in ShardFile::ALL {
        match file_task(folder, entry, kind, manifest, record.as_ref()) {
            Err(problem) => report.problems.push(problem),
            Ok(file) => check_file(&file, monitor, total, report)?,
        }
    }
    Ok(())
}

fn data_bytes(manifest: &Manifest) -> u64 {
    let sizes = manifest
        .tables()
        .flat_map(|(_, table)| &table.shards)
        .flat_map(|entry| ShardFile::ALL.map(|kind| entry.file_bytes(kind, manifest.dtype).unwrap_or(u64::MAX)));
    sizes.fold(0, u64::saturating_add)
}

fn read_record(folder: &Path, entry: &ShardEntry, manifest: &Manifest) -> Result<ShardRecord, String> {
    let path = folder.join(record_name(&entry.name));
    let (record, text) = ShardRecord::load(&path).map_err(|error| reason_of(&error))?;
    if !sealed::is_intact(&text) {
        return Err(CHANGED.into());
    }
    record.check(entry, manifest.dtype)?;
    Ok(record)
}

/// What is to be checked in a file; a problem where it is not there or not of the right size.
fn file_task<'a>(
    folder: &Path,
    entry: &'a ShardEntry,
    kind: ShardFile,
    manifest: &'a Manifest,
    record: Option<&ShardRecord>,
) -> Result<FileTask<'a>, Problem> {
    let name = kind.name(&entry.name);
    let path: PathBuf = folder.join(&name);
    let bytes = match fs::metadata(&path) {
        Err(error) => return Err(Problem::of_file(name, format!("cannot be read: {error}"))),
        Ok(data) => data.len(),
    };
    let expected = entry.file_bytes(kind, manifest.dtype).unwrap_or(u64::MAX);
    if bytes != expected {
        let range = bytes.min(expected)..bytes.max(expected);
        let reason = format!("is {bytes} bytes long where {MANIFEST} needs {expected}");
        return Err(Problem { bytes: Some(range), ..Problem::of_file(name, reason) });
    }
    // A record that passed its check has hashes that are hashes, as many as blocks.
    let hashes: Option<Vec<Hash>> =
        record.and_then(|record| record.file(kind).blake3.iter().map(|text| from_hex(text)).collect());
    Ok(FileTask { path, kind, bytes, hashes, entry, manifest })
}

/// Blocks of the file in parallel, a few per thread between two ticks: 16 MiB a thread take 4 ms to hash with AVX-512.
fn check_file(file: &FileTask<'_>, monitor: &dyn Monitor, total: u64, report: &mut Report) -> Result<()> {
    let pool = threads::pool()?;
    let at_once = pool.current_num_threads() * 4;
    let blocks: Vec<BlockTask> = file.blocks().collect();
    for group in blocks.chunks(at_once) {
        let found: Vec<Option<String>> = pool.install(|| group.par_iter().map(|block| file.check(block)).collect());
        for (block, reason) in group.iter().zip(found) {
            report.bytes += block.range.end - block.range.start;
            report.problems.extend(reason.map(|reason| Problem {
                file: file.kind.name(&file.entry.name),
                block: Some(block.number),
                bytes: Some(block.range.clone()),
                reason,
            }));
        }
        monitor.tick(Progress { stage: "verifying", unit: "bytes", done: report.bytes, total: Some(total) })?;
    }
    Ok(())
}

/// Names of all files of a store.
fn files_of(manifest: &Manifest, is_part: bool) -> BTreeSet<String> {
    let mut expected = BTreeSet::from([MANIFEST, PLAN, TOKENIZER].map(String::from));
    for shard in manifest.tables().flat_map(|(_, table)| &table.shards) {
        expected.insert(record_name(&shard.name));
        expected.extend(is_part.then(|| texts_name(&shard.name)));
        expected.extend(ShardFile::ALL.map(|kind| kind.name(&shard.name)));
    }
    expected
}

fn unexpected(names: &BTreeSet<String>, expected: &BTreeSet<String>) -> Vec<Problem> {
    let extra = names.difference(expected);
    extra.map(|name| Problem::of_file(name, "does not belong to the store; remove it")).collect()
}
