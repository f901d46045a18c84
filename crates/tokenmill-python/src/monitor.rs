//! Progress to Python, and Ctrl-C from it.

use crate::error::from_python;
use pyo3::prelude::*;
use std::cell::Cell;
use std::time::{Duration, Instant};
use tokenmill::Result;
use tokenmill::monitor::{Monitor, Progress};

/// How often Python is asked at most: the GIL is taken for each question.
const INTERVAL: Duration = Duration::from_millis(100);

/// Checks for signals, then calls `callback(stage, unit, done, total)` where there is one.
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
        let finished = Some(progress.done) == progress.total;
        if !finished && self.last.get().is_some_and(|last| last.elapsed() < INTERVAL) {
            return Ok(());
        }
        self.last.set(Some(Instant::now()));
        Python::attach(|py| {
            py.check_signals()?;
            if let Some(callback) = &self.callback {
                callback.call1(py, (progress.stage, progress.unit, progress.done, progress.total))?;
            }
            Ok(())
        })
        .map_err(from_python)
    }
}
