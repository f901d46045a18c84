//! Sources one after the other, each opened when the one before has ended.

use super::{Block, BlockSource, Idle, InputRecord, PlannedInput};
use crate::error::Result;
use crate::spare::Spare;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

/// A source that is not open yet.
pub struct Link {
    /// The inputs that it will have.
    pub planned: Vec<PlannedInput>,
    /// Opens it.
    pub open: Box<dyn FnOnce() -> Result<Box<dyn BlockSource + Send>> + Send>,
}

/// See above. Its inputs are those of all, numbered through.
pub struct Chain {
    planned: Vec<PlannedInput>,
    rest: VecDeque<Link>,
    current: Option<Box<dyn BlockSource + Send>>,
    /// The number of the first input of the current source, and of the next.
    first: u32,
    next: u32,
    /// Of sources that have ended.
    bytes_before: u64,
    records: Vec<InputRecord>,
    skip: bool,
    in_parts: Option<Arc<Spare<u8>>>,
}

impl Chain {
    /// Opens nothing yet.
    pub fn new(links: Vec<Link>) -> Chain {
        Chain {
            planned: links.iter().flat_map(|link| link.planned.clone()).collect(),
            rest: links.into(),
            current: None,
            first: 0,
            next: 0,
            bytes_before: 0,
            records: Vec::new(),
            skip: false,
            in_parts: None,
        }
    }
}

/// The links, or parts of them, that have these of all inputs.
fn links_of(links: VecDeque<Link>, inputs: &Range<usize>) -> VecDeque<Link> {
    let mut first = 0;
    let mut chosen = VecDeque::new();
    for Link { mut planned, open } in links {
        let count = planned.len();
        let start = inputs.start.clamp(first, first + count) - first;
        let end = inputs.end.clamp(first, first + count) - first;
        first += count;
        if end - start == count {
            chosen.push_back(Link { planned, open });
        } else if start < end {
            planned = planned.drain(start..end).collect();
            let open = move || {
                let mut source = open()?;
                source.only(start..end).map(|()| source)
            };
            chosen.push_back(Link { planned, open: Box::new(open) });
        }
    }
    chosen
}

impl BlockSource for Chain {
    fn next_block(&mut self, idle: Idle<'_>) -> Result<Option<Block>> {
        loop {
            let Some(current) = &mut self.current else {
                let Some(link) = self.rest.pop_front() else { return Ok(None) };
                self.first = self.next;
                self.next += u32::try_from(link.planned.len()).unwrap_or(u32::MAX);
                let mut opened = (link.open)()?;
                if self.skip {
                    opened.skip_inputs();
                }
                if let Some(spare) = &self.in_parts {
                    opened.in_parts(spare);
                }
                self.current = Some(opened);
                continue;
            };
            if let Some(mut block) = current.next_block(idle)? {
                block.input += self.first;
                return Ok(Some(block));
            }
            self.bytes_before += current.bytes_read();
            self.records.extend(current.inputs());
            self.current = None;
        }
    }

    fn bytes_read(&self) -> u64 {
        self.bytes_before + self.current.as_ref().map_or(0, |current| current.bytes_read())
    }

    /// Sources count what they read in ways of their own: files as they lie on disk, columns by their text.
    fn total_bytes(&self) -> Option<u64> {
        None
    }

    fn planned(&self) -> Vec<PlannedInput> {
        self.planned.clone()
    }

    fn inputs(&self) -> Vec<InputRecord> {
        let open = self.current.iter().flat_map(|current| current.inputs());
        self.records.iter().cloned().chain(open).collect()
    }

    fn only(&mut self, inputs: Range<usize>) -> Result<()> {
        self.planned = Vec::from(self.planned.get(inputs.clone()).unwrap_or_default());
        self.rest = links_of(std::mem::take(&mut self.rest), &inputs);
        Ok(())
    }

    fn skip_inputs(&mut self) {
        self.skip = true;
    }

    fn in_parts(&mut self, spare: &Arc<Spare<u8>>) {
        self.in_parts = Some(Arc::clone(spare));
    }
}
