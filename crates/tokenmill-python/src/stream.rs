//! Texts that arrive in chunks.

use crate::encoding::AllowedArgument;
use crate::error::CoreError;
use crate::monitor::PyMonitor;
use crate::text::text_of;
use crate::tokenizer::Tokenizer;
use numpy::{IntoPyArray, PyArray1};
use pyo3::prelude::*;
use pyo3::types::PyString;
use std::sync::Arc;
use tokenmill::tokenizer::Stream;

/// Encodes one text that arrives in chunks.
#[pyclass(module = "tokenmill._core")]
pub struct EncodeStream(Stream);

type Ids<'py> = Bound<'py, PyArray1<u32>>;

#[pymethods]
impl EncodeStream {
    #[new]
    fn new(tokenizer: &Tokenizer, allowed: AllowedArgument) -> Result<Self, CoreError> {
        Ok(EncodeStream(Stream::new(Arc::clone(tokenizer.inner()), allowed.get())?))
    }

    /// Takes the next chunk; the ids that are certain by now.
    fn push<'py>(&mut self, py: Python<'py>, chunk: &Bound<'py, PyString>) -> PyResult<Ids<'py>> {
        let chunk = text_of(chunk)?;
        let chunk = chunk.as_ref();
        let ids = py.detach(|| self.0.push(chunk, &PyMonitor::new(None)));
        Ok(ids.map_err(CoreError::from)?.into_pyarray(py))
    }

    /// Takes what of the chunk is UTF-8 and whole; the ids that are certain by now, and how many bytes that is.
    fn push_bytes<'py>(&mut self, py: Python<'py>, chunk: &[u8]) -> PyResult<(Ids<'py>, usize)> {
        let (ids, taken) = py.detach(|| self.0.push_bytes(chunk, &PyMonitor::new(None))).map_err(CoreError::from)?;
        Ok((ids.into_pyarray(py), taken))
    }

    /// The text has ended: the remaining ids.
    fn finish<'py>(&mut self, py: Python<'py>) -> PyResult<Ids<'py>> {
        let ids = py.detach(|| self.0.finish(&PyMonitor::new(None)));
        Ok(ids.map_err(CoreError::from)?.into_pyarray(py))
    }
}

/// Adds what is above to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<EncodeStream>()
}
