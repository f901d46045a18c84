//! Stores that were added to: document by document what one run over all inputs makes, and wherever an append is stopped,
//! the store opens as it was or as it will be.

use super::append;
use super::disk::Disk;
use super::faults::{Fault, Faults, Loss};
use super::faults_tests::{FAULTS, Files, Run, Texts, files, fresh, partial, run};
use super::repair_tests::{examine, flip, repair};
use super::verify::verify_with;
use super::{Manifest, Report, SpecialText, Split, Store, WriterOptions};
use crate::documents::{Block, BlockSource, FileOptions, Idle, InputRecord};
use crate::error::Result;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

const MORE: [&str; 8] = ["16 17 18", "", "19 20", "21", "22 23 24 25", "26", "27 28", "29"];

/// A store that is there already, and the append to it.
fn both() -> (Run, Run) {
    let old = run(4);
    let mut new = run(4);
    (new.texts, new.first) = (MORE.map(String::from).to_vec(), old.texts.len());
    new.options.append = true;
    (old, new)
}

/// One run over the inputs of both.
fn together((old, new): &(Run, Run)) -> Run {
    let mut all = old.clone();
    all.texts.extend(new.texts.clone());
    all
}

fn old_store(old: &Run) -> (TempDir, PathBuf) {
    let (folder, out) = fresh();
    old.finish(&out).unwrap();
    (folder, out)
}

/// The files before, after an undisturbed append, and what that does to the disk.
fn undisturbed(old: &Run, new: &Run) -> (Files, Files, Vec<String>) {
    let (_folder, out) = old_store(old);
    let before = files(&out);
    let faults = Arc::new(Faults::default());
    new.start(&out, &faults).unwrap();
    assert!(!partial(&out).exists());
    (before, files(&out), faults.seen().into_iter().collect())
}

fn check(out: &Path) -> Report {
    verify_with(out, &(), &|_| Ok("{}".into())).unwrap()
}

/// Ids and origin of each document.
type Documents = Vec<(Vec<u16>, (usize, u64))>;

