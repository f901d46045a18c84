//! The Python extension `tokenmill._core`: convert, release the GIL, call the core, map the error. No logic.

mod arrow;
mod documents;
mod encoding;
mod error;
mod feed;
mod monitor;
mod prepare;
mod repair;
mod sample;
mod store;
mod stream;
mod text;
mod tokenizer;
mod train;

use pyo3::prelude::*;

#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    error::register(module)?;
    documents::register(module)?;
    tokenizer::register(module)?;
    train::register(module)?;
    stream::register(module)?;
    arrow::register(module)?;
    store::register(module)?;
    prepare::register(module)?;
    repair::register(module)?;
    sample::register(module)
}
