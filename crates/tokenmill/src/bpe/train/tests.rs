//! The learner against a twin that counts all pairs anew before each merge.

use super::*;
use proptest::prelude::*;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Pieces in no order at all.
#[derive(Debug)]
struct Words(Vec<(Vec<u8>, u64)>);

impl Pieces for Words {
    fn each(&self, visit: &mut dyn FnMut(&[u8], u64) -> Result<()>) -> Result<()> {
        self.0.iter().try_for_each(|(piece, count)| visit(piece, *count))
    }
}

fn options(vocab_size: u32, compat: Compat) -> TrainOptions {
    TrainOptions {
        vocab_size,
        pattern: Pattern::parse("gpt2").unwrap(),
        special_tokens: Vec::new(),
        min_frequency: 1,
        compat,
        max_token_bytes: None,
    }
}

/// What the definition says, word by word.
fn twin(words: &Words, options: &TrainOptions) -> (Vec<Merge>, Vec<Step>) {
    let mut tokens = Numbering::new(options);
    let mut rows: Vec<(Vec<u32>, u64)> = words
        .0
        .iter()
        .map(|(word, count)| (word.iter().map(|byte| tokens.byte_ids()[usize::from(*byte)]).collect(), *count))
        .collect();
    let (mut merges, mut steps) = (Vec::new(), Vec::new());
    while tokens.next_id() < options.vocab_size {
        let lengths = tokens.lengths();
        let mut counts: BTreeMap<(u32, u32), u64> = BTreeMap::new();
        for (row, count) in &rows {
            for pair in row.windows(2) {
                *counts.entry((pair[0], pair[1])).or_default() += count;
            }
        }
        let most = options.max_token_bytes.unwrap_or(u32::MAX);
        counts.retain(|(left, right), _| lengths[*left as usize] + lengths[*right as usize] <= most);
        let best = counts.into_iter().max_by_key(|(pair, count)| (*count, Reverse(*pair)));
        let Some(((left, right), count)) = best.filter(|(_, count)| *count >= options.min_frequency.max(1)) else {
            break;
        };
        let (id, _) = tokens.make(left, right);
        for (row, _) in &mut rows {
            let mut at = 0;
            while at + 1 < row.len() {
                if (row[at], row[at + 1]) == (left, right) {
                    row.splice(at..at + 2, [id]);
                }
                at += 1;
            }
        }
        merges.push(Merge { left, right, id });
        let tokens_now = rows.iter().map(|(row, count)| row.len() as u64 * count).sum();
        steps.push(Step { vocab_size: tokens.next_id(), count, tokens: tokens_now });
    }
    (merges, steps)
}

/// Learns with a floor of the caller's choice.
fn learned<S: Slot>(words: &Words, options: &TrainOptions, floor: u64) -> Vec<Merge> {
    let mut tokens = Numbering::new(options);
    let arena = Arena::<S>::new(words, tokens.byte_ids(), tokens.lengths(), &|| Ok(())).unwrap();
    let room = options.room().unwrap();
    let most = options.max_token_bytes.unwrap_or(u32::MAX);
    let mut learner = Learner::new(arena, room, [floor, options.min_frequency], most, &|| Ok(())).unwrap();
    let mut merges = Vec::new();
    while tokens.next_id() < options.vocab_size
        && let Some((pair, _)) = learner.best().unwrap()
    {
        let (id, new) = tokens.make(pair.left(), pair.right());
        learner.merge(pair, id, new).unwrap();
        merges.push(Merge { left: pair.left(), right: pair.right(), id });
    }
    merges
}

fn words() -> impl Strategy<Value = Words> {
    let word = prop_oneof!["a{1,40}", "[ab]{1,40}", "[abc]{1,20}", "[abcd]{1,12}", "(ab|aab){1,12}", "[a-z]{1,6}"];
    let count = prop_oneof![Just(1u64), 1..4u64, 1..2000u64, Just((1 << 32) - 1), Just(1 << 40)];
    prop::collection::btree_map(word, count, 0..24)
        .prop_map(|words| Words(words.into_iter().map(|(word, count)| (word.into_bytes(), count)).collect()))
}

