//! Records of JSON Lines in which nothing is wrong, read with one copy of the text.
//!
//! `serde_json` decides what is JSON, and hands out the text as it lies in the line, escapes and all ([`RawValue`]); a string
//! that it unescapes is copied into a buffer of its own, which grows by doubling, and from there to the text. A record that is
//! not plainly good is not judged here.

use super::json_escape::unescape;
use super::json_lines::KeyIs;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// Appends the text of a record; `false`: there is something wrong with it, and what has been appended means nothing.
pub(super) fn read(line: &str, path: &[String], out: &mut String) -> bool {
    let mut json = serde_json::Deserializer::from_str(line);
    let found = Plain { path, start: out.len(), out }.deserialize(&mut json);
    found.is_ok_and(|found| found) && json.end().is_ok()
}

/// Reads the value that is at a path from here.
struct Plain<'a> {
    path: &'a [String],
    /// Where the text begins in `out`: of a key that comes twice, the last one counts.
    start: usize,
    out: &'a mut String,
}

impl<'de> DeserializeSeed<'de> for Plain<'_> {
    type Value = bool;
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<bool, D::Error> {
        if !self.path.is_empty() {
            return json.deserialize_map(self);
        }
        self.out.truncate(self.start);
        let is_good = unescape(<&RawValue>::deserialize(json)?.get(), self.out);
        // Also of a key that comes again: all strings of a record have to be good.
        if is_good { Ok(true) } else { Err(D::Error::custom("no text")) }
    }
}

impl<'de> Visitor<'de> for Plain<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        let Some((wanted, path)) = self.path.split_first() else { return Ok(false) };
        let mut found = false;
        while let Some(matches) = map.next_key_seed(KeyIs(wanted))? {
            if matches {
                found = map.next_value_seed(Plain { path, start: self.start, out: &mut *self.out })?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}
