//! Stores of a few tokens, written, read back, and damaged in every way that a disk or a stranger can.

use super::verify::verify_with;
use super::{
    BLOCK_BYTES, Dtype, MANIFEST, Manifest, Origin, PLAN, Recipe, Report, Split, Store, Summary, TOKENIZER, TextHash,
    Writer, WriterOptions, sealed,
};
use crate::documents::{InputRecord, PositionUnit};
use crate::error::{Error, Result};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const FINGERPRINT: &str = "a tokenizer";

pub(super) fn options(vocab_size: u64, shard_tokens: u64) -> WriterOptions {
    WriterOptions {
        tokenizer_fingerprint: FINGERPRINT.into(),
        vocab_size,
        recipe: Recipe { shard_tokens, ..Recipe::default() },
        task: None,
        append: false,
        inputs: Vec::new(),
        resume: false,
    }
}

fn origin(input: u32, position: u64) -> Origin {
    Origin { input, position, text: TextHash::of("", true), text_bytes: 0, special_text: 0 }
}

pub(super) fn inputs(count: usize) -> Vec<InputRecord> {
    let input = |i| InputRecord {
        name: format!("{i}.txt"),
        position: PositionUnit::Byte,
        bytes: 10,
        blake3: crate::hex::to_hex(blake3::hash(&[]).as_bytes()),
    };
    (0..count).map(input).collect()
}

#[expect(clippy::unnecessary_wraps, reason = "what makes a tokenizer's bytes may fail")]
pub(super) fn tokenizer_json() -> Result<Vec<u8>> {
    Ok(b"{}".to_vec())
}

fn write(out: &Path, options: WriterOptions, documents: &[&[u32]]) -> Result<Manifest> {
    let mut writer = Writer::create(out, options, tokenizer_json)?;
    for (position, ids) in (0..).zip(documents) {
        writer.append(Split::Train, ids, &origin(u32::try_from(position % 2).unwrap(), position * 100))?;
    }
    writer.finish(inputs(2), Summary::default())
}

pub(super) fn check(path: &Path) -> Report {
    verify_with(path, None, &(), &|_| Ok(FINGERPRINT.into())).unwrap()
}

pub(super) fn read_all(store: &Store) -> Vec<u32> {
    let mut ids = vec![0; usize::try_from(store.num_tokens()).unwrap()];
    store.read(0..store.num_tokens(), &mut ids).unwrap();
    ids
}

/// Three shards, an empty document at the start, in the middle and at the end.
const DOCUMENTS: [&[u32]; 7] = [&[], &[1, 2, 3], &[4], &[], &[5, 6, 7, 8, 9], &[10], &[]];

pub(super) fn sample(folder: &TempDir) -> PathBuf {
    let out = folder.path().join("corpus.tm");
    write(&out, options(100, 4), &DOCUMENTS).unwrap();
    out
}

pub(super) fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn documents_come_back_as_they_were_and_never_span_shards() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&sample(&folder), Split::Train).unwrap();
    let counts: Vec<_> = store.manifest().train.shards.iter().map(|s| (s.num_tokens, s.num_documents)).collect();
    assert_eq!(counts, [(4, 3), (5, 2), (1, 2)]);
    assert_eq!((store.num_tokens(), store.num_documents(), store.manifest().train.num_empty_documents), (10, 7, 3));
    let segments = [0, 3, 4, 8, 9].map(|token| store.segment_at(token).unwrap().map(|(ids, place)| (ids.len(), place)));
    assert_eq!(segments, [Some((4, 0)), Some((4, 3)), Some((5, 0)), Some((5, 4)), Some((1, 0))]);
    assert!(store.segment_at(10).unwrap().is_none() && store.segment_at(u64::MAX).unwrap().is_none());
    let all = read_all(&store);
    assert_eq!(all, DOCUMENTS.concat());
    for (i, ids) in (0..).zip(DOCUMENTS) {
        let (start, end) = store.document_range(i).unwrap();
        let (from, to) = (usize::try_from(start).unwrap(), usize::try_from(end).unwrap());
        assert_eq!(&all[from..to], ids);
        assert!((start..end).all(|token| store.document_at(token).unwrap() == i));
        assert_eq!(store.origin(i).unwrap(), (usize::try_from(i % 2).unwrap(), i * 100));
    }
}

