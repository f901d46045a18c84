//! Texts that arrive in chunks.

use crate::encoding::AllowedArgument;
use crate::error::CoreError;
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
        Ok(py.detach(|| self.0.push(chunk)).map_err(CoreError::from)?.into_pyarray(py))
    }

    /// The text has ended: the remaining ids.
    fn finish<'py>(&mut self, py: Python<'py>) -> PyResult<Ids<'py>> {
        Ok(py.detach(|| self.0.finish()).map_err(CoreError::from)?.into_pyarray(py))
    }
}

/// Adds what is above to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<EncodeStream>()
}
