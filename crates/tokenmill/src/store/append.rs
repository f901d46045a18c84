//! More inputs for a store that is there: their shards come after those it has, of which no byte is touched.
//!
//! ```text
//! corpus.tm/             the store as it was, for all readers, until its manifest is replaced
//! corpus.tm.partial/
//!     prepare.json       of the old and the new inputs
//!     shard-00007.*      the first new shard, and so on
//!     manifest.json      of the old and the new shards: once it has its name, the append is decided, and its files
//!                        are renamed into corpus.tm: the shards, then prepare.json, then manifest.json
//! ```
//!
//! Stopped before the decision, an append is resumed as any other run. After it, whoever appends next does first what is
//! left of the renames; that takes no input, only the manifest.

use super::disk::Disk;
use super::history::Earlier;
use super::plan::{Plan, input_difference};
use super::shard::{Table, files_of};
use super::split::Split;
use super::workspace::{Workspace, beside, lock, parent};
use super::{MANIFEST, Manifest, PLAN, TOKENIZER, WriterOptions};
use crate::documents::{BlockSource, FileOptions, Format, InputRecord, PlannedInput, PositionUnit};
use crate::error::{Error, Result};
use crate::hex::to_hex;
use crate::monitor::{Monitor, Progress};
use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Smaller inputs may well be alike: empty files, licenses.
const TOLD_BY_CONTENT: u64 = 1 << 20;

/// Hashed between two looks at the monitor: a millisecond.
const READ_BYTES: usize = 1 << 20;

/// A store that is added to, locked against repairs and other appends.
pub(super) struct Base {
    path: PathBuf,
    pub(super) manifest: Manifest,
    plan: Plan,
    /// Locked as long as it is open.
    _lock: Option<File>,
}

impl Base {
    /// Brings what the workspace has into the store, whose manifest will be `after`.
    pub(super) fn complete(&self, workspace: &Workspace, after: &Manifest) -> Result<()> {
        complete(&workspace.disk, workspace.path(), &self.path, &self.manifest, after)
    }

    pub(super) fn open(path: &Path) -> Result<Base> {
        if fs::symlink_metadata(path).is_err() {
            return Err(Error::store(
                path,
                "is not there, and only a store can be added to; prepare it without append",
            ));
        }
        let lock = lock(path)?;
        Ok(Base { path: path.into(), manifest: Manifest::load(path)?, plan: Plan::load(path)?, _lock: lock })
    }

    /// Refuses what would not come to the store that old and new inputs together make, and inputs that it has.
    pub(super) fn check(&self, options: &WriterOptions) -> Result<()> {
        if let Some(reason) = self.difference(options) {
            return Err(Error::store(&self.path, reason));
        }
        // However it is spelled: data/a.txt and ./data/a.txt are one file.
        let path = |name: &str| std::path::absolute(name).unwrap_or_else(|_| name.into());
        let known: HashSet<PathBuf> = self.manifest.inputs.iter().map(|input| path(&input.name)).collect();
        match options.inputs.iter().find(|input| !is_stream(&input.name) && known.contains(&path(&input.name))) {
            None => Ok(()),
            Some(input) => Err(Error::store(
                &self.path,
                format!("{} is one of its inputs already; leave it out, or name another file", input.name),
            )),
        }
    }

    /// Why these options cannot go on with the store, and what to do.
    fn difference(&self, options: &WriterOptions) -> Option<String> {
        if self.plan.task.is_some() {
            return Some("is the part of one task; join the parts (tokenmill seal), then append".into());
        }
        if self.plan.recipe.dedup {
            let remedy = "prepare the old and the new inputs together";
            return Some(format!("was made with dedup, and which texts it has is not kept; {remedy}"));
        }
        if options.tokenizer_fingerprint != self.manifest.tokenizer_fingerprint {
            let (was, is) = (&self.manifest.tokenizer_fingerprint, &options.tokenizer_fingerprint);
            let remedy = format!("append with the store's own, {}", self.path.join(TOKENIZER).display());
            return Some(format!("the tokenizer's fingerprint was {was} and is {is} now; {remedy}"));
        }
        let now = Plan { recipe: options.recipe.clone(), ..self.plan.clone() };
        let reading = [&self.plan, &now].map(|plan| reading_of(plan.recipe.reading.as_ref()));
        let differs = reading[0] != reading[1];
        let differs = differs.then(|| format!("its inputs were read as {}, and are {} now", reading[0], reading[1]));
        let what = now.difference(&self.plan, 0).or(differs)?;
        Some(format!("{what}; append with what the store was made with"))
    }

