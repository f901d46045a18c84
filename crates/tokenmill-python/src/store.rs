//! `_core.Store`: a token store, read and verified.

use crate::error::CoreError;
use crate::monitor::PyMonitor;
use numpy::{IntoPyArray, PyArray1};
use pyo3::prelude::*;
use std::path::PathBuf;
use std::sync::Arc;
use tokenmill::documents::PositionUnit;
use tokenmill::store;

/// (tokens, documents, files, bytes, problems); a problem is (file, block, first byte, end, reason).
pub type Report = (u64, u64, u64, u64, Vec<Problem>);
pub type Problem = (String, Option<u64>, Option<u64>, Option<u64>, String);

/// An open token store.
#[pyclass(frozen, module = "tokenmill._core")]
pub struct Store {
    inner: Arc<store::Store>,
}

impl Store {
    pub fn inner(&self) -> &Arc<store::Store> {
        &self.inner
    }
}

#[pymethods]
impl Store {
    /// Opens a split of the store at a path; `was`: as it was with this content hash and, where known, so many inputs.
    #[staticmethod]
    #[pyo3(signature = (path, validation, was=None))]
    fn open(
        py: Python<'_>,
        path: PathBuf,
        validation: bool,
        was: Option<(String, Option<usize>)>,
    ) -> Result<Store, CoreError> {
        let split = if validation { store::Split::Validation } else { store::Split::Train };
        let inner = py.detach(|| match was {
            None => store::Store::open(&path, split),
            Some((content_hash, inputs)) => store::Store::open_as_it_was(&path, split, &content_hash, inputs),
        })?;
        Ok(Store { inner: Arc::new(inner) })
    }

    #[getter]
    fn path(&self) -> PathBuf {
        self.inner.path().to_path_buf()
    }

    #[getter]
    fn tokenizer_path(&self) -> PathBuf {
        self.inner.tokenizer_path()
    }

    /// "train" or "validation".
    #[getter]
    fn split(&self) -> &'static str {
        self.inner.split().name()
    }

    #[getter]
    fn num_tokens(&self) -> u64 {
        self.inner.num_tokens()
    }

    #[getter]
    fn num_documents(&self) -> u64 {
        self.inner.num_documents()
    }

    #[getter]
    fn num_inputs(&self) -> usize {
        self.inner.manifest().inputs.len()
    }

    #[getter]
    fn vocab_size(&self) -> u64 {
        self.inner.vocab_size()
    }

    #[getter]
    fn dtype(&self) -> &'static str {
        self.inner.dtype().name()
    }

    #[getter]
    fn content_hash(&self) -> &str {
        self.inner.content_hash()
    }

    /// The manifest as JSON.
    fn manifest_json(&self) -> Result<String, CoreError> {
        Ok(self.inner.manifest().to_json()?)
    }

    /// Tokens start..stop as a new array of the store's dtype.
    fn slice<'py>(&self, py: Python<'py>, start: u64, stop: u64) -> Result<Bound<'py, PyAny>, CoreError> {
        // Copied without the GIL: a page that is not in memory yet is waited for here.
        Ok(match self.inner.dtype() {
            store::Dtype::Uint16 => array(py, py.detach(|| self.inner.copy_u16(start..stop))?),
            store::Dtype::Uint32 => array(py, py.detach(|| self.inner.copy_u32(start..stop))?),
        })
    }

    /// (first token, end) of a document.
    fn document_range(&self, document: u64) -> Result<(u64, u64), CoreError> {
        Ok(self.inner.document_range(document)?)
    }

    /// The document that a token belongs to.
    fn document_at(&self, token: u64) -> Result<u64, CoreError> {
        Ok(self.inner.document_at(token)?)
    }

    /// (input's name, "byte" or "row", position) of a document.
    fn origin(&self, document: u64) -> Result<(&str, &'static str, u64), CoreError> {
        let (input, position) = self.inner.origin(document)?;
        let record = &self.inner.manifest().inputs[input];
        let unit = match record.position {
            PositionUnit::Byte => "byte",
            PositionUnit::Row => "row",
        };
        Ok((&record.name, unit, position))
    }

    /// Checks every byte of the store.
    #[pyo3(signature = (progress=None))]
    fn verify(&self, py: Python<'_>, progress: Option<Py<PyAny>>) -> Result<Report, CoreError> {
        verify_store(py, self.path(), None, progress)
    }
}

fn array<T: numpy::Element>(py: Python<'_>, ids: Vec<T>) -> Bound<'_, PyAny> {
    let array: Bound<'_, PyArray1<T>> = ids.into_pyarray(py);
    array.into_any()
}

/// Checks every byte of the store at a path, which need not be one that opens; `was`: of what had this content hash.
#[pyfunction]
#[pyo3(signature = (path, was=None, progress=None))]
fn verify_store(
    py: Python<'_>,
    path: PathBuf,
    was: Option<String>,
    progress: Option<Py<PyAny>>,
) -> Result<Report, CoreError> {
    Ok(report_of(py.detach(|| store::verify(&path, was.as_deref(), &PyMonitor::new(progress)))?))
}

fn report_of(report: store::Report) -> Report {
    let problems = report.problems.into_iter().map(problem_of).collect();
    (report.tokens, report.documents, report.files, report.bytes, problems)
}

/// A problem in numbers and words.
pub fn problem_of(problem: store::Problem) -> Problem {
    let bytes = problem.bytes;
    (problem.file, problem.block, bytes.as_ref().map(|b| b.start), bytes.map(|b| b.end), problem.reason)
}

/// Adds the class and the function to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Store>()?;
    module.add("DEFAULT_SHARD_TOKENS", store::DEFAULT_SHARD_TOKENS)?;
    module.add_function(wrap_pyfunction!(verify_store, module)?)
}
