//! A corpus → a store: what is asked for, and what a run is made of.

use super::append;
use super::coder::{Coder, Sink, encoder};
use super::disk::Disk;
use super::options::PrepareOptions;
use super::pipeline::encode_documents;
use super::plan::TaskPlan;
use super::quarantine::Quarantine;
use super::select::{OnDisk, Selection};
use super::split::{Split, Splitter};
use super::stages::Clock;
use super::tasks;
use super::writer::{StoredId, Writer, WriterOptions};
use super::{Dtype, Manifest, Origin, Summary};
use crate::bpe::Output;
use crate::documents::{BlockSource, InputRecord, Shifted};
use crate::error::{Error, Result};
use crate::formats::tokenizer_json;
use crate::monitor::Monitor;
use crate::threads;
use crate::tokenizer::{LongText, Tokenizer};
use rayon::ThreadPool;
use std::collections::HashSet;
use std::path::Path;

/// Encodes every document of `source` into a new store at `out`, which must not exist; to append, behind the documents of the
/// one that is there. On an error or Ctrl-C the finished shards are kept in `NAME.partial`, for `resume`. A task writes to [`tasks::Task::path`] instead; where it is done already,
/// nothing is read.
pub fn prepare(
    source: &mut dyn BlockSource,
    tokenizer: &Tokenizer,
    out: &Path,
    options: &PrepareOptions,
    monitor: &dyn Monitor,
) -> Result<Manifest> {
    refuse_append_of_task(options)?;
    let disk = Disk::default();
    let task = options.task.map(|task| task.begin(out, source, &disk)).transpose()?;
    let out = options.task.map_or(Ok(out.to_path_buf()), |task| task.path(out))?;
    let writer_options = writer_options(source, tokenizer, options, task);
    if options.task.is_some()
        && let Some(manifest) = tasks::finished(&out, &writer_options)?
    {
        return Ok(manifest);
    }
    if options.append
        && let Some(manifest) = append::begin(&disk, &out, source, &writer_options, monitor)?
    {
        return Ok(manifest);
    }
    // What a stopped run has left is to be known before anything is encoded, and no quarantine is begun for a store that
    // cannot be. And nobody is to wait for a first document only to learn that another process is at work.
    let at_once = writer_options.append
        || writer_options.resume
        || options.quarantine.is_some()
        || source.total_bytes().is_none();
    let create = || Writer::create(&out, writer_options, || tokenizer_json::to_json(tokenizer));
    let writer = if at_once { LateWriter::now(create()?) } else { LateWriter::later(create) };
    let allowed = options.recipe.specials.allowed();
    let special_text = |text: &str| tokenizer.special_text(text);
    // Ids are made as wide as they are stored.
    threads::with_pool(options.workers, |pool| match Dtype::for_vocab_size(tokenizer.vocab_size() as u64) {
        Dtype::Uint16 => {
            let encoder = || encoder::<u16>(tokenizer, allowed);
            let long_text = || LongText::new(tokenizer, allowed);
            let coder = Coder { encoder: &encoder, special_text: &special_text, long_text: &long_text };
            write_documents(source, &coder, writer, options, monitor, pool)
        }
        Dtype::Uint32 => {
            let encoder = || encoder::<u32>(tokenizer, allowed);
            let long_text = || LongText::new(tokenizer, allowed);
            let coder = Coder { encoder: &encoder, special_text: &special_text, long_text: &long_text };
            write_documents(source, &coder, writer, options, monitor, pool)
        }
    })
}

/// Refuses what [`prepare`] would refuse to append to the store at `out`, before it reads a document. Nothing is written.
pub fn check_append(
    source: &mut dyn BlockSource,
    tokenizer: &Tokenizer,
    out: &Path,
    options: &PrepareOptions,
    monitor: &dyn Monitor,
) -> Result<()> {
    refuse_append_of_task(options)?;
    let writer_options = writer_options(source, tokenizer, options, None);
    append::check(out, source, &writer_options, monitor)
}

fn refuse_append_of_task(options: &PrepareOptions) -> Result<()> {
    if options.task.is_some() && options.append {
        let remedy = "append in one process, or prepare a store of its own and train on both";
        return Err(Error::value(format!("tasks make a new store; {remedy}")));
    }
    Ok(())
}

