//! The Python extension `tokenmill._core`: convert, release the GIL, call the core, map the error. No logic.

mod error;
mod monitor;
mod store;

use pyo3::prelude::*;

#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    error::register(module)?;
    store::register(module)
}
