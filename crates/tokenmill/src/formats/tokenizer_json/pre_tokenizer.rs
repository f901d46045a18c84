//! `pre_tokenizer`: how text is cut, as Hugging Face writes it.

use crate::split::Pattern;
use crate::word::WordSplit;
use serde_json::Value;

/// Strips a part of a text that another `Split` has cut; a blank part goes away altogether.
const STRIP: &str = r"\A\s+|\s+\z";
const WHITE_SPACE: &str = r"\s+";

const SUPPORTED: &str = "supported are ByteLevel, and a Sequence of one Split by a regular expression and a ByteLevel";

/// One step of cutting, as read and as written.
#[derive(Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "type")]
pub(super) enum Step {
    Sequence {
        pretokenizers: Vec<Step>,
    },
    Split {
        pattern: SplitPattern,
        behavior: Behavior,
        #[serde(default)]
        invert: bool,
    },
    ByteLevel {
        #[serde(default = "yes")]
        add_prefix_space: bool,
        #[serde(default = "yes")]
        trim_offsets: bool,
        #[serde(default = "yes")]
        use_regex: bool,
    },
    WhitespaceSplit,
}

#[derive(Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) enum SplitPattern {
    Regex(String),
    String(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) enum Behavior {
    Removed,
    Isolated,
    MergedWithPrevious,
    MergedWithNext,
    Contiguous,
}

/// Hugging Face's default for flags that old files leave out.
fn yes() -> bool {
    true
}

fn split(regex: &str, behavior: Behavior) -> Step {
    Step::Split { pattern: SplitPattern::Regex(regex.to_owned()), behavior, invert: false }
}

/// How the pattern of a BPE tokenizer is written.
pub(super) fn for_pattern(regex: &str) -> Step {
    let byte_level = Step::ByteLevel { add_prefix_space: false, trim_offsets: true, use_regex: false };
    Step::Sequence { pretokenizers: vec![split(regex, Behavior::Isolated), byte_level] }
}

/// How words are written.
pub(super) fn for_words(words: &WordSplit) -> Step {
    match words {
        WordSplit::Whitespace => split(WHITE_SPACE, Behavior::Removed),
        WordSplit::Punctuation | WordSplit::Regex(_) => Step::Sequence {
            pretokenizers: vec![split(words.regex(), Behavior::Isolated), split(STRIP, Behavior::Removed)],
        },
    }
}

/// The pattern (name or regular expression) of a byte-level BPE file.
pub(super) fn pattern_of(value: &Value) -> Result<String, String> {
    let steps = steps_of(value)?;
    if steps.iter().any(|step| matches!(step, Step::ByteLevel { add_prefix_space: true, .. })) {
        return Err("pre_tokenizer: add_prefix_space = true is not supported (it puts a space before each text, \
             which changes ids); set it to false and put the space into the text where it is wanted"
            .to_owned());
    }
    match steps.as_slice() {
        [Step::ByteLevel { use_regex: true, .. }] => Ok("gpt2".to_owned()),
        [
            Step::Split { pattern: SplitPattern::Regex(regex), behavior, invert },
            Step::ByteLevel { use_regex: false, .. },
        ] => match (behavior, invert) {
            (Behavior::Isolated, false) => Ok(regex.clone()),
            // Keeps the matches and drops what is between them: the same for patterns that leave nothing between.
            (Behavior::Removed, true) if covers_all_text(regex) => Ok(regex.clone()),
            _ => Err(format!(
                "pre_tokenizer: a Split by {regex:?} with behavior = {behavior:?} and invert = {invert} is not \
                 supported; only \"Isolated\" with invert = false is"
            )),
        },
        _ => Err(format!("pre_tokenizer: {} is not supported for BPE; {SUPPORTED}", brief(value))),
    }
}

/// Whether the pattern is a known one; those match every character.
fn covers_all_text(regex: &str) -> bool {
    Pattern::parse(regex).is_ok_and(|pattern| pattern.name().is_some())
}

