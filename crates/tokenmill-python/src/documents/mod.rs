//! `_core.Source`: files, Python iterables and Arrow streams as the core's block sources.

mod arrow;
mod chain;
mod texts;

use crate::error::{CoreError, from_python};
use crate::monitor::PyMonitor;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use tokenmill::Spare;
use tokenmill::documents::{
    Block, BlockSource, Chain, FileOptions, FileSource, Format, Idle, InputRecord, PlannedInput, PositionUnit,
    document_at as core_document_at, expand,
};

type BoxedSource = Box<dyn BlockSource + Send>;

/// Documents that are read once, from first to last.
#[pyclass(module = "tokenmill._core")]
pub struct Source {
    inner: Mutex<Option<BoxedSource>>,
}

/// A source, and what has to live as long.
struct Keeping {
    source: BoxedSource,
    _kept: Py<PyAny>,
}

impl Source {
    fn new(source: BoxedSource) -> Source {
        Source { inner: Mutex::new(Some(source)) }
    }

    /// Hands the source to another part of the binding; afterwards this object is empty.
    pub fn take(&self) -> PyResult<BoxedSource> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).take().ok_or_else(used)
    }

    /// Runs `work` without the GIL: another thread may hold the lock while it waits for the GIL.
    fn with<T: Send>(
        &self,
        py: Python<'_>,
        work: impl Send + FnOnce(&mut dyn BlockSource) -> tokenmill::Result<T>,
    ) -> PyResult<T> {
        py.detach(|| {
            let mut slot = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
            slot.as_mut().map(|source| work(source.as_mut()))
        })
        .ok_or_else(used)?
        .map_err(|error| CoreError::from(error).into())
    }
}

impl BlockSource for Keeping {
    fn next_block(&mut self, idle: Idle<'_>) -> tokenmill::Result<Option<Block>> {
        self.source.next_block(idle)
    }

    fn bytes_read(&self) -> u64 {
        self.source.bytes_read()
    }

    fn total_bytes(&self) -> Option<u64> {
        self.source.total_bytes()
    }

    fn planned(&self) -> Vec<PlannedInput> {
        self.source.planned()
    }

    fn inputs(&self) -> Vec<InputRecord> {
        self.source.inputs()
    }

    fn skip_inputs(&mut self) {
        self.source.skip_inputs();
    }

    fn in_parts(&mut self, spare: &Arc<Spare<u8>>) {
        self.source.in_parts(spare);
    }
}

fn used() -> PyErr {
    PyRuntimeError::new_err("this Source is being read elsewhere; make another")
}

/// Input name, texts, positions.
type Batch = (String, Vec<String>, Vec<u64>);

#[pymethods]
impl Source {
    /// Files, folders and patterns; see `Documents.from_files`. `names` is what the files are called elsewhere.
    #[staticmethod]
    #[pyo3(signature = (paths, format, text_field, separator, names=None))]
    fn files(
        paths: Vec<PathBuf>,
        format: Option<&str>,
        text_field: String,
        separator: Option<String>,
        names: Option<Vec<String>>,
    ) -> PyResult<Source> {
        let options = file_options(format, text_field, separator)?;
        let files = expand(&paths, options.format).map_err(CoreError::from)?;
        let mut source = FileSource::new(&files, options).map_err(CoreError::from)?;
        if let Some(names) = names {
            source = source.called(&names);
        }
        Ok(Source::new(Box::new(source)))
    }

    /// One source after the other: for each the inputs it will have (name, layout, bytes), and a function that opens
    /// it, which is called when the one before has ended.
    #[staticmethod]
    fn chain(links: Vec<chain::PyLink>) -> Source {
        Source::new(Box::new(Chain::new(links.into_iter().map(chain::PyLink::into_link).collect())))
    }

    /// The strings of an iterator, pulled on the thread that reads.
    #[staticmethod]
    fn texts(iterator: &Bound<'_, PyAny>) -> PyResult<Source> {
        Ok(Source::new(Box::new(texts::Texts::new(iterator)?)))
    }

    /// A string column of an object with `__arrow_c_stream__`.
    #[staticmethod]
    #[pyo3(signature = (data, column, name=None))]
    fn arrow(data: &Bound<'_, PyAny>, column: Option<&str>, name: Option<&str>) -> PyResult<Source> {
        Ok(Source::new(Box::new(arrow::ArrowTexts::new(data, column, name)?)))
    }

    /// Keeps an object as long as the source is not dropped.
    fn keep(&self, object: Py<PyAny>) -> PyResult<()> {
        let source = self.take()?;
        *self.inner.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(Keeping { source, _kept: object }));
        Ok(())
    }

    /// The documents of the next block: input name, texts, positions. `None` at the end.
    fn next_batch(&self, py: Python<'_>) -> PyResult<Option<Batch>> {
        self.with(py, |source| {
            let idle = || Python::attach(|py| py.check_signals()).map_err(from_python);
            let Some(block) = source.next_block(&idle)? else { return Ok(None) };
            let name = block.name.to_string();
            let documents = block.parse()?;
            Ok(Some((name, documents.iter().map(String::from).collect(), documents.positions)))
        })
    }

    /// Bytes of the inputs that have been read, as they lie on the disk.
    fn bytes_read(&self, py: Python<'_>) -> PyResult<u64> {
        self.with(py, |source| Ok(source.bytes_read()))
    }

    /// The inputs read to their end: name, what positions count ("byte" or "row"), bytes, BLAKE3.
    fn inputs(&self, py: Python<'_>) -> PyResult<Vec<(String, &'static str, u64, String)>> {
        let records = self.with(py, |source| Ok(source.inputs()))?;
        Ok(records
            .into_iter()
            .map(|record| {
                let unit = match record.position {
                    PositionUnit::Byte => "byte",
                    PositionUnit::Row => "row",
                };
                (record.name, unit, record.bytes, record.blake3)
            })
            .collect())
    }
}

/// The files that paths, folders and patterns stand for.
#[pyfunction]
#[pyo3(signature = (paths, format=None))]
fn expand_paths(paths: Vec<PathBuf>, format: Option<&str>) -> PyResult<Vec<std::ffi::OsString>> {
    let files = expand(&paths, format_of(format)?).map_err(CoreError::from)?;
    Ok(files.into_iter().map(PathBuf::into_os_string).collect())
}

/// The text of the document at a byte of a file, and whether it is the string of a record.
#[pyfunction]
fn document_at(
    py: Python<'_>,
    path: PathBuf,
    position: u64,
    format: Option<&str>,
    text_field: String,
    separator: Option<String>,
) -> PyResult<(String, bool)> {
    let options = file_options(format, text_field, separator)?;
    Ok(py.detach(|| core_document_at(&path, &options, position, &PyMonitor::new(None))).map_err(CoreError::from)?)
}

/// How files are to be read.
pub fn file_options(format: Option<&str>, text_field: String, separator: Option<String>) -> PyResult<FileOptions> {
    Ok(FileOptions { format: format_of(format)?, text_field, separator })
}

fn format_of(name: Option<&str>) -> PyResult<Option<Format>> {
    match name {
        None => Ok(None),
        Some("text") => Ok(Some(Format::Text)),
        Some("jsonl") => Ok(Some(Format::JsonLines)),
        Some(other) => {
            Err(PyValueError::new_err(format!("format {other:?} is not known; pass \"text\", \"jsonl\" or None")))
        }
    }
}

/// Adds `Source` and `expand_paths` to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Source>()?;
    module.add_function(wrap_pyfunction!(document_at, module)?)?;
    module.add_function(wrap_pyfunction!(expand_paths, module)?)
}
