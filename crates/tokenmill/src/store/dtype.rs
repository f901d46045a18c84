//! How wide ids are stored.

use serde::{Deserialize, Serialize};

/// The width of a stored id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// Two bytes, for vocabularies of up to 65,536 ids.
    Uint16,
    /// Four bytes.
    Uint32,
}

impl Dtype {
    /// The narrowest type that holds every id below `vocab_size`.
    pub fn for_vocab_size(vocab_size: u64) -> Dtype {
        if vocab_size <= 1 << 16 { Dtype::Uint16 } else { Dtype::Uint32 }
    }

    /// Bytes of one id.
    pub fn width(self) -> u64 {
        match self {
            Dtype::Uint16 => 2,
            Dtype::Uint32 => 4,
        }
    }

    /// NumPy's name.
    pub fn name(self) -> &'static str {
        match self {
            Dtype::Uint16 => "uint16",
            Dtype::Uint32 => "uint32",
        }
    }
}
