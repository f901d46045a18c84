//! Stores that were added to: document by document what one run over all inputs makes.

use super::faults::{Fault, Faults};
use super::faults_tests::{Files, Run, files, fresh, partial, run};
use super::repair_tests::{examine, flip, repair};
use super::verify::verify_with;
use super::{Manifest, Report, SpecialText, Split, Store};
use crate::documents::FileOptions;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

pub(super) const MORE: [&str; 8] = ["16 17 18", "", "19 20", "21", "22 23 24 25", "26", "27 28", "29"];

/// A store that is there already, and the append to it.
pub(super) fn both() -> (Run, Run) {
    let old = run(4);
    let mut new = run(4);
    (new.texts, new.first) = (MORE.map(String::from).to_vec(), old.texts.len());
    new.options.append = true;
    (old, new)
}

/// One run over the inputs of both.
pub(super) fn together((old, new): &(Run, Run)) -> Run {
    let mut all = old.clone();
    all.texts.extend(new.texts.clone());
    all
}

pub(super) fn old_store(old: &Run) -> (TempDir, PathBuf) {
    let (folder, out) = fresh();
    old.finish(&out).unwrap();
    (folder, out)
}

/// The files before, after an undisturbed append, and what that does to the disk.
pub(super) fn undisturbed(old: &Run, new: &Run) -> (Files, Files, Vec<String>) {
    let (_folder, out) = old_store(old);
    let before = files(&out);
    let faults = Arc::new(Faults::default());
    new.start(&out, &faults).unwrap();
    assert!(!partial(&out).exists());
    (before, files(&out), faults.seen().into_iter().collect())
}

pub(super) fn check(out: &Path) -> Report {
    verify_with(out, None, &(), &|_| Ok("{}".into())).unwrap()
}

/// Ids and origin of each document.
pub(super) type Documents = Vec<(Vec<u16>, (usize, u64))>;

pub(super) fn documents(out: &Path, split: Split) -> Documents {
    let store = Store::open(out, split).unwrap();
    let document = |number| {
        let (first, end) = store.document_range(number).unwrap();
        (store.copy_u16(first..end).unwrap(), store.origin(number).unwrap())
    };
    (0..store.num_documents()).map(document).collect()
}

#[test]
fn documents_inputs_and_sums_are_those_of_one_run_over_all() {
    for (shard_tokens, appends) in [(4, 1), (4, 3), (1, 2), (1000, 5)] {
        let (mut old, mut new) = both();
        old.options.recipe.shard_tokens = shard_tokens;
        new.options.recipe.shard_tokens = shard_tokens;
        let (_folder, one) = fresh();
        let expected = together(&(old.clone(), new.clone())).finish(&one).unwrap();
        let (_folder, out) = old_store(&old);
        let texts = std::mem::take(&mut new.texts);
        for part in texts.chunks(texts.len().div_ceil(appends)) {
            new.texts = part.to_vec();
            new.finish(&out).unwrap();
            new.first += part.len();
        }
        for split in Split::ALL {
            assert_eq!(documents(&out, split), documents(&one, split));
        }
        let manifest = Manifest::load(&out).unwrap();
        assert_eq!((&manifest.inputs, manifest.summary), (&expected.inputs, expected.summary));
        for ((_, table), (_, one)) in manifest.tables().zip(expected.tables()) {
            assert_eq!(table.num_empty_documents, one.num_empty_documents);
        }
        assert!(check(&out).is_ok(), "{:?}", check(&out));
    }
}

#[test]
fn what_was_there_keeps_its_place_and_its_bytes() {
    let (old, new) = both();
    let (before, after, operations) = undisturbed(&old, &new);
    for (name, bytes) in &before {
        if !["manifest.json", "prepare.json"].contains(&name.as_str()) {
            assert_eq!(after.get(name), Some(bytes), "{name}");
            // Not even the same bytes once more.
            assert!(!operations.iter().any(|operation| operation.contains(name.as_str())), "{name}: {operations:?}");
        }
    }
    for split in Split::ALL {
        let count = |files: &Files| files.keys().filter(|name| name.starts_with(split.shard_prefix())).count();
        assert!(count(&after) > count(&before));
    }
}

#[test]
fn a_store_without_documents_and_an_append_without_any_are_none_the_worse() {
    let (mut old, mut new) = both();
    old.texts.clear();
    new.first = 0;
    let (_folder, out) = old_store(&old);
    new.finish(&out).unwrap();
    let mut all = new.clone();
    all.options.append = false;
    let (_folder, one) = old_store(&all);
    assert_eq!(documents(&out, Split::Train), documents(&one, Split::Train));
    new.first += new.texts.len();
    new.texts.clear();
    let before = Manifest::load(&out).unwrap();
    assert_eq!(new.finish(&out).unwrap(), before);
    assert!(check(&out).is_ok());
}

