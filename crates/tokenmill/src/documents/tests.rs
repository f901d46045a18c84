use super::*;
use proptest::prelude::*;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Texts with the position of each.
type Found = Vec<(String, u64)>;

fn read(source: &mut dyn BlockSource) -> Result<Found> {
    let mut found = Vec::new();
    for_each_group(source, "test", &(), |group| {
        for block in group {
            let documents = block.parse()?;
            found.extend(documents.iter().map(String::from).zip(documents.positions.iter().copied()));
        }
        Ok(())
    })?;
    Ok(found)
}

fn read_file(path: &Path, options: &FileOptions, block_bytes: usize) -> Result<Found> {
    read(&mut FileSource::with_block_bytes(&[path.to_path_buf()], options, block_bytes)?)
}

fn file(folder: &tempfile::TempDir, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, content).unwrap();
    path
}

/// Reads `content` as a file of this name; errors lose the folder's path.
fn read_as(name: &str, content: impl AsRef<[u8]>, options: &FileOptions) -> Result<Found, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, name, content);
    let prefix = format!("{}/", folder.path().display());
    read_file(&path, options, 1 << 20).map_err(|error| error.to_string().replace(&prefix, ""))
}

fn jsonl(content: impl AsRef<[u8]>) -> Result<Found, String> {
    read_as("a.jsonl", content, &FileOptions::default())
}

fn separated(separator: &str) -> FileOptions {
    FileOptions { separator: Some(separator.into()), ..FileOptions::default() }
}

fn found(items: &[(&str, u64)]) -> Found {
    items.iter().map(|&(text, position)| (text.to_string(), position)).collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_text_file_is_one_document_unless_a_separator_divides_it() {
    let whole = FileOptions::default();
    assert_eq!(read_as("a.txt", "one\ntwo", &whole), Ok(found(&[("one\ntwo", 0)])));
    assert_eq!(read_as("a.txt", "", &whole), Ok(found(&[("", 0)])));
    assert_eq!(read_as("a.txt", "a||b|||", &separated("||")), Ok(found(&[("a", 0), ("b", 3), ("|", 6)])));
    assert_eq!(read_as("a.txt", "a||||b||", &separated("||")), Ok(found(&[("a", 0), ("", 3), ("b", 5)])));
    assert_eq!(read_as("a.txt", "", &separated("||")), Ok(found(&[])));
}

#[test]
fn json_lines_give_the_text_at_the_path_and_the_offset_of_the_line() {
    let content = "{\"id\": [1, {\"text\": 2}], \"text\": \"a\\n\\u00e9\\ud83d\\ude00\"}\r\n\r\n  \n{\"text\":\"\"}";
    assert_eq!(jsonl(content), Ok(found(&[("a\né😀", 0), ("", 64)])));
    let nested = FileOptions { text_field: "a.b".into(), ..FileOptions::default() };
    assert_eq!(read_as("a.ndjson", "{\"b\":1,\"a\":{\"b\":\"x\"}}", &nested), Ok(found(&[("x", 0)])));
}

#[test]
fn the_last_of_two_equal_keys_counts() {
    assert_eq!(jsonl("{\"text\":\"first\",\"text\":\"last\"}"), Ok(found(&[("last", 0)])));
    assert!(jsonl("{\"text\":\"first\",\"text\":1}").unwrap_err().contains("field \"text\" is a number"));
}

#[test]
fn a_byte_order_mark_is_dropped_and_counted() {
    assert_eq!(read_as("a.txt", "\u{feff}x\u{feff}", &FileOptions::default()), Ok(found(&[("x\u{feff}", 3)])));
    assert_eq!(jsonl("\u{feff}{\"text\":\"x\"}"), Ok(found(&[("x", 3)])));
}

#[test]
fn errors_name_file_line_and_byte() {
    let good = "{\"text\":\"a\"}\n";
    let cases: [(&[u8], &str); 10] = [
        (b"{\"text\":\"\xff\"}", "a.jsonl, line 2, byte 22: the text is not valid UTF-8"),
        (b"{\"text\": nope}", "a.jsonl, line 2, byte 23: invalid JSON: expected ident"),
        (b"{\"text\":\"a\"", "a.jsonl, line 2, byte 23: invalid JSON: EOF while parsing an object; JSON Lines has one"),
        (b"{\"text\":\"a\"} {}", "a.jsonl, line 2, byte 26: invalid JSON: trailing characters"),
        (b"{\"text\":\"\\ud800\"}", "half of a surrogate pair"),
        (b"[1, 2]", "a.jsonl, line 2, byte 13: the line holds an array, not an object"),
        (b"{\"id\":1,\"body\":\"x\"}", "there is no field \"text\": the record has \"body\", \"id\"; name"),
        (b"{}", "the record has no fields"),
        (b"{\"text\":null}", "a.jsonl, line 2, byte 13: field \"text\" is null, not a string"),
        (b"{\"text\":{\"a\":1}}", "field \"text\" is an object, not a string"),
    ];
    for (line, expected) in cases {
        let error = jsonl([good.as_bytes(), line].concat()).unwrap_err();
        assert!(error.contains(expected), "{error}\n  is not\n{expected}");
    }
    let nested = FileOptions { text_field: "a.b".into(), ..FileOptions::default() };
    let error = read_as("a.jsonl", "{\"a\":\"x\"}", &nested).unwrap_err();
    assert!(error.contains("field \"a\" is a string, not an object, so there is no field \"a.b\""), "{error}");
    let error = read_as("a.jsonl", "{\"a\":{\"c\":1}}", &nested).unwrap_err();
    assert!(error.contains("there is no field \"a.b\": \"a\" has \"c\""), "{error}");
    let error = read_as("a.txt", b"a\nb\xffc", &FileOptions::default()).unwrap_err();
    assert!(error.starts_with("a.txt, line 2, byte 3: the text is not valid UTF-8"), "{error}");
}

#[test]
fn positions_of_errors_do_not_depend_on_blocks() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "a.jsonl", "\u{feff}{\"text\":\"a\"}\n\n{\"text\":\"b\"}\n{\"text\":3}\n");
    for size in [1, 2, 7, 16, 1000] {
        let error = read_file(&path, &FileOptions::default(), size).unwrap_err().to_string();
        assert!(error.contains("line 4, byte 30: field"), "{size}: {error}");
    }
}

