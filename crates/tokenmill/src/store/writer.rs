//! Writes a store: documents in order, into a folder that gets its name only when all is on disk.
//!
//! A full shard is synced and recorded on a thread of its own, so that encoding never waits for the disk.

use super::append::{self, Base};
use super::block_file::BlockFile;
use super::disk::Disk;
use super::dtype::Dtype;
use super::kept::{Kept, KeptShard};
use super::manifest::{CREATED_BY, Manifest, Validation};
use super::plan::{Plan, TaskPlan};
use super::sealed;
use super::shard::{Origin, ShardRecord, SourceHash, Table, record_name, shard_name, texts_name};
use super::split::{Split, Splitter};
use super::texts::entry_of;
use super::workspace::{START_AGAIN, Workspace};
use super::{MANIFEST, Recipe, ShardFile, Summary};
use crate::documents::{InputRecord, PlannedInput};
use crate::error::{Error, Result};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

/// What a store is made with.
#[derive(Debug, Clone)]
pub struct WriterOptions {
    /// Fingerprint of the tokenizer that makes the ids.
    pub tokenizer_fingerprint: String,
    /// Every id must be below this; up to 65,536 ids are stored in two bytes, else in four.
    pub vocab_size: u64,
    /// What the caller makes of the documents.
    pub recipe: Recipe,
    /// What will be read, as far as it is known.
    pub inputs: Vec<PlannedInput>,
    /// Of several processes that prepare one store, which this is, and what all will read.
    pub task: Option<TaskPlan>,
    /// Add to the store at `out`.
    pub append: bool,
    /// Go on with what a stopped run has left beside `out`, if anything.
    pub resume: bool,
}

/// An id in the memory of whoever writes: of the store's width or the other.
pub trait StoredId: Copy + Ord + TryFrom<u64> + Send + 'static {
    /// The id in 32 bits; nothing is done where it is narrowed again.
    fn wide(self) -> u32;
    /// Puts the id into bytes, as many as its type has.
    fn put(self, bytes: &mut [u8]);
    /// The id that was put into bytes.
    fn get(bytes: &[u8]) -> Self;
}

impl StoredId for u16 {
    #[inline(always)]
    fn wide(self) -> u32 {
        u32::from(self)
    }

    #[inline(always)]
    fn put(self, bytes: &mut [u8]) {
        bytes.copy_from_slice(&self.to_le_bytes());
    }

    #[inline(always)]
    fn get(bytes: &[u8]) -> u16 {
        bytes.try_into().map_or(0, u16::from_le_bytes)
    }
}

impl StoredId for u32 {
    #[inline(always)]
    fn wide(self) -> u32 {
        self
    }

    #[inline(always)]
    fn put(self, bytes: &mut [u8]) {
        bytes.copy_from_slice(&self.to_le_bytes());
    }

    #[inline(always)]
    fn get(bytes: &[u8]) -> u32 {
        bytes.try_into().map_or(0, u32::from_le_bytes)
    }
}

/// Writes documents to a store that does not exist yet, or behind those of one that does. Dropped before [`Writer::finish`], it keeps the finished shards in
/// `NAME.partial`, for [`WriterOptions::resume`]; where there is none, nothing.
pub struct Writer {
    plan: Plan,
    manifest: Manifest,
    /// What a stopped run finished, not yet seen again, by split.
    kept: [Kept; 2],
    /// The shards being written, by split.
    open: [Option<OpenShard>; 2],
    /// Shards begun or kept so far, by split.
    begun: [usize; 2],
    /// Largest input number seen, to be checked against the inputs at the end.
    last_input: Option<u32>,
    /// Dropped before the workspace, so that a shard on its way to the disk is there when that decides what to keep.
    closing: Closing,
    workspace: Workspace,
    /// The store that is added to.
    base: Option<Base>,
}

impl Writer {
    /// Begins a store that will be at `out`, or shards for the one that is there. `tokenizer_json` makes the bytes
    /// of tokenizer.json.
    pub fn create(
        out: &Path,
        options: WriterOptions,
        tokenizer_json: impl FnOnce() -> Result<Vec<u8>>,
    ) -> Result<Writer> {
        Writer::on_disk(Disk::default(), out, options, tokenizer_json)
    }

