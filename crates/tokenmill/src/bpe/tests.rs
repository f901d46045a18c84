use super::in_turn::tests_support::in_turn;
use super::merge::tests_support::{heap, in_blocks, scan};
use super::merge::{BLOCKS_LIMIT, SCAN_LIMIT};
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
    let byte_ids = ByteIds::of(vocab);
    if table.perfect().is_some() && piece.len() < 16 {
        prop_assert_eq!(scan::<16>(table, &byte_ids, &piece), expected);
    }
    if table.perfect().is_some() && piece.len() < 32 {
        prop_assert_eq!(scan::<32>(table, &byte_ids, &piece), expected);
    }
    if table.perfect().is_some() && piece.len() <= SCAN_LIMIT {
        prop_assert_eq!(scan::<{ SCAN_LIMIT + 1 }>(table, &byte_ids, &piece), expected);
    }
    prop_assert_eq!(heap(table, &byte_ids, &piece), expected);
    for merged in in_blocks(table, &byte_ids, &piece) {
        prop_assert_eq!(merged, expected);
    }
    let (mut merged, mut buffers) = (Vec::new(), merge::MergeBuffers::default());
    merge::merge(&piece, &byte_ids, table, &mut merged, &mut buffers).unwrap();
    prop_assert_eq!(merged, expected);
    Ok(())
}

