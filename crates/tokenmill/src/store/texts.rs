//! What a task keeps of the text of each document, so that `seal` need not read the inputs: a file `.texts` beside each shard.
//!
//! ```text
//! SHA-256 of the text (32 bytes)   its XXH3 (u128)   its size in UTF-8 (u64)   how often it spells a special token (u64)
//! ```
//!
//! SHA-256 tells documents that another task has, too; XXH3 is what the shard's `source` is made of. The numbers are what such a
//! document takes with it from the summary.

use super::sealed::from_hex;
use super::shard::{Origin, ShardEntry, ShardRecord, record_name, texts_name};
use super::tasks::damaged;
use super::text_hash::TextHash;
use super::{BLOCK_BYTES, Hash};
use crate::error::{Error, Result};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Bytes of a document's entry. It divides the block's.
const ENTRY: usize = 64;

/// A document's entry, in words that divide a block.
pub(super) fn entry_of(origin: &Origin) -> Result<[[u8; 8]; ENTRY / 8]> {
    let mut entry = [0; ENTRY];
    entry[..32].copy_from_slice(origin.text.sha256()?);
    entry[32..48].copy_from_slice(&origin.text.quick.to_le_bytes());
    entry[48..56].copy_from_slice(&origin.text_bytes.to_le_bytes());
    entry[56..].copy_from_slice(&origin.special_text.to_le_bytes());
    let mut words = [[0; 8]; ENTRY / 8];
    words.as_flattened_mut().copy_from_slice(&entry);
    Ok(words)
}

/// The entries of a shard in order, each proved by its block's hash.
pub(super) struct Texts<'a> {
    part: &'a Path,
    name: String,
    file: File,
    hashes: std::vec::IntoIter<String>,
    /// What has been read, from `at` on not yet handed out.
    bytes: Vec<u8>,
    at: usize,
}

impl Texts<'_> {
    /// Those of a shard of the store of a task.
    pub(super) fn open<'a>(part: &'a Path, entry: &ShardEntry) -> Result<Texts<'a>> {
        let (record, _) = ShardRecord::load(&part.join(record_name(&entry.name)))?;
        let name = texts_name(&entry.name);
        let bytes = entry.num_documents.checked_mul(ENTRY as u64);
        let Some(texts) = record.texts.filter(|texts| Some(texts.bytes) == bytes) else {
            return Err(damaged(part, &name, "it has not as many entries as there are documents"));
        };
        let path = part.join(&name);
        let file = File::open(&path).map_err(Error::io(&path))?;
        Ok(Texts { part, name, file, hashes: texts.blake3.into_iter(), bytes: Vec::new(), at: 0 })
    }

    /// The next document, which is at a position of an input.
    pub(super) fn next(&mut self, input: u32, position: u64) -> Result<Origin> {
        loop {
            if let Some((entry, _)) = self.bytes.get(self.at..).and_then(|bytes| bytes.split_first_chunk::<ENTRY>()) {
                self.at += ENTRY;
                let ((sha256, rest), quick) = (entry.split_at(32), &entry[32..48]);
                let (_, numbers) = rest.split_at(16);
                let number = |at: usize| numbers[at..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
                let quick = quick.first_chunk().map_or(0, |bytes| u128::from_le_bytes(*bytes));
                let text = TextHash { quick, sha256: Hash::try_from(sha256).ok() };
                return Ok(Origin { input, position, text, text_bytes: number(0), special_text: number(8) });
            }
            self.read_block()?;
        }
    }

    fn read_block(&mut self) -> Result<()> {
        self.bytes.drain(..self.at);
        self.at = 0;
        let begins = self.bytes.len();
        let path = self.part.join(&self.name);
        (&mut self.file).take(BLOCK_BYTES).read_to_end(&mut self.bytes).map_err(Error::io(path))?;
        let expected = self.hashes.next().and_then(|hash| from_hex(&hash));
        if expected != Some(*blake3::hash(&self.bytes[begins..]).as_bytes()) {
            return Err(damaged(self.part, &self.name, "its bytes have changed"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::{inputs, options, tokenizer_json};
    use crate::store::{Split, Summary, TaskPlan, Writer, WriterOptions};

    /// 100,000 entries are 6.1 MiB.
    #[test]
    fn entries_in_several_blocks_come_back_and_a_changed_byte_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("part");
        let task = TaskPlan { number: 1, of: 1, inputs: Vec::new() };
        let options = WriterOptions { task: Some(task), ..options(100, 5) };
        let mut writer = Writer::create(&out, options, tokenizer_json).unwrap();
        let origin = |position: u64| Origin {
            input: 0,
            position,
            text: TextHash::of(&position.to_string(), true),
            text_bytes: position << 33,
            special_text: position * 3,
        };
        for position in 0..100_000 {
            writer.append::<u16>(Split::Train, &[], &origin(position)).unwrap();
        }
        let manifest = writer.finish(inputs(1), Summary::default()).unwrap();
        let [entry] = manifest.train.shards.as_slice() else { panic!("more than one shard") };
        let mut texts = Texts::open(&out, entry).unwrap();
        for position in 0..100_000 {
            assert_eq!(texts.next(0, position).unwrap(), origin(position));
        }
        let path = out.join("shard-00000.texts");
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[4_500_000] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let mut texts = Texts::open(&out, entry).unwrap();
        let error = (0..100_000).find_map(|position| texts.next(0, position).err()).unwrap().to_string();
        assert!(error.contains("shard-00000.texts: its bytes have changed; remove "), "{error}");
    }
}
