//! Stores of documents that come in parts, held against those of the same documents whole.

use super::coder::{Coder, Sink, encoder};
use super::pipeline::encode_documents;
use super::select::{OnDisk, Selection};
use super::tests::names;
use super::{Origin, PrepareOptions, Recipe, SpecialText, Split, Splitter, StoredId, Summary, prepare, verify};
use crate::bpe::{BpeModel, Merges};
use crate::documents::{FileOptions, FileSource};
use crate::error::{Error, Result};
use crate::split::Pattern;
use crate::tokenizer::{LongText, Model, Tokenizer};
use crate::vocab::{SpecialToken, Vocab};
use crate::word::{WordModel, WordSplit};
use proptest::prelude::*;
use rayon::ThreadPool;
use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

/// One of each width of ids, one whose pattern is known nothing of, and one with unknown words.
static TOKENIZERS: LazyLock<Vec<Tokenizer>> = LazyLock::new(|| {
    let special = |text: &str, id, always| SpecialToken { text: text.into(), id, always };
    let bpe = |pattern, last| {
        let bytes = (0..=u8::MAX).map(|byte| (u32::from(byte), vec![byte]));
        let words = [&b"th"[..], b"the", b" the", b"12", b"  ", b"\r\n", "中文".as_bytes(), b"<|"];
        let vocab = Vocab::new(bytes.chain((256..).zip(words.map(<[u8]>::to_vec))).collect()).unwrap();
        let model = BpeModel::new(Pattern::parse(pattern).unwrap(), vocab, Merges::Ranks, true).unwrap();
        let specials =
            vec![special("<|x|>", 300, false), special("<|x|><|x|>1", last, false), special("ZZ", 303, true)];
        Tokenizer::new(Model::Bpe(model), specials).unwrap()
    };
    let words = Vocab::new((0..).zip([b"the".to_vec(), b"12".to_vec()]).collect()).unwrap();
    let word = WordModel::new(WordSplit::Punctuation, words, None).unwrap();
    vec![
        bpe("gpt2", 301),
        bpe("gpt4", 70_000),
        bpe("gpt4o", 301),
        bpe(r"\w+|\W+", 301),
        Tokenizer::new(Model::Word(word), vec![special("<|x|>", 20, false)]).unwrap(),
    ]
});

/// Takes documents in memory.
struct Collected {
    documents: Vec<(Split, Vec<u32>, Origin)>,
    skipped: Vec<(Split, Origin)>,
    ids: Vec<u32>,
    /// `None` where nobody should need one.
    folder: Option<tempfile::TempDir>,
}

impl Sink for Collected {
    fn extend<T: StoredId>(&mut self, _split: Split, ids: &[T]) -> Result<()> {
        self.ids.extend(ids.iter().map(|id| id.wide()));
        Ok(())
    }

    fn end(&mut self, split: Split, origin: &Origin) -> Result<()> {
        self.documents.push((split, std::mem::take(&mut self.ids), *origin));
        Ok(())
    }

    fn skip(&mut self, split: Split, origin: &Origin) -> Result<()> {
        self.skipped.push((split, *origin));
        Ok(())
    }

    fn folder(&mut self) -> Result<&Path> {
        self.folder.as_ref().map(tempfile::TempDir::path).ok_or_else(|| Error::value("ids are kept back"))
    }
}

static POOL: LazyLock<ThreadPool> = LazyLock::new(|| rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap());

/// What a file comes to: documents, those on disk, and the summary.
type Outcome = Result<(Vec<(Split, Vec<u32>, Origin)>, Vec<(Split, Origin)>, Summary)>;

/// How a file is made into documents of ids.
struct Case<'a> {
    name: &'a str,
    reading: &'a FileOptions,
    tokenizer: &'a Tokenizer,
    options: PrepareOptions,
    on_disk: [u64; 2],
}