#[test]
fn all_members_and_frames_of_compressed_files_are_read() {
    let (first, second) = (b"{\"text\":\"a\"}\n{\"te", b"xt\":\"b\"}\n");
    let expected = Ok(found(&[("a", 0), ("b", 13)]));
    let zstd = |bytes| zstd::encode_all(bytes, 3).unwrap();
    assert_eq!(read_as("A.JSONL.GZ", [gzip(first), gzip(second)].concat(), &FileOptions::default()), expected);
    assert_eq!(
        read_as("a.jsonl.zst", [zstd(&first[..]), zstd(&second[..])].concat(), &FileOptions::default()),
        expected
    );
}

#[test]
fn damaged_compressed_files_are_errors_wherever_they_are_cut() {
    let text: String = (0..2000).map(|i| format!("{{\"text\":\"{i}\"}}\n")).collect();
    for (name, data) in
        [("a.jsonl.gz", gzip(text.as_bytes())), ("a.jsonl.zst", zstd::encode_all(text.as_bytes(), 3).unwrap())]
    {
        for cut in (0..data.len()).step_by(97).chain([data.len() - 1]) {
            let error = read_as(name, &data[..cut], &FileOptions::default()).unwrap_err();
            let expected = format!("data is damaged or cut short at about byte {cut} of the file");
            assert!(error.starts_with(name) && error.contains(&expected), "{error}");
        }
        let mut garbage = data.clone();
        garbage.extend_from_slice(b"garbage");
        assert!(read_as(name, garbage, &FileOptions::default()).unwrap_err().contains("damaged"));
    }
}

#[test]
fn inputs_record_the_bytes_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let a = file(&folder, "a.txt", "abc");
    let b = file(&folder, "b.txt.gz", gzip(b"abc"));
    let size = std::fs::metadata(&b).unwrap().len();
    let mut source = FileSource::new(&[a.clone(), b], FileOptions::default()).unwrap();
    assert_eq!(source.total_bytes(), Some(3 + size));
    assert!(source.inputs().is_empty());
    read(&mut source).unwrap();
    assert!(source.next_block(&|| Ok(())).unwrap().is_none());
    let inputs = source.inputs();
    assert_eq!((inputs[0].name.as_str(), inputs[0].bytes), (a.to_str().unwrap(), 3));
    assert_eq!(inputs[0].blake3, "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85");
    assert_eq!(inputs[1].bytes, size);
    assert_ne!(inputs[1].blake3, inputs[0].blake3);
    assert_eq!(source.bytes_read(), 3 + size);
}

