//! The Python extension `tokenmill._core`: convert, release the GIL, call the core, map the error. No logic.

mod documents;
mod error;
mod monitor;
mod text;

use pyo3::prelude::*;

#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    documents::register(module)?;
    error::register(module)
}
