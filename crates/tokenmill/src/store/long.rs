//! Documents that are too long to be held, on their way to a store in parts.
//!
//! ```text
//! parts of the text ─► Long: hash, special tokens, ─► encode   ─┬─────────────────────────► Sink
//!                      where it can be cut           on any     └► Spool: the ids so far ─►
//!                      in order                      thread        in order                at the end
//! ```
//!
//! At its end only is known whether there is a document at all, and by its hash whether it has been there and which split it
//! is for. Where that matters, its ids are in a temporary file until then, so that none is in a shard that does not belong there.
//! Where each document goes to the same split or ends the work, they go there at once: else, of a text in one file, a fifth of
//! the time would be one thread alone that copies and hashes them at the end.

use super::Origin;
use super::coder::{Coder, Memory, Sink, located, spells_special};
use super::options::{PrepareOptions, SpecialText};
use super::select::{Action, Item, Selection};
use super::split::Split;
use super::text_hash::{TextHash, TextHasher};
use super::writer::StoredId;
use crate::bpe::Output;
use crate::documents::{Part, Record, Rejected};
use crate::error::{Error, Result};
use crate::spare::Spare;
use crate::tokenizer::{LongText, in_part};
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::path::PathBuf;
use std::sync::Arc;

/// Bytes of ids that are read back at once.
const READ_BYTES: usize = 1 << 20;

/// Where a document comes from.
pub(super) struct Place {
    pub name: Arc<str>,
    pub input: u32,
    /// Where its record begins.
    pub position: u64,
}

/// A part as it comes.
pub(super) struct LongPart {
    pub place: Place,
    pub part: Part,
}

/// A part that can be encoded by itself.
pub(super) struct Piece {
    place: Place,
    text: String,
    /// Where it begins in the text of the document.
    start: u64,
    begins: bool,
    /// Whether anybody wants its ids.
    wanted: bool,
    /// Where they go, if that is known before the end.
    surely: Option<Split>,
    /// What becomes of the document, if this is its last.
    end: Option<Item>,
}

/// The ids of a piece.
pub(super) struct EncodedPiece<T> {
    ids: Result<Vec<T>>,
    begins: bool,
    surely: Option<Split>,
    end: Option<Item>,
}

/// The document that is being read.
pub(super) struct Long<'a> {
    text: LongText<'a>,
    hasher: TextHasher,
    /// Bytes of it so far, and those of them that are in pieces.
    bytes: u64,
    cut: u64,
    wanted: bool,
    /// The split that it goes to if the work goes on.
    surely: Option<Split>,
}

impl<'a> Long<'a> {
    fn new<T>(
        coder: &Coder<'a, T>,
        selection: &Selection,
        place: &Place,
        options: &PrepareOptions,
    ) -> Result<Long<'a>> {
        let splits = selection.splitter.splits();
        let on_disk = selection.on_disk.has_surely(splits, place.input, place.position);
        let hasher = TextHasher::new(options.tells_texts());
        let surely = if options.skip_rejected { None } else { selection.takes_all() };
        Ok(Long { text: (coder.long_text)()?, hasher, bytes: 0, cut: 0, wanted: !on_disk, surely })
    }

    /// Takes the next part of the document in `slot`. Parts come in order.
    pub fn take<T>(
        slot: &mut Option<Long<'a>>,
        part: LongPart,
        selection: &mut Selection,
        coder: &Coder<'a, T>,
        options: &PrepareOptions,
    ) -> Result<Piece> {
        let LongPart { place, part: Part { begins, text, end } } = part;
        if begins {
            *slot = Some(Long::new(coder, selection, &place, options)?);
        }
        let long = slot.as_mut().ok_or_else(|| Error::value("a document has no beginning"))?;
        let (mut text, start) = (long.push(text).map_err(|error| of_document(error, &place))?, long.cut);
        long.cut += text.len() as u64;
        let (wanted, surely) = (long.wanted, long.surely);
        let end = match end {
            None => None,
            Some(end) => {
                let ended = end.and_then(|bytes| long.finish(&mut text, &place, bytes, options));
                *slot = None;
                Some(match ended {
                    Ok(origin) => {
                        let split = selection.splitter.split(&origin.text)?;
                        let mut item = Item { split, origin, action: Action::Encode };
                        selection.admit(&mut item)?;
                        item
                    }
                    Err(rejected) if options.skip_rejected => {
                        selection.reject(&rejected)?;
                        dropped(&place)
                    }
                    Err(rejected) => return Err(rejected.into_error()),
                })
            }
        };
        let wanted = wanted && end.as_ref().is_none_or(|item| item.action == Action::Encode);
        Ok(Piece { place, text, start, begins, wanted, surely, end })
    }

    fn push(&mut self, text: String) -> Result<String> {
        self.hasher.update(&text);
        self.bytes += text.len() as u64;
        if self.wanted {
            return self.text.push(text);
        }
        self.text.pass(&text);
        Ok(String::new())
    }

    /// The document, which is read to its end. What is left to be encoded goes to `text`.
    fn finish(
        &mut self,
        text: &mut String,
        place: &Place,
        record_bytes: u64,
        options: &PrepareOptions,
    ) -> Result<Origin, Rejected> {
        let (rest, (special_text, first)) = self.text.finish();
        text.push_str(&rest);
        if let (SpecialText::Error, Some((token, start))) = (options.recipe.specials, first) {
            let record = Record::At(place.position..place.position + record_bytes);
            return Err(spells_special(&place.name, "byte", place.position, (&token, start), record));
        }
        let Place { input, position, .. } = *place;
        Ok(Origin { input, position, text: self.hasher.finish(), text_bytes: self.bytes, special_text })
    }
}

