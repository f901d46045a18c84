//! Merging many new pieces at once.
//!
//! A step of a merge waits for the pair table, which is larger than the caches near the core; then it takes a few
//! cycles. So several pieces are merged in turn: each asks for the lines that its next step reads, and comes back when
//! the others have had their turn and the lines are there.

use super::BpeModel;
use super::cache::{Became, PieceCache};
use super::merge::{Made, Scan};
use super::pairs::{Asked, NO_ID};
use crate::short_key::{SHORT, short_bytes};

/// So many pieces are merged in turn.
const IN_TURN: usize = 16;

/// Places for the bytes of a short piece.
const PLACES: usize = SHORT + 1;

/// A piece that is being merged.
struct Job {
    /// Its number in the batch.
    at: usize,
    scan: Scan<PLACES>,
    /// The pairs that the last step made, each with the place of its left token.
    asked: [(Asked, usize); 2],
}

impl BpeModel {
    /// Merges the short pieces that `missing` gives as numbers of `keys`, all without a token of their own, and puts
    /// what becomes of them into `became` and the cache. A piece with a byte that no token stands for is left out; so are
    /// all where the table of pairs is not packed.
    pub(super) fn merge_missing(
        &self,
        missing: &[usize],
        keys: &[u128],
        became: &mut [Became],
        cache: &mut PieceCache,
    ) {
        let Some(packed) = self.pairs.packed() else { return };
        let mut waiting = missing.iter().copied();
        // The last place never has a rank.
        let nothing = [(packed.ask(NO_ID, 0), PLACES - 1); 2];
        let mut jobs: [Job; IN_TURN] = std::array::from_fn(|_| Job { at: 0, scan: Scan::EMPTY, asked: nothing });
        let mut running = 0;
        while running < IN_TURN && self.start(&mut waiting, keys, &mut jobs[running]) {
            running += 1;
        }
        while running > 0 {
            // Apart from the steps: what has just been stored in parts cannot be loaded as a whole at once.
            for job in &mut jobs[..running] {
                for (asked, place) in &job.asked {
                    job.scan.set_rank(*place, packed.answer_packed(asked));
                }
            }
            let mut turn = 0;
            while turn < running {
                let job = &mut jobs[turn];
                if let Some(made) = job.scan.merge_best(&self.pairs) {
                    job.asked = made.map(|Made { left, right, place }| (packed.seek(left, right), place));
                    turn += 1;
                    continue;
                }
                became[job.at] = cache.put_key(keys[job.at], job.scan.tokens());
                if self.start(&mut waiting, keys, job) {
                    job.asked = nothing;
                    turn += 1;
                } else {
                    running -= 1;
                    jobs.swap(turn, running);
                }
            }
        }
    }

    /// Makes `job` the next piece; `false` if there is none.
    #[inline(always)]
    fn start(&self, waiting: &mut impl Iterator<Item = usize>, keys: &[u128], job: &mut Job) -> bool {
        for at in waiting {
            let (bytes, length) = short_bytes(&keys[at]);
            job.at = at;
            if job.scan.set(&bytes[..length], &self.byte_ids, &self.pairs) {
                return true;
            }
        }
        false
    }
}
