//! Progress to Python, and Ctrl-C from it.

use crate::error::from_python;
use pyo3::intern;
use pyo3::prelude::*;
use std::cell::Cell;
use std::time::{Duration, Instant};
use tokenmill::Result;
use tokenmill::monitor::{Monitor, Progress};

/// How often Python is asked at most: the GIL is taken for each question.
const INTERVAL: Duration = Duration::from_millis(100);

/// Checks for signals, then calls `callback(stage, unit, done, total)` where there is one, and `callback.note(text)`
/// before that where it has such a method. At the end of work, `callback.took(name, seconds)` likewise.
pub struct PyMonitor {
    callback: Option<Py<PyAny>>,
    last: Cell<Option<Instant>>,
}

impl PyMonitor {
    pub fn new(callback: Option<Py<PyAny>>) -> Self {
        PyMonitor { callback, last: Cell::new(None) }
    }
}

impl Monitor for PyMonitor {
    fn tick(&self, progress: Progress) -> Result<()> {
        self.report(progress, None)
    }

    fn tick_with(&self, progress: Progress, note: &dyn Fn() -> String) -> Result<()> {
        self.report(progress, Some(note))
    }

    fn stage(&self, name: &'static str, took: Duration) -> Result<()> {
        let Some(callback) = &self.callback else { return Ok(()) };
        Python::attach(|py| {
            if let Some(method) = callback.bind(py).getattr_opt(intern!(py, "took"))? {
                method.call1((name, took.as_secs_f64()))?;
            }
            Ok(())
        })
        .map_err(from_python)
    }
}

impl PyMonitor {
    fn report(&self, progress: Progress, note: Option<&dyn Fn() -> String>) -> Result<()> {
        let finished = Some(progress.done) == progress.total;
        if !finished && self.last.get().is_some_and(|last| last.elapsed() < INTERVAL) {
            return Ok(());
        }
        self.last.set(Some(Instant::now()));
        Python::attach(|py| {
            py.check_signals()?;
            if let Some(callback) = &self.callback {
                if let Some(note) = note
                    && let Some(method) = callback.bind(py).getattr_opt(intern!(py, "note"))?
                {
                    method.call1((note(),))?;
                }
                callback.call1(py, (progress.stage, progress.unit, progress.done, progress.total))?;
            }
            Ok(())
        })
        .map_err(from_python)
    }
}
