//! The parts that tasks have made, joined to the store that one process would have written, byte for byte.

use super::disk::Disk;
use super::plan::Plan;
use super::select::{Action, Item, OnDisk, Selection};
use super::shard::ShardEntry;
use super::split::{Split, Splitter};
use super::tasks::{damaged, folder};
use super::texts::Texts;
use super::verify::{Report, check_shard};
use super::workspace::refuse_existing;
use super::writer::{Writer, WriterOptions};
use super::{Manifest, Store, Summary, TOKENIZER};
use crate::error::{Error, Result};
use crate::monitor::{Monitor, Progress};
use crate::tokens::Tokens;
use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Documents between two looks at the monitor.
const DOCUMENTS_PER_TICK: u64 = 1 << 12;

/// What a task has made.
struct Part {
    path: PathBuf,
    manifest: Manifest,
    plan: Plan,
}

/// Joins the parts of the store at `out`, all of which have to be there, and removes them when it is on disk. Stopped, it
/// goes on with what is there; run again when all is done, it does nothing.
///
/// # Errors
/// [`Error::Store`]: tasks are missing, were told different things, or a part is damaged.
pub fn seal(out: &Path, monitor: &dyn Monitor) -> Result<Manifest> {
    seal_on(&Disk::default(), out, monitor)
}

pub(super) fn seal_on(disk: &Disk, out: &Path, monitor: &dyn Monitor) -> Result<Manifest> {
    let tasks = folder(out)?;
    if fs::symlink_metadata(&tasks).is_err() {
        return Err(Error::store(tasks, "is not there: no task has been at work; `prepare` with --task 1/N makes it"));
    }
    // Stopped while it removed the parts of a store that is whole.
    if let Ok(manifest) = Manifest::load(out)
        && sealed_before(out, &tasks)
    {
        disk.remove_folder(&tasks)?;
        return Ok(manifest);
    }
    refuse_existing(out)?;
    let parts = load(&tasks)?;
    let Some(first) = parts.first() else { return Err(Error::store(tasks, "no task has ended")) };
    let plan = whole(&first.plan);
    let options = WriterOptions {
        tokenizer_fingerprint: first.manifest.tokenizer_fingerprint.clone(),
        vocab_size: first.manifest.vocab_size,
        recipe: plan.recipe.clone(),
        inputs: plan.inputs.clone(),
        task: None,
        append: false,
        resume: true,
    };
    let tokenizer = first.path.join(TOKENIZER);
    let read = || fs::read(&tokenizer).map_err(Error::io(&tokenizer));
    let mut writer = Writer::on_disk(disk.clone(), out, options, read)?;
    if writer.tokenizer_sha256() != plan.tokenizer_sha256 {
        return Err(damaged(&first.path, TOKENIZER, "its SHA-256 is another than when it was written"));
    }
    let summary = join(&mut writer, &plan, &parts, monitor)?;
    let inputs = parts.iter().flat_map(|part| part.manifest.inputs.clone()).collect();
    let manifest = writer.finish(inputs, summary)?;
    disk.remove_folder(&tasks)?;
    Ok(manifest)
}

/// The plan of the process that would have written all.
fn whole(plan: &Plan) -> Plan {
    let mut plan = plan.clone();
    if let Some(task) = plan.task.take() {
        plan.inputs = task.inputs;
    }
    plan
}

/// Whether the store was made of what is left of these tasks: any part that is still whole tells.
fn sealed_before(out: &Path, tasks: &Path) -> bool {
    let Ok(plan) = Plan::load(out) else { return false };
    let entries = fs::read_dir(tasks).into_iter().flatten().flatten();
    entries.filter_map(|entry| Plan::load(&entry.path()).ok()).all(|part| whole(&part) == plan)
}

/// The parts of all tasks, which agree.
fn load(tasks: &Path) -> Result<Vec<Part>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(tasks).map_err(Error::io(tasks))? {
        let path = entry.map_err(Error::io(tasks))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.ends_with(".partial") {
            continue;
        }
        let plan = Plan::load(&path)?;
        let Some(task) = &plan.task else {
            return Err(Error::store(path, "was not made by a task; move it elsewhere"));
        };
        let number = task.number;
        found.insert(number, Part { manifest: Manifest::load(&path)?, path, plan });
    }
    let Some(of) = found.values().next().and_then(|part| part.plan.task.as_ref()).map(|task| task.of) else {
        return Err(Error::store(tasks, "no task has ended; wait, or run them again, then seal"));
    };
    let parts: Vec<Part> = found.into_values().collect();
    for part in &parts {
        let task_of = part.plan.task.as_ref().map(|task| task.of);
        let other =
            task_of.filter(|task_of| *task_of != of).map(|task_of| format!("it is one of {task_of} tasks, not {of}"));
        let first = parts.first().map(|first| whole(&first.plan));
        let difference = first.and_then(|first| whole(&part.plan).difference(&first, usize::MAX));
        if let Some(reason) = other.or_else(|| difference.map(|what| format!("of task 1, {what}"))) {
            let remedy = "remove the folders of the tasks that are wrong and run them again";
            return Err(Error::store(&part.path, format!("{reason}; {remedy}")));
        }
    }
    missing(tasks, &parts, of)?;
    Ok(parts)
}

