//! The documents of a block of JSON Lines.
//!
//! ```text
//! line ─► json_plain: one pass over the text ─┐
//!           │ not plainly good                ├─► texts, one behind the other ─► UTF-8?
//!           └► json_lines: what is wrong? ────┘                                    │ no: all lines again,
//!                 ▲                                                                │ checked first
//!                 └────────────────────────────────────────────────────────────────┘
//! ```

use super::block::{lines, not_utf8};
use super::{Block, Documents, Record, Rejected, json_lines, json_plain};
use crate::error::{Place, Result};
use crate::spare::Spare;
use crate::utf8;

/// Reads them; `reject` is told of each line that holds no document. The memory of their texts comes from `spare`.
pub(super) fn read(
    block: &Block,
    path: &[String],
    spare: &Spare<u8>,
    reject: &mut dyn FnMut(Rejected) -> Result<()>,
) -> Result<Documents> {
    let mut records = Records { block, path, rest: Vec::new(), text: String::new(), rejected: Vec::new() };
    let documents = match records.read(spare.take(block.bytes.len() + json_plain::CHUNK), true) {
        Ok(documents) => documents,
        Err(memory) => records.read(memory, false).unwrap_or_default(),
    };
    records.rejected.into_iter().try_for_each(reject)?;
    Ok(documents)
}

struct Records<'a> {
    block: &'a Block,
    path: &'a [String],
    /// Memory for a record without its text, and for a text.
    rest: Vec<u8>,
    text: String,
    rejected: Vec<Rejected>,
}

impl Records<'_> {
    /// The documents, where the text of each is UTF-8; otherwise the memory for the texts. Where lines are not `trusted` to be UTF-8,
    /// texts always are.
    fn read(&mut self, mut memory: Vec<u8>, trusted: bool) -> Result<Documents, Vec<u8>> {
        let block = self.block;
        // Of most memory nothing has to be filled: it has been used before.
        memory.resize(block.bytes.len() + json_plain::CHUNK, 0);
        self.rejected.clear();
        let (mut ranges, mut positions) = (Vec::new(), Vec::new());
        let (mut end, mut position) = (0, block.start);
        for (number, line) in (block.first_line..).zip(lines(&block.bytes)) {
            let out = &mut memory[end..];
            let plain = if trusted { json_plain::read(line, self.path, out, &mut self.rest) } else { None };
            let length = plain.or_else(|| {
                self.judge(line, number, position)?;
                out[..self.text.len()].copy_from_slice(self.text.as_bytes());
                Some(self.text.len())
            });
            if let Some(length) = length {
                ranges.push(end..end + length);
                positions.push(position);
                end += length;
            }
            position += line.len() as u64;
        }
        memory.truncate(end);
        let text = utf8::into_string(memory).map_err(|(_, memory)| memory)?;
        // Two texts that are not may be so together.
        if ranges.iter().all(|range| text.is_char_boundary(range.start)) {
            Ok(Documents { input: block.input, text, ranges, positions })
        } else {
            Err(text.into_bytes())
        }
    }

    /// Leaves the text of a line in `text`; `None`: it has none, and where something is wrong with it, it is among the rejected.
    fn judge(&mut self, line: &[u8], number: u64, position: u64) -> Option<()> {
        self.text.clear();
        let name = &self.block.name;
        let rejected = match utf8::to_str(line).map(|text| json_lines::parse(text, self.path, &mut self.text)) {
            Ok(Ok(is_record)) => return is_record.then_some(()),
            Ok(Err((column, reason))) => {
                let place = Place { input: name.to_string(), line: Some(number), byte: Some(position + column as u64) };
                Rejected { place, reason, record: Record::Bytes(line.to_vec()) }
            }
            Err(_) => not_utf8(name, number, position, line),
        };
        self.rejected.push(rejected);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::super::Layout;
    use super::*;
    use proptest::prelude::*;

    fn block(bytes: &[u8]) -> Block {
        let layout = Layout::JsonLines(vec!["text".to_string()].into());
        Block { input: 3, name: "a.jsonl".into(), layout, bytes: bytes.to_vec(), start: 100, first_line: 7 }
    }

    /// Texts and their positions.
    type Texts = Vec<(String, u64)>;
    /// Lines that hold none, by their numbers.
    type Bad = Vec<(u64, Vec<u8>)>;

    /// What comes of the lines of a block, each read alone and checked before.
    fn expected(block: &Block) -> (Texts, Bad) {
        let (mut texts, mut rejected) = (Vec::new(), Vec::new());
        let mut position = block.start;
        for (number, line) in (block.first_line..).zip(lines(&block.bytes)) {
            let mut text = String::new();
            match std::str::from_utf8(line).map(|line| json_lines::parse(line, &["text".into()], &mut text)) {
                Ok(Ok(true)) => texts.push((text, position)),
                Ok(Ok(false)) => {}
                _ => rejected.push((number, line.to_vec())),
            }
            position += line.len() as u64;
        }
        (texts, rejected)
    }

    fn check(bytes: &[u8]) -> Result<(), TestCaseError> {
        let block = block(bytes);
        let mut rejected = Vec::new();
        let spare = Spare::default();
        let documents = block.clone().parse_each(&spare, &mut |one| {
            let Record::Bytes(record) = one.record else { unreachable!("lines are short") };
            rejected.push((one.place.line.unwrap(), record));
            Ok(())
        });
        let documents = documents.unwrap();
        let texts = documents.iter().map(String::from).zip(documents.positions.iter().copied()).collect();
        prop_assert_eq!((texts, rejected), expected(&block));
        prop_assert_eq!(documents.input, 3);
        Ok(())
    }

    proptest! {
        #[test]
        fn lines_in_which_bytes_are_changed_give_what_each_gives_alone(
            texts in prop::collection::vec("[a\u{e9}\u{1f600}\"\\\\\n]{0,20}", 1..6),
            changes in prop::collection::vec((any::<prop::sample::Index>(), prop::sample::select(&b"\"\\{}:,\n\xC3\xA9\xFF\x00a"[..])), 0..4),
        ) {
            let record = |text| serde_json::json!({"id": "\u{e9}", "text": text, "more": {"text": 1, "b": ["\\"]}}).to_string() + "\n";
            let mut bytes = texts.iter().map(record).collect::<String>().into_bytes();
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            check(&bytes)?;
        }
    }

    #[test]
    fn a_character_that_two_texts_make_together_is_in_none() {
        check(b"{\"text\": \"a\xC3\"}\n{\"text\": \"\xA9b\"}\n{\"text\": \"good\"}\n").unwrap();
        check(b"{\"text\": \"a\xC3\\u00e9\"}\n{\"text\": \"good\", \"id\": \"\xC3\"}").unwrap();
    }
}
