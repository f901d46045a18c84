//! A disk that fails at a chosen operation, as after `kill -9`, a power cut or a write that found no room. Only tests
//! have it. It syncs nothing for real: what a power cut would take, it knows itself.

use super::disk::Step;
use crate::error::{Error, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// What happens at the operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// It fails, and all later ones work: a full disk that is emptied.
    Once,
    /// Neither it nor any later one is done.
    Kill,
    /// Likewise, and what no sync made durable is lost.
    PowerCut(Loss),
}

/// File systems differ in what they lose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loss {
    /// All names, and the second half of unsynced files.
    All,
    /// Every other name, and the content of the second half: zeros are in its place.
    Some,
}

#[derive(Debug, Default)]
pub(super) struct Faults {
    /// The operation, as `seen` names it.
    at: Option<(String, Fault)>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Operations so far: "write shard-00000.tokens 0". Names, not numbers, as threads come in any order.
    seen: BTreeSet<String>,
    /// How often each was done, to tell the first write of a file from the second.
    times: BTreeMap<String, usize>,
    dead: bool,
    /// Files with bytes that were not synced.
    files: BTreeSet<PathBuf>,
    /// New names in folders that were not synced since.
    names: Vec<(PathBuf, Before)>,
}

/// What was there before a name.
#[derive(Debug)]
enum Before {
    Nothing,
    /// The file had another name, and the name perhaps another file, of these bytes.
    Renamed(PathBuf, Option<Vec<u8>>),
}

impl Faults {
    pub(super) fn at(operation: &str, fault: Fault) -> Faults {
        Faults { at: Some((operation.into(), fault)), state: Mutex::default() }
    }

    /// All operations that were asked for.
    pub(super) fn seen(&self) -> BTreeSet<String> {
        self.state.lock().unwrap().seen.clone()
    }

    pub(super) fn before(&self, step: Step<'_>) -> Result<()> {
        let mut state = self.state.lock().unwrap();
        let (verb, path) = step.name();
        let name = format!("{verb} {}", path.file_name().unwrap_or_default().to_string_lossy());
        let times = state.times.entry(name.clone()).or_default();
        let operation = format!("{name} {times}");
        *times += 1;
        state.seen.insert(operation.clone());
        let hit = self.at.as_ref().filter(|(at, _)| *at == operation).map(|(_, fault)| *fault);
        if state.dead || hit.is_some() {
            state.dead |= hit != Some(Fault::Once);
            if let (Some(_), Step::Write(_, mut file, bytes)) = (hit, step) {
                // A write may end anywhere.
                file.write_all(&bytes[..bytes.len() / 2]).unwrap();
                state.files.insert(path.into());
            }
            return Err(Error::Io { path: path.into(), source: io::Error::other("cut off") });
        }
        match step {
            Step::Create(path) => state.names.push((path.into(), Before::Nothing)),
            Step::Write(path, ..) => drop(state.files.insert(path.into())),
            Step::Sync(path) => drop(state.files.remove(path)),
            Step::Rename(from, to) => state.names.push((to.into(), Before::Renamed(from.into(), fs::read(to).ok()))),
            Step::SyncFolder(folder) => state.names.retain(|(name, _)| name.parent() != Some(folder)),
            Step::Remove(_) => {}
        }
        Ok(())
    }

    /// Takes what no sync made durable, if the power was cut.
    pub(super) fn lose(&self) {
        let Some((_, Fault::PowerCut(loss))) = self.at else { return };
        let state = self.state.lock().unwrap();
        for path in &state.files {
            if let Ok(file) = OpenOptions::new().write(true).open(path) {
                let size = file.metadata().unwrap().len();
                file.set_len(size / 2).unwrap();
                if loss == Loss::Some {
                    file.set_len(size).unwrap();
                }
            }
        }
        for (number, (name, before)) in state.names.iter().enumerate().rev() {
            match before {
                _ if loss == Loss::Some && number % 2 == 0 => {}
                Before::Renamed(before, replaced) => {
                    let _ = fs::rename(name, before);
                    if let Some(bytes) = replaced {
                        fs::write(name, bytes).unwrap();
                    }
                }
                Before::Nothing if name.is_dir() => drop(fs::remove_dir_all(name)),
                Before::Nothing => drop(fs::remove_file(name)),
            }
        }
    }
}

impl<'a> Step<'a> {
    fn name(self) -> (&'static str, &'a Path) {
        match self {
            Step::Create(path) => ("create", path),
            Step::Write(path, ..) => ("write", path),
            Step::Sync(path) => ("sync", path),
            Step::Rename(_, path) => ("rename", path),
            Step::SyncFolder(path) => ("sync folder", path),
            Step::Remove(path) => ("remove", path),
        }
    }
}
