//! A record too long to be held in memory, handed on in parts while it is read.
//!
//! ```text
//! Cutter::portion ─► Valid ─► parts of a document                                plain text
//! raw bytes          UTF-8 └► Feed ─► parts: the string at the path, unescaped   JSON Lines
//! ```
//!
//! Whether a record holds a document is known at its end: its last part says it, and what of it came before is void if it
//! does not. What the parts come to is what [`Block::parse`] makes of the whole record, and so are place and reason of an
//! error, but that nobody lists the keys of the record.

use super::cut::Cutter;
use super::long_json;
use super::parts::Parts;
use super::valid::Valid;
use super::{Block, Layout};
use std::io::{self, Read};
use std::sync::Arc;

/// Reads the record that the cutter is in to its end; `false` when `push` wants no more. Parts have up to `part_bytes`, and
/// where they are what is read, about as many as `next_bytes` says.
pub(super) fn read(
    cutter: &mut Cutter,
    reader: &mut dyn Read,
    part_bytes: usize,
    next_bytes: &mut dyn FnMut() -> usize,
    push: &mut dyn FnMut(Block) -> bool,
) -> io::Result<bool> {
    let block = cutter.block();
    let layout = block.layout.clone();
    let mut parts = Parts::new(block, part_bytes, Arc::clone(cutter.spare()), push);
    let mut valid = Valid::new(cutter, reader);
    if let Layout::JsonLines(path) = &layout {
        return long_json::read(valid, parts, path);
    }
    // What is carried over from the part before has room in the memory of the next.
    let most = part_bytes - part_bytes / 256;
    loop {
        valid.read_at_once(next_bytes().min(most));
        let Some(text) = valid.next()? else { break };
        if let Some(text) = parts.add_whole(text) {
            valid.give_back(text);
        }
        if !parts.wanted {
            return Ok(false);
        }
    }
    let end = valid.bad.map_or(Ok(valid.read), |bad| Err(parts.not_utf8(bad, valid.read)));
    Ok(parts.end(end))
}
