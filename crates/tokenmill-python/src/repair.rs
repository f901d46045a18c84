//! `_core.Repair`: what is damaged in a token store, and remaking it.

use crate::documents::Source;
use crate::error::CoreError;
use crate::monitor::PyMonitor;
use crate::store::{Problem, problem_of};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use tokenmill::documents::{FileOptions, Format};
use tokenmill::store;

/// A store that was looked at; it is locked until this object goes or has run.
#[pyclass(frozen, module = "tokenmill._core")]
pub struct Repair {
    inner: Mutex<Option<store::Repair>>,
}

impl Repair {
    fn with<T>(&self, look: impl FnOnce(&store::Repair) -> T) -> PyResult<T> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(look).ok_or_else(used)
    }
}

fn used() -> PyErr {
    PyRuntimeError::new_err("this Repair has run; make another")
}

/// Name and number of bytes.
type Input = (String, u64);
/// Format, text_field, separator.
type Reading = (Option<&'static str>, String, Option<String>);

#[pymethods]
impl Repair {
    /// Verifies the store at a path.
    #[staticmethod]
    #[pyo3(signature = (path, progress=None))]
    fn examine(py: Python<'_>, path: PathBuf, progress: Option<Py<PyAny>>) -> Result<Repair, CoreError> {
        let repair = py.detach(|| store::Repair::examine(&path, &PyMonitor::new(progress)))?;
        Ok(Repair { inner: Mutex::new(Some(repair)) })
    }

    /// Names of the shards that are to be remade.
    #[getter]
    fn shards(&self) -> PyResult<Vec<String>> {
        self.with(|repair| repair.shards().into_iter().map(String::from).collect())
    }

    /// All that is wrong with the store.
    #[getter]
    fn problems(&self) -> PyResult<Vec<Problem>> {
        self.with(|repair| repair.report().problems.iter().cloned().map(problem_of).collect())
    }

    /// What of it no shard has.
    #[getter]
    fn remaining(&self) -> PyResult<Vec<Problem>> {
        self.with(|repair| repair.remaining().into_iter().map(problem_of).collect())
    }

    /// All inputs of the store.
    #[getter]
    fn inputs(&self) -> PyResult<Vec<Input>> {
        self.with(|repair| repair.all_inputs().iter().map(|input| (input.name.clone(), input.bytes)).collect())
    }

    /// Numbers of the first input that has to be read, and of the one behind the last.
    #[getter]
    fn needed(&self) -> PyResult<(usize, usize)> {
        self.with(|repair| (repair.inputs().start, repair.inputs().end))
    }

    /// How files were read when the store was made: format, text_field, separator. None: no files were.
    #[getter]
    fn reading(&self) -> PyResult<Option<Reading>> {
        let format = |options: &FileOptions| match options.format {
            Some(Format::Text) => Some("text"),
            Some(Format::JsonLines) => Some("jsonl"),
            Some(Format::Columns) | None => None,
        };
        let reading = |options: &FileOptions| (format(options), options.text_field.clone(), options.separator.clone());
        self.with(|repair| repair.reading().map(reading))
    }

    /// Compares the sizes of inputs that will be read. Uses the source up.
    fn check_sizes(&self, source: &Source) -> PyResult<()> {
        let source = source.take()?;
        self.with(|repair| repair.check_sizes(source.as_ref()))?.map_err(|error| CoreError::from(error).into())
    }

    /// Remakes the shards from a source of the inputs that are needed. Uses both up.
    #[pyo3(signature = (source, progress=None))]
    fn run(&self, py: Python<'_>, source: &Source, progress: Option<Py<PyAny>>) -> PyResult<()> {
        let mut source = source.take()?;
        let repair = self.inner.lock().unwrap_or_else(PoisonError::into_inner).take().ok_or_else(used)?;
        py.detach(|| repair.run(source.as_mut(), &PyMonitor::new(progress))).map_err(CoreError::from)?;
        Ok(())
    }
}

/// Adds the class to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Repair>()
}
