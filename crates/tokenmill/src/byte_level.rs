//! GPT-2's alphabet: one printable character for each byte, so that any byte string can be written in JSON.
//!
//! Printable Latin-1 bytes stand for themselves; the other 68 (controls, space, 0x7F–0xA0, 0xAD) get the characters
//! from U+0100 on, in byte order: a space is `Ġ` (U+0120), a newline `Ċ` (U+010A).

/// First character for bytes that cannot stand for themselves.
const FIRST_STAND_IN: u16 = 0x100;
/// One past the last character of the alphabet: 68 stand-ins.
const END: usize = 0x144;

const CODES: [u16; 256] = codes();
const BYTES: [Option<u8>; END] = bytes();

const fn is_printable(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF)
}

const fn codes() -> [u16; 256] {
    let mut codes = [0; 256];
    let mut stand_in = FIRST_STAND_IN;
    let mut byte = 0u8;
    loop {
        if is_printable(byte) {
            codes[byte as usize] = byte as u16;
        } else {
            codes[byte as usize] = stand_in;
            stand_in += 1;
        }
        if byte == u8::MAX {
            return codes;
        }
        byte += 1;
    }
}

const fn bytes() -> [Option<u8>; END] {
    let mut bytes = [None; END];
    let mut byte = 0u8;
    loop {
        bytes[CODES[byte as usize] as usize] = Some(byte);
        if byte == u8::MAX {
            return bytes;
        }
        byte += 1;
    }
}

/// The character that stands for `byte`.
pub fn char_of(byte: u8) -> char {
    // No code of the table is in the surrogate range, so the fallback is never taken.
    char::from_u32(u32::from(CODES[usize::from(byte)])).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// The byte that `character` stands for; `None` outside the alphabet.
pub fn byte_of(character: char) -> Option<u8> {
    BYTES.get(character as usize).copied().flatten()
}

/// Bytes in the alphabet: `b" the"` → `"Ġthe"`.
pub fn encode(bytes: &[u8]) -> String {
    let mut text = String::new();
    encode_into(bytes, &mut text);
    text
}

/// Appends what [`encode`] gives.
pub fn encode_into(bytes: &[u8], text: &mut String) {
    text.extend(bytes.iter().map(|byte| char_of(*byte)));
}

/// The inverse of [`encode`]: `"Ġthe"` → `b" the"`. The error is the first character outside the alphabet.
pub fn decode(text: &str) -> Result<Vec<u8>, char> {
    let mut bytes = Vec::new();
    decode_into(text, &mut bytes).map(|()| bytes)
}

/// Appends what [`decode`] gives; where that is an error, the bytes before the character.
pub fn decode_into(text: &str, bytes: &mut Vec<u8>) -> Result<(), char> {
    bytes.reserve(text.len());
    text.chars().try_for_each(|character| byte_of(character).map(|byte| bytes.push(byte)).ok_or(character))
}

/// All bytes, sorted by their characters: the ids 0–255 that Hugging Face's trainer gives them.
pub fn alphabet_order() -> [u8; 256] {
    let mut order: [u8; 256] = std::array::from_fn(|index| u8::try_from(index).unwrap_or(u8::MAX));
    order.sort_unstable_by_key(|byte| char_of(*byte));
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_a_character_of_its_own_and_back() {
        for byte in 0..=u8::MAX {
            assert_eq!(byte_of(char_of(byte)), Some(byte));
        }
        assert_eq!(encode(b"\0 \n\x7f\xa0\xad~\xff"), "ĀĠĊġłŃ~ÿ");
        let all: Vec<u8> = (0..=u8::MAX).collect();
        assert_eq!(decode(&encode(&all)), Ok(all));
    }

    #[test]
    fn characters_outside_the_alphabet_are_named() {
        assert_eq!(decode("a b"), Err(' '));
        assert_eq!(decode("aあ"), Err('あ'));
        assert_eq!((0..=0x10FFFF).filter_map(char::from_u32).filter(|c| byte_of(*c).is_some()).count(), 256);
    }

    #[test]
    fn the_alphabet_order_starts_with_the_exclamation_mark_and_ends_with_the_soft_hyphen() {
        let order = alphabet_order();
        assert_eq!(&order[..3], b"!\"#");
        assert_eq!(order[255], 0xAD);
        let mut sorted = order;
        sorted.sort_unstable();
        assert!(sorted.iter().enumerate().all(|(index, byte)| index == usize::from(*byte)));
    }
}
