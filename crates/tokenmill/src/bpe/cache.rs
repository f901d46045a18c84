//! Pieces seen before and what they became.
//!
//! Direct-mapped: a piece has one slot, a new piece overwrites it. So memory is fixed, nothing grows with the corpus,
//! and no input can make a lookup slow. Words follow Zipf's law: 16,384 slots answer more than 9 of 10 pieces of
//! English text.

use rustc_hash::FxHasher;
use std::hash::Hasher;

/// Longest piece that is cached, in bytes: with the lengths, a key fills half of a 64-byte cache line.
const KEY_BYTES: usize = 30;
/// Most tokens that are cached for a piece: the other half.
const MAX_IDS: usize = 8;
const SLOTS: usize = 1 << 14;

#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
struct Slot {
    key: [u8; KEY_BYTES],
    /// 0: the slot is free.
    key_len: u8,
    ids_len: u8,
    ids: [u32; MAX_IDS],
}

const FREE: Slot = Slot { key: [0; KEY_BYTES], key_len: 0, ids_len: 0, ids: [0; MAX_IDS] };

/// 1 MiB of remembered pieces, for one thread and one tokenizer.
#[derive(Debug)]
pub(super) struct PieceCache {
    slots: Box<[Slot]>,
}

impl Default for PieceCache {
    fn default() -> Self {
        PieceCache { slots: vec![FREE; SLOTS].into_boxed_slice() }
    }
}

impl PieceCache {
    /// The ids of `piece`, if its slot still holds it.
    #[inline]
    pub(super) fn get(&self, piece: &[u8]) -> Option<&[u32]> {
        if piece.len() > KEY_BYTES {
            return None;
        }
        let slot = &self.slots[slot_of(piece)];
        let found = usize::from(slot.key_len) == piece.len() && slot.key[..piece.len()] == *piece;
        found.then(|| &slot.ids[..usize::from(slot.ids_len)])
    }

    /// Remembers a piece, unless it is too long.
    pub(super) fn put(&mut self, piece: &[u8], ids: &[u32]) {
        if piece.len() > KEY_BYTES || ids.len() > MAX_IDS {
            return;
        }
        let slot = &mut self.slots[slot_of(piece)];
        slot.key[..piece.len()].copy_from_slice(piece);
        slot.ids[..ids.len()].copy_from_slice(ids);
        // Both lengths were checked above and fit.
        slot.key_len = u8::try_from(piece.len()).unwrap_or(0);
        slot.ids_len = u8::try_from(ids.len()).unwrap_or(0);
    }
}

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "a shift leaves 14 bits")]
fn slot_of(piece: &[u8]) -> usize {
    let mut hasher = FxHasher::default();
    hasher.write(piece);
    // FxHasher's best bits are its high ones.
    (hasher.finish() >> (64 - SLOTS.trailing_zeros())) as usize
}
