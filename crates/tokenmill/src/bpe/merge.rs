//! Merging the tokens of one piece: always the pair of lowest rank, the leftmost of equals, until none merges.

use super::ByteIds;
use super::blocks::Blocks;
use super::pairs::{Lookup, NEVER, NO_ID, NO_RANK, PairTable};
use super::perfect::Perfect;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Up to this many tokens a scan for the minimum is fastest (nearly all pieces: English words have 1 to 10 bytes).
pub(super) const SCAN_LIMIT: usize = 63;
/// Up to this many, blocks are: a heap takes twice as long for 100 to 2,000 bytes, 1.7 times for 4,000.
pub(super) const BLOCKS_LIMIT: usize = 4096;

/// Buffers that outlive a piece.
#[derive(Debug, Default)]
pub(super) struct MergeBuffers {
    tokens: Vec<u32>,
    ranks: Vec<u32>,
    blocks: Blocks,
    links: Vec<Link>,
    queue: BinaryHeap<Reverse<(u32, usize)>>,
}

/// Appends what the bytes of `piece` merge to; gives a byte that has no token, if there is one.
pub(super) fn merge(
    piece: &[u8],
    byte_ids: &ByteIds,
    pairs: &PairTable,
    tokens: &mut Vec<u32>,
    buffers: &mut MergeBuffers,
) -> std::result::Result<(), u8> {
    let scanned = match (pairs.perfect(), piece.len()) {
        (Some(perfect), ..16) => merge_by_scan::<16>(piece, byte_ids, pairs, perfect, tokens),
        (Some(perfect), ..32) => merge_by_scan::<32>(piece, byte_ids, pairs, perfect, tokens),
        (Some(perfect), ..=SCAN_LIMIT) => merge_by_scan::<{ SCAN_LIMIT + 1 }>(piece, byte_ids, pairs, perfect, tokens),
        _ => false,
    };
    if scanned {
        return Ok(());
    }
    buffers.tokens.clear();
    for &byte in piece {
        buffers.tokens.push(byte_ids.get(byte).ok_or(byte)?);
    }
    buffers.ranks.clear();
    buffers.ranks.extend(piece.windows(2).map(|pair| pairs.rank_of_bytes(pair[0], pair[1])));
    if piece.len() <= BLOCKS_LIMIT {
        buffers.blocks.merge(&mut buffers.tokens, &buffers.ranks, pairs);
    } else {
        merge_by_heap(pairs, buffers);
    }
    tokens.extend_from_slice(&buffers.tokens);
    Ok(())
}

/// The whole of a piece's merging on arrays of fixed size: O(n²) with a tiny constant. Nothing is moved, every scan for
/// the minimum looks at `N` places, used or not, and a neighbour that is not there is one that merges with nothing, which is
/// at the last place: so no branch depends on the piece but the one at its end. `N` is a power of two of at most 128, and a
/// piece has fewer bytes.
pub(super) struct Scan<const N: usize> {
    /// A token is at the place of its first byte; those that have one, and the last place.
    places: Places<N>,
    /// `NO_ID` at the last place.
    ids: [u32; N],
    /// Rank and place in one number: the smallest is the best rank, and of equals the leftmost. The last token has none,
    /// nor has one that was merged into the token before it.
    ranked: [i32; N],
}

/// A pair that a merge has made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Made {
    pub left: u32,
    pub right: u32,
    /// That of the left token.
    pub place: usize,
}

impl<const N: usize> Scan<N> {
    /// Of nothing.
    pub(super) const EMPTY: Scan<N> =
        Scan { places: Places([0; 2]), ids: [0; N], ranked: [signed::<N>(Self::NOTHING); N] };

    /// From here on: the pair does not merge.
    const NOTHING: u32 = rank_at::<N>(NO_RANK, 0);

    /// What the rank of a pair that begins at each place of a piece is at least. A piece of n bytes has n - 1 pairs: its row
    /// begins n - 1 before the middle.
    const LEAST: [[u32; N]; 2] = [[0; N], [Self::NOTHING; N]];

    /// The tokens of the first `length` of `bytes`, at least one; `false` if a byte has no token. All places are set whatever
    /// the length is: a loop of that many rounds would end with a branch that nobody can predict.
    #[inline(always)]
    pub(super) fn set(&mut self, bytes: &[u8; N], length: usize, byte_ids: &ByteIds, pairs: &PairTable) -> bool {
        self.places = Places::first(length);
        for (id, &byte) in self.ids.iter_mut().zip(bytes) {
            *id = byte_ids.ids[usize::from(byte)];
        }
        self.ids[N - 1] = NO_ID;
        let least = &Self::LEAST.as_flattened()[N + 1 - length..][..N];
        for place in 0..N - 1 {
            let rank = pairs.small_rank_of_bytes(bytes[place], bytes[place + 1]);
            self.ranked[place] = signed::<N>(rank_at::<N>(rank, place) | least[place]);
        }
        self.ranked[N - 1] = signed::<N>(Self::NOTHING);
        byte_ids.all || bytes[..length].iter().all(|byte| byte_ids.get(*byte).is_some())
    }