fn compat() -> impl Strategy<Value = Compat> {
    prop_oneof![Just(Compat::Gpt), Just(Compat::HuggingFace)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn merges_counts_and_tokens_are_those_of_the_twin(
        words in words(), merges in 0..60u32, compat in compat(), most in prop::option::of(1..9u32),
        min_frequency in 0..4u64,
    ) {
        let options = TrainOptions { max_token_bytes: most, min_frequency, ..options(256 + merges, compat) };
        let (want, steps) = twin(&words, &options);
        let trained = train(&words, &options, None, &()).unwrap();
        prop_assert_eq!(&trained.merges, &want);
        prop_assert_eq!(&trained.steps, &steps);
    }

    /// Rare pairs are forgotten below the floor, and found again when it is lowered.
    #[test]
    fn the_floor_changes_nothing(words in words(), merges in 0..60u32, compat in compat(), floor in 0..3000u64) {
        let options = options(256 + merges, compat);
        let (want, _) = twin(&words, &options);
        prop_assert_eq!(&learned::<u16>(&words, &options, floor), &want);
        prop_assert_eq!(&learned::<u32>(&words, &options, floor << 20), &want);
    }

    #[test]
    fn a_smaller_model_is_what_training_for_its_size_gives(words in words(), merges in 0..40u32, less in 0..40u32, compat in compat()) {
        let large = train(&words, &options(256 + merges, compat), None, &()).unwrap();
        let size = 256 + merges.saturating_sub(less);
        let small = train(&words, &options(size, compat), None, &()).unwrap();
        let (cut, _) = large.model(size).unwrap();
        let (whole, _) = small.model(size).unwrap();
        prop_assert_eq!(cut.merge_list(), whole.merge_list());
        prop_assert!(cut.vocab().iter().eq(whole.vocab().iter()));
    }

    /// Going on where a training ended gives the same merges, unless it came upon a token twice: ids are given
    /// once only to each token when a tokenizer is extended.
    #[test]
    fn extending_a_training_goes_on_with_it(words in words(), first in 0..30u32, more in 0..30u32) {
        let options_of = |size| options(size, Compat::HuggingFace);
        let whole = train(&words, &options_of(256 + first + more), None, &()).unwrap();
        let begun = train(&words, &options_of(256 + first), None, &()).unwrap();
        let all_new = |trained: &Trained<'_>| trained.merges.windows(2).all(|pair| pair[0].id < pair[1].id);
        prop_assume!(all_new(&whole));
        let (model, specials) = begun.model(256 + first).unwrap();
        let base = Base { model: &model, specials: &specials };
        let extended = train(&words, &options_of(256 + first + more), Some(base), &()).unwrap();
        prop_assert_eq!(&extended.merges, &whole.merges[begun.merges.len()..]);
        prop_assert_eq!(&extended.steps, &whole.steps[begun.merges.len()..]);
        let (extended, _) = extended.model(256 + first + more).unwrap();
        let (whole, _) = whole.model(256 + first + more).unwrap();
        prop_assert_eq!(extended.merge_list(), whole.merge_list());
    }
}

#[test]
fn counts_up_to_the_limit_are_right_and_beyond_it_an_error() {
    let third = (i64::MAX as u64) / 3;
    let words = Words(vec![(b"abc".to_vec(), third)]);
    let trained = train(&words, &options(258, Compat::Gpt), None, &()).unwrap();
    assert_eq!(trained.num_bytes, 3 * third);
    let counts: Vec<(u64, u64)> = trained.steps.iter().map(|step| (step.count, step.tokens)).collect();
    assert_eq!(counts, [(third, 2 * third), (third, third)]);

    let words = Words(vec![(b"abc".to_vec(), third + 1)]);
    let error = train(&words, &options(258, Compat::Gpt), None, &()).unwrap_err().to_string();
    assert!(error.contains("more than 2^63 - 1"), "{error}");
}

/// One word of random letters.
fn long_word(length: usize) -> Words {
    let mut state = 1u64;
    let letter = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        b'a' + (state >> 62) as u8
    };
    Words(vec![((0..length).map(letter).collect(), 1)])
}

#[test]
fn a_word_of_a_million_bytes_is_no_trouble() {
    let words = long_word(1_000_000);
    let trained = train(&words, &options(2256, Compat::Gpt), None, &()).unwrap();
    assert_eq!(trained.merges.len(), 2000);
    assert!(trained.steps.windows(2).all(|pair| pair[0].tokens > pair[1].tokens));
    let [(length, beginning)] = &trained.long_pieces[..] else { panic!("one is long") };
    assert_eq!(*length, 1_000_000);
    assert_eq!(beginning.len(), 80);
}

#[test]
#[ignore = "seconds, and half a gigabyte"]
fn neither_is_one_of_fifty_million() {
    let trained = train(&long_word(50_000_000), &options(32_256, Compat::Gpt), None, &()).unwrap();
    assert_eq!(trained.merges.len(), 32_000);
    let one = Words(vec![(vec![b'a'; 50_000_000], 1)]);
    let trained = train(&one, &options(32_256, Compat::Gpt), None, &()).unwrap();
    // The word halves until a single token or a pair of different ones is left.
    assert_eq!(trained.steps.last().unwrap().count, 1);
}

#[test]
fn an_error_of_the_monitor_ends_the_work() {
    struct Stop;
    impl Monitor for Stop {
        fn tick(&self, _: Progress) -> Result<()> {
            Err(Error::value("stop"))
        }
    }
    let words = Words(vec![(b"abab".to_vec(), 9)]);
    assert_eq!(train(&words, &options(300, Compat::Gpt), None, &Stop).unwrap_err().to_string(), "stop");
}

#[test]
fn a_size_below_that_of_the_base_is_refused() {
    let words = Words(vec![(b"abab".to_vec(), 9)]);
    let (model, specials) = train(&words, &options(258, Compat::Gpt), None, &()).unwrap().model(258).unwrap();
    let base = Base { model: &model, specials: &specials };
    let error = options(257, Compat::Gpt).check(Some(base)).unwrap_err().to_string();
    assert!(error.contains("vocab_size=257 is less than the 258"), "{error}");
}
