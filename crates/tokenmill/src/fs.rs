//! Files that are written whole or not at all.

use crate::error::{Error, Result};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Writes `path` through a temporary file beside it: fsync, rename, fsync of the folder.
/// Whatever happens, `path` holds the old content or the new, never a part.
pub fn write_atomically(path: &Path, write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> Result<()> {
    let temporary = temporary_beside(path)?;
    let result = (|| {
        let mut out = BufWriter::new(File::create_new(&temporary).map_err(Error::io(&temporary))?);
        write(&mut out).map_err(Error::io(&temporary))?;
        let file =
            out.into_inner().map_err(|error| Error::Io { path: temporary.clone(), source: error.into_error() })?;
        file.sync_all().map_err(Error::io(&temporary))?;
        fs::rename(&temporary, path).map_err(Error::io(path))?;
        sync_folder(path.parent())
    })();
    if result.is_err() {
        // Already failing: what matters to the user is the first error.
        let _ = fs::remove_file(&temporary);
    }
    result
}

/// A name in the same folder that no other writer uses: `.NAME.PID-N.partial`.
pub fn temporary_beside(path: &Path) -> Result<PathBuf> {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().ok_or_else(|| {
        Error::value(format!("{:?} is not a path that can be written: it ends in no name", path.display()))
    })?;
    let mut temporary = std::ffi::OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{}-{}.partial", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed)));
    Ok(path.with_file_name(temporary))
}

/// Makes a rename in this folder durable. `None` and "" are the current folder.
pub fn sync_folder(folder: Option<&Path>) -> Result<()> {
    let folder = match folder {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    // Windows cannot open folders as files; there the rename itself is the best there is.
    if cfg!(unix) {
        File::open(folder).and_then(|handle| handle.sync_all()).map_err(Error::io(folder))?;
    }
    Ok(())
}