    /// Says what the rank of the token at `place` with its right neighbour is, as the packed table has it.
    #[inline(always)]
    pub(super) fn set_rank(&mut self, place: usize, rank: u32) {
        self.ranked[place % N] = signed::<N>(rank_at::<N>(rank, place));
    }

    /// Makes the best merge and gives the pairs with new ranks, which the caller must find and set; `None` if nothing merges.
    #[inline(always)]
    pub(super) fn merge_best(&mut self, pairs: &PairTable) -> Option<[Made; 2]> {
        let best = signed::<N>(least(&self.ranked).cast_unsigned()).cast_unsigned();
        if best >= Self::NOTHING {
            return None;
        }
        let (rank, place) = (best / const { rank_at::<N>(1, 0) }, best as usize % N);
        let Neighbours { before, taken, behind } = self.places.take_next(place);
        let token = pairs.id(rank);
        self.ids[place] = token;
        self.ranked[taken] = signed::<N>(Self::NOTHING);
        let (left, right) = (self.ids[before], self.ids[behind]);
        Some([Made { left: token, right, place }, Made { left, right: token, place: before }])
    }

    /// The first four tokens of those there now, and how many there are.
    #[inline(always)]
    pub(super) fn first_four(&self) -> ([u32; 4], usize) {
        let mut places = self.places;
        (std::array::from_fn(|_| self.ids[places.pop() % N]), self.places.count() - 1)
    }

    /// What is there now.
    #[inline(always)]
    pub(super) fn tokens(&self) -> impl Iterator<Item = u32> {
        let mut places = self.places;
        std::iter::from_fn(move || self.ids[..N - 1].get(places.pop()).copied())
    }
}

/// A set of `N` places: a word of bits, or two.
#[derive(Debug, Clone, Copy)]
struct Places<const N: usize>([u64; 2]);

/// Places around one whose token takes the next.
struct Neighbours {
    /// With nothing before it the last place, which never has a rank.
    before: usize,
    taken: usize,
    behind: usize,
}

impl<const N: usize> Places<N> {
    #[inline(always)]
    fn both(self) -> u128 {
        u128::from(self.0[0]) | u128::from(self.0[1]) << 64
    }

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "halves")]
    fn of_both(both: u128) -> Places<N> {
        Places([both as u64, (both >> 64) as u64])
    }

    /// The first `length` places, and the last of all.
    #[inline(always)]
    fn first(length: usize) -> Places<N> {
        if N <= 64 {
            Places([!(u64::MAX << length) | 1 << (N - 1), 0])
        } else {
            Places::of_both(!(u128::MAX << length) | 1 << (N - 1))
        }
    }

    #[inline(always)]
    fn count(self) -> usize {
        (self.0[0].count_ones() + if N <= 64 { 0 } else { self.0[1].count_ones() }) as usize
    }

    /// Takes the first place out; `N` or more if there is none.
    #[inline(always)]
    fn pop(&mut self) -> usize {
        if N <= 64 {
            let place = self.0[0].trailing_zeros();
            self.0[0] &= self.0[0].wrapping_sub(1);
            place as usize
        } else {
            let both = self.both();
            *self = Places::of_both(both & both.wrapping_sub(1));
            both.trailing_zeros() as usize
        }
    }

    /// Takes out the place behind `place`, which there is.
    #[inline(always)]
    fn take_next(&mut self, place: usize) -> Neighbours {
        let of = |before: u32, taken: u32, behind: u32| Neighbours {
            before: before as usize % N,
            taken: taken as usize % N,
            behind: behind as usize % N,
        };
        if N <= 64 {
            let bits = self.0[0];
            let (below, above) = (bits & !(u64::MAX << place), bits & (u64::MAX << place << 1));
            let behind = above & above.wrapping_sub(1);
            self.0[0] ^= above ^ behind;
            of(63_u32.wrapping_sub(below.leading_zeros()), above.trailing_zeros(), behind.trailing_zeros())
        } else {
            let bits = self.both();
            let (below, above) = (bits & !(u128::MAX << place), bits & (u128::MAX << place << 1));
            let behind = above & above.wrapping_sub(1);
            *self = Places::of_both(bits ^ above ^ behind);
            of(127_u32.wrapping_sub(below.leading_zeros()), above.trailing_zeros(), behind.trailing_zeros())
        }
    }
}

/// `false` if a byte has no token.
fn merge_by_scan<const N: usize>(
    piece: &[u8],
    byte_ids: &ByteIds,
    pairs: &PairTable,
    perfect: &Perfect,
    tokens: &mut Vec<u32>,
) -> bool {
    let mut scan = Scan::<N>::EMPTY;
    let mut bytes = [0; N];
    bytes[..piece.len()].copy_from_slice(piece);
    if piece.is_empty() || !scan.set(&bytes, piece.len(), byte_ids, pairs) {
        return piece.is_empty();
    }
    while let Some(made) = scan.merge_best(pairs) {
        for Made { left, right, place } in made {
            scan.set_rank(place, perfect.rank(&perfect.seek(left, right)));
        }
    }
    tokens.extend(scan.tokens());
    true
}

