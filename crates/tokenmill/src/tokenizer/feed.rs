//! Texts → ids on all threads, while this one brings more texts and takes the ids of earlier ones.
//!
//! ```text
//! push ─► queue of tasks: texts, or a part of one ─► any thread ─► take, in the order of the texts
//! ```
//!
//! So what one thread alone can do (a Python `str` becomes UTF-8, ids become a list) takes place beside the encoding. A
//! task's ids are in memory of its own, which is used again once they are taken: what is touched for the first time costs as
//! much as encoding.

use super::Tokenizer;
use super::stream::Settling;
use crate::bpe::Output;
use crate::error::{Error, Result};
use crate::in_order::PATIENCE;
use crate::special::{Allowed, Matcher};
use crate::split::floor;
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

/// What a text counts at least: a million of one byte are work too.
pub(super) const MIN_TEXT_WEIGHT: usize = 32;

/// How many bytes a task has where there are so many in all.
pub(super) fn task_bytes(bytes: usize, threads: usize) -> usize {
    (bytes / (threads * TASKS_PER_THREAD)).clamp(TASK_BYTES.start, TASK_BYTES.end)
}

/// Parts of a long text of some `goal` bytes each, between characters.
pub(super) fn chunks(text: &str, goal: usize) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (chunk, later) = rest.split_at(floor(rest, goal.max(4)));
        rest = later;
        (!chunk.is_empty()).then_some(chunk)
    })
}

/// How a text is brought, and where the ids come out.
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
    /// How many threads may encode at once.
    threads: usize,
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

/// What a task comes to: ids, and how many there are at the end of each text that ends in it.
#[derive(Default)]
struct Encoded<O> {
    ids: O,
    ends: Vec<usize>,
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
        let (stopped, spare) = (AtomicBool::new(false), Mutex::default());
        let common = Arc::new(Common { tokenizer: self, matcher, many, queue: Mutex::default(), stopped, spare });
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
                // This thread is busy, and others wait for it in the end: it should not have to share a processor.
                threads: (threads - 1).max(1),
            };
            let done = work(&mut feed);
            common.stopped.store(true, Ordering::Relaxed);
            done
        })
    }
}

impl<'a, O: Output> Feed<'_, 'a, O> {
    /// Brings the next text.
    pub fn push(&mut self, text: Cow<'a, str>) {
        if text.len() < 2 * self.goal {
            return self.add(text, true);
        }
        for chunk in chunks(&text, self.goal) {
            self.push_part(chunk);
        }
        self.end_text();
    }

    /// Brings the next part of a text that comes in parts.
    pub fn push_part(&mut self, part: &str) {
        let Common { tokenizer, matcher, .. } = &*self.common;
        let settling = self.settling.get_or_insert_with(|| Settling::with(matcher));
        let settled = settling.push(tokenizer, part);
        if !settled.is_empty() {
            self.add(Cow::Owned(settled), false);
        }
    }

    /// The text that came in parts is at its end.
    pub fn end_text(&mut self) {
        let rest = self.settling.as_mut().map(Settling::finish).unwrap_or_default();
        self.add(Cow::Owned(rest), true);
    }

    /// Starts on what has been brought, however little it is.
    fn flush(&mut self) {
        if self.task.texts.is_empty() {
            return;
        }
        let ended = self.task.texts.iter().filter(|stretch| stretch.is_last).count();
        let next = Task { first: self.task.first + ended, ..Task::default() };
        let task = std::mem::replace(&mut self.task, next);
        lock(&self.common.queue).tasks.push_back((self.tasks, task));
        self.tasks += 1;
        self.wake();
    }

    /// Puts threads to work while there are tasks for more of them.
    fn wake(&self) {
        let mut queue = lock(&self.common.queue);
        for _ in queue.busy..self.threads.min(queue.busy + queue.tasks.len()) {
            queue.busy += 1;
            let (common, sender) = (Arc::clone(&self.common), self.sender.clone());
            self.scope.spawn_fifo(|scope| common.work(sender, scope));
        }
    }

    /// Moves the ids of the next task behind `ids` if they are there, and calls `ended` for each text that ends in it
    /// with the number of ids until there.
    pub fn take_ready(&mut self, ids: &mut O, ended: impl FnMut(usize)) -> Result<bool> {
        while let Ok((number, result)) = self.receiver.try_recv() {
            self.early.insert(number, result);
        }
        let Some(result) = self.early.remove(&self.taken) else { return Ok(false) };
        self.take(result?, ids, ended);
        Ok(true)
    }

    /// The same, but waits for the next task, and calls `idle` now and then meanwhile. `false`: there is none.
    pub fn take_next(
        &mut self,
        ids: &mut O,
        ended: impl FnMut(usize),
        idle: &mut dyn FnMut() -> Result<()>,
    ) -> Result<bool> {
        self.flush();
        self.threads = threads::count()?;
        self.wake();
        while self.taken < self.tasks {
            if let Some(result) = self.early.remove(&self.taken) {
                self.take(result?, ids, ended);
                return Ok(true);
            }
            if let Some((number, result)) = self.receive() {
                self.early.insert(number, result);
            } else {
                idle()?;
            }
        }
        Ok(false)
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

    fn take(&mut self, mut encoded: Encoded<O>, ids: &mut O, mut ended: impl FnMut(usize)) {
        let before = ids.count();
        encoded.ends.drain(..).for_each(|end| ended(before + end));
        ids.append(&mut encoded.ids);
        self.taken += 1;
        lock(&self.common.spare).push(encoded);
    }
}

impl<'a, O: Output> Common<'a, O> {
    /// Does the next task, and comes back for more when others that use these threads have had their turn.
    fn work(self: Arc<Self>, sender: Sender<Numbered<O>>, scope: &ScopeFifo<'a>) {
        let mut queue = lock(&self.queue);
        let Some((number, task)) = queue.tasks.pop_front() else {
            queue.busy -= 1;
            return;
        };
        drop(queue);
        let mut outcome = Outcome { sender: sender.clone(), number, result: None };
        if !self.stopped.load(Ordering::Relaxed) {
            outcome.result = Some(self.encode(&task));
        }
        drop(outcome);
        scope.spawn_fifo(|scope| self.work(sender, scope));
    }

    fn encode(&self, task: &Task<'_>) -> Result<Encoded<O>> {
        let mut encoded = lock(&self.spare).pop().unwrap_or_default();
        let Encoded { ids, ends } = &mut encoded;
        ids.make_room(room_for(task.texts.iter().map(|stretch| stretch.text.len())));
        for Stretch { text, start, is_last } in &task.texts {
            let number = task.first + ends.len();
            let done = self.tokenizer.encode_parts(text, *start, &self.matcher, ids);
            done.map_err(|error| if self.many { in_text(error, number) } else { error })?;
            if *is_last {
                ends.push(ids.count());
            }
        }
        Ok(encoded)
    }
}

/// Says which of several texts an error is about.
pub(super) fn in_text(error: Error, number: usize) -> Error {
    match error {
        Error::UnknownToken(reason) => Error::UnknownToken(format!("text {number}: {reason}")),
        other => other,
    }
}

/// Ids that texts of these lengths come to: English has 4 to 5 bytes an id, and 4 seldom needs a second allocation.
pub(super) fn room_for(lengths: impl Iterator<Item = usize>) -> usize {
    lengths.sum::<usize>() / 4
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
