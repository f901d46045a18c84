//! Whole tokenizers through files: what is written is read back as the same tokenizer.

use super::*;
use crate::bpe::{BpeModel, Merge, Merges};
use crate::split::Pattern;
use crate::tokenizer::Model;
use crate::vocab::{SpecialToken, Vocab};
use crate::word::{WordModel, WordSplit};
use proptest::prelude::*;
use serde_json::{Value, json};

fn special(text: &str, id: u32, always: bool) -> SpecialToken {
    SpecialToken { text: text.to_owned(), id, always }
}

/// All bytes, then "ab", "abc" and " a".
fn bpe(pattern: &str, ranks: bool, specials: Vec<SpecialToken>) -> Tokenizer {
    let learned = [(256, b"ab".to_vec()), (257, b"abc".to_vec()), (258, b" a".to_vec())];
    let tokens = (0..=u8::MAX).map(|byte| (u32::from(byte), vec![byte])).chain(learned).collect();
    let merge = |left: u8, right: u8, id| Merge { left: left.into(), right: right.into(), id };
    let list =
        vec![merge(b'a', b'b', 256), Merge { left: 256, right: u32::from(b'c'), id: 257 }, merge(b' ', b'a', 258)];
    let merges = if ranks { Merges::Ranks } else { Merges::List(list) };
    let model = BpeModel::new(Pattern::parse(pattern).unwrap(), Vocab::new(tokens).unwrap(), merges, ranks).unwrap();
    Tokenizer::new(Model::Bpe(model), specials).unwrap()
}

fn words(split: WordSplit, unknown: bool) -> Tokenizer {
    let vocab = Vocab::new(vec![(0, b"!".to_vec()), (1, b"a".to_vec()), (2, "日本".as_bytes().to_vec())]).unwrap();
    let model = WordModel::new(split, vocab, unknown.then_some(4)).unwrap();
    Tokenizer::new(Model::Word(model), vec![special("[EOS]", 3, false), special("[UNK]", 4, false)]).unwrap()
}

fn examples() -> Vec<Tokenizer> {
    vec![
        bpe("gpt2", false, vec![special("<|end|>", 300, false)]),
        bpe("gpt4", true, vec![special("<|end|>", 259, false), special("  x", 260, true)]),
        bpe("[a-z]+|[^a-z]+", true, vec![]),
        words(WordSplit::Punctuation, true),
        words(WordSplit::Whitespace, false),
        words(WordSplit::Regex(r"[,.]|\s".to_owned()), true),
    ]
}

fn read(value: &Value) -> Result<Tokenizer> {
    tokenizer_json::from_json(value.to_string().as_bytes(), Path::new("t.json"))
}

fn example() -> Value {
    let tokenizer = bpe("gpt2", false, vec![special("<|end|>", 259, false)]);
    serde_json::from_slice(&tokenizer_json::to_json(&tokenizer).unwrap()).unwrap()
}

#[test]
fn a_tokenizer_json_gives_the_same_tokenizer_and_the_same_bytes_back() {
    let folder = tempfile::tempdir().unwrap();
    for tokenizer in examples() {
        let path = folder.path().join("t.json");
        save(&tokenizer, &path).unwrap();
        let again = load(&path, None, None).unwrap();
        assert_eq!(again.fingerprint(), tokenizer.fingerprint());
        assert_eq!(std::fs::read(&path).unwrap(), tokenizer_json::to_json(&again).unwrap());
    }
}

#[test]
fn a_list_that_looks_like_ranks_stays_a_list_without_the_mark() {
    let mut value: Value =
        serde_json::from_slice(&tokenizer_json::to_json(&bpe("gpt2", true, vec![])).unwrap()).unwrap();
    assert_eq!(value["model"]["tokenmill"], json!({"version": 1, "merges": "ranks"}));
    value["model"]["merges"].as_array_mut().unwrap().swap(0, 1);
    assert!(read(&value).unwrap_err().to_string().contains("changed after"));
    value["model"].as_object_mut().unwrap().remove("tokenmill");
    let again = read(&value).unwrap();
    let Model::Bpe(model) = again.model() else { panic!("not BPE") };
    assert!(matches!(model.merges(), Merges::List(list) if list.len() == 3));
}