    /// Refuses inputs that the store has under another name.
    pub(super) fn check_content(&self, inputs: &[InputRecord]) -> Result<()> {
        let names: HashMap<&str, &str> =
            self.manifest.inputs.iter().map(|input| (input.blake3.as_str(), input.name.as_str())).collect();
        for input in inputs {
            // What has no name of its own is told by its content alone.
            let least = if is_stream(&input.name) { 1 } else { TOLD_BY_CONTENT };
            if let Some(name) = names.get(input.blake3.as_str()).filter(|_| input.bytes >= least) {
                let partial = beside(&self.path, ".partial")?;
                return Err(Error::store(
                    &self.path,
                    format!(
                        "{} has the same bytes as its input {name}; nothing was added: leave it out, remove {} if it is \
                         there, and append the others",
                        input.name,
                        partial.display()
                    ),
                ));
            }
        }
        Ok(())
    }

    /// [`Base::check_content`] of files that may well be such, as their sizes say, before anything is encoded.
    fn check_files(&self, planned: &[PlannedInput], monitor: &dyn Monitor) -> Result<()> {
        let sizes: HashSet<u64> =
            self.manifest.inputs.iter().map(|input| input.bytes).filter(|bytes| *bytes >= TOLD_BY_CONTENT).collect();
        for PlannedInput { name, bytes, .. } in planned {
            let Some(bytes) = bytes.filter(|bytes| sizes.contains(bytes)) else { continue };
            // A name that is no file's is that of something on the net: told when it has been read.
            let Ok(mut file) = File::open(name) else { continue };
            let (mut hash, mut buffer) = (blake3::Hasher::new(), vec![0; READ_BYTES]);
            let mut done = 0;
            loop {
                let read = file.read(&mut buffer).map_err(Error::io(name))?;
                if read == 0 {
                    break;
                }
                hash.update(&buffer[..read]);
                done += read as u64;
                monitor.tick(Progress { stage: "comparing", unit: "bytes", done, total: Some(bytes) })?;
            }
            self.check_content(&[InputRecord {
                name: name.clone(),
                position: PositionUnit::Byte,
                bytes: done,
                blake3: to_hex(hash.finalize().as_bytes()),
            }])?;
        }
        Ok(())
    }

    /// The plan of the store that old and new inputs make.
    pub(super) fn plan(&self, options: &WriterOptions) -> Plan {
        let mut plan = Plan::new(options, self.manifest.tokenizer_sha256.clone());
        let mut inputs = self.plan.inputs.clone();
        // So that the new ones have the numbers of the manifest.
        inputs.extend(self.manifest.inputs.iter().skip(inputs.len()).map(|input| PlannedInput {
            name: input.name.clone(),
            layout: "not known".into(),
            bytes: None,
        }));
        inputs.append(&mut plan.inputs);
        plan.inputs = inputs;
        plan.appends.clone_from(&self.plan.appends);
        plan.appends.push(self.manifest.inputs.len());
        plan
    }

    /// How many shards each split has.
    pub(super) fn shards(&self) -> [usize; 2] {
        Split::ALL.map(|split| shards(&self.manifest, split).len())
    }

    /// The number that the first new input gets.
    pub(super) fn first_input(&self) -> Result<u32> {
        u32::try_from(self.manifest.inputs.len()).map_err(|_| Error::value("more inputs than 2^32 - 1"))
    }

