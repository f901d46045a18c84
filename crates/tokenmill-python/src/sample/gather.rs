//! `gather` and `gather_columns`: from the tokens into the caller's buffers, without the GIL.

use super::Numbers;
use super::contiguous;
use super::plan::Plan;
use crate::error::CoreError;
use crate::store::Store;
use numpy::{
    Element, IntoPyArray, PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadwriteArray2,
    PyUntypedArrayMethods,
};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use tokenmill::gather::{self as core, Columns, Id, Rows, Segments, Sequences, Source, Style};
use tokenmill::sample::{self, Documents, Window};
use tokenmill::tokens::Tokens;

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

    fn segments(&self) -> PyResult<Segments<'_>> {
        let tokens = match self {
            Data::U16(array) => Tokens::U16(contiguous(array)?),
            Data::U32(array) => Tokens::U32(contiguous(array)?),
            Data::I32(array) => Tokens::I32(contiguous(array)?),
            Data::I64(array) => Tokens::I64(contiguous(array)?),
            Data::Store(store) => return Ok(Segments::Store(store.inner())),
        };
        Ok(Segments::new(vec![tokens]).map_err(CoreError::from)?)
    }

    fn source(&self, documents: bool) -> PyResult<Source<'_>> {
        let documents = match self {
            _ if !documents => None,
            Data::Store(store) => Some(&**store.inner() as &dyn Documents),
            _ => return Err(PyValueError::new_err("an array does not say where its documents end; give a store")),
        };
        Ok(Source { segments: self.segments()?, documents })
    }
}

/// A buffer to fill.
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

    fn i64(&mut self) -> PyResult<&mut PyReadwriteArray2<'py, i64>> {
        match self {
            Out::I64(out) => Ok(out),
            Out::I32(_) => Err(PyTypeError::new_err("position_ids must have the dtype of input_ids")),
        }
    }

    fn i32(&mut self) -> PyResult<&mut PyReadwriteArray2<'py, i32>> {
        match self {
            Out::I32(out) => Ok(out),
            Out::I64(_) => Err(PyTypeError::new_err("position_ids must have the dtype of input_ids")),
        }
    }
}

/// The rows of `out` as one slice, where it is C-contiguous and has the wanted shape.
fn rows<'a, T: Element>(out: &'a mut PyReadwriteArray2<'_, T>, count: usize, width: u64) -> PyResult<&'a mut [T]> {
    let right = out.is_c_contiguous() && out.shape()[0] == count && out.shape()[1] as u64 == width;
    match out.as_slice_mut() {
        Ok(slice) if right => Ok(slice),
        _ => Err(PyValueError::new_err(format!("out must be C-contiguous, aligned and of shape ({count}, {width})"))),
    }
}

/// Fills `out`, `max_length + 1` wide, with samples that are numbered through all epochs, given as (first, count); returns their
/// window numbers. For layouts with one window a row.
#[pyfunction]
pub fn gather<'py>(
    py: Python<'py>,
    data: &Bound<'py, PyAny>,
    plan: &Bound<'py, Plan>,
    samples: Vec<(u64, u64)>,
    out: &Bound<'py, PyAny>,
) -> PyResult<Numbers<'py>> {
    let plan = &plan.get().0;
    // Not more than there is room for, which the caller has had the memory for.
    let room = out.len()?;
    let samples = samples.into_iter().flat_map(|(first, count)| first..first.saturating_add(count));
    let numbers = plan.at(&samples.take(room.saturating_add(1)).collect::<Vec<u64>>());
    let mut windows = Vec::with_capacity(numbers.len());
    for &number in &numbers {
        plan.layout.get(number, &mut windows).map_err(CoreError::from)?;
    }
    let data = Data::borrow(data)?;
    let segments = data.segments()?;
    let width = plan.layout.max_length() + 1;
    match &mut Out::borrow(out)? {
        Out::I64(out) => gather_into(py, &segments, plan, &windows, rows(out, numbers.len(), width)?)?,
        Out::I32(out) => gather_into(py, &segments, plan, &windows, rows(out, numbers.len(), width)?)?,
    }
    Ok(numbers.into_pyarray(py))
}

fn gather_into<T: Id>(
    py: Python<'_>,
    segments: &Segments<'_>,
    plan: &sample::Plan,
    windows: &[Window],
    out: &mut [T],
) -> Result<(), CoreError> {
    let (max_length, stretch) = (plan.layout.max_length(), plan.shuffle.stretch());
    Ok(py.detach(|| core::gather(segments, windows, max_length, stretch, out))?)
}

/// What the batch is made of: where the sequences begin, and the longest.
type Lengths<'py> = (Bound<'py, PyArray1<i32>>, i32);