#[test]
fn ranks_are_read_from_any_list_that_means_the_same() {
    let letters = ["ab", "bc", "abc", "bcd", "abcd"].map(|text| text.as_bytes().to_vec());
    let tokens = (0..).zip((0..=u8::MAX).map(|byte| vec![byte]).chain(letters)).collect();
    let pattern = Pattern::parse("gpt2").unwrap();
    let model = BpeModel::new(pattern, Vocab::new(tokens).unwrap(), Merges::Ranks, true).unwrap();
    let tokenizer = Tokenizer::new(Model::Bpe(model), vec![]).unwrap();
    let mut value: Value = serde_json::from_slice(&tokenizer_json::to_json(&tokenizer).unwrap()).unwrap();
    let merges = json!([["a", "b"], ["b", "c"], ["ab", "c"], ["bc", "d"], ["abc", "d"]]);
    assert_eq!(value["model"]["merges"], merges);
    // Every way to cut a token in two: files have been written so.
    let cuts = json!([["a", "b"], ["b", "c"], ["a", "bc"], ["ab", "c"], ["bc", "d"], ["a", "bcd"], ["abc", "d"]]);
    for (list, means_the_same) in [
        (cuts, true),
        (json!([["a", "b"], ["b", "c"], ["ab", "c"], ["bc", "d"]]), false),
        (json!([["b", "c"], ["a", "b"], ["ab", "c"], ["bc", "d"], ["abc", "d"]]), false),
    ] {
        value["model"]["merges"] = list;
        match read(&value) {
            Ok(again) => assert!(means_the_same && again.fingerprint() == tokenizer.fingerprint()),
            Err(error) => assert!(!means_the_same, "{error}"),
        }
    }
    value["model"]["merges"] = merges;
    value["model"]["ignore_merges"] = json!(false);
    assert!(read(&value).unwrap_err().to_string().contains("changed after"));
}

#[test]
fn what_would_change_ids_is_refused_with_the_name_of_the_field() {
    let flags = json!({"id": 259, "content": "<|end|>", "rstrip": true, "special": true});
    for (pointer, value, expected) in [
        ("/normalizer", json!({"type": "NFC"}), "normalizer = {\"type\":\"NFC\"}"),
        ("/truncation", json!({"max_length": 4}), "truncation"),
        ("/padding", json!({"strategy": "BatchLongest"}), "padding"),
        ("/version", json!("2.0"), "version = \"2.0\""),
        ("/decoder", json!({"type": "Metaspace"}), "decoder"),
        ("/post_processor", json!({"type": "Else"}), "post_processor"),
        ("/pre_tokenizer", json!({"type": "Whitespace"}), "pre_tokenizer"),
        ("/model/type", json!("Unigram"), "model.type = \"Unigram\""),
        ("/model/dropout", json!(0.1), "model.dropout = 0.1"),
        ("/model/continuing_subword_prefix", json!("##"), "model.continuing_subword_prefix = \"##\""),
        ("/model/end_of_word_suffix", json!("</w>"), "model.end_of_word_suffix"),
        ("/model/byte_fallback", json!(true), "model.byte_fallback = true"),
        ("/model/fuse_unk", json!(true), "model.fuse_unk = true"),
        ("/added_tokens", json!([flags]), "rstrip = true"),
        ("/model/merges/1", json!(["ab", "zz"]), "model.merges[1]"),
        ("/model/merges/1", json!("a b c"), "a merge of two tokens"),
        ("/model/vocab", json!([["a", 0.5]]), "model.vocab is a list"),
        ("/model/vocab", json!({"a": 5_000_000_000u64}), "5000000000"),
        ("/model/vocab", json!({"a": -1}), "-1"),
        ("/model", json!({"type": "BPE", "vocab": {"a": 0, "b": 0}, "merges": []}), "id 0 is given to both"),
        ("/model", json!({"type": "BPE", "vocab": {"a": 4_000_000_000u32}, "merges": []}), "gap"),
        ("/model", json!({"type": "BPE", "vocab": {"あ": 0}, "merges": []}), "'あ' (U+3042)"),
    ] {
        let mut file = example();
        file["added_tokens"] = json!([]);
        if pointer != "/added_tokens" {
            file["model"]["vocab"].as_object_mut().unwrap().remove("<|end|>");
        }
        *file.pointer_mut(pointer).unwrap() = value;
        let message = read(&file).unwrap_err().to_string();
        assert!(message.starts_with("t.json: ") && message.contains(expected), "{pointer}: {message}");
    }
}

#[test]
fn unk_token_matters_only_where_a_byte_is_missing() {
    let mut file = example();
    file["model"]["unk_token"] = json!("<|end|>");
    read(&file).unwrap();
    file["model"]["vocab"].as_object_mut().unwrap().remove("!");
    assert!(read(&file).unwrap_err().to_string().contains("model.unk_token"));
}

#[test]
fn merges_are_read_as_pairs_and_as_strings_and_post_processors_add_nothing() {
    let pairs = example();
    let mut strings = pairs.clone();
    let merges = strings["model"]["merges"].as_array_mut().unwrap();
    for merge in merges {
        *merge = json!(format!("{} {}", merge[0].as_str().unwrap(), merge[1].as_str().unwrap()));
    }
    strings["post_processor"] =
        json!({"type": "Sequence", "processors": [{"type": "ByteLevel"}, {"type": "TemplateProcessing"}]});
    assert_eq!(read(&strings).unwrap().fingerprint(), read(&pairs).unwrap().fingerprint());
}

