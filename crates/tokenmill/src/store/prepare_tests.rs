//! Texts of numbers prepared to stores of a few tokens.

use super::coder::Coder;
use super::prepare::{LateWriter, write_documents};
use super::tests::{check, inputs, names, options, read_all, sample, tokenizer_json};
use super::{Manifest, PrepareOptions, Recipe, Split, Splitter, Store, TextHash, Writer, WriterOptions};
use crate::documents::{Block, BlockSource, Idle, InputRecord, Layout};
use crate::error::{Error, Result};
use crate::monitor::{Monitor, Progress};
use crate::tokenizer::LongText;
use std::fs;
use std::path::Path;

/// Texts of numbers, one block each; ids are the numbers.
struct Texts {
    blocks: Vec<Vec<&'static str>>,
    next: usize,
}

impl BlockSource for Texts {
    fn next_block(&mut self, _idle: Idle<'_>) -> Result<Option<Block>> {
        let Some(texts) = self.blocks.get(self.next) else { return Ok(None) };
        self.next += 1;
        Ok(Some(Block {
            input: 0,
            name: "<texts>".into(),
            layout: Layout::Whole,
            bytes: texts.concat().into_bytes(),
            start: self.next as u64 - 1,
            first_line: 1,
        }))
    }
    fn bytes_read(&self) -> u64 {
        self.next as u64
    }
    fn total_bytes(&self) -> Option<u64> {
        None
    }
    fn inputs(&self) -> Vec<InputRecord> {
        inputs(1)
    }
}

fn encode(text: &str, ids: &mut Vec<u32>) -> Result<()> {
    for word in text.split_whitespace() {
        ids.push(word.parse().map_err(|_| Error::UnknownToken(format!("no token for {word:?}")))?);
    }
    Ok(())
}

/// None of these comes in parts.
pub(super) fn no_long_text<'a>() -> Result<LongText<'a>> {
    Err(Error::value("a long text"))
}

fn prepare_texts(out: &Path, texts: &[&'static str], monitor: &dyn Monitor, threads: usize) -> Result<Manifest> {
    prepare_split(out, texts, 0.0, monitor, threads)
}

fn prepare_split(
    out: &Path,
    texts: &[&'static str],
    val_fraction: f64,
    monitor: &dyn Monitor,
    threads: usize,
) -> Result<Manifest> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let mut source = Texts { blocks: texts.iter().map(|text| vec![*text]).collect(), next: 0 };
    let recipe = Recipe { bos: Some(98), eos: Some(99), shard_tokens: 5, val_fraction, ..Recipe::default() };
    let prepare = PrepareOptions { recipe: recipe.clone(), ..PrepareOptions::default() };
    let writer_options = WriterOptions { recipe, ..options(100, 5) };
    let writer = Writer::create(out, writer_options, tokenizer_json)?;
    let coder = Coder { encoder: &|| Ok(Box::new(encode)), special_text: &|_| Ok((0, None)), long_text: &no_long_text };
    write_documents(&mut source, &coder, LateWriter::now(writer), &prepare, monitor, &pool)
}

#[test]
fn preparing_encodes_in_order_with_bos_and_eos_and_keeps_empty_documents() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("s.tm");
    let manifest = prepare_texts(&out, &["1 2", "", "3"], &(), 2).unwrap();
    assert_eq!((manifest.train.num_documents, manifest.train.num_empty_documents), (3, 1));
    let store = Store::open(&out, Split::Train).unwrap();
    assert_eq!(read_all(&store), [98, 1, 2, 99, 98, 99, 98, 3, 99]);
    assert_eq!(store.origin(2).unwrap(), (0, 2));
    assert_eq!(check(&out).problems, []);
}

#[test]
fn documents_go_to_the_split_that_their_text_says_in_order_and_both_are_checked() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("s.tm");
    let texts = ["1", "2 3", "", "4", "5 6 7", "8", "9 10", "11", "12", "13"];
    let manifest = prepare_split(&out, &texts, 0.4, &(), 2).unwrap();
    let splitter = Splitter::new(0.4).unwrap();
    for split in [Split::Train, Split::Validation] {
        let chosen: Vec<&str> =
            texts.iter().copied().filter(|text| splitter.split(&TextHash::of(text, true)).unwrap() == split).collect();
        assert!(chosen.len() > 2, "{chosen:?}");
        let store = Store::open(&out, split).unwrap();
        assert!(manifest.table(split).unwrap().shards.len() > 1);
        let mut expected = Vec::new();
        for text in &chosen {
            expected.push(98);
            encode(text, &mut expected).unwrap();
            expected.push(99);
        }
        assert_eq!(read_all(&store), expected);
        for (number, text) in (0..).zip(&chosen) {
            let position = texts.iter().position(|other| other == text).unwrap();
            assert_eq!(store.origin(number).unwrap(), (0, position as u64));
        }
    }
    let report = check(&out);
    assert_eq!((report.problems, report.documents), (vec![], 10));
    let damaged = out.join("validation-00001.tokens");
    let mut bytes = fs::read(&damaged).unwrap();
    bytes[0] ^= 1;
    fs::write(&damaged, bytes).unwrap();
    assert_eq!(check(&out).problems[0].file, "validation-00001.tokens");
}

#[test]
fn a_store_without_validation_says_how_to_get_one() {
    let folder = tempfile::tempdir().unwrap();
    let error = Store::open(&sample(&folder), Split::Validation).unwrap_err().to_string();
    assert!(error.contains("no validation split; prepare it with val_fraction"), "{error}");
}

#[test]
fn the_first_document_that_fails_is_named_and_nothing_is_left_behind() {
    let folder = tempfile::tempdir().unwrap();
    let error = prepare_texts(&folder.path().join("s.tm"), &["1", "x", "y"], &(), 2).unwrap_err().to_string();
    assert_eq!(error, "<texts>, document at byte 1: no token for \"x\"");
    assert!(names(folder.path()).is_empty());
}

/// Ctrl-C at the first tick.
struct Interrupt;

impl Monitor for Interrupt {
    fn tick(&self, _progress: Progress) -> Result<()> {
        Err(Error::Caller("interrupted".into()))
    }
}

#[test]
fn an_interrupt_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let error = prepare_texts(&folder.path().join("s.tm"), &["1"], &Interrupt, 2).unwrap_err();
    assert!(matches!(error, Error::Caller(_)));
    assert!(names(folder.path()).is_empty());
}

#[test]
fn the_bytes_do_not_depend_on_the_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    let texts = ["1 2 3", "4", "", "5 6", "7 8 9 10"];
    for (name, threads) in [("one", 1), ("four", 4)] {
        prepare_texts(&folder.path().join(name), &texts, &(), threads).unwrap();
    }
    for name in names(&folder.path().join("one")) {
        let read = |store: &str| fs::read(folder.path().join(store).join(&name)).unwrap();
        assert_eq!(read("one"), read("four"), "{name}");
    }
}
