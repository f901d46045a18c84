//! The strings of a Python iterator.

use crate::error::from_python;
use crate::text::text_of;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyIterator, PyString};
use tokenmill::Result;
use tokenmill::documents::{Block, BlockSource, InputRecord, TextBlocks};

/// Pulls strings with the GIL held, a block at a time, on whatever thread asks.
pub struct Texts {
    /// `None` once it has ended or failed.
    iterator: Option<Py<PyIterator>>,
    blocks: TextBlocks,
}

impl Texts {
    pub fn new(iterable: &Bound<'_, PyAny>) -> PyResult<Texts> {
        Ok(Texts { iterator: Some(iterable.try_iter()?.unbind()), blocks: TextBlocks::new("<texts>") })
    }

    /// Fills one block; `false` when the iterator has ended.
    fn pull(&mut self, iterator: &Py<PyIterator>) -> PyResult<bool> {
        Python::attach(|py| {
            let mut iterator = iterator.bind(py).clone();
            while !self.blocks.is_full() {
                let Some(item) = iterator.next() else { return Ok(false) };
                let item = item?;
                let text = item.cast::<PyString>().map_err(|_| self.not_text(&item))?;
                self.blocks.push(text_of(text)?.as_bytes());
            }
            Ok(true)
        })
    }

    fn not_text(&self, item: &Bound<'_, PyAny>) -> PyErr {
        let kind = item.get_type().name().map_or_else(|_| "another type".into(), |name| name.to_string());
        PyTypeError::new_err(format!("text {} is a {kind}, not a str", self.blocks.next_row()))
    }
}

impl BlockSource for Texts {
    fn next_block(&mut self) -> Result<Option<Block>> {
        let Some(iterator) = self.iterator.take() else { return Ok(None) };
        if self.pull(&iterator).map_err(from_python)? {
            self.iterator = Some(iterator);
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
        if self.iterator.is_none() { vec![self.blocks.record()] } else { Vec::new() }
    }
}
