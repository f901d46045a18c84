//! Counting against the standard library's map, in memory and on disk; files of counts and what is refused in them.

use super::file::{Fault, Header, Reader, Writer};
use super::merged::Runs;
use super::*;
use crate::documents::{FileOptions, FileSource};
use proptest::prelude::*;
use std::collections::BTreeMap;

type Listed = Vec<(Vec<u8>, u64)>;

/// Every `|` ends a piece and belongs to it.
struct Bars;

impl Cut for Bars {
    fn count(&self, text: &str, counter: &mut Counter<'_>) -> Result<()> {
        let mut ends: Vec<usize> = text.match_indices('|').map(|(at, _)| at + 1).collect();
        if ends.last().copied().unwrap_or(0) < text.len() {
            ends.push(text.len());
        }
        counter.add_all(text.as_bytes(), 0, &ends);
        Ok(())
    }

    fn next_cut(&self, text: &str, from: usize) -> Option<usize> {
        text[from..].find('|').map(|at| from + at + 1)
    }
}

fn count(text: &str, bytes: Option<u64>) -> PieceCounts {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("text.txt");
    std::fs::write(&path, text).unwrap();
    let options = FileOptions { separator: Some("\n".into()), ..FileOptions::default() };
    let mut source = FileSource::new(&[path], options).unwrap();
    count_pieces(&mut source, &Bars, &Budget { bytes, ..Budget::default() }, &()).unwrap()
}

fn expected(text: &str) -> Listed {
    let mut counts: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
    for piece in text.split('\n').flat_map(|text| text.split_inclusive('|')) {
        *counts.entry(piece.into()).or_default() += 1;
    }
    counts.into_iter().collect()
}

fn listed(each: impl FnOnce(&mut dyn FnMut(&[u8], u64) -> Result<()>) -> Result<()>) -> Listed {
    let mut all = Vec::new();
    each(&mut |piece, count| {
        all.push((piece.to_vec(), count));
        Ok(())
    })
    .unwrap();
    all
}

fn unordered(pieces: &dyn Pieces) -> Listed {
    let mut all = listed(|visit| pieces.each(visit));
    all.sort();
    all
}

/// Pieces around 15 and 16 bytes, with zeros at their ends, that begin alike.
fn texts() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[ab\u{0}]{0,3}\\|?",
        "a{12,18}[\u{0}b]{0,3}\\|?",
        "[a-z]{1,4}\\|",
        "[abé\u{0}]{14,40}\\|?",
        Just("\n".to_string()),
    ];
    prop::collection::vec(piece, 0..200).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn counts_are_those_of_a_map(text in texts()) {
        let counts = count(&text, None);
        prop_assert_eq!(&listed(|visit| counts.each_sorted(visit)), &expected(&text));
        prop_assert_eq!(&unordered(&counts), &expected(&text));
    }

    #[test]
    fn counts_on_disk_are_the_same(text in texts()) {
        let counts = count(&text, Some(0));
        prop_assert_eq!(&listed(|visit| counts.each_sorted(visit)), &expected(&text));
        prop_assert_eq!(&unordered(&counts), &expected(&text));
    }

    #[test]
    fn any_number_of_runs_merge(pieces in prop::collection::vec(("[ab]{1,3}", 1u64..9), 0..400), per_run in 1usize..6) {
        let mut runs = Runs::new(&std::env::temp_dir());
        let mut sums: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
        for run in pieces.chunks(per_run) {
            let run: BTreeMap<&String, u64> = run.iter().map(|(piece, count)| (piece, *count)).collect();
            for (piece, count) in &run {
                *sums.entry(piece.as_bytes().to_vec()).or_default() += count;
            }
            runs.add(|push| run.iter().try_for_each(|(piece, count)| push(piece.as_bytes(), *count))).unwrap();
        }
        prop_assert_eq!(listed(|visit| runs.each(visit)), sums.into_iter().collect::<Listed>());
    }

    #[test]
    fn a_file_gives_back_what_was_written(text in texts()) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.tmc");
        count(&text, None).save(&path, "gpt2", "web").unwrap();
        let files = CountsFiles::open(&[path]).unwrap();
        prop_assert_eq!(&files.header().sources, &["web"]);
        prop_assert_eq!(&files.header().pattern, "gpt2");
        prop_assert_eq!(unordered(&files), expected(&text));
    }

    /// No byte can change, come or go unseen.
    #[test]
    fn damage_is_found(place in any::<prop::sample::Index>(), bit in 0..8u8, kind in 0..3) {
        let mut bytes = written(&["web", "code"], &[(b"ab", &[1, 300]), (b"abc", &[2, 0]), (b"b", &[7, 1 << 40])]);
        let place = place.index(bytes.len());
        match kind {
            0 => bytes[place] ^= 1 << bit,
            1 => bytes.truncate(place),
            _ => bytes.insert(place, bit),
        }
        let read = Reader::new(bytes.as_slice()).and_then(|mut reader| {
            while reader.next()?.is_some() {}
            Ok(())
        });
        prop_assert!(read.is_err());
    }
}

