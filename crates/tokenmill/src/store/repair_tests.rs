//! Shards damaged in every way are remade to the byte; a repair that fails anywhere leaves the store no worse.

use super::disk::Disk;
use super::faults::Faults;
use super::faults_tests::{CODER, FAULTS, Files, POOL, Run, Texts, files, fresh, run};
use super::{Repair, Split, Store};
use crate::error::Result;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;

const FINGERPRINT: &str = "{}";

pub(super) fn examine(out: &Path) -> Result<Repair> {
    Repair::examine_with(out, &(), &|_| Ok(FINGERPRINT.into()))
}

pub(super) fn repair(run: &Run, out: &Path, faults: &Arc<Faults>) -> Result<()> {
    let repair = examine(out)?;
    let texts = run.texts.get(repair.inputs()).unwrap_or_default().to_vec();
    let disk = Disk { faults: Some(Arc::clone(faults)) };
    repair.run_on(&disk, &mut Texts { texts, next: 0, first: 0 }, &CODER, &(), &POOL)
}

/// A sound store, and its files.
fn whole(run: &Run) -> (TempDir, std::path::PathBuf, Files) {
    let (folder, out) = fresh();
    run.finish(&out).unwrap();
    let sound = files(&out);
    (folder, out, sound)
}

fn names(folder: &TempDir) -> Vec<String> {
    files_and_folders(folder.path())
}

fn files_and_folders(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

pub(super) fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
}

fn swap(out: &Path, one: &str, other: &str) {
    for extension in ["tokens", "docs", "origin", "json"] {
        let (a, b) = (out.join(format!("{one}.{extension}")), out.join(format!("{other}.{extension}")));
        let (bytes_a, bytes_b) = (fs::read(&a).unwrap(), fs::read(&b).unwrap());
        fs::write(a, bytes_b).unwrap();
        fs::write(b, bytes_a).unwrap();
    }
}

/// Damages some shards, and says which are to be remade.
type Damage = (&'static [&'static str], fn(&Path));

const DAMAGES: [Damage; 8] = [
    (&["shard-00000"], |out| fs::write(out.join("shard-00000.tokens"), [1]).unwrap()),
    (&["shard-00001"], |out| flip(&out.join("shard-00001.tokens"))),
    (&["shard-00000"], |out| flip(&out.join("shard-00000.origin"))),
    (&["shard-00001"], |out| fs::remove_file(out.join("shard-00001.docs")).unwrap()),
    (&["validation-00000"], |out| fs::remove_file(out.join("validation-00000.json")).unwrap()),
    (&["shard-00000", "shard-00001"], |out| swap(out, "shard-00000", "shard-00001")),
    (&["shard-00000", "validation-00000"], |out| {
        for extension in ["tokens", "docs", "origin", "json"] {
            fs::remove_file(out.join(format!("shard-00000.{extension}"))).unwrap();
        }
        flip(&out.join("validation-00000.json"));
    }),
    (&["shard-00000", "shard-00002"], |out| {
        flip(&out.join("shard-00000.docs"));
        fs::write(out.join("shard-00002.tokens"), "").unwrap();
    }),
];

/// The store and what it is made of, with duplicates and without.
fn runs() -> [Run; 2] {
    let mut without = run(4);
    without.options.recipe.dedup = true;
    without.texts.splice(2..2, ["1 2 3".into(), "4".into()]);
    without.texts.push("15".into());
    [run(4), without]
}

#[test]
fn damaged_shards_are_remade_to_the_byte_and_nothing_else_is_written() {
    for run in runs() {
        for (shards, damage) in DAMAGES {
            let (folder, out, sound) = whole(&run);
            damage(&out);
            assert_ne!(files(&out), sound);
            assert_eq!(examine(&out).unwrap().shards(), shards);
            let faults = Arc::new(Faults::default());
            repair(&run, &out, &faults).unwrap();
            assert_eq!(files(&out), sound, "{shards:?}");
            assert_eq!(names(&folder), ["s.tm"]);
            let written = faults.seen();
            let is_of_them = |name: &String| shards.iter().any(|shard| name.contains(shard)) || name.contains("s.tm");
            assert!(written.iter().all(is_of_them), "{written:?}");
        }
    }
}

#[test]
fn every_shard_is_remade_by_itself_from_no_more_inputs_than_it_needs() {
    let run = run(4);
    let (_folder, out, sound) = whole(&run);
    let shards: Vec<&str> = sound.keys().filter_map(|name| name.strip_suffix(".tokens")).collect();
    assert!(shards.len() >= 5);
    for shard in &shards {
        fs::remove_file(out.join(format!("{shard}.tokens"))).unwrap();
        let needed = examine(&out).unwrap().inputs();
        assert!(needed.len() < run.texts.len(), "{shard}: {needed:?}");
        repair(&run, &out, &Arc::default()).unwrap();
        assert_eq!(files(&out), sound);
    }
}

#[test]
fn wherever_a_repair_is_stopped_the_store_is_no_worse_and_the_next_repair_ends_well() {
    // All files of one shard and the record of another: every kind of operation.
    stop_everywhere(&DAMAGES[6..7]);
}

#[test]
#[ignore = "takes minutes"]
fn whatever_the_damage_wherever_a_repair_is_stopped_the_store_is_no_worse() {
    stop_everywhere(&DAMAGES);
}

