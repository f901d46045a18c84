//! Every create, write, sync, rename and removal of a run fails, or is the last thing before `kill -9` or a power cut:
//! either no store opens, or the one that opens is complete; and resuming ends in the same bytes.

use super::append;
use super::coder::{Coder, SpecialTokens};
use super::disk::Disk;
use super::faults::{Fault, Faults, Loss};
use super::prepare::{LateWriter, write_documents};
use super::tasks;
use super::{Manifest, PrepareOptions, Recipe, SpecialText, Split, Store, Writer, WriterOptions};
use crate::documents::{Block, BlockSource, Idle, InputRecord, Layout, PlannedInput, PositionUnit};
use crate::error::Result;
use crate::hex::to_hex;
use rayon::ThreadPool;
use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use tempfile::TempDir;

const TEXTS: [&str; 9] = ["1 2 3", "4", "", "5 6 7 8", "9", "10 11", "", "12 13 14", "15"];

pub(super) static POOL: LazyLock<ThreadPool> =
    LazyLock::new(|| rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap());

/// One input a text, one block each.
pub(super) struct Texts {
    pub texts: Vec<String>,
    pub next: usize,
    /// What the first is called by.
    pub first: usize,
}

fn name(number: usize) -> String {
    format!("{number}.txt")
}

impl BlockSource for Texts {
    fn next_block(&mut self, _idle: Idle<'_>) -> Result<Option<Block>> {
        let Some(text) = self.texts.get(self.next) else { return Ok(None) };
        let (input, name) = (u32::try_from(self.next).unwrap(), name(self.first + self.next).into());
        self.next += 1;
        Ok(Some(Block { input, name, layout: Layout::Whole, bytes: text.clone().into(), start: 0, first_line: 1 }))
    }
    fn bytes_read(&self) -> u64 {
        0
    }
    fn total_bytes(&self) -> Option<u64> {
        None
    }
    fn planned(&self) -> Vec<PlannedInput> {
        let input = |(number, text): (usize, &String)| PlannedInput {
            name: name(self.first + number),
            layout: Layout::Whole.to_string(),
            bytes: Some(text.len() as u64),
        };
        self.texts.iter().enumerate().map(input).collect()
    }
    fn only(&mut self, inputs: Range<usize>) -> Result<()> {
        self.first = inputs.start;
        self.texts = self.texts[inputs].to_vec();
        Ok(())
    }
    fn inputs(&self) -> Vec<InputRecord> {
        let record = |(number, text): (usize, &String)| InputRecord {
            name: name(self.first + number),
            position: PositionUnit::Byte,
            bytes: text.len() as u64,
            blake3: to_hex(blake3::hash(text.as_bytes()).as_bytes()),
        };
        self.texts.iter().take(self.next).enumerate().map(record).collect()
    }
}

fn encode(text: &str, ids: &mut Vec<u16>) -> Result<()> {
    ids.extend(text.split_whitespace().map(|word| word.parse::<u16>().unwrap()));
    Ok(())
}

/// Each 1 is a special token.
#[expect(clippy::unnecessary_wraps, reason = "as a coder's")]
fn special_text(text: &str) -> Result<SpecialTokens> {
    Ok((text.matches('1').count() as u64, None))
}

pub(super) const CODER: Coder<'static, u16> = Coder {
    encoder: &|| Ok(Box::new(encode)),
    special_text: &special_text,
    long_text: &super::prepare_tests::no_long_text,
};

/// What a run is told.
#[derive(Clone)]
pub(super) struct Run {
    pub texts: Vec<String>,
    /// What the first is called by.
    pub first: usize,
    pub options: PrepareOptions,
    pub tokenizer: &'static str,
}

pub(super) fn run(shard_tokens: u64) -> Run {
    let recipe = Recipe { eos: Some(99), shard_tokens, val_fraction: 0.4, ..Recipe::default() };
    let options = PrepareOptions { recipe, resume: true, ..PrepareOptions::default() };
    Run { texts: TEXTS.map(String::from).to_vec(), first: 0, options, tokenizer: "{}" }
}

impl Run {
    pub fn start(&self, out: &Path, faults: &Arc<Faults>) -> Result<Manifest> {
        let mut source = Texts { texts: self.texts.clone(), next: 0, first: self.first };
        let disk = Disk { faults: Some(Arc::clone(faults)) };
        let task = self.options.task.map(|task| task.begin(out, &mut source, &disk)).transpose()?;
        let out = self.options.task.map_or(Ok(out.to_path_buf()), |task| task.path(out))?;
        let options = WriterOptions {
            tokenizer_fingerprint: self.tokenizer.into(),
            vocab_size: 100,
            recipe: self.options.recipe.clone(),
            inputs: source.planned(),
            task,
            append: self.options.append,
            resume: self.options.resume,
        };
        if self.options.task.is_some()
            && let Some(manifest) = tasks::finished(&out, &options)?
        {
            return Ok(manifest);
        }
        if self.options.append
            && let Some(manifest) = append::begin(&disk, &out, &mut source, &options, &())?
        {
            return Ok(manifest);
        }
        let json = || Ok(self.tokenizer.into());
        let writer = Writer::on_disk(disk, &out, options, json)?;
        write_documents(&mut source, &CODER, LateWriter::now(writer), &self.options, &(), &POOL)
    }