#[test]
fn every_range_reads_the_same_ids_as_the_whole() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&sample(&folder), Split::Train).unwrap();
    let all = read_all(&store);
    for start in 0..=10_usize {
        for end in start..=10 {
            let mut ids = vec![0; end - start];
            store.read(start as u64..end as u64, &mut ids).unwrap();
            assert_eq!(ids, all[start..end]);
        }
    }
    #[expect(clippy::reversed_empty_ranges, reason = "that is what is refused")]
    let bad = [0..11, 11..11, 3..2, 0..u64::MAX];
    for range in bad {
        assert!(store.read(range, &mut [0; 11]).is_err());
    }
    assert!(store.read(0..2, &mut [0; 3]).is_err());
    assert!(store.document_at(10).is_err());
    assert!(store.document_range(7).is_err() && store.origin(u64::MAX).is_err());
}

#[test]
fn a_store_without_documents_is_a_store() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("empty.tm");
    write(&out, options(0, 1), &[]).unwrap();
    let store = Store::open(&out, Split::Train).unwrap();
    assert_eq!((store.num_tokens(), store.num_documents(), store.segment_at(0).unwrap().is_none()), (0, 0, true));
    store.read(0..0, &mut []).unwrap();
    assert!(store.document_at(0).is_err() && store.document_range(0).is_err());
    assert_eq!(names(&out), [MANIFEST, PLAN, TOKENIZER]);
    assert_eq!(check(&out).problems, []);
}

#[test]
fn a_store_of_empty_documents_only_has_no_tokens() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("empty.tm");
    write(&out, options(5, 1), &[&[], &[]]).unwrap();
    let store = Store::open(&out, Split::Train).unwrap();
    assert_eq!((store.num_tokens(), store.num_documents()), (0, 2));
    assert_eq!(store.document_range(1).unwrap(), (0, 0));
    assert_eq!(check(&out).problems, []);
}

#[test]
fn the_vocabulary_decides_the_width() {
    let folder = tempfile::tempdir().unwrap();
    for (vocab_size, dtype, width) in [(65_536, Dtype::Uint16, 2), (65_537, Dtype::Uint32, 4)] {
        let out = folder.path().join(vocab_size.to_string());
        let last = u32::try_from(vocab_size - 1).unwrap();
        write(&out, options(vocab_size, 10), &[&[0, last]]).unwrap();
        let store = Store::open(&out, Split::Train).unwrap();
        assert_eq!(store.dtype(), dtype);
        assert_eq!(read_all(&store), [0, last]);
        assert_eq!(fs::metadata(out.join("shard-00000.tokens")).unwrap().len(), 2 * width);
    }
}

#[test]
fn ids_of_either_width_in_memory_make_the_same_store() {
    let folder = tempfile::tempdir().unwrap();
    for vocab_size in [65_536, 65_537] {
        let hash = |name: &str, append: &dyn Fn(&mut Writer)| {
            let name = format!("{name}-{vocab_size}.tm");
            let mut writer = Writer::create(&folder.path().join(name), options(vocab_size, 4), tokenizer_json).unwrap();
            append(&mut writer);
            writer.finish(inputs(1), Summary::default()).unwrap().train.content_hash
        };
        let narrow =
            hash("narrow", &|writer| writer.append(Split::Train, &[1u16, 65_535, 256], &origin(0, 0)).unwrap());
        let wide = hash("wide", &|writer| writer.append(Split::Train, &[1u32, 65_535, 256], &origin(0, 0)).unwrap());
        assert_eq!(narrow, wide);
    }
}

