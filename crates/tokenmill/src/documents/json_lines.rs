//! JSON Lines: one object a line, its text at a path of keys.
//!
//! Only the text is built. All other fields are checked to be JSON and skipped, so a record with a large
//! metadata object costs one pass over its bytes. Of a key that occurs twice the last value counts, as in
//! Python's `json` and JavaScript. Records too long for memory are read by the same visitor (`long_json`).

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;
use std::io::Read;

/// Where the text of a record goes.
pub(super) trait Target {
    /// The text so far was that of a key that has come again.
    fn clear(&mut self);
    /// Adds to the text.
    fn push(&mut self, text: &str);
    /// A value is read next: the text, if it is `wanted` and a string.
    fn value(&mut self, wanted: bool);
}

/// The end of a string, from `start` on.
struct Appended<'a> {
    out: &'a mut String,
    start: usize,
}

impl Target for Appended<'_> {
    fn clear(&mut self) {
        self.out.truncate(self.start);
    }

    fn push(&mut self, text: &str) {
        self.out.push_str(text);
    }

    fn value(&mut self, _wanted: bool) {}
}

/// Appends the text of a line to `out`; `false`: nothing but blanks, which hold no record. An error is the byte in the line and the
/// reason.
pub(super) fn parse(line: &str, path: &[String], out: &mut String) -> Result<bool, (usize, String)> {
    if line.bytes().all(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')) {
        return Ok(false);
    }
    let mark = out.len();
    let read = read_record(line, path, out).map(|()| true);
    if read.is_err() {
        out.truncate(mark);
    }
    read
}

/// The text of one record; an error is the byte in the line and the reason.
fn read_record(line: &str, path: &[String], out: &mut String) -> Result<(), (usize, String)> {
    let mut json = serde_json::Deserializer::from_str(line.trim_end_matches(['\r', '\n']));
    let mut target = Appended { start: out.len(), out };
    let found = Field { path, depth: 0, target: &mut target }.deserialize(&mut json);
    match found.and_then(|found| json.end().map(|()| found)) {
        Ok(Found::Text) => Ok(()),
        Ok(other) => Err((0, explain(&other, path, |owner| keys(line, owner)))),
        Err(error) => Err((error.column().saturating_sub(1), explain_syntax(&error))),
    }
}

/// Reads the text of one record into `target`. An error is the column in what was read, where a byte is wrong, and the reason.
pub(super) fn read_long(
    record: impl Read,
    target: &mut impl Target,
    path: &[String],
) -> Result<(), (Option<usize>, String)> {
    let mut json = serde_json::Deserializer::from_reader(record);
    let found = Field { path, depth: 0, target }.deserialize(&mut json);
    match found.and_then(|found| json.end().map(|()| found)) {
        Ok(Found::Text) => Ok(()),
        Ok(other) => Err((None, explain(&other, path, |_| "other fields".into()))),
        Err(error) => Err((Some(error.column()), explain_syntax(&error))),
    }
}

/// What lies at the path.
enum Found {
    Text,
    /// The object `depth` keys down has no next key of the path.
    Missing {
        depth: usize,
    },
    /// The value `depth` keys down is of another type than it has to be.
    Other {
        depth: usize,
        kind: &'static str,
    },
}

/// Reads the value `depth` keys down the path.
struct Field<'a, T> {
    path: &'a [String],
    depth: usize,
    target: &'a mut T,
}

impl<T> Field<'_, T> {
    fn other<E>(self, kind: &'static str) -> Result<Found, E> {
        Ok(Found::Other { depth: self.depth, kind })
    }
}

impl<'de, T: Target> DeserializeSeed<'de> for Field<'_, T> {
    type Value = Found;
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Found, D::Error> {
        self.target.value(self.depth == self.path.len());
        json.deserialize_any(self)
    }
}

