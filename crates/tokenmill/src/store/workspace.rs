//! The folder that a store grows in: `corpus.tm.partial` until everything is on disk, then `corpus.tm`.
//!
//! ```text
//! corpus.tm.partial/
//!     tokenizer.json         written under another name, synced, renamed
//!     prepare.json           likewise: the options that decide the bytes
//!     shard-00000.{tokens,docs,origin}, synced, and then
//!     shard-00000.json       likewise, and the folder synced: all that is named so far stays
//!     ...
//!     manifest.json          likewise, after the last shard; then the folder is renamed and its parent synced
//! ```
//!
//! So a process may be killed at any point: a shard without a record is thrown away when work goes on, and no reader
//! looks into a folder of this name.

use super::disk::Disk;
use super::dtype::Dtype;
use super::kept::KeptShard;
use super::plan::Plan;
use super::sealed;
use super::shard::{ShardEntry, ShardFile, ShardRecord, origin_at, record_name, shard_name, texts_name};
use super::split::Split;
use super::{MANIFEST, PLAN, TOKENIZER};
use crate::error::{Error, Result};
use crate::hex::to_hex;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// What to do about a folder whose run cannot go on.
pub(super) const START_AGAIN: &str = "resume with what it was started with, or remove the folder and start again";

/// The folder, locked against other processes. Dropped before [`Workspace::publish`], it stays if a shard is in it.
pub(super) struct Workspace {
    out: PathBuf,
    path: PathBuf,
    pub(super) disk: Disk,
    /// Shards of each split that are elsewhere, in a store that is added to: here are those that follow.
    first: [usize; 2],
    /// Whether dropping may remove the folder: not one that this run has no part in.
    entered: bool,
    /// Locked as long as it is open.
    _lock: Option<File>,
}

impl Workspace {
    /// Makes the folder, or enters the one that a stopped run has left.
    pub(super) fn open(out: &Path, resume: bool, disk: Disk) -> Result<Workspace> {
        refuse_existing(out)?;
        let workspace = Workspace::make(out, resume, disk, [0, 0])?;
        // Whoever held the lock a moment ago may have finished.
        refuse_existing(out)?;
        Ok(workspace)
    }

