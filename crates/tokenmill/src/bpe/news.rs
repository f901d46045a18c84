//! What a thread has learned, for the others.
//!
//! Each thread has a cache of its own, which it reads without asking anybody, so what comes often would be merged once by each. Here
//! threads leave what they have merged, a thousand short pieces or 64 KiB of others at a time, and take in what others left:
//! some 10 ns a short piece instead of 140, and a text that comes again on other threads is known to them.
//!
//! Nobody waits: who finds the lock taken tries again later. So a child of `fork`, where it may stay locked for ever, only learns
//! everything by itself. Ids do not depend on it, as they do not depend on the cache.

use super::cache::{Learned, PieceCache};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, TryLockError};

/// So many parts wait for the lock.
const MOST_WAITING: usize = 16;

/// So many parts are kept: 8 MiB at most, for threads that come later.
const PARTS: usize = 128;

/// So many parts a thread takes in for one that it leaves, so that of a hundred threads each has time for its own pieces.
const FOR_ONE: usize = 8;

/// The new pieces of all threads that use a tokenizer.
#[derive(Debug, Default)]
pub(super) struct News {
    parts: Mutex<VecDeque<Arc<Learned>>>,
    /// How many parts there have been: the numbers of those that are kept are the last below.
    count: AtomicUsize,
    readers: AtomicUsize,
}

/// How much of the news a thread knows.
#[derive(Debug)]
pub(super) struct Reader {
    heard: usize,
    /// How many parts it may take in.
    allowed: usize,
}

impl News {
    /// For one more cache.
    pub(super) fn reader(&self) -> Reader {
        self.readers.fetch_add(1, Ordering::Relaxed);
        Reader { heard: 0, allowed: PARTS }
    }

    /// Whether there are several caches, so that what is learned is of use to another one.
    pub(super) fn is_read(&self) -> bool {
        self.readers.load(Ordering::Relaxed) > 1
    }

    /// Leaves what the cache has learned, if that is enough, and lets it take in what others left.
    #[inline(always)]
    pub(super) fn exchange(&self, reader: &mut Reader, cache: &mut PieceCache) {
        if cache.num_learned() > 0 || self.count.load(Ordering::Relaxed) != reader.heard {
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
                if cache.num_learned() >= MOST_WAITING {
                    cache.drain_learned().for_each(drop);
                }
                return;
            }
        };
        let count = self.count.load(Ordering::Relaxed);
        let wanted = (count - reader.heard).min(reader.allowed);
        let new: Vec<Arc<Learned>> = parts.iter().rev().take(wanted).map(Arc::clone).collect();
        reader.heard = count;
        reader.allowed -= new.len();
        for part in cache.drain_learned() {
            parts.push_back(Arc::new(part));
            reader.heard += 1;
            reader.allowed = (reader.allowed + FOR_ONE).min(PARTS);
        }
        let outdated = parts.len().saturating_sub(PARTS);
        let outdated: Vec<Arc<Learned>> = parts.drain(..outdated).collect();
        self.count.store(reader.heard, Ordering::Relaxed);
        drop(parts);
        drop(outdated);
        new.iter().rev().for_each(|part| cache.take_in(part));
    }
}

#[cfg(test)]
mod tests {
    use super::super::cache::{Became, PART};
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
                self.0.put_piece(&spelled(piece), Kind::Whole, &[piece]);
            }
        }

        /// Pieces that are not short.
        fn learn_longer(&mut self, pieces: std::ops::Range<u32>) {
            for piece in pieces {
                self.0.put_piece(&longer(piece), Kind::Whole, &[piece; 5]);
            }
        }

        fn knows_longer(&self, piece: u32) -> bool {
            let (spelled, mut ids) = (longer(piece), Vec::<u32>::new());
            let known = self.0.find_record(self.0.tag(&spelled, Kind::Whole), &spelled, Kind::Whole, &mut ids);
            assert_eq!(ids, if known { vec![piece; 5] } else { vec![] });
            known
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

    /// 1,000 bytes nearly, so that few pieces fill a segment, all of which find room in their lines, whatever their hashes are.
    fn longer(piece: u32) -> Vec<u8> {
        format!("{piece:0999}").into_bytes()
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
        assert_eq!((one.0.num_learned(), other.0.num_learned()), (0, 0), "nobody passes on what others left");
    }

    #[test]
    fn longer_pieces_are_told_when_there_are_enough_of_them() {
        let news = News::default();
        let (mut one, mut other) = (Thread::of(&news), Thread::of(&news));
        other.learn_longer(0..10);
        for part in 0..20 {
            one.learn_longer(10 * part..10 * (part + 1));
            one.exchange(&news);
            other.exchange(&news);
        }
        // 1,024 bytes each, and 12 bytes of a segment of 64 KiB are not theirs: three are full, the fourth is not.
        assert_eq!((news.count.load(Ordering::Relaxed), other.0.num_learned()), (3, 0));
        let known: Vec<u32> = (0..200).filter(|piece| other.knows_longer(*piece)).collect();
        assert_eq!(known, Vec::from_iter(0..3 * 63));
    }

    #[test]
    fn a_thread_that_learns_little_takes_in_little() {
        let news = News::default();
        let (mut one, mut other) = (Thread::of(&news), Thread::of(&news));
        let mut learned = 0;
        let mut told = |thread: &mut Thread, parts: usize| {
            for _ in 0..parts {
                thread.learn(learned..learned + PART as u32);
                thread.exchange(&news);
                learned += PART as u32;
            }
            other.exchange(&news);
            other.1.allowed
        };
        assert_eq!(told(&mut one, 100), PARTS - 100);
        assert_eq!(told(&mut one, 100), 0);
        assert_eq!(other.1.heard, 200);
        other.learn(0..3 * PART as u32);
        other.exchange(&news);
        assert_eq!(other.1.allowed, 3 * FOR_ONE);
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
        for piece in 0..3 * (MOST_WAITING * PART) as u32 {
            one.learn(piece..piece + 1);
            one.exchange(&news);
            most = most.max(one.0.num_learned());
        }
        assert!((1..MOST_WAITING).contains(&most), "{most}");
        drop(held);
        one.learn(0..PART as u32);
        one.exchange(&news);
        assert_eq!((one.0.num_learned(), news.count.load(Ordering::Relaxed)), (0, 1));
    }
}
