//! What tells two tokenizers apart.

use super::{Model, Tokenizer};
use crate::bpe::Merges;
use crate::hex::to_hex;
use sha2::{Digest, Sha256};

impl Tokenizer {
    /// SHA-256 (hexadecimal) of all that decides which ids a text gets. Equal fingerprints: equal ids for every text.
    pub fn fingerprint(&self) -> &str {
        self.fingerprint.get_or_init(|| {
            let mut hash = Fingerprint(Sha256::new());
            hash.field(b"tokenmill tokenizer 1");
            match &self.model {
                Model::Bpe(bpe) => {
                    hash.field(b"bpe");
                    hash.field(bpe.pattern().name_or_regex().as_bytes());
                    hash.field(&[u8::from(bpe.whole_pieces())]);
                    match bpe.merges() {
                        Merges::Ranks => hash.field(b"ranks"),
                        Merges::List(list) => {
                            hash.field(b"list");
                            for merge in list {
                                hash.numbers(&[merge.left, merge.right, merge.id]);
                            }
                        }
                    }
                }
                Model::Word(word) => {
                    hash.field(b"word");
                    hash.field(word.split().name_or_regex().as_bytes());
                    hash.numbers(word.unknown().as_slice());
                }
            }
            for (id, bytes) in self.vocab().iter() {
                hash.numbers(&[id]);
                hash.field(bytes);
            }
            hash.field(b"special");
            for special in self.specials() {
                hash.numbers(&[special.id, u32::from(special.always)]);
                hash.field(special.text.as_bytes());
            }
            to_hex(&hash.0.finalize())
        })
    }
}

/// Fields with their lengths, so that no two tokenizers feed the hash the same bytes.
struct Fingerprint(Sha256);

impl Fingerprint {
    fn field(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    fn numbers(&mut self, numbers: &[u32]) {
        self.0.update((numbers.len() as u64).to_le_bytes());
        for number in numbers {
            self.0.update(number.to_le_bytes());
        }
    }
}
