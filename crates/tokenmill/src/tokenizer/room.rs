//! How much memory ids will need.

use crate::bpe::Output;

/// Bytes of text whose ids are there, and what that says of the rest: memory for all of them is asked for early, as a list that
/// grows when it is long is touched twice for the first time. What is asked for and not used costs nothing.
#[derive(Debug)]
pub(super) struct Room {
    expected: usize,
    bytes: usize,
    ids: usize,
}

impl Room {
    /// For texts of about so many bytes in all.
    pub(super) fn for_bytes(expected: usize) -> Room {
        Room { expected, bytes: 0, ids: 0 }
    }

    /// So many bytes are more likely.
    pub(super) fn expect(&mut self, expected: usize) {
        self.expected = expected;
    }

    /// So many bytes had so many ids.
    pub(super) fn have_taken(&mut self, bytes: usize, ids: usize) {
        self.bytes += bytes;
        self.ids += ids;
    }

    /// Sees to it that there is room for `at_least` ids, of the next `bytes`, and where there is not, for those that follow, too.
    pub(super) fn make<O: Output>(&self, ids: &mut O, bytes: usize, at_least: usize) {
        let rest = self.expected.saturating_sub(self.bytes + bytes);
        // A third more than so far, as texts differ: moving 40 MB takes 10 ms. 64 bits hold the product of 4 GB and 4 G ids. An
        // eighth of what is there if more comes than was expected.
        let likely = rest.saturating_mul(self.ids) / self.bytes.max(1);
        ids.make_room(at_least, at_least + (likely + likely / 3).max(ids.count() / 8));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often ids had to move while the tasks of a text came in, and how much more memory they have than they need.
    fn moves(expected: usize, ids_a_task: impl Fn(usize) -> usize) -> (usize, f64) {
        const TASKS: usize = 200;
        const BYTES: usize = 1000;
        let (mut ids, mut room, mut moves) = (Vec::<u32>::new(), Room::for_bytes(expected), 0);
        for task in 0..TASKS {
            let before = ids.capacity();
            room.make(&mut ids, BYTES, BYTES);
            moves += usize::from(ids.capacity() != before);
            let count = ids_a_task(task);
            ids.extend(vec![7; count]);
            room.have_taken(BYTES, count);
        }
        (moves, ids.capacity() as f64 / ids.len() as f64)
    }

    #[test]
    fn what_the_first_part_of_a_text_needs_tells_what_the_rest_will() {
        for ids_a_task in [150, 250, 500, 1000] {
            let (moves, more) = moves(200_000, |_| ids_a_task);
            assert!(moves <= 2 && more < 1.4, "{ids_a_task}: {moves} moves, {more}");
        }
    }

    #[test]
    fn ids_seldom_move_where_nothing_is_known_or_the_text_changes() {
        assert!(moves(0, |_| 300).0 < 40);
        assert!(moves(200_000, |task| 200 + 3 * task).0 < 10);
    }
}
