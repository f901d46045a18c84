//! A string column of another program's: from a stream of batches, or one array.

use arrow_array::cast::AsArray;
use arrow_array::ffi::{FFI_ArrowArray, FFI_ArrowSchema, from_ffi};
use arrow_array::ffi_stream::{ArrayStreamReader, FFI_ArrowArrayStream};
use arrow_array::types::{ByteArrayType, ByteViewType};
use arrow_array::{Array, ArrayReader, ArrayRef, GenericByteArray, GenericByteViewArray, make_array};
use arrow_schema::{ArrowError, DataType, Fields};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyCapsule;
use tokenmill::error::{Error, Place, Result};

/// What messages and manifests call the input.
pub const NAME: &str = "<arrow>";

/// Gives the text column batch after batch; the producer may run Python code of its own and takes the GIL for that itself.
pub struct TextColumn {
    /// What messages call it.
    name: String,
    batches: Batches,
    /// The column in tables; `None`: the arrays are the texts.
    column: Option<usize>,
    /// The row that the next batch begins with.
    next_row: u64,
}

enum Batches {
    Stream(ArrayStreamReader),
    One(ArrayRef),
    Ended,
}

impl Batches {
    /// The next one; afterwards `self` is `Ended` if it was the last.
    fn next(&mut self) -> Option<std::result::Result<ArrayRef, ArrowError>> {
        match std::mem::replace(self, Batches::Ended) {
            Batches::Stream(mut stream) => {
                let batch = stream.next()?;
                *self = Batches::Stream(stream);
                Some(batch)
            }
            Batches::One(array) => Some(Ok(array)),
            Batches::Ended => None,
        }
    }
}

impl TextColumn {
    /// Of a table: the column named, else "text", else the only one of strings.
    pub fn open(data: &Bound<'_, PyAny>, column: Option<&str>, name: &str) -> PyResult<TextColumn> {
        let batches = open(data)?;
        let kind = match &batches {
            Batches::Stream(stream) => stream.field().data_type().clone(),
            Batches::One(array) => array.data_type().clone(),
            Batches::Ended => DataType::Null,
        };
        let column = match kind {
            DataType::Struct(fields) => Some(choose(&fields, column)?),
            kind if !is_text(&kind) => {
                return Err(PyTypeError::new_err(format!("the Arrow array holds {kind}, not strings")));
            }
            _ if column.is_some() => {
                return Err(PyValueError::new_err("column was given for an Arrow array, which has no columns"));
            }
            _ => None,
        };
        Ok(TextColumn { name: name.into(), batches, column, next_row: 0 })
    }

    /// Whether all has been read, or something has failed.
    pub fn is_ended(&self) -> bool {
        matches!(self.batches, Batches::Ended)
    }

    /// The texts of the next batch, none of them null; `None` at the end.
    pub fn next_batch(&mut self) -> Result<Option<ArrayRef>> {
        let batch = match self.batches.next() {
            None => return Ok(None),
            Some(batch) => self.checked(batch),
        };
        match batch {
            Ok(texts) => {
                self.next_row += texts.len() as u64;
                Ok(Some(texts))
            }
            Err(error) => {
                self.batches = Batches::Ended;
                Err(error)
            }
        }
    }

    fn null_at(&self, row: u64) -> Error {
        self.at_row(row, "the text is null; fill or filter the nulls first".into())
    }

    fn at_row(&self, row: u64, reason: String) -> Error {
        Error::Document { place: Place { input: format!("{}, row {row}", self.name), line: None, byte: None }, reason }
    }

    fn checked(&self, batch: std::result::Result<ArrayRef, ArrowError>) -> Result<ArrayRef> {
        let first_row = self.next_row;
        let failed = |error: ArrowError| self.at_row(first_row, format!("the Arrow stream failed: {error}"));
        let batch = batch.map_err(failed)?;
        let texts = match self.column {
            None => batch,
            Some(column) => {
                let table = batch.as_struct();
                if let Some(row) = first_null(table) {
                    return Err(self.null_at(first_row + row as u64));
                }
                table.columns().get(column).cloned().ok_or_else(|| {
                    self.at_row(first_row, "this batch has fewer columns than the stream's schema".into())
                })?
            }
        };
        // Offsets and UTF-8 come from another program's memory: checked once, before anything indexes with them.
        texts.to_data().validate_full().map_err(failed)?;
        match first_null(&texts) {
            Some(row) => Err(self.null_at(first_row + row as u64)),
            None => Ok(texts),
        }
    }
}

