//! The one place where core errors become Python exceptions.

use pyo3::create_exception;
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use tokenmill::Error;

create_exception!(
    _core,
    DocumentError,
    PyValueError,
    "A document cannot be read; the message names file, line and byte."
);
create_exception!(
    _core,
    FormatError,
    PyValueError,
    "A tokenizer file is broken or not supported; the message names the file and the reason."
);
create_exception!(
    _core,
    StoreError,
    PyValueError,
    "A token store is damaged or incomplete; the message names the file and the remedy."
);
create_exception!(
    _core,
    UnknownTokenError,
    PyValueError,
    "The tokenizer has no token for a piece of text; the message names it."
);

/// A core error on its way to Python: `?` converts both ways in binding functions.
pub struct CoreError(Error);

impl From<Error> for CoreError {
    fn from(error: Error) -> Self {
        CoreError(error)
    }
}

impl From<CoreError> for PyErr {
    fn from(CoreError(error): CoreError) -> PyErr {
        let message = error.to_string();
        match error {
            Error::Value(_) => PyValueError::new_err(message),
            Error::Document { .. } => DocumentError::new_err(message),
            Error::Format { .. } => FormatError::new_err(message),
            Error::Store { .. } => StoreError::new_err(message),
            Error::UnknownToken(_) => UnknownTokenError::new_err(message),
            // OSError(errno, text, filename) picks the right subclass (FileNotFoundError, ...) by itself.
            Error::Io { path, source } => match source.raw_os_error() {
                Some(code) => PyOSError::new_err((code, system_text(&source), path.display().to_string())),
                None => PyOSError::new_err(message),
            },
            Error::Caller(inner) => match inner.downcast::<PyErr>() {
                Ok(error) => *error,
                Err(inner) => PyValueError::new_err(inner.to_string()),
            },
        }
    }
}

/// The system's words without Rust's " (os error N)".
fn system_text(source: &std::io::Error) -> String {
    let text = source.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_string(),
        None => text,
    }
}

/// A Python exception as a core error, to be carried through the core and out again.
pub fn from_python(error: PyErr) -> Error {
    Error::Caller(Box::new(error))
}

/// Adds the exception classes to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    module.add("DocumentError", py.get_type::<DocumentError>())?;
    module.add("FormatError", py.get_type::<FormatError>())?;
    module.add("StoreError", py.get_type::<StoreError>())?;
    module.add("UnknownTokenError", py.get_type::<UnknownTokenError>())
}
