//! Texts → ids on all threads, while this one brings more texts and takes the ids of earlier ones.
//!
//! ```text
//! push ─► queue of tasks: texts, or a part of one ─┬► any other thread ─► ids of its own ─┬► take, in the order of the texts
//!                                                  └► this one, where it would wait ──────┘
//! ```
//!
//! So what one thread alone can do (a Python `str` becomes UTF-8, ids become a list) takes place beside the encoding, and
//! no thread waits for another while there is a task. What is touched for the first time costs as much as encoding, so memory
//! of a task (UTF-8, ids) is used again for later ones, the queue is kept short, and this thread encodes straight into
//! the result what is next in order. Where there is no other thread, it does so with all tasks.

use super::Tokenizer;
use super::encoder::Encoder;
use super::room::Room;
use super::stream::{Settling, chunks, settled_parts};
use crate::bpe::Output;
use crate::error::{Error, Result};
use crate::in_order::PATIENCE;
use crate::special::{Allowed, Matcher};
use crate::threads;
use rayon::{ScopeFifo, Yield};
use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes in a task: enough to be worth a thread's while, few enough that no thread waits long for the last.
const TASK_BYTES: Range<usize> = 16 << 10..1 << 18;

/// Tasks per thread of a small batch: one thread may be slower than another.
const TASKS_PER_THREAD: usize = 8;

/// Tasks that a thread does before it lets others have a turn: some 10 ms. (Each turn wakes another thread, to see whether it
/// should take over, and on a machine of two it takes the time of one that works.)
const TASKS_A_TURN: usize = 16;

/// Tasks per thread that may wait before more texts are brought: some 2 MB.
const WAITING_PER_THREAD: usize = 8;

/// A longer task, which is one because the text has no place to be cut, is left to the other threads: this one looks for Ctrl-C.
const LONG_TASK_BYTES: usize = 4 << 20;

/// More of them are under way only with more than four threads.
const MOST_SPARE_TEXTS: usize = 4 * WAITING_PER_THREAD;

/// Texts that are shorter than this on average have few pieces each.
const SHORT_BYTES: usize = 512;

/// What a text counts at least: a million of one byte are work too.
pub(super) const MIN_TEXT_WEIGHT: usize = 32;

/// How many bytes a task has where there are so many in all.
pub(super) fn task_bytes(bytes: usize, threads: usize) -> usize {
    (bytes / (threads * TASKS_PER_THREAD)).clamp(TASK_BYTES.start, TASK_BYTES.end)
}

/// How texts are brought, and where the ids come out.
pub struct Feed<'s, 'a, O> {
    scope: &'s ScopeFifo<'a>,
    common: Arc<Common<'a, O>>,
    /// Bytes in a task.
    goal: usize,
    /// The task that is being filled.
    task: Task<'a>,
    /// A long text on its way into tasks, and how many bytes of it have gone there.
    settling: Option<Settling>,
    settled: usize,
    sender: Sender<Numbered<O>>,
    receiver: Receiver<Numbered<O>>,
    /// What has come before its turn.
    early: BTreeMap<usize, Result<Encoded<O>>>,
    /// How many tasks there have been, and of how many the ids were taken.
    tasks: usize,
    taken: usize,
    room: Room,
    /// How many threads may encode beside this one.
    others: usize,
}

/// What all tasks share.
struct Common<'a, O> {
    tokenizer: &'a Tokenizer,
    matcher: Cow<'a, Matcher>,
    /// Whether an error says which text it is about.
    many: bool,
    queue: Mutex<Queue<'a>>,
    stopped: AtomicBool,
    spare: Mutex<Vec<Encoded<O>>>,
    spare_texts: Mutex<Vec<String>>,
}

/// Tasks that wait, each with its number, and how many threads are at work on such.
#[derive(Default)]
struct Queue<'a> {
    tasks: VecDeque<(usize, Task<'a>)>,
    busy: usize,
}

/// Texts or parts of one, one after the other.
#[derive(Default)]
struct Task<'a> {
    /// The number of the text that the first belongs to.
    first: usize,
    texts: Vec<Stretch<'a>>,
    bytes: usize,
}

/// A text, or a part of one.
struct Stretch<'a> {
    text: Cow<'a, str>,
    /// Where in its text it begins, and whether the text ends with it.
    start: usize,
    is_last: bool,
}