    /// Without faults.
    pub fn finish(&self, out: &Path) -> Result<Manifest> {
        self.start(out, &Arc::default())
    }

    pub fn stop(&self, out: &Path, operation: &str, fault: Fault) {
        let faults = Arc::new(Faults::at(operation, fault));
        let _ = self.start(out, &faults);
        faults.lose();
    }
}

pub(super) type Files = BTreeMap<String, Vec<u8>>;

pub(super) fn files(folder: &Path) -> Files {
    let read = |entry: fs::DirEntry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap());
    fs::read_dir(folder).unwrap().map(|entry| read(entry.unwrap())).collect()
}

pub(super) fn fresh() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("s.tm");
    (folder, out)
}

pub(super) fn partial(out: &Path) -> PathBuf {
    out.with_file_name("s.tm.partial")
}

/// The files of an undisturbed run, and the names of all that it does to the disk.
fn undisturbed(run: &Run) -> (Files, Vec<String>) {
    let (_folder, out) = fresh();
    let faults = Arc::new(Faults::default());
    run.start(&out, &faults).unwrap();
    (files(&out), faults.seen().into_iter().collect())
}

pub(super) const FAULTS: [Fault; 4] =
    [Fault::Once, Fault::Kill, Fault::PowerCut(Loss::All), Fault::PowerCut(Loss::Some)];

/// Nothing opens, or what opens is complete; and the next run makes it so.
fn check_and_finish(run: &Run, out: &Path, expected: &Files, when: &str) {
    if Store::open(out, Split::Train).is_err() {
        assert!(!out.exists(), "{when}: something is there that does not open");
        run.finish(out).unwrap_or_else(|error| panic!("{when}: {error}"));
    }
    assert_eq!(&files(out), expected, "{when}");
    assert!(!partial(out).exists(), "{when}");
}

#[test]
fn wherever_a_run_is_stopped_the_next_one_ends_in_the_same_bytes() {
    let run = run(4);
    let (expected, operations) = undisturbed(&run);
    assert!(expected.keys().filter(|name| name.ends_with(".tokens")).count() >= 5, "{:?}", expected.keys());
    for verb in ["create", "write", "sync", "rename", "sync folder"] {
        assert!(operations.iter().any(|operation| operation.starts_with(verb)), "{verb}");
    }
    for operation in &operations {
        for fault in FAULTS {
            let (_folder, out) = fresh();
            run.stop(&out, operation, fault);
            check_and_finish(&run, &out, &expected, &format!("{fault:?} at {operation}"));
        }
    }
}

#[test]
fn a_run_that_goes_on_may_itself_be_stopped_anywhere() {
    let run = run(4);
    let (expected, _) = undisturbed(&run);
    for first in ["rename shard-00001.json 0", "write manifest.new 0"] {
        let (_folder, out) = fresh();
        run.stop(&out, first, Fault::Kill);
        let faults = Arc::new(Faults::default());
        run.start(&out, &faults).unwrap();
        for second in faults.seen() {
            for fault in [Fault::Kill, Fault::PowerCut(Loss::Some)] {
                let (_folder, out) = fresh();
                run.stop(&out, first, Fault::Kill);
                run.stop(&out, &second, fault);
                check_and_finish(&run, &out, &expected, &format!("{first}, then {fault:?} at {second}"));
            }
        }
    }
}

#[test]
fn finished_shards_are_not_written_again() {
    let run = run(4);
    let (_folder, out) = fresh();
    run.stop(&out, "create shard-00002.tokens 0", Fault::Kill);
    let faults = Arc::new(Faults::default());
    run.start(&out, &faults).unwrap();
    let seen = faults.seen();
    assert!(!seen.iter().any(|operation| operation.contains("shard-00000")), "{seen:?}");
    assert!(seen.contains("write shard-00002.tokens 0"), "{seen:?}");
}

