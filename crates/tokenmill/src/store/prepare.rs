//! Documents → ids → store.
//!
//! ```text
//! group n      parse, what is on disk already, encode: every block on its own thread ─┐ at the same time
//! group n − 1  append to the store, in order                                          ─┘
//! ```
//!
//! Order comes from the inputs, never from threads: the bytes of a store are the same for any number of them.
//! Memory holds two groups of blocks, whatever the size of the corpus.

use super::split::{Split, Splitter};
use super::writer::{StoredId, Writer, WriterOptions};
use super::{DEFAULT_SHARD_TOKENS, Dtype, Manifest, Origin, text_hash};
use crate::bpe::Output;
use crate::documents::{Block, BlockSource, Documents, Layout, for_each_group};
use crate::error::{Error, Result};
use crate::formats::tokenizer_json;
use crate::monitor::Monitor;
use crate::threads;
use crate::tokenizer::Tokenizer;
use rayon::ThreadPool;
use rayon::prelude::*;
use std::path::Path;
use std::sync::Arc;

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
    /// Go on with what a stopped run has left beside the store, if anything; it must have had the same options and inputs.
    pub resume: bool,
}

impl Default for PrepareOptions {
    fn default() -> Self {
        PrepareOptions { bos: None, eos: None, shard_tokens: DEFAULT_SHARD_TOKENS, val_fraction: 0.0, resume: false }
    }
}

/// Encodes every document of `source` into a new store at `out`, which must not exist. Special tokens in a text are
/// ordinary text. On an error or Ctrl-C the finished shards are kept in `NAME.partial`, for `resume`.
pub fn prepare(
    source: &mut dyn BlockSource,
    tokenizer: &Tokenizer,
    out: &Path,
    options: &PrepareOptions,
    monitor: &dyn Monitor,
) -> Result<Manifest> {
    let writer_options = WriterOptions {
        tokenizer_fingerprint: tokenizer.fingerprint().to_string(),
        vocab_size: tokenizer.vocab_size() as u64,
        bos: options.bos,
        eos: options.eos,
        shard_tokens: options.shard_tokens,
        val_fraction: options.val_fraction,
        inputs: source.planned(),
        resume: options.resume,
    };
    let writer = Writer::create(out, writer_options, |path| tokenizer_json::save(tokenizer, path))?;
    let pool = threads::pool()?;
    // Ids are made as wide as they are stored.
    match Dtype::for_vocab_size(tokenizer.vocab_size() as u64) {
        Dtype::Uint16 => {
            let encode = |text: &str, ids: &mut Vec<u16>| tokenizer.encode_ordinary(text, ids);
            write_documents(source, &encode, writer, options, monitor, pool)
        }
        Dtype::Uint32 => {
            let encode = |text: &str, ids: &mut Vec<u32>| tokenizer.encode_ordinary(text, ids);
            write_documents(source, &encode, writer, options, monitor, pool)
        }
    }
}

/// Appends the ids of a text.
pub(super) type Encode<'a, T> = &'a (dyn Fn(&str, &mut Vec<T>) -> Result<()> + Sync);

/// [`prepare`], for anything that encodes.
pub(super) fn write_documents<T: StoredId>(
    source: &mut dyn BlockSource,
    encode: Encode<'_, T>,
    mut writer: Writer,
    options: &PrepareOptions,
    monitor: &dyn Monitor,
    pool: &ThreadPool,
) -> Result<Manifest>
where
    Vec<T>: Output,
{
    let splitter = writer.splitter();
    let mut kept = writer.kept();
    let mut waiting: Vec<Result<Encoded<T>>> = Vec::new();
    for_each_group(source, "encoding", monitor, |group| {
        let ready = std::mem::take(&mut waiting);
        let (written, encoded) = pool.install(|| {
            rayon::join(
                || append(&mut writer, ready),
                || {
                    let mut parsed: Vec<_> = group.into_par_iter().map(|block| parse_block(block, splitter)).collect();
                    parsed.iter_mut().flatten().for_each(|block| block.pass_over(&mut kept));
                    parsed.into_par_iter().map(|block| encode_block(block?, encode, options)).collect()
                },
            )
        });
        waiting = encoded;
        written
    })?;
    append(&mut writer, waiting)?;
    writer.finish(source.inputs())
}

/// The documents of a block and what is to be done with each.
struct Parsed {
    name: Arc<str>,
    /// What a document's position counts.
    unit: &'static str,
    documents: Documents,
    items: Vec<Item>,
}

/// A document.
struct Item {
    split: Split,
    origin: Origin,
    /// A stopped run has written it.
    kept: bool,
}

/// What can be said of each block by itself.
fn parse_block(block: Block, splitter: Splitter) -> Result<Parsed> {
    let name = Arc::clone(&block.name);
    let unit = if matches!(block.layout, Layout::Texts(_)) { "row" } else { "byte" };
    let documents = block.parse()?;
    let item = |(text, position): (&str, &u64)| {
        let origin = Origin { input: documents.input, position: *position, text: text_hash(text) };
        Item { split: splitter.split(&origin.text), origin, kept: false }
    };
    let items = documents.iter().zip(&documents.positions).map(item).collect();
    Ok(Parsed { name, unit, documents, items })
}

impl Parsed {
    /// Of the first documents of each split, as many as are `kept` are not encoded again.
    fn pass_over(&mut self, kept: &mut [u64; 2]) {
        for item in &mut self.items {
            let left = &mut kept[item.split as usize];
            item.kept = *left > 0;
            *left = left.saturating_sub(1);
        }
    }
}

/// The ids of a block's documents, BOS and EOS included.
struct Encoded<T> {
    ids: Vec<T>,
    /// End of each document in `ids`.
    ends: Vec<usize>,
    items: Vec<Item>,
}

fn encode_block<T>(block: Parsed, encode: Encode<'_, T>, options: &PrepareOptions) -> Result<Encoded<T>>
where
    Vec<T>: Output,
{
    let Parsed { name, unit, documents, items } = block;
    // English takes 4 to 5 bytes a token; 4 seldom needs a second allocation.
    let mut ids = Vec::with_capacity(documents.text.len() / 4 + 2 * documents.len());
    let mut ends = Vec::with_capacity(documents.len());
    for (text, item) in documents.iter().zip(&items) {
        if !item.kept {
            ids.push_all(options.bos.as_slice());
            encode(text, &mut ids).map_err(|error| located(error, &name, unit, item.origin.position))?;
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

/// Stops at the first block that failed: the first of the input, whichever thread failed first.
fn append<T: StoredId>(writer: &mut Writer, blocks: Vec<Result<Encoded<T>>>) -> Result<()> {
    for block in blocks {
        let Encoded { ids, ends, items } = block?;
        let mut start = 0;
        for (end, Item { split, origin, kept }) in ends.into_iter().zip(items) {
            if kept {
                writer.skip(split, &origin)?;
            } else {
                writer.append(split, &ids[start..end], &origin)?;
            }
            start = end;
        }
    }
    Ok(())
}
