//! Stores made by several tasks: the bytes are those of one process, wherever a task or the joining is stopped.

use super::disk::Disk;
use super::faults::{Fault, Faults, Loss};
use super::faults_tests::{FAULTS, Files, Run, files, fresh, run};
use super::seal::seal_on;
use super::verify::verify_with;
use super::{Manifest, Split, Store, Task};
use crate::error::Result;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn task(run: &Run, number: u64, of: u64) -> Run {
    let mut run = run.clone();
    run.options.task = Some(Task::new(number, of).unwrap());
    run.options.resume = true;
    run
}

/// Texts that come again in the same task, in another, and in both; of both splits, with special tokens and without.
fn deduplicated(shard_tokens: u64) -> Run {
    let mut run = run(shard_tokens);
    run.options.recipe.dedup = true;
    run.texts.extend(["4", "1 2 3", "16 17", "4", "10 11", "5 6 7 8", "16 17", "18"].map(String::from));
    run
}

/// One text of two tasks; as few others as do, since each operation of these runs is failed.
fn twice() -> Run {
    let mut run = run(4);
    run.options.recipe.dedup = true;
    run
}

fn tasks(run: &Run, out: &Path, of: u64) {
    for number in (1..=of).rev() {
        task(run, number, of).finish(out).unwrap();
    }
}

fn seal(out: &Path) -> Result<Manifest> {
    seal_on(&Disk { faults: Some(Arc::default()) }, out, &())
}

fn whole(run: &Run) -> Files {
    let (_folder, out) = fresh();
    run.finish(&out).unwrap();
    files(&out)
}

