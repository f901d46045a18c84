//! `Plan`, `Batches` and `gather`: sampling, one boundary crossing per batch.

use crate::error::CoreError;
use crate::store::Store;
use numpy::{
    Element, IntoPyArray, PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadwriteArray2,
    PyUntypedArrayMethods,
};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use tokenmill::gather::{self as core_gather, Id, Segments};
use tokenmill::sample::{self as core, Window};
use tokenmill::tokens::Tokens;

type Numbers<'py> = Bound<'py, PyArray1<u64>>;

/// The order of windows: see `tokenmill::sample::Plan`.
#[pyclass(frozen, module = "tokenmill._core")]
pub struct Plan(core::Plan);

#[pymethods]
impl Plan {
    #[new]
    #[pyo3(signature = (*, num_tokens, max_length, stride, tail, shuffle, seed))]
    fn new(
        num_tokens: u64,
        max_length: u64,
        stride: u64,
        tail: &str,
        shuffle: bool,
        seed: u64,
    ) -> Result<Self, CoreError> {
        let windows = core::Windows::new(num_tokens, max_length, stride, tail.parse()?)?;
        Ok(Plan(core::Plan { windows, shuffle, seed }))
    }

    #[getter]
    fn num_windows(&self) -> u64 {
        self.0.windows.count()
    }

    #[getter]
    fn dropped_tokens(&self) -> u64 {
        self.0.windows.dropped_tokens()
    }

    fn window(&self, epoch: u64, i: u64) -> Result<u64, CoreError> {
        Ok(self.0.window(epoch, i)?)
    }

    fn windows<'py>(&self, py: Python<'py>, epoch: u64, first: u64, count: u64) -> PyResult<Numbers<'py>> {
        let numbers = py.detach(|| self.0.numbers(epoch, first, count)).map_err(CoreError::from)?;
        Ok(numbers.into_pyarray(py))
    }

    /// Starts and numbers of valid targets.
    fn locate<'py>(
        &self,
        py: Python<'py>,
        windows: PyReadonlyArray1<'py, u64>,
    ) -> PyResult<(Numbers<'py>, Numbers<'py>)> {
        let windows = self.0.locate(contiguous(&windows)?).map_err(CoreError::from)?;
        let (starts, valid): (Vec<u64>, Vec<u64>) = windows.iter().map(|w| (w.start, w.valid)).unzip();
        Ok((starts.into_pyarray(py), valid.into_pyarray(py)))
    }
}

/// How an epoch becomes batches: see `tokenmill::sample::Batches`.
#[pyclass(frozen, module = "tokenmill._core")]
pub struct Batches(core::Batches);

#[pymethods]
impl Batches {
    #[new]
    #[pyo3(signature = (*, samples, batch_size, world_size, drop_last))]
    fn new(samples: u64, batch_size: u64, world_size: u64, drop_last: bool) -> Result<Self, CoreError> {
        Ok(Batches(core::Batches::new(samples, batch_size, world_size, drop_last)?))
    }

    #[getter]
    fn steps_per_epoch(&self) -> u64 {
        self.0.steps_per_epoch()
    }

    /// (first sample, samples, where the next global batch starts) of `rank`; `None` where the epoch is over.
    fn rows(&self, first: u64, rank: u64) -> Option<(u64, u64, u64)> {
        let batch = self.0.global_batch(first)?;
        let rows = self.0.rows(&batch, rank);
        Some((rows.start, rows.end - rows.start, batch.end))
    }
}

