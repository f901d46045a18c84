//! One case out of any bytes: what a fuzz target runs, and what the property tests run on random bytes.

use super::bpe::{Parts, Twin, invent};
use super::patterns::{PAIRS, check};
use super::texts::{Random, Source};
use tokenmill::special::Allowed;
use tokenmill::tokenizer::Tokenizer;

/// Cuts texts by all five patterns. The bytes are read twice: as UTF-8, what is none replaced, and as choices of parts.
pub fn split_case(data: &[u8]) {
    let mut buffers = Default::default();
    check(&String::from_utf8_lossy(data), &mut buffers);
    check(&Source::new(data).text(usize::MAX, 4000, &[]), &mut buffers);
}

/// Encodes texts by a made-up vocabulary, cold, warm, and after other pieces have thrown them out of every cache.
pub fn encode_case(data: &[u8]) {
    let mut source = Source::new(data);
    let parts = invent(&mut source);
    let tokenizer = parts.tokenizer();
    let mut twin = parts.twin();
    let noise = if source.once_in(16) { Random(u64::from(source.byte())).words(3000, 9) } else { String::new() };
    let known: Vec<&str> = parts.tokens.iter().rev().filter_map(|(_, token)| std::str::from_utf8(token).ok()).collect();
    let texts: Vec<String> = (0..3).map(|_| source.text(30, 700, &known[..known.len().min(60)])).collect();
    for text in texts.iter().chain(&texts).chain([&noise]).chain(&texts) {
        same(&parts, &tokenizer, &mut twin, text);
    }
    batch(&parts, &tokenizer, &mut twin, &texts);
}

/// Panics where the crate's ids, or what it says of them, differ from the twin's.
pub fn same(parts: &Parts, tokenizer: &Tokenizer, twin: &mut Twin, text: &str) {
    let mut got = vec![7];
    let result = tokenizer.encode_ordinary(text, &mut got);
    match (twin.encode(text), result) {
        (Ok(want), Ok(())) => {
            assert_eq!(got[0], 7, "the ids before were touched");
            assert!(got[1..] == want, "{}", explain(parts, text, &got[1..], &want));
            let (ids, spans) = tokenizer.encode_with_offsets(text, Allowed::None).unwrap();
            assert_eq!(ids, want);
            for (id, span) in ids.iter().zip(spans) {
                assert_eq!(tokenizer.token_bytes(*id), Some(&text.as_bytes()[span]), "{text:?}");
            }
        }
        (Err(missing), Err(error)) => {
            let name = format!("0x{:02X}", missing.0);
            assert!(error.to_string().contains(&name), "{text:?}: {error} does not name {name}");
        }
        (want, got) => panic!("{text:?}: {got:?}, want {want:?}; {}", about(parts)),
    }
}

fn batch(parts: &Parts, tokenizer: &Tokenizer, twin: &mut Twin, texts: &[String]) {
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let want: Result<Vec<_>, _> = texts.iter().map(|text| twin.encode(text)).collect();
    let flat = tokenizer.encode_batch::<Vec<u32>>(&texts, Allowed::None, &());
    let got = flat.map(|flat| flat.lists().map(<[u32]>::to_vec).collect::<Vec<_>>());
    assert_eq!(got.as_ref().ok(), want.as_ref().ok(), "in a batch: {}", about(parts));
}

fn about(parts: &Parts) -> String {
    let rule = if parts.merges.is_some() { "merge list" } else { "ranks" };
    let Parts { pattern, whole_pieces, .. } = parts;
    format!("pattern {}, {rule}, whole pieces {whole_pieces}", PAIRS[*pattern].name)
}

fn explain(parts: &Parts, text: &str, got: &[u32], want: &[u32]) -> String {
    let same = got.iter().zip(want).take_while(|(got, want)| got == want).count();
    let bytes = |ids: &[u32]| -> Vec<String> {
        let shown = ids.iter().skip(same).take(6);
        shown
            .map(|id| {
                let token = parts.tokens.iter().find(|(known, _)| known == id);
                token.map_or("no token".into(), |(_, token)| format!("{id} = {}", token.escape_ascii()))
            })
            .collect()
    };
    format!("{}, {text:?}, from id {same}: {:?}, want {:?}", about(parts), bytes(got), bytes(want))
}
