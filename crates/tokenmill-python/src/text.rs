//! Python strings as UTF-8.

use pyo3::exceptions::PyUnicodeEncodeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};
use std::borrow::Cow;

/// The text of a `str`, borrowed where it is valid Unicode.
///
/// A `str` may hold halves of surrogate pairs, which UTF-8 cannot. They become what
/// `s.encode("utf-16", "surrogatepass").decode("utf-16", "replace")` makes of them: two halves that fit are
/// joined to their character, any other half becomes U+FFFD.
///
/// A string of ASCII is UTF-8 where it lies. Of others CPython would keep the UTF-8 beside the string for as long as it lives,
/// in memory that is touched for the first time: it takes twice as long as making a copy that goes when it is encoded, and a
/// corpus in memory would take twice the space from then on.
pub fn text_of<'a>(text: &'a Bound<'_, PyString>) -> PyResult<Cow<'a, str>> {
    if text.call_method0(intern!(text.py(), "isascii"))?.is_truthy()? {
        return text.to_cow();
    }
    match text.encode_utf8() {
        Err(error) if error.is_instance_of::<PyUnicodeEncodeError>(text.py()) => {
            let encoded = text.call_method1("encode", ("utf-16-le", "surrogatepass"))?;
            let units: Vec<u16> = encoded
                .cast::<PyBytes>()?
                .as_bytes()
                .chunks_exact(2)
                .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
                .collect();
            Ok(Cow::Owned(String::from_utf16_lossy(&units)))
        }
        // SAFETY: it is what CPython made as UTF-8, strictly.
        encoded => Ok(Cow::Owned(unsafe { String::from_utf8_unchecked(encoded?.as_bytes().to_vec()) })),
    }
}