#[test]
fn a_token_is_special_or_ordinary_never_both() {
    let mut file = example();
    file["added_tokens"] = json!([{"id": 256, "content": "ab"}]);
    assert!(read(&file).unwrap_err().to_string().contains("part of model.merges[0]"));
    file["added_tokens"] = json!([{"id": 97, "content": "a"}]);
    assert!(read(&file).unwrap_err().to_string().contains("\"a\" is also"));
    file["added_tokens"] = json!([{"id": 122, "content": "z"}]);
    assert!(read(&file).unwrap_err().to_string().contains("the token of a byte"));
    let clash = bpe("gpt2", false, vec![special("ab", 300, false)]);
    assert!(tokenizer_json::to_json(&clash).unwrap_err().to_string().contains("spelled like the ordinary token"));
}

#[test]
fn a_tiktoken_file_comes_back_with_pattern_and_special_tokens_given_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.tiktoken");
    let tokenizer = bpe("gpt4", true, vec![special("<|end|>", 300, false)]);
    save(&tokenizer, &path).unwrap();
    let again = load(&path, Some("gpt4"), Some(vec![("<|end|>".to_owned(), 300)])).unwrap();
    assert_eq!(again.fingerprint(), tokenizer.fingerprint());
    assert!(std::fs::read(&path).unwrap().starts_with(b"AA== 0\nAQ== 1\n"));
    save(&bpe("gpt2", false, vec![]), &path).unwrap();
    assert!(save(&words(WordSplit::Whitespace, false), &path).is_err());
}

#[test]
fn gpt2_files_come_back_by_folder_and_by_either_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gpt2");
    let tokenizer = bpe("gpt2", false, vec![special("<|end|>", 259, false)]);
    save(&tokenizer, &path).unwrap();
    for name in ["", "vocab.json", "merges.txt"] {
        let again = load(&path.join(name), None, None).unwrap();
        assert_eq!(again.fingerprint(), tokenizer.fingerprint(), "{name}");
    }
    for (other, expected) in [
        (bpe("gpt2", true, vec![]), "ranks"),
        (bpe("gpt4", false, vec![]), "pattern"),
        (bpe("gpt2", false, vec![special("[END]", 259, false)]), "[END]"),
        (words(WordSplit::Whitespace, false), "word tokenizer"),
    ] {
        let message = save(&other, &path).unwrap_err().to_string();
        assert!(message.contains(expected) && message.contains("save it as .json"), "{message}");
    }
}

#[test]
fn the_path_decides_and_wrong_paths_say_so() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(load(&folder.path().join("none.json"), None, None), Err(Error::Io { .. })));
    assert!(matches!(load(folder.path(), None, None), Err(Error::Format { .. })));
    let path = folder.path().join("t.json");
    save(&words(WordSplit::Whitespace, false), &path).unwrap();
    assert!(load(&path, Some("gpt2"), None).unwrap_err().to_string().contains("its own pattern"));
    let odd = folder.path().join("t.model");
    assert!(save(&words(WordSplit::Whitespace, false), &odd).unwrap_err().to_string().contains(".model"));
    std::fs::copy(&path, &odd).unwrap();
    assert!(load(&odd, None, None).unwrap_err().to_string().contains("ends in .json"));
}

#[test]
fn a_file_that_is_too_large_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sparse.json");
    File::create(&path).unwrap().set_len(10 << 30).unwrap();
    assert!(load(&path, None, None).unwrap_err().to_string().contains("more than 1073741824 bytes"));
    std::fs::write(&path, b"12345").unwrap();
    assert!(read_at_most(&path, 4).is_err());
    assert_eq!(read_at_most(&path, 5).unwrap(), b"12345");
}

#[test]
fn deep_nesting_is_an_error_not_an_overflow() {
    let deep = format!("{{\"model\": {{}}, \"normalizer\": {}", "[".repeat(1_000_000));
    assert!(tokenizer_json::from_json(deep.as_bytes(), Path::new("t.json")).is_err());
}

proptest! {
    #[test]
    fn damaged_files_never_panic(position in 0.0f64..1.0, length in 0usize..20, new: Vec<u8>, which in 0usize..2) {
        let tokenizer = &examples()[which * 3];
        let mut json = tokenizer_json::to_json(tokenizer).unwrap();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a position below the length")]
        let start = (json.len() as f64 * position) as usize;
        let end = (start + length).min(json.len());
        json.splice(start..end, new);
        let _ = tokenizer_json::from_json(&json, Path::new("t.json"));
    }
}