proptest! {
    #[test]
    fn every_strategy_follows_the_merge_list((vocab, merges) in model_parts(), tokens in prop::collection::vec(0u32..3, 1..120)) {
        let table = PairTable::from_list(&vocab, &merges, &ByteIds::of(&vocab)).unwrap();
        let rank = |left, right| {
            merges.iter().position(|m| (m.left, m.right) == (left, right)).map(|rank| (rank as u32, merges[rank].id))
        };
        let expected = by_definition(&vocab, rank, &tokens);
        all_give(&table, &vocab, &tokens, &expected)?;
    }

    #[test]
    fn every_strategy_follows_the_ranks((vocab, _) in model_parts(), tokens in prop::collection::vec(0u32..3, 1..120)) {
        let table = PairTable::from_ranks(&vocab, &ByteIds::of(&vocab)).unwrap();
        let rank = |left, right| {
            let bytes = [vocab.bytes(left)?, vocab.bytes(right)?].concat();
            vocab.id(&bytes).map(|id| (id, id))
        };
        let expected = by_definition(&vocab, rank, &tokens);
        all_give(&table, &vocab, &tokens, &expected)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(50))]

    /// Of more blocks than one register compares at once, filled to the last place or not.
    #[test]
    fn blocks_and_a_heap_merge_long_pieces_alike(
        (vocab, merges) in model_parts(),
        letters in prop::collection::vec(b'a'..b'd', 200..1100),
        full: bool,
    ) {
        let byte_ids = ByteIds::of(&vocab);
        let table = PairTable::from_list(&vocab, &merges, &byte_ids).unwrap();
        let piece = &letters[..if full { letters.len() / 256 * 256 } else { letters.len() }];
        for merged in in_blocks(&table, &byte_ids, piece) {
            prop_assert_eq!(merged, heap(&table, &byte_ids, piece));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Short, merged in turn, and too long for that; some twice, some a token; again when they are known.
    #[test]
    fn longer_pieces_of_a_batch_become_what_a_heap_makes_of_them(
        (vocab, merges) in model_parts(),
        pieces in prop::collection::vec((prop::collection::vec(b'b'..b'd', 0..140), 1..3_usize), 1..60),
        ranks: bool,
    ) {
        let byte_ids = ByteIds::of(&vocab);
        let table = match ranks {
            true => PairTable::from_ranks(&vocab, &byte_ids).unwrap(),
            false => PairTable::from_list(&vocab, &merges, &byte_ids).unwrap(),
        };
        let (mut text, mut expected) = (Vec::new(), Vec::new());
        for (letters, times) in &pieces {
            let piece = [b"a", &letters[..]].concat();
            let known = vocab.id(&piece).filter(|_| ranks);
            let tokens = known.map_or_else(|| heap(&table, &byte_ids, &piece), |id| vec![id]);
            for _ in 0..*times {
                text.extend_from_slice(&piece);
                expected.extend_from_slice(&tokens);
            }
        }
        let merges = if ranks { Merges::Ranks } else { Merges::List(merges) };
        let model = BpeModel::new(Pattern::parse("a[bc]*").unwrap(), vocab, merges, ranks).unwrap();
        for _ in 0..2 {
            let mut ids: Vec<u32> = Vec::new();
            model.encode(std::str::from_utf8(&text).unwrap(), &mut ids).unwrap();
            prop_assert_eq!(&ids, &expected);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Pieces outside ASCII in one batch, some twice: with cuts and without, parts that are tokens, that are long and that come
    /// again; more characters than are looked at together. Tokens are cut from the text at any byte.
    #[test]
    fn pieces_outside_ascii_become_what_a_heap_makes_of_them(
        pieces in prop::collection::vec((prop::collection::vec(prop::sample::select(&LETTERS[..]), 0..40), 1..12_usize, 1..3_usize), 1..20),
        spans in prop::collection::vec((any::<prop::sample::Index>(), 2..24_usize), 0..30),
        whole_pieces: bool,
    ) {
        let pieces: Vec<String> = pieces
            .iter()
            .flat_map(|(letters, repeated, times)| vec![format!("x{}", letters.iter().collect::<String>().repeat(*repeated)); *times])
            .collect();
        let text = pieces.concat();
        let mut tokens: Vec<Vec<u8>> = (0..=u8::MAX).map(|byte| vec![byte]).collect();
        for (start, length) in spans {
            let start = start.index(text.len());
            let token = &text.as_bytes()[start..text.len().min(start + length)];
            if !tokens.iter().any(|known| known == token) {
                tokens.push(token.to_vec());
            }
        }
        let vocab = Vocab::new((0..).zip(tokens).collect()).unwrap();
        let byte_ids = ByteIds::of(&vocab);
        let table = PairTable::from_ranks(&vocab, &byte_ids).unwrap();
        let mut expected = Vec::new();
        for piece in &pieces {
            let known = vocab.id(piece.as_bytes()).filter(|_| whole_pieces);
            expected.extend(known.map_or_else(|| heap(&table, &byte_ids, piece.as_bytes()), |id| vec![id]));
        }
        let model = BpeModel::new(Pattern::parse("x[^x]*").unwrap(), vocab, Merges::Ranks, whole_pieces).unwrap();
        for _ in 0..2 {
            let mut ids: Vec<u32> = Vec::new();
            model.encode(&text, &mut ids).unwrap();
            prop_assert_eq!(&ids, &expected);
        }
    }
}

const LETTERS: [char; 7] = ['a', 'é', 'ü', 'ж', '漢', '字', '😀'];

/// Around the lengths at which another way begins.
#[test]
fn pieces_of_each_length_around_a_change_of_ways_become_what_a_heap_makes_of_them() {
    let tokens = [&b"a"[..], b"b", b"ab", b"ba", b"abab", b"bb", b"aab"];
    let vocab = Vocab::new((0..).zip(tokens.map(<[u8]>::to_vec)).collect()).unwrap();
    let byte_ids = ByteIds::of(&vocab);
    let table = PairTable::from_ranks(&vocab, &byte_ids).unwrap();
    let letters: Vec<u8> = (0..=BLOCKS_LIMIT as u32).map(|n| b'a' + u8::from(n * n % 7 + n % 5 > 4)).collect();
    let mut buffers = merge::MergeBuffers::default();
    for change in [0, 16, 32, SCAN_LIMIT + 1, BLOCKS_LIMIT] {
        for length in change.saturating_sub(2)..letters.len().min(change + 2) {
            let mut merged = Vec::new();
            merge::merge(&letters[..length], &byte_ids, &table, &mut merged, &mut buffers).unwrap();
            assert_eq!(merged, heap(&table, &byte_ids, &letters[..length]), "{length} bytes");
        }
    }
}

proptest! {
    /// Fewer pieces than are merged in turn, as many, and more; now and then with a byte that has no token.
    #[test]
    fn pieces_merged_in_turn_become_what_they_become_alone(
        (vocab, merges) in model_parts(),
        pieces in prop::collection::vec(prop::collection::vec(prop_oneof![30 => b'a'..b'd', 1 => Just(b'd')], 1..16), 0..50),
        ranks: bool,
    ) {
        let byte_ids = ByteIds::of(&vocab);
        let table = match ranks {
            true => PairTable::from_ranks(&vocab, &byte_ids).unwrap(),
            false => PairTable::from_list(&vocab, &merges, &byte_ids).unwrap(),
        };
        let perfect = table.perfect().unwrap();
        let known = |piece: &Vec<u8>| !piece.contains(&b'd');
        let expected: Vec<Option<Vec<u32>>> =
            pieces.iter().map(|piece| known(piece).then(|| heap(&table, &byte_ids, piece))).collect();
        let short: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
        for became in in_turn::<16>(&short, perfect, &table, &byte_ids) {
            prop_assert_eq!(&became, &expected);
        }
        for became in in_turn::<32>(&short, perfect, &table, &byte_ids) {
            prop_assert_eq!(&became, &expected);
        }
        // 1, 5 or 9 times.
        let mut long: Vec<Vec<u8>> = pieces.iter().map(|piece| piece.repeat(1 + usize::from(piece[0]) % 3 * 4)).collect();
        long.iter_mut().for_each(|piece| piece.truncate(127));
        let expected: Vec<Option<Vec<u32>>> =
            long.iter().map(|piece| known(piece).then(|| heap(&table, &byte_ids, piece))).collect();
        let long: Vec<&[u8]> = long.iter().map(Vec::as_slice).collect();
        for became in in_turn::<128>(&long, perfect, &table, &byte_ids) {
            prop_assert_eq!(&became, &expected);
        }
    }
}

/// Any strings of a, b and c as tokens, whether merges can make them or not: ids in any order, `step` apart, the same
/// bytes under several ids; c without a token of its own now and then.
fn any_vocab(step: u32) -> impl Strategy<Value = Vocab> {
    let short = prop::collection::vec(0u8..3, 1..6);
    let long = (0u8..3, 30usize..40, prop::collection::vec(0u8..2, 0..4))
        .prop_map(|(byte, count, end)| [vec![byte; count], end].concat());
    let strings = prop::collection::vec(prop_oneof![9 => short, 1 => long], 0..40);
    (strings, any::<bool>(), Just(step)).prop_flat_map(|(mut strings, whole, step)| {
        strings.extend([vec![0], vec![1]]);
        strings.extend(whole.then(|| vec![2]));
        let letters = |bytes: &Vec<u8>| bytes.iter().map(|byte| b'a' + byte).collect::<Vec<u8>>();
        let tokens: Vec<Vec<u8>> = strings.iter().map(letters).collect();
        Just(tokens).prop_shuffle().prop_map(move |tokens| {
            Vocab::new((0..).zip(tokens).map(|(number, bytes)| (number * step, bytes)).collect()).unwrap()
        })
    })
}

/// Every pair whose bytes together are a token, by looking at all of them.
fn all_cuts(vocab: &Vocab) -> Vec<Merge> {
    let mut merges = Vec::new();
    for (id, bytes) in vocab.iter().filter(|(id, bytes)| vocab.id(bytes) == Some(*id)) {
        for cut in 1..bytes.len() {
            if let (Some(left), Some(right)) = (vocab.id(&bytes[..cut]), vocab.id(&bytes[cut..])) {
                merges.push(Merge { left, right, id });
            }
        }
    }
    merges
}

fn ranks_follow_the_rule(vocab: &Vocab, text: &[u8]) -> Result<(), TestCaseError> {
    let byte_ids = ByteIds::of(vocab);
    let Some(tokens) = text.iter().map(|byte| byte_ids.get(*byte)).collect::<Option<Vec<u32>>>() else {
        return Ok(());
    };
    let table = PairTable::from_ranks(vocab, &byte_ids).unwrap();
    let rank = |left, right| {
        let bytes = [vocab.bytes(left)?, vocab.bytes(right)?].concat();
        vocab.id(&bytes).map(|id| (id, id))
    };
    all_give(&table, vocab, &tokens, &by_definition(vocab, rank, &tokens))?;
    let kept = table.by_rank();
    let cuts = all_cuts(vocab);
    prop_assert!(kept.iter().all(|merge| cuts.contains(merge) && table.rank(merge.left, merge.right) == merge.id));
    prop_assert!(kept.is_sorted_by(|first, second| first.id < second.id));
    // As a list of merges they are the same rule, and so are all cuts.
    for list in [kept, cuts] {
        let table = PairTable::from_list(vocab, &list, &byte_ids).unwrap();
        all_give(&table, vocab, &tokens, &by_definition(vocab, rank, &tokens))?;
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn one_pair_for_each_token_gives_what_all_pairs_give(vocab in any_vocab(1), text in prop::collection::vec(b'a'..b'd', 0..90)) {
        ranks_follow_the_rule(&vocab, &text)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]
    #[test]
    fn ids_beyond_what_is_packed_make_no_difference(vocab in any_vocab(60_000), text in prop::collection::vec(b'a'..b'd', 0..90)) {
        ranks_follow_the_rule(&vocab, &text)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    /// Whether merging makes every token, so that they are not looked up, or not.
    #[test]
    fn a_piece_that_is_a_token_is_that_token(vocab in any_vocab(1), pieces in prop::collection::vec(prop::collection::vec(b'a'..b'd', 1..20), 1..30)) {
        let byte_ids = ByteIds::of(&vocab);
        prop_assume!(byte_ids.get(b'c').is_some());
        let table = PairTable::from_ranks(&vocab, &byte_ids).unwrap();
        let made = |bytes: &[u8]| byte_ids.get(bytes[0]).is_some() && heap(&table, &byte_ids, bytes) == [vocab.id(bytes).unwrap()];
        prop_assert_eq!(table.makes_all(), vocab.iter().all(|(_, bytes)| made(bytes)));
        let tokens = vocab.iter().map(|(_, bytes)| bytes.to_vec());
        let pieces: Vec<Vec<u8>> = pieces.into_iter().chain(tokens).collect();
        let model = BpeModel::new(Pattern::parse("[abc]+").unwrap(), vocab.clone(), Merges::Ranks, true).unwrap();
        let text = String::from_utf8(pieces.join(&b'|')).unwrap();
        let mut ids: Vec<u32> = Vec::new();
        for piece in text.split('|') {
            model.encode(piece, &mut ids).unwrap();
        }
        let expected = |piece: &Vec<u8>| vocab.id(piece).map_or_else(|| heap(&table, &byte_ids, piece), |id| vec![id]);
        prop_assert_eq!(ids, pieces.iter().flat_map(expected).collect::<Vec<u32>>());
    }
}

#[test]
fn a_token_that_is_very_long_does_not_take_for_ever() {
    let tokens = (0..=u8::MAX).map(|byte| vec![byte]).chain([vec![b'a'; 2], vec![b'a'; 1 << 20]]);
    let vocab = Vocab::new((0..).zip(tokens).collect()).unwrap();
    assert_eq!(PairTable::from_ranks(&vocab, &ByteIds::of(&vocab)).unwrap().by_rank().len(), 1);
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

/// Ranks that do not fit beside a place in the 32 bits of a scan. Ids leave gaps of up to 65,536, so that 2,400 tokens can
/// have them.
#[test]
#[ignore = "the places of 160 million ids take 640 MB"]
fn ranks_above_two_to_the_27_merge_in_their_order() {
    let bytes = (0..=u8::MAX).map(|byte| vec![byte]);
    let fillings = (0..2_200_u32).map(|number| [b"__".as_slice(), &number.to_be_bytes()].concat());
    let tokens = bytes.chain([b"bc".to_vec()]).chain(fillings).chain([b"ab".to_vec()]);
    let vocab = Vocab::new((0..).step_by(65_000).zip(tokens).collect()).unwrap();
    let [a, bc, ab] = [&b"a"[..], b"bc", b"ab"].map(|token| vocab.id(token).unwrap());
    assert!(bc < 1 << 27 && ab > 1 << 27);
    let model = BpeModel::new(Pattern::parse("gpt2").unwrap(), vocab, Merges::Ranks, true).unwrap();
    let mut ids: Vec<u32> = Vec::new();
    model.encode("abc", &mut ids).unwrap();
    assert_eq!(ids, [a, bc]);
}

/// Ids of 21 bits in a list: packed as if they had 20, the pair (aa, c) would be that of (b, b).
#[test]
fn tokens_of_a_list_that_are_not_packed_are_taken_for_no_others() {
    for (c, bb) in [(1 << 20 | 1, 3), (4, 1 << 20 | 1)] {
        let tokens = [(0, &b"aa"[..]), (1, b"b"), (2, b"a"), (c, b"c"), (bb, b"bb")];
        // Larger gaps between ids are refused.
        let between = (1..=17).map(|number| (60_000 * number, vec![b'x'; number as usize]));
        let tokens = tokens.into_iter().map(|(id, bytes)| (id, bytes.to_vec())).chain(between);
        let vocab = Vocab::new(tokens.collect()).unwrap();
        let merges = vec![Merge { left: 2, right: 2, id: 0 }, Merge { left: 1, right: 1, id: bb }];
        let model = BpeModel::new(Pattern::parse("gpt2").unwrap(), vocab, Merges::List(merges), false).unwrap();
        for (text, want) in [("aac", vec![0, c]), ("aabb", vec![0, bb]), ("bbbb", vec![bb, bb])] {
            let mut ids: Vec<u32> = Vec::new();
            model.encode(text, &mut ids).unwrap();
            assert_eq!(ids, want, "{text}");
        }
    }
}
