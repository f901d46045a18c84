//! Python strings as UTF-8.

use pyo3::exceptions::PyUnicodeEncodeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PySlice, PyString};
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
    match copy_of(text) {
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
        copy => copy.map(Cow::Owned),
    }
}

/// Characters that become UTF-8 at a time: 0.5 ms.
const CHUNK: usize = 1 << 18;

/// UTF-8 of a `str`, made part by part, so that there is no second copy of a long one.
fn copy_of(text: &Bound<'_, PyString>) -> PyResult<String> {
    let mut copy = String::with_capacity(text.len()?);
    parts(text, |part| {
        copy.push_str(part);
        Ok(())
    })?;
    Ok(copy)
}

/// Makes UTF-8 of a `str` part by part, and calls `take` with each.
pub fn parts(text: &Bound<'_, PyString>, mut take: impl FnMut(&str) -> PyResult<()>) -> PyResult<()> {
    let mut encode = |part: &Bound<'_, PyString>| {
        let bytes = part.encode_utf8()?;
        // SAFETY: it is what CPython made as UTF-8, strictly.
        take(unsafe { str::from_utf8_unchecked(bytes.as_bytes()) })
    };
    let length = text.len()?;
    if length <= CHUNK {
        return encode(text);
    }
    let index = |position: usize| isize::try_from(position).unwrap_or(isize::MAX);
    for start in (0..length).step_by(CHUNK) {
        let range = PySlice::new(text.py(), index(start), index((start + CHUNK).min(length)), 1);
        encode(text.get_item(range)?.cast::<PyString>()?)?;
    }
    Ok(())
}
