//! What the writer does to the disk, one method an operation, so that tests can cut the power at any of them.

use crate::error::{Error, Result};
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

/// The disk; in tests one that fails when told to.
#[derive(Debug, Clone, Default)]
pub(super) struct Disk {
    #[cfg(test)]
    pub(super) faults: Option<std::sync::Arc<super::faults::Faults>>,
}

/// A kind of operation, and what it is done to.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(not(test), expect(dead_code, reason = "only tests look inside"))]
pub(super) enum Step<'a> {
    Create(&'a Path),
    Write(&'a Path, &'a File, &'a [u8]),
    Sync(&'a Path),
    Rename(&'a Path, &'a Path),
    SyncFolder(&'a Path),
    Remove(&'a Path),
}

impl Disk {
    /// Before an operation: the place where tests stop the process.
    #[cfg_attr(not(test), expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "tests need both"))]
    fn before(&self, step: Step<'_>) -> Result<()> {
        #[cfg(test)]
        if let Some(faults) = &self.faults {
            return faults.before(step);
        }
        let _ = step;
        Ok(())
    }

    /// The disk of a test has no power to lose.
    #[cfg_attr(not(test), expect(clippy::unused_self, reason = "tests need it"))]
    fn is_real(&self) -> bool {
        #[cfg(test)]
        return self.faults.is_none();
        #[cfg(not(test))]
        true
    }

    pub(super) fn create_folder(&self, path: &Path) -> Result<()> {
        self.before(Step::Create(path))?;
        fs::create_dir(path).map_err(Error::io(path))
    }

    pub(super) fn create(&self, path: &Path) -> Result<File> {
        self.before(Step::Create(path))?;
        File::create_new(path).map_err(Error::io(path))
    }

    pub(super) fn write(&self, path: &Path, mut file: &File, bytes: &[u8]) -> Result<()> {
        self.before(Step::Write(path, file, bytes))?;
        file.write_all(bytes).map_err(Error::io(path))
    }

    /// Asks for what was written to be on its way to the disk, so that the sync at the end has little to wait for. Only a wish.
    pub(super) fn begin_to_sync(&self, file: &File) {
        #[cfg(target_os = "linux")]
        if self.is_real() {
            use std::os::fd::AsRawFd;
            // SAFETY: on an open file; it neither waits nor makes anything durable. 0, 0: all of it.
            unsafe { libc::sync_file_range(file.as_raw_fd(), 0, 0, libc::SYNC_FILE_RANGE_WRITE) };
        }
        #[cfg(not(target_os = "linux"))]
        let _ = file;
    }

    /// Makes what was written to the file durable.
    pub(super) fn sync(&self, path: &Path, file: &File) -> Result<()> {
        self.before(Step::Sync(path))?;
        if self.is_real() { file.sync_all().map_err(Error::io(path)) } else { Ok(()) }
    }

    pub(super) fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.before(Step::Rename(from, to))?;
        fs::rename(from, to).map_err(Error::io(to))
    }

    /// Makes the names in the folder durable.
    pub(super) fn sync_folder(&self, path: &Path) -> Result<()> {
        self.before(Step::SyncFolder(path))?;
        if self.is_real() { crate::fs::sync_folder(Some(path)) } else { Ok(()) }
    }

    pub(super) fn remove(&self, path: &Path) -> Result<()> {
        self.before(Step::Remove(path))?;
        fs::remove_file(path).map_err(Error::io(path))
    }

    pub(super) fn remove_folder(&self, path: &Path) -> Result<()> {
        self.before(Step::Remove(path))?;
        fs::remove_dir_all(path).map_err(Error::io(path))
    }

    /// Writes a whole file: under another name first, so that it is never there in part. Its name is durable once the
    /// folder has been synced.
    pub(super) fn write_whole(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        let temporary = path.with_extension("new");
        let file = self.create(&temporary)?;
        self.write(&temporary, &file, bytes)?;
        self.sync(&temporary, &file)?;
        self.rename(&temporary, path)
    }
}
