//! Python strings as UTF-8.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PySlice, PyString};
use pyo3::{ffi, intern};
use std::borrow::Cow;
use std::cell::Cell;
use tokenmill::code_points::push_utf8;

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
    if is_ascii(text)? { text.to_cow() } else { with_copy(text, |copy| Cow::Owned(copy.to_string())) }
}

/// [`text_of`] for `work` only.
pub fn with_text<R>(text: &Bound<'_, PyString>, work: impl FnOnce(&str) -> R) -> PyResult<R> {
    if is_ascii(text)? { Ok(work(text.to_cow()?.as_ref())) } else { with_copy(text, work) }
}

/// Whether a string is UTF-8 where it lies.
pub fn is_ascii(text: &Bound<'_, PyString>) -> PyResult<bool> {
    text.call_method0(intern!(text.py(), "isascii"))?.is_truthy()
}

fn with_copy<R>(text: &Bound<'_, PyString>, work: impl FnOnce(&str) -> R) -> PyResult<R> {
    thread_local! {
        static SPARE: Cell<String> = const { Cell::new(String::new()) };
    }
    let mut copy = SPARE.take();
    copy.clear();
    let whole = parts(text, |part, _| {
        copy.push_str(part);
        Ok(())
    })?;
    if !whole {
        copy = lossy(text)?;
    }
    let done = work(&copy);
    if copy.capacity() <= MOST_SPARE {
        SPARE.set(copy);
    }
    Ok(done)
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

/// Characters that become UTF-8 at a time: they, their code points and their UTF-8 stay in the L2 cache, in memory that is
/// used again. (Of 256 Ki characters they did not: half a page fault a kilobyte.)
const CHUNK: usize = 1 << 14;

/// Bytes of memory that a thread keeps for the next text.
const MOST_SPARE: usize = 1 << 20;

/// What a part goes through.
#[derive(Default)]
struct Buffers {
    points: Vec<u32>,
    utf8: String,
}

/// Makes UTF-8 of a `str` part by part, and calls `take` with each, and with the number of characters until there. `false`:
/// there is half of a surrogate pair, and what follows was not made.
///
/// By way of code points, as the stable ABI gives no others: half of the time of CPython's own UTF-8.
pub fn parts(text: &Bound<'_, PyString>, mut take: impl FnMut(&str, usize) -> PyResult<()>) -> PyResult<bool> {
    thread_local! {
        static SPARE: Cell<Buffers> = const { Cell::new(Buffers { points: Vec::new(), utf8: String::new() }) };
    }
    let (py, length) = (text.py(), text.len()?);
    let index = |position: usize| isize::try_from(position).unwrap_or(isize::MAX);
    let mut buffers = SPARE.take();
    let mut end = 0;
    while end < length {
        let start = end;
        end = length.min(start + CHUNK);
        let slice = if end - start == length {
            None
        } else {
            Some(text.get_item(PySlice::new(py, index(start), index(end), 1))?)
        };
        let part = slice.as_ref().map_or(Ok(text), |slice| slice.cast::<PyString>())?;
        copy_points(part, end - start, &mut buffers.points)?;
        buffers.utf8.clear();
        if !push_utf8(&buffers.points, &mut buffers.utf8) {
            return Ok(false);
        }
        take(&buffers.utf8, end)?;
    }
    SPARE.set(buffers);
    Ok(true)
}

/// The code points of a `str` of this length.
fn copy_points(text: &Bound<'_, PyString>, length: usize, points: &mut Vec<u32>) -> PyResult<()> {
    points.clear();
    points.reserve(length);
    let room = isize::try_from(length).unwrap_or(isize::MAX);
    // SAFETY: it writes as many as the string has, if there is room for them.
    let copied = unsafe { ffi::PyUnicode_AsUCS4(text.as_ptr(), points.as_mut_ptr(), room, 0) };
    if copied.is_null() {
        return Err(PyErr::fetch(text.py()));
    }
    // SAFETY: they were written.
    unsafe { points.set_len(length) };
    Ok(())
}