impl Case<'_> {
    fn run(&self, file: &Path, (block_bytes, long_bytes): (usize, usize)) -> Outcome {
        let (tokenizer, recipe) = (self.tokenizer, &self.options.recipe);
        let source = FileSource::with_block_bytes(&[file.to_path_buf()], self.reading, block_bytes).unwrap();
        let selection = Selection {
            splitter: Splitter::new(recipe.val_fraction)?,
            on_disk: OnDisk::First(self.on_disk),
            texts: recipe.dedup.then(HashSet::new),
            quarantine: None,
            summary: Summary::default(),
        };
        // Where every document goes to the same split or ends the work, its ids go there as they come.
        let may_go_elsewhere =
            recipe.val_fraction > 0.0 || recipe.dedup || self.options.skip_rejected || self.on_disk[0] > 0;
        let folder = may_go_elsewhere.then(|| tempfile::tempdir().unwrap());
        let sink = Collected { documents: Vec::new(), skipped: Vec::new(), ids: Vec::new(), folder };
        let allowed = recipe.specials.allowed();
        let coder = Coder {
            encoder: &|| encoder::<u32>(tokenizer, allowed),
            special_text: &|text| tokenizer.special_text(text),
            long_text: &|| LongText::new(tokenizer, allowed),
        };
        let mut source = source.with_long_bytes(long_bytes);
        let (sink, selection) = encode_documents(&mut source, &coder, sink, selection, &self.options, &(), &POOL)?;
        assert_eq!(sink.folder.map_or(0, |folder| folder.path().read_dir().unwrap().count()), 0);
        Ok((sink.documents, sink.skipped, selection.summary))
    }

    /// Checks that the bytes come to the same in parts as whole; what they come to.
    fn check(&self, bytes: &[u8], sizes: &[(usize, usize)]) -> Outcome {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(self.name);
        fs::write(&file, bytes).unwrap();
        let want = self.run(&file, (1 << 20, 1 << 30));
        for sizes in sizes {
            let context = || format!("{:?}, {sizes:?}, {:?}", bytes.escape_ascii().to_string(), self.options);
            match (self.run(&file, *sizes), &want) {
                (Ok(made), Ok(want)) => assert_eq!(&made, want, "{}", context()),
                // Which of several records is told depends on what is in a block.
                (Err(_), Err(_)) if self.reading.separator.is_some() || self.name != "a.txt" => {}
                (Err(made), Err(want)) => assert_eq!(told(&made), told(want), "{}", context()),
                (made, want) => panic!("{made:?} is not {want:?}: {}", context()),
            }
        }
        want
    }
}

/// The error but for which word of which part is unknown.
fn told(error: &Error) -> String {
    let text = error.to_string();
    text.split(": in the part of the text").flat_map(|text| text.split(": the word")).next().unwrap_or_default().into()
}

fn separated() -> FileOptions {
    FileOptions { separator: Some("||".into()), ..FileOptions::default() }
}

fn recipe(specials: SpecialText) -> Recipe {
    Recipe { bos: Some(4), eos: Some(5), specials, ..Recipe::default() }
}

const SNIPPETS: [&[u8]; 27] = [
    b"the",
    b" the",
    b"  ",
    b" \n \n",
    b"\r\n",
    b"\r",
    b"\n",
    b"12345",
    b"1",
    "中文".as_bytes(),
    "。".as_bytes(),
    "e\u{301}".as_bytes(),
    "😀".as_bytes(),
    b"'",
    b"'s",
    b"<|x|>",
    b"<|x|><|x|>1",
    b"<|x",
    b"|>",
    b"ZZ",
    b"\xff",
    b"\xf0\x9f",
    b"||",
    b"\"}\n{\"text\":\"",
    b"\\ud83d\\ude00",
    b"\\n",
    b"\\",
];

proptest! {
    #[test]
    fn documents_in_parts_come_to_the_ids_of_the_whole(
        snippets in prop::collection::vec(prop::sample::select(&SNIPPETS[..]), 0..40),
        (block_bytes, long_bytes) in (1..24usize, 1..48usize),
        (number, on_disk) in (0..TOKENIZERS.len(), prop::sample::select(vec![[0, 0], [1, 0], [2, 1]])),
        specials in prop::sample::select(vec![SpecialText::Text, SpecialText::Error, SpecialText::Allow]),
        (val_fraction, dedup) in (prop::sample::select(vec![0.0, 0.4]), any::<bool>()),
        skip_rejected in any::<bool>(),
    ) {
        let recipe = Recipe { val_fraction, dedup, ..recipe(specials) };
        let options = PrepareOptions { recipe, skip_rejected, ..PrepareOptions::default() };
        let bytes = snippets.concat();
        let json = [b"{\"text\":\"", bytes.as_slice(), b"\"}\n"].concat();
        let whole = FileOptions::default();
        for (name, bytes, reading) in [("a.txt", &bytes, &whole), ("a.txt", &bytes, &separated()), ("a.jsonl", &json, &whole)] {
            let case = Case { name, reading, tokenizer: &TOKENIZERS[number], options: options.clone(), on_disk };
            let _ = case.check(bytes, &[(block_bytes, long_bytes)]);
        }
    }
}