    pub(super) fn on_disk(
        disk: Disk,
        out: &Path,
        options: WriterOptions,
        tokenizer_json: impl FnOnce() -> Result<Vec<u8>>,
    ) -> Result<Writer> {
        let vocab_size = options.vocab_size;
        let Recipe { bos, eos, shard_tokens, val_fraction, .. } = options.recipe;
        if shard_tokens == 0 {
            return Err(Error::value("shard_tokens is 0; a shard needs at least 1 token"));
        }
        // Refuses what is no fraction before anything is written.
        Splitter::new(val_fraction)?;
        for (name, id) in [("BOS", bos), ("EOS", eos)] {
            if let Some(id) = id.filter(|id| u64::from(*id) >= vocab_size) {
                return Err(Error::value(format!("{name} id {id} is not below the vocabulary size {vocab_size}")));
            }
        }
        if options.append {
            let base = Base::open(out)?;
            base.check(&options)?;
            let manifest = Manifest { created_by: CREATED_BY.into(), ..base.manifest.clone() };
            let workspace = Workspace::make(out, options.resume, disk, base.shards())?;
            return Writer::enter(workspace, base.plan(&options), manifest, Some(base));
        }
        let mut manifest = Manifest::new(&options.tokenizer_fingerprint, vocab_size, bos, eos);
        if val_fraction > 0.0 {
            manifest.validation = Some(Validation { fraction: val_fraction, table: Table::default() });
        }
        let mut workspace = Workspace::open(out, options.resume, disk)?;
        manifest.tokenizer_sha256 = workspace.tokenizer(&tokenizer_json()?)?;
        let plan = Plan::new(&options, manifest.tokenizer_sha256.clone());
        Writer::enter(workspace, plan, manifest, None)
    }

    fn enter(mut workspace: Workspace, plan: Plan, manifest: Manifest, base: Option<Base>) -> Result<Writer> {
        let kept = workspace.enter(&plan, manifest.dtype)?;
        let before = base.as_ref().map_or([0, 0], Base::shards);
        Ok(Writer {
            plan,
            manifest,
            begun: [before[0] + kept[0].len(), before[1] + kept[1].len()],
            kept: kept.map(Kept::new),
            open: [None, None],
            last_input: None,
            closing: Closing::default(),
            workspace,
            base,
        })
    }

    /// SHA-256 of the bytes of tokenizer.json.
    pub(super) fn tokenizer_sha256(&self) -> &str {
        &self.plan.tokenizer_sha256
    }

    /// The number that the first of the inputs to come has: that of all inputs of the store that is added to.
    pub(super) fn first_input(&self) -> Result<u32> {
        self.base.as_ref().map_or(Ok(0), Base::first_input)
    }

    /// How many of the first documents of each split are on disk: those have to be [skipped](Writer::skip).
    pub fn kept(&self) -> [u64; 2] {
        self.kept.each_ref().map(Kept::documents)
    }

    /// Passes over a document that a stopped run has written.
    ///
    /// # Errors
    /// [`Error::Store`]: it wrote another one.
    pub fn skip(&mut self, split: Split, origin: &Origin) -> Result<()> {
        self.last_input = self.last_input.max(Some(origin.input));
        match self.kept[split as usize].skip(origin) {
            Ok(None) => Ok(()),
            Ok(Some(shard)) => self.table(split)?.push(&shard.name, &shard.record),
            Err(shard) => Err(self.changed(&shard)),
        }
    }

    /// Appends one document to its split: its ids (BOS and EOS included) and where it comes from. Ids of the store's own
    /// width are written as they are.
    pub fn append<T: StoredId>(&mut self, split: Split, ids: &[T], origin: &Origin) -> Result<()> {
        self.append_all(split, std::iter::once((ids, origin)))
    }

