//! Remakes damaged shards from the inputs they were made of.
//!
//! ```text
//! verify ──► which shards ──► which inputs ──► corpus.tm.repair/ ──► proved by hash ──► renamed into corpus.tm
//! ```
//!
//! Nothing in the store is touched before every remade shard has the hashes that the manifest was written for. Then each
//! file is replaced by one rename, so a file of the store is at any time the one that was there or the right one. Files
//! that keep a store from opening come last: it opens again when it is whole.

use super::coder::{Coder, Sink, encoder};
use super::disk::Disk;
use super::manifest::Manifest;
use super::options::PrepareOptions;
use super::pipeline::encode_documents;
use super::plan::Plan;
use super::select::{Gap, OnDisk, Selection};
use super::shard::{Origin, ShardEntry, Table, files_of, origin_at};
use super::split::{Split, Splitter};
use super::verify::{Fingerprint, check_shard, verify_with};
use super::workspace::{beside, lock};
use super::writer::{OpenShard, StoredId};
use super::{Dtype, MANIFEST, PLAN, Problem, Report, ShardFile, Summary, TOKENIZER};
use crate::bpe::Output;
use crate::documents::{BlockSource, FileOptions, InputRecord, PositionUnit, Shifted};
use crate::error::{Error, Result};
use crate::formats::tokenizer_json;
use crate::monitor::Monitor;
use crate::threads;
use crate::tokenizer::{LongText, Tokenizer};
use rayon::ThreadPool;
use std::collections::{BTreeSet, HashSet, VecDeque};
use std::fs::{self, File};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// What is damaged in a store, and what it takes to mend it. Other repairs of the store wait meanwhile.
pub struct Repair {
    path: PathBuf,
    /// Where shards are remade.
    second: PathBuf,
    manifest: Manifest,
    plan: Plan,
    report: Report,
    /// Damaged shards of each split, by their place in its table.
    damaged: [Vec<usize>; 2],
    inputs: Range<usize>,
    /// Of each split, the documents of its damaged shards.
    gaps: [VecDeque<Gap>; 2],
    /// Locked as long as it is open.
    _lock: Option<File>,
}

impl Repair {
    /// Verifies the store at `path` and tells what has to be remade.
    ///
    /// # Errors
    /// [`Error::Store`]: the manifest, the tokenizer or prepare.json is damaged, which only a copy can replace, or another
    /// process is at work on the store. [`Error::Io`]: there is no store.
    pub fn examine(path: &Path, monitor: &dyn Monitor) -> Result<Repair> {
        Repair::examine_with(path, monitor, &|path| Ok(tokenizer_json::load(path)?.fingerprint().to_string()))
    }

    pub(super) fn examine_with(path: &Path, monitor: &dyn Monitor, fingerprint: Fingerprint<'_>) -> Result<Repair> {
        let lock = lock(path)?;
        let report = verify_with(path, None, monitor, fingerprint)?;
        let lost = report.problems.iter().find(|problem| [MANIFEST, TOKENIZER, PLAN].contains(&problem.file.as_str()));
        if let Some(Problem { file, reason, .. }) = lost {
            let remedy = "shards are remade by what it says: restore it from a copy, or prepare the store again";
            return Err(Error::store(path.join(file), format!("{reason}; {remedy}")));
        }
        let manifest = Manifest::load(path)?;
        let mut repair = Repair {
            path: path.into(),
            second: beside(path, ".repair")?,
            plan: Plan::load(path)?,
            damaged: Split::ALL.map(|split| damaged(&report, manifest.table(split))),
            inputs: 0..0,
            gaps: Default::default(),
            manifest,
            report,
            _lock: lock,
        };
        repair.find_documents()?;
        Ok(repair)
    }

    /// What is wrong with the store.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// Names of the shards that are to be remade.
    pub fn shards(&self) -> Vec<&str> {
        Split::ALL.into_iter().flat_map(|split| self.entries(split)).map(|entry| entry.name.as_str()).collect()
    }

