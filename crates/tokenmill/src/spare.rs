//! Memory that is used again.
//!
//! A block of a megabyte is read by one thread, parsed and encoded by others, and then gone. What the next is read into has to be filled
//! with zeros first, and each page of 4 KiB that is touched for the first time costs 1 to 4 µs, as long as encoding some hundred
//! bytes. Memory that has held a block before needs neither.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// What is smaller than this the allocator has again at once; whoever needs as little would hold too much.
const LEAST_BYTES: usize = 256 << 10;

/// A block for a document of many megabytes is not to stay for ever.
const MOST_BYTES: usize = 2 << 20;

/// Small vectors that have grown could be given back without end.
const MOST_KEPT_BYTES: usize = 32 << 20;

/// Vectors that nobody uses.
#[derive(Debug)]
pub struct Spare<T>(Mutex<Kept<T>>);

#[derive(Debug)]
struct Kept<T> {
    vectors: Vec<Vec<T>>,
    /// The memory that they hold.
    bytes: usize,
}

impl<T> Default for Spare<T> {
    fn default() -> Self {
        Spare(Mutex::new(Kept { vectors: Vec::new(), bytes: 0 }))
    }
}

impl<T> Spare<T> {
    /// A vector with room for so many. It holds what it did when it was given back.
    pub fn take(&self, room: usize) -> Vec<T> {
        if room.saturating_mul(size_of::<T>()) < LEAST_BYTES {
            return Vec::with_capacity(room);
        }
        let mut kept = self.lock();
        // The last one given back is the likeliest to be in a cache.
        if let Some(found) = kept.vectors.iter().rposition(|vector| vector.capacity() >= room) {
            let vector = kept.vectors.remove(found);
            kept.bytes -= bytes_of(&vector);
            return vector;
        }
        drop(kept);
        // Blocks differ by some bytes: all of them are to fit.
        Vec::with_capacity(room.checked_next_power_of_two().unwrap_or(room))
    }

    /// Keeps a vector for the next who needs one, if it is worth it.
    pub fn give(&self, vector: Vec<T>) {
        let bytes = bytes_of(&vector);
        if (LEAST_BYTES..=MOST_BYTES).contains(&bytes) {
            let mut kept = self.lock();
            if kept.bytes + bytes <= MOST_KEPT_BYTES {
                kept.bytes += bytes;
                kept.vectors.push(vector);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bytes_of<T>(vector: &Vec<T>) -> usize {
    vector.capacity() * size_of::<T>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_back_comes_again_to_whoever_it_is_large_enough_for() {
        let spare = Spare::default();
        let (mut small, mut large) = (spare.take(LEAST_BYTES), spare.take(LEAST_BYTES + 1));
        assert_eq!([small.capacity(), large.capacity()], [LEAST_BYTES, 2 * LEAST_BYTES]);
        small.push(7_u8);
        large.push(8);
        spare.give(large);
        spare.give(small);
        assert_eq!(spare.take(LEAST_BYTES + 1), [8]);
        assert_eq!(spare.take(LEAST_BYTES), [7]);
        assert!(spare.take(LEAST_BYTES).is_empty());
    }

    #[test]
    fn what_is_small_or_large_or_too_much_is_not_kept() {
        let spare = Spare::default();
        assert_eq!(spare.take(10).capacity(), 10);
        for size in [LEAST_BYTES - 1, MOST_BYTES + 1] {
            spare.give(vec![0_u8; size]);
        }
        assert_eq!(spare.lock().vectors.len(), 0);
        let most = MOST_KEPT_BYTES / MOST_BYTES;
        (0..=most).for_each(|_| spare.give(Vec::with_capacity(MOST_BYTES)));
        assert_eq!(spare.lock().vectors.len(), most);
        spare.take(MOST_BYTES);
        (0..2).for_each(|_| spare.give(Vec::with_capacity(MOST_BYTES)));
        assert_eq!(spare.lock().vectors.len(), most);
    }
}