#[test]
fn an_id_outside_the_vocabulary_is_refused_and_nothing_is_left_behind() {
    let folder = tempfile::tempdir().unwrap();
    let error = write(&folder.path().join("s.tm"), options(65_536, 9), &[&[1], &[65_536]]).unwrap_err();
    assert!(error.to_string().contains("id 65536 is not below the vocabulary size 65536"), "{error}");
    let mut bos = options(7, 1);
    bos.recipe.bos = Some(7);
    assert!(write(&folder.path().join("s.tm"), bos, &[]).is_err());
    assert!(names(folder.path()).is_empty());
}

#[test]
fn a_failing_tokenizer_or_an_unknown_input_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("s.tm");
    assert!(Writer::create(&out, options(5, 1), || Err(Error::value("no"))).is_err());
    let mut writer = Writer::create(&out, options(5, 9), tokenizer_json).unwrap();
    writer.append(Split::Train, &[1u32], &origin(2, 0)).unwrap();
    assert!(writer.finish(inputs(2), Summary::default()).unwrap_err().to_string().contains("input 2"));
    assert!(names(folder.path()).is_empty());
}

#[test]
fn whatever_is_at_the_name_already_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("s.tm");
    fs::create_dir(&out).unwrap();
    let error = write(&out, options(5, 1), &[&[1]]).unwrap_err().to_string();
    assert!(error.contains("already exists; remove it or choose another name"), "{error}");
    fs::remove_dir(&out).unwrap();
    let mut writer = Writer::create(&out, options(5, 1), tokenizer_json).unwrap();
    writer.append(Split::Train, &[1u32], &origin(0, 0)).unwrap();
    fs::create_dir(&out).unwrap();
    assert!(writer.finish(inputs(1), Summary::default()).is_err());
    assert_eq!(names(folder.path()), ["s.tm", "s.tm.partial"]);
    assert!(names(&out).is_empty());
    fs::remove_dir(&out).unwrap();
    let writer = Writer::create(&out, WriterOptions { resume: true, ..options(5, 1) }, tokenizer_json).unwrap();
    assert_eq!(writer.kept(), [1, 0]);
}

#[test]
fn the_content_hash_depends_on_content_only() {
    let folder = tempfile::tempdir().unwrap();
    let hash = |name: &str, options: WriterOptions, documents: &[&[u32]]| {
        write(&folder.path().join(name), options, documents).unwrap().train.content_hash
    };
    let first = hash("a", options(100, 4), &DOCUMENTS);
    assert_eq!(first, hash("b", options(100, 4), &DOCUMENTS));
    assert_ne!(first, hash("c", options(101, 4), &DOCUMENTS));
    assert_ne!(first, hash("d", options(100, 4), &DOCUMENTS[..6]));
    let mut eos = options(100, 4);
    eos.recipe.eos = Some(0);
    assert_ne!(first, hash("e", eos, &DOCUMENTS));
    // The division into documents counts, even where the ids are the same.
    assert_ne!(hash("f", options(100, 9), &[&[1, 2]]), hash("g", options(100, 9), &[&[1], &[2]]));
}

#[test]
fn a_flipped_bit_in_any_byte_of_any_file_is_found_and_the_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let out = sample(&folder);
    assert_eq!(check(&out).problems, []);
    for name in names(&out) {
        let path = out.join(&name);
        let sound = fs::read(&path).unwrap();
        for at in 0..sound.len() {
            let mut damaged = sound.clone();
            damaged[at] ^= 1;
            fs::write(&path, &damaged).unwrap();
            let problems = check(&out).problems;
            assert!(problems.iter().any(|problem| problem.file == name), "{name} byte {at}: {problems:?}");
        }
        fs::write(&path, &sound).unwrap();
    }
    assert_eq!(check(&out).problems, []);
}

#[test]
fn the_damaged_block_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("s.tm");
    let ids = vec![7; 5 << 20];
    write(&out, options(100, 1 << 30), &[&ids]).unwrap();
    let path = out.join("shard-00000.tokens");
    let mut bytes = fs::read(&path).unwrap();
    bytes[9 << 20] = 8;
    fs::write(&path, bytes).unwrap();
    let report = check(&out);
    assert_eq!(report.bytes, (10 << 20) + 8 + 16);
    let [problem] = &report.problems[..] else { panic!("{report:?}") };
    assert_eq!((problem.file.as_str(), problem.block), ("shard-00000.tokens", Some(2)));
    assert_eq!(problem.bytes, Some(2 * BLOCK_BYTES..10 << 20));
}

