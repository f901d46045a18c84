//! Long documents in parts, held against the same bytes parsed whole.

use super::*;
use proptest::prelude::*;
use std::path::Path;

/// Text and position of a document.
type Document = (String, u64);
/// Place and reason.
type Refusal = (crate::error::Place, String);

/// What a file comes to, whole or in parts.
#[derive(Debug, Default, PartialEq)]
struct Read {
    documents: Vec<Document>,
    rejected: Vec<Refusal>,
}

impl Read {
    fn reject(&mut self, mut rejected: Rejected) {
        if ["control character", "out of range"].iter().any(|kind| rejected.reason.contains(kind)) {
            // In memory, serde_json names the byte before it where it only passes over a string, or the number is long.
            rejected.place.byte = None;
        }
        let (reason, _) = rejected.reason.split_once(" has ").unwrap_or((&rejected.reason, ""));
        self.rejected.push((rejected.place, reason.to_string()));
    }

    fn block(&mut self, block: Block) {
        let documents = block.parse_each(&Spare::default(), &mut |rejected| {
            self.reject(rejected);
            Ok(())
        });
        let documents = documents.unwrap();
        self.documents.extend(documents.iter().map(String::from).zip(documents.positions.iter().copied()));
    }
}

/// Reads a file with documents of `long_bytes` and more in parts; how many parts there were.
fn in_parts(path: &Path, options: &FileOptions, block_bytes: usize, long_bytes: usize) -> (Read, usize) {
    let source = FileSource::with_block_bytes(&[path.to_path_buf()], options, block_bytes).unwrap();
    let mut source = source.with_long_bytes(long_bytes);
    source.in_parts(&Arc::default());
    let (mut read, mut text, mut parts, mut open) = (Read::default(), String::new(), 0, false);
    while let Some(block) = source.next_block(&|| Ok(())).unwrap() {
        let Layout::Part(part) = &block.layout else {
            assert!(!open, "a block within a document");
            read.block(block);
            continue;
        };
        assert!(part.text.len() <= block_bytes.max(4) && (open || part.begins));
        parts += 1;
        if part.begins {
            text.clear();
        }
        text.push_str(&part.text);
        open = part.end.is_none();
        match part.end.clone() {
            None => {}
            Some(Ok(_)) => read.documents.push((std::mem::take(&mut text), block.start)),
            Some(Err(rejected)) => {
                assert!(matches!(&rejected.record, Record::At(range) if range.start == block.start));
                read.reject(rejected);
            }
        }
    }
    assert!(!open);
    (read, parts)
}

fn whole(path: &Path, options: &FileOptions) -> Read {
    let mut source = FileSource::with_block_bytes(&[path.to_path_buf()], options, 1 << 20).unwrap();
    let mut read = Read::default();
    while let Some(block) = source.next_block(&|| Ok(())).unwrap() {
        read.block(block);
    }
    read
}

/// Checks a file for blocks and long documents of any size; the most parts that it came in.
fn check(name: &str, bytes: &[u8], options: &FileOptions, sizes: &[(usize, usize)]) -> usize {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    let want = whole(&path, options);
    let mut most = 0;
    for &(block_bytes, long_bytes) in sizes {
        let (read, parts) = in_parts(&path, options, block_bytes, long_bytes);
        assert_eq!(read, want, "{:?}, blocks of {block_bytes}, long from {long_bytes}", bytes.escape_ascii());
        most = most.max(parts);
    }
    most
}

const SIZES: [(usize, usize); 6] = [(1, 1), (1, 7), (2, 2), (3, 5), (5, 1), (64, 16)];

fn separated(separator: &str) -> FileOptions {
    FileOptions { separator: Some(separator.into()), ..FileOptions::default() }
}

#[test]
fn a_long_text_comes_in_parts_and_a_short_one_in_a_block() {
    let options = FileOptions::default();
    assert!(check("a.txt", "\u{feff}naïve 😀\r\n中文".as_bytes(), &options, &SIZES) > 3);
    assert_eq!(check("a.txt", b"short", &options, &[(1, 1 << 20), (100, 6)]), 0);
    assert_eq!(check("a.txt", b"bad \xff at 4\n", &options, &SIZES), 3);
    check("a.txt", b"cut \xf0\x9f\x98", &options, &SIZES);
    check("a.txt", b"\n\n\xe4\n", &options, &SIZES);
    check("a.txt", b"", &options, &SIZES);
}

#[test]
fn a_text_that_fills_a_long_file_is_not_held_before_its_first_part() {
    let path = tempfile::tempdir().unwrap();
    let path = path.path().join("a.txt");
    std::fs::write(&path, vec![b'a'; 4 << 20]).unwrap();
    let first = |options: &FileOptions| {
        let source = FileSource::with_block_bytes(std::slice::from_ref(&path), options, 1000).unwrap();
        let mut source = source.with_long_bytes(2 << 20);
        source.in_parts(&Arc::default());
        let block = source.next_block(&|| Ok(())).unwrap().unwrap();
        assert!(matches!(block.layout, Layout::Part(_)));
        source.bytes_read()
    };
    assert!(first(&FileOptions::default()) < 1 << 20);
    // There may be a separator anywhere.
    assert!(first(&separated("|")) >= 2 << 20);
}

