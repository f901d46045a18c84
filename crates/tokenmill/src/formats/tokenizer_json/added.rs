//! `added_tokens`: special tokens, and others that are found before the text is cut.

use super::schema::AddedToken;
use crate::formats::spellings::Spellings;
use crate::vocab::SpecialToken;

/// Comparing each token of one group with each of another, byte by byte, is worth this much work and no more.
const MAX_OVERLAP_WORK: usize = 100_000_000;

/// Checks the added tokens against the vocabulary and turns them into special tokens.
pub(super) fn special_tokens(added: &[AddedToken], ids: &Spellings) -> Result<Vec<SpecialToken>, String> {
    for token in added {
        check_flags(token)?;
    }
    check_order_of_search(added)?;
    check_ids(added, ids)?;
    let special =
        |token: &AddedToken| SpecialToken { text: token.content.clone(), id: token.id, always: !token.special };
    Ok(added.iter().map(special).collect())
}

fn check_flags(token: &AddedToken) -> Result<(), String> {
    if token.content.is_empty() {
        return Err(format!("added_tokens: the token with id {} has an empty content; remove it", token.id));
    }
    for (flag, set) in [("lstrip", token.lstrip), ("rstrip", token.rstrip), ("single_word", token.single_word)] {
        if set {
            return Err(format!(
                "added_tokens: {:?} has {flag} = true, which is not supported (it would change which text the token \
                 stands for); set it to false if the token may stand for exactly its content",
                token.content
            ));
        }
    }
    Ok(())
}

/// Hugging Face gives an added token the id of the vocabulary, or else the next free one: the id in the file
/// is not read. A file where the two differ means something else than it says.
fn check_ids(added: &[AddedToken], ids: &Spellings) -> Result<(), String> {
    let size = u32::try_from(ids.len()).map_err(|_| "model.vocab has more than 2^32 tokens".to_owned())?;
    let mut largest: Option<u32> = None;
    for token in added {
        let given = match (ids.id(&token.content), largest) {
            (Some(id), _) => id,
            (None, Some(largest)) if largest >= size => largest.saturating_add(1),
            (None, _) => size,
        };
        if token.id != given {
            return Err(format!(
                "added_tokens: {:?} has id {}, but Hugging Face tokenizers gives it id {given} (that of model.vocab, \
                 or else the next free one); put {:?}: {} into model.vocab, or correct the id",
                token.content, token.id, token.content, token.id
            ));
        }
        largest = largest.max(Some(given));
    }
    Ok(())
}

/// Hugging Face looks for tokens with `normalized: false` first and for the others in what is left. Here all are
/// looked for at once; that differs only where tokens of the two kinds can overlap.
fn check_order_of_search(added: &[AddedToken]) -> Result<(), String> {
    let contents = |normalized| -> Vec<&str> {
        added.iter().filter(|token| token.normalized == normalized).map(|token| token.content.as_str()).collect()
    };
    let (as_it_is, normalized) = (contents(false), contents(true));
    let bytes = |contents: &[&str]| contents.iter().map(|content| content.len()).sum::<usize>();
    if bytes(&as_it_is).saturating_mul(bytes(&normalized)) > MAX_OVERLAP_WORK {
        return Err("added_tokens: too many tokens, some with normalized = true and some with false; \
             give all the same value (without a normalizer it means nothing)"
            .to_owned());
    }
    for first in as_it_is {
        if let Some(second) = normalized.iter().find(|second| can_overlap(first, second)) {
            return Err(format!(
                "added_tokens: {first:?} (normalized = false) and {second:?} (normalized = true) can overlap, and \
                 which of them wins would depend on that flag; give both the same value"
            ));
        }
    }
    Ok(())
}

/// Whether a text exists where an occurrence of `a` and one of `b` share a byte.
fn can_overlap(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    // `b` starts at each byte of `a`; and the other way round.
    let starts_inside =
        |a: &[u8], b: &[u8]| (0..a.len()).any(|start| a[start..].iter().zip(b).all(|(left, right)| left == right));
    starts_inside(a, b) || starts_inside(b, a)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::spellings::tests::spellings;

    fn token(id: u32, content: &str) -> AddedToken {
        AddedToken {
            id,
            content: content.to_owned(),
            single_word: false,
            lstrip: false,
            rstrip: false,
            normalized: false,
            special: true,
        }
    }

    #[test]
    fn ids_are_those_hugging_face_would_give() {
        let ids = spellings(&[("a", 0), ("<s>", 1)]).unwrap();
        assert!(special_tokens(&[token(1, "<s>"), token(2, "<t>"), token(3, "<u>")], &ids).is_ok());
        let message = special_tokens(&[token(1, "<s>"), token(9, "<t>")], &ids).unwrap_err();
        assert!(message.contains("has id 9") && message.contains("id 2"), "{message}");
        let message = special_tokens(&[token(0, "<s>")], &ids).unwrap_err();
        assert!(message.contains("gives it id 1"), "{message}");
    }

    #[test]
    fn flags_that_move_the_borders_of_a_token_are_refused() {
        let ids = spellings(&[]).unwrap();
        let message = special_tokens(&[AddedToken { lstrip: true, ..token(0, "<mask>") }], &ids).unwrap_err();
        assert!(message.contains("\"<mask>\" has lstrip = true"), "{message}");
        assert!(special_tokens(&[token(0, "")], &ids).unwrap_err().contains("empty"));
    }

    #[test]
    fn tokens_of_different_kinds_may_not_overlap() {
        for (a, b, overlap) in
            [("abc", "cd", true), ("abc", "zab", true), ("abc", "b", true), ("abc", "de", false), ("<a>", "<b>", false)]
        {
            assert_eq!(can_overlap(a, b), overlap, "{a} {b}");
            assert_eq!(can_overlap(b, a), overlap, "{b} {a}");
        }
        let ids = spellings(&[]).unwrap();
        let clash = [token(0, "<a>"), AddedToken { normalized: true, ..token(1, "a") }];
        assert!(special_tokens(&clash, &ids).unwrap_err().contains("can overlap"));
        let apart = [token(0, "<a>"), AddedToken { normalized: true, ..token(1, "<b>") }];
        assert!(special_tokens(&apart, &ids).is_ok());
    }

    #[test]
    fn a_crowd_of_added_tokens_does_not_take_for_ever() {
        let long = "x".repeat(20_000);
        let crowd = [token(0, &long), AddedToken { normalized: true, ..token(1, &long) }];
        assert!(special_tokens(&crowd, &spellings(&[]).unwrap()).unwrap_err().contains("too many"));
        let many: Vec<AddedToken> = (0..200_000).map(|id| token(id, &format!("<{id}>"))).collect();
        assert_eq!(special_tokens(&many, &spellings(&[]).unwrap()).unwrap().len(), many.len());
    }
}