fn names(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn any_number_of_tasks_makes_what_one_process_makes() {
    for run in [1, 4, 7, 1000].into_iter().flat_map(|tokens| [run(tokens), deduplicated(tokens)]) {
        let expected = whole(&run);
        for of in 1..=20 {
            let (folder, out) = fresh();
            tasks(&run, &out, of);
            seal(&out).unwrap();
            assert_eq!(files(&out), expected, "{of} tasks, {:?}", run.options.recipe);
            assert_eq!(names(folder.path()), [out]);
        }
    }
}

#[test]
fn a_text_that_another_task_has_is_left_out_with_all_that_it_counts_for() {
    let run = deduplicated(1000);
    let (_folder, out) = fresh();
    tasks(&run, &out, 17);
    let manifest = seal(&out).unwrap();
    // Of "": 1, of "4": 2, and one of each of four others.
    assert_eq!(manifest.summary.duplicates, 7);
    let distinct: BTreeSet<&String> = run.texts.iter().collect();
    assert_eq!(manifest.summary.text_bytes, distinct.iter().map(|text| text.len() as u64).sum::<u64>());
    let ones = distinct.iter().map(|text| text.matches('1').count() as u64).sum::<u64>();
    assert_eq!(manifest.summary.special_text, ones);
}

#[test]
fn a_part_is_a_store_of_its_inputs() {
    let run = run(4);
    let (_folder, out) = fresh();
    tasks(&run, &out, 3);
    for number in 1..=3 {
        let path = Task::new(number, 3).unwrap().path(&out).unwrap();
        let report = verify_with(&path, None, &(), &|_| Ok("{}".into())).unwrap();
        assert!(report.is_ok(), "{report:?}");
    }
}

#[test]
fn a_task_may_be_stopped_anywhere() {
    let run = twice();
    let expected = whole(&run);
    let second = task(&run, 2, 2);
    let (_folder, out) = fresh();
    let faults = Arc::new(Faults::default());
    second.start(&out, &faults).unwrap();
    assert!(faults.seen().len() > 30, "{:?}", faults.seen());
    for operation in faults.seen() {
        for fault in FAULTS {
            let (_folder, out) = fresh();
            second.stop(&out, &operation, fault);
            second.finish(&out).unwrap_or_else(|error| panic!("{fault:?} at {operation}: {error}"));
            task(&run, 1, 2).finish(&out).unwrap();
            seal(&out).unwrap();
            assert_eq!(files(&out), expected, "{fault:?} at {operation}");
        }
    }
}

#[test]
fn joining_may_be_stopped_anywhere() {
    let run = twice();
    let expected = whole(&run);
    let (_folder, out) = fresh();
    tasks(&run, &out, 3);
    let faults = Arc::new(Faults::default());
    seal_on(&Disk { faults: Some(Arc::clone(&faults)) }, &out, &()).unwrap();
    for verb in ["create", "write", "sync", "rename", "sync folder", "remove s.tm.tasks"] {
        assert!(faults.seen().iter().any(|operation| operation.starts_with(verb)), "{verb}");
    }
    for operation in faults.seen() {
        for fault in FAULTS {
            let when = format!("{fault:?} at {operation}");
            let (folder, out) = fresh();
            tasks(&run, &out, 3);
            let faults = Arc::new(Faults::at(&operation, fault));
            let _ = seal_on(&Disk { faults: Some(Arc::clone(&faults)) }, &out, &());
            faults.lose();
            assert!(!out.exists() || Store::open(&out, Split::Train).is_ok(), "{when}");
            if out.with_file_name("s.tm.tasks").exists() {
                seal(&out).unwrap_or_else(|error| panic!("{when}: {error}"));
            }
            assert_eq!(files(&out), expected, "{when}");
            assert_eq!(names(folder.path()), [out], "{when}");
        }
    }
}

#[test]
fn tasks_that_are_not_there_are_named_with_what_makes_them() {
    let run = run(4);
    let (_folder, out) = fresh();
    assert!(seal(&out).unwrap_err().to_string().contains("s.tm.tasks: is not there: no task has been at work"));
    task(&run, 3, 5).finish(&out).unwrap();
    task(&run, 4, 5).stop(&out, "write prepare.new 0", Fault::PowerCut(Loss::All));
    let error = seal(&out).unwrap_err().to_string();
    assert!(error.contains("not all of 5 tasks have ended; 1, 2, 4, 5 did not"), "{error}");
    assert!(error.contains("--task 1/5, --task 2/5, --task 4/5, --task 5/5, then seal again"), "{error}");
    assert!(!out.exists() && out.with_file_name("s.tm.tasks").exists());
}

#[test]
fn tasks_that_were_told_different_things_are_not_joined() {
    type Change = fn(&mut Run);
    let changes: [(&str, Change); 4] = [
        ("of task 1, the EOS token was 99 and is 98 now", |run| run.options.recipe.eos = Some(98)),
        ("of task 1, shard_tokens was 4 and is 5 now", |run| run.options.recipe.shard_tokens = 5),
        ("of task 1, the SHA-256 of the tokenizer was", |run| run.tokenizer = "{ }"),
        ("of task 1, the size of 8.txt was 2 and is 3 now", |run| run.texts[8] = "1 5".into()),
    ];
    for (reason, change) in changes {
        let mut run = run(4);
        let (_folder, out) = fresh();
        task(&run, 1, 2).finish(&out).unwrap();
        change(&mut run);
        let again = task(&run, 1, 2).finish(&out).unwrap_err().to_string();
        assert!(again.contains("this task is done, but "), "{again}");
        task(&run, 2, 2).finish(&out).unwrap();
        let error = seal(&out).unwrap_err().to_string();
        assert!(error.contains(reason) && error.contains("task-00002"), "{error}");
    }
}

#[test]
fn a_part_that_was_damaged_is_named_and_not_joined() {
    let run = run(4);
    for file in ["shard-00000.tokens", "shard-00000.docs", "shard-00000.origin", "shard-00000.texts", "tokenizer.json"]
    {
        let (_folder, out) = fresh();
        tasks(&run, &out, 2);
        let path = Task::new(1, 2).unwrap().path(&out).unwrap().join(file);
        let mut bytes = fs::read(&path).unwrap();
        bytes[0] ^= 1;
        fs::write(&path, bytes).unwrap();
        let error = seal(&out).unwrap_err().to_string();
        assert!(error.contains(file) && error.contains("and run the task again"), "{error}");
        assert!(!out.exists());
    }
}

#[test]
fn a_task_that_is_done_does_nothing_and_two_never_do_the_same() {
    let run = run(4);
    let (_folder, out) = fresh();
    let second = task(&run, 2, 3);
    second.finish(&out).unwrap();
    let faults = Arc::new(Faults::default());
    second.start(&out, &faults).unwrap();
    assert!(faults.seen().is_empty(), "{:?}", faults.seen());
    let first = task(&run, 1, 3);
    first.stop(&out, "write manifest.new 0", Fault::Kill);
    let busy = fs::File::open(out.with_file_name("s.tm.tasks").join("task-00001.partial")).unwrap();
    busy.try_lock().unwrap();
    assert!(first.finish(&out).unwrap_err().to_string().contains("another process is at work"));
    task(&run, 3, 3).finish(&out).unwrap();
    drop(busy);
    first.finish(&out).unwrap();
    seal(&out).unwrap();
    assert_eq!(files(&out), whole(&run));
    assert!(first.finish(&out).unwrap_err().to_string().contains("already exists"));
}