/// What a task comes to: ids, how many there are at the end of each text that ends in it, and of how many bytes they are.
#[derive(Default)]
struct Encoded<O> {
    ids: O,
    ends: Vec<usize>,
    bytes: usize,
}

type Numbered<O> = (usize, Result<Encoded<O>>);

impl Tokenizer {
    /// Calls `work` on this thread with a feed for texts of about so many bytes in all. What it has not taken when it
    /// returns is dropped. `many`: an error says which text it is about.
    pub fn feed<'a, O: Output, R>(
        &'a self,
        allowed: Allowed<'_>,
        bytes: usize,
        many: bool,
        work: impl FnOnce(&mut Feed<'_, 'a, O>) -> R,
    ) -> Result<R> {
        self.feed_found(self.specials.matcher(allowed)?, bytes, many, work)
    }

    /// [`Tokenizer::feed`] with special tokens that have been looked up.
    pub(super) fn feed_found<'a, O: Output, R>(
        &'a self,
        matcher: Cow<'a, Matcher>,
        bytes: usize,
        many: bool,
        work: impl FnOnce(&mut Feed<'_, 'a, O>) -> R,
    ) -> Result<R> {
        O::check(self.vocab_size())?;
        let threads = threads::count()?;
        let common = Arc::new(Common {
            tokenizer: self,
            matcher,
            many,
            queue: Mutex::default(),
            stopped: AtomicBool::new(false),
            spare: Mutex::default(),
            spare_texts: Mutex::default(),
        });
        threads::scope(|scope| {
            let (sender, receiver) = channel();
            let mut feed = Feed {
                scope,
                common: Arc::clone(&common),
                goal: task_bytes(bytes, threads),
                task: Task::default(),
                settling: None,
                settled: 0,
                sender,
                receiver,
                early: BTreeMap::new(),
                tasks: 0,
                taken: 0,
                room: Room::for_bytes(bytes),
                others: threads - 1,
            };
            let done = work(&mut feed);
            common.stopped.store(true, Ordering::Relaxed);
            done
        })
    }
}