#[test]
fn a_run_that_fails_before_its_first_shard_leaves_nothing() {
    let run = run(1000);
    let (folder, out) = fresh();
    run.stop(&out, "write shard-00000.tokens 0", Fault::Once);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// A run that was killed with some shards finished.
fn stopped(run: &Run) -> (TempDir, PathBuf) {
    let (folder, out) = fresh();
    run.stop(&out, "create shard-00002.tokens 0", Fault::Kill);
    (folder, out)
}

#[test]
fn what_differs_from_the_run_before_is_named_and_nothing_is_touched() {
    let before = run(4);
    type Change = fn(&mut Run);
    let changes: [(&str, Change); 12] = [
        ("the SHA-256 of the tokenizer was 44136fa355b3 and is", |run| run.tokenizer = "{ }"),
        ("the BOS token was none and is 5 now", |run| run.options.recipe.bos = Some(5)),
        ("the EOS token was 99 and is 98 now", |run| run.options.recipe.eos = Some(98)),
        ("shard_tokens was 4 and is 5 now", |run| run.options.recipe.shard_tokens = 5),
        ("val_fraction was 0.4 and is 0.5 now", |run| run.options.recipe.val_fraction = 0.5),
        ("specials was text and is allow now", |run| run.options.recipe.specials = SpecialText::Allow),
        ("dedup was none and is exact now", |run| run.options.recipe.dedup = true),
        ("input 8, 8.txt, is no longer there", |run| drop(run.texts.pop())),
        ("9.txt was not among the inputs then", |run| run.texts.push("16".into())),
        ("the size of 0.txt was 5 and is 6 now", |run| run.texts[0].push(' ')),
        ("shard-00000 was made of other documents than are read now: 0.txt has changed", |run| {
            run.texts[0] = "1 2 4".into();
        }),
        // Of the same size, and with the same ids.
        ("was made of other documents than are read now", |run| run.texts[0] = "1\t2 3".into()),
    ];
    for (reason, change) in changes {
        let (_folder, out) = stopped(&before);
        let left = files(&partial(&out));
        let mut run = before.clone();
        change(&mut run);
        let error = run.finish(&out).unwrap_err().to_string();
        assert!(error.contains(reason) && error.contains("s.tm.partial: "), "{error}");
        assert!(error.ends_with("resume with what it was started with, or remove the folder and start again"));
        let now = files(&partial(&out));
        for (name, bytes) in left.iter().filter(|(name, _)| name.starts_with("shard-00000") || *name == "prepare.json")
        {
            assert_eq!(now.get(name), Some(bytes), "{reason}: {name}");
        }
        before.finish(&out).unwrap();
        assert_eq!(files(&out), undisturbed(&before).0);
    }
}

#[test]
fn an_input_that_no_finished_shard_has_read_may_change() {
    let before = run(4);
    let (_folder, out) = stopped(&before);
    let mut run = before;
    run.texts[8] = "15 16 17".into();
    run.finish(&out).unwrap();
    assert_eq!(files(&out), undisturbed(&run).0);
}

#[test]
fn fewer_documents_than_are_on_disk_are_refused() {
    let before = run(4);
    let (_folder, out) = stopped(&before);
    let mut run = before;
    let mut source = Texts { texts: run.texts.drain(..1).collect(), next: 0, first: 0 };
    let options = WriterOptions {
        tokenizer_fingerprint: run.tokenizer.into(),
        vocab_size: 100,
        recipe: run.options.recipe.clone(),
        task: None,
        append: false,
        inputs: Texts { texts: TEXTS.map(String::from).to_vec(), next: 0, first: 0 }.planned(),
        resume: true,
    };
    let writer = Writer::create(&out, options, || Ok(b"{}".to_vec())).unwrap();
    let error = write_documents(&mut source, &CODER, LateWriter::now(writer), &run.options, &(), &POOL)
        .unwrap_err()
        .to_string();
    assert!(error.contains("was made of other documents than are read now"), "{error}");
}

#[test]
fn a_folder_that_was_left_is_not_entered_unasked_and_never_by_two() {
    let mut run = run(4);
    let (_folder, out) = stopped(&run);
    run.options.resume = false;
    let error = run.finish(&out).unwrap_err().to_string();
    assert!(error.contains("s.tm.partial: was left by a run that was stopped; go on with it (--resume"), "{error}");
    let busy = fs::File::open(partial(&out)).unwrap();
    busy.try_lock().unwrap();
    for resume in [false, true] {
        run.options.resume = resume;
        let error = run.finish(&out).unwrap_err().to_string();
        assert!(error.contains("another process is at work on this store"), "{error}");
    }
    drop(busy);
    run.finish(&out).unwrap();
}

#[test]
fn a_strange_file_in_the_folder_is_named_and_stays() {
    let run = run(4);
    let (_folder, out) = stopped(&run);
    fs::write(partial(&out).join("notes.txt"), "mine").unwrap();
    let error = run.finish(&out).unwrap_err().to_string();
    assert!(error.contains("notes.txt: was not written by `prepare`; move it elsewhere"), "{error}");
    assert!(partial(&out).join("notes.txt").exists());
}

#[test]
fn a_finished_shard_that_lost_a_file_or_its_record_is_made_again() {
    let run = run(4);
    let (expected, _) = undisturbed(&run);
    type Damage = fn(&Path);
    let damages: [Damage; 3] = [
        |folder| fs::remove_file(folder.join("shard-00000.docs")).unwrap(),
        |folder| fs::write(folder.join("shard-00001.tokens"), [0]).unwrap(),
        |folder| fs::write(folder.join("shard-00000.json"), "{}").unwrap(),
    ];
    for damage in damages {
        let (_folder, out) = stopped(&run);
        damage(&partial(&out));
        run.finish(&out).unwrap();
        assert_eq!(files(&out), expected);
    }
}
