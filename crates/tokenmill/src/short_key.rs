//! A string of up to 15 bytes as one integer: the bytes, zeros, and the length in the last byte, so that a zero byte
//! at the end counts. Different strings have different keys, so equal keys need no look at the bytes.

/// Longest string that has a key.
pub(crate) const SHORT: usize = 15;

/// For each length: the bits of its bytes.
const MASKS: [u128; SHORT + 1] = {
    let mut masks = [0; SHORT + 1];
    let mut length = 1;
    while length <= SHORT {
        masks[length] = (1 << (8 * length)) - 1;
        length += 1;
    }
    masks
};

/// The key of `text[start..start + length]`, of at most 15 bytes. Faster than [`short_key`] where something follows.
#[inline(always)]
pub(crate) fn short_key_at(text: &[u8], start: usize, length: usize) -> u128 {
    let bytes = match text[start..].first_chunk::<16>() {
        // The usual case: one load, from which what follows the string is cut off.
        Some(window) => u128::from_le_bytes(*window) & MASKS[length],
        None => {
            let mut window = [0; 16];
            window[..length].copy_from_slice(&text[start..start + length]);
            u128::from_le_bytes(window)
        }
    };
    bytes | (length as u128) << 120
}

/// The key of a whole string; `None` for one of more than 15 bytes.
#[inline]
pub(crate) fn short_key(bytes: &[u8]) -> Option<u128> {
    let length = bytes.len();
    // Two loads that may overlap: what both have is the same, so `|` leaves it as it is.
    let value = match length {
        0 => 0,
        1..=3 => {
            let at = |index: usize| u128::from(bytes[index]) << (8 * index);
            at(0) | at(length / 2) | at(length - 1)
        }
        4..=7 => {
            let (first, last) = (bytes.first_chunk::<4>()?, bytes.last_chunk::<4>()?);
            u128::from(u32::from_le_bytes(*first)) | u128::from(u32::from_le_bytes(*last)) << (8 * (length - 4))
        }
        8..=15 => {
            let (first, last) = (bytes.first_chunk::<8>()?, bytes.last_chunk::<8>()?);
            u128::from(u64::from_le_bytes(*first)) | u128::from(u64::from_le_bytes(*last)) << (8 * (length - 8))
        }
        _ => return None,
    };
    Some(value | (length as u128) << 120)
}

/// The bytes of the string with this key, and how many they are. What the upper half of the last byte says is up to
/// the caller.
#[inline(always)]
pub(crate) fn short_bytes(key: &u128) -> ([u8; 16], usize) {
    let bytes = key.to_le_bytes();
    (bytes, usize::from(bytes[SHORT]) % 16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn keys_are_the_bytes_and_their_length(
            bytes in prop::collection::vec(any::<u8>(), 0..20),
            before: Vec<u8>,
            after: Vec<u8>,
        ) {
            let key = short_key(&bytes);
            prop_assert_eq!(key.is_some(), bytes.len() <= SHORT);
            if let Some(key) = key {
                let mut expected = [0; 16];
                expected[..bytes.len()].copy_from_slice(&bytes);
                expected[15] = bytes.len() as u8;
                prop_assert_eq!(key.to_le_bytes(), expected);
                let text = [&before[..], &bytes, &after].concat();
                prop_assert_eq!(short_key_at(&text, before.len(), bytes.len()), key);
                let (back, length) = short_bytes(&key);
                prop_assert_eq!(&back[..length], &bytes);
            }
        }
    }
}