    /// What of the damage no shard has: strange files in the folder. Repairing leaves it.
    pub fn remaining(&self) -> Vec<Problem> {
        let mended: BTreeSet<String> = self.shards().into_iter().flat_map(files_of).collect();
        self.report.problems.iter().filter(|problem| !mended.contains(&problem.file)).cloned().collect()
    }

    /// Which of the manifest's inputs the damaged shards were made of.
    pub fn inputs(&self) -> Range<usize> {
        self.inputs.clone()
    }

    /// The manifest's inputs.
    pub fn all_inputs(&self) -> &[InputRecord] {
        &self.manifest.inputs
    }

    /// How files were read when the store was made; `None`: no files were.
    pub fn reading(&self) -> Option<&FileOptions> {
        self.plan.recipe.reading.as_ref()
    }

    /// Makes sure, before anything is read, that the inputs still have their sizes.
    pub fn check_sizes(&self, source: &dyn BlockSource) -> Result<()> {
        let records = self.manifest.inputs.iter().skip(self.inputs.start);
        for (input, record) in source.planned().iter().zip(records) {
            if let Some(bytes) = input.bytes.filter(|bytes| *bytes != record.bytes)
                && record.position == PositionUnit::Byte
            {
                let reason = format!("it was {} bytes long and is {bytes} now", record.bytes);
                return Err(self.changed(&input.name, &reason));
            }
        }
        Ok(())
    }

    /// Remakes the damaged shards from `source`, which reads [`Repair::inputs`]. An error leaves the store as it is.
    pub fn run(self, source: &mut dyn BlockSource, monitor: &dyn Monitor) -> Result<()> {
        let tokenizer = tokenizer_json::load(&self.path.join(TOKENIZER))?;
        match self.manifest.dtype {
            Dtype::Uint16 => self.run_as::<u16>(&tokenizer, source, monitor),
            Dtype::Uint32 => self.run_as::<u32>(&tokenizer, source, monitor),
        }
    }

    fn run_as<T: StoredId>(
        self,
        tokenizer: &Tokenizer,
        source: &mut dyn BlockSource,
        monitor: &dyn Monitor,
    ) -> Result<()>
    where
        Vec<T>: Output,
    {
        let allowed = self.plan.recipe.specials.allowed();
        let encoder = || encoder(tokenizer, allowed);
        let special_text = |text: &str| tokenizer.special_text(text);
        let long_text = || LongText::new(tokenizer, allowed);
        let coder = Coder { encoder: &encoder, special_text: &special_text, long_text: &long_text };
        self.run_on(&Disk::default(), source, &coder, monitor, threads::pool()?)
    }

    /// [`Repair::run`], for any disk and anything that encodes.
    pub(super) fn run_on<T: StoredId>(
        self,
        disk: &Disk,
        source: &mut dyn BlockSource,
        coder: &Coder<'_, T>,
        monitor: &dyn Monitor,
        pool: &ThreadPool,
    ) -> Result<()>
    where
        Vec<T>: Output,
    {
        self.check_sizes(source)?;
        // What a repair that was stopped has left.
        if fs::symlink_metadata(&self.second).is_ok() {
            disk.remove_folder(&self.second)?;
        }
        if self.shards().is_empty() {
            return Ok(());
        }
        disk.create_folder(&self.second)?;
        let done = self.remake(disk, source, coder, monitor, pool).and_then(|()| self.replace(disk));
        let removed = disk.remove_folder(&self.second);
        done.and(removed)
    }