/// Takes what the object's capsules hold.
fn open(data: &Bound<'_, PyAny>) -> PyResult<Batches> {
    if data.hasattr("__arrow_c_stream__")? {
        let capsule = data.call_method0("__arrow_c_stream__")?.cast_into::<PyCapsule>()?;
        let pointer = capsule.pointer_checked(Some(c"arrow_array_stream"))?.cast::<FFI_ArrowArrayStream>();
        // SAFETY: the PyCapsule protocol says that a capsule of this name, which pointer_checked has compared, points to an
        // initialised ArrowArrayStream. It is moved out; what stays behind is marked released for the capsule's destructor.
        let stream = unsafe { ArrayStreamReader::from_raw(pointer.as_ptr()) };
        return stream
            .map(Batches::Stream)
            .map_err(|error| PyValueError::new_err(format!("the Arrow stream cannot be opened: {error}")));
    }
    if data.hasattr("__arrow_c_array__")? {
        type Pair<'py> = (Bound<'py, PyCapsule>, Bound<'py, PyCapsule>);
        let (schema, array): Pair<'_> = data.call_method0("__arrow_c_array__")?.extract()?;
        let schema = schema.pointer_checked(Some(c"arrow_schema"))?.cast::<FFI_ArrowSchema>();
        let array = array.pointer_checked(Some(c"arrow_array"))?.cast::<FFI_ArrowArray>();
        // SAFETY: as above, for an ArrowArray, which is moved out, and the ArrowSchema that describes it, which is only
        // read: its capsule is alive until this function ends.
        let data = unsafe { from_ffi(FFI_ArrowArray::from_raw(array.as_ptr()), schema.as_ref()) };
        return data
            .map(|data| Batches::One(make_array(data)))
            .map_err(|error| PyValueError::new_err(format!("the Arrow array cannot be read: {error}")));
    }
    let kind = data.get_type().name()?;
    Err(PyTypeError::new_err(format!(
        "a {kind} has neither __arrow_c_stream__ nor __arrow_c_array__; pass a table, record batch reader, array or chunked \
         array (pyarrow, Polars, DuckDB, Hugging Face datasets)"
    )))
}

/// The number of the text column: the one named, else "text", else the only one of strings.
fn choose(fields: &Fields, column: Option<&str>) -> PyResult<usize> {
    let names = || fields.iter().map(|field| format!("{:?}", field.name())).collect::<Vec<_>>().join(", ");
    let found = match column.or_else(|| fields.find("text").map(|_| "text")) {
        Some(name) => fields
            .find(name)
            .ok_or_else(|| PyValueError::new_err(format!("there is no column {name:?}; there are {}", names())))?,
        None => {
            let mut texts = fields.iter().enumerate().filter(|(_, field)| is_text(field.data_type()));
            match (texts.next(), texts.next()) {
                (Some(only), None) => only,
                _ => {
                    return Err(PyValueError::new_err(format!(
                        "which column holds the text? pass column=...; there are {}",
                        names()
                    )));
                }
            }
        }
    };
    let (number, field) = found;
    if !is_text(field.data_type()) {
        let (name, kind) = (field.name(), field.data_type());
        return Err(PyTypeError::new_err(format!("column {name:?} holds {kind}, not strings")));
    }
    Ok(number)
}

fn is_text(kind: &DataType) -> bool {
    match kind {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, values) => is_text(values) && !matches!(**values, DataType::Dictionary(..)),
        _ => false,
    }
}

/// The text of each row of an array of one of the types of [`is_text`] without nulls.
pub fn rows<'a>(array: &'a dyn Array) -> Box<dyn Fn(usize) -> &'a str + 'a> {
    match array.as_any_dictionary_opt() {
        // A dictionary without values cannot normalise its keys.
        Some(dictionary) if !array.is_empty() => {
            let (keys, values) = (dictionary.normalized_keys(), dictionary.values());
            Box::new(move |row| text_at(values.as_ref(), keys[row]))
        }
        _ => Box::new(move |row| text_at(array, row)),
    }
}

/// A string of an array of one of the types of [`is_text`].
fn text_at(array: &dyn Array, row: usize) -> &str {
    fn of<T: ByteArrayType<Native = str>>(array: &GenericByteArray<T>, row: usize) -> &str {
        array.value(row)
    }
    fn of_view<T: ByteViewType<Native = str>>(array: &GenericByteViewArray<T>, row: usize) -> &str {
        array.value(row)
    }
    match array.data_type() {
        DataType::LargeUtf8 => of(array.as_string::<i64>(), row),
        DataType::Utf8View => of_view(array.as_string_view(), row),
        _ => of(array.as_string::<i32>(), row),
    }
}

fn first_null(array: &dyn Array) -> Option<usize> {
    let nulls = array.logical_nulls().filter(|nulls| nulls.null_count() > 0)?;
    nulls.iter().position(|valid| !valid)
}