#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "25 bits and 7 are 32")]
const fn rank_at<const N: usize>(rank: u32, place: usize) -> u32 {
    (rank as usize * N + place) as u32
}

/// As a signed number in the same order, and the other way round: where all fit, the same number.
#[inline(always)]
const fn signed<const N: usize>(ranked: u32) -> i32 {
    (if N <= 64 { ranked } else { ranked ^ 1 << 31 }).cast_signed()
}

/// Signed numbers in four strands, which becomes a comparison of four at a time even in SSE2; of many in sixteen.
#[inline(always)]
fn least<const N: usize>(ranked: &[i32; N]) -> i32 {
    if N <= 64 { least_of_strands::<4>(ranked) } else { least_of_strands::<16>(ranked) }
}

#[inline(always)]
fn least_of_strands<const STRANDS: usize>(ranked: &[i32]) -> i32 {
    let mut least = [i32::MAX; STRANDS];
    for some in ranked.as_chunks::<STRANDS>().0 {
        for (least, &other) in least.iter_mut().zip(some) {
            *least = other.min(*least);
        }
    }
    least.into_iter().fold(i32::MAX, i32::min)
}

/// A token in a linked list over the places of the piece's first tokens.
#[derive(Debug, Clone, Copy)]
struct Link {
    previous: usize,
    next: usize,
    /// Of this token and the next; a queue entry counts only while it says the same.
    rank: u32,
}

/// No neighbour.
const END: usize = usize::MAX;

/// O(n log n) for any input: entries made stale by a merge stay in the queue and are skipped when they come up.
fn merge_by_heap(pairs: &PairTable, buffers: &mut MergeBuffers) {
    let MergeBuffers { tokens, ranks, links, queue, .. } = buffers;
    let count = tokens.len();
    links.clear();
    links.extend((0..count).map(|place| Link {
        previous: place.checked_sub(1).unwrap_or(END),
        next: if place + 1 < count { place + 1 } else { END },
        rank: ranks.get(place).copied().unwrap_or(NEVER),
    }));
    queue.clear();
    queue.extend(
        ranks.iter().enumerate().filter(|(_, rank)| **rank != NEVER).map(|(place, rank)| Reverse((*rank, place))),
    );
    while let Some(Reverse((rank, place))) = queue.pop() {
        if links[place].rank != rank {
            continue;
        }
        let Link { previous, next, .. } = links[place];
        tokens[place] = pairs.id(rank);
        let after = links[next].next;
        links[next].rank = NEVER;
        links[place].next = after;
        if after != END {
            links[after].previous = place;
        }
        links[place].rank = NEVER;
        for (left, right) in [(previous, place), (place, after)] {
            if left != END && right != END {
                let renewed = pairs.rank(tokens[left], tokens[right]);
                links[left].rank = renewed;
                if renewed != NEVER {
                    queue.push(Reverse((renewed, left)));
                }
            }
        }
    }
    let mut place = if count == 0 { END } else { 0 };
    let mut kept = 0;
    while place != END {
        tokens[kept] = tokens[place];
        kept += 1;
        place = links[place].next;
    }
    tokens.truncate(kept);
}

#[cfg(test)]
pub(super) mod tests_support {
    //! Every strategy on any length, for differential tests.
    use super::super::blocks::tests_support::blocks;
    use super::*;

    /// Only with a packed table.
    pub(in crate::bpe) fn scan<const N: usize>(pairs: &PairTable, byte_ids: &ByteIds, piece: &[u8]) -> Vec<u32> {
        let mut tokens = Vec::new();
        assert!(merge_by_scan::<N>(piece, byte_ids, pairs, pairs.perfect().unwrap(), &mut tokens));
        tokens
    }

    /// Tokens of the bytes, and their ranks.
    fn start(pairs: &PairTable, byte_ids: &ByteIds, piece: &[u8]) -> (Vec<u32>, Vec<u32>) {
        let tokens: Vec<u32> = piece.iter().map(|byte| byte_ids.get(*byte).unwrap()).collect();
        let ranks = tokens.windows(2).map(|pair| pairs.rank(pair[0], pair[1])).collect();
        (tokens, ranks)
    }

    /// By each way that this processor has.
    pub(in crate::bpe) fn in_blocks(pairs: &PairTable, byte_ids: &ByteIds, piece: &[u8]) -> Vec<Vec<u32>> {
        let (tokens, ranks) = start(pairs, byte_ids, piece);
        blocks(pairs, &tokens, &ranks)
    }

    pub(in crate::bpe) fn heap(pairs: &PairTable, byte_ids: &ByteIds, piece: &[u8]) -> Vec<u32> {
        let (tokens, ranks) = start(pairs, byte_ids, piece);
        let mut buffers = MergeBuffers { tokens, ranks, ..MergeBuffers::default() };
        merge_by_heap(pairs, &mut buffers);
        buffers.tokens
    }
}
