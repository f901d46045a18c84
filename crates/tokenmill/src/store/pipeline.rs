//! Documents → ids, on all threads and in order.
//!
//! ```text
//! a block ─► parse ─► select ─► encode ─► append
//!            on any   in order  on any    in order
//!            thread             thread
//! ```
//!
//! Documents too long to be held take the same way in parts ([`super::long`]).
//!
//! Order comes from the inputs, never from threads: the bytes of a store are the same for any number of them.
//! Memory holds some blocks a thread ([`UNDER_WAY_BYTES`]), whatever the size of the corpus.

use super::Origin;
use super::coder::{Coder, Memory, Sink, located, spells_special};
use super::long::{self, EncodedPiece, Long, LongPart, Piece, Spool, encode_piece};
use super::options::{PrepareOptions, SpecialText};
use super::select::{Action, Item, Parsed, Selection};
use super::split::Splitter;
use super::stages::{Clock, Stages};
use super::text_hash::TextHash;
use super::writer::StoredId;
use crate::bpe::Output;
use crate::documents::{Block, BlockSource, Layout, Record, Rejected};
use crate::error::{Error, Result};
use crate::in_order::{Flow, InOrder};
use crate::monitor::{Monitor, Progress};
use crate::spare::Spare;
use rayon::{ScopeFifo, ThreadPool};
use std::sync::Arc;

/// So many bytes of input are under way at most for each thread, and for one more. It is as much only while all wait for one block
/// whose thread waits for memory (a table of pieces that doubles takes 30 ms where a virtual machine has to get its pages first) or has a longer one.
const UNDER_WAY_BYTES: usize = 4 << 20;

/// Of that, so many wait at most for each thread that it begins with them. All of it is memory that is touched for the first time, which takes
/// as long as a tenth of the encoding.
const WAITING_BYTES: usize = 1 << 20;

/// A block of whole documents, or a part of one.
enum Step<B, P> {
    Block(B),
    Part(P),
}

