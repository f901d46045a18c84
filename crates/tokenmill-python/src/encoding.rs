//! What encoding takes from Python.

use crate::arrow::{NAME, TextColumn, rows};
use crate::error::CoreError;
use crate::text::text_of;
use arrow_array::{Array, ArrayRef};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString};
use std::borrow::Cow;
use tokenmill::special::Allowed;

/// `False` (none), `True` (all), or the spellings of the special tokens that a text may contain.
#[derive(FromPyObject)]
pub enum AllowedArgument {
    All(bool),
    Only(Vec<String>),
}

impl AllowedArgument {
    pub fn get(&self) -> Allowed<'_> {
        match self {
            AllowedArgument::All(true) => Allowed::All,
            AllowedArgument::All(false) => Allowed::None,
            AllowedArgument::Only(names) if names.is_empty() => Allowed::None,
            AllowedArgument::Only(names) => Allowed::Only(names),
        }
    }
}

/// The texts of a batch, kept alive while they are encoded.
pub enum Texts<'py> {
    Strings(Vec<Bound<'py, PyString>>),
    Arrow(Vec<ArrayRef>),
}

impl<'py> Texts<'py> {
    /// A list of `str`, or an object with Arrow data.
    pub fn of(texts: &Bound<'py, PyAny>, column: Option<&str>) -> PyResult<Texts<'py>> {
        let Ok(list) = texts.cast::<PyList>() else {
            let mut column = TextColumn::open(texts, column, NAME)?;
            let read = || std::iter::from_fn(|| column.next_batch().transpose()).collect();
            // Without the GIL: a producer may run Python code on threads of its own.
            let batches: tokenmill::Result<Vec<ArrayRef>> = texts.py().detach(read);
            return Ok(Texts::Arrow(batches.map_err(CoreError::from)?));
        };
        if column.is_some() {
            return Err(PyValueError::new_err("column was given for a list of texts, which has no columns"));
        }
        let text = |(number, item): (usize, Bound<'py, PyAny>)| match item.cast_into::<PyString>() {
            Ok(text) => Ok(text),
            Err(error) => {
                let kind = error.into_inner().get_type().name()?;
                Err(PyTypeError::new_err(format!("text {number} is a {kind}, not a str")))
            }
        };
        Ok(Texts::Strings(list.iter().enumerate().map(text).collect::<PyResult<_>>()?))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Texts::Strings(strings) => strings.len(),
            Texts::Arrow(batches) => batches.iter().map(Array::len).sum(),
        }
    }

    /// How many bytes they have; characters, where they are not UTF-8 yet.
    pub fn size(&self) -> PyResult<usize> {
        match self {
            Texts::Strings(strings) => strings.iter().map(|string| string.len()).sum(),
            // Not of the buffers, which may have other rows, too.
            Texts::Arrow(batches) => Ok(batches.iter().flat_map(texts_of).map(str::len).sum()),
        }
    }

    /// Each as UTF-8, with what [`Texts::size`] counts it as.
    pub fn iter(&self) -> Box<dyn Iterator<Item = PyResult<(Cow<'_, str>, usize)>> + '_> {
        match self {
            Texts::Strings(strings) => Box::new(strings.iter().map(|text| Ok((text_of(text)?, text.len()?)))),
            Texts::Arrow(batches) => {
                Box::new(batches.iter().flat_map(texts_of).map(|text| Ok((Cow::Borrowed(text), text.len()))))
            }
        }
    }
}

fn texts_of(batch: &ArrayRef) -> impl Iterator<Item = &str> {
    let text = rows(batch.as_ref());
    (0..batch.len()).map(text)
}