fn stop_everywhere(damages: &[Damage]) {
    let run = run(4);
    for &(shards, damage) in damages {
        let (_folder, out, sound) = whole(&run);
        damage(&out);
        let damaged = files(&out);
        let closed = [Split::Train, Split::Validation].map(|split| Store::open(&out, split).is_err().then_some(split));
        let closed: Vec<Split> = closed.into_iter().flatten().collect();
        let faults = Arc::new(Faults::default());
        repair(&run, &out, &faults).unwrap();
        let operations = faults.seen();
        for verb in ["create", "write", "sync", "rename", "sync folder", "remove"] {
            assert!(operations.iter().any(|operation| operation.starts_with(verb)), "{verb}");
        }
        for operation in operations {
            for fault in FAULTS {
                let when = format!("{fault:?} at {operation}, {shards:?}");
                let (folder, out, _) = whole(&run);
                damage(&out);
                let faults = Arc::new(Faults::at(&operation, fault));
                repair(&run, &out, &faults).unwrap_err();
                faults.lose();
                for (name, bytes) in files(&out) {
                    assert!(Some(&bytes) == damaged.get(&name) || Some(&bytes) == sound.get(&name), "{when}: {name}");
                }
                assert!(damaged.keys().all(|name| out.join(name).exists()), "{when}: a file is gone");
                for split in closed.iter().filter(|split| Store::open(&out, **split).is_ok()) {
                    let now = files(&out);
                    let wrong = |(name, bytes): &(&String, &Vec<u8>)| {
                        name.starts_with(split.shard_prefix()) && now.get(*name) != Some(*bytes)
                    };
                    assert_eq!(sound.iter().find(wrong), None, "{when}: opens, and is not whole");
                }
                repair(&run, &out, &Arc::default()).unwrap_or_else(|error| panic!("{when}: {error}"));
                assert_eq!(files(&out), sound, "{when}");
                assert_eq!(names(&folder), ["s.tm"], "{when}");
            }
        }
    }
}

#[test]
fn a_changed_input_is_named_and_the_store_left_as_it_is() {
    let before = run(4);
    type Change = fn(&mut Run);
    let changes: [(&str, Change); 4] = [
        ("its input 0.txt has changed: it was 5 bytes long and is 6 now", |run| run.texts[0].push(' ')),
        ("its input 1.txt has changed: its BLAKE3 is another one", |run| run.texts[1] = "7".into()),
        // With the same ids.
        ("its input 0.txt has changed: its BLAKE3 is another one", |run| run.texts[0] = "1\t2 3".into()),
        ("has changed", |run| run.texts.swap(0, 3)),
    ];
    for (reason, change) in changes {
        let (folder, out, _) = whole(&before);
        flip(&out.join("shard-00000.tokens"));
        let damaged = files(&out);
        let mut run = before.clone();
        change(&mut run);
        let error = repair(&run, &out, &Arc::default()).unwrap_err().to_string();
        assert!(error.contains(reason) && error.contains("the store was left as it is"), "{error}");
        assert_eq!((files(&out), names(&folder)), (damaged, vec!["s.tm".to_string()]));
    }
}

#[test]
fn another_program_that_makes_other_ids_is_found_out() {
    let run = run(4);
    let (_folder, out, _) = whole(&run);
    flip(&out.join("shard-00000.tokens"));
    let damaged = files(&out);
    let repair = examine(&out).unwrap();
    let texts = run.texts[repair.inputs()].to_vec();
    let encode = |_: &str, ids: &mut Vec<u16>| -> Result<()> {
        ids.push(1);
        Ok(())
    };
    let coder = super::coder::Coder {
        encoder: &|| Ok(Box::new(encode)),
        special_text: &|_| Ok((0, None)),
        long_text: &super::prepare_tests::no_long_text,
    };
    let mut source = Texts { texts, next: 0, first: 0 };
    let error = repair.run_on(&Disk::default(), &mut source, &coder, &(), &POOL).unwrap_err().to_string();
    assert!(
        error.contains("unchanged inputs came to another shard-00000.json than the store was made with"),
        "{error}"
    );
    assert_eq!(files(&out), damaged);
}

#[test]
fn what_repair_needs_itself_is_named_where_it_is_damaged() {
    for name in ["manifest.json", "tokenizer.json", "prepare.json"] {
        let (_folder, out, _) = whole(&run(4));
        flip(&out.join(name));
        flip(&out.join("shard-00000.tokens"));
        let error = examine(&out).map(drop).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains("restore it from a copy"), "{error}");
    }
}

#[test]
fn strange_files_stay_and_are_told_and_leftovers_go() {
    let run = run(4);
    let (folder, out, mut sound) = whole(&run);
    fs::write(out.join("notes.txt"), "mine").unwrap();
    fs::create_dir(folder.path().join("s.tm.repair")).unwrap();
    fs::write(folder.path().join("s.tm.repair/shard-00000.tokens"), "left").unwrap();
    let remaining = examine(&out).unwrap().remaining();
    assert_eq!(remaining.iter().map(|problem| &problem.file).collect::<Vec<_>>(), ["notes.txt"]);
    repair(&run, &out, &Arc::default()).unwrap();
    sound.insert("notes.txt".into(), b"mine".to_vec());
    assert_eq!((files(&out), names(&folder)), (sound, vec!["s.tm".to_string()]));
}

#[test]
fn two_repairs_of_one_store_do_not_meet() {
    let (_folder, out, _) = whole(&run(4));
    let first = examine(&out).unwrap();
    let error = examine(&out).map(drop).unwrap_err().to_string();
    assert!(error.contains("another process is at work on this store"), "{error}");
    drop(first);
    examine(&out).unwrap();
}
