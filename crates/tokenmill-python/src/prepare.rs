//! `_core.prepare`: documents through a tokenizer into a token store.

use crate::documents::{Source, file_options};
use crate::error::CoreError;
use crate::monitor::PyMonitor;
use crate::tokenizer::Tokenizer;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use tokenmill::store::{self, PrepareOptions, Recipe, SpecialText, Task};

/// Writes the store; with `only_check`, refuses what an append would, and writes nothing. Uses the source up.
#[pyfunction]
#[pyo3(signature = (source, tokenizer, out, bos, eos, shard_tokens, val_fraction, specials, dedup, skip_rejected, quarantine, reading=None, workers=None, task=None, append=false, resume=false, only_check=false, progress=None))]
#[expect(clippy::too_many_arguments, reason = "one call from Python; the keyword-only API is there")]
fn prepare(
    py: Python<'_>,
    source: &Source,
    tokenizer: &Tokenizer,
    out: PathBuf,
    bos: Option<u32>,
    eos: Option<u32>,
    shard_tokens: u64,
    val_fraction: f64,
    specials: &str,
    dedup: bool,
    skip_rejected: bool,
    quarantine: Option<PathBuf>,
    reading: Option<(Option<String>, String, Option<String>)>,
    workers: Option<NonZeroUsize>,
    task: Option<(u64, u64)>,
    append: bool,
    resume: bool,
    only_check: bool,
    progress: Option<Py<PyAny>>,
) -> PyResult<()> {
    let mut blocks = source.take()?;
    let tokenizer = Arc::clone(tokenizer.inner());
    let specials = match specials {
        "text" => SpecialText::Text,
        "error" => SpecialText::Error,
        "allow" => SpecialText::Allow,
        other => {
            return Err(PyValueError::new_err(format!(
                "specials is {other:?}; it is \"text\", \"error\" or \"allow\""
            )));
        }
    };
    let reading = reading.map(|(format, text_field, separator)| file_options(format.as_deref(), text_field, separator));
    let reading = reading.transpose()?;
    let options = PrepareOptions {
        recipe: Recipe { bos, eos, shard_tokens, val_fraction, specials, dedup, reading },
        skip_rejected,
        quarantine,
        workers,
        task: task.map(|(number, of)| Task::new(number, of)).transpose().map_err(CoreError::from)?,
        append,
        resume,
    };
    py.detach(|| {
        let monitor = PyMonitor::new(progress);
        if only_check {
            return store::check_append(blocks.as_mut(), &tokenizer, &out, &options, &monitor);
        }
        store::prepare(blocks.as_mut(), &tokenizer, &out, &options, &monitor).map(drop)
    })
    .map_err(CoreError::from)?;
    Ok(())
}

/// Where a task's part of a store will be.
#[pyfunction]
fn task_path(out: PathBuf, number: u64, of: u64) -> Result<PathBuf, CoreError> {
    Ok(Task::new(number, of)?.path(&out)?)
}

/// Joins what the tasks of a store have made.
#[pyfunction]
#[pyo3(signature = (out, progress=None))]
fn seal(py: Python<'_>, out: PathBuf, progress: Option<Py<PyAny>>) -> Result<(), CoreError> {
    py.detach(|| store::seal(&out, &PyMonitor::new(progress)))?;
    Ok(())
}

/// Adds the functions to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(prepare, module)?)?;
    module.add_function(wrap_pyfunction!(seal, module)?)?;
    module.add_function(wrap_pyfunction!(task_path, module)?)
}