impl<'a, O: Output> Feed<'_, 'a, O> {
    /// Tells how many bytes there are likely to be in all, where that is known better than before.
    pub fn expect(&mut self, bytes: usize) {
        self.room.expect(bytes);
    }

    /// Brings the next text.
    pub fn push(&mut self, text: Cow<'a, str>) {
        if text.len() < 2 * self.goal {
            return self.add(text, true);
        }
        match text {
            Cow::Borrowed(text) => {
                let common = Arc::clone(&self.common);
                for part in settled_parts(common.tokenizer, &common.matcher, text, self.goal) {
                    self.add(Cow::Borrowed(part), false);
                }
                self.add(Cow::Borrowed(""), true);
            }
            Cow::Owned(text) => {
                chunks(&text, self.goal).for_each(|chunk| self.push_part(chunk));
                self.end_text();
            }
        }
    }

    /// Brings the next part of a text that comes in parts.
    pub fn push_part(&mut self, part: &str) {
        let Common { tokenizer, matcher, spare_texts, .. } = &*self.common;
        let settling = self.settling.get_or_insert_with(|| Settling::with(matcher));
        settling.hold(part);
        if settling.pending_bytes() < self.goal {
            return;
        }
        let spare = || lock(spare_texts).pop().unwrap_or_else(|| String::with_capacity(2 * self.goal));
        if let Some(settled) = settling.settled(tokenizer, spare) {
            self.add(Cow::Owned(settled), false);
        }
    }

    /// The text that came in parts is at its end.
    pub fn end_text(&mut self) {
        let rest = self.settling.as_mut().map(Settling::finish).unwrap_or_default();
        self.add(Cow::Owned(rest), true);
    }

    /// Whether so much waits that this thread should encode, too, before it brings more.
    pub fn is_full(&self) -> bool {
        let most = WAITING_PER_THREAD * (self.others + 1);
        // Asked after each text, and a lock for each byte of a million texts of one would be dear.
        self.tasks - self.taken >= most && self.num_waiting() >= most
    }

    /// Starts on what has been brought, however little it is.
    fn flush(&mut self) {
        if self.task.texts.is_empty() {
            return;
        }
        let ended = self.task.texts.iter().filter(|stretch| stretch.is_last).count();
        let next = Task { first: self.task.first + ended, ..Task::default() };
        let task = std::mem::replace(&mut self.task, next);
        let mut queue = lock(&self.common.queue);
        queue.tasks.push_back((self.tasks, task));
        self.tasks += 1;
        // Threads are put to work while there are tasks for more of them.
        for _ in queue.busy..self.others.min(queue.busy + queue.tasks.len()) {
            queue.busy += 1;
            let (common, sender) = (Arc::clone(&self.common), self.sender.clone());
            self.scope.spawn_fifo(|scope| common.work(sender, scope));
        }
    }

    /// Moves the ids of the next task behind `ids` if they are there, and calls `ended` for each text that ends in it
    /// with the number of ids until there.
    pub fn take_ready(&mut self, ids: &mut O, mut ended: impl FnMut(usize)) -> Result<bool> {
        while let Ok((number, result)) = self.receiver.try_recv() {
            self.early.insert(number, result);
        }
        let Some(result) = self.early.remove(&self.taken) else { return Ok(false) };
        let mut encoded = result?;
        let before = ids.count();
        self.room.make(ids, encoded.bytes, encoded.ids.count());
        encoded.ends.drain(..).for_each(|end| ended(before + end));
        ids.append(&mut encoded.ids);
        self.have_taken(encoded.bytes, ids.count() - before);
        lock(&self.common.spare).push(encoded);
        Ok(true)
    }

    /// The same, but encodes or waits until there is a next task's, and calls `idle` now and then meanwhile. `false`: there
    /// is none.
    pub fn take_next(
        &mut self,
        ids: &mut O,
        mut ended: impl FnMut(usize),
        idle: &mut dyn FnMut() -> Result<()>,
    ) -> Result<bool> {
        self.flush();
        while self.taken < self.tasks {
            if self.take_ready(ids, &mut ended)? {
                return Ok(true);
            }
            if let Some((number, task)) = self.own_task() {
                if number == self.taken {
                    self.take_directly(task, ids, ended)?;
                    return Ok(true);
                }
                self.early.insert(number, self.common.encode(task));
            } else if let Some((number, result)) = self.receive() {
                self.early.insert(number, result);
            } else {
                idle()?;
            }
        }
        Ok(false)
    }

    /// [`Feed::take_next`] until not much waits any more.
    pub fn catch_up(
        &mut self,
        ids: &mut O,
        mut ended: impl FnMut(usize),
        idle: &mut dyn FnMut() -> Result<()>,
    ) -> Result<()> {
        while self.num_waiting() > self.others && self.take_next(ids, &mut ended, idle)? {}
        Ok(())
    }

    /// How many tasks no thread has begun.
    fn num_waiting(&self) -> usize {
        lock(&self.common.queue).tasks.len()
    }

    /// A task for this thread.
    fn own_task(&self) -> Option<(usize, Task<'a>)> {
        let mut queue = lock(&self.common.queue);
        let (_, next) = queue.tasks.front()?;
        if self.others > 0 && next.bytes >= LONG_TASK_BYTES { None } else { queue.tasks.pop_front() }
    }

    /// Encodes the next task behind `ids`.
    fn take_directly(&mut self, task: Task<'a>, ids: &mut O, ended: impl FnMut(usize)) -> Result<()> {
        let (bytes, before) = (task.text_bytes(), ids.count());
        self.room.make(ids, bytes, bytes);
        self.common.encode_behind(task, ids, ended)?;
        self.have_taken(bytes, ids.count() - before);
        Ok(())
    }

    fn have_taken(&mut self, bytes: usize, ids: usize) {
        self.room.have_taken(bytes, ids);
        self.taken += 1;
    }

    /// `None`: nothing has come for a while.
    fn receive(&self) -> Option<Numbered<O>> {
        if rayon::current_thread_index().is_none() {
            let received = self.receiver.recv_timeout(PATIENCE);
            debug_assert_ne!(received.as_ref().err(), Some(&RecvTimeoutError::Disconnected), "a sender is in `self`");
            return received.ok();
        }
        // One of the threads that do the work does not wait for them.
        let received = self.receiver.try_recv().ok();
        if received.is_none() && rayon::yield_now() != Some(Yield::Executed) {
            std::thread::yield_now();
        }
        received
    }

    fn add(&mut self, text: Cow<'a, str>, is_last: bool) {
        self.task.bytes += text.len().max(MIN_TEXT_WEIGHT);
        let start = self.settled;
        self.settled = if is_last { 0 } else { start + text.len() };
        self.task.texts.push(Stretch { text, start, is_last });
        if self.task.bytes >= self.goal {
            self.flush();
        }
    }
}