/// Fills buffers of `max_length` columns each with windows of the caller's choice.
///
/// `sources` is a list of (data, plan), `chosen` the number of each row's source in it, `None` for all the first. With
/// `documents`, which needs stores, the rows are marked, and where their sequences begin is returned.
#[pyfunction]
#[pyo3(signature = (sources, chosen, windows, *, pad_id, documents, mask_boundaries, input_ids, labels,
    position_ids=None, document_ids=None))]
#[expect(clippy::too_many_arguments, reason = "one call per batch; Python's names are the documentation")]
pub fn gather_columns<'py>(
    py: Python<'py>,
    sources: Vec<(Bound<'py, PyAny>, Bound<'py, Plan>)>,
    chosen: Option<PyReadonlyArray1<'py, u32>>,
    windows: PyReadonlyArray1<'py, u64>,
    pad_id: Option<i64>,
    documents: bool,
    mask_boundaries: bool,
    input_ids: &Bound<'py, PyAny>,
    labels: &Bound<'py, PyAny>,
    position_ids: Option<&Bound<'py, PyAny>>,
    document_ids: Option<&Bound<'py, PyArray2<i32>>>,
) -> PyResult<Option<Lengths<'py>>> {
    let plans: Vec<&Plan> = sources.iter().map(|(_, plan)| plan.get()).collect();
    let rows_of = rows_of(&plans, chosen.as_ref().map(contiguous).transpose()?, contiguous(&windows)?)?;
    let data = sources.iter().map(|(data, _)| Data::borrow(data)).collect::<PyResult<Vec<_>>>()?;
    let sources = data.iter().map(|data| data.source(documents)).collect::<PyResult<Vec<_>>>()?;
    // The plans differ in their source alone.
    let max_length = plans.first().map_or(0, |plan| plan.0.layout.max_length());
    let stretch = plans.first().map_or(1, |plan| plan.0.shuffle.stretch());
    let style = Style { max_length, pad_id, mask_boundaries, stretch };
    let mut document_ids = document_ids.map(|ids| ids.try_readwrite()).transpose()?;
    let document_ids = document_ids.as_mut().map(|ids| rows(ids, rows_of.rows.len(), max_length)).transpose()?;
    let mut position_ids = position_ids.map(Out::borrow).transpose()?;
    let buffers = (&mut Out::borrow(input_ids)?, &mut Out::borrow(labels)?, position_ids.as_mut());
    let lengths = match buffers {
        (Out::I64(inputs), Out::I64(labels), positions) => {
            let positions = positions.map(Out::i64).transpose()?;
            columns_into(py, &sources, &rows_of, style, inputs, labels, positions, document_ids)?
        }
        (Out::I32(inputs), Out::I32(labels), positions) => {
            let positions = positions.map(Out::i32).transpose()?;
            columns_into(py, &sources, &rows_of, style, inputs, labels, positions, document_ids)?
        }
        _ => return Err(PyTypeError::new_err("input_ids and labels must have the same dtype")),
    };
    Ok(lengths.map(|lengths| (lengths.starts.into_pyarray(py), lengths.longest)))
}

/// The parts of each row.
fn rows_of(plans: &[&Plan], chosen: Option<&[u32]>, windows: &[u64]) -> PyResult<Rows> {
    let mut rows = Rows::default();
    for (row, &window) in windows.iter().enumerate() {
        let source = match chosen {
            None => 0,
            Some(chosen) => chosen.get(row).map_or(usize::MAX, |&source| source as usize),
        };
        let plan = plans.get(source).ok_or_else(|| PyValueError::new_err(format!("row {row} has no source")))?;
        let first = rows.windows.len();
        plan.0.layout.get(window, &mut rows.windows).map_err(CoreError::from)?;
        rows.rows.push((source, first..rows.windows.len()));
    }
    Ok(rows)
}

#[expect(clippy::too_many_arguments, reason = "the buffers of one batch")]
fn columns_into<T: Id + Element>(
    py: Python<'_>,
    sources: &[Source<'_>],
    rows_of: &Rows,
    style: Style,
    input_ids: &mut PyReadwriteArray2<'_, T>,
    labels: &mut PyReadwriteArray2<'_, T>,
    position_ids: Option<&mut PyReadwriteArray2<'_, T>>,
    document_ids: Option<&mut [i32]>,
) -> PyResult<Option<Sequences>> {
    let (count, width) = (rows_of.rows.len(), style.max_length);
    let mut columns = Columns {
        input_ids: rows(input_ids, count, width)?,
        labels: rows(labels, count, width)?,
        position_ids: position_ids.map(|ids| rows(ids, count, width)).transpose()?,
        document_ids,
    };
    Ok(py.detach(|| core::gather_columns(sources, rows_of, style, &mut columns)).map_err(CoreError::from)?)
}