fn writer_options(
    source: &dyn BlockSource,
    tokenizer: &Tokenizer,
    options: &PrepareOptions,
    task: Option<TaskPlan>,
) -> WriterOptions {
    WriterOptions {
        tokenizer_fingerprint: tokenizer.fingerprint().to_string(),
        vocab_size: tokenizer.vocab_size() as u64,
        recipe: options.recipe.clone(),
        inputs: source.planned(),
        append: options.append,
        resume: options.resume || task.is_some(),
        task,
    }
}

/// [`prepare`], for anything that encodes.
pub(super) fn write_documents<T: StoredId>(
    source: &mut dyn BlockSource,
    coder: &Coder<'_, T>,
    writer: LateWriter<'_>,
    options: &PrepareOptions,
    monitor: &dyn Monitor,
    pool: &ThreadPool,
) -> Result<Manifest>
where
    Vec<T>: Output,
{
    let selection = Selection {
        splitter: Splitter::new(options.recipe.val_fraction)?,
        on_disk: OnDisk::First(writer.kept()),
        texts: options.recipe.dedup.then(HashSet::new),
        quarantine: options.quarantine.as_deref().map(Quarantine::create).transpose()?,
        summary: Summary::default(),
    };
    let mut source = Shifted::new(source, writer.first_input()?);
    let (writer, selection) = encode_documents(&mut source, coder, writer, selection, options, monitor, pool)?;
    if let Some(quarantine) = selection.quarantine {
        quarantine.finish()?;
    }
    let last = Clock::default();
    let manifest = last.time(|| writer.finish(source.inputs(), selection.summary))?;
    monitor.stage("finish", last.total())?;
    Ok(manifest)
}

/// A writer that is made when the first document is there: the tokenizer's file takes 30 to 60 ms, in which other threads
/// encode.
pub(super) struct LateWriter<'a> {
    create: Option<Create<'a>>,
    writer: Option<Writer>,
}

type Create<'a> = Box<dyn FnOnce() -> Result<Writer> + Send + 'a>;

impl LateWriter<'_> {
    pub(super) fn now(writer: Writer) -> Self {
        LateWriter { create: None, writer: Some(writer) }
    }

    fn later<'a>(create: impl FnOnce() -> Result<Writer> + Send + 'a) -> LateWriter<'a> {
        LateWriter { create: Some(Box::new(create)), writer: None }
    }

    /// The number of the first input.
    fn first_input(&self) -> Result<u32> {
        self.writer.as_ref().map_or(Ok(0), Writer::first_input)
    }

    /// How many of the first documents of each split are on disk.
    fn kept(&self) -> [u64; 2] {
        self.writer.as_ref().map_or([0, 0], Writer::kept)
    }

    fn get(&mut self) -> Result<&mut Writer> {
        if let Some(create) = self.create.take() {
            self.writer = Some(create()?);
        }
        self.writer.as_mut().ok_or_else(not_begun)
    }

    fn finish(self, inputs: Vec<InputRecord>, summary: Summary) -> Result<Manifest> {
        let writer = match self.create {
            Some(create) => Some(create()?),
            None => self.writer,
        };
        writer.ok_or_else(not_begun)?.finish(inputs, summary)
    }
}

/// What is said of a writer that has failed to be made before.
fn not_begun() -> Error {
    Error::value("the store could not be begun")
}

impl Sink for LateWriter<'_> {
    fn append<'a, T: StoredId>(
        &mut self,
        split: Split,
        documents: impl Iterator<Item = (&'a [T], &'a Origin)>,
    ) -> Result<()> {
        self.get()?.append_all(split, documents)
    }

    fn extend<T: StoredId>(&mut self, split: Split, ids: &[T]) -> Result<()> {
        self.get()?.extend(split, ids)
    }

    fn end(&mut self, split: Split, origin: &Origin) -> Result<()> {
        self.get()?.end(split, origin)
    }

    fn skip(&mut self, split: Split, origin: &Origin) -> Result<()> {
        self.get()?.skip(split, origin)
    }

    fn folder(&mut self) -> Result<&Path> {
        Ok(self.get()?.folder())
    }
}
