//! Merging many short pieces in turn.
//!
//! A step of a merge waits for the table of pairs, most of which is beyond the caches near the core; then it takes some forty
//! cycles. So each piece asks for the slots that its next step reads, and comes back when the others have had their turn
//! and the slots are there.
//!
//! What a step finds, nobody can predict, and a branch that is not predicted costs as much as 60 instructions. So there is
//! one on it, at the end of a piece (valgrind counts 3 such branches a piece; there were 12).

use super::ByteIds;
use super::merge::{Made, Scan};
use super::pairs::{Lookup, PairTable, Sought};
#[cfg(target_arch = "x86_64")]
use crate::level::Level;

/// So many pieces are merged in turn.
const IN_TURN: usize = 16;

/// Where pieces come from, and what they became goes to.
pub(super) trait Pieces<const N: usize> {
    /// How many there are.
    fn count(&self) -> usize;

    /// The number of the next, its bytes, followed by any others, and how many they are: less than `N`.
    fn next(&mut self) -> Option<(usize, [u8; N], usize)>;

    /// Takes what the piece with this number became.
    fn done(&mut self, number: usize, scan: &Scan<N>);
}

/// A piece that is being merged.
struct Job<const N: usize> {
    /// `None` before the first.
    number: Option<usize>,
    scan: Scan<N>,
    /// The pairs that the last step made, each with the place of its left token.
    sought: [(Sought, usize); 2],
}

impl<const N: usize> Job<N> {
    /// The last place never has a rank.
    const NOTHING: [(Sought, usize); 2] = [(Sought::NOTHING, N - 1); 2];
    const EMPTY: Job<N> = Job { number: None, scan: Scan::EMPTY, sought: Self::NOTHING };
}

/// Merges pieces. One with a byte that no token stands for is left out.
#[inline]
pub(super) fn merge_in_turn<const N: usize>(
    pieces: &mut impl Pieces<N>,
    table: &impl Lookup,
    pairs: &PairTable,
    byte_ids: &ByteIds,
) {
    #[cfg(target_arch = "x86_64")]
    if Level::available().contains(&Level::Avx2) {
        // SAFETY: this level is listed only on a processor that has these features.
        return unsafe { merge_avx2(pieces, table, pairs, byte_ids) };
    }
    merge(pieces, table, pairs, byte_ids);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
fn merge_avx2<const N: usize>(pieces: &mut impl Pieces<N>, table: &impl Lookup, pairs: &PairTable, byte_ids: &ByteIds) {
    merge(pieces, table, pairs, byte_ids);
}

#[inline(always)]
fn merge<const N: usize>(pieces: &mut impl Pieces<N>, table: &impl Lookup, pairs: &PairTable, byte_ids: &ByteIds) {
    let mut jobs = [const { Job::<N>::EMPTY }; IN_TURN];
    // Those that are running come first.
    let mut order: [usize; IN_TURN] = std::array::from_fn(|number| number);
    let mut running = IN_TURN.min(pieces.count());
    while running > 0 {
        // Apart from the steps: what has just been stored in parts cannot be loaded as a whole at once.
        for number in &order[..running] {
            let job = &mut jobs[*number];
            for (sought, place) in &job.sought {
                job.scan.set_rank(*place, table.rank(sought));
            }
        }
        let mut turn = 0;
        while turn < running {
            let job = &mut jobs[order[turn]];
            if let Some(made) = job.scan.merge_best(pairs) {
                for (sought, Made { left, right, place }) in job.sought.iter_mut().zip(made) {
                    *sought = (table.seek(left, right), place);
                }
                turn += 1;
                continue;
            }
            if let Some(number) = job.number {
                pieces.done(number, &job.scan);
            }
            if job.start(pieces, pairs, byte_ids) {
                turn += 1;
            } else {
                running -= 1;
                order.swap(turn, running);
            }
        }
    }
}

impl<const N: usize> Job<N> {
    /// Becomes the next piece; `false` if there is none.
    #[inline(always)]
    fn start(&mut self, pieces: &mut impl Pieces<N>, pairs: &PairTable, byte_ids: &ByteIds) -> bool {
        self.sought = Self::NOTHING;
        while let Some((number, bytes, length)) = pieces.next() {
            self.number = Some(number);
            if self.scan.set(&bytes, length, byte_ids, pairs) {
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
pub(super) mod tests_support {
    //! All ways in turn, for differential tests.
    use super::*;

    /// Some pieces, and what became of each; `None` of those left out.
    struct Listed<'a> {
        pieces: &'a [&'a [u8]],
        at: usize,
        became: Vec<Option<Vec<u32>>>,
    }

    impl<const N: usize> Pieces<N> for Listed<'_> {
        fn count(&self) -> usize {
            self.pieces.len()
        }

        fn next(&mut self) -> Option<(usize, [u8; N], usize)> {
            let piece = self.pieces.get(self.at)?;
            let mut bytes = [b'a'; N];
            bytes[..piece.len()].copy_from_slice(piece);
            self.at += 1;
            Some((self.at - 1, bytes, piece.len()))
        }

        fn done(&mut self, number: usize, scan: &Scan<N>) {
            let tokens: Vec<u32> = scan.tokens().collect();
            let (first, count) = scan.first_four();
            assert_eq!((&tokens[..count.min(4)], count), (&first[..count.min(4)], tokens.len()));
            assert!(self.became[number].replace(tokens).is_none(), "piece {number} was done twice");
        }
    }

    /// What becomes of pieces of fewer than `N` bytes by each way that this processor has.
    pub(in crate::bpe) fn in_turn<const N: usize>(
        pieces: &[&[u8]],
        table: &impl Lookup,
        pairs: &PairTable,
        byte_ids: &ByteIds,
    ) -> [Vec<Option<Vec<u32>>>; 2] {
        let some = || Listed { pieces, at: 0, became: vec![None; pieces.len()] };
        let (mut portable, mut best) = (some(), some());
        merge::<N>(&mut portable, table, pairs, byte_ids);
        merge_in_turn::<N>(&mut best, table, pairs, byte_ids);
        [portable.became, best.became]
    }
}