#[test]
fn new_refuses_what_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |name: &str, options: &FileOptions| {
        FileSource::with_block_bytes(&[folder.path().join(name)], options, 1).err().unwrap().to_string()
    };
    for name in ["a.csv", "a.parquet", "a.txt"] {
        file(&folder, name, "");
    }
    let default = FileOptions::default();
    let text = FileOptions { format: Some(Format::Text), ..FileOptions::default() };
    assert!(refused("none.txt", &default).contains("none.txt: No such file"));
    assert!(refused("", &text).contains("is a folder where a file is expected"));
    assert!(refused("a.csv", &default).contains("a.csv: the suffix does not tell the format; known are .txt"));
    assert!(refused("a.parquet", &default).contains("Documents.from_arrow"));
    assert!(refused("a.txt", &separated("")).contains("the separator is empty"));
    let empty_key = FileOptions { text_field: "a..b".into(), ..FileOptions::default() };
    assert!(refused("a.txt", &empty_key).contains("not a path of keys"));
    let json = FileOptions { format: Some(Format::JsonLines), ..separated("|") };
    assert!(refused("a.txt", &json).contains("leave it out"));
    let stdin = FileSource::new(&[STDIN.into()], default).err().unwrap().to_string();
    assert!(stdin.contains("standard input has no suffix"));
}

