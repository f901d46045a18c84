//! Texts → ids: one or many, on one thread or on all.

use super::{Model, Tokenizer};
use crate::bpe::Output;
use crate::error::{Error, Result};
use crate::in_order::InOrder;
use crate::monitor::{Monitor, Progress};
use crate::special::{Allowed, Matcher, Part};
use crate::threads;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Below this many bytes in all, handing work to threads costs more than it saves.
const PARALLEL_BYTES: usize = 64 << 10;

/// The same where the caller is one of these threads itself: the others have work of their own, and only what would
/// keep this one for 10 ms or more while they run dry is worth sharing.
const NESTED_BYTES: usize = 1 << 20;

/// Bytes in a task: enough to be worth a thread's while, few enough that no thread waits long for the last.
const TASK_BYTES: Range<usize> = 16 << 10..1 << 20;

/// Tasks per thread of a small batch: one thread may be slower than another.
const TASKS_PER_THREAD: usize = 8;

/// What a text counts at least: a million of one byte are work too.
const MIN_TEXT_WEIGHT: usize = 32;

/// Tasks per thread between two looks at the monitor: some 0.3 seconds.
const TASKS_PER_TICK: usize = 32;

/// The ids of many texts back to back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flat<O> {
    /// All ids.
    pub ids: O,
    /// Text `i` has the ids from `offsets[i]` to `offsets[i + 1]`; one more than there are texts, the first is 0.
    /// Signed, as NumPy and Arrow want them.
    pub offsets: Vec<i64>,
}

impl<T> Flat<Vec<T>> {
    /// The ids of each text.
    pub fn lists(&self) -> impl Iterator<Item = &[T]> {
        let mut rest = self.ids.as_slice();
        self.offsets.windows(2).map(move |place| {
            let count = usize::try_from(place[1] - place[0]).unwrap_or(0).min(rest.len());
            let (list, later) = rest.split_at(count);
            rest = later;
            list
        })
    }
}

/// Work for one thread, in the order of the texts.
#[derive(Debug)]
enum Task {
    /// Whole texts.
    Texts(Range<usize>),
    /// Parts of a long one, side by side; `last`: it ends with them.
    Parts { text: usize, parts: Vec<Part>, last: bool },
}

/// What a task comes to: ids, and how many there were at the end of each text that ended in it.
#[derive(Debug, Default)]
struct Done<O> {
    ids: O,
    ends: Vec<usize>,
}

/// Where the results of all tasks go.
struct All<'a, O> {
    ids: &'a mut O,
    offsets: &'a mut Offsets,
    /// The first, which ends the work.
    error: Option<Error>,
}

impl<O: Output> All<'_, O> {
    /// Moves what a task has come to behind what is there.
    fn take(&mut self, done: &mut Done<O>) {
        let before = self.ids.count();
        done.ends.drain(..).for_each(|end| self.offsets.push(before + end));
        self.ids.append(&mut done.ids);
    }
}

/// Texts on their way to ids.
struct Job<'a> {
    tokenizer: &'a Tokenizer,
    texts: &'a [&'a str],
    matcher: &'a Matcher,
}

impl Tokenizer {
    /// Appends the ids of `text`, every special token in it taken as ordinary text.
    pub fn encode_ordinary<O: Output>(&self, text: &str, ids: &mut O) -> Result<()> {
        self.encode(text, Allowed::None, ids)
    }

    /// Special tokens that a text spells: how many, and where the first is.
    pub fn special_text(&self, text: &str) -> Result<(u64, Option<Range<usize>>)> {
        let (mut count, mut first) = (0, None);
        self.specials.matcher(Allowed::All)?.cut(text, |part| {
            if let Part::Special(_, range) = part {
                count += 1;
                first.get_or_insert(range);
            }
            Ok(())
        })?;
        Ok((count, first))
    }

    /// Appends the ids of `text`; a long one is cut and encoded on all threads.
    pub fn encode<O: Output>(&self, text: &str, allowed: Allowed<'_>, ids: &mut O) -> Result<()> {
        let matcher = self.specials.matcher(allowed)?;
        self.encode_found(text, &matcher, ids)
    }