impl<'de, T: Target> Visitor<'de> for Field<'_, T> {
    type Value = Found;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Found, E> {
        if self.depth < self.path.len() {
            return self.other("a string");
        }
        self.target.push(text);
        Ok(Found::Text)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Found, A::Error> {
        let Some(wanted) = self.path.get(self.depth) else {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return self.other("an object");
        };
        let mut found = Found::Missing { depth: self.depth };
        while let Some(matches) = map.next_key_seed(KeyIs(wanted))? {
            if matches {
                self.target.clear();
                found = map.next_value_seed(Field { path: self.path, depth: self.depth + 1, target: self.target })?;
            } else {
                map.next_value_seed(Ignored(self.target))?;
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Found, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        self.other("an array")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Found, E> {
        self.other("a boolean")
    }
    fn visit_i64<E>(self, _: i64) -> Result<Found, E> {
        self.other("a number")
    }
    fn visit_u64<E>(self, _: u64) -> Result<Found, E> {
        self.other("a number")
    }
    fn visit_f64<E>(self, _: f64) -> Result<Found, E> {
        self.other("a number")
    }
    fn visit_unit<E>(self) -> Result<Found, E> {
        self.other("null")
    }
}

/// A value that is only checked.
struct Ignored<'a, T>(&'a mut T);

impl<'de, T: Target> DeserializeSeed<'de> for Ignored<'_, T> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        self.0.value(false);
        json.deserialize_ignored_any(IgnoredAny).map(|_| ())
    }
}

/// Compares a key without keeping it.
pub(super) struct KeyIs<'a>(pub &'a str);

impl<'de> DeserializeSeed<'de> for KeyIs<'_> {
    type Value = bool;
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<bool, D::Error> {
        json.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for KeyIs<'_> {
    type Value = bool;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }
    fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<bool, E> {
        Ok(key == self.0)
    }
}

/// serde's reason without its position, which counts from the start of the line.
fn explain_syntax(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let reason = text.rsplit_once(" at line ").map_or(text.as_str(), |(reason, _)| reason);
    let remedy = if reason.contains("surrogate") || reason.contains("unexpected end of hex escape") {
        "a \\u escape in the text is half of a surrogate pair, which no UTF-8 text can hold: \
         repair it or write \\ufffd in its place"
    } else if error.is_eof() {
        "JSON Lines has one whole object on each line: the line is cut short, or one object spans several lines"
    } else {
        "JSON Lines has one whole object on each line"
    };
    format!("invalid JSON: {reason}; {remedy}")
}

/// Why a line of valid JSON holds no text; `keys` lists those of the object at a path.
fn explain(found: &Found, path: &[String], keys: impl Fn(&[String]) -> String) -> String {
    let name = path.join(".");
    match *found {
        Found::Other { depth: 0, kind } => {
            format!("the line holds {kind}, not an object; JSON Lines has one object on each line")
        }
        Found::Other { depth, kind } if depth < path.len() => {
            format!("field {:?} is {kind}, not an object, so there is no field {name:?}", path[..depth].join("."))
        }
        Found::Other { kind, .. } => format!("field {name:?} is {kind}, not a string"),
        Found::Missing { depth } => {
            let owner = if depth == 0 { "the record".into() } else { format!("{:?}", path[..depth].join(".")) };
            format!(
                "there is no field {name:?}: {owner} has {}; name the text's field with text_field",
                keys(&path[..depth])
            )
        }
        Found::Text => String::new(),
    }
}