#[test]
fn separators_are_found_across_parts() {
    for text in ["a long one||b||||c|", "|||", "||", "a|b|c|||d", "||\n||\n\n|\u{fffd}"] {
        check("a.txt", text.as_bytes(), &separated("||"), &SIZES);
    }
    check("a.txt", b"one\n\xff\n--two\n\xf0\x9f--three", &separated("--"), &SIZES);
}

#[test]
fn the_string_of_a_record_comes_unescaped_without_the_rest() {
    let nested = FileOptions { text_field: "a.b".into(), ..FileOptions::default() };
    let lines = [
        r#"{"id": [1, {"text": "x"}], "text": "a\n\u00e9\ud83d\ude00\\\"\/\b\f\r\t 中文"}"#,
        r#"{"text": "first", "text": "last \" one", "url": "long, \"but\" not wanted"}"#,
        r#"{"text": "first", "text": null}"#,
        r#"{"te\u0078t": "a key with an escape"}"#,
        r#"{"text": ""}"#,
        "  \t ",
        "\r\r{\"text\"\r:\r\"a\"\r}\r\r",
        "\r\r\r",
        r#"{"text": {"text": "deeper"}}"#,
        r#""a string""#,
        r#"{"body": "none", "a": {"b": "x", "b": "y"}, "a": {"b": "z", "c": 1}}"#,
    ];
    for line in lines {
        for options in [&nested, &FileOptions::default()] {
            for end in ["", "\n", "\r\n", "\n{\"text\":\"short\"}\n"] {
                check("a.jsonl", format!("{{\"text\":\"b\"}}\n{line}{end}").as_bytes(), options, &SIZES);
            }
        }
    }
    assert!(check("a.jsonl", lines[0].as_bytes(), &FileOptions::default(), &SIZES) > 3);
}

#[test]
fn what_is_wrong_with_a_long_record_is_said_as_of_a_short_one() {
    let lines: [&[u8]; 26] = [
        b"{\"text\": \"a\xff\"}",
        b"{\"text\": nope, \"x\": \"\xff\"}",
        b"{\"text\": \"a\", \"x\": nope}",
        b"{\"text\": \"never ends",
        b"{\"text\": \"never ends\\",
        b"{\"text\": \"never ends\\u12",
        b"{\"text\": \"never ends\r\r\n",
        b"{\"text\": \"a\" ",
        b"{\"text\": \"a\"} {}",
        b"{\"text\": \"a\"}}",
        b"{\"text\": \"a \\x b\"}",
        b"{\"text\": \"a \\u12x4 b\"}",
        b"{\"text\": \"a \\ud800 b\"}",
        b"{\"text\": \"a \\ud800\\n b\"}",
        b"{\"text\": \"a \\ud800\\ud800 b\"}",
        b"{\"text\": \"a \\ude00 b\"}",
        b"{\"text\": \"a \\ud83d",
        b"{\"text\": \"a \\ud83d\\",
        b"{\"text\": \"a \\ud83d\\u",
        b"{\"text\": \"a \\ud83d\\ude0\"}",
        b"{\"text\": \"a \t b\"}",
        b"{\"text\": \"a\", \"x\": \"a \x01 b\"}",
        b"{\"text\": \"a\", \"x\": \"a \\q b\"}",
        b"{\"text\" \"a\"}",
        b"{\"text\": 12e999}",
        b"{\"\\ud800\": 1, \"text\": \"a\"}",
    ];
    for line in lines {
        for before in ["", "{\"text\":\"b\"}\n\n"] {
            check("a.jsonl", &[before.as_bytes(), line].concat(), &FileOptions::default(), &SIZES);
        }
    }
}

#[test]
fn a_source_that_is_not_asked_to_gives_no_parts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.txt");
    std::fs::write(&path, "some text").unwrap();
    let mut source = FileSource::with_block_bytes(&[path], &FileOptions::default(), 1).unwrap().with_long_bytes(1);
    assert_eq!(source.next_block(&|| Ok(())).unwrap().unwrap().parse().unwrap().get(0), "some text");
}

/// Bytes that matter to one of the layers, whole and in pieces.
const SNIPPETS: [&[u8]; 30] = [
    b"{\"text\":\"",
    b"\"text\":",
    b"{\"a\":",
    b"\"}",
    b"\"",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b" ",
    b"\r",
    b"\n",
    b"\\",
    b"\\n",
    b"\\\"",
    b"\\u00",
    b"\\ud83d",
    b"\\ude00",
    b"e9",
    "é".as_bytes(),
    "😀".as_bytes(),
    b"\xf0\x9f",
    b"\x98\x80",
    b"\xff",
    b"||",
    b"|",
    b"words of text",
    b"-1.5e3",
];

proptest! {
    #[test]
    fn parts_come_to_what_the_whole_does(
        snippets in prop::collection::vec(prop::sample::select(&SNIPPETS[..]), 0..24),
        block_bytes in 1..20usize,
        long_bytes in 1..40usize,
    ) {
        let bytes = snippets.concat();
        let json = [b"{\"text\":\"", bytes.as_slice(), b"\"}\n"].concat();
        let sizes = [(block_bytes, long_bytes)];
        check("a.txt", &bytes, &FileOptions::default(), &sizes);
        check("a.txt", &bytes, &separated("||"), &sizes);
        check("a.jsonl", &bytes, &FileOptions::default(), &sizes);
        check("a.jsonl", &json, &FileOptions::default(), &sizes);
    }
}
