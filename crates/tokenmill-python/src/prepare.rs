//! `_core.prepare`: documents through a tokenizer into a token store.

use crate::documents::Source;
use crate::error::CoreError;
use crate::monitor::PyMonitor;
use crate::tokenizer::Tokenizer;
use pyo3::prelude::*;
use std::path::PathBuf;
use std::sync::Arc;
use tokenmill::store::{self, PrepareOptions};

/// Writes the store and returns (tokens, documents, empty documents, shards, content hash). Uses the source up.
#[pyfunction]
#[pyo3(signature = (source, tokenizer, out, bos, eos, shard_tokens, progress=None))]
#[expect(clippy::too_many_arguments, reason = "one call from Python; the keyword-only API is there")]
fn prepare(
    py: Python<'_>,
    source: &Source,
    tokenizer: &Tokenizer,
    out: PathBuf,
    bos: Option<u32>,
    eos: Option<u32>,
    shard_tokens: u64,
    progress: Option<Py<PyAny>>,
) -> PyResult<(u64, u64, u64, usize, String)> {
    let mut blocks = source.take()?;
    let tokenizer = Arc::clone(tokenizer.inner());
    let options = PrepareOptions { bos, eos, shard_tokens };
    let summary = py
        .detach(|| store::prepare(blocks.as_mut(), &tokenizer, &out, &options, &PyMonitor::new(progress)))
        .map_err(CoreError::from)?;
    let store::Summary { num_tokens, num_documents, num_empty_documents, num_shards, content_hash } = summary;
    Ok((num_tokens, num_documents, num_empty_documents, num_shards, content_hash))
}

/// Adds the function to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(prepare, module)?)
}
