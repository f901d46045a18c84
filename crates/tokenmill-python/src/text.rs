//! Python strings as UTF-8.

use pyo3::exceptions::PyUnicodeEncodeError;
use pyo3::prelude::*;
use pyo3::types::PyString;
use std::borrow::Cow;

/// The text of a Python string. Borrowed where the string is valid Unicode, which is nearly always; a lone surrogate
/// becomes U+FFFD and a pair of them the character they mean, as tiktoken does.
pub struct Text<'a>(Cow<'a, str>);

impl<'a> Text<'a> {
    pub fn new(string: &'a Bound<'_, PyString>) -> PyResult<Self> {
        let py = string.py();
        match string.to_cow() {
            Ok(text) => Ok(Text(text)),
            Err(error) if error.is_instance_of::<PyUnicodeEncodeError>(py) => {
                let utf16 = string.call_method1("encode", ("utf-16", "surrogatepass"))?;
                let mended: String = utf16.call_method1("decode", ("utf-16", "replace"))?.extract()?;
                Ok(Text(Cow::Owned(mended)))
            }
            Err(error) => Err(error),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}