fn documents(out: &Path, split: Split) -> Documents {
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

/// The old store, whole, or the new one, whole; and a rerun makes the new one.
fn check_and_finish(new: &Run, out: &Path, [before, expected]: [&Files; 2], when: &str) {
    let report = check(out);
    assert!(report.is_ok(), "{when}: {report:?}");
    let now = files(out);
    if now["manifest.json"] == before["manifest.json"] {
        for split in Split::ALL {
            assert!(!documents(out, split).is_empty());
        }
    } else {
        assert_eq!(&now, expected, "{when}");
    }
    for (name, bytes) in before.iter().filter(|(name, _)| !["manifest.json", "prepare.json"].contains(&name.as_str())) {
        assert_eq!(now.get(name), Some(bytes), "{when}: {name}");
    }
    if &now != expected || partial(out).exists() {
        new.finish(out).unwrap_or_else(|error| panic!("{when}: {error}"));
    }
    assert_eq!(&files(out), expected, "{when}");
    assert!(!partial(out).exists(), "{when}");
}

#[test]
fn wherever_an_append_is_stopped_the_store_is_the_old_or_the_new_one_and_a_rerun_ends_in_the_same_bytes() {
    let (old, new) = both();
    let (before, expected, operations) = undisturbed(&old, &new);
    for operation in ["rename manifest.json 1", "rename prepare.json 1", "sync folder s.tm 2", "remove s.tm.partial 0"]
    {
        assert!(operations.iter().any(|seen| seen == operation), "{operation}: {operations:?}");
    }
    for operation in &operations {
        for fault in FAULTS {
            let (_folder, out) = old_store(&old);
            new.stop(&out, operation, fault);
            check_and_finish(&new, &out, [&before, &expected], &format!("{fault:?} at {operation}"));
        }
    }
}

#[test]
fn an_append_that_goes_on_may_itself_be_stopped_anywhere() {
    let (old, new) = both();
    let (before, expected, _) = undisturbed(&old, &new);
    for first in ["write manifest.new 0", "rename prepare.json 1"] {
        let stopped = || {
            let (folder, out) = old_store(&old);
            new.stop(&out, first, Fault::Kill);
            (folder, out)
        };
        let (_folder, out) = stopped();
        let faults = Arc::new(Faults::default());
        new.start(&out, &faults).unwrap();
        for second in faults.seen() {
            for fault in [Fault::Kill, Fault::PowerCut(Loss::Some)] {
                let (_folder, out) = stopped();
                new.stop(&out, &second, fault);
                let when = format!("{first}, then {fault:?} at {second}");
                check_and_finish(&new, &out, [&before, &expected], &when);
            }
        }
    }
}

#[test]
fn finished_shards_are_not_written_again() {
    let (old, new) = both();
    let (_folder, out) = old_store(&old);
    let shards = Manifest::load(&out).unwrap().train.shards.len();
    new.stop(&out, &format!("create shard-{:05}.tokens 0", shards + 2), Fault::Kill);
    let mut again = new.clone();
    again.options.resume = false;
    let error = again.finish(&out).unwrap_err().to_string();
    assert!(error.contains("s.tm.partial: was left by a run that was stopped; go on with it (--resume"), "{error}");
    let faults = Arc::new(Faults::default());
    new.start(&out, &faults).unwrap();
    let written: Vec<String> = faults.seen().into_iter().filter(|seen| !seen.starts_with("rename")).collect();
    assert!(!written.iter().any(|seen| seen.contains(&format!("shard-{shards:05}"))), "{written:?}");
    assert!(written.contains(&format!("write shard-{:05}.tokens 0", shards + 2)), "{written:?}");
}

/// A source that is not to be read.
struct Unread(Texts);

impl BlockSource for Unread {
    fn next_block(&mut self, _idle: Idle<'_>) -> Result<Option<Block>> {
        panic!("it was read")
    }
    fn bytes_read(&self) -> u64 {
        0
    }
    fn total_bytes(&self) -> Option<u64> {
        None
    }
    fn inputs(&self) -> Vec<InputRecord> {
        self.0.inputs()
    }
}

fn writer_options(run: &Run) -> WriterOptions {
    WriterOptions {
        tokenizer_fingerprint: run.tokenizer.into(),
        vocab_size: 100,
        recipe: run.options.recipe.clone(),
        inputs: Texts { texts: run.texts.clone(), next: 0, first: run.first }.planned(),
        task: None,
        append: true,
        resume: false,
    }
}

#[test]
fn after_the_decision_no_input_is_read() {
    let (old, new) = both();
    let (_, expected, _) = undisturbed(&old, &new);
    for operation in ["rename shard-00004.json 1", "rename manifest.json 1", "remove s.tm.partial 0"] {
        let (_folder, out) = old_store(&old);
        new.stop(&out, operation, Fault::Kill);
        let mut source = Unread(Texts { texts: Vec::new(), next: 0, first: 0 });
        let disk = Disk { faults: Some(Arc::default()) };
        let options = writer_options(&new);
        let manifest = append::finish_stopped(&disk, &out, &mut source, &options, &()).unwrap();
        assert_eq!(manifest, Some(Manifest::load(&out).unwrap()), "{operation}");
        assert_eq!(files(&out), expected);
    }
}

#[test]
fn another_append_first_finishes_the_one_that_was_stopped() {
    let (old, new) = both();
    let (_folder, out) = old_store(&old);
    new.stop(&out, "rename manifest.json 1", Fault::Kill);
    let mut third = new.clone();
    (third.texts, third.first) = (vec!["30 31".into(), "32".into()], 17);
    third.options.resume = false;
    third.finish(&out).unwrap();
    let (_folder, one) = old_store(&together(&(together(&(old, new)), third)));
    for split in Split::ALL {
        assert_eq!(documents(&out, split), documents(&one, split));
    }
}

/// Texts whose number and size nobody knows before they are read.
struct Stream(Texts);

impl BlockSource for Stream {
    fn next_block(&mut self, idle: Idle<'_>) -> Result<Option<Block>> {
        self.0.next_block(idle)
    }
    fn bytes_read(&self) -> u64 {
        0
    }
    fn total_bytes(&self) -> Option<u64> {
        None
    }
    fn inputs(&self) -> Vec<InputRecord> {
        self.0.inputs()
    }
}

#[test]
fn where_no_names_tell_the_texts_do() {
    let (old, new) = both();
    let options = WriterOptions { inputs: Vec::new(), ..writer_options(&new) };
    let finish = |out: &Path, texts: &[&str]| {
        let texts = texts.iter().copied().map(String::from).collect();
        let mut source = Stream(Texts { texts, next: 0, first: new.first });
        let disk = Disk { faults: Some(Arc::default()) };
        append::finish_stopped(&disk, out, &mut source, &options, &())
    };
    let stopped = || {
        let (folder, out) = old_store(&old);
        new.stop(&out, "rename manifest.json 1", Fault::Kill);
        (folder, out)
    };
    let (_folder, out) = stopped();
    assert!(finish(&out, &MORE).unwrap().is_some());
    assert!(finish(&out, &MORE).unwrap().is_none(), "nothing was stopped");
    let (_folder, out) = stopped();
    let error = finish(&out, &MORE[1..]).unwrap_err().to_string();
    assert!(error.contains("was finished now, and was of other texts; run this one again"), "{error}");
    assert!(check(&out).is_ok() && !partial(&out).exists());
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
