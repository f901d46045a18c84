use super::encoder::tests::PLAIN;
use super::*;
use crate::bpe::{Count, Merges};
use crate::special::Allowed;
use crate::split::Pattern;
use crate::word::WordSplit;
use proptest::prelude::*;
use std::sync::{Arc, LazyLock};

fn tokenizer() -> Tokenizer {
    let tokens = (0..=u8::MAX).map(|byte| (u32::from(byte), vec![byte])).chain([(256, b"ab".to_vec())]).collect();
    let bpe = BpeModel::new(Pattern::parse("gpt2").unwrap(), Vocab::new(tokens).unwrap(), Merges::Ranks, true).unwrap();
    let special = |text: &str, id, always| SpecialToken { text: text.into(), id, always };
    let specials = vec![special("<|x|>", 300, false), special("<|x|>y", 301, false), special("ZZ", 302, true)];
    Tokenizer::new(Model::Bpe(bpe), specials).unwrap()
}

fn encode(text: &str, allowed: Allowed<'_>) -> Vec<u32> {
    let mut ids = Vec::new();
    tokenizer().encode(text, allowed, &mut ids).unwrap();
    ids
}

#[test]
fn special_tokens_are_text_unless_allowed_and_the_longest_wins() {
    assert_eq!(encode("ab<|x|>", Allowed::None), [256, 60, 124, 120, 124, 62]);
    assert_eq!(encode("ab<|x|>y", Allowed::All), [256, 301]);
    assert_eq!(encode("ab<|x|>y", Allowed::Only(&["<|x|>".into()])), [256, 300, 121]);
    assert_eq!(encode("abZZ", Allowed::None), [256, 302]);
    let error = tokenizer().encode("a", Allowed::Only(&["<|y|>".into()]), &mut Vec::<u32>::new()).unwrap_err();
    assert!(error.to_string().contains("<|y|>"), "{error}");
}

#[test]
fn offsets_tile_the_text() {
    let (ids, spans) = tokenizer().encode_with_offsets("ab<|x|>é", Allowed::All).unwrap();
    assert_eq!(ids, [256, 300, 0xC3, 0xA9]);
    assert_eq!(spans, [0..2, 2..7, 7..8, 8..9]);
}

#[test]
fn decoding_gives_the_bytes_back_and_names_unknown_ids() {
    assert_eq!(tokenizer().decode(&[256, 300, 97], false).unwrap(), b"ab<|x|>a");
    assert_eq!(tokenizer().decode(&[256, 300, 97], true).unwrap(), b"aba");
    assert!(tokenizer().decode(&[97, 299], false).unwrap_err().to_string().contains("id 299 (number 1 of 2)"));
}

#[test]
fn fingerprints_tell_tokenizers_apart() {
    let other = Tokenizer::new(tokenizer().model, vec![]).unwrap();
    assert_eq!(tokenizer().fingerprint(), tokenizer().fingerprint());
    assert_ne!(tokenizer().fingerprint(), other.fingerprint());
}

/// With each kind of text that offers a cut or does not, and special tokens that overlap, hold a cut, or lie on one.
pub(super) static BPE: LazyLock<Vec<Arc<Tokenizer>>> = LazyLock::new(|| {
    let make = |pattern| {
        let tokens = (0..=u8::MAX).map(|byte| (u32::from(byte), vec![byte]));
        let words = [&b"th"[..], b"the", b" the", b"ca", b"cat", b" ca", b" cat", b"12", b"  "];
        let tokens = tokens.chain((256..).zip(words.map(<[u8]>::to_vec))).collect();
        let bpe =
            BpeModel::new(Pattern::parse(pattern).unwrap(), Vocab::new(tokens).unwrap(), Merges::Ranks, true).unwrap();
        let special = |text: &str, id, always| SpecialToken { text: text.into(), id, always };
        let specials = vec![
            special("<|x|>", 300, false),
            special("<|x|><|x|>12", 301, false),
            special("t <", 302, false),
            special("ZZ", 303, true),
        ];
        Arc::new(Tokenizer::new(Model::Bpe(bpe), specials).unwrap())
    };
    ["gpt2", "gpt4", "gpt4o", "llama3", "qwen2", r"\w+|\W+"].map(make).into()
});

static WORDS: LazyLock<Vec<Arc<Tokenizer>>> = LazyLock::new(|| {
    let make = |split| {
        let words = ["the", "cat", ".", "12", "-", "--", "'"].map(|word| word.as_bytes().to_vec());
        let words = Vocab::new((0..).zip(words).collect()).unwrap();
        let specials = [("[UNK]", 20), ("the cat", 21), (" <", 22)];
        let specials = specials.map(|(text, id)| SpecialToken { text: text.into(), id, always: false }).into();
        Arc::new(Tokenizer::new(Model::Word(WordModel::new(split, words, Some(20)).unwrap()), specials).unwrap())
    };
    [WordSplit::Punctuation, WordSplit::Whitespace, WordSplit::Regex(r",\s".into())].map(make).into()
});