    /// [`Tokenizer::encode`] with special tokens that have been looked up.
    pub(super) fn encode_found<O: Output>(&self, text: &str, matcher: &Matcher, ids: &mut O) -> Result<()> {
        O::check(self.vocab_size())?;
        if text.len() < parallel_bytes() {
            return self.encode_parts(text, matcher, ids);
        }
        let job = Job { tokenizer: self, texts: &[text], matcher };
        job.run(ids, &())?;
        Ok(())
    }

    /// The ids of each text, in order; in parallel where there is enough to do, and then with a look at the monitor
    /// several times a second. Of several texts that cannot be encoded, the first is the error.
    pub fn encode_batch<O: Output>(
        &self,
        texts: &[&str],
        allowed: Allowed<'_>,
        monitor: &dyn Monitor,
    ) -> Result<Flat<O>> {
        O::check(self.vocab_size())?;
        let matcher = self.specials.matcher(allowed)?;
        let mut ids = O::default();
        let offsets = Job { tokenizer: self, texts, matcher: &matcher }.run(&mut ids, monitor)?;
        Ok(Flat { ids, offsets })
    }

    /// The ids of `text` and the bytes of it that each stands for.
    pub fn encode_with_offsets(&self, text: &str, allowed: Allowed<'_>) -> Result<(Vec<u32>, Vec<Range<usize>>)> {
        let (mut ids, mut spans) = (Vec::new(), Vec::new());
        self.specials.matcher(allowed)?.cut(text, |part| match (part, &self.model) {
            (Part::Special(id, range), _) => {
                ids.push(id);
                spans.push(range);
                Ok(())
            }
            (Part::Text(range), Model::Bpe(bpe)) => {
                let first = ids.len();
                bpe.encode(&text[range.clone()], &mut ids)?;
                // BPE drops and changes nothing: tokens lie side by side.
                let mut position = range.start;
                spans.extend(ids[first..].iter().map(|&id| {
                    let start = position;
                    position += bpe.vocab().bytes(id).map_or(0, <[u8]>::len);
                    start..position
                }));
                Ok(())
            }
            (Part::Text(range), Model::Word(word)) => word.encode(&text[range.clone()], range.start, |id, found| {
                ids.push(id);
                spans.push(range.start + found.start..range.start + found.end);
            }),
        })?;
        Ok((ids, spans))
    }

    /// One text, on this thread.
    fn encode_parts<O: Output>(&self, text: &str, matcher: &Matcher, ids: &mut O) -> Result<()> {
        matcher.cut(text, |part| self.encode_part(text, part, ids))
    }

    fn encode_part<O: Output>(&self, text: &str, part: Part, ids: &mut O) -> Result<()> {
        match (part, &self.model) {
            (Part::Special(id, _), _) => {
                ids.push_all(&[id]);
                Ok(())
            }
            (Part::Text(range), Model::Bpe(bpe)) => bpe.encode(&text[range], ids),
            (Part::Text(range), Model::Word(word)) => {
                word.encode(&text[range.clone()], range.start, |id, _| ids.push_all(&[id]))
            }
        }
    }

    /// For tests: one text on this thread, however long it is.
    #[cfg(test)]
    pub(super) fn encode_in_one_go(&self, text: &str, allowed: Allowed<'_>) -> Vec<u32> {
        let mut ids = Vec::new();
        let matcher = self.specials.matcher(allowed).unwrap();
        self.encode_parts(text, &matcher, &mut ids).unwrap();
        ids
    }

    /// The first position behind `from` where ordinary text can be cut and its parts encoded one by one.
    fn next_cut(&self, text: &str, from: usize) -> Option<usize> {
        match &self.model {
            Model::Bpe(bpe) => bpe.pattern().next_cut(text, from),
            Model::Word(word) => word.cutter().next_cut(text, from),
        }
    }

    /// The last such position behind `from` and not behind `to`.
    pub(super) fn last_cut(&self, text: &str, from: usize, to: usize) -> Option<usize> {
        match &self.model {
            Model::Bpe(bpe) => bpe.pattern().last_cut(text, from, to),
            Model::Word(word) => word.cutter().last_cut(text, from, to),
        }
    }
}