    /// Appends documents. Of lines of text, what is done once here for all of a shard takes as long as a fifth of the encoding.
    pub(super) fn append_all<'a, T: StoredId>(
        &mut self,
        split: Split,
        documents: impl Iterator<Item = (&'a [T], &'a Origin)>,
    ) -> Result<()> {
        let (vocab_size, dtype, added) = (self.manifest.vocab_size, self.manifest.dtype, self.manifest.added());
        let shard_tokens = self.plan.recipe.shard_tokens;
        let mut last_input = self.last_input;
        let mut documents = documents.peekable();
        while documents.peek().is_some() {
            let shard = self.open(split)?;
            while shard.num_tokens < shard_tokens
                && let Some((ids, origin)) = documents.next()
            {
                check_ids(ids, vocab_size)?;
                shard.extend(ids, dtype)?;
                shard.end(added, origin)?;
                last_input = last_input.max(Some(origin.input));
            }
            self.last_input = last_input;
            self.close_full(split)?;
        }
        Ok(())
    }

    /// Appends ids of a document whose others follow, up to [`Writer::end`].
    pub fn extend<T: StoredId>(&mut self, split: Split, ids: &[T]) -> Result<()> {
        check_ids(ids, self.manifest.vocab_size)?;
        let dtype = self.manifest.dtype;
        self.open(split)?.extend(ids, dtype)
    }

    /// Ends a document, which may have no ids.
    pub fn end(&mut self, split: Split, origin: &Origin) -> Result<()> {
        let added = self.manifest.added();
        self.open(split)?.end(added, origin)?;
        self.last_input = self.last_input.max(Some(origin.input));
        self.close_full(split)
    }

    /// Where temporary files can be.
    pub(super) fn folder(&self) -> &Path {
        self.workspace.path()
    }

    /// Writes the manifest and gives the store its name.
    pub fn finish(mut self, inputs: Vec<InputRecord>, summary: Summary) -> Result<Manifest> {
        if let Some(shard) = self.kept.iter().find_map(Kept::left) {
            return Err(self.changed(shard));
        }
        if let Some(base) = &self.base {
            base.check_content(&inputs)?;
        }
        self.manifest.inputs.extend(inputs);
        if let Some(base) = &self.base {
            self.manifest.history = append::history(&base.manifest, &self.manifest.inputs);
        }
        self.manifest.summary = self.manifest.summary.and(summary);
        let known = self.manifest.inputs.len();
        if let Some(input) = self.last_input.filter(|input| (*input as usize) >= known) {
            return Err(Error::value(format!("a document came from input {input}, but only {known} are known")));
        }
        for split in Split::ALL {
            if let Some(shard) = self.open[split as usize].take() {
                self.close(shard)?;
            }
        }
        self.wait()?;
        self.manifest.set_content_hashes()?;
        let path = self.workspace.path().join(MANIFEST);
        self.manifest.check().map_err(|reason| Error::store(&path, reason))?;
        match &self.base {
            Some(base) => {
                self.workspace.decide_to_add(&sealed::seal(&self.manifest)?)?;
                base.complete(&self.workspace, &self.manifest)?;
            }
            None => self.workspace.publish(&sealed::seal(&self.manifest)?)?,
        }
        Ok(self.manifest)
    }

    /// The shard that documents of a split are appended to.
    fn open(&mut self, split: Split) -> Result<&mut OpenShard> {
        if self.open[split as usize].is_none() {
            self.open[split as usize] = Some(self.begin(split)?);
        }
        self.open[split as usize].as_mut().ok_or_else(|| Error::value("there is no open shard"))
    }

    fn begin(&mut self, split: Split) -> Result<OpenShard> {
        // An empty table where there is no validation: said here, before a file is made.
        self.table(split)?;
        let name = shard_name(split, self.begun[split as usize]);
        self.begun[split as usize] += 1;
        let mut shard = OpenShard::create(self.workspace.path(), &self.workspace.disk, split, name)?;
        if self.plan.task.is_some() {
            shard.texts = Some(BlockFile::create(&shard.folder.join(texts_name(&shard.name)), &shard.disk)?);
        }
        Ok(shard)
    }

    /// Closes the open shard if it is full.
    fn close_full(&mut self, split: Split) -> Result<()> {
        let shard_tokens = self.plan.recipe.shard_tokens;
        match self.open[split as usize].take_if(|shard| shard.num_tokens >= shard_tokens) {
            Some(shard) => self.close(shard),
            None => Ok(()),
        }
    }

    /// Hands a full shard to the thread that brings it to the disk, once the one before is there.
    fn close(&mut self, shard: OpenShard) -> Result<()> {
        self.wait()?;
        self.closing.start(shard)
    }

    fn wait(&mut self) -> Result<()> {
        match self.closing.wait()? {
            None => Ok(()),
            Some((split, name, record)) => self.table(split)?.push(&name, &record),
        }
    }

    fn table(&mut self, split: Split) -> Result<&mut Table> {
        self.manifest.table_mut(split).ok_or_else(|| Error::value("this store has no validation split"))
    }

    fn changed(&self, shard: &KeptShard) -> Error {
        Error::store(self.workspace.path(), format!("{}; {START_AGAIN}", shard.complaint(&self.plan.inputs)))
    }
}