    /// Likewise for shards that will be added to the store at `out`, which has `first` of each split and is locked.
    pub(super) fn make(out: &Path, resume: bool, disk: Disk, first: [usize; 2]) -> Result<Workspace> {
        let path = beside(out, ".partial")?;
        let parent = parent(out);
        fs::metadata(parent).map_err(Error::io(parent))?;
        let there = fs::symlink_metadata(&path).is_ok();
        if !there {
            disk.create_folder(&path)?;
        }
        let lock = lock(&path)?;
        if there && !resume {
            let remedy = "go on with it (--resume, resume=True), or remove the folder";
            return Err(Error::store(path, format!("was left by a run that was stopped; {remedy}")));
        }
        Ok(Workspace { out: out.into(), path, disk, first, entered: !there, _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The hash of tokenizer.json, which is written if no run before has.
    pub(super) fn tokenizer(&mut self, json: &[u8]) -> Result<String> {
        // Where a run before has written another one, its plan says so.
        if fs::symlink_metadata(self.path.join(PLAN)).is_err() {
            // Of a run that was stopped while it wrote it.
            let _ = fs::remove_file(self.path.join("tokenizer.new"));
            self.disk.write_whole(&self.path.join(TOKENIZER), json)?;
        }
        Ok(to_hex(&sealed::sha256(json)))
    }

    /// Makes sure that the run before had the same plan; what that was, if there was one, and the shards it finished, by split.
    pub(super) fn before(&self, plan: &Plan, dtype: Dtype) -> Result<(Option<Plan>, [Vec<KeptShard>; 2])> {
        let mut shards = [Vec::new(), Vec::new()];
        if fs::symlink_metadata(self.path.join(PLAN)).is_err() {
            // Stopped before its first shard.
            return Ok((None, shards));
        }
        let before = Plan::load(&self.path)?;
        for split in Split::ALL {
            shards[split as usize] = self.finished(split, dtype, before.recipe.shard_tokens)?;
        }
        let used = shards.iter().flatten().map(|shard| shard.inputs.1 + 1).max().unwrap_or(0);
        let used = usize::try_from(used).unwrap_or(usize::MAX);
        match plan.difference(&before, used) {
            Some(difference) => Err(Error::store(&self.path, format!("{difference}; {START_AGAIN}"))),
            None => Ok((Some(before), shards)),
        }
    }

    /// Goes on where the run before was stopped, with the shards it finished, by split.
    pub(super) fn enter(&mut self, plan: &Plan, dtype: Dtype) -> Result<[Vec<KeptShard>; 2]> {
        let (before, shards) = self.before(plan, dtype)?;
        let mut keep = BTreeSet::from([TOKENIZER.to_string()]);
        keep.extend(before.is_some().then(|| PLAN.to_string()));
        for shard in shards.iter().flatten() {
            keep.extend([record_name(&shard.name), texts_name(&shard.name)]);
            keep.extend(ShardFile::ALL.map(|kind| kind.name(&shard.name)));
        }
        self.clear(&keep)?;
        // Sizes of inputs that are not in a shard yet may have changed.
        if before.as_ref() != Some(plan) {
            self.disk.write_whole(&self.path.join(PLAN), &sealed::seal(plan)?)?;
        }
        self.entered = true;
        Ok(shards)
    }

    /// The shards that are whole, up to the first that is not. The last shard of a run that was stopped while it
    /// published is not full: what comes after its documents may have become more.
    fn finished(&self, split: Split, dtype: Dtype, shard_tokens: u64) -> Result<Vec<KeptShard>> {
        let mut shards = Vec::new();
        loop {
            let name = shard_name(split, self.first[split as usize] + shards.len());
            let path = self.path.join(record_name(&name));
            if fs::symlink_metadata(&path).is_err() {
                return Ok(shards);
            }
            let Ok((record, text)) = ShardRecord::load(&path) else { return Ok(shards) };
            let entry = ShardEntry::of(&name, &record);
            let sound = sealed::is_intact(&text) && entry.is_some_and(|entry| record.check(&entry, dtype).is_ok());
            let size = |kind: ShardFile| fs::metadata(self.path.join(kind.name(&name))).map(|data| data.len()).ok();
            let is_there = |kind| size(kind) == Some(record.file(kind).bytes);
            let texts = fs::metadata(self.path.join(texts_name(&name))).map(|data| data.len()).ok();
            let has_texts = record.texts.as_ref().is_none_or(|record| texts == Some(record.bytes));
            if !sound || !has_texts || record.num_tokens < shard_tokens || !ShardFile::ALL.into_iter().all(is_there) {
                return Ok(shards);
            }
            let inputs = self.inputs_of(&name, record.num_documents)?;
            shards.push(KeptShard { name, record, inputs });
        }
    }

    /// Numbers of the inputs that the first and the last of a shard's documents come from.
    fn inputs_of(&self, shard: &str, documents: u64) -> Result<(u64, u64)> {
        let input = |document| origin_at(&self.path, shard, document).map(|(input, _)| input);
        Ok((input(0)?, input(documents.saturating_sub(1))?))
    }

    /// Removes what a stopped run has left unfinished. A file that no run writes is somebody's: it is named instead.
    fn clear(&self, keep: &BTreeSet<String>) -> Result<()> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(Error::io(&self.path))? {
            names.push(entry.map_err(Error::io(&self.path))?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        names.retain(|name| !keep.contains(name));
        if let Some(name) = names.iter().find(|name| !is_ours(name)) {
            return Err(Error::store(self.path.join(name), "was not written by `prepare`; move it elsewhere"));
        }
        names.iter().try_for_each(|name| self.disk.remove(&self.path.join(name)))
    }

    /// Writes the manifest and gives the store its name.
    pub(super) fn publish(self, manifest: &[u8]) -> Result<()> {
        self.decide(manifest)?;
        // rename(2) would silently replace an empty folder.
        refuse_existing(&self.out)?;
        self.disk.rename(&self.path, &self.out)?;
        self.disk.sync_folder(parent(&self.out))
    }

    /// Writes the manifest of the store that this one is added to. From here on the next append goes on.
    pub(super) fn decide_to_add(&mut self, manifest: &[u8]) -> Result<()> {
        // Before files go from the folder into the store, nothing takes away what tells why.
        self.disk.sync_folder(parent(&self.out))?;
        self.decide(manifest)?;
        self.entered = false;
        Ok(())
    }

    fn decide(&self, manifest: &[u8]) -> Result<()> {
        self.disk.write_whole(&self.path.join(MANIFEST), manifest)?;
        self.disk.sync_folder(&self.path)
    }

    /// Whether a shard was finished.
    fn is_worth_keeping(&self) -> bool {
        let record = |split: Split| record_name(&shard_name(split, self.first[split as usize]));
        Split::ALL.iter().any(|split| fs::symlink_metadata(self.path.join(record(*split))).is_ok())
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        if self.entered && !self.is_worth_keeping() && fs::symlink_metadata(&self.path).is_ok() {
            // Already failing: what matters to the user is the first error.
            let _ = self.disk.remove_folder(&self.path);
        }
    }
}

pub(super) fn parent(out: &Path) -> &Path {
    out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The path of a store with something added to its name.
pub(super) fn beside(out: &Path, suffix: &str) -> Result<PathBuf> {
    let name = out.file_name().ok_or_else(|| {
        Error::value(format!("{:?} is not a path that can be written: it ends in no name", out.display()))
    })?;
    let mut longer = name.to_os_string();
    longer.push(suffix);
    Ok(out.with_file_name(longer))
}

/// Whether a run writes files of this name.
fn is_ours(name: &str) -> bool {
    let stem = name.split_once('.').map_or(name, |(stem, _)| stem);
    let is_shard = ["shard-", "validation-"]
        .iter()
        .any(|prefix| stem.strip_prefix(prefix).is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit())));
    is_shard || ["tokenizer", "prepare", "manifest"].contains(&stem)
}

/// `symlink_metadata`, so that a dangling link counts as something there.
pub(super) fn refuse_existing(out: &Path) -> Result<()> {
    if fs::symlink_metadata(out).is_ok() {
        return Err(Error::store(out, "already exists; remove it or choose another name"));
    }
    Ok(())
}

/// Locks the folder until the file is closed, which the system does for a process that dies.
/// `None` where folders cannot be locked: on Windows, and on network file systems that say so.
pub(super) fn lock(folder: &Path) -> Result<Option<File>> {
    if !cfg!(unix) {
        return Ok(None);
    }
    let file = File::open(folder).map_err(Error::io(folder))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(fs::TryLockError::WouldBlock) => {
            Err(Error::store(folder, "another process is at work on this store; wait until it has ended"))
        }
        Err(fs::TryLockError::Error(_)) => Ok(None),
    }
}