pub(super) fn tokenizers() -> impl Iterator<Item = &'static Arc<Tokenizer>> {
    BPE.iter().chain(WORDS.iter())
}

/// All on one thread: texts below the size from which work is shared.
fn short(tokenizer: &Tokenizer, text: &str, allowed: Allowed<'_>) -> Vec<u32> {
    assert!(text.len() < 64 << 10);
    let mut ids = Vec::new();
    tokenizer.encode(text, allowed, &mut ids).unwrap();
    ids
}

const SNIPPETS: [&str; 16] = [
    "the cat",
    " the",
    "  ",
    "\n",
    "<|x|>",
    "<|x|><|x|>12",
    "t <",
    "ZZ",
    "'s",
    "123",
    "中文",
    "e\u{301}",
    ".",
    " -- ",
    "<|",
    "x|>1",
];

/// Random texts of these.
pub(super) fn snippets(most: usize) -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(&SNIPPETS[..]), 0..most).prop_map(|parts| parts.concat())
}

/// The ids of a text given in chunks.
fn stream(tokenizer: &Arc<Tokenizer>, chunks: &[&str], allowed: Allowed<'_>) -> Vec<u32> {
    let mut stream = Stream::new(Arc::clone(tokenizer), allowed).unwrap();
    let mut ids: Vec<u32> = chunks.iter().flat_map(|chunk| stream.push(chunk, &()).unwrap()).collect();
    ids.extend(stream.finish(&()).unwrap());
    ids
}

/// The same of its bytes, where each chunk begins with what was not taken of the one before.
fn stream_of_bytes(tokenizer: &Arc<Tokenizer>, bytes: &[u8], chunk_bytes: usize) -> Vec<u32> {
    let mut stream = Stream::new(Arc::clone(tokenizer), Allowed::All).unwrap();
    let (mut ids, mut waiting) = (Vec::new(), Vec::new());
    for chunk in bytes.chunks(chunk_bytes) {
        waiting.extend_from_slice(chunk);
        let (more, taken) = stream.push_bytes(&waiting, &()).unwrap();
        ids.extend(more);
        waiting.drain(..taken);
        assert!(waiting.len() < 4, "only what could become a character is left");
    }
    ids.extend(stream.finish(&()).unwrap());
    ids
}

proptest! {
    #[test]
    fn a_stream_gives_the_ids_of_the_whole(text in snippets(20), cuts in prop::collection::vec(0..200usize, 0..8)) {
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| crate::split::floor(&text, cut)).collect();
        cuts.extend([0, text.len()]);
        cuts.sort_unstable();
        let chunks: Vec<&str> = cuts.windows(2).map(|cut| &text[cut[0]..cut[1]]).collect();
        for tokenizer in tokenizers() {
            for allowed in [Allowed::None, Allowed::All] {
                let want = short(tokenizer, &text, allowed);
                prop_assert_eq!(stream(tokenizer, &chunks, allowed), want, "{:?} {:?}", tokenizer.model(), chunks);
            }
            let want = short(tokenizer, &text, Allowed::All);
            for chunk_bytes in [1, 2, 5] {
                prop_assert_eq!(&stream_of_bytes(tokenizer, text.as_bytes(), chunk_bytes), &want);
            }
        }
    }
}

proptest! {
    // Long texts: the work of 256 short cases each.
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn a_batch_gives_the_ids_of_single_texts(
        texts in prop::collection::vec((snippets(12), 1..300usize), 0..12),
        long in 0..4usize,
    ) {
        let mut texts: Vec<String> = texts.into_iter().map(|(text, times)| text.repeat(times)).collect();
        if let Some(text) = texts.get_mut(long) {
            *text = text.repeat(2 + (150_000 / text.len().max(1)).min(5_000));
        }
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        for tokenizer in tokenizers().map(|tokenizer| &**tokenizer).chain(&*PLAIN) {
            for allowed in [Allowed::None, Allowed::All] {
                let flat = tokenizer.encode_batch::<Vec<u32>>(&texts, allowed, &()).unwrap();
                prop_assert_eq!(flat.offsets.len(), texts.len() + 1);
                for ((text, place), list) in texts.iter().zip(flat.offsets.windows(2)).zip(flat.lists()) {
                    let want = tokenizer.encode_in_one_go(text, allowed);
                    prop_assert_eq!(list, &want);
                    prop_assert_eq!(&flat.ids[place[0] as usize..place[1] as usize], &want);
                    let mut ids = vec![7];
                    tokenizer.encode(text, allowed, &mut ids).unwrap();
                    prop_assert_eq!(&ids[1..], &want);
                }
                let narrow = tokenizer.encode_batch::<Vec<u16>>(&texts, allowed, &()).unwrap();
                prop_assert!(narrow.ids.iter().copied().map(u32::from).eq(flat.ids.iter().copied()));
                prop_assert_eq!(&narrow.offsets, &flat.offsets);
                let count = tokenizer.encode_batch::<Count>(&texts, allowed, &()).unwrap();
                prop_assert_eq!(count.ids, Count(flat.ids.len()));
                prop_assert_eq!(count.offsets, flat.offsets);
            }
        }
    }
}

