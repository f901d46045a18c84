//! What the user named, as a list of files: files, folders and glob patterns.

use super::{Format, STDIN};
use crate::error::{Error, Result};
use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Expands `arguments` to files: in the order of the arguments, each argument's files sorted by path.
///
/// - A file stands for itself, `-` for standard input.
/// - A folder stands for the files below it, at any depth, whose suffix is known ([`Format::of_path`]); with a
///   `format`, for all files. Hidden files and folders (`.git`) are left out, links are followed.
/// - A pattern with `*`, `?`, `[...]` or `**` (any number of folders) stands for the paths it matches; a path that
///   exists is taken literally, whatever characters it has. Hidden names match only a pattern that writes their dot.
/// - A file named again (the same absolute path) is read once, where it was named first. Two names of one file,
///   such as a link and its target, are two files.
///
/// # Errors
/// [`Error::Io`] for a path that does not exist or a folder that cannot be read, [`Error::Value`] for a folder
/// without files, a pattern without match, an empty list, and URLs.
pub fn expand(arguments: &[PathBuf], format: Option<Format>) -> Result<Vec<PathBuf>> {
    if arguments.is_empty() {
        return Err(Error::value("no files were named; pass at least one file, folder or pattern"));
    }
    let mut files = Vec::new();
    let mut seen = HashSet::new();
    for argument in arguments {
        let mut found = expand_one(argument, format)?;
        found.sort();
        for file in found {
            if seen.insert(identity(&file)) {
                files.push(file);
            }
        }
    }
    Ok(files)
}

/// The same for "a.txt", "./a.txt" and the absolute path.
fn identity(file: &Path) -> PathBuf {
    if file.as_os_str() == STDIN {
        return file.into();
    }
    std::path::absolute(file).unwrap_or_else(|_| file.into())
}

fn expand_one(argument: &Path, format: Option<Format>) -> Result<Vec<PathBuf>> {
    if argument.as_os_str() == STDIN {
        return Ok(vec![argument.into()]);
    }
    if argument.as_os_str().is_empty() {
        return Err(Error::value("a path is empty; pass a file, a folder or a pattern (\".\" is the current folder)"));
    }
    let missing = match fs::metadata(argument) {
        Ok(metadata) if metadata.is_dir() => return folder(argument, format),
        Ok(_) => return Ok(vec![argument.into()]),
        Err(error) => error,
    };
    match argument.to_str() {
        Some(text) if text.contains("://") => Err(Error::value(format!(
            "{text} is a URL, which is not read directly; copy it to a local disk, or mount it"
        ))),
        Some(text) if text.contains(['*', '?', '[']) => pattern(text, format),
        _ => Err(Error::io(argument)(missing)),
    }
}

fn folder(path: &Path, format: Option<Format>) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    walk(path, format, &mut HashSet::new(), &mut files)?;
    if files.is_empty() {
        let remedy = if format.is_some() {
            "it holds no file that is not hidden"
        } else {
            "it holds no .txt, .jsonl or .ndjson file (also .gz, .zst); pass format to read files of other names"
        };
        return Err(Error::value(format!("nothing to read in folder {}: {remedy}", path.display())));
    }
    Ok(files)
}

/// Collects the files below `path`. A folder reached a second time, through a link, is not entered again.
fn walk(path: &Path, format: Option<Format>, entered: &mut HashSet<PathBuf>, files: &mut Vec<PathBuf>) -> Result<()> {
    if !entered.insert(fs::canonicalize(path).map_err(Error::io(path))?) {
        return Ok(());
    }
    let mut entries = Vec::new();
    for entry in fs::read_dir(path).map_err(Error::io(path))? {
        entries.push(entry.map_err(Error::io(path))?.path());
    }
    // Sorted, so that which of two links to a folder is entered does not depend on the file system.
    entries.sort();
    for entry in entries {
        let hidden = entry.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
        let wanted = format.is_some() || Format::of_path(&entry).is_some();
        match fs::metadata(&entry) {
            _ if hidden => {}
            Ok(metadata) if metadata.is_dir() => walk(&entry, format, entered, files)?,
            Ok(metadata) if metadata.is_file() && wanted => files.push(entry),
            Ok(_) => {}
            // A link to nowhere, or no permission: said here, not found missing in the corpus later.
            Err(error) if wanted => return Err(Error::io(&entry)(error)),
            Err(_) => {}
        }
    }
    Ok(())
}

/// The files that match; a folder that matches stands for its files.
fn pattern(text: &str, format: Option<Format>) -> Result<Vec<PathBuf>> {
    let options =
        glob::MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };
    let matches = glob::glob_with(text, options)
        .map_err(|error| Error::value(format!("{text:?} is not a pattern that can be read: {error}")))?;
    let mut files = Vec::new();
    for path in matches {
        let path = path.map_err(|error| Error::io(error.path().to_path_buf())(error.into()))?;
        if path.is_dir() {
            walk(&path, format, &mut HashSet::new(), &mut files)?;
        } else {
            files.push(path);
        }
    }
    if files.is_empty() {
        return Err(Error::value(format!("no file matches {text:?}; in a shell, check it with ls")));
    }
    Ok(files)
}