/// Names the tasks that are not there, and what makes them.
fn missing(tasks: &Path, parts: &[Part], of: u64) -> Result<()> {
    let there: Vec<u64> = parts.iter().filter_map(|part| part.plan.task.as_ref()).map(|task| task.number).collect();
    let missing: Vec<u64> = (1..=of).filter(|number| there.binary_search(number).is_err()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let list = |name: &dyn Fn(&u64) -> String| {
        let more = if missing.len() > 10 { format!(", and {} more", missing.len() - 10) } else { String::new() };
        missing.iter().take(10).map(name).collect::<Vec<_>>().join(", ") + &more
    };
    let (numbers, options) = (list(&u64::to_string), list(&|number| format!("--task {number}/{of}")));
    Err(Error::store(
        tasks,
        format!(
            "not all of {of} tasks have ended; {numbers} did not: run `tokenmill prepare` with the arguments of the \
             others and {options}, then seal again"
        ),
    ))
}

/// Appends the documents of all, those of each split in the order of the inputs, as one process would: a text that a task has
/// told from its own may have been there in a task before. Says what became of them.
fn join(writer: &mut Writer, plan: &Plan, parts: &[Part], monitor: &dyn Monitor) -> Result<Summary> {
    let total = parts.iter().flat_map(|part| part.manifest.tables()).map(|(_, table)| table.num_tokens).sum();
    let left_out = |part: &Part| Summary { text_bytes: 0, special_text: 0, ..part.manifest.summary };
    let selection = Selection {
        splitter: Splitter::new(plan.recipe.val_fraction)?,
        on_disk: OnDisk::First(writer.kept()),
        texts: plan.recipe.dedup.then(HashSet::new),
        quarantine: None,
        summary: parts.iter().map(left_out).fold(Summary::default(), Summary::and),
    };
    let mut copying = Copying { writer, selection, monitor, done: 0, total };
    for split in Split::ALL {
        let mut first_input = 0;
        for part in parts {
            copying.part(part, split, first_input)?;
            first_input += part.manifest.inputs.len();
        }
    }
    Ok(copying.selection.summary)
}

/// The copying of parts, and how far it is.
struct Copying<'a> {
    writer: &'a mut Writer,
    selection: Selection,
    monitor: &'a dyn Monitor,
    /// Tokens,
    done: u64,
    /// and how many there are.
    total: u64,
}

impl Copying<'_> {
    /// The documents that a part has of a split; its input 0 is input `first_input` of the store.
    fn part(&mut self, part: &Part, split: Split, first_input: usize) -> Result<()> {
        let shards = part.manifest.table(split).map(|table| table.shards.as_slice()).unwrap_or_default();
        if shards.is_empty() {
            return Ok(());
        }
        let store = Store::open(&part.path, split)?;
        let mut document = 0;
        for entry in shards {
            part.check(entry, &Within { monitor: self.monitor, progress: self.progress() })?;
            let mut texts = Texts::open(&part.path, entry)?;
            for index in 0..entry.num_documents {
                let (input, position) = store.origin(document)?;
                let input =
                    u32::try_from(input + first_input).map_err(|_| Error::value("more inputs than 2^32 - 1"))?;
                let (first, end) = store.document_range(document)?;
                (document, self.done) = (document + 1, self.done + (end - first));
                if index % DOCUMENTS_PER_TICK == 0 {
                    self.monitor.tick(self.progress())?;
                }
                let mut item = Item { split, origin: texts.next(input, position)?, action: Action::Encode };
                self.selection.admit(&mut item)?;
                match item.action {
                    Action::Encode => {}
                    Action::Skip => {
                        self.writer.skip(split, &item.origin)?;
                        continue;
                    }
                    Action::Drop => continue,
                }
                match store.pieces(first..end)?.as_slice() {
                    [] => self.writer.append::<u16>(split, &[], &item.origin)?,
                    [Tokens::U16(ids)] => self.writer.append(split, ids, &item.origin)?,
                    [Tokens::U32(ids)] => self.writer.append(split, ids, &item.origin)?,
                    _ => return Err(damaged(&part.path, &entry.name, "a document is in more than one shard")),
                }
            }
        }
        Ok(())
    }

    fn progress(&self) -> Progress {
        Progress { stage: "sealing", unit: "tokens", done: self.done, total: Some(self.total) }
    }
}

/// Checking a shard is a part of sealing: it is told how far that is.
struct Within<'a> {
    monitor: &'a dyn Monitor,
    progress: Progress,
}

impl Monitor for Within<'_> {
    fn tick(&self, _progress: Progress) -> Result<()> {
        self.monitor.tick(self.progress)
    }
}

impl Part {
    /// Nothing is copied that has changed since the task wrote it.
    fn check(&self, entry: &ShardEntry, monitor: &dyn Monitor) -> Result<()> {
        let mut report = Report::default();
        check_shard(
            &self.path,
            entry,
            &self.manifest,
            entry.num_tokens * self.manifest.dtype.width(),
            monitor,
            &mut report,
        )?;
        match report.problems.first() {
            None => Ok(()),
            Some(problem) => Err(damaged(&self.path, &problem.file, &problem.reason)),
        }
    }
}
