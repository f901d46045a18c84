//! Documents → ids → store.
//!
//! ```text
//! a block ─► parse ─► select ─► encode ─► append
//!            on any   in order  on any    in order
//!            thread             thread
//! ```
//!
//! Order comes from the inputs, never from threads: the bytes of a store are the same for any number of them.
//! Memory holds some blocks ([`UNDER_WAY_BYTES`]), whatever the size of the corpus.

use super::disk::Disk;
use super::quarantine::Quarantine;
use super::select::{Action, Item, OnDisk, Parsed, Selection};
use super::split::{Split, Splitter};
use super::stages::{Clock, Stages};
use super::tasks::{self, Task};
use super::writer::{StoredId, Writer, WriterOptions};
use super::{DEFAULT_SHARD_TOKENS, Dtype, Manifest, Origin, Summary, text_hash};
use crate::bpe::Output;
use crate::documents::{Block, BlockSource, FileOptions, InputRecord, Layout, Rejected};
use crate::error::{Error, Place, Result};
use crate::formats::tokenizer_json;
use crate::in_order::{Flow, InOrder};
use crate::monitor::{Monitor, Progress};
use crate::special::Allowed;
use crate::threads;
use crate::tokenizer::Tokenizer;
use rayon::{ScopeFifo, ThreadPool};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// So many bytes of input are under way at once: several blocks a thread, so that none waits for the last of another.
const UNDER_WAY_BYTES: usize = 16 << 20;

/// How documents become a stream of ids.
#[derive(Debug, Clone)]
pub struct PrepareOptions {
    /// Put before every document.
    pub bos: Option<u32>,
    /// Put after every document.
    pub eos: Option<u32>,
    /// A new shard begins at the first document after this many tokens.
    pub shard_tokens: u64,
    /// The share of the documents that goes into the validation split; 0: there is none.
    pub val_fraction: f64,
    /// What to make of special tokens spelled in a text.
    pub specials: SpecialText,
    /// Leave out documents whose text has been there.
    pub dedup: bool,
    /// Leave out records that hold no document, instead of ending at the first.
    pub skip_rejected: bool,
    /// The file that tells which those are.
    pub quarantine: Option<PathBuf>,
    /// How the source reads files, if it does: recorded, so that they can be read again in the same way.
    pub reading: Option<FileOptions>,
    /// Threads that encode; `None`: those of the process. No byte of the store depends on it.
    pub workers: Option<NonZeroUsize>,
    /// Only this share of the inputs, for `seal` to join with the others.
    pub task: Option<Task>,
    /// Go on with what a stopped run has left beside the store, if anything; it must have had the same options and inputs.
    pub resume: bool,
}

impl Default for PrepareOptions {
    fn default() -> Self {
        PrepareOptions {
            bos: None,
            eos: None,
            shard_tokens: DEFAULT_SHARD_TOKENS,
            val_fraction: 0.0,
            specials: SpecialText::Text,
            dedup: false,
            skip_rejected: false,
            quarantine: None,
            reading: None,
            workers: None,
            task: None,
            resume: false,
        }
    }
}

/// What to make of a special token that is spelled in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SpecialText {
    /// Ordinary text: nobody can inject one.
    Text,
    /// The document is rejected.
    Error,
    /// The special token.
    Allow,
}

