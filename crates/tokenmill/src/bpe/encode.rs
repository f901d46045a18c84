//! Text → ids.

use super::BpeModel;
use super::cache::{PieceCache, Place};
use super::merge::{MergeBuffers, merge};
use super::output::Output;
use crate::error::{Error, Result};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// A load from beyond L2 takes as long as cutting a few pieces; a batch hides several.
const BATCH: usize = 32;

/// A piece that has been cut and not yet encoded.
#[derive(Clone, Copy)]
struct Pending {
    start: usize,
    end: usize,
    place: Place,
}

/// What one thread needs to encode: its cache and its buffers.
#[derive(Debug, Default)]
struct Scratch {
    cache: PieceCache,
    tokens: Vec<u32>,
    buffers: MergeBuffers,
}

/// Scratch spaces at rest. A call takes one and puts it back: at most as many exist as calls ran at once.
#[derive(Debug, Default)]
pub(super) struct ScratchPool(Mutex<Vec<Scratch>>);

impl ScratchPool {
    fn take(&self) -> Scratch {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    fn put(&self, scratch: Scratch) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(scratch);
    }
}

impl BpeModel {
    /// Appends the ids of `text` to `ids`.
    pub fn encode<O: Output>(&self, text: &str, ids: &mut O) -> Result<()> {
        O::check(self.vocab.len())?;
        let mut scratch = self.scratch.take();
        let result = self.encode_with(text, &mut scratch, ids);
        self.scratch.put(scratch);
        result
    }

    /// Cuts a batch of pieces ahead and asks for their cache lines before it looks at the first: the loads overlap,
    /// where one after the other each would be waited for.
    fn encode_with<O: Output>(&self, text: &str, scratch: &mut Scratch, ids: &mut O) -> Result<()> {
        let bytes = text.as_bytes();
        let mut batch = [Pending { start: 0, end: 0, place: Place::Nowhere }; BATCH];
        let mut waiting = 0;
        let mut failed = Ok(());
        self.pattern.split(text, |Range { start, end }| {
            let place = Place::of(bytes, start, end);
            scratch.cache.prefetch(&place);
            batch[waiting] = Pending { start, end, place };
            waiting += 1;
            if waiting == BATCH {
                if failed.is_ok() {
                    failed = self.encode_pieces(bytes, &batch, scratch, ids);
                }
                waiting = 0;
            }
        })?;
        failed.and_then(|()| self.encode_pieces(bytes, &batch[..waiting], scratch, ids))
    }

    fn encode_pieces<O: Output>(
        &self,
        text: &[u8],
        batch: &[Pending],
        scratch: &mut Scratch,
        ids: &mut O,
    ) -> Result<()> {
        for Pending { start, end, place } in batch {
            let piece = &text[*start..*end];
            if !scratch.cache.get(place, piece, ids) {
                self.merge_piece(piece, place, scratch, ids)?;
            }
        }
        Ok(())
    }

    /// The way of a piece that is not in the cache.
    #[inline(never)]
    fn merge_piece<O: Output>(&self, piece: &[u8], place: &Place, scratch: &mut Scratch, ids: &mut O) -> Result<()> {
        let Scratch { cache, tokens, buffers } = scratch;
        tokens.clear();
        if self.whole_pieces
            && let Some(id) = self.vocab.id(piece)
        {
            tokens.push(id);
        } else {
            for &byte in piece {
                tokens.push(self.byte_ids[usize::from(byte)].ok_or_else(|| missing_byte(byte, piece))?);
            }
            merge(&self.pairs, piece, tokens, buffers);
        }
        cache.put(place, piece, tokens);
        ids.extend(tokens);
        Ok(())
    }
}

fn missing_byte(byte: u8, piece: &[u8]) -> Error {
    Error::UnknownToken(format!(
        "the vocabulary has no token for byte 0x{byte:02X}, found in {}; train with all 256 bytes as base tokens",
        crate::vocab::show(&piece[..piece.len().min(40)])
    ))
}
