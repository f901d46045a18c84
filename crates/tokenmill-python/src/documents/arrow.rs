//! A string column of an Arrow stream, through the PyCapsule interface.

use arrow_array::cast::AsArray;
use arrow_array::ffi_stream::{ArrayStreamReader, FFI_ArrowArrayStream};
use arrow_array::types::{ByteArrayType, ByteViewType};
use arrow_array::{Array, ArrayReader, ArrayRef, GenericByteArray, GenericByteViewArray};
use arrow_schema::{ArrowError, DataType, Fields};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyCapsule;
use tokenmill::documents::{Block, BlockSource, InputRecord, TextBlocks};
use tokenmill::error::{Error, Place, Result};

const NAME: &str = "<arrow>";

/// Reads batch after batch; the producer may run Python code of its own and takes the GIL for that itself.
pub struct ArrowTexts {
    /// `None` once it has ended or failed.
    stream: Option<ArrayStreamReader>,
    /// The column in a stream of tables; `None`: the arrays are the texts.
    column: Option<usize>,
    /// The batch being copied, and its next row.
    batch: Option<(ArrayRef, usize)>,
    blocks: TextBlocks,
}

impl ArrowTexts {
    pub fn new(data: &Bound<'_, PyAny>, column: Option<&str>) -> PyResult<ArrowTexts> {
        let stream = open(data)?;
        let column = match stream.field().data_type() {
            DataType::Struct(fields) => Some(choose(fields, column)?),
            kind if !is_text(kind) => {
                return Err(PyTypeError::new_err(format!("the Arrow array holds {kind}, not strings")));
            }
            _ if column.is_some() => {
                return Err(PyValueError::new_err("column was given for an Arrow array, which has no columns"));
            }
            _ => None,
        };
        Ok(ArrowTexts { stream: Some(stream), column, batch: None, blocks: TextBlocks::new(NAME) })
    }

    /// The text column of the next batch.
    fn next_batch(&mut self) -> Result<Option<ArrayRef>> {
        let Some(stream) = self.stream.as_mut() else { return Ok(None) };
        let first_row = self.blocks.next_row();
        let failed = |error: ArrowError| at_row(first_row, format!("the Arrow stream failed: {error}"));
        let Some(batch) = stream.next() else {
            self.stream = None;
            return Ok(None);
        };
        let batch = batch.map_err(failed)?;
        let texts =
            match self.column {
                None => batch,
                Some(column) => {
                    let table = batch.as_struct();
                    if let Some(row) = first_null(table) {
                        return Err(null_at(first_row + row as u64));
                    }
                    table.columns().get(column).cloned().ok_or_else(|| {
                        at_row(first_row, "this batch has fewer columns than the stream's schema".into())
                    })?
                }
            };
        // Offsets and UTF-8 come from another program's memory: checked once, before anything indexes with them.
        texts.to_data().validate_full().map_err(failed)?;
        if let Some(row) = first_null(&texts) {
            return Err(null_at(first_row + row as u64));
        }
        Ok(Some(texts))
    }
}

impl BlockSource for ArrowTexts {
    fn next_block(&mut self) -> Result<Option<Block>> {
        while !self.blocks.is_full() {
            let (batch, row) = match self.batch.take() {
                Some(batch) => batch,
                None => match self.next_batch() {
                    Ok(Some(batch)) => (batch, 0),
                    Ok(None) => break,
                    Err(error) => {
                        self.stream = None;
                        return Err(error);
                    }
                },
            };
            let next = copy(batch.as_ref(), row, &mut self.blocks);
            if next < batch.len() {
                self.batch = Some((batch, next));
            }
        }
        Ok(self.blocks.take())
    }

    fn bytes_read(&self) -> u64 {
        self.blocks.bytes()
    }

    fn total_bytes(&self) -> Option<u64> {
        None
    }

    fn inputs(&self) -> Vec<InputRecord> {
        if self.stream.is_none() && self.batch.is_none() { vec![self.blocks.record()] } else { Vec::new() }
    }
}

/// Takes the stream out of the object's capsule.
fn open(data: &Bound<'_, PyAny>) -> PyResult<ArrayStreamReader> {
    if !data.hasattr("__arrow_c_stream__")? {
        let kind = data.get_type().name()?;
        return Err(PyTypeError::new_err(format!(
            "a {kind} has no __arrow_c_stream__; pass a table, record batch reader or chunked array \
             (pyarrow, Polars, DuckDB, Hugging Face datasets)"
        )));
    }
    let capsule = data.call_method0("__arrow_c_stream__")?.cast_into::<PyCapsule>()?;
    let pointer = capsule.pointer_checked(Some(c"arrow_array_stream"))?.cast::<FFI_ArrowArrayStream>();
    // SAFETY: the PyCapsule protocol says that a capsule of this name, which pointer_checked has compared, points to an
    // initialised ArrowArrayStream. It is moved out; what stays behind is marked released for the capsule's destructor.
    unsafe { ArrayStreamReader::from_raw(pointer.as_ptr()) }
        .map_err(|error| PyValueError::new_err(format!("the Arrow stream cannot be opened: {error}")))
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

/// Copies rows from `row` on until the block is full; the row it came to.
fn copy(array: &dyn Array, row: usize, blocks: &mut TextBlocks) -> usize {
    if array.is_empty() {
        // A dictionary without values cannot normalise its keys.
        return row;
    }
    if let Some(dictionary) = array.as_any_dictionary_opt() {
        let (keys, values) = (dictionary.normalized_keys(), dictionary.values());
        return push(row..array.len(), blocks, |i| text_at(values.as_ref(), keys[i]));
    }
    push(row..array.len(), blocks, |i| text_at(array, i))
}

fn push<'a>(rows: std::ops::Range<usize>, blocks: &mut TextBlocks, text: impl Fn(usize) -> &'a str) -> usize {
    for row in rows.clone() {
        if blocks.is_full() {
            return row;
        }
        blocks.push(text(row).as_bytes());
    }
    rows.end
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

fn null_at(row: u64) -> Error {
    at_row(row, "the text is null; fill or filter the nulls first".into())
}

fn at_row(row: u64, reason: String) -> Error {
    Error::Document { place: Place { input: format!("{NAME}, row {row}"), line: None, byte: None }, reason }
}
