//! `Mixture`: the order of the samples of several sources.

use super::Numbers;
use super::contiguous;
use crate::error::CoreError;
use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1};
use pyo3::prelude::*;
use tokenmill::sample::{self as core, MixtureOptions};

/// (sources, epochs, windows) of samples.
type Samples<'py> = (Bound<'py, PyArray1<u32>>, Numbers<'py>, Numbers<'py>);

/// See `tokenmill::sample::Mixture`.
#[pyclass(frozen, module = "tokenmill._core")]
pub struct Mixture(pub core::Mixture);

#[pymethods]
impl Mixture {
    #[new]
    #[pyo3(signature = (*, rows, max_epochs, stages, stop, shuffle, stride, seed))]
    fn new(
        rows: Vec<u64>,
        max_epochs: Vec<Option<u64>>,
        stages: Vec<(u64, Vec<u64>)>,
        stop: bool,
        shuffle: &str,
        stride: u64,
        seed: u64,
    ) -> Result<Self, CoreError> {
        let shuffle = shuffle.parse()?;
        let options = MixtureOptions { rows, max_epochs, stages, stop, shuffle, stride, seed };
        Ok(Mixture(core::Mixture::new(options)?))
    }

    /// `None`: the mixture never ends.
    #[getter]
    fn num_samples(&self) -> Option<u64> {
        self.0.count()
    }

    /// The source whose end is the mixture's.
    #[getter]
    fn ended_by(&self) -> Option<usize> {
        self.0.ended_by()
    }

    /// How many of the samples before `sample` each source has.
    fn taken(&self, sample: u64) -> Vec<u64> {
        self.0.taken(sample)
    }

    fn at<'py>(&self, py: Python<'py>, samples: PyReadonlyArray1<'py, u64>) -> PyResult<Samples<'py>> {
        let samples = contiguous(&samples)?;
        let samples = py.detach(|| self.0.at(samples)).map_err(CoreError::from)?;
        // The sources came in a list of Python's, which has fewer than 2^32.
        let sources: Vec<u32> = samples.iter().map(|s| u32::try_from(s.source).unwrap_or(u32::MAX)).collect();
        let (epochs, windows): (Vec<u64>, Vec<u64>) = samples.iter().map(|s| (s.epoch, s.window)).unzip();
        Ok((sources.into_pyarray(py), epochs.into_pyarray(py), windows.into_pyarray(py)))
    }
}
