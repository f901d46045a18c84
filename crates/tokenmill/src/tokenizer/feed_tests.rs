use super::tests::{BPE, snippets, tokenizers};
use super::*;
use crate::special::Allowed;
use proptest::prelude::*;
use std::borrow::Cow;
use std::cell::Cell;

/// The ids of each text, taken when they are there.
fn fed(tokenizer: &Tokenizer, texts: &[String], allowed: Allowed<'_>, in_parts: bool) -> Vec<Vec<u32>> {
    let (mut ids, mut ends) = (Vec::new(), vec![0]);
    let done = tokenizer.feed(allowed, 0, true, |feed| {
        for text in texts {
            if in_parts {
                super::stream::chunks(text, 1000).for_each(|part| feed.push_part(part));
                feed.end_text();
            } else {
                feed.push(Cow::Borrowed(text.as_str()));
            }
            while feed.take_ready(&mut ids, |end| ends.push(end))? {}
            if feed.is_full() {
                feed.catch_up(&mut ids, |end| ends.push(end), &mut || Ok(()))?;
                assert!(!feed.is_full());
            }
        }
        while feed.take_next(&mut ids, |end| ends.push(end), &mut || Ok(()))? {}
        Ok(())
    });
    done.and_then(|done: Result<()>| done).unwrap();
    ends.windows(2).map(|place| ids[place[0]..place[1]].to_vec()).collect()
}

fn alone<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap().install(work)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]
    #[test]
    fn texts_that_are_brought_one_by_one_or_in_parts_give_the_ids_of_each(
        texts in prop::collection::vec((snippets(12), 1..2000usize), 0..8),
    ) {
        let texts: Vec<String> = texts.into_iter().map(|(text, times)| text.repeat(times)).collect();
        for tokenizer in tokenizers() {
            for allowed in [Allowed::None, Allowed::All] {
                let want: Vec<_> = texts.iter().map(|text| tokenizer.encode_in_one_go(text, allowed)).collect();
                prop_assert_eq!(&fed(tokenizer, &texts, allowed, false), &want);
                prop_assert_eq!(&fed(tokenizer, &texts, allowed, true), &want);
                for in_parts in [false, true] {
                    prop_assert_eq!(&alone(|| fed(tokenizer, &texts, allowed, in_parts)), &want);
                }
            }
        }
    }
}

#[test]
fn whoever_leaves_early_gets_what_he_returns() {
    let text = "the cat ".repeat(1 << 20);
    let left = BPE[0].feed::<Vec<u32>, _>(Allowed::None, text.len(), false, |feed| {
        feed.push(Cow::Borrowed(&text));
        7
    });
    assert_eq!(left.unwrap(), 7);
}

#[test]
fn a_wait_asks_now_and_then_whether_it_should_end() {
    // One word of megabytes is one task, which takes a while.
    let text = "a".repeat(8 << 20);
    let asked = Cell::new(0);
    let mut ids = Vec::<u32>::new();
    let waited = BPE[0].feed(Allowed::None, text.len(), false, |feed| {
        feed.push(Cow::Borrowed(&text));
        feed.take_next(&mut ids, |_| (), &mut || {
            asked.set(asked.get() + 1);
            Err(Error::value("enough"))
        })
    });
    assert!(waited.unwrap().is_ok_and(|more| more) || asked.get() == 1);
}

#[test]
fn a_thread_of_the_pool_feeds_the_pool() {
    let texts: Vec<String> = (0..20).map(|number| format!("the cat {number} ").repeat(20_000)).collect();
    let want: Vec<_> = texts.iter().map(|text| BPE[0].encode_in_one_go(text, Allowed::None)).collect();
    let got = crate::threads::pool().unwrap().install(|| {
        rayon::join(|| fed(&BPE[0], &texts, Allowed::None, false), || fed(&BPE[0], &texts, Allowed::None, true))
    });
    assert_eq!(got, (want.clone(), want));
}

#[test]
fn more_text_than_can_wait_is_encoded_before_more_is_brought() {
    // Some 20 tasks of 16 KiB each are brought at once; so many may wait for one thread only.
    let texts: Vec<String> = (0..4).map(|number| format!("the cat {number} ").repeat(6_000)).collect();
    let want: Vec<_> = texts.iter().map(|text| BPE[0].encode_in_one_go(text, Allowed::None)).collect();
    assert_eq!(alone(|| fed(&BPE[0], &texts, Allowed::None, true)), want);
}