impl Task<'_> {
    /// Whether all are whole and, on average, so short that they are better encoded side by side.
    fn is_of_short_texts(&self) -> bool {
        self.texts.len() * SHORT_BYTES > self.bytes && self.texts.iter().all(|text| text.start == 0 && text.is_last)
    }

    fn text_bytes(&self) -> usize {
        self.texts.iter().map(|stretch| stretch.text.len()).sum()
    }
}

impl<'a, O: Output> Common<'a, O> {
    /// Does some tasks, and comes back for more when others that use these threads have had their turn.
    fn work(self: Arc<Self>, sender: Sender<Numbered<O>>, scope: &ScopeFifo<'a>) {
        for _ in 0..TASKS_A_TURN {
            let mut queue = lock(&self.queue);
            let Some((number, task)) = queue.tasks.pop_front() else {
                queue.busy -= 1;
                return;
            };
            drop(queue);
            let mut outcome = Outcome { sender: sender.clone(), number, result: None };
            if !self.stopped.load(Ordering::Relaxed) {
                outcome.result = Some(self.encode(task));
            }
        }
        scope.spawn_fifo(|scope| self.work(sender, scope));
    }

    /// Encodes a task into memory of its own.
    fn encode(&self, task: Task<'a>) -> Result<Encoded<O>> {
        let mut encoded = lock(&self.spare).pop().unwrap_or_default();
        let Encoded { ids, ends, bytes } = &mut encoded;
        *bytes = task.text_bytes();
        ids.make_room(*bytes / 4, *bytes / 4);
        self.encode_behind(task, ids, |end| ends.push(end))?;
        Ok(encoded)
    }

    /// Keeps the memory of a text for a later one.
    fn keep(&self, mut text: String) {
        let mut spare = lock(&self.spare_texts);
        if text.capacity() >= TASK_BYTES.start && spare.len() < MOST_SPARE_TEXTS {
            text.clear();
            spare.push(text);
        }
    }

    /// Appends the ids of a task, and calls `ended` at the end of each text.
    fn encode_behind(&self, task: Task<'a>, ids: &mut O, mut ended: impl FnMut(usize)) -> Result<()> {
        let mut number = task.first;
        let mut encoder = Encoder::finding(self.tokenizer, Cow::Borrowed(&*self.matcher));
        if task.is_of_short_texts() {
            // Copying them side by side takes less than what their pieces wait for by themselves.
            let mut text = lock(&self.spare_texts).pop().unwrap_or_default();
            let mut text_ends = Vec::with_capacity(task.texts.len());
            for stretch in task.texts {
                text.push_str(&stretch.text);
                text_ends.push(text.len());
            }
            let done = encoder.encode_texts(&text, &text_ends, ids, |ids| ended(ids.count()));
            self.keep(text);
            return done.map_err(|(behind, error)| if self.many { in_text(error, number + behind) } else { error });
        }
        for Stretch { text, start, is_last } in task.texts {
            let done = encoder.encode_part(&text, start, ids);
            done.map_err(|error| if self.many { in_text(error, number) } else { error })?;
            if is_last {
                ended(ids.count());
                number += 1;
            }
            if let Cow::Owned(text) = text {
                self.keep(text);
            }
        }
        Ok(())
    }
}

/// Says which of several texts an error is about.
pub(super) fn in_text(error: Error, number: usize) -> Error {
    match error {
        Error::UnknownToken(reason) => Error::UnknownToken(format!("text {number}: {reason}")),
        other => other,
    }
}

/// Sends what a task came to when it is dropped: after a panic too, so that nobody waits for it.
struct Outcome<O> {
    sender: Sender<Numbered<O>>,
    number: usize,
    result: Option<Result<Encoded<O>>>,
}

impl<O> Drop for Outcome<O> {
    fn drop(&mut self) {
        let result = self.result.take();
        let result = result.unwrap_or_else(|| Err(Error::value("the work ended before all was done")));
        // Where nobody takes it any more there is nothing to do.
        let _ = self.sender.send((self.number, result));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
