//! Digests as people and other tools write them.

use std::fmt::Write as _;

/// Lower-case hexadecimal digits, as `sha256sum` prints them.
pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