/// The keys of the object at `path`, at most ten, for the message.
fn keys(line: &str, path: &[String]) -> String {
    const SHOWN: usize = 10;
    let record: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
    let mut owner = Some(&record);
    for key in path {
        owner = owner.and_then(|value| value.get(key));
    }
    match owner.and_then(serde_json::Value::as_object) {
        None => "other fields".into(),
        Some(object) if object.is_empty() => "no fields".into(),
        Some(object) => {
            let mut names: Vec<String> = object.keys().take(SHOWN).map(|key| format!("{key:?}")).collect();
            if object.len() > SHOWN {
                names.push(format!("{} more", object.len() - SHOWN));
            }
            names.join(", ")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::json_plain;
    use super::*;
    use proptest::prelude::*;

    /// Pieces of records, good and bad; joined at random most are bad, but many are read to where that shows.
    const PIECES: [&str; 33] = [
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        " ",
        "\"text\"",
        "\"a\"",
        "\"te\\u0078t\"",
        "\"",
        "\\",
        "\\n",
        "\\\"",
        "\\u00e4",
        "\\ud83d\\ude00",
        "\\ud83d",
        "\\ude00",
        "\\ud83d\\u0041",
        "\\u12",
        "\\x",
        "word",
        "é",
        "1",
        "-0.5e3",
        "1e999",
        "true",
        "null",
        "\t",
        "\u{1}",
        "\r",
        "{\"text\":\"",
        "\"}",
    ];

    /// A string of JSON, as random as its escapes.
    fn string() -> impl Strategy<Value = String> {
        let inside = prop::sample::select(&PIECES[11..24]);
        prop::collection::vec(inside, 0..6).prop_map(|pieces| format!("\"{}\"", pieces.concat()))
    }

    /// An object, whose keys come twice now and then.
    fn object() -> impl Strategy<Value = String> {
        let key = prop::sample::select(vec!["\"text\"", "\"a\"", "\"te\\u0078t\""]);
        let leaf = prop_oneof![4 => string(), 1 => prop::sample::select(&PIECES[23..28]).prop_map(String::from)];
        leaf.prop_recursive(2, 8, 3, move |inner| {
            let member = (key.clone(), inner).prop_map(|(key, value)| format!("{key}: {value}"));
            prop::collection::vec(member, 0..4).prop_map(|members| format!("{{{}}}", members.join(",")))
        })
    }

    fn line() -> impl Strategy<Value = String> {
        let pieces = prop::collection::vec(prop::sample::select(&PIECES[..]), 0..12).prop_map(|pieces| pieces.concat());
        prop_oneof![3 => object(), 1 => pieces, 1 => (object(), string()).prop_map(|(object, rest)| object + &rest)]
    }

    /// The text of a record that is plainly good.
    fn plain(line: &str, path: &[String]) -> Option<String> {
        // Overwritten as far as nobody reads it.
        let mut out = vec![0xFF; line.len() + json_plain::CHUNK];
        let length = json_plain::read(line.as_bytes(), path, &mut out, &mut b"another record".to_vec())?;
        Some(String::from_utf8(out[..length].to_vec()).unwrap())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn a_record_that_is_plainly_good_has_the_text_that_serde_json_finds(line in line(), depth in 1..3usize) {
            let path = Vec::from_iter(["a", "text"][2 - depth..].iter().map(|key| (*key).to_string()));
            let mut slow = String::new();
            let found = read_record(&line, &path, &mut slow);
            // Not the other way round: keys with escapes or that come twice are not plain.
            if let Some(plain) = plain(&line, &path) {
                prop_assert!(found.is_ok(), "{}", line);
                prop_assert_eq!(plain, slow);
            }
        }

        #[test]
        fn records_of_one_field_are_plain_if_they_are_good(pieces in prop::collection::vec(string(), 1..40), blanks in 0..3usize) {
            let string = pieces.join("").replace("\"\"", " ");
            let line = format!("{{{}\"text\" : {string}}}\r\n", " ".repeat(blanks));
            let path = ["text".to_string()];
            let mut slow = String::new();
            let found = read_record(&line, &path, &mut slow).is_ok().then_some(slow);
            prop_assert_eq!(plain(&line, &path), found);
        }
    }

    #[test]
    fn the_last_of_equal_keys_counts_and_nothing_is_left_of_the_others() {
        for (line, path, text) in [
            (r#"{"text": "one", "text": "two"}"#, "text", Some("two")),
            (r#"{"text": "one", "text": 2}"#, "text", None),
            (r#"{"text": "half \ud83d", "text": "one"}"#, "text", None),
            (r#"{"a": {"text": "one"}, "a": {"text": "\u0074wo"}}"#, "a.text", Some("two")),
            (r#"{"a": {"text": "one"}, "a": {}}"#, "a.text", None),
            (r#"{"te\u0078t": "one"}"#, "text", Some("one")),
            (r#"{"text": "half \ud83d"}"#, "text", None),
            (r#"{"text": "one"} {}"#, "text", None),
        ] {
            let path = Vec::from_iter(path.split('.').map(String::from));
            let mut out = String::from("before ");
            let parsed = parse(line, &path, &mut out);
            assert_eq!(parsed.ok(), text.map(|_| true), "{line}");
            assert_eq!(out, format!("before {}", text.unwrap_or_default()), "{line}");
            assert!(plain(line, &path).is_none_or(|plain| Some(plain.as_str()) == text), "{line}");
        }
    }
}