/// So many that threads share them, most of them short.
#[test]
fn a_batch_of_lines_gives_the_ids_of_single_texts() {
    let lines: Vec<String> = (0..20_000usize)
        .map(|number| match number % 7 {
            0 => String::new(),
            1 => format!("the cat {number}'s  \n"),
            2 => "中文 ".repeat(number % 40),
            _ => format!(" ca{number} the {}", "x".repeat(number % 29)),
        })
        .collect();
    let texts: Vec<&str> = lines.iter().map(String::as_str).collect();
    for tokenizer in &*PLAIN {
        let flat = tokenizer.encode_batch::<Vec<u32>>(&texts, Allowed::None, &()).unwrap();
        for (text, list) in texts.iter().zip(flat.lists()) {
            assert_eq!(list, tokenizer.encode_in_one_go(text, Allowed::None), "{text:?}");
        }
        assert_eq!(flat.offsets.len(), texts.len() + 1);
    }
}

#[test]
fn a_stream_holds_little() {
    let mut stream = Stream::new(Arc::clone(&BPE[0]), Allowed::All).unwrap();
    for _ in 0..1000 {
        stream.push("the cat 12 <|x|>", &()).unwrap();
        assert!(stream.pending_bytes() < 40);
    }
}

#[test]
fn a_million_texts_of_a_byte() {
    let texts = vec!["a"; 1_000_000];
    let flat = BPE[0].encode_batch::<Vec<u16>>(&texts, Allowed::None, &()).unwrap();
    assert!(flat.ids.iter().all(|&id| id == 97));
    assert!(flat.offsets.iter().copied().eq(0..=1_000_000));
}

#[test]
fn of_several_bad_texts_the_first_is_the_error() {
    let vocab = Vocab::new(vec![(0, b"a".to_vec()), (1, b" ".to_vec())]).unwrap();
    let bpe = BpeModel::new(Pattern::parse("gpt2").unwrap(), vocab, Merges::Ranks, true).unwrap();
    let tokenizer = Tokenizer::new(Model::Bpe(bpe), vec![]).unwrap();
    let good = "a ".repeat(100_000);
    let (first, second) = (format!("{good}x"), format!("y{good}"));
    for texts in [&[good.as_str(), &first, &second][..], &["a", "x", "y"]] {
        let error = tokenizer.encode_batch::<Vec<u32>>(texts, Allowed::None, &()).unwrap_err().to_string();
        assert!(error.starts_with("text 1: ") && error.contains("0x78"), "{error}");
    }
    let mut lines = vec!["a a"; 50_000];
    (lines[30_000], lines[40_000]) = ("a x", "y");
    let error = tokenizer.encode_batch::<Vec<u32>>(&lines, Allowed::None, &()).unwrap_err().to_string();
    assert!(error.starts_with("text 30000: ") && error.contains("0x78"), "{error}");
}

#[test]
fn a_monitor_ends_a_long_batch() {
    struct Stop;
    impl crate::monitor::Monitor for Stop {
        fn tick(&self, _: crate::monitor::Progress) -> Result<()> {
            Err(Error::value("stopped"))
        }
    }
    let text = "the cat ".repeat(100_000);
    let error = BPE[0].encode_batch::<Count>(&[&text], Allowed::None, &Stop).unwrap_err().to_string();
    assert!(error.contains("stopped"), "{error}");
}

#[test]
fn ids_that_do_not_fit_are_refused() {
    let specials = vec![SpecialToken { text: "<|x|>".into(), id: 70_000, always: false }];
    let bpe = BpeModel::new(
        Pattern::parse("gpt2").unwrap(),
        Vocab::new(vec![(0, b"a".to_vec())]).unwrap(),
        Merges::Ranks,
        true,
    );
    let tokenizer = Tokenizer::new(Model::Bpe(bpe.unwrap()), specials).unwrap();
    assert!(tokenizer.encode("a", Allowed::None, &mut Vec::<u16>::new()).is_err());
    assert!(tokenizer.encode_batch::<Vec<u16>>(&["a"], Allowed::None, &()).is_err());
    assert!(tokenizer.encode("a", Allowed::None, &mut Count::default()).is_ok());
}