    /// Whether the last append was of these inputs, with these options. Where no names and sizes tell, they are read.
    fn has_last(&self, source: &mut dyn BlockSource, options: &WriterOptions, monitor: &dyn Monitor) -> Result<bool> {
        let Some(first) = self.plan.appends.last().copied().filter(|_| self.difference(options).is_none()) else {
            return Ok(false);
        };
        let planned = &options.inputs;
        if !planned.is_empty() && planned.iter().all(|input| input.bytes.is_some()) {
            let before = self.plan.inputs.get(first..).unwrap_or_default();
            return Ok(input_difference(before, planned, usize::MAX).is_none());
        }
        loop {
            let (done, total) = (source.bytes_read(), source.total_bytes());
            let tick = || monitor.tick(Progress { stage: "comparing", unit: "bytes", done, total });
            if source.next_block(&tick)?.is_none() {
                break;
            }
            tick()?;
        }
        if source.inputs() == self.manifest.inputs.get(first..).unwrap_or_default() {
            return Ok(true);
        }
        let reason = "an append that had been stopped was finished now, and was of other texts; run this one again";
        Err(Error::store(&self.path, reason))
    }
}

/// Finishes what was stopped after its decision, and gives the manifest if that was this run's append. If not, refuses what
/// cannot be added, before anything is encoded.
pub(super) fn begin(
    disk: &Disk,
    out: &Path,
    source: &mut dyn BlockSource,
    options: &WriterOptions,
    monitor: &dyn Monitor,
) -> Result<Option<Manifest>> {
    if let Some(manifest) = finish_stopped(disk, out, source, options, monitor)? {
        return Ok(Some(manifest));
    }
    let base = Base::open(out)?;
    base.check(options)?;
    base.check_files(&options.inputs, monitor)?;
    Ok(None)
}

/// Refuses what an append would before it reads a document, and changes nothing.
pub(super) fn check(
    out: &Path,
    source: &mut dyn BlockSource,
    options: &WriterOptions,
    monitor: &dyn Monitor,
) -> Result<()> {
    let mut base = Base::open(out)?;
    let partial = beside(out, ".partial")?;
    let there = fs::symlink_metadata(&partial).is_ok();
    let decided = if there { decided(&partial, &base.manifest)? } else { None };
    let goes_on = there && decided.is_none() && !is_empty(&partial)?;
    if let Some(after) = decided {
        // What the run would do first; of prepare.json it may have been done.
        let is_left = fs::symlink_metadata(partial.join(PLAN)).is_ok();
        let plan = Plan::load(if is_left { &partial } else { out })?;
        base = Base { manifest: after, plan, ..base };
    }
    if there && !goes_on && base.has_last(source, options, monitor)? {
        return Ok(());
    }
    base.check(options)?;
    base.check_files(&options.inputs, monitor)?;
    if goes_on {
        let workspace = Workspace::make(out, options.resume, Disk::default(), base.shards())?;
        workspace.before(&base.plan(options), base.manifest.dtype)?;
    }
    Ok(())
}

/// The manifest of the append whose files are in this folder, if it was decided.
fn decided(partial: &Path, before: &Manifest) -> Result<Option<Manifest>> {
    if fs::symlink_metadata(partial.join(MANIFEST)).is_err() {
        return Ok(None);
    }
    let after = Manifest::load(partial)?;
    if extends(before, &after) {
        return Ok(Some(after));
    }
    let reason = "was left by an append to another store than is there now; remove the folder";
    Err(Error::store(partial, reason))
}

/// Whether all of an append was renamed.
fn is_empty(partial: &Path) -> Result<bool> {
    Ok(fs::read_dir(partial).map_err(Error::io(partial))?.next().is_none())
}

fn finish_stopped(
    disk: &Disk,
    out: &Path,
    source: &mut dyn BlockSource,
    options: &WriterOptions,
    monitor: &dyn Monitor,
) -> Result<Option<Manifest>> {
    let before = Base::open(out)?;
    let partial = beside(out, ".partial")?;
    if fs::symlink_metadata(&partial).is_err() {
        return Ok(None);
    }
    {
        let _lock = lock(&partial)?;
        if let Some(after) = decided(&partial, &before.manifest)? {
            complete(disk, &partial, out, &before.manifest, &after)?;
        } else if is_empty(&partial)? {
            disk.remove_folder(&partial)?;
        } else {
            return Ok(None);
        }
    }
    let base = Base { manifest: Manifest::load(out)?, plan: Plan::load(out)?, ..before };
    Ok(base.has_last(source, options, monitor)?.then_some(base.manifest))
}