#[test]
fn a_store_opens_as_it_was_before_any_of_its_appends() {
    let (mut old, mut new) = both();
    let mut validation = old.clone();
    // Its validation split is empty at first, and the last shard before an append may have no tokens.
    validation.texts = vec!["1 2 3".into(), "4".into()];
    for base in [&mut validation, &mut old] {
        base.options.recipe.eos = None;
        new.options.recipe.eos = None;
        let (_folder, out) = old_store(base);
        let mut states = Vec::new();
        for text in [&MORE[..3], &[""], &["", "", "30"], &MORE[4..]] {
            let splits = Split::ALL.map(|split| Store::open(&out, split).unwrap());
            states.push(splits.map(|store| (store.manifest().clone(), documents(&out, store.split()))));
            (new.texts, new.first) = (text.iter().copied().map(String::from).collect(), new.first + 3);
            new.finish(&out).unwrap();
        }
        for state in &states {
            for (split, (manifest, expected)) in Split::ALL.into_iter().zip(state) {
                let hash = &manifest.table(split).unwrap().content_hash;
                let store = Store::open_as_it_was(&out, split, hash, Some(manifest.inputs.len())).unwrap();
                assert_eq!(store.manifest(), manifest);
                // Of those that have the same documents of this split, the last.
                let last = states.iter().rfind(|state| state[split as usize].0.table(split) == manifest.table(split));
                let now = Manifest::load(&out).unwrap();
                let expected_manifest =
                    if now.table(split) == manifest.table(split) { &now } else { &last.unwrap()[0].0 };
                let store = Store::open_as_it_was(&out, split, hash, None).unwrap();
                assert_eq!(store.manifest(), expected_manifest);
                assert_eq!(store.num_documents(), expected.len() as u64);
                for (number, (ids, origin)) in (0..).zip(expected) {
                    let (first, end) = store.document_range(number).unwrap();
                    assert_eq!(
                        (store.copy_u16(first..end).unwrap(), store.origin(number).unwrap()),
                        (ids.clone(), *origin)
                    );
                }
                assert!(store.copy_u16(0..store.num_tokens() + 1).is_err());
            }
        }
        let hash = states[1][0].0.train.content_hash.clone();
        for (hash, inputs) in [("0".repeat(64), None), (hash, Some(100))] {
            let error = Store::open_as_it_was(&out, Split::Train, &hash, inputs).map(drop).unwrap_err().to_string();
            assert!(error.contains("s.tm: is another store than the one with the content hash "), "{error}");
        }
    }
}

#[test]
fn what_cannot_be_added_is_named_and_nothing_is_touched() {
    type Change = fn(&mut Run, &mut Run);
    let changes: [(&str, Change); 10] = [
        ("2.txt is one of its inputs already; leave it out, or name another file", |_, new| new.first = 2),
        ("the tokenizer's fingerprint was {} and is { } now; append with the store's own, ", |_, new| {
            new.tokenizer = "{ }";
        }),
        ("the BOS token was none and is 5 now; append with what the store was made with", |_, new| {
            new.options.recipe.bos = Some(5);
        }),
        ("the EOS token was 99 and is none now", |_, new| new.options.recipe.eos = None),
        ("shard_tokens was 4 and is 5 now", |_, new| new.options.recipe.shard_tokens = 5),
        ("val_fraction was 0.4 and is 0 now", |_, new| new.options.recipe.val_fraction = 0.0),
        ("specials was text and is allow now", |_, new| new.options.recipe.specials = SpecialText::Allow),
        ("dedup was none and is exact now", |_, new| new.options.recipe.dedup = true),
        ("was made with dedup, and which texts it has is not kept; prepare the old and the new", |old, new| {
            old.options.recipe.dedup = true;
            new.options.recipe.dedup = true;
        }),
        ("its inputs were read as texts, not files, and are files by their names (text field", |_, new| {
            new.options.recipe.reading = Some(FileOptions::default());
        }),
    ];
    for (reason, change) in changes {
        let (mut old, mut new) = both();
        change(&mut old, &mut new);
        let (folder, out) = old_store(&old);
        let before = files(&out);
        let error = new.finish(&out).unwrap_err().to_string();
        assert!(error.contains("s.tm: ") && error.contains(reason), "{error}");
        assert_eq!(files(&out), before);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "{reason}");
    }
    let (_, new) = both();
    let (_folder, out) = fresh();
    let error = new.finish(&out).unwrap_err().to_string();
    assert!(error.contains("s.tm: is not there, and only a store can be added to"), "{error}");
}

#[test]
fn an_input_that_is_there_under_another_name_is_found_out_before_anything_is_added() {
    let (mut old, mut new) = both();
    let large = "7 ".repeat(1 << 19);
    old.texts[3].clone_from(&large);
    // As many bytes are not the same bytes, and small ones may be the same.
    new.texts[2] = "8 ".repeat(1 << 19);
    new.texts[3].clone_from(&old.texts[1]);
    let (_folder, out) = old_store(&old);
    let before = files(&out);
    new.texts[4] = large;
    let error = new.finish(&out).unwrap_err().to_string();
    assert!(error.contains("13.txt has the same bytes as its input 3.txt; nothing was added: leave it out"), "{error}");
    assert_eq!(files(&out), before);
    fs::remove_dir_all(partial(&out)).unwrap();
    new.texts.pop().unwrap();
    new.texts[4] = "7 7".into();
    new.finish(&out).unwrap();
    assert!(check(&out).is_ok());
}