/// From how many bytes on work is handed to the pool.
fn parallel_bytes() -> usize {
    if rayon::current_thread_index().is_some() { NESTED_BYTES } else { PARALLEL_BYTES }
}

impl Job<'_> {
    /// Appends all ids to `ids`; the offsets of the texts in them.
    fn run<O: Output>(&self, ids: &mut O, monitor: &dyn Monitor) -> Result<Vec<i64>> {
        let bytes: usize = self.texts.iter().map(|text| text.len().max(MIN_TEXT_WEIGHT)).sum();
        let mut offsets = Offsets::new(self.texts.len());
        if bytes < parallel_bytes() {
            ids.make_room(room_for(self.texts.iter().map(|text| text.len())));
            for text in self.texts {
                let number = offsets.0.len() - 1;
                self.tokenizer.encode_parts(text, self.matcher, ids).map_err(|error| self.in_text(error, number))?;
                offsets.push(ids.count());
            }
            return Ok(offsets.0);
        }
        let threads = threads::count()?;
        let goal = (bytes / (threads * TASKS_PER_THREAD)).clamp(TASK_BYTES.start, TASK_BYTES.end);
        let tasks = self.plan(goal)?;
        ids.make_room(room_for(self.texts.iter().map(|text| text.len())));
        if threads == 1 {
            self.run_here(&tasks, ids, &mut offsets, monitor)?;
        } else {
            self.run_parallel(threads, &tasks, ids, &mut offsets, monitor)?;
        }
        Ok(offsets.0)
    }

    /// Task after task, straight into `ids`.
    fn run_here<O: Output>(
        &self,
        tasks: &[Task],
        ids: &mut O,
        offsets: &mut Offsets,
        monitor: &dyn Monitor,
    ) -> Result<()> {
        for (number, task) in tasks.iter().enumerate() {
            self.encode_task(task, ids, |end| offsets.push(end))?;
            monitor.tick(progress(number + 1, tasks.len()))?;
        }
        Ok(())
    }

    /// Each task into memory of its own, from which the ids are moved to where they belong as soon as all before them are
    /// there. That memory is used again: what is touched for the first time costs as much as encoding.
    fn run_parallel<O: Output>(
        &self,
        threads: usize,
        tasks: &[Task],
        ids: &mut O,
        offsets: &mut Offsets,
        monitor: &dyn Monitor,
    ) -> Result<()> {
        let all = InOrder::new(All { ids, offsets, error: None });
        let (failed, spare) = (AtomicBool::new(false), Mutex::new(Vec::<Done<O>>::new()));
        let numbered: Vec<(usize, &Task)> = tasks.iter().enumerate().collect();
        for group in numbered.chunks(TASKS_PER_TICK * threads) {
            let run = || {
                rayon::scope_fifo(|scope| {
                    for &(number, task) in group {
                        let (all, failed, spare) = (&all, &failed, &spare);
                        scope.spawn_fifo(move |_| {
                            if failed.load(Ordering::Relaxed) {
                                return;
                            }
                            let mut done = lock(spare).pop().unwrap_or_default();
                            let encoded = self.encode_task(task, &mut done.ids, |end| done.ends.push(end));
                            all.put(number, encoded.map(|()| done), |all, _, done| match done {
                                Ok(mut done) => {
                                    all.take(&mut done);
                                    lock(spare).push(done);
                                }
                                // Told in order: the first of the texts, whichever thread failed first.
                                Err(error) => {
                                    all.error.get_or_insert(error);
                                    failed.store(true, Ordering::Relaxed);
                                }
                            });
                        });
                    }
                })
            };
            threads::install(run)?;
            if failed.load(Ordering::Relaxed) {
                break;
            }
            let done = group.last().map_or(0, |(number, _)| number + 1);
            monitor.tick(progress(done, tasks.len()))?;
        }
        all.into_taker().and_then(|all| all.error).map_or(Ok(()), Err)
    }

    /// Cuts the texts into tasks of about `goal` bytes.
    fn plan(&self, goal: usize) -> Result<Vec<Task>> {
        let mut tasks = Vec::new();
        let (mut first, mut bytes) = (0, 0);
        for (number, text) in self.texts.iter().enumerate() {
            let long = text.len() >= 2 * goal;
            if long && first < number {
                tasks.push(Task::Texts(first..number));
            }
            if long {
                self.plan_long(number, goal, &mut tasks)?;
            }
            bytes += text.len().max(MIN_TEXT_WEIGHT);
            if !long && bytes >= goal {
                tasks.push(Task::Texts(first..number + 1));
            }
            if long || bytes >= goal {
                (first, bytes) = (number + 1, 0);
            }
        }
        if first < self.texts.len() {
            tasks.push(Task::Texts(first..self.texts.len()));
        }
        Ok(tasks)
    }

    /// The tasks of one long text. Where it offers no place to be cut, it stays one.
    fn plan_long(&self, number: usize, goal: usize, tasks: &mut Vec<Task>) -> Result<()> {
        let text = self.texts[number];
        let mut parts = Vec::new();
        let mut bytes = 0;
        let mut push = |part: Part, length: usize| {
            parts.push(part);
            bytes += length;
            if bytes >= goal {
                tasks.push(Task::Parts { text: number, parts: std::mem::take(&mut parts), last: false });
                bytes = 0;
            }
        };
        self.matcher.cut(text, |part| {
            let Part::Text(Range { mut start, end }) = part else {
                push(part, MIN_TEXT_WEIGHT);
                return Ok(());
            };
            while let Some(length) = self.tokenizer.next_cut(&text[start..end], goal) {
                push(Part::Text(start..start + length), length);
                start += length;
            }
            push(Part::Text(start..end), end - start);
            Ok(())
        })?;
        tasks.push(Task::Parts { text: number, parts, last: true });
        Ok(())
    }

    /// Appends the ids of a task, and calls `ended` at the end of each text with the number of ids there.
    fn encode_task<O: Output>(&self, task: &Task, ids: &mut O, mut ended: impl FnMut(usize)) -> Result<()> {
        match task {
            Task::Texts(numbers) => {
                ids.make_room(room_for(self.texts[numbers.clone()].iter().map(|text| text.len())));
                for number in numbers.clone() {
                    self.tokenizer
                        .encode_parts(self.texts[number], self.matcher, ids)
                        .map_err(|error| self.in_text(error, number))?;
                    ended(ids.count());
                }
            }
            Task::Parts { text, parts, last } => {
                ids.make_room(room_for(parts.iter().map(Part::len)));
                for part in parts {
                    self.tokenizer
                        .encode_part(self.texts[*text], part.clone(), ids)
                        .map_err(|error| self.in_text(error, *text))?;
                }
                if *last {
                    ended(ids.count());
                }
            }
        }
        Ok(())
    }

    /// Says which of several texts an error is about.
    fn in_text(&self, error: Error, number: usize) -> Error {
        match error {
            Error::UnknownToken(reason) if self.texts.len() > 1 => {
                Error::UnknownToken(format!("text {number}: {reason}"))
            }
            other => other,
        }
    }
}

/// Ids that texts of these lengths come to: English has 4 to 5 bytes an id, and 4 seldom needs a second allocation.
fn room_for(lengths: impl Iterator<Item = usize>) -> usize {
    lengths.sum::<usize>() / 4
}

/// Where texts begin and end among the ids.
struct Offsets(Vec<i64>);

impl Offsets {
    fn new(texts: usize) -> Offsets {
        let mut offsets = Vec::with_capacity(texts + 1);
        offsets.push(0);
        Offsets(offsets)
    }

    /// No memory holds 2⁶³ ids.
    fn push(&mut self, end: usize) {
        self.0.push(i64::try_from(end).unwrap_or(i64::MAX));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn progress(done: usize, total: usize) -> Progress {
    Progress { stage: "encoding", unit: "tasks", done: done as u64, total: Some(total as u64) }
}
