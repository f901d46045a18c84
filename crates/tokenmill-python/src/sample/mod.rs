//! Sampling, one boundary crossing per batch.

mod gather;
mod mixture;
mod plan;

use pyo3::prelude::*;

/// Adds the classes and functions to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<plan::Plan>()?;
    module.add_class::<plan::Batches>()?;
    module.add_class::<mixture::Mixture>()?;
    module.add_function(wrap_pyfunction!(gather::gather, module)?)?;
    module.add_function(wrap_pyfunction!(gather::gather_columns, module)?)
}