/// Tokens to sample from, borrowed: nothing is copied, so a `numpy.memmap` is read page by page.
enum Data<'py> {
    U16(PyReadonlyArray1<'py, u16>),
    U32(PyReadonlyArray1<'py, u32>),
    I32(PyReadonlyArray1<'py, i32>),
    I64(PyReadonlyArray1<'py, i64>),
    Store(PyRef<'py, Store>),
}

impl<'py> Data<'py> {
    fn borrow(data: &Bound<'py, PyAny>) -> PyResult<Self> {
        if let Ok(store) = data.cast::<Store>() {
            Ok(Data::Store(store.borrow()))
        } else if let Ok(array) = data.cast::<PyArray1<u16>>() {
            Ok(Data::U16(array.try_readonly()?))
        } else if let Ok(array) = data.cast::<PyArray1<u32>>() {
            Ok(Data::U32(array.try_readonly()?))
        } else if let Ok(array) = data.cast::<PyArray1<i32>>() {
            Ok(Data::I32(array.try_readonly()?))
        } else if let Ok(array) = data.cast::<PyArray1<i64>>() {
            Ok(Data::I64(array.try_readonly()?))
        } else {
            Err(PyTypeError::new_err("data must be a Store or a 1-d NumPy array of uint16, uint32, int32 or int64"))
        }
    }

    fn segments(&self) -> PyResult<Vec<Tokens<'_>>> {
        Ok(match self {
            Data::U16(array) => vec![Tokens::U16(contiguous(array)?)],
            Data::U32(array) => vec![Tokens::U32(contiguous(array)?)],
            Data::I32(array) => vec![Tokens::I32(contiguous(array)?)],
            Data::I64(array) => vec![Tokens::I64(contiguous(array)?)],
            Data::Store(store) => store.inner().segments(),
        })
    }
}

fn contiguous<'a, T: Element>(array: &'a PyReadonlyArray1<'_, T>) -> PyResult<&'a [T]> {
    array.as_slice().map_err(|_| PyValueError::new_err("the array must be contiguous and aligned; copy it first"))
}

/// The buffer to fill.
enum Out<'py> {
    I64(PyReadwriteArray2<'py, i64>),
    I32(PyReadwriteArray2<'py, i32>),
}

impl<'py> Out<'py> {
    fn borrow(out: &Bound<'py, PyAny>) -> PyResult<Self> {
        if let Ok(array) = out.cast::<PyArray2<i64>>() {
            Ok(Out::I64(array.try_readwrite()?))
        } else if let Ok(array) = out.cast::<PyArray2<i32>>() {
            Ok(Out::I32(array.try_readwrite()?))
        } else {
            Err(PyTypeError::new_err("out must be a 2-d NumPy array of int64 or int32"))
        }
    }
}

/// The rows of `out` as one slice, where it is C-contiguous and has the wanted shape.
fn rows<'a, T: Element>(out: &'a mut PyReadwriteArray2<'_, T>, count: usize, plan: &Plan) -> PyResult<&'a mut [T]> {
    let width = plan.0.windows.max_length() + 1;
    let right = out.is_c_contiguous() && out.shape()[0] == count && out.shape()[1] as u64 == width;
    match out.as_slice_mut() {
        Ok(slice) if right => Ok(slice),
        _ => Err(PyValueError::new_err(format!("out must be C-contiguous, aligned and of shape ({count}, {width})"))),
    }
}

/// Fills `out` with the given windows, without the GIL.
fn fill<'py>(
    py: Python<'py>,
    data: &Bound<'py, PyAny>,
    plan: &Plan,
    numbers: &[u64],
    pad_id: Option<i64>,
    out: &Bound<'py, PyAny>,
) -> PyResult<()> {
    let data = Data::borrow(data)?;
    let segments = Segments::new(data.segments()?).map_err(CoreError::from)?;
    let windows = plan.0.locate(numbers).map_err(CoreError::from)?;
    match &mut Out::borrow(out)? {
        Out::I64(out) => gather_into(py, &segments, &windows, plan, pad_id, rows(out, numbers.len(), plan)?),
        Out::I32(out) => gather_into(py, &segments, &windows, plan, pad_id, rows(out, numbers.len(), plan)?),
    }
}

fn gather_into<T: Id>(
    py: Python<'_>,
    segments: &Segments<'_>,
    windows: &[Window],
    plan: &Plan,
    pad_id: Option<i64>,
    out: &mut [T],
) -> PyResult<()> {
    let max_length = plan.0.windows.max_length();
    py.detach(|| core_gather::gather(segments, windows, max_length, pad_id, out)).map_err(CoreError::from)?;
    Ok(())
}

/// Fills `out` with the samples `first .. first + count` of an epoch; returns their window numbers.
#[pyfunction]
#[pyo3(signature = (data, plan, epoch, first, count, pad_id, out))]
#[expect(clippy::too_many_arguments, reason = "one call per batch; Python's names are the documentation")]
fn gather<'py>(
    py: Python<'py>,
    data: &Bound<'py, PyAny>,
    plan: &Bound<'py, Plan>,
    epoch: u64,
    first: u64,
    count: u64,
    pad_id: Option<i64>,
    out: &Bound<'py, PyAny>,
) -> PyResult<Numbers<'py>> {
    let plan = plan.get();
    let numbers = plan.0.numbers(epoch, first, count).map_err(CoreError::from)?;
    fill(py, data, plan, &numbers, pad_id, out)?;
    Ok(numbers.into_pyarray(py))
}

/// Fills `out` with windows of the caller's choice.
#[pyfunction]
#[pyo3(signature = (data, plan, windows, pad_id, out))]
fn gather_windows<'py>(
    py: Python<'py>,
    data: &Bound<'py, PyAny>,
    plan: &Bound<'py, Plan>,
    windows: PyReadonlyArray1<'py, u64>,
    pad_id: Option<i64>,
    out: &Bound<'py, PyAny>,
) -> PyResult<()> {
    fill(py, data, plan.get(), contiguous(&windows)?, pad_id, out)
}

/// Adds the classes and functions to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Plan>()?;
    module.add_class::<Batches>()?;
    module.add_function(wrap_pyfunction!(gather, module)?)?;
    module.add_function(wrap_pyfunction!(gather_windows, module)?)
}
