//! More ids than 32 bits count, and more bytes of them. One string many times over: the texts themselves take no memory.

#![allow(clippy::unwrap_used)]

use tokenmill::bpe::{BpeModel, Count, Merges};
use tokenmill::special::Allowed;
use tokenmill::split::Pattern;
use tokenmill::tokenizer::{Model, Tokenizer};
use tokenmill::vocab::Vocab;

/// Each byte a token: as many ids as bytes.
fn bytes_only() -> Tokenizer {
    let tokens = (0..=u8::MAX).map(|byte| (u32::from(byte), vec![byte])).collect();
    let model =
        BpeModel::new(Pattern::parse("gpt4").unwrap(), Vocab::new(tokens).unwrap(), Merges::Ranks, true).unwrap();
    Tokenizer::new(Model::Bpe(model), vec![]).unwrap()
}

const MIB: usize = 1 << 20;

fn text() -> String {
    let mut text = "The cat's 12 hats, ".repeat(MIB / 19);
    text.push_str(&"x".repeat(MIB - text.len()));
    text
}

#[test]
#[ignore = "four billion ids: half a minute"]
fn more_than_four_billion_ids_are_counted() {
    let text = text();
    let texts = vec![text.as_str(); 4097];
    let flat = bytes_only().encode_batch::<Count>(&texts, Allowed::None, &()).unwrap();
    assert_eq!(flat.ids, Count(4097 * MIB));
    assert!(flat.offsets.iter().enumerate().all(|(text, &offset)| offset == i64::try_from(text * MIB).unwrap()));
}

#[test]
#[ignore = "more than 4 GiB of memory"]
fn more_than_four_gib_of_ids_are_whole() {
    let text = text();
    let wanted: Vec<u16> = text.bytes().map(u16::from).collect();
    let texts = vec![text.as_str(); 2049];
    let flat = bytes_only().encode_batch::<Vec<u16>>(&texts, Allowed::None, &()).unwrap();
    assert_eq!(flat.ids.len() * 2, (4 << 30) + 2 * MIB);
    assert!(flat.lists().all(|list| list == wanted));
    assert_eq!(flat.lists().count(), texts.len());
}