/// A step that has come so far, or why it has not, and its weight.
type Weighed<B, P> = (Result<Step<B, P>>, usize);
type WeighedIds<T> = Weighed<Encoded<T>, EncodedPiece<T>>;

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
    let memory = Memory::default();
    source.in_parts(&memory.texts);
    let splitter = selection.splitter;
    let (selection, sink) = (InOrder::new((selection, None)), InOrder::new((sink, Spool::default())));
    let work =
        Work { coder, options, splitter, selection, sink, flow: Flow::default(), stages: Stages::default(), memory };
    pool.in_place_scope_fifo(|scope| {
        let start = |number, block| work.parse(scope, number, block);
        let read = read_blocks(source, &work.flow, pool.current_num_threads(), &work.stages.input, monitor, start);
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
    let (selection, _) = work.selection.into_taker().ok_or_else(ended)?;
    let (sink, _) = work.sink.into_taker().ok_or_else(ended)?;
    Ok((sink, selection))
}

/// Starts work on all blocks with their numbers, while at most so many bytes are under way, and waits until it is done.
fn read_blocks(
    source: &mut dyn BlockSource,
    flow: &Flow,
    threads: usize,
    waited: &Clock,
    monitor: &dyn Monitor,
    mut start: impl FnMut(usize, Block),
) -> Result<()> {
    let (under_way, waiting) = (UNDER_WAY_BYTES * (threads + 1), WAITING_BYTES * threads);
    let mut number = 0;
    loop {
        let (done, total) = (source.bytes_read(), source.total_bytes());
        let tick = || monitor.tick(Progress { stage: "encoding", unit: "bytes", done, total });
        flow.wait_for(under_way, waiting, &tick)?;
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
    flow.wait_for(0, 0, &|| monitor.tick(progress))?;
    monitor.tick(progress)
}

/// Blocks on their way: parsed and encoded by any thread, decided on and appended in order.
struct Work<'a, 'c, T, S> {
    coder: &'a Coder<'c, T>,
    options: &'a PrepareOptions,
    splitter: Splitter,
    /// With the document of which parts are coming.
    selection: InOrder<(Selection, Option<Long<'c>>), Weighed<Parsed, LongPart>>,
    sink: InOrder<(S, Spool<T>), WeighedIds<T>>,
    flow: Flow,
    stages: Stages,
    memory: Memory<T>,
}

impl<T: StoredId, S: Sink> Work<'_, '_, T, S>
where
    Vec<T>: Output,
{
    fn parse<'scope>(&'scope self, scope: &ScopeFifo<'scope>, number: usize, block: Block) {
        let weight = block.weight();
        scope.spawn_fifo(move |scope| {
            self.flow.begin(weight);
            self.flow.run(|| {
                let parse = || parse(block, self.coder, self.options, self.splitter, &self.memory.texts);
                let parsed = self.stages.parse.time(parse);
                self.selection.put(number, (parsed, weight), |(selection, long), number, (parsed, weight)| {
                    let decided = parsed.and_then(|step| match step {
                        Step::Block(mut block) => selection.decide(&mut block).map(|()| Step::Block(block)),
                        Step::Part(part) => {
                            let take = || Long::take(long, part, selection, self.coder, self.options);
                            self.stages.parse.time(take).map(Step::Part)
                        }
                    });
                    self.encode(scope, number, decided, weight);
                });
            });
        });
    }

    fn encode<'scope>(
        &'scope self,
        scope: &ScopeFifo<'scope>,
        number: usize,
        step: Result<Step<Parsed, Piece>>,
        weight: usize,
    ) {
        scope.spawn_fifo(move |_| {
            self.flow.run(|| {
                let encode = |step| match step {
                    Step::Block(block) => self.encode_block(block).map(Step::Block),
                    Step::Part(piece) => Ok(Step::Part(encode_piece(piece, self.coder, self.options, &self.memory))),
                };
                let encoded = step.and_then(|step| self.stages.encode.time(|| encode(step)));
                self.sink.put(number, (encoded, weight), |(sink, spool), _, (encoded, weight)| {
                    let mut write = |step| match step {
                        Step::Block(block) => append(sink, block, &self.memory.ids),
                        Step::Part(piece) => spool.take(piece, sink, &self.memory.ids, &|| self.flow.is_stopped()),
                    };
                    // Nothing that is behind an error: the first of the input is told, whichever thread failed first.
                    self.flow.run(|| match encoded.and_then(|step| self.stages.write.time(|| write(step))) {
                        Ok(()) => self.flow.leave(weight),
                        Err(error) => self.flow.fail(error),
                    });
                });
            });
        });
    }

    fn encode_block(&self, block: Parsed) -> Result<Encoded<T>> {
        let Parsed { name, unit, documents, items, .. } = block;
        let (bos, eos) = (self.options.recipe.bos.as_slice(), self.options.recipe.eos.as_slice());
        let mut ids = self.memory.for_ids(documents.text.len(), documents.len());
        let mut ends = Vec::with_capacity(documents.len());
        let mut encode = (self.coder.encoder)()?;
        let failed = |error, number: usize| located(error, &name, unit, items[number].origin.position);
        let text_ends = documents.side_by_side().filter(|_| items.iter().all(|item| item.action == Action::Encode));
        if let Some(text_ends) = text_ends {
            ids.push_all(if items.is_empty() { &[] } else { bos });
            let mut ended = |ids: &mut Vec<T>| {
                ids.push_all(eos);
                ends.push(ids.len());
                ids.push_all(if ends.len() < items.len() { bos } else { &[] });
            };
            let encoded = encode.texts(&documents.text, &text_ends, &mut ids, &mut ended);
            encoded.map_err(|(number, error)| failed(error, number))?;
        } else {
            for (number, (text, item)) in documents.iter().zip(&items).enumerate() {
                if item.action == Action::Encode {
                    ids.push_all(bos);
                    encode.text(text, &mut ids).map_err(|error| failed(error, number))?;
                    ids.push_all(eos);
                }
                ends.push(ids.len());
            }
        }
        self.memory.texts.give(documents.text.into_bytes());
        Ok(Encoded { ids, ends, items })
    }
}

/// What can be said of each block by itself.
fn parse<T>(
    block: Block,
    coder: &Coder<'_, T>,
    options: &PrepareOptions,
    splitter: Splitter,
    spare: &Spare<u8>,
) -> Result<Step<Parsed, LongPart>> {
    if let Layout::Part(part) = block.layout {
        let place = long::Place { name: block.name, input: block.input, position: block.start };
        return Ok(Step::Part(LongPart { place, part: *part }));
    }
    parse_block(block, coder, options, splitter, spare).map(Step::Block)
}

fn parse_block<T>(
    block: Block,
    coder: &Coder<'_, T>,
    options: &PrepareOptions,
    splitter: Splitter,
    spare: &Spare<u8>,
) -> Result<Parsed> {
    let name = Arc::clone(&block.name);
    let unit = if matches!(block.layout, Layout::Texts(_)) { "row" } else { "byte" };
    let tells_texts = options.tells_texts();
    let mut rejected = Vec::new();
    let mut reject = |bad: Rejected| {
        if !options.skip_rejected {
            return Err(bad.into_error());
        }
        rejected.push(bad);
        Ok(())
    };
    let documents = block.parse_each(spare, &mut reject)?;
    let mut items = Vec::with_capacity(documents.len());
    // Nearly always there are none: then one look at all is enough, where one at each takes as long as a fifth of the encoding of a line.
    let some_special = (coder.special_text)(&documents.text)?.0 > 0;
    for (text, position) in documents.iter().zip(&documents.positions) {
        let (special_text, first) = if some_special { (coder.special_text)(text)? } else { (0, None) };
        let (text_bytes, hash) = (text.len() as u64, TextHash::of(text, tells_texts));
        let origin = Origin { input: documents.input, position: *position, text: hash, text_bytes, special_text };
        let mut action = Action::Encode;
        if let (SpecialText::Error, Some(range)) = (options.recipe.specials, first) {
            let (token, record) = ((&text[range.clone()], range.start as u64), Record::Bytes(text.into()));
            reject(spells_special(&name, unit, *position, token, record))?;
            action = Action::Drop;
        }
        items.push(Item { split: splitter.split(&origin.text)?, origin, action });
    }
    Ok(Parsed { name, unit, documents, items, rejected })
}

/// The ids of a block's documents, BOS and EOS included.
struct Encoded<T> {
    ids: Vec<T>,
    /// End of each document in `ids`.
    ends: Vec<usize>,
    items: Vec<Item>,
}

/// Hands the ids on; their memory goes to `spare`.
fn append<T: StoredId>(sink: &mut impl Sink, block: Encoded<T>, spare: &Spare<T>) -> Result<()> {
    let Encoded { ids, ends, items } = block;
    let starts = std::iter::once(&0).chain(&ends);
    let mut lists = starts.zip(&ends).map(|(&start, &end)| &ids[start..end]);
    for alike in items.chunk_by(|one, other| (one.action, one.split) == (other.action, other.split)) {
        let mut documents = lists.by_ref().take(alike.len()).zip(alike.iter().map(|item| &item.origin));
        match alike {
            [Item { action: Action::Encode, split, .. }, ..] => sink.append(*split, documents)?,
            [Item { action: Action::Skip, split, .. }, ..] => {
                documents.try_for_each(|(_, origin)| sink.skip(*split, origin))?;
            }
            _ => documents.for_each(drop),
        }
    }
    spare.give(ids);
    Ok(())
}
