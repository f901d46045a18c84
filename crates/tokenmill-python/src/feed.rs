//! Python strings → ids on all threads, while this thread, which holds the GIL, makes UTF-8 of the strings that follow and
//! lists of the ids that are there.

use crate::encoding::{AllowedArgument, Texts};
use crate::error::{CoreError, from_python};
use crate::text::parts;
use pyo3::exceptions::PyUnicodeEncodeError;
use pyo3::prelude::*;
use pyo3::types::PyString;
use std::time::{Duration, Instant};
use tokenmill::Result;
use tokenmill::bpe::Output;
use tokenmill::threads;
use tokenmill::tokenizer::{Feed, Tokenizer};

/// Less in all is not worth several threads.
const ENOUGH: usize = 64 << 10;

/// Whether there are several threads, and enough bytes or characters for them.
pub fn is_worth_it(size: usize) -> PyResult<bool> {
    Ok(size >= ENOUGH && threads::count().map_err(CoreError::from)? > 1)
}

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

/// Appends the ids of all texts to `ids`.
pub fn encode_texts<O: Output>(
    py: Python<'_>,
    core: &Tokenizer,
    allowed: &AllowedArgument,
    texts: &Texts<'_>,
    ids: &mut O,
    sink: &mut dyn Sink<O>,
) -> PyResult<()> {
    let bytes = texts.size()?;
    ids.make_room(bytes / 4);
    let mut taker = Taker::new(ids, sink);
    let encoded = core.feed(allowed.get(), bytes, texts.len() > 1, |feed| {
        for text in texts.iter() {
            feed.push(text?);
            taker.take_ready(py, feed)?;
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
    ids.make_room(length / 4);
    let mut sink = ();
    let mut taker = Taker::new(&mut ids, &mut sink);
    let encoded = core.feed(allowed.get(), length, false, |feed| {
        parts(text, |part| {
            feed.push_part(part);
            taker.take_ready(py, feed)
        })?;
        feed.end_text();
        taker.take_rest(py, feed)
    });
    match encoded.map_err(CoreError::from)? {
        Err(error) if error.is_instance_of::<PyUnicodeEncodeError>(py) => Ok(None),
        done => done.map(|()| Some(ids)),
    }
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
}

impl<'t, O: Output> Taker<'t, O> {
    fn new(ids: &'t mut O, sink: &'t mut dyn Sink<O>) -> Taker<'t, O> {
        Taker { ids, ends: Vec::new(), sink, let_go: Instant::now() }
    }

    /// What is there. Other Python threads have their turn meanwhile.
    fn take_ready(&mut self, py: Python<'_>, feed: &mut Feed<'_, '_, O>) -> PyResult<()> {
        while feed.take_ready(self.ids, |end| self.ends.push(end)).map_err(CoreError::from)? {
            self.see(py)?;
            if self.let_go.elapsed() >= TURN {
                py.detach(|| ());
                self.let_go = Instant::now();
            }
        }
        Ok(())
    }

    /// All that is under way, without the GIL while there is nothing to take.
    fn take_rest(&mut self, py: Python<'_>, feed: &mut Feed<'_, '_, O>) -> PyResult<()> {
        let mut idle = || -> Result<()> { Python::attach(|py| py.check_signals()).map_err(from_python) };
        loop {
            self.take_ready(py, feed)?;
            let (ids, ends) = (&mut *self.ids, &mut self.ends);
            if !py.detach(|| feed.take_next(ids, |end| ends.push(end), &mut idle)).map_err(CoreError::from)? {
                return Ok(());
            }
            self.let_go = Instant::now();
            self.see(py)?;
        }
    }

    fn see(&mut self, py: Python<'_>) -> PyResult<()> {
        self.sink.see(self.ids, &mut self.ends)?;
        py.check_signals()
    }
}
