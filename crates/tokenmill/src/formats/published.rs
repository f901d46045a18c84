//! The files that OpenAI has published: what their names imply.

use std::path::Path;

/// Names of published vocabularies, as tiktoken has them.
pub(crate) const NAMES: [&str; 7] =
    ["gpt2", "r50k_base", "p50k_base", "p50k_edit", "cl100k_base", "o200k_base", "o200k_harmony"];

const END_OF_TEXT: &str = "<|endoftext|>";
const FILL_IN_MIDDLE: [&str; 3] = ["<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>"];
const END_OF_PROMPT: &str = "<|endofprompt|>";

/// What a name implies.
#[derive(Debug)]
pub(crate) struct Published {
    /// The name of the pattern.
    pub pattern: &'static str,
    specials: Vec<(String, u32)>,
}

impl Published {
    /// Spellings and ids.
    pub fn into_specials(self) -> Vec<(String, u32)> {
        self.specials
    }
}

/// By the name of the file, the suffix left out.
pub(crate) fn by_path(path: &Path) -> Option<Published> {
    by_name(path.file_stem()?.to_str()?)
}

fn by_name(name: &str) -> Option<Published> {
    let pattern = match name {
        "gpt2" | "r50k_base" | "p50k_base" | "p50k_edit" => "gpt2",
        "cl100k_base" => "gpt4",
        "o200k_base" | "o200k_harmony" => "gpt4o",
        _ => return None,
    };
    let specials = match name {
        "cl100k_base" => fixed(&[(END_OF_TEXT, 100_257), (END_OF_PROMPT, 100_276)], Some(100_258)),
        "o200k_base" => fixed(&[(END_OF_TEXT, 199_999), (END_OF_PROMPT, 200_018)], None),
        "o200k_harmony" => harmony(),
        "p50k_edit" => fixed(&[(END_OF_TEXT, 50_256)], Some(50_281)),
        _ => fixed(&[(END_OF_TEXT, 50_256)], None),
    };
    Some(Published { pattern, specials })
}

fn fixed(tokens: &[(&str, u32)], fill_in_middle: Option<u32>) -> Vec<(String, u32)> {
    let first = fill_in_middle.into_iter().flat_map(|first| FILL_IN_MIDDLE.into_iter().zip(first..));
    tokens.iter().copied().chain(first).map(|(text, id)| (text.to_owned(), id)).collect()
}

/// Ids 199,998 to 201,087 without a gap, most of them reserved. 200,018 has two spellings in tiktoken,
/// `<|endofprompt|>` and `<|reserved_200018|>`; here it keeps the first.
fn harmony() -> Vec<(String, u32)> {
    const NAMED: [(&str, u32); 10] = [
        ("<|startoftext|>", 199_998),
        (END_OF_TEXT, 199_999),
        ("<|return|>", 200_002),
        ("<|constrain|>", 200_003),
        ("<|channel|>", 200_005),
        ("<|start|>", 200_006),
        ("<|end|>", 200_007),
        ("<|message|>", 200_008),
        ("<|call|>", 200_012),
        (END_OF_PROMPT, 200_018),
    ];
    (199_998..201_088)
        .map(|id| match NAMED.iter().find(|(_, named)| *named == id) {
            Some((text, _)) => ((*text).to_owned(), id),
            None => (format!("<|reserved_{id}|>"), id),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_published_name_implies_a_pattern_and_an_end_of_text() {
        for name in NAMES {
            let published = by_path(Path::new(&format!("some/folder/{name}.tiktoken"))).unwrap();
            assert!(published.specials.iter().any(|(text, _)| text == END_OF_TEXT), "{name}");
        }
        assert!(by_path(Path::new("mine.tiktoken")).is_none());
    }

    #[test]
    fn cl100k_and_harmony_have_the_published_ids() {
        let cl100k = by_name("cl100k_base").unwrap();
        assert_eq!(cl100k.pattern, "gpt4");
        assert!(cl100k.specials.contains(&("<|fim_suffix|>".to_owned(), 100_260)));
        let harmony = by_name("o200k_harmony").unwrap().into_specials();
        assert_eq!(harmony.len(), 1090);
        assert!(harmony.contains(&("<|reserved_201087|>".to_owned(), 201_087)));
        assert!(harmony.contains(&("<|call|>".to_owned(), 200_012)));
    }
}
