//! Arrow through the PyCapsule interface: string columns in, lists of ids out.

mod export;
mod read;

pub use export::ArrowIds;
pub use read::{NAME, TextColumn, rows};

use pyo3::prelude::*;

/// Adds the class to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<ArrowIds>()
}
