//! Sampling, one boundary crossing per batch.

mod curriculum;
mod gather;
mod mixture;
mod plan;

use numpy::{Element, PyArray1, PyReadonlyArray1};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// Windows or samples.
type Numbers<'py> = Bound<'py, PyArray1<u64>>;

/// Adds the classes and functions to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<plan::Plan>()?;
    module.add_class::<plan::Batches>()?;
    module.add_class::<mixture::Mixture>()?;
    module.add_class::<curriculum::Curriculum>()?;
    module.add_function(wrap_pyfunction!(gather::gather, module)?)?;
    module.add_function(wrap_pyfunction!(gather::gather_columns, module)?)
}

fn contiguous<'a, T: Element>(array: &'a PyReadonlyArray1<'_, T>) -> PyResult<&'a [T]> {
    array.as_slice().map_err(|_| PyValueError::new_err("the array must be contiguous and aligned; copy it first"))
}