fn written(sources: &[&str], rows: &[(&[u8], &[u64])]) -> Vec<u8> {
    let sources = sources.iter().map(|name| (*name).to_string()).collect();
    let header = Header { version: 1, pattern: "gpt4".into(), unicode: "0".into(), sources };
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes, &header).unwrap();
    for (piece, counts) in rows {
        writer.push(piece, counts).unwrap();
    }
    writer.finish().unwrap();
    bytes
}

fn files(all: &[Vec<u8>]) -> (tempfile::TempDir, Vec<PathBuf>) {
    let folder = tempfile::tempdir().unwrap();
    let paths: Vec<PathBuf> = (0..all.len()).map(|number| folder.path().join(format!("{number}.tmc"))).collect();
    for (path, bytes) in paths.iter().zip(all) {
        std::fs::write(path, bytes).unwrap();
    }
    (folder, paths)
}

/// Parts of it, of a text with nowhere to cut it, and small texts beside them.
#[test]
fn one_large_text_counts_as_small_ones_do() {
    let large: String = (0..700_000u64).map(|number| format!("{}|", number * 7919 % 5003)).collect();
    assert!(large.len() > 3 * PART_BYTES);
    let uncut = "x".repeat(3 * PART_BYTES);
    let text = ["a|b|", &large, "b|c", &uncut, &large].join("\n");
    assert!(parts(&large, &Bars).len() > 2);
    assert_eq!(parts(&large, &Bars).concat(), large);
    assert_eq!(parts(&uncut, &Bars), [&uncut]);
    assert_eq!(unordered(&count(&text, None)), expected(&text));
}

#[test]
fn sources_of_one_name_add_up_and_others_stay_apart() {
    let one = written(&["web", "code"], &[(b"a", &[1, 2]), (b"c", &[5, 0])]);
    let two = written(&["books", "web"], &[(b"a", &[10, 20]), (b"b", &[0, 3])]);
    let (folder, paths) = files(&[one, two]);
    let mut counts = CountsFiles::open(&paths).unwrap();
    assert_eq!(counts.header().sources, ["web", "code", "books"]);
    let sum = |counts: &CountsFiles| unordered(counts);
    assert_eq!(sum(&counts), [(b"a".to_vec(), 33), (b"b".to_vec(), 3), (b"c".to_vec(), 5)]);

    let merged = folder.path().join("all.tmc");
    counts.set_weight("web", 0).unwrap();
    counts.save(&merged).unwrap();
    assert_eq!(sum(&counts), [(b"a".to_vec(), 12)], "a weight of 0 leaves a source out");
    let mut merged = CountsFiles::open(&[merged]).unwrap();
    assert_eq!(merged.header().sources, ["web", "code", "books"]);
    merged.set_weight("books", 100).unwrap();
    assert_eq!(sum(&merged), [(b"a".to_vec(), 1023), (b"b".to_vec(), 3), (b"c".to_vec(), 5)]);
    assert!(merged.set_weight("book", 1).unwrap_err().to_string().contains("\"books\""));
}

#[test]
fn counts_beyond_64_bits_are_an_error() {
    let (_folder, paths) = files(&[written(&["web"], &[(b"a", &[1 << 62])])]);
    let mut counts = CountsFiles::open(&paths).unwrap();
    assert_eq!(unordered(&counts), [(b"a".to_vec(), 1 << 62)]);
    counts.set_weight("web", 4).unwrap();
    assert!(counts.each(&mut |_, _| Ok(())).unwrap_err().to_string().contains("2^64"));
    let twice = [paths[0].clone(), paths[0].clone()];
    let mut counts = CountsFiles::open(&twice).unwrap();
    counts.set_weight("web", 2).unwrap();
    assert!(counts.each(&mut |_, _| Ok(())).unwrap_err().to_string().contains("2^64"));
}

#[test]
fn counts_that_do_not_belong_together_are_refused() {
    let with = |pattern: &str, unicode: &str| {
        let header =
            Header { version: 1, pattern: pattern.into(), unicode: unicode.into(), sources: vec!["web".into()] };
        let mut bytes = Vec::new();
        Writer::new(&mut bytes, &header).unwrap().finish().unwrap();
        bytes
    };
    let (_folder, paths) = files(&[with("gpt4", "0"), with("gpt2", "0"), with("gpt4", "1"), b"PK\x03\x04".to_vec()]);
    let refused = |other: usize| CountsFiles::open(&[paths[0].clone(), paths[other].clone()]).unwrap_err().to_string();
    assert!(refused(1).contains("the pattern is \"gpt4\" in one and \"gpt2\" in the other"));
    assert!(refused(2).contains("version of Unicode"));
    assert!(refused(3).contains("3.tmc") && refused(3).contains("not a file of counts"));
    assert!(CountsFiles::open(&[]).is_err());
}

#[test]
fn a_later_version_is_refused_by_its_number() {
    let json = r#"{"version":2,"pattern":"","unicode":"","sources":[]}"#;
    let bytes = [b"tmcounts".as_slice(), &(json.len() as u32).to_le_bytes(), json.as_bytes()].concat();
    assert!(matches!(Reader::new(bytes.as_slice()), Err(Fault::Foreign(what)) if what.contains("version 2")));
}
