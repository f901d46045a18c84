//! What one thread counts.

use super::shard::Sent;
use super::{SHARDS, Shared};
use crate::byte_map::folded_multiply;
use crate::short_key::{SHORT, short_key_at};

/// Slots of a thread's own table: 24 bytes each, in the L2 cache.
const NEAR: usize = 1 << 14;

/// Short pieces that go to a shard at once: their places are fetched together.
const BATCH: usize = 64;

/// Bytes of longer pieces that go to a shard at once.
const LONG_BATCH: usize = 4 << 10;

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    key: [u64; 2],
    count: u64,
}

/// Counts the pieces that one thread cuts.
#[derive(Debug)]
pub struct Counter<'a> {
    shared: &'a Shared,
    /// A piece has one place in it; what was there goes to its shard. Count 0: free.
    near: Box<[Slot]>,
    /// What goes to each shard next.
    short: Vec<Vec<Sent>>,
    long: Vec<LongBatch>,
}

/// Longer pieces back to back.
#[derive(Debug, Default)]
struct LongBatch {
    bytes: Vec<u8>,
    /// Hash and end of each.
    pieces: Vec<(u64, usize)>,
}

#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "halves are taken")]
fn halves(key: u128) -> [u64; 2] {
    [key as u64, (key >> 64) as u64]
}

#[inline(always)]
fn whole(halves: [u64; 2]) -> u128 {
    u128::from(halves[0]) | u128::from(halves[1]) << 64
}

/// The shard of a hash: by its high bits.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "below SHARDS")]
fn shard_of(hash: u64) -> usize {
    (hash >> (64 - SHARDS.trailing_zeros())) as usize
}

impl Shared {
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "halves are taken")]
    fn hash_short(&self, key: u128) -> u64 {
        folded_multiply(key as u64 ^ self.secrets[0], (key >> 64) as u64 ^ self.secrets[1])
    }

    fn hash_long(&self, piece: &[u8]) -> u64 {
        let mut hash = piece.len() as u64;
        let (blocks, _) = piece.as_chunks::<16>();
        // What is no whole block is hashed with the 16 bytes at the end; some bytes may count twice.
        for block in blocks.iter().chain(piece.last_chunk::<16>()) {
            let [low, high] = halves(u128::from_le_bytes(*block));
            hash = folded_multiply(low ^ self.secrets[0] ^ hash, high ^ self.secrets[1]).rotate_left(23);
        }
        hash
    }
}

impl<'a> Counter<'a> {
    pub(super) fn new(shared: &'a Shared) -> Counter<'a> {
        Counter {
            shared,
            near: vec![Slot::default(); NEAR].into_boxed_slice(),
            short: (0..SHARDS).map(|_| Vec::with_capacity(BATCH)).collect(),
            long: (0..SHARDS).map(|_| LongBatch::default()).collect(),
        }
    }

    /// Counts a piece.
    pub fn add(&mut self, piece: &[u8]) {
        self.add_all(piece, 0, &[piece.len()]);
    }

    /// Counts the pieces of `text` from `start` on, each of which begins where the one before ends.
    #[inline]
    pub fn add_all(&mut self, text: &[u8], mut start: usize, ends: &[usize]) {
        for &end in ends {
            let length = end - start;
            if length <= SHORT {
                let key = short_key_at(text, start, length);
                let hash = self.shared.hash_short(key);
                #[expect(clippy::cast_possible_truncation, reason = "only low bits count")]
                let slot = &mut self.near[hash as usize % NEAR];
                if slot.key == halves(key) {
                    slot.count += 1;
                } else {
                    let old = std::mem::replace(slot, Slot { key: halves(key), count: 1 });
                    if old.count > 0 {
                        self.send_short(old);
                    }
                }
            } else {
                self.send_long(&text[start..end]);
            }
            start = end;
        }
    }

    #[inline]
    fn send_short(&mut self, slot: Slot) {
        let key = whole(slot.key);
        let hash = self.shared.hash_short(key);
        let shard = shard_of(hash);
        self.short[shard].push(Sent { key, hash, count: slot.count });
        if self.short[shard].len() == BATCH {
            self.deliver_short(shard);
        }
    }

    #[inline(never)]
    fn deliver_short(&mut self, shard: usize) {
        let pieces = &self.short[shard];
        self.shared.with_shard(shard, |shard| shard.add_short(pieces, |key| self.shared.hash_short(key)));
        self.short[shard].clear();
    }

    fn send_long(&mut self, piece: &[u8]) {
        let hash = self.shared.hash_long(piece);
        let shard = shard_of(hash);
        let batch = &mut self.long[shard];
        batch.bytes.extend_from_slice(piece);
        batch.pieces.push((hash, batch.bytes.len()));
        if batch.bytes.len() >= LONG_BATCH {
            self.deliver_long(shard);
        }
    }

    fn deliver_long(&mut self, shard: usize) {
        let batch = &mut self.long[shard];
        self.shared.with_shard(shard, |shard| {
            for (hash, _) in &batch.pieces {
                shard.prefetch_long(*hash);
            }
            let mut start = 0;
            for &(hash, end) in &batch.pieces {
                shard.add_long(&batch.bytes[start..end], hash, 1);
                start = end;
            }
        });
        batch.pieces.clear();
        batch.bytes.clear();
        // One piece of 50 MB need not be remembered by the size of a buffer.
        batch.bytes.shrink_to(2 * LONG_BATCH);
    }

    /// Sends what is left.
    pub(super) fn finish(mut self) {
        for slot in std::mem::take(&mut self.near) {
            if slot.count > 0 {
                self.send_short(slot);
            }
        }
        for shard in 0..SHARDS {
            self.deliver_short(shard);
            self.deliver_long(shard);
        }
    }
}
