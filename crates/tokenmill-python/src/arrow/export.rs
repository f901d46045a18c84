//! Ids as an Arrow array of lists.

use arrow_array::ffi::{FFI_ArrowSchema, to_ffi};
use arrow_array::{Array, ArrayRef, GenericListArray, OffsetSizeTrait, UInt32Array};
use arrow_buffer::{OffsetBuffer, ScalarBuffer};
use arrow_schema::{ArrowError, DataType, Field};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyCapsule;
use std::sync::Arc;
use tokenmill::tokenizer::Flat;

/// The ids of many texts: an Arrow array of type `list<uint32>` or `large_list<uint32>`, a list a text, none null.
/// Whoever takes it through `__arrow_c_array__` shares its memory.
#[pyclass(frozen, module = "tokenmill._core")]
pub struct ArrowIds(ArrayRef);

type Capsule<'py> = Bound<'py, PyCapsule>;

impl ArrowIds {
    /// `large` or more ids than 31 bits count: offsets of 64 bits, else of 32.
    pub fn new(flat: Flat<Vec<u32>>, large: bool) -> PyResult<ArrowIds> {
        let Flat { ids, offsets } = flat;
        let narrow = if large { None } else { narrow(&offsets) };
        let array = match narrow {
            Some(offsets) => list::<i32>(ids, offsets),
            None => list::<i64>(ids, offsets),
        };
        Ok(ArrowIds(array.map_err(arrow_error)?))
    }
}

/// `None` where they do not fit. The last is the largest.
fn narrow(offsets: &[i64]) -> Option<Vec<i32>> {
    i32::try_from(*offsets.last()?).ok()?;
    offsets.iter().map(|&offset| i32::try_from(offset).ok()).collect()
}

/// Takes both without copying.
fn list<O: OffsetSizeTrait>(ids: Vec<u32>, offsets: Vec<O>) -> Result<ArrayRef, ArrowError> {
    let field = Arc::new(Field::new_list_field(DataType::UInt32, false));
    let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
    let array = GenericListArray::<O>::try_new(field, offsets, Arc::new(UInt32Array::from(ids)), None)?;
    Ok(Arc::new(array))
}

fn arrow_error(error: ArrowError) -> PyErr {
    PyValueError::new_err(format!("the ids cannot be given as an Arrow array: {error}"))
}

#[pymethods]
impl ArrowIds {
    /// The schema as a capsule named "arrow_schema".
    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Capsule<'py>> {
        let schema = FFI_ArrowSchema::try_from(self.0.data_type()).map_err(arrow_error)?;
        PyCapsule::new_with_value(py, schema, c"arrow_schema")
    }

    /// Schema and array as capsules. A requested schema is a wish that the protocol lets us not fulfil.
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_array__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> PyResult<(Capsule<'py>, Capsule<'py>)> {
        let _ = requested_schema;
        let (array, schema) = to_ffi(&self.0.to_data()).map_err(arrow_error)?;
        // A capsule that nobody took from drops its struct, which calls the release callback; taking marks it released.
        let schema = PyCapsule::new_with_value(py, schema, c"arrow_schema")?;
        Ok((schema, PyCapsule::new_with_value(py, array, c"arrow_array")?))
    }

    fn __len__(&self) -> usize {
        self.0.len()
    }

    fn __repr__(&self) -> String {
        let kind = if matches!(self.0.data_type(), DataType::LargeList(_)) { "large_list" } else { "list" };
        format!("ArrowIds({} texts, {kind}<uint32>)", self.0.len())
    }
}