#[test]
fn a_missing_shortened_or_extra_file_is_named_and_the_rest_is_still_checked() {
    let folder = tempfile::tempdir().unwrap();
    let out = sample(&folder);
    fs::remove_file(out.join("shard-00000.json")).unwrap();
    fs::remove_file(out.join(TOKENIZER)).unwrap();
    fs::write(out.join("shard-00001.docs"), [0; 9]).unwrap();
    fs::write(out.join("shard-00002.tokens"), [0; 2]).unwrap();
    fs::write(out.join("shard-00003.tokens"), []).unwrap();
    let files: Vec<_> = check(&out).problems.into_iter().map(|problem| problem.file).collect();
    let expected = [TOKENIZER, "shard-00000.json", "shard-00001.docs", "shard-00002.tokens", "shard-00003.tokens"];
    assert_eq!(files, expected);
    let error = Store::open(&out, Split::Train).unwrap_err().to_string();
    assert!(error.contains("shard-00001.docs: is 9 bytes long where manifest.json needs 16"), "{error}");
}

#[test]
fn files_are_looked_at_again_when_they_are_first_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let out = sample(&folder);
    let store = Store::open(&out, Split::Train).unwrap();
    assert!(store.segment_at(0).unwrap().is_some());
    fs::remove_file(out.join("shard-00001.origin")).unwrap();
    fs::write(out.join("shard-00001.tokens"), [0; 8]).unwrap();
    fs::write(out.join("shard-00002.docs"), [0; 15]).unwrap();
    let size = "shard-00001.tokens: is 8 bytes long where manifest.json needs 10";
    let errors = [
        (store.segment_at(4).map(|_| ()), size),
        (store.read(0..10, &mut [0; 10]), size),
        (store.document_range(5).map(|_| ()), "shard-00002.docs: is 15 bytes long where manifest.json needs 16"),
        (store.origin(3).map(|_| ()), "shard-00001.origin"),
    ];
    for (result, reason) in errors {
        let error = result.unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
    assert_eq!((store.origin(0).unwrap(), store.document_range(4).unwrap()), ((0, 0), (4, 9)));
}

#[test]
fn shards_that_changed_places_are_found_with_their_records_or_without() {
    let folder = tempfile::tempdir().unwrap();
    for (number, extensions) in [&["tokens"][..], &["tokens", "docs", "origin", "json"]].into_iter().enumerate() {
        let out = folder.path().join(number.to_string());
        write(&out, options(100, 2), &[&[1, 2], &[3, 4]]).unwrap();
        for extension in extensions {
            let [first, second] = [0, 1].map(|shard| out.join(format!("shard-0000{shard}.{extension}")));
            fs::rename(&first, out.join("aside")).unwrap();
            fs::rename(&second, &first).unwrap();
            fs::rename(out.join("aside"), &second).unwrap();
        }
        let files: Vec<_> = check(&out).problems.into_iter().map(|problem| problem.file).collect();
        let found = if number == 0 { "tokens" } else { "json" };
        assert_eq!(files, [format!("shard-00000.{found}"), format!("shard-00001.{found}")]);
    }
}

#[test]
fn without_a_record_the_numbers_themselves_are_checked() {
    let folder = tempfile::tempdir().unwrap();
    let out = sample(&folder);
    for shard in ["shard-00000", "shard-00001", "shard-00002"] {
        fs::remove_file(out.join(format!("{shard}.json"))).unwrap();
    }
    fs::write(out.join("shard-00000.tokens"), [1, 0, 200, 0, 3, 0, 4, 0]).unwrap();
    fs::write(out.join("shard-00001.docs"), [9_u64.to_le_bytes(), 5_u64.to_le_bytes()].concat()).unwrap();
    fs::write(out.join("shard-00002.origin"), [9_u64; 4].map(u64::to_le_bytes).concat()).unwrap();
    let reasons: Vec<_> = check(&out).problems.into_iter().map(|problem| problem.reason).collect();
    for reason in [
        "token 1 of the shard is 200, not below vocab_size 100",
        "document 1 of the shard ends at token 5, before it begins (9)",
        "document 0 of the shard comes from input 9 of 2",
    ] {
        assert!(reasons.iter().any(|found| found == reason), "{reasons:?}");
    }
}