    /// Writes the damaged shards into the second folder and proves them.
    fn remake<T: StoredId>(
        &self,
        disk: &Disk,
        source: &mut dyn BlockSource,
        coder: &Coder<'_, T>,
        monitor: &dyn Monitor,
        pool: &ThreadPool,
    ) -> Result<()>
    where
        Vec<T>: Output,
    {
        let options = PrepareOptions {
            recipe: self.plan.recipe.clone(),
            // The same records as then: of unchanged inputs, none or those that were left out.
            skip_rejected: true,
            ..PrepareOptions::default()
        };
        let selection = Selection {
            splitter: Splitter::new(self.plan.recipe.val_fraction)?,
            on_disk: OnDisk::AllBut(self.gaps.clone()),
            texts: self.plan.recipe.dedup.then(HashSet::new),
            quarantine: None,
            summary: Summary::default(),
        };
        let shards = Remade {
            folder: &self.second,
            disk,
            manifest: &self.manifest,
            waiting: Split::ALL.map(|split| self.entries(split).collect()),
            open: [None, None],
        };
        let first = u32::try_from(self.inputs.start).map_err(|_| Error::value("more inputs than 2^32 - 1"))?;
        let mut source = Shifted::new(source, first);
        encode_documents(&mut source, coder, shards, selection, &options, monitor, pool)?;
        self.check_inputs(&source.inputs())?;
        self.prove(monitor)
    }

    /// Makes sure that what was read is what the store was made of.
    fn check_inputs(&self, read: &[InputRecord]) -> Result<()> {
        let records = self.manifest.inputs.get(self.inputs.clone()).unwrap_or_default();
        for (input, record) in read.iter().zip(records) {
            if (input.bytes, &input.blake3) != (record.bytes, &record.blake3) {
                return Err(self.changed(&input.name, "its BLAKE3 is another one"));
            }
        }
        if read.len() != records.len() {
            return Err(Error::value(format!("{} inputs were read where {} were needed", read.len(), records.len())));
        }
        Ok(())
    }

    /// Reads the remade shards again and compares them with the manifest.
    fn prove(&self, monitor: &dyn Monitor) -> Result<()> {
        let mut report = Report::default();
        let entries = || Split::ALL.into_iter().flat_map(|split| self.entries(split));
        let sizes = |entry: &ShardEntry| ShardFile::ALL.map(|file| entry.file_bytes(file, self.manifest.dtype));
        let total = entries().flat_map(sizes).flatten().sum();
        for entry in entries() {
            check_shard(&self.second, entry, &self.manifest, total, monitor, &mut report)?;
        }
        let Some(problem) = report.problems.first() else { return Ok(()) };
        let made_by = &self.manifest.created_by;
        Err(Error::store(
            &self.path,
            format!(
                "unchanged inputs came to another {} than the store was made with by {made_by} ({}); the store was left \
                 as it is: repair it with that program, restore the shard from a copy, or prepare the store again",
                problem.file, problem.reason
            ),
        ))
    }

    /// Renames the remade files into the store, those last that keep it from opening.
    fn replace(&self, disk: &Disk) -> Result<()> {
        let files = self.shards().into_iter().flat_map(files_of);
        let size = |path: PathBuf| fs::metadata(path).map(|data| data.len()).ok();
        let keeps_it_closed = |name: &String| {
            (name.ends_with(".tokens") || name.ends_with(".docs"))
                && size(self.path.join(name)) != size(self.second.join(name))
        };
        let (last, first): (Vec<_>, Vec<_>) = files.partition(keeps_it_closed);
        for group in [first, last] {
            for name in group {
                disk.rename(&self.second.join(&name), &self.path.join(&name))?;
            }
            disk.sync_folder(&self.path)?;
        }
        Ok(())
    }

    fn entries(&self, split: Split) -> impl Iterator<Item = &ShardEntry> {
        let shards = self.manifest.table(split).map_or(&[][..], |table| &table.shards);
        self.damaged[split as usize].iter().filter_map(|index| shards.get(*index))
    }

