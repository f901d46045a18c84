//! The token store: encoded documents in a folder, written once, mapped into memory, verified to the byte.
//!
//! ```text
//! corpus.tm/
//!     manifest.json        what the store is: tokenizer, dtype, inputs, shard table, totals, content hash
//!     tokenizer.json
//!     prepare.json         what the writer was told: options, and how each input is laid out
//!     shard-00000.tokens   u16 or u32 ids, back to back                  ◄── what training reads
//!     shard-00000.docs     u64 end of each document, in tokens of this shard
//!     shard-00000.origin   two u64 per document: input number, position in that input
//!     shard-00000.json     the shard's record: counts, sizes, BLAKE3 of every 4 MiB block
//!     validation-00000.*   the same four files for documents kept from training, where that was asked for
//!
//!            blocks         ids           files               maps
//! BlockSource ──► prepare ──► Writer ──► corpus.tm ──► Store ──► sample, gather
//!                 parallel    in order      │└────────► verify
//!                                           └◄──────── repair ◄── the inputs of damaged shards
//!
//!            how each hash covers the next, so that one damaged byte anywhere is found and named
//! content_hash ◄── shard content_hash ◄── block hashes (in the record) ◄── 4 MiB blocks of the three files
//! ```
//!
//! All numbers are little-endian. `docs/format.md` specifies every byte, so that others can write a reader.
//! What is large has BLAKE3: the blocks, and the inputs, all of whose bytes pass. SHA-256, which processors of the last years do at 1.4 GB/s, took
//! a sixth of the time of preparing a store; BLAKE3 does 4.5 GB/s. What is small has SHA-256, which every language ships. A text's hash is XXH3, where nobody tells
//! it from others by it (`text_hash`).
//!
//! A store grows in `corpus.tm.partial` (`workspace`) and appears by one rename of the finished folder: it is whole or it
//! is not there, whenever the process is killed or the power cut. Finished shards of a stopped run are kept for the next
//! (`kept`), if that is the same run (`plan`). More documents are added as shards behind the others (`append`).

mod append;
#[cfg(test)]
mod append_faults_tests;
#[cfg(test)]
mod append_tests;
mod block_file;
mod coder;
mod disk;
mod dtype;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod faults_tests;
mod history;
#[cfg(test)]
mod history_tests;
mod kept;
mod long;
#[cfg(test)]
mod long_tests;
mod manifest;
mod options;
mod pipeline;
mod plan;
mod prepare;
#[cfg(test)]
mod prepare_tests;
mod quarantine;
mod reader;
mod repair;
#[cfg(test)]
mod repair_tests;
mod seal;
#[cfg(test)]
mod seal_tests;
mod sealed;
mod select;
mod shard;
mod split;
mod stages;
mod tasks;
#[cfg(test)]
mod tests;
mod text_hash;
mod texts;
mod verify;
mod verify_blocks;
mod workspace;
mod writer;

pub use block_file::BLOCK_BYTES;
pub use dtype::Dtype;
pub use history::{Earlier, EarlierTable};
pub use manifest::{Manifest, Validation};
pub use options::{PrepareOptions, Recipe, SpecialText};
pub use plan::TaskPlan;
pub use prepare::{check_append, prepare};
pub use reader::Store;
pub use repair::Repair;
pub use seal::seal;
pub use sealed::Hash;
pub use select::Summary;
pub use shard::{Origin, ShardEntry, ShardFile, ShardRecord, SourceHash, Table};
pub use split::{Split, Splitter};
pub use tasks::Task;
pub use text_hash::TextHash;
pub use verify::{Problem, Report, verify};
pub use writer::{StoredId, Writer, WriterOptions};

/// The file in a store that describes it.
pub const MANIFEST: &str = "manifest.json";
/// The file in a store that holds its tokenizer.
pub const TOKENIZER: &str = "tokenizer.json";
/// The file in a store that says what its writer was told.
pub const PLAN: &str = "prepare.json";

/// Tokens after which a new shard begins: 2^28 are 512 MiB of u16 ids or 1 GiB of u32 ids. A shard is then copied,
/// checked or lost in seconds, every file stays below the 2 GiB that some tools stop at, and 10^12 tokens are
/// 3,700 shards, whose 11,000 memory maps stay well below Linux's default limit of 65,530.
pub const DEFAULT_SHARD_TOKENS: u64 = 1 << 28;