#[test]
fn another_tokenizer_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let out = sample(&folder);
    let report = verify_with(&out, None, &(), &|_| Ok("another".into())).unwrap();
    assert_eq!(report.problems.len(), 1);
    assert!(report.problems[0].reason.contains("is another tokenizer"), "{report:?}");
}

#[test]
fn damaged_boundaries_and_origins_are_errors_of_the_reader_never_panics() {
    let folder = tempfile::tempdir().unwrap();
    for bad in [0, 5, 1 << 40, u64::MAX] {
        let out = folder.path().join(bad.to_string());
        write(&out, options(100, 100), &DOCUMENTS).unwrap();
        for (file, numbers) in [("docs", 7), ("origin", 14)] {
            let mut bytes: Vec<u8> = [bad.to_le_bytes(); 14][..numbers].concat();
            bytes[0] = 9;
            fs::write(out.join(format!("shard-00000.{file}")), bytes).unwrap();
        }
        let store = Store::open(&out, Split::Train).unwrap();
        let ranges: Vec<_> = (0..7).map(|i| store.document_range(i)).collect();
        assert!(ranges.iter().any(|range| range.as_ref().is_err_and(|e| e.to_string().contains("shard-00000.docs"))));
        assert!(ranges.iter().flatten().all(|(start, end)| start <= end && *end <= 10));
        for token in 0..10 {
            let _ = store.document_at(token);
        }
        assert!(store.origin(0).unwrap_err().to_string().contains("shard-00000.origin"));
    }
}

#[test]
fn hostile_manifests_are_refused_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let out = sample(&folder);
    let sound = Manifest::load(&out).unwrap();
    type Change = fn(&mut Manifest);
    let hostile: [(&str, Change); 11] = [
        ("newer", |m| m.format_version = 2),
        ("format", |m| m.format = "MDS".into()),
        ("totals", |m| m.train.num_tokens += 1),
        ("beyond", |m| m.train.shards[0].num_tokens = u64::MAX),
        ("beyond", |m| m.train.shards[0].num_documents = 1 << 61),
        ("called", |m| m.train.shards[0].name = "../../etc/passwd".into()),
        ("vocab_size", |m| m.dtype = Dtype::Uint32),
        ("vocab_size", |m| m.vocab_size = u64::MAX),
        ("bos", |m| m.bos = Some(100)),
        ("SHA-256", |m| m.train.content_hash = "00".into()),
        ("no documents", |m| m.train.shards[1].num_documents = 0),
    ];
    for (word, change) in hostile {
        let mut manifest = sound.clone();
        change(&mut manifest);
        fs::write(out.join(MANIFEST), sealed::seal(&manifest).unwrap()).unwrap();
        let error = Store::open(&out, Split::Train).unwrap_err().to_string();
        assert!(error.contains(if word == "newer" { "version 2" } else { word }), "{word}: {error}");
        assert_eq!(check(&out).problems[0].file, MANIFEST);
    }
    for text in ["", "{", "[]", "null", "{\"format\": \"tokenmill-store\", \"format_version\": 1}"] {
        fs::write(out.join(MANIFEST), text).unwrap();
        assert!(matches!(Store::open(&out, Split::Train), Err(Error::Store { .. })));
    }
}

#[test]
fn sealed_numbers_that_do_not_fit_the_content_hash_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let out = sample(&folder);
    let mut manifest = Manifest::load(&out).unwrap();
    manifest.vocab_size = 99;
    fs::write(out.join(MANIFEST), sealed::seal(&manifest).unwrap()).unwrap();
    let report = check(&out);
    assert!(report.problems[0].reason.contains("content hash"), "{report:?}");
}