#[test]
fn of_a_rejected_document_no_id_is_left() {
    let sizes = [(1, 1), (3, 10)];
    let text = b"the 12 the||the the \xff the||12||the <|x|> the||the";
    let case = |specials, skip_rejected| {
        let options = PrepareOptions { recipe: recipe(specials), skip_rejected, ..PrepareOptions::default() };
        Case { name: "a.txt", reading: &separated(), tokenizer: &TOKENIZERS[0], options, on_disk: [0, 0] }
            .check(text, &sizes)
    };
    let (documents, _, summary) = case(SpecialText::Error, true).unwrap();
    assert_eq!((documents.len(), summary.rejected), (3, 2));
    assert_eq!(documents[1].1, [4, 259, 5]);
    let error = case(SpecialText::Text, false).unwrap_err().to_string();
    assert!(error.contains("line 1, byte 20: the text is not valid UTF-8"), "{error}");
}

#[test]
fn an_unknown_word_matters_only_in_a_document_that_is_wanted() {
    let file = |text: &str| {
        let options = PrepareOptions { skip_rejected: true, ..PrepareOptions::default() };
        let recipe = Recipe { dedup: true, ..Recipe::default() };
        let options = PrepareOptions { recipe, ..options };
        Case { name: "a.jsonl", reading: &FileOptions::default(), tokenizer: &TOKENIZERS[4], options, on_disk: [1, 0] }
            .check(text.as_bytes(), &[(1, 1), (4, 16)])
    };
    let bad = "{\"text\":\"the unknown word\"}\n";
    assert_eq!(file(&format!("{bad}{bad}{{\"text\":\"nor here\", \"x\":}}\n")).unwrap().2.duplicates, 1);
    assert!(file(&format!("{{\"text\":\"the\"}}\n{bad}")).unwrap_err().to_string().contains("\"unknown\""));
}

#[test]
fn of_a_long_record_the_quarantine_has_the_place() {
    let folder = tempfile::tempdir().unwrap();
    let (file, rejected) = (folder.path().join("a.jsonl"), folder.path().join("r.jsonl"));
    let record = "{\"body\":\"a long text, but not where it should be\"}";
    fs::write(&file, format!("{{\"text\":\"short\"}}\n{record}\n{{\"text\":\"b\"}}")).unwrap();
    let options =
        PrepareOptions { skip_rejected: true, quarantine: Some(rejected.clone()), ..PrepareOptions::default() };
    let source = FileSource::with_block_bytes(&[file], &FileOptions::default(), 8).unwrap();
    prepare(&mut source.with_long_bytes(24), &TOKENIZERS[0], &folder.path().join("s.tm"), &options, &()).unwrap();
    let line = fs::read_to_string(rejected).unwrap();
    assert!(
        line.contains("\"line\":2,\"byte\":17,")
            && line.ends_with(&format!(",\"record_at\":[17,{}]}}\n", 17 + record.len())),
        "{line}"
    );
    assert!(line.contains("there is no field \\\"text\\\": the record has other fields"), "{line}");
}

/// Stops after so many ticks.
struct Interrupt(std::sync::atomic::AtomicUsize);

impl crate::monitor::Monitor for Interrupt {
    fn tick(&self, _progress: crate::monitor::Progress) -> Result<()> {
        let before = self.0.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
        if before == 0 { Err(Error::Caller("interrupted".into())) } else { Ok(()) }
    }
}

#[test]
fn a_run_that_was_stopped_goes_on_to_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.txt");
    let text: String = (0..60).map(|number| format!("document {} of the corpus||", number % 50)).collect();
    fs::write(&file, text).unwrap();
    let recipe = Recipe { val_fraction: 0.3, dedup: true, shard_tokens: 200, ..recipe(SpecialText::Text) };
    let options = PrepareOptions { recipe, resume: true, ..PrepareOptions::default() };
    let run = |out: &str, ticks: usize, sizes: (usize, usize)| {
        let source = FileSource::with_block_bytes(std::slice::from_ref(&file), &separated(), sizes.0).unwrap();
        let monitor = Interrupt(ticks.into());
        prepare(&mut source.with_long_bytes(sizes.1), &TOKENIZERS[0], &folder.path().join(out), &options, &monitor)
    };
    run("whole", usize::MAX, (1 << 20, 1 << 30)).unwrap();
    let mut stopped = 0;
    for ticks in [40, 90, 140, 200, 260, 320] {
        stopped += usize::from(run("parts", ticks, (3, 7)).is_err());
    }
    assert!(stopped > 1);
    if !folder.path().join("parts").exists() {
        run("parts", usize::MAX, (3, 7)).unwrap();
    }
    for name in names(&folder.path().join("whole")) {
        let read = |out: &str| fs::read(folder.path().join(out).join(&name)).unwrap();
        assert!(read("whole") == read("parts"), "{name}");
    }
    assert_eq!(names(&folder.path().join("whole")), names(&folder.path().join("parts")));
    assert_eq!(verify(&folder.path().join("parts"), None, &()).unwrap().problems, []);
}
