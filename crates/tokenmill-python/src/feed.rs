//! Python strings → ids on all threads, while this thread, which holds the GIL, makes UTF-8 of the strings that follow and
//! lists of the ids that are there; then it encodes, too, without the GIL.

use crate::encoding::{AllowedArgument, Texts};
use crate::error::{CoreError, from_python};
use crate::text::parts;
use pyo3::prelude::*;
use pyo3::types::PyString;
use std::time::{Duration, Instant};
use tokenmill::Result;
use tokenmill::bpe::Output;
use tokenmill::tokenizer::{Feed, Tokenizer};

/// Fewer bytes or characters are not worth several threads, nor a second look at how much memory they need.
pub const ENOUGH: usize = 64 << 10;

/// Where ids go.
pub trait Sink<O> {
    /// Is called several times, with all ids that are there, and how many there were at the end of each text that has ended
    /// since. It may take out what it has seen.
    fn see(&mut self, ids: &mut O, ends: &mut Vec<usize>) -> PyResult<()>;
}

/// Ids stay where they are.
impl<O> Sink<O> for () {
    fn see(&mut self, _: &mut O, _: &mut Vec<usize>) -> PyResult<()> {
        Ok(())
    }
}

/// Appends the ids of all texts, of this [size](Texts::size), to `ids`.
pub fn encode_texts<O: Output>(
    py: Python<'_>,
    core: &Tokenizer,
    allowed: &AllowedArgument,
    (texts, size): (&Texts<'_>, usize),
    ids: &mut O,
    sink: &mut dyn Sink<O>,
) -> PyResult<()> {
    let mut taker = Taker::new(ids, sink, size);
    let encoded = core.feed(allowed.get(), size, texts.len() > 1, |feed| {
        for text in texts.iter() {
            let (text, size) = text?;
            taker.seen(size, text.len(), feed);
            feed.push(text);
            taker.keep_up(py, feed)?;
        }
        taker.take_rest(py, feed)
    });
    encoded.map_err(CoreError::from)?
}

/// The ids of one long string, which becomes UTF-8 part by part. `None`: it has half of a surrogate pair, and the other half
/// could be in the next part.
pub fn encode_long<O: Output>(
    core: &Tokenizer,
    allowed: &AllowedArgument,
    text: &Bound<'_, PyString>,
) -> PyResult<Option<O>> {
    let (py, length) = (text.py(), text.len()?);
    let mut ids = O::default();
    let mut sink = ();
    let mut taker = Taker::new(&mut ids, &mut sink, length);
    let encoded = core.feed(allowed.get(), length, false, |feed| {
        let mut before = 0;
        let whole = parts(text, |part, end| {
            taker.seen(end - std::mem::replace(&mut before, end), part.len(), feed);
            feed.push_part(part);
            taker.keep_up(py, feed)
        })?;
        if whole {
            feed.end_text();
            taker.take_rest(py, feed)?;
        }
        Ok(whole)
    });
    let whole: PyResult<bool> = encoded.map_err(CoreError::from)?;
    Ok(whole?.then_some(ids))
}

/// Twice as long as a thread waits for the GIL before it asks for it (`sys.getswitchinterval`). Whoever lets go of it and takes it
/// back more often than that starves the others: each time they wake too late, and begin to wait anew.
const TURN: Duration = Duration::from_millis(10);

/// Takes ids as they come.
struct Taker<'t, O> {
    ids: &'t mut O,
    ends: Vec<usize>,
    sink: &'t mut dyn Sink<O>,
    /// When other Python threads last had the GIL, or could have had it.
    let_go: Instant,
    /// Of all texts: bytes, or characters where they are not UTF-8 yet; of those that have been brought, that and bytes.
    size: usize,
    seen: (usize, usize),
}

impl<'t, O: Output> Taker<'t, O> {
    fn new(ids: &'t mut O, sink: &'t mut dyn Sink<O>, size: usize) -> Taker<'t, O> {
        Taker { ids, ends: Vec::new(), sink, let_go: Instant::now(), size, seen: (0, 0) }
    }

    /// Of this size so many bytes are brought: all texts are as many in proportion.
    fn seen(&mut self, size: usize, bytes: usize, feed: &mut Feed<'_, '_, O>) {
        self.seen = (self.seen.0 + size, self.seen.1 + bytes);
        feed.expect(self.size.saturating_mul(self.seen.1) / self.seen.0.max(1));
    }

    /// Takes what is there, and encodes before more is brought than can wait. Other Python threads have their turn meanwhile.
    fn keep_up(&mut self, py: Python<'_>, feed: &mut Feed<'_, '_, O>) -> PyResult<()> {
        let mut took = false;
        while feed.take_ready(self.ids, |end| self.ends.push(end)).map_err(CoreError::from)? {
            self.see(py)?;
            took = true;
        }
        if feed.is_full() {
            self.let_go = Instant::now();
            let (ids, ends) = (&mut *self.ids, &mut self.ends);
            py.detach(|| feed.catch_up(ids, |end| ends.push(end), &mut check_signals)).map_err(CoreError::from)?;
            return self.see(py);
        }
        if took && self.let_go.elapsed() >= TURN {
            py.detach(|| ());
            self.let_go = Instant::now();
        }
        Ok(())
    }

    /// All that is under way, without the GIL while it encodes or waits: a turn at a time, as it may wait long for the GIL.
    fn take_rest(&mut self, py: Python<'_>, feed: &mut Feed<'_, '_, O>) -> PyResult<()> {
        let mut more = true;
        while more {
            let (ids, ends) = (&mut *self.ids, &mut self.ends);
            let turn = || -> Result<bool> {
                let start = Instant::now();
                while feed.take_next(ids, |end| ends.push(end), &mut check_signals)? {
                    if start.elapsed() >= TURN {
                        return Ok(true);
                    }
                }
                Ok(false)
            };
            more = py.detach(turn).map_err(CoreError::from)?;
            self.see(py)?;
        }
        Ok(())
    }

    fn see(&mut self, py: Python<'_>) -> PyResult<()> {
        self.sink.see(self.ids, &mut self.ends)?;
        py.check_signals()
    }
}

fn check_signals() -> Result<()> {
    Python::attach(|py| py.check_signals()).map_err(from_python)
}