#[test]
fn texts_keep_rows_and_tell_how_bytes_are_divided() {
    let mut a = TextBlocks::new("<texts>");
    let mut b = TextBlocks::new("<texts>");
    ["ab", "", "c"].iter().for_each(|text| a.push(text.as_bytes()));
    ["a", "bc"].iter().for_each(|text| b.push(text.as_bytes()));
    assert_eq!(a.take().unwrap().parse().unwrap().positions, [0, 1, 2]);
    assert!(a.take().is_none());
    a.push(b"d");
    let documents = a.take().unwrap().parse().unwrap();
    assert_eq!((documents.get(0), documents.positions[0]), ("d", 3));
    assert_ne!(a.record().blake3, b.record().blake3);
    // Two halves of one character are not text, though their concatenation is.
    b.push(&"é".as_bytes()[..1]);
    b.push(&"é".as_bytes()[1..]);
    let error = b.take().unwrap().parse().unwrap_err().to_string();
    assert!(error.starts_with("<texts>, row 2: the text of this row"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn blocks_of_every_size_give_the_same_documents(content in "[ab|\n\u{e9}\u{feff}]{0,60}", separator in "[ab|]{1,3}") {
        let folder = tempfile::tempdir().unwrap();
        let path = file(&folder, "a.txt", &content);
        let text = content.strip_prefix('\u{feff}').unwrap_or(&content);
        let mut expected: Vec<String> = text.split(separator.as_str()).map(String::from).collect();
        if expected.last().is_some_and(String::is_empty) {
            expected.pop();
        }
        let options = separated(&separator);
        let once = read_file(&path, &options, 1 << 20).unwrap();
        prop_assert_eq!(once.iter().map(|(text, _)| text.clone()).collect::<Vec<_>>(), expected);
        for (text, position) in &once {
            let at = usize::try_from(*position).unwrap();
            prop_assert_eq!(&content[at..at + text.len()], text);
        }
        for size in [1, 2, 3, 5, 8, 13, 64] {
            prop_assert_eq!(&read_file(&path, &options, size).unwrap(), &once);
        }
    }

    #[test]
    fn records_survive_json_lines_in_blocks_of_every_size(texts in prop::collection::vec(any::<String>(), 0..12)) {
        let folder = tempfile::tempdir().unwrap();
        let mut expected = Vec::new();
        let mut content = String::new();
        for text in &texts {
            expected.push((text.clone(), content.len() as u64));
            content += &format!("{}\n", serde_json::json!({"id": text, "text": text, "z": [text]}));
        }
        let path = file(&folder, "a.jsonl", &content);
        for size in [1, 7, 50, 1 << 20] {
            prop_assert_eq!(&read_file(&path, &FileOptions::default(), size).unwrap(), &expected);
        }
    }
}

mod expanding {
    use super::*;

    /// The files found, relative to the folder.
    fn expanded(folder: &Path, arguments: &[&str], format: Option<Format>) -> Result<Vec<String>, String> {
        let arguments: Vec<PathBuf> = arguments.iter().map(|name| folder.join(name)).collect();
        let prefix = format!("{}/", folder.display());
        expand(&arguments, format)
            .map(|files| files.iter().map(|file| file.display().to_string().replace(&prefix, "")).collect())
            .map_err(|error| error.to_string().replace(&prefix, ""))
    }

    fn tree() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.txt", "a.jsonl.gz", "notes.md", ".hidden.txt", "sub/c.txt", "sub/.git/d.txt", "x[1].txt"] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        std::fs::create_dir(folder.path().join("empty")).unwrap();
        folder
    }

    #[test]
    fn folders_give_their_known_files_sorted() {
        let folder = tree();
        let known = ["a.jsonl.gz", "b.txt", "sub/c.txt", "x[1].txt"];
        assert_eq!(expanded(folder.path(), &[""], None).unwrap(), known);
        let all = ["a.jsonl.gz", "b.txt", "notes.md", "sub/c.txt", "x[1].txt"];
        assert_eq!(expanded(folder.path(), &[""], Some(Format::Text)).unwrap(), all);
        assert!(expanded(folder.path(), &["empty"], None).unwrap_err().contains("nothing to read in folder empty"));
    }

    #[test]
    fn patterns_cross_folders_only_with_two_stars() {
        let folder = tree();
        assert_eq!(expanded(folder.path(), &["*.txt"], None).unwrap(), ["b.txt", "x[1].txt"]);
        assert_eq!(expanded(folder.path(), &["**/*.txt"], None).unwrap(), ["b.txt", "sub/c.txt", "x[1].txt"]);
        assert_eq!(expanded(folder.path(), &["s*"], None).unwrap(), ["sub/c.txt"]);
        assert_eq!(expanded(folder.path(), &["x[1].txt"], None).unwrap(), ["x[1].txt"]);
        assert!(expanded(folder.path(), &["*.csv"], None).unwrap_err().contains("no file matches"));
        assert!(expanded(folder.path(), &["a***"], None).unwrap_err().contains("not a pattern"));
    }

    #[test]
    fn arguments_keep_their_order_and_repeated_paths_are_read_once() {
        let folder = tree();
        let found = expanded(folder.path(), &["sub/c.txt", "b.txt", "./b.txt", ""], None).unwrap();
        assert_eq!(found, ["sub/c.txt", "b.txt", "a.jsonl.gz", "x[1].txt"]);
        assert_eq!(expand(&["-".into(), "-".into()], None).unwrap(), [PathBuf::from("-")]);
    }

    #[test]
    fn what_is_not_there_is_named() {
        let folder = tree();
        assert!(expanded(folder.path(), &["none.txt"], None).unwrap_err().contains("none.txt: No such file"));
        let url = expand(&["s3://bucket/*.jsonl".into()], None).unwrap_err().to_string();
        assert!(url.contains("s3://bucket/*.jsonl is a URL"), "{url}");
        assert!(expand(&["".into()], None).unwrap_err().to_string().contains("a path is empty"));
        assert!(expand(&[], None).unwrap_err().to_string().contains("no files were named"));
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_once() {
        let folder = tree();
        std::os::unix::fs::symlink(folder.path(), folder.path().join("sub/up")).unwrap();
        std::os::unix::fs::symlink(folder.path().join("b.txt"), folder.path().join("sub/link.txt")).unwrap();
        let found = expanded(folder.path(), &[""], None).unwrap();
        assert_eq!(found, ["a.jsonl.gz", "b.txt", "sub/c.txt", "sub/link.txt", "x[1].txt"]);
        std::os::unix::fs::symlink("nowhere", folder.path().join("broken.txt")).unwrap();
        assert!(expanded(folder.path(), &[""], None).unwrap_err().contains("broken.txt: No such file"));
    }
}
