//! Wherever an append is stopped, the store opens as it was or as it will be, and the next append finishes it.

use super::append;
use super::append_tests::{MORE, both, check, documents, old_store, together, undisturbed};
use super::disk::Disk;
use super::faults::{Fault, Faults, Loss};
use super::faults_tests::{FAULTS, Files, Run, Texts, files, partial};
use super::{Manifest, Split, WriterOptions};
use crate::documents::{Block, BlockSource, Idle, InputRecord};
use crate::error::Result;
use std::path::Path;
use std::sync::Arc;

/// The same in half as many files, which is half the time: two new shards of one split, one of the other.
fn fewer_shards() -> (Run, Run) {
    let (mut old, mut new) = both();
    for run in [&mut old, &mut new] {
        run.options.recipe.shard_tokens = 8;
    }
    (old, new)
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
    let left = partial(out).exists().then(|| files(&partial(out)));
    match check_only(new, out) {
        Ok(()) => assert!(&now != expected || left.is_some(), "{when}: nothing is left to do"),
        Err(reason) => assert!(&now == expected && left.is_none() && reason.contains("already"), "{when}: {reason}"),
    }
    assert_eq!((&files(out), partial(out).exists().then(|| files(&partial(out)))), (&now, left), "{when}");
    if &now != expected || partial(out).exists() {
        new.finish(out).unwrap_or_else(|error| panic!("{when}: {error}"));
    }
    assert_eq!(&files(out), expected, "{when}");
    assert!(!partial(out).exists(), "{when}");
}

/// What a dry run says.
fn check_only(new: &Run, out: &Path) -> Result<(), String> {
    let options = WriterOptions { resume: new.options.resume, ..writer_options(new) };
    let mut source = Unread(Texts { texts: new.texts.clone(), next: 0, first: new.first });
    append::check(out, &mut source, &options, &()).map_err(|error| error.to_string())
}

#[test]
fn wherever_an_append_is_stopped_the_store_is_the_old_or_the_new_one_and_a_rerun_ends_in_the_same_bytes() {
    let (old, new) = fewer_shards();
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
    let (old, new) = fewer_shards();
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
    let told = check_only(&again, &out).unwrap_err();
    let error = again.finish(&out).unwrap_err().to_string();
    assert_eq!(told, error);
    assert!(error.contains("s.tm.partial: was left by a run that was stopped; go on with it (--resume"), "{error}");
    again.options.resume = true;
    again.options.recipe.bos = Some(97);
    assert_eq!(check_only(&again, &out).unwrap_err(), again.finish(&out).unwrap_err().to_string());
    again.options.recipe.bos = None;
    again.texts[0] = "1 2".into();
    let told = check_only(&again, &out).unwrap_err();
    assert!(told.contains("the size of 9.txt was 8 and is 3 now; resume with"), "{told}");
    assert_eq!(told, again.finish(&out).unwrap_err().to_string());
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
        let manifest = append::begin(&disk, &out, &mut source, &options, &()).unwrap();
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
        append::begin(&disk, out, &mut source, &options, &())
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