/// Refuses ids that no token has.
fn check_ids<T: StoredId>(ids: &[T], vocab_size: u64) -> Result<()> {
    // Where the vocabulary is larger than what the type can say, there is nothing to compare.
    if let Ok(first_bad) = T::try_from(vocab_size)
        // All of them, as a loop that stops at one looks at one at a time.
        && ids.iter().fold(false, |is_bad, id| is_bad | (*id >= first_bad))
    {
        let id = ids.iter().copied().max().map_or(0, T::wide);
        return Err(Error::value(format!(
            "id {id} is not below the vocabulary size {vocab_size} that this store is written for"
        )));
    }
    Ok(())
}

/// A shard on its way to the disk.
#[derive(Default)]
struct Closing {
    thread: Option<JoinHandle<Result<Closed>>>,
}

pub(super) type Closed = (Split, String, ShardRecord);

impl Closing {
    fn start(&mut self, shard: OpenShard) -> Result<()> {
        let thread = std::thread::Builder::new()
            .name("tokenmill-disk".into())
            .spawn(move || shard.finish())
            .map_err(|error| Error::value(format!("cannot start the thread that syncs shards: {error}")))?;
        self.thread = Some(thread);
        Ok(())
    }

    fn wait(&mut self) -> Result<Option<Closed>> {
        match self.thread.take().map(JoinHandle::join) {
            None => Ok(None),
            Some(Ok(closed)) => closed.map(Some),
            Some(Err(panic)) => std::panic::resume_unwind(panic),
        }
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        // Already failing: what matters to the user is the first error.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// The shard that documents are being appended to.
pub(super) struct OpenShard {
    split: Split,
    name: String,
    folder: PathBuf,
    disk: Disk,
    tokens: BlockFile,
    docs: BlockFile,
    origin: BlockFile,
    texts: Option<BlockFile>,
    num_tokens: u64,
    /// Where the last document ended.
    ended: u64,
    pub(super) num_documents: u64,
    num_empty_documents: u64,
    source: SourceHash,
}

impl OpenShard {
    pub(super) fn create(folder: &Path, disk: &Disk, split: Split, name: String) -> Result<OpenShard> {
        let file = |kind: ShardFile| BlockFile::create(&folder.join(kind.name(&name)), disk);
        let (tokens, docs, origin) = (file(ShardFile::Tokens)?, file(ShardFile::Docs)?, file(ShardFile::Origin)?);
        Ok(OpenShard {
            split,
            folder: folder.into(),
            name,
            disk: disk.clone(),
            tokens,
            docs,
            origin,
            texts: None,
            num_tokens: 0,
            ended: 0,
            num_documents: 0,
            num_empty_documents: 0,
            source: SourceHash::default(),
        })
    }

    /// Appends ids of a document. They are known to be below the manifest's vocabulary size.
    pub(super) fn extend<T: StoredId>(&mut self, ids: &[T], dtype: Dtype) -> Result<()> {
        match dtype {
            #[expect(clippy::cast_possible_truncation, reason = "ids are below a vocab_size of at most 65,536")]
            Dtype::Uint16 => self.tokens.extend(ids, |id| (id.wide() as u16).to_le_bytes())?,
            Dtype::Uint32 => self.tokens.extend(ids, |id| id.wide().to_le_bytes())?,
        }
        self.num_tokens += ids.len() as u64;
        Ok(())
    }

    /// Ends a document, of whose ids `added` are not of its text.
    pub(super) fn end(&mut self, added: u64, origin: &Origin) -> Result<()> {
        self.num_documents += 1;
        self.num_empty_documents += u64::from(self.num_tokens - self.ended <= added);
        self.ended = self.num_tokens;
        self.source.update(origin);
        if let Some(texts) = &mut self.texts {
            texts.extend(&entry_of(origin)?, |word| word)?;
        }
        self.docs.extend(&[self.num_tokens], u64::to_le_bytes)?;
        self.origin.extend(&[u64::from(origin.input), origin.position], u64::to_le_bytes)
    }

    /// Makes the files durable, then writes the record: its presence means that the shard is whole.
    pub(super) fn finish(self) -> Result<Closed> {
        let record = ShardRecord {
            num_tokens: self.num_tokens,
            num_documents: self.num_documents,
            num_empty_documents: self.num_empty_documents,
            source: self.source.finish(),
            tokens: self.tokens.finish()?,
            docs: self.docs.finish()?,
            origin: self.origin.finish()?,
            texts: self.texts.map(BlockFile::finish).transpose()?,
        };
        self.disk.write_whole(&self.folder.join(record_name(&self.name)), &sealed::seal(&record)?)?;
        self.disk.sync_folder(&self.folder)?;
        Ok((self.split, self.name, record))
    }
}