/// Encodes every document of `source` into a new store at `out`, which must not exist. On an error or Ctrl-C the
/// finished shards are kept in `NAME.partial`, for `resume`. A task writes to [`Task::path`] instead; where it is done already,
/// nothing is read.
pub fn prepare(
    source: &mut dyn BlockSource,
    tokenizer: &Tokenizer,
    out: &Path,
    options: &PrepareOptions,
    monitor: &dyn Monitor,
) -> Result<Manifest> {
    if options.task.is_some() && options.dedup {
        let remedy = "remove duplicates before, or prepare in one process";
        return Err(Error::value(format!(
            "tasks do not know each other's texts, so that dedup cannot be exact; {remedy}"
        )));
    }
    let disk = Disk::default();
    let task = options.task.map(|task| task.begin(out, source, &disk)).transpose()?;
    let out = options.task.map_or(Ok(out.to_path_buf()), |task| task.path(out))?;
    let writer_options = WriterOptions {
        tokenizer_fingerprint: tokenizer.fingerprint().to_string(),
        vocab_size: tokenizer.vocab_size() as u64,
        bos: options.bos,
        eos: options.eos,
        shard_tokens: options.shard_tokens,
        val_fraction: options.val_fraction,
        specials: options.specials,
        dedup: options.dedup,
        reading: options.reading.clone(),
        inputs: source.planned(),
        resume: options.resume || task.is_some(),
        task,
    };
    if options.task.is_some()
        && let Some(manifest) = tasks::finished(&out, &writer_options)?
    {
        return Ok(manifest);
    }
    // What a stopped run has left is to be known before anything is encoded, and no quarantine is begun for a store that
    // cannot be. And nobody is to wait for a first document only to learn that another process is at work.
    let at_once = writer_options.resume || options.quarantine.is_some() || source.total_bytes().is_none();
    let create = || Writer::create(&out, writer_options, |path| tokenizer_json::save(tokenizer, path));
    let writer = if at_once { LateWriter::now(create()?) } else { LateWriter::later(create) };
    let allowed = if options.specials == SpecialText::Allow { Allowed::All } else { Allowed::None };
    let special_text = |text: &str| tokenizer.special_text(text);
    // Ids are made as wide as they are stored.
    threads::with_pool(options.workers, |pool| match Dtype::for_vocab_size(tokenizer.vocab_size() as u64) {
        Dtype::Uint16 => {
            let encode = |text: &str, ids: &mut Vec<u16>| tokenizer.encode(text, allowed, ids);
            let coder = Coder { encode: &encode, special_text: &special_text };
            write_documents(source, &coder, writer, options, monitor, pool)
        }
        Dtype::Uint32 => {
            let encode = |text: &str, ids: &mut Vec<u32>| tokenizer.encode(text, allowed, ids);
            let coder = Coder { encode: &encode, special_text: &special_text };
            write_documents(source, &coder, writer, options, monitor, pool)
        }
    })
}

/// Special tokens that a text spells: how many, and where the first is.
pub(super) type SpecialTokens = (u64, Option<Range<usize>>);

/// What is asked of a tokenizer.
pub(super) struct Coder<'a, T> {
    /// Appends the ids of a text.
    pub encode: &'a (dyn Fn(&str, &mut Vec<T>) -> Result<()> + Sync),
    /// Special tokens that a text spells: how many, and where the first is.
    pub special_text: &'a (dyn Fn(&str) -> Result<SpecialTokens> + Sync),
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
        splitter: Splitter::new(options.val_fraction)?,
        on_disk: OnDisk::First(writer.kept()),
        texts: options.dedup.then(HashSet::new),
        quarantine: options.quarantine.as_deref().map(Quarantine::create).transpose()?,
        summary: Summary::default(),
    };
    let (writer, selection) = encode_documents(source, coder, writer, selection, options, monitor, pool)?;
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

    /// How many of the first documents of each split are on disk.
    fn kept(&self) -> [u64; 2] {
        self.writer.as_ref().map_or([0, 0], Writer::kept)
    }

    fn get(&mut self) -> Result<&mut Writer> {
        if let Some(create) = self.create.take() {
            self.writer = Some(create()?);
        }
        self.writer.as_mut().ok_or_else(|| Error::value("the store could not be begun"))
    }

    fn finish(mut self, inputs: Vec<InputRecord>, summary: Summary) -> Result<Manifest> {
        self.get()?;
        self.writer.ok_or_else(|| Error::value("the store could not be begun"))?.finish(inputs, summary)
    }
}

/// Where the documents go, in the order of the inputs.
pub(super) trait Sink: Send {
    /// A document that was encoded.
    fn append<T: StoredId>(&mut self, split: Split, ids: &[T], origin: &Origin) -> Result<()>;
    /// One that is on disk.
    fn skip(&mut self, split: Split, origin: &Origin) -> Result<()>;
}

