//! Sources that Python opens one after the other.

use super::{BoxedSource, Source};
use crate::error::from_python;
use pyo3::prelude::*;
use tokenmill::documents::{Link, PlannedInput};

/// The inputs that a source will have, and a function that opens it.
#[derive(FromPyObject)]
pub struct PyLink(Vec<(String, String, Option<u64>)>, Py<PyAny>);

impl PyLink {
    pub fn into_link(self) -> Link {
        let PyLink(inputs, open) = self;
        let planned = |(name, layout, bytes)| PlannedInput { name, layout, bytes };
        let open = move || {
            Python::attach(|py| -> PyResult<BoxedSource> { open.call0(py)?.extract::<PyRef<'_, Source>>(py)?.take() })
                .map_err(from_python)
        };
        Link { planned: inputs.into_iter().map(planned).collect(), open: Box::new(open) }
    }
}
