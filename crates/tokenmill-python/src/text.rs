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
    if is_ascii(text)? {
        return text.to_cow();
    }
    match copy_of(text) {
        Err(error) if error.is_instance_of::<PyUnicodeEncodeError>(text.py()) => lossy(text).map(Cow::Owned),
        copy => copy.map(Cow::Owned),
    }
}

/// [`text_of`] for `work` only, which saves the copy that can be sent to other threads.
pub fn with_text<R>(text: &Bound<'_, PyString>, work: impl FnOnce(&str) -> R) -> PyResult<R> {
    if is_ascii(text)? {
        return Ok(work(text.to_cow()?.as_ref()));
    }
    let bytes = match text.encode_utf8() {
        Err(error) if error.is_instance_of::<PyUnicodeEncodeError>(text.py()) => return Ok(work(&lossy(text)?)),
        bytes => bytes?,
    };
    // SAFETY: it is what CPython made as UTF-8, strictly.
    Ok(work(unsafe { str::from_utf8_unchecked(bytes.as_bytes()) }))
}

/// Whether a string is UTF-8 where it lies.
pub fn is_ascii(text: &Bound<'_, PyString>) -> PyResult<bool> {
    text.call_method0(intern!(text.py(), "isascii"))?.is_truthy()
}

/// With U+FFFD in place of halves of surrogate pairs.
fn lossy(text: &Bound<'_, PyString>) -> PyResult<String> {
    let encoded = text.call_method1("encode", ("utf-16-le", "surrogatepass"))?;
    let units: Vec<u16> = encoded
        .cast::<PyBytes>()?
        .as_bytes()
        .chunks_exact(2)
        .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
        .collect();
    Ok(String::from_utf16_lossy(&units))
}

/// Characters that become UTF-8 at a time: what CPython makes of them on the way stays in the L2 cache, in memory that is
/// used again. (Of 256 Ki characters it did not: half a page fault a kilobyte.)
const CHUNK: usize = 1 << 14;

/// UTF-8 of a `str`, made part by part, so that there is no second copy of a long one.
fn copy_of(text: &Bound<'_, PyString>) -> PyResult<String> {
    let mut copy = String::with_capacity(text.len()?);
    parts(text, |part, _| {
        copy.push_str(part);
        Ok(())
    })?;
    Ok(copy)
}

/// Makes UTF-8 of a `str` part by part, and calls `take` with each, and with the number of characters until there.
pub fn parts(text: &Bound<'_, PyString>, mut take: impl FnMut(&str, usize) -> PyResult<()>) -> PyResult<()> {
    let mut encode = |part: &Bound<'_, PyString>, end| {
        let bytes = part.encode_utf8()?;
        // SAFETY: it is what CPython made as UTF-8, strictly.
        take(unsafe { str::from_utf8_unchecked(bytes.as_bytes()) }, end)
    };
    let length = text.len()?;
    if length <= 2 * CHUNK {
        return encode(text, length);
    }
    let index = |position: usize| isize::try_from(position).unwrap_or(isize::MAX);
    for start in (0..length).step_by(CHUNK) {
        let end = length.min(start + CHUNK);
        encode(text.get_item(PySlice::new(text.py(), index(start), index(end), 1))?.cast::<PyString>()?, end)?;
    }
    Ok(())
}