fn of_document(error: Error, place: &Place) -> Error {
    match error {
        Error::Value(reason) => Error::value(format!("{}, document at byte {}: {reason}", place.name, place.position)),
        other => other,
    }
}

/// What is no document.
fn dropped(place: &Place) -> Item {
    let Place { input, position, .. } = *place;
    let origin = Origin { input, position, text: TextHash::default(), text_bytes: 0, special_text: 0 };
    Item { split: Split::Train, origin, action: Action::Drop }
}

/// The ids of a piece, BOS and EOS included. The memory of its text is free then.
pub(super) fn encode_piece<T>(
    piece: Piece,
    coder: &Coder<'_, T>,
    options: &PrepareOptions,
    memory: &Memory<T>,
) -> EncodedPiece<T>
where
    Vec<T>: Output,
{
    let Piece { place, text, start, begins, wanted, surely, end } = piece;
    let encode = || {
        let mut ids = memory.for_ids(text.len(), 1);
        if begins {
            ids.push_all(options.recipe.bos.as_slice());
        }
        (coder.encoder)()?
            .text(&text, &mut ids)
            .map_err(|error| located(in_part(error, start), &place.name, "byte", place.position))?;
        if end.is_some() {
            ids.push_all(options.recipe.eos.as_slice());
        }
        Ok(ids)
    };
    let ids = if wanted { encode() } else { Ok(Vec::new()) };
    memory.texts.give(text.into_bytes());
    EncodedPiece { ids, begins, surely, end }
}

/// The document that is being encoded: its ids, where it is not known yet what becomes of it.
pub(super) struct Spool<T> {
    /// Nameless, so that nothing is left of it whatever happens; and the folder that it is in.
    file: Option<(File, PathBuf)>,
    count: usize,
    /// Why there are no more; told if the document is wanted at its end.
    failed: Option<Error>,
    bytes: Vec<u8>,
    ids: Vec<T>,
}

impl<T> Default for Spool<T> {
    fn default() -> Self {
        Spool { file: None, count: 0, failed: None, bytes: Vec::new(), ids: Vec::new() }
    }
}

impl<T: StoredId> Spool<T> {
    /// Takes the next piece, and hands a document that has come to its end to the sink, unless `stopped`. The memory of the piece's
    /// ids goes to `spare`.
    pub fn take(
        &mut self,
        piece: EncodedPiece<T>,
        sink: &mut impl Sink,
        spare: &Spare<T>,
        stopped: &dyn Fn() -> bool,
    ) -> Result<()> {
        if piece.begins {
            self.clear()?;
        }
        match piece.ids {
            Ok(_) if self.failed.is_some() => {}
            Ok(ids) => {
                match piece.surely {
                    Some(split) => sink.extend(split, &ids)?,
                    None => self.write(&ids, sink)?,
                }
                spare.give(ids);
            }
            Err(error) => self.failed = self.failed.take().or(Some(error)),
        }
        let Some(Item { split, origin, action, .. }) = piece.end else { return Ok(()) };
        debug_assert!(piece.surely.is_none_or(|surely| (surely, action) == (split, Action::Encode)));
        match action {
            Action::Encode => {
                if let Some(error) = self.failed.take() {
                    return Err(error);
                }
                self.read(
                    |ids| {
                        if stopped() { Err(Error::value("the work was ended")) } else { sink.extend(split, ids) }
                    },
                )?;
                sink.end(split, &origin)?;
            }
            Action::Skip => sink.skip(split, &origin)?,
            Action::Drop => {}
        }
        self.clear()
    }

    fn clear(&mut self) -> Result<()> {
        (self.count, self.failed) = (0, None);
        let Some((file, folder)) = &mut self.file else { return Ok(()) };
        file.set_len(0).and_then(|()| file.rewind()).map_err(Error::io(folder))
    }

    fn write(&mut self, ids: &[T], sink: &mut impl Sink) -> Result<()> {
        self.bytes.resize(size_of_val(ids), 0);
        for (slot, id) in self.bytes.chunks_exact_mut(size_of::<T>()).zip(ids) {
            id.put(slot);
        }
        if self.file.is_none() {
            let folder = sink.folder()?;
            self.file = Some((tempfile::tempfile_in(folder).map_err(Error::io(folder))?, folder.into()));
        }
        let Some((file, folder)) = &mut self.file else { return Ok(()) };
        self.count += ids.len();
        file.write_all(&self.bytes).map_err(Error::io(folder))
    }

    fn read(&mut self, mut with: impl FnMut(&[T]) -> Result<()>) -> Result<()> {
        let Some((file, folder)) = &mut self.file else { return Ok(()) };
        file.rewind().map_err(Error::io(&*folder))?;
        let mut left = self.count;
        while left > 0 {
            let now = left.min(READ_BYTES / size_of::<T>());
            self.bytes.resize(now * size_of::<T>(), 0);
            file.read_exact(&mut self.bytes).map_err(Error::io(&*folder))?;
            self.ids.clear();
            self.ids.extend(self.bytes.chunks_exact(size_of::<T>()).map(T::get));
            with(&self.ids)?;
            left -= now;
        }
        Ok(())
    }
}