/// Renames what `after` has and `before` has not from the folder `partial` into the store, as far as that was not done, and
/// removes the folder.
fn complete(disk: &Disk, partial: &Path, out: &Path, before: &Manifest, after: &Manifest) -> Result<()> {
    let names: Vec<String> = added(before, after).flat_map(files_of).collect();
    for name in &names {
        if [partial, out].iter().all(|folder| fs::symlink_metadata(folder.join(name)).is_err()) {
            let remedy = "remove the folder, and append again";
            return Err(Error::store(partial.join(name), format!("is gone, and the store needs it; {remedy}")));
        }
    }
    let names = names.iter().map(String::as_str);
    for group in [names.collect(), vec![PLAN], vec![MANIFEST]] {
        for name in group {
            let from = partial.join(name);
            if fs::symlink_metadata(&from).is_ok() {
                disk.rename(&from, &out.join(name))?;
            }
        }
        // Nothing of the next group before all of this one is durable.
        disk.sync_folder(out)?;
    }
    disk.remove_folder(partial)?;
    disk.sync_folder(parent(out))
}

/// The manifest of an append to the store at `out` that is decided and not done: files of its shards may be there.
pub(super) fn pending(out: &Path, manifest: &Manifest) -> Option<Manifest> {
    let after = Manifest::load(&beside(out, ".partial").ok()?).ok()?;
    extends(manifest, &after).then_some(after)
}

/// Names of the shards that `after` has and `before` has not.
pub(super) fn added<'a>(before: &Manifest, after: &'a Manifest) -> impl Iterator<Item = &'a str> {
    let new = Split::ALL.map(|split| shards(after, split).get(shards(before, split).len()..).unwrap_or_default());
    new.into_iter().flatten().map(|shard| shard.name.as_str())
}

/// What the store was before each append, if it is one that has these inputs now. One that brought no input left no trace.
pub(super) fn history(before: &Manifest, inputs: &[InputRecord]) -> Vec<Earlier> {
    let mut history = before.history.clone();
    history.extend((inputs.len() > before.inputs.len()).then(|| Earlier::of(before)));
    history
}

/// Whether a store with the manifest `before` becomes the one of `after` by adding to it.
fn extends(before: &Manifest, after: &Manifest) -> bool {
    let whole = |manifest: &Manifest| Manifest {
        created_by: String::new(),
        inputs: Vec::new(),
        summary: super::Summary::default(),
        train: Table::default(),
        validation: manifest
            .validation
            .as_ref()
            .map(|validation| super::Validation { table: Table::default(), ..validation.clone() }),
        history: Vec::new(),
        ..manifest.clone()
    };
    whole(before) == whole(after)
        && after.history == history(before, &after.inputs)
        && after.inputs.starts_with(&before.inputs)
        && Split::ALL.iter().all(|split| shards(after, *split).starts_with(shards(before, *split)))
}

fn shards(manifest: &Manifest, split: Split) -> &[super::ShardEntry] {
    manifest.table(split).map(|table| table.shards.as_slice()).unwrap_or_default()
}

/// Whether the name stands for whatever came: `<stdin>`, `<texts>`, `<arrow>`.
fn is_stream(name: &str) -> bool {
    name.starts_with('<') && name.ends_with('>')
}

/// How files are read, in words.
fn reading_of(reading: Option<&FileOptions>) -> String {
    let Some(FileOptions { format, text_field, separator }) = reading else { return "texts, not files".into() };
    let format = match format {
        None => "files by their names",
        Some(Format::Text) => "files of text",
        Some(Format::JsonLines) => "files of JSON Lines",
        Some(Format::Columns) => "files of columns",
    };
    let separator = separator.as_ref().map_or("none".into(), |separator| format!("{separator:?}"));
    format!("{format} (text field {text_field:?}, separator {separator})")
}
