//! What a thread has learned, for the others.
//!
//! Each thread has a cache of its own, which it reads without asking anybody, so what comes often would be merged once by each. Here
//! threads leave the new pieces that they have merged, a thousand at a time, and take in what others left: some 10 ns a
//! piece instead of 140, and a text that comes again on other threads is known to them.
//!
//! Nobody waits: who finds the lock taken tries again later. So a child of `fork`, where it may stay locked for ever, only learns
//! everything by itself. Ids do not depend on it, as they do not depend on the cache.

use super::cache::{Learned, PieceCache};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, TryLockError};

/// So many pieces are left at a time.
const PART: usize = 1024;

/// So many pieces wait for the lock.
const MOST_WAITING: usize = 16 * PART;

/// So many parts are kept: 8 MiB, for threads that come later.
const PARTS: usize = 256;

/// The new pieces of all threads that use a tokenizer.
#[derive(Debug, Default)]
pub(super) struct News {
    parts: Mutex<VecDeque<Arc<[Learned]>>>,
    /// How many parts there have been: the numbers of those that are kept are the last below.
    count: AtomicUsize,
    readers: AtomicUsize,
}

/// How much of the news a thread knows.
#[derive(Debug)]
pub(super) struct Reader {
    heard: usize,
}

impl News {
    /// For one more cache.
    pub(super) fn reader(&self) -> Reader {
        self.readers.fetch_add(1, Ordering::Relaxed);
        Reader { heard: 0 }
    }

    /// Whether there are several caches, so that what is learned is of use to another one.
    pub(super) fn is_read(&self) -> bool {
        self.readers.load(Ordering::Relaxed) > 1
    }

    /// Leaves what the cache has learned, if that is enough, and lets it take in what others left.
    #[inline(always)]
    pub(super) fn exchange(&self, reader: &mut Reader, cache: &mut PieceCache) {
        if cache.learned().len() >= PART || self.count.load(Ordering::Relaxed) != reader.heard {
            self.try_exchange(reader, cache);
        }
    }

    #[cold]
    fn try_exchange(&self, reader: &mut Reader, cache: &mut PieceCache) {
        let mut parts = match self.parts.try_lock() {
            Ok(parts) => parts,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {
                // Where it stays locked, what is kept does not grow without bound.
                if cache.learned().len() >= MOST_WAITING {
                    cache.learned().clear();
                }
                return;
            }
        };
        let count = self.count.load(Ordering::Relaxed);
        let new: Vec<Arc<[Learned]>> = parts.iter().rev().take(count - reader.heard).map(Arc::clone).collect();
        reader.heard = count;
        if cache.learned().len() >= PART {
            if parts.len() == PARTS {
                parts.pop_front();
            }
            parts.push_back(cache.learned().drain(..).collect());
            reader.heard += 1;
            self.count.store(reader.heard, Ordering::Relaxed);
        }
        drop(parts);
        new.iter().rev().for_each(|part| cache.take_in(part));
    }
}

#[cfg(test)]
mod tests {
    use super::super::cache::Became;
    use super::super::key::{self, Kind};
    use super::*;

    const VOCAB_SIZE: usize = 1 << 20;

    /// A cache, and what it knows of the news.
    struct Thread(PieceCache, Reader);

    impl Thread {
        fn of(news: &News) -> Thread {
            let mut cache = PieceCache::new(VOCAB_SIZE);
            cache.keep_learned(true);
            Thread(cache, news.reader())
        }

        fn exchange(&mut self, news: &News) {
            news.exchange(&mut self.1, &mut self.0);
        }

        fn learn(&mut self, pieces: std::ops::Range<u32>) {
            for piece in pieces {
                self.0.put(&spelled(piece), Kind::Whole, &[piece]);
            }
        }

        fn knows(&self, piece: u32) -> bool {
            let spelled = spelled(piece);
            let key = key::short(&spelled, 0, spelled.len(), Kind::Whole);
            let short = self.0.short();
            let (found, mut ids) = (short.at(short.place(key), key), Vec::<u32>::new());
            let known = self.0.push_short(found, &mut ids);
            assert!(found == Became::UNKNOWN && !known || ids == [piece], "{piece}: {ids:?}");
            known
        }
    }

    fn spelled(piece: u32) -> Vec<u8> {
        format!(" w{piece}").into_bytes()
    }

    #[test]
    fn what_one_thread_has_merged_others_know_and_later_ones_too() {
        let (news, all) = (News::default(), 0..3 * PART as u32);
        let (mut one, mut other) = (Thread::of(&news), Thread::of(&news));
        assert!(news.is_read());
        one.learn(0..7);
        one.exchange(&news);
        other.exchange(&news);
        assert!(!other.knows(0), "too little to be left");
        one.learn(7..all.end);
        one.exchange(&news);
        other.exchange(&news);
        let mut late = Thread::of(&news);
        late.exchange(&news);
        for thread in [&one, &other, &late] {
            // A few find no room in their lines.
            assert!(all.clone().filter(|piece| thread.knows(*piece)).count() > all.len() * 9 / 10);
        }
        assert!(one.0.learned().is_empty() && other.0.learned().is_empty(), "nobody passes on what others left");
    }

    #[test]
    fn only_the_newest_parts_are_kept_and_whoever_missed_some_goes_on_from_there() {
        let news = News::default();
        let (mut one, mut other) = (Thread::of(&news), Thread::of(&news));
        let count = PARTS as u32 + 3;
        for part in 0..count {
            one.learn(part * PART as u32..(part + 1) * PART as u32);
            one.exchange(&news);
        }
        assert_eq!((news.parts.lock().unwrap().len(), news.count.load(Ordering::Relaxed)), (PARTS, count as usize));
        other.exchange(&news);
        assert!(!(0..3 * PART as u32).any(|piece| other.knows(piece)));
        assert_eq!(other.1.heard, count as usize);
    }

    #[test]
    fn while_another_holds_the_lock_a_thread_goes_on_and_keeps_a_bounded_number() {
        let news = News::default();
        let mut one = Thread::of(&news);
        let held = news.parts.lock().unwrap();
        let mut most = 0;
        for piece in 0..3 * MOST_WAITING as u32 {
            one.learn(piece..piece + 1);
            one.exchange(&news);
            most = most.max(one.0.learned().len());
        }
        assert!((PART..MOST_WAITING).contains(&most), "{most}");
        drop(held);
        one.learn(0..PART as u32);
        one.exchange(&news);
        assert_eq!((one.0.learned().len(), news.count.load(Ordering::Relaxed)), (0, 1));
    }
}
