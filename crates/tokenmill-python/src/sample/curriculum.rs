//! `Curriculum`: which part of which window a sample is.

use super::Numbers;
use super::contiguous;
use crate::error::CoreError;
use numpy::{IntoPyArray, PyReadonlyArray1};
use pyo3::prelude::*;
use tokenmill::sample as core;

/// See `tokenmill::sample::Curriculum`.
#[pyclass(frozen, module = "tokenmill._core")]
pub struct Curriculum(pub core::Curriculum);

#[pymethods]
impl Curriculum {
    #[new]
    #[pyo3(signature = (*, stages, units, hand))]
    fn new(stages: Vec<(u64, u64)>, units: Option<u64>, hand: u64) -> Result<Self, CoreError> {
        Ok(Curriculum(core::Curriculum::new(&stages, units, hand)?))
    }

    #[getter]
    fn end(&self) -> u64 {
        self.0.end()
    }

    /// (units, parts) of samples.
    fn at<'py>(&self, py: Python<'py>, samples: PyReadonlyArray1<'py, u64>) -> PyResult<(Numbers<'py>, Numbers<'py>)> {
        let samples = contiguous(&samples)?;
        let parts = py.detach(|| samples.iter().map(|&sample| self.0.part(sample)).collect::<Result<Vec<_>, _>>());
        let parts = parts.map_err(CoreError::from)?;
        let (units, parts): (Vec<u64>, Vec<u64>) = parts.into_iter().map(|part| (part.unit, part.part)).unzip();
        Ok((units.into_pyarray(py), parts.into_pyarray(py)))
    }
}
