//! Text → ids.

use super::BpeModel;
use super::cache::{PieceCache, Place};
use super::merge::{MergeBuffers, merge};
use crate::error::{Error, Result};
use std::sync::{Mutex, PoisonError};

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
    pub fn encode(&self, text: &str, ids: &mut Vec<u32>) -> Result<()> {
        let mut scratch = self.scratch.take();
        let mut missing = Ok(());
        let bytes = text.as_bytes();
        let split = self.pattern.split(text, |range| {
            let place = Place::of(bytes, range.start, range.end);
            let piece = &bytes[range];
            if !scratch.cache.get(&place, piece, ids)
                && let Err(error) = self.merge_piece(piece, &place, &mut scratch, ids)
            {
                missing = Err(error);
            }
        });
        self.scratch.put(scratch);
        split.and(missing)
    }

    /// The way of a piece that is not in the cache.
    #[inline(never)]
    fn merge_piece(&self, piece: &[u8], place: &Place, scratch: &mut Scratch, ids: &mut Vec<u32>) -> Result<()> {
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
        ids.extend_from_slice(tokens);
        Ok(())
    }
}

fn missing_byte(byte: u8, piece: &[u8]) -> Error {
    Error::UnknownToken(format!(
        "the vocabulary has no token for byte 0x{byte:02X}, found in {}; train with all 256 bytes as base tokens",
        crate::vocab::show(&piece[..piece.len().min(40)])
    ))
}
