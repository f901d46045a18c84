//! What is found is what was put.

use super::*;
use proptest::prelude::*;
use std::collections::HashMap;

fn found(records: &Records, tag: u32, piece: &[u8], kind: Kind) -> Option<Vec<u32>> {
    let mut ids = Vec::new();
    records.find(tag, piece, kind)?.push_to(|some| ids.extend_from_slice(some));
    Some(ids)
}

const SIZES: [usize; 4] = [1 << 16, 1 << 18, 1 << 24, 1 << 28];

proptest! {
    /// Against a plain map: small segments, so that records go all the time; few tags, so that different pieces have the
    /// same; pieces of few bytes, among them what records are made of. What was put last is there, and nothing else than
    /// what was put.
    #[test]
    fn a_table_has_what_was_put_or_nothing(
        puts in prop::collection::vec((0..6_u32, 0..3_u8, 1..60_usize, any::<bool>(), 0..80_usize), 1..200),
        lines in 1..4_u32,
        segments in 1..6_usize,
        segment in 60..600_usize,
        vocab_size in prop::sample::select(&SIZES[..]),
    ) {
        let bounds = Bounds { lines: 1 << lines, segments, segment: segment / UNIT * UNIT };
        let mut records = Records::new(vocab_size, bounds);
        let mut truth = HashMap::new();
        for (number, (tag, byte, length, part, count)) in (0..).zip(puts) {
            let (piece, kind) = (vec![byte; length], if part { Kind::Part } else { Kind::Whole });
            let ids: Vec<u32> = (0..count as u32).map(|id| (vocab_size as u32 - 1 - id * number) % vocab_size as u32).collect();
            // A piece becomes the same each time.
            let ids = truth.entry((piece.clone(), part)).or_insert(ids).clone();
            records.insert(tag, &piece, kind, &ids);
            let size = Header::of(tag, &piece, kind, ids.len()).unwrap().size(records.width);
            let fits = UNIT + size + HEADER <= bounds.segment;
            prop_assert_eq!(found(&records, tag, &piece, kind), fits.then_some(ids));
            let mut num_found = 0;
            for ((piece, part), ids) in &truth {
                for tag in 0..6 {
                    let kind = if *part { Kind::Part } else { Kind::Whole };
                    if let Some(found) = found(&records, tag, piece, kind) {
                        num_found += 1;
                        prop_assert_eq!(&found, ids);
                    }
                }
            }
            let in_lines = records.index.iter().flat_map(|line| line.units).filter(|unit| *unit != 0).count();
            prop_assert_eq!(in_lines, records.len());
            prop_assert!(num_found <= records.len());
        }
    }
}

proptest! {
    /// Two tables that leave each other what they have filled: nothing else is found in either than what one of them was given.
    #[test]
    fn tables_take_in_what_others_have_and_confuse_nothing(
        puts in prop::collection::vec((any::<bool>(), 0..40_u32, 1..40_usize, 0..20_usize), 1..200),
        segments in 1..9_usize,
        vocab_size in prop::sample::select(&SIZES[..]),
    ) {
        let bounds = Bounds { lines: 8, segments, segment: 256 };
        let mut tables = [(); 2].map(|()| Records::new(vocab_size, bounds));
        let mut truth = HashMap::new();
        for (which, number, length, count) in puts {
            let piece = vec![number as u8; length];
            let ids: Vec<u32> = (0..count as u32).map(|id| (vocab_size as u32 - 1).wrapping_sub(id * number) % vocab_size as u32).collect();
            let ids = truth.entry(piece.clone()).or_insert(ids).clone();
            let [one, other] = &mut tables;
            let (one, other) = if which { (one, other) } else { (other, one) };
            if let Some(segment) = one.insert(number, &piece, Kind::Whole, &ids) {
                other.take_in(segment);
            }
        }
        for table in &tables {
            for (piece, ids) in &truth {
                let found = found(table, u32::from(piece[0]), piece, Kind::Whole);
                prop_assert!(found.is_none_or(|found| found == *ids));
            }
            let in_lines = table.index.iter().flat_map(|line| line.units).filter(|unit| *unit != 0).count();
            prop_assert_eq!(in_lines, table.len());
        }
    }
}

#[test]
fn a_full_segment_makes_its_pieces_known_to_another_table_while_that_has_room() {
    let bounds = Bounds { lines: 1 << 8, segments: 3, segment: 1024 };
    let [mut one, mut other] = [(); 2].map(|()| Records::new(1 << 16, bounds));
    let spelled = |number: u32| [number.to_le_bytes(); 5].concat();
    let insert = |number| one.insert(number, &spelled(number), Kind::Whole, &[number; 3]).map(<[u8]>::to_vec);
    let full: Vec<Vec<u8>> = (0..200).filter_map(insert).collect();
    // 36 bytes each.
    assert_eq!(full.len(), 200 / (1024 / 36));
    full.iter().for_each(|segment| other.take_in(segment));
    let known: Vec<u32> =
        (0..200).filter(|number| found(&other, *number, &spelled(*number), Kind::Whole).is_some()).collect();
    assert_eq!(known, Vec::from_iter(0..2 * (1024 / 36)), "two segments: the third is its own");
}

#[test]
fn pieces_up_to_the_longest_are_kept_and_the_table_grows_to_its_bounds() {
    let mut records = Records::new(1 << 17, Bounds { lines: 1 << 12, segments: 96, segment: SEGMENT });
    for (length, is_kept) in [(0, false), (1, true), (LONGEST, true), (LONGEST + 1, false)] {
        let (piece, ids) = (vec![b'-'; length], vec![7; length]);
        records.insert(3, &piece, Kind::Whole, &ids);
        assert_eq!(found(&records, 3, &piece, Kind::Whole), is_kept.then_some(ids));
    }
    for number in 0..1_000_000_u32 {
        records.insert(number.wrapping_mul(0x9E37_79B1), &number.to_le_bytes(), Kind::Whole, &[number % 1000; 9]);
    }
    assert_eq!((records.index.len(), records.bytes.len()), (1 << 12, 6 << 20));
    assert!(records.len() <= 8 << 12);
}

/// A text again and again that is a fifth too long for the table: most of it is known each time.
#[test]
fn what_is_a_little_too_much_is_mostly_known() {
    let mut records = Records::new(1 << 16, Bounds { lines: 1 << 12, segments: 10, segment: 4096 });
    let mut known = 0;
    for _ in 0..20 {
        known = 0;
        for number in 0..10 * 4096 / 32 * 6 / 5_u32 {
            let (tag, piece) = (number.wrapping_mul(0x9E37_79B1), [number.to_le_bytes(); 4].concat());
            match found(&records, tag, &piece, Kind::Whole) {
                Some(_) => known += 1,
                None => drop(records.insert(tag, &piece, Kind::Whole, &[1, 2, 3, 4])),
            }
        }
    }
    assert!(known > 10 * 4096 / 32 / 2, "{known}");
}