#[test]
fn files_of_an_append_that_was_decided_belong_to_the_store_and_others_do_not() {
    let (old, new) = both();
    let (_folder, out) = old_store(&old);
    let known: Vec<String> = files(&out).into_keys().collect();
    new.stop(&out, "rename prepare.json 1", Fault::Kill);
    let strange: Vec<String> = files(&out).into_keys().filter(|name| !known.contains(name)).collect();
    assert!(strange.len() >= 12, "{strange:?}");
    assert!(check(&out).is_ok());
    fs::write(out.join("shard-00099.tokens"), "").unwrap();
    let named = |report: Report| report.problems.into_iter().map(|problem| problem.file).collect::<Vec<_>>();
    assert_eq!(named(check(&out)), ["shard-00099.tokens"]);
    fs::remove_file(out.join("shard-00099.tokens")).unwrap();
    // Given up.
    fs::remove_dir_all(partial(&out)).unwrap();
    assert_eq!(named(check(&out)), strange);
    // And begun again: what is in the way is replaced.
    new.finish(&out).unwrap();
    assert_eq!(files(&out), undisturbed(&old, &new).1);
}

#[test]
fn every_shard_of_a_store_that_was_added_to_is_remade_by_itself() {
    let pair = both();
    let all = together(&pair);
    let (_folder, out) = old_store(&pair.0);
    pair.1.finish(&out).unwrap();
    let sound = files(&out);
    let shards: Vec<&str> = sound.keys().filter_map(|name| name.strip_suffix(".tokens")).collect();
    assert!(shards.len() >= 8);
    for shard in shards {
        fs::remove_file(out.join(format!("{shard}.docs"))).unwrap();
        flip(&out.join(format!("{shard}.json")));
        assert_eq!(examine(&out).unwrap().shards(), [shard]);
        repair(&all, &out, &Arc::default()).unwrap();
        assert_eq!(files(&out), sound, "{shard}");
    }
}

#[test]
fn a_store_is_repaired_while_an_append_waits_to_be_finished() {
    let (old, new) = both();
    let (_folder, out) = old_store(&old);
    new.stop(&out, "rename prepare.json 1", Fault::Kill);
    flip(&out.join("shard-00000.tokens"));
    repair(&old, &out, &Arc::default()).unwrap();
    new.finish(&out).unwrap();
    assert_eq!(files(&out), undisturbed(&old, &new).1);
}

#[test]
fn one_process_at_a_time() {
    let (old, new) = both();
    let (_folder, out) = old_store(&old);
    let repairing = examine(&out).unwrap();
    let error = new.finish(&out).unwrap_err().to_string();
    assert!(error.contains("s.tm: another process is at work on this store"), "{error}");
    drop(repairing);
    new.stop(&out, "write manifest.new 0", Fault::Kill);
    let busy = fs::File::open(partial(&out)).unwrap();
    busy.try_lock().unwrap();
    let error = new.finish(&out).unwrap_err().to_string();
    assert!(error.contains("s.tm.partial: another process is at work on this store"), "{error}");
    drop(busy);
    new.finish(&out).unwrap();
}

#[test]
fn a_folder_of_another_run_is_not_taken_for_this_one() {
    let (old, new) = both();
    // Of an append, and the store is gone.
    let (_folder, out) = old_store(&old);
    new.stop(&out, "write manifest.new 0", Fault::Kill);
    fs::remove_dir_all(&out).unwrap();
    let error = together(&(old.clone(), new.clone())).finish(&out).unwrap_err().to_string();
    assert!(error.contains("the number of appends was 1 and is 0 now"), "{error}");
    // Decided, and the store is another.
    let (_folder, out) = old_store(&old);
    new.stop(&out, "rename manifest.json 1", Fault::Kill);
    fs::remove_dir_all(&out).unwrap();
    let mut other = old.clone();
    other.texts[0].push_str(" 7");
    let (_folder, one) = old_store(&other);
    fs::rename(one, &out).unwrap();
    let error = new.finish(&out).unwrap_err().to_string();
    assert!(error.contains("s.tm.partial: was left by an append to another store than is there now"), "{error}");
    // Of other inputs.
    let (_folder, out) = old_store(&old);
    new.stop(&out, "write manifest.new 0", Fault::Kill);
    let mut other = new.clone();
    other.first += 1;
    let error = other.finish(&out).unwrap_err().to_string();
    assert!(error.contains("input 9 was 9.txt and is 10.txt now"), "{error}");
}

#[test]
fn a_part_of_a_task_is_not_added_to() {
    let (mut old, new) = both();
    old.options.task = Some(super::Task::new(1, 1).unwrap());
    let (_folder, out) = fresh();
    old.finish(&out).unwrap();
    let part = super::Task::new(1, 1).unwrap().path(&out).unwrap();
    let error = new.finish(&part).unwrap_err().to_string();
    assert!(error.contains("is the part of one task; join the parts (tokenmill seal), then append"), "{error}");
}
