//! How large the blocks of a run are.

/// Where a run begins and ends. Smaller ones take longer than what they save.
const LEAST_BYTES: usize = 64 << 10;

/// A block has this part of what is left, so that a few threads end together.
const PARTS_OF_REST: u64 = 8;

/// Blocks are small at both ends of a run, so that no thread waits long for the first block, or for another's last one: a block of 1 MiB
/// takes 1 ms to be read and 5 ms to be encoded.
#[derive(Debug)]
pub(super) struct Sizes {
    usual: usize,
    next: usize,
    /// Bytes of all inputs, where that is known.
    total: Option<u64>,
}

impl Sizes {
    pub fn new(usual: usize, total: Option<u64>) -> Sizes {
        Sizes { usual, next: usual.min(LEAST_BYTES), total }
    }

    /// The size of the next block, after so many bytes.
    pub fn next(&mut self, read: u64) -> usize {
        let size = self.next;
        self.next = self.usual.min(2 * size);
        let rest = self.total.map(|total| total.saturating_sub(read) / PARTS_OF_REST);
        let most = rest.map_or(usize::MAX, |rest| usize::try_from(rest).unwrap_or(usize::MAX));
        size.min(most.max(LEAST_BYTES))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(usual: usize, total: u64, known: bool) -> Vec<usize> {
        let mut sizes = Sizes::new(usual, known.then_some(total));
        let mut read = 0;
        std::iter::from_fn(|| {
            (read < total).then(|| {
                let size = sizes.next(read);
                read += size as u64;
                size
            })
        })
        .collect()
    }

    #[test]
    fn blocks_are_small_at_both_ends() {
        let kib = |sizes: Vec<usize>| Vec::from_iter(sizes.into_iter().map(|size| size >> 10));
        assert_eq!(kib(sizes(1 << 20, 4 << 20, false)), [64, 128, 256, 512, 1024, 1024, 1024, 1024]);
        let blocks = sizes(1 << 20, 20 << 20, true);
        assert_eq!(kib(blocks[..6].to_vec()), [64, 128, 256, 512, 1024, 1024]);
        let from = blocks.iter().rposition(|size| *size == 1 << 20).unwrap();
        assert!(blocks[from..].is_sorted_by(|before, after| before >= after));
        assert_eq!(blocks.last(), Some(&LEAST_BYTES));
        // What the last two threads have to do is some milliseconds at most.
        assert_eq!(kib(sizes(1 << 20, 200 << 10, true)), [64, 64, 64, 64]);
    }

    #[test]
    fn blocks_that_are_smaller_anyhow_stay_so() {
        assert_eq!(sizes(7, 20, true), [7, 7, 7]);
    }
}