impl Sink for LateWriter<'_> {
    fn append<T: StoredId>(&mut self, split: Split, ids: &[T], origin: &Origin) -> Result<()> {
        self.get()?.append(split, ids, origin)
    }

    fn skip(&mut self, split: Split, origin: &Origin) -> Result<()> {
        self.get()?.skip(split, origin)
    }
}

/// Reads the source to its end, encodes what the selection wants, and hands it on.
pub(super) fn encode_documents<T: StoredId, S: Sink>(
    source: &mut dyn BlockSource,
    coder: &Coder<'_, T>,
    sink: S,
    selection: Selection,
    options: &PrepareOptions,
    monitor: &dyn Monitor,
    pool: &ThreadPool,
) -> Result<(S, Selection)>
where
    Vec<T>: Output,
{
    let splitter = selection.splitter;
    let (selection, sink) = (InOrder::new(selection), InOrder::new(sink));
    let work = Work { coder, options, splitter, selection, sink, flow: Flow::default(), stages: Stages::default() };
    pool.in_place_scope_fifo(|scope| {
        let start = |number, block| work.parse(scope, number, block);
        let read = read_blocks(source, &work.flow, &work.stages.input, monitor, start);
        if read.is_err() {
            work.flow.stop();
        }
        read
    })?;
    let Stages { input, parse, encode, write } = &work.stages;
    for (name, clock) in [("input", input), ("parse", parse), ("encode", encode), ("write", write)] {
        monitor.stage(name, clock.total())?;
    }
    let ended = || Error::value("the work ended before all was done");
    let selection = work.selection.into_taker().ok_or_else(ended)?;
    Ok((work.sink.into_taker().ok_or_else(ended)?, selection))
}

/// Starts work on all blocks with their numbers, never on too many at a time, and waits until it is done.
fn read_blocks(
    source: &mut dyn BlockSource,
    flow: &Flow,
    waited: &Clock,
    monitor: &dyn Monitor,
    mut start: impl FnMut(usize, Block),
) -> Result<()> {
    let mut number = 0;
    loop {
        let (done, total) = (source.bytes_read(), source.total_bytes());
        let tick = || monitor.tick(Progress { stage: "encoding", unit: "bytes", done, total });
        flow.wait_for(UNDER_WAY_BYTES, &tick)?;
        if flow.is_stopped() {
            // By a panic, which goes on where all threads are done.
            return Ok(());
        }
        let idle = || flow.check().and_then(|()| tick());
        let Some(block) = waited.time(|| source.next_block(&idle))? else { break };
        flow.enter(block.weight());
        start(number, block);
        number += 1;
        tick()?;
    }
    let (done, total) = (source.bytes_read(), source.total_bytes());
    let progress = Progress { stage: "encoding", unit: "bytes", done, total };
    flow.wait_for(0, &|| monitor.tick(progress))?;
    monitor.tick(progress)
}

/// Blocks on their way: parsed and encoded by any thread, decided on and appended in order.
struct Work<'a, T, S> {
    coder: &'a Coder<'a, T>,
    options: &'a PrepareOptions,
    splitter: Splitter,
    selection: InOrder<Selection, (Result<Parsed>, usize)>,
    sink: InOrder<S, (Result<Encoded<T>>, usize)>,
    flow: Flow,
    stages: Stages,
}

impl<T: StoredId, S: Sink> Work<'_, T, S>
where
    Vec<T>: Output,
{
    fn parse<'scope>(&'scope self, scope: &ScopeFifo<'scope>, number: usize, block: Block) {
        let weight = block.weight();
        scope.spawn_fifo(move |scope| {
            self.flow.run(|| {
                let parse = || parse_block(block, self.coder, self.options, self.splitter);
                let parsed = self.stages.parse.time(parse);
                self.selection.put(number, (parsed, weight), |selection, number, (parsed, weight)| {
                    let decided = parsed.and_then(|mut block| selection.decide(&mut block).map(|()| block));
                    self.encode(scope, number, decided, weight);
                });
            });
        });
    }

    fn encode<'scope>(&'scope self, scope: &ScopeFifo<'scope>, number: usize, block: Result<Parsed>, weight: usize) {
        scope.spawn_fifo(move |_| {
            self.flow.run(|| {
                let encode = |block| encode_block(block, self.coder, self.options);
                let encoded = block.and_then(|block| self.stages.encode.time(|| encode(block)));
                self.sink.put(number, (encoded, weight), |sink, _, (encoded, weight)| {
                    // Nothing that is behind an error: the first of the input is told, whichever thread failed first.
                    self.flow.run(|| match encoded.and_then(|block| self.stages.write.time(|| append(sink, block))) {
                        Ok(()) => self.flow.leave(weight),
                        Err(error) => self.flow.fail(error),
                    });
                });
            });
        });
    }
}

