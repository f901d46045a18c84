//! Which tokens make which batch: pure integer functions, no token is read here.
//!
//! ```text
//! sample number ──► (epoch, i) ──► window number ──► (start, valid targets) ──► gather
//!                    plan           permute           layout: windows over all tokens, within documents, or packed
//! ```
//!
//! There is no state but the sample number, so resuming, another world size and another machine give the same batches.

mod batches;
mod best_fit;
mod best_fit_file;
mod comings;
mod curriculum;
mod document_windows;
mod documents;
mod layout;
mod ledger;
mod mixture;
mod permute;
mod plan;
mod shuffle;
mod window;

pub use batches::{Batches, Sections, Step};
pub use best_fit::LONGEST_ROW;
pub use best_fit_file::{BestFit, Kept};
pub use comings::{Comings, Order};
pub use curriculum::{Curriculum, Part};
pub use document_windows::DocumentWindows;
pub use documents::{Documents, Piece, cut};
pub use layout::Layout;
pub use ledger::Ledger;
pub use mixture::{MAX_WEIGHT, Mixture, MixtureOptions, Sample};
pub use permute::{Permutation, permutation_key};
pub use plan::Plan;
pub use shuffle::Shuffle;
pub use window::{MAX_TOKENS, Tail, Window, Windows};
