//! What a manifest says of the store before appends: kept, and held against what there is now.

use super::append_tests::{both, check, old_store};
use super::sealed;
use super::{MANIFEST, Manifest};
use std::fs;

#[test]
fn a_history_that_does_not_fit_the_shards_is_refused_or_found() {
    type Change = fn(&mut Manifest);
    let changes: [(&str, Change); 8] = [
        ("its history has 18 inputs where 0 came before", |manifest| manifest.history[0].inputs = 18),
        ("its history has 10 inputs where 13 came before", |manifest| {
            manifest.history[0].inputs = 13;
            manifest.history[1].inputs = 10;
        }),
        ("its history has 100 shards where 0 came before", |manifest| manifest.history[0].train.num_shards = 100),
        ("its history has 0 shards where ", |manifest| manifest.history[1].train.num_shards = 0),
        ("its history has other totals than its first", |manifest| manifest.history[1].train.num_tokens += 1),
        ("its history has other totals than its first", |manifest| {
            manifest.history[0].validation.as_mut().unwrap().num_empty_documents = 1000;
        }),
        ("\"x\" is not a SHA-256", |manifest| manifest.history[1].train.content_hash = "x".into()),
        (" is not the one of its shards", |manifest| {
            manifest.history[0].validation.as_mut().unwrap().content_hash = "0".repeat(64);
        }),
    ];
    let (old, mut new) = both();
    let (_folder, out) = old_store(&old);
    let texts = std::mem::take(&mut new.texts);
    for half in texts.chunks(texts.len() / 2) {
        new.texts = half.to_vec();
        new.finish(&out).unwrap();
        new.first += half.len();
    }
    let manifest = Manifest::load(&out).unwrap();
    assert_eq!(manifest.history.len(), 2);
    for (reason, change) in changes {
        let mut changed = manifest.clone();
        change(&mut changed);
        fs::write(out.join(MANIFEST), sealed::seal(&changed).unwrap()).unwrap();
        let report = check(&out);
        assert_eq!(report.problems.len(), 1, "{report:?}");
        assert!(report.problems[0].reason.contains(reason), "{report:?}");
    }
}