/// How a file of words cuts.
pub(super) fn words_of(value: &Value) -> Result<WordSplit, String> {
    let steps = steps_of(value)?;
    let is_split = |step: &Step, expected: &str, behavior| *step == split(expected, behavior);
    match steps.as_slice() {
        [Step::WhitespaceSplit] => Ok(WordSplit::Whitespace),
        [step] if is_split(step, WHITE_SPACE, Behavior::Removed) => Ok(WordSplit::Whitespace),
        [Step::Split { pattern: SplitPattern::Regex(regex), behavior: Behavior::Isolated, invert: false }, strip]
            if is_split(strip, STRIP, Behavior::Removed) =>
        {
            if regex == WordSplit::Punctuation.regex() {
                Ok(WordSplit::Punctuation)
            } else {
                Ok(WordSplit::Regex(regex.clone()))
            }
        }
        _ => Err(format!(
            "pre_tokenizer: {} is not supported for words; supported are WhitespaceSplit, a Split by {WHITE_SPACE:?} \
             (Removed), and a Sequence of one Split (Isolated) and a Split by {STRIP:?} (Removed)",
            brief(value)
        )),
    }
}

/// The steps in order, sequences resolved.
fn steps_of(value: &Value) -> Result<Vec<Step>, String> {
    if value.is_null() {
        return Err(format!("pre_tokenizer: null is not supported; {SUPPORTED}"));
    }
    let step: Step = serde::Deserialize::deserialize(value)
        .map_err(|error| format!("pre_tokenizer: {} is not supported ({error}); {SUPPORTED}", brief(value)))?;
    let mut steps = Vec::new();
    flatten(step, &mut steps);
    Ok(steps)
}

/// Nesting is bounded: the JSON parser refuses more than 128 levels.
fn flatten(step: Step, steps: &mut Vec<Step>) {
    match step {
        Step::Sequence { pretokenizers } => pretokenizers.into_iter().for_each(|step| flatten(step, steps)),
        step => steps.push(step),
    }
}

/// A value for a message: its JSON, cut to a readable length.
pub(super) fn brief(value: &Value) -> String {
    const LENGTH: usize = 120;
    let json = value.to_string();
    match json.char_indices().nth(LENGTH) {
        Some((end, _)) => format!("{} ...", &json[..end]),
        None => json,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn gpt2_and_llama3_styles_are_read() {
        let gpt2 = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true});
        assert_eq!(pattern_of(&gpt2).as_deref(), Ok("gpt2"));
        let old = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true});
        assert_eq!(pattern_of(&old).as_deref(), Ok("gpt2"));
        let llama = serde_json::to_value(for_pattern("[a-z]+")).unwrap();
        assert_eq!(pattern_of(&llama).as_deref(), Ok("[a-z]+"));
        let nested = json!({"type": "Sequence", "pretokenizers": [llama]});
        assert_eq!(pattern_of(&nested).as_deref(), Ok("[a-z]+"));
    }

    #[test]
    fn what_would_change_ids_is_refused_by_name() {
        let prefix = json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true});
        assert!(pattern_of(&prefix).unwrap_err().contains("add_prefix_space = true"));
        assert!(pattern_of(&json!({"type": "Metaspace"})).unwrap_err().contains("Metaspace"));
        assert!(pattern_of(&Value::Null).unwrap_err().contains("null"));
        let byte_level = json!({"type": "ByteLevel", "add_prefix_space": false, "use_regex": false});
        assert!(pattern_of(&byte_level).unwrap_err().contains("use_regex"));
        for (behavior, invert) in [("Removed", false), ("MergedWithNext", false), ("Isolated", true), ("Removed", true)]
        {
            let split = json!({"type": "Split", "pattern": {"Regex": "x+"}, "behavior": behavior, "invert": invert});
            let both = json!({"type": "Sequence", "pretokenizers": [split, byte_level]});
            assert!(pattern_of(&both).unwrap_err().contains(behavior));
        }
        let string = json!({"type": "Split", "pattern": {"String": "x"}, "behavior": "Isolated", "invert": false});
        let both = json!({"type": "Sequence", "pretokenizers": [string, byte_level]});
        assert!(pattern_of(&both).is_err());
    }

    #[test]
    fn words_come_back_as_they_were_written() {
        for words in [WordSplit::Whitespace, WordSplit::Punctuation, WordSplit::Regex("[-/]".to_owned())] {
            let value = serde_json::to_value(for_words(&words)).unwrap();
            assert_eq!(words_of(&value), Ok(words));
        }
        assert_eq!(words_of(&json!({"type": "WhitespaceSplit"})), Ok(WordSplit::Whitespace));
        assert!(words_of(&json!({"type": "Whitespace"})).is_err());
    }

    #[test]
    fn long_values_are_cut_in_messages() {
        let value = json!({"type": "あ".repeat(1000)});
        assert!(brief(&value).chars().count() < 130);
    }
}
