use super::merge::SCAN_LIMIT;
use super::merge::tests_support::{heap, scan};
use super::*;
use proptest::prelude::*;

/// Bytes a, b, c (ids 0, 1, 2) and random merges of what exists so far.
fn model_parts() -> impl Strategy<Value = (Vocab, Vec<Merge>)> {
    prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..20).prop_map(|choices| {
        let mut tokens: Vec<(u32, Vec<u8>)> = vec![(0, b"a".to_vec()), (1, b"b".to_vec()), (2, b"c".to_vec())];
        let mut merges: Vec<Merge> = Vec::new();
        for (left, right) in choices {
            let (left, right) = (left.index(tokens.len()), right.index(tokens.len()));
            let bytes = [tokens[left].1.as_slice(), tokens[right].1.as_slice()].concat();
            if bytes.len() <= 12 && tokens.iter().all(|(_, known)| *known != bytes) {
                let id = tokens.len() as u32;
                merges.push(Merge { left: left as u32, right: right as u32, id });
                tokens.push((id, bytes));
            }
        }
        (Vocab::new(tokens).unwrap(), merges)
    })
}

/// The rule itself: find the best pair by looking at all, merge its leftmost occurrence, start again.
fn by_definition(vocab: &Vocab, rank_of: impl Fn(u32, u32) -> Option<(u32, u32)>, tokens: &[u32]) -> Vec<u32> {
    let mut tokens = tokens.to_vec();
    loop {
        let best = (0..tokens.len().saturating_sub(1))
            .filter_map(|i| rank_of(tokens[i], tokens[i + 1]).map(|(rank, id)| (rank, i, id)))
            .min();
        let Some((_, i, id)) = best else { return tokens };
        assert!(vocab.bytes(id).is_some());
        tokens.splice(i..i + 2, [id]);
    }
}

/// `tokens` are those of a, b and c.
fn all_give(table: &PairTable, vocab: &Vocab, tokens: &[u32], expected: &[u32]) -> Result<(), TestCaseError> {
    let piece: Vec<u8> = tokens.iter().flat_map(|token| vocab.bytes(*token).unwrap()).copied().collect();
    let byte_ids = byte_ids(vocab);
    if piece.len() <= 16 {
        prop_assert_eq!(scan::<16>(table, &byte_ids, &piece), expected);
    }
    if piece.len() <= SCAN_LIMIT {
        prop_assert_eq!(scan::<SCAN_LIMIT>(table, &byte_ids, &piece), expected);
    }
    prop_assert_eq!(heap(table, &byte_ids, &piece), expected);
    let (mut merged, mut buffers) = (Vec::new(), merge::MergeBuffers::default());
    merge::merge(&piece, &byte_ids, table, &mut merged, &mut buffers).unwrap();
    prop_assert_eq!(merged, expected);
    Ok(())
}

proptest! {
    #[test]
    fn every_strategy_follows_the_merge_list((vocab, merges) in model_parts(), tokens in prop::collection::vec(0u32..3, 1..120)) {
        let table = PairTable::from_list(&merges, &byte_ids(&vocab)).unwrap();
        let rank = |left, right| {
            merges.iter().position(|m| (m.left, m.right) == (left, right)).map(|rank| (rank as u32, merges[rank].id))
        };
        let expected = by_definition(&vocab, rank, &tokens);
        all_give(&table, &vocab, &tokens, &expected)?;
    }

    #[test]
    fn every_strategy_follows_the_ranks((vocab, _) in model_parts(), tokens in prop::collection::vec(0u32..3, 1..120)) {
        let table = PairTable::from_ranks(&vocab, &byte_ids(&vocab));
        let rank = |left, right| {
            let bytes = [vocab.bytes(left)?, vocab.bytes(right)?].concat();
            vocab.id(&bytes).map(|id| (id, id))
        };
        let expected = by_definition(&vocab, rank, &tokens);
        all_give(&table, &vocab, &tokens, &expected)?;
    }
}

#[test]
fn merges_that_do_not_fit_their_tokens_are_refused() {
    let vocab = || Vocab::new(vec![(0, b"a".to_vec()), (1, b"b".to_vec()), (2, b"ab".to_vec())]).unwrap();
    let build = |merges| BpeModel::new(Pattern::parse("gpt2").unwrap(), vocab(), Merges::List(merges), false);
    assert!(build(vec![Merge { left: 0, right: 1, id: 2 }]).is_ok());
    let wrong = build(vec![Merge { left: 1, right: 0, id: 2 }]).unwrap_err().to_string();
    assert!(wrong.contains("merge 1 joins \"b\" and \"a\""), "{wrong}");
    let absent = build(vec![Merge { left: 0, right: 9, id: 2 }]).unwrap_err().to_string();
    assert!(absent.contains("id 9"), "{absent}");
    let twice = build(vec![Merge { left: 0, right: 1, id: 2 }; 2]).unwrap_err().to_string();
    assert!(twice.contains("repeats"), "{twice}");
}

#[test]
fn a_byte_without_a_token_is_an_error_that_names_it() {
    let vocab = Vocab::new(vec![(0, b"a".to_vec())]).unwrap();
    let model = BpeModel::new(Pattern::parse("gpt2").unwrap(), vocab, Merges::Ranks, true).unwrap();
    let mut ids: Vec<u32> = Vec::new();
    model.encode("aa", &mut ids).unwrap();
    assert_eq!(ids, [0, 0]);
    assert!(model.encode("ab", &mut ids).unwrap_err().to_string().contains("0x62"));
}
