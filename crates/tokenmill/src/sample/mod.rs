//! Which tokens make which batch: pure integer functions, no token is read here.
//!
//! ```text
//! sample number ──► (epoch, i) ──► window number ──► (start, valid targets) ──► gather
//!                    plan           permute           window
//! ```
//!
//! There is no state but the sample number, so resuming, another world size and another machine give the same batches.

mod permute;
mod plan;
mod window;

pub use permute::{Permutation, permutation_key};
pub use plan::{Batches, Plan};
pub use window::{MAX_TOKENS, Tail, Window, Windows};