    /// Tells where the damaged shards' documents are: behind the last of the shard before, and before the first of the
    /// shard behind. Both have been verified.
    fn find_documents(&mut self) -> Result<()> {
        let (mut first, mut end) = (usize::MAX, 0);
        for split in Split::ALL {
            let shards = self.manifest.table(split).map_or(&[][..], |table| &table.shards);
            for run in self.damaged[split as usize].chunk_by(|a, b| a + 1 == *b) {
                let (Some(from), Some(to)) = (run.first().copied(), run.last().copied()) else { continue };
                let before = from.checked_sub(1).and_then(|index| shards.get(index));
                let after =
                    before.map(|shard| origin_at(&self.path, &shard.name, shard.num_documents.saturating_sub(1)));
                let after = after.transpose()?;
                let next = shards.get(to + 1).map(|shard| origin_at(&self.path, &shard.name, 0)).transpose()?;
                first = first.min(after.map_or(0, |(input, _)| position(input)));
                end = end.max(next.map_or(self.manifest.inputs.len(), |(input, _)| position(input) + 1));
                let documents =
                    run.iter().filter_map(|index| shards.get(*index)).map(|shard| shard.num_documents).sum();
                self.gaps[split as usize].push_back(Gap { after, documents });
            }
        }
        // What has been there before decides what is a duplicate.
        let first = if self.plan.recipe.dedup { 0 } else { first };
        self.inputs = if end == 0 { 0..0 } else { first..end };
        Ok(())
    }

    fn changed(&self, name: &str, reason: &str) -> Error {
        Error::store(
            &self.path,
            format!(
                "its input {name} has changed: {reason}; the store was left as it is: name an unchanged copy, or \
                 prepare the store again"
            ),
        )
    }
}

/// Input numbers of a verified shard are below the number of inputs.
fn position(input: u64) -> usize {
    usize::try_from(input).unwrap_or(usize::MAX - 1)
}

/// Places in a table of the shards that a problem was found with.
fn damaged(report: &Report, table: Option<&Table>) -> Vec<usize> {
    let files: HashSet<&str> = report.problems.iter().map(|problem| problem.file.as_str()).collect();
    let shards = table.map_or(&[][..], |table| &table.shards);
    let is_damaged = |entry: &ShardEntry| files_of(&entry.name).iter().any(|file| files.contains(file.as_str()));
    shards.iter().enumerate().filter(|(_, entry)| is_damaged(entry)).map(|(index, _)| index).collect()
}

/// The damaged shards as they are written anew. Each is full when it has as many documents as it had.
struct Remade<'a> {
    folder: &'a Path,
    disk: &'a Disk,
    manifest: &'a Manifest,
    /// Those not full yet, by split, in order.
    waiting: [VecDeque<&'a ShardEntry>; 2],
    open: [Option<OpenShard>; 2],
}

impl Sink for Remade<'_> {
    fn extend<T: StoredId>(&mut self, split: Split, ids: &[T]) -> Result<()> {
        // Not wanted by any gap, had the inputs not changed: that is found out at their end.
        let Some(entry) = self.waiting[split as usize].front() else { return Ok(()) };
        let open = &mut self.open[split as usize];
        if open.is_none() {
            *open = Some(OpenShard::create(self.folder, self.disk, split, entry.name.clone())?);
        }
        open.as_mut().map_or(Ok(()), |shard| shard.extend(ids, self.manifest.dtype))
    }

    fn end(&mut self, split: Split, origin: &Origin) -> Result<()> {
        let (waiting, open) = (&mut self.waiting[split as usize], &mut self.open[split as usize]);
        let (Some(entry), Some(shard)) = (waiting.front(), open.as_mut()) else { return Ok(()) };
        shard.end(self.manifest.added(), origin)?;
        let is_full = shard.num_documents >= entry.num_documents;
        let Some(shard) = open.take_if(|_| is_full) else { return Ok(()) };
        waiting.pop_front();
        shard.finish().map(drop)
    }

    fn skip(&mut self, _split: Split, _origin: &Origin) -> Result<()> {
        Ok(())
    }

    fn folder(&mut self) -> Result<&Path> {
        Ok(self.folder)
    }
}