/// What can be said of each block by itself.
fn parse_block<T>(block: Block, coder: &Coder<'_, T>, options: &PrepareOptions, splitter: Splitter) -> Result<Parsed> {
    let name = Arc::clone(&block.name);
    let unit = if matches!(block.layout, Layout::Texts(_)) { "row" } else { "byte" };
    let mut rejected = Vec::new();
    let mut reject = |bad: Rejected| {
        if !options.skip_rejected {
            return Err(bad.into_error());
        }
        rejected.push(bad);
        Ok(())
    };
    let documents = block.parse_each(&mut reject)?;
    let mut items = Vec::with_capacity(documents.len());
    for (text, position) in documents.iter().zip(&documents.positions) {
        let origin = Origin { input: documents.input, position: *position, text: text_hash(text) };
        let (special_text, first) = (coder.special_text)(text)?;
        let mut action = Action::Encode;
        if let (SpecialText::Error, Some(range)) = (options.specials, first) {
            reject(spells_special(&name, unit, text, *position, range))?;
            action = Action::Drop;
        }
        items.push(Item { split: splitter.split(&origin.text), origin, special_text, action });
    }
    Ok(Parsed { name, unit, documents, items, rejected })
}

fn spells_special(name: &str, unit: &str, text: &str, position: u64, range: Range<usize>) -> Rejected {
    let place = Place { input: format!("{name}, document at {unit} {position}"), line: None, byte: None };
    let reason = format!(
        "its text spells the special token {:?} at byte {}; remove it, or prepare with specials=\"text\" or \"allow\"",
        &text[range.clone()],
        range.start
    );
    Rejected { place, reason, record: text.into() }
}

/// The ids of a block's documents, BOS and EOS included.
struct Encoded<T> {
    ids: Vec<T>,
    /// End of each document in `ids`.
    ends: Vec<usize>,
    items: Vec<Item>,
}

fn encode_block<T>(block: Parsed, coder: &Coder<'_, T>, options: &PrepareOptions) -> Result<Encoded<T>>
where
    Vec<T>: Output,
{
    let Parsed { name, unit, documents, items, .. } = block;
    // English takes 4 to 5 bytes a token; 4 seldom needs a second allocation.
    let mut ids = Vec::with_capacity(documents.text.len() / 4 + 2 * documents.len());
    let mut ends = Vec::with_capacity(documents.len());
    for (text, item) in documents.iter().zip(&items) {
        if item.action == Action::Encode {
            ids.push_all(options.bos.as_slice());
            (coder.encode)(text, &mut ids).map_err(|error| located(error, &name, unit, item.origin.position))?;
            ids.push_all(options.eos.as_slice());
        }
        ends.push(ids.len());
    }
    Ok(Encoded { ids, ends, items })
}

/// The tokenizer knows the text that it has no token for, not where it comes from.
fn located(error: Error, name: &str, unit: &str, position: u64) -> Error {
    match error {
        Error::UnknownToken(reason) => Error::UnknownToken(format!("{name}, document at {unit} {position}: {reason}")),
        other => other,
    }
}

fn append<T: StoredId>(sink: &mut impl Sink, block: Encoded<T>) -> Result<()> {
    let Encoded { ids, ends, items } = block;
    let mut start = 0;
    for (end, Item { split, origin, action, .. }) in ends.into_iter().zip(items) {
        match action {
            Action::Encode => sink.append(split, &ids[start..end], &origin)?,
            Action::Skip => sink.skip(split, &origin)?,
            Action::Drop => {}
        }
        start = end;
    }
    Ok(())
}
