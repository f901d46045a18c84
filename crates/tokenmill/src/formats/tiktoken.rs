//! tiktoken's files: one line `BASE64 RANK` for each token, in the order of ranks.
//!
//! Such a file holds ranks and nothing else. The pattern and the special tokens come from the name of a published
//! file (`cl100k_base.tiktoken`), or from the caller.

use super::published::{self, Published};
use super::{bpe_file::BpeFile, bpe_file::blame, read_whole};
use crate::bpe::{BpeModel, Merges};
use crate::error::{Error, Result};
use crate::fs::write_atomically;
use crate::tokenizer::{Model, Tokenizer};
use crate::vocab::{SpecialToken, Tokens, Vocab, show};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::collections::HashMap;
use std::path::Path;

/// Reads `path`. `pattern` and `specials` may be left out for the published files; what is given counts.
pub fn load(path: &Path, pattern: Option<&str>, specials: Option<Vec<(String, u32)>>) -> Result<Tokenizer> {
    let published = published::by_path(path);
    let pattern = match (pattern, &published) {
        (Some(pattern), _) => pattern,
        (None, Some(published)) => published.pattern,
        (None, None) => {
            return Err(Error::value(format!(
                "{}: a .tiktoken file does not say how text is cut, so pattern is needed: a name (\"gpt2\", \"gpt4\", \
                 \"gpt4o\", ...) or a regular expression. Only the published names imply one: {}",
                path.display(),
                published::NAMES.join(", ")
            )));
        }
    };
    let vocab = vocab(&read_whole(path)?).map_err(|error| blame(path, error))?;
    let specials = specials.unwrap_or_else(|| published.map(Published::into_specials).unwrap_or_default());
    let specials = specials.into_iter().map(|(text, id)| SpecialToken { text, id, always: false }).collect();
    let file = BpeFile {
        pattern: pattern.to_owned(),
        vocab,
        merges: Merges::Ranks,
        list_of_ranks: None,
        whole_pieces: true,
        specials,
    };
    file.into_tokenizer(path)
}

/// Writes `path`, byte for byte as tiktoken does.
///
/// The file holds the ordinary tokens and their ids as ranks, nothing else: keep the pattern and the special tokens.
/// A tokenizer with a list of merges can be written where its tokens were learned in the order of their ids, as our
/// trainer and GPT-2 have them. Ranks allow more merges than such a list, so some words may get other ids.
pub fn save(tokenizer: &Tokenizer, path: &Path) -> Result<()> {
    let Model::Bpe(model) = tokenizer.model() else {
        return Err(Error::value("a word tokenizer cannot be saved as .tiktoken, which holds BPE; save it as .json"));
    };
    check_ranks(model)?;
    write_atomically(path, |out| {
        for (id, bytes) in model.vocab().iter() {
            writeln!(out, "{} {id}", STANDARD.encode(bytes))?;
        }
        Ok(())
    })
}

/// Whether ids as ranks mean what the model does.
fn check_ranks(model: &BpeModel) -> Result<()> {
    let vocab = model.vocab();
    if let Some(byte) = (0..=u8::MAX).find(|byte| vocab.id(&[*byte]).is_none()) {
        return Err(Error::value(format!(
            "the byte 0x{byte:02X} has no token, and tiktoken needs all 256; save the tokenizer as .json"
        )));
    }
    if let Some((first, id)) = vocab.first_repeat() {
        return Err(Error::value(format!(
            "id {id} stands for {}, as id {first} does, and a .tiktoken file gives each token one rank; \
             train with compat=\"hf\", which gives equal tokens one id",
            show(vocab.bytes(id).unwrap_or_default())
        )));
    }
    if let Merges::List(list) = model.merges()
        && let Some(pair) = list.windows(2).find(|pair| pair[0].id >= pair[1].id)
    {
        return Err(Error::value(format!(
            "id {} is merged after id {}, and a .tiktoken file orders merges by id; save the tokenizer as .json",
            pair[1].id, pair[0].id
        )));
    }
    Ok(())
}

/// The tokens of a file.
fn vocab(text: &[u8]) -> Result<Vocab> {
    let tokens = parse(text).map_err(Error::Value)?;
    let ranks: Vec<u32> = tokens.ids().collect();
    // Usually they count up from 0.
    if !ranks.is_sorted_by(|first, second| first < second) {
        let mut places = HashMap::new();
        for (place, rank) in ranks.iter().enumerate() {
            if let Some(first) = places.insert(rank, place) {
                let (first, second) = (line_of(text, first), line_of(text, place));
                return Err(Error::value(format!("line {second}: rank {rank} is already given on line {first}")));
            }
        }
    }
    let vocab = Vocab::from_tokens(tokens)?;
    if let Some((one, other)) = vocab.first_repeat() {
        let place = |rank| ranks.iter().position(|known| *known == rank).unwrap_or_default();
        let (one_line, other_line) = (line_of(text, place(one)), line_of(text, place(other)));
        let (first, second) = (one_line.min(other_line), one_line.max(other_line));
        let token = show(vocab.bytes(one).unwrap_or_default());
        return Err(Error::value(format!("line {second}: the token {token} is already on line {first}")));
    }
    Ok(vocab)
}

fn is_blank(line: &[u8]) -> bool {
    line.trim_ascii().is_empty()
}

/// The 1-based line of the token that comes after `index` others.
fn line_of(text: &[u8], index: usize) -> usize {
    let lines = (1..).zip(text.split(|byte| *byte == b'\n'));
    lines.filter(|(_, line)| !is_blank(line)).nth(index).map_or(0, |(number, _)| number)
}

fn parse(text: &[u8]) -> Result<Tokens, String> {
    // Of a token of the published files 11 bytes are base64, 7 the rank and white space.
    let mut tokens = Tokens::with_capacity(text.len() / 16, text.len() / 2);
    let mut start = 0;
    let ends = memchr::memchr_iter(b'\n', text).chain([text.len()]);
    for (number, end) in (1..).zip(ends) {
        let line = &text[start..end];
        start = end + 1;
        if !read_plain_line(line, &mut tokens) && !is_blank(line) {
            parse_line(line, &mut tokens).map_err(|reason| format!("line {number}: {reason}"))?;
        }
    }
    if tokens.is_empty() {
        return Err("the file has no tokens; expected lines of a token in base64 and its rank".to_owned());
    }
    Ok(tokens)
}

/// Reads a line as it is in the published files: base64, one space, digits. `false`: another line, nothing added.
fn read_plain_line(line: &[u8], tokens: &mut Tokens) -> bool {
    let Some(space) = line.iter().rposition(|byte| *byte == b' ') else { return false };
    let (token, digits) = (&line[..space], &line[space + 1..]);
    if digits.is_empty() || digits.len() > 9 || !digits.iter().all(u8::is_ascii_digit) {
        return false;
    }
    let rank = digits.iter().fold(0, |rank, digit| 10 * rank + u32::from(digit - b'0'));
    tokens.push(rank, |bytes| decode_base64(token, bytes).then_some(()).ok_or(())).is_ok()
}

fn parse_line(line: &[u8], tokens: &mut Tokens) -> Result<(), String> {
    let mut fields = line.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty());
    let (Some(token), Some(rank), None) = (fields.next(), fields.next(), fields.next()) else {
        return Err(format!("expected a token in base64, a space and a rank, found {}", brief(line)));
    };
    let id = rank_of(rank);
    tokens.push(id.unwrap_or_default(), |bytes| {
        if !decode_base64(token, bytes) {
            STANDARD.decode_vec(token, bytes).map_err(|error| format!("{} is not base64: {error}", brief(token)))?;
        }
        id.map(|_| ()).ok_or_else(|| format!("{} is not a rank from 0 to {}", brief(rank), u32::MAX))
    })
}

/// As Rust reads a `u32`: a plus sign may come first.
fn rank_of(digits: &[u8]) -> Option<u32> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

const NO_DIGIT: u8 = 64;

/// What each base64 digit stands for.
const DIGITS: [u8; 256] = {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut digits = [NO_DIGIT; 256];
    let mut value = 0;
    while value < 64 {
        digits[alphabet[value as usize] as usize] = value;
        value += 1;
    }
    digits
};

/// Appends what `text` stands for; `false`, and nothing appended, for anything that is not canonical base64. For tokens of a
/// few bytes this takes a third of the time of the general decoder, which has to say what is wrong.
fn decode_base64(text: &[u8], bytes: &mut Vec<u8>) -> bool {
    let (quads, []) = text.as_chunks::<4>() else { return false };
    let Some((last, quads)) = quads.split_last() else { return false };
    let start = bytes.len();
    let mut seen = 0;
    let mut value_of = |quad: &[u8; 4]| {
        let digits = quad.map(|byte| DIGITS[usize::from(byte)]);
        seen |= digits[0] | digits[1] | digits[2] | digits[3];
        let [a, b, c, d] = digits.map(u32::from);
        a << 18 | b << 12 | c << 6 | d
    };
    for quad in quads {
        bytes.extend_from_slice(&value_of(quad).to_be_bytes()[1..]);
    }
    // "=" stands for zeros that are cut off: 8 or 16 bits, which have to be zero.
    let (padded, kept) = match last {
        [a, b, b'=', b'='] => ([*a, *b, b'A', b'A'], 1),
        [a, b, c, b'='] => ([*a, *b, *c, b'A'], 2),
        quad => (*quad, 3),
    };
    let [_, value @ ..] = value_of(&padded).to_be_bytes();
    bytes.extend_from_slice(&value[..kept]);
    let canonical = seen < NO_DIGIT && value[kept..].iter().all(|byte| *byte == 0);
    if !canonical {
        bytes.truncate(start);
    }
    canonical
}

/// Untrusted bytes for a message, cut to a readable length.
fn brief(bytes: &[u8]) -> String {
    const LENGTH: usize = 60;
    match bytes.get(..LENGTH) {
        Some(start) => format!("{} ...", show(start)),
        None => show(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_are_tokens_and_ranks() {
        let vocab_of =
            |text: &[u8]| vocab(text).unwrap().iter().map(|(id, bytes)| (id, bytes.to_vec())).collect::<Vec<_>>();
        assert_eq!(
            vocab_of(b"IQ== 0\n\nIg== +1\r\n\tIyM= 2"),
            [(0, b"!".to_vec()), (1, b"\"".to_vec()), (2, b"##".to_vec())]
        );
        let vocab = vocab(b"IQ== 7\nIg== 1\n").unwrap();
        assert_eq!((vocab.bytes(7), vocab.id(b"\"")), (Some(b"!".as_slice()), Some(1)));
    }

    #[test]
    fn errors_name_the_line_and_the_value() {
        for (text, expected) in [
            ("IQ== 0\nIQ==\n", "line 2: expected a token"),
            ("IQ== 0 1\n", "line 1: expected a token"),
            ("I!== 0\n", "line 1: \"I!==\" is not base64"),
            ("IQ== -1\n", "line 1: \"-1\" is not a rank"),
            ("IQ== 4294967296\n", "is not a rank from 0 to 4294967295"),
            ("IR== 0\n", "line 1: \"IR==\" is not base64"),
            ("IQ 0\n", "line 1: \"IQ\" is not base64"),
            ("IQ== 0\n\nIg== 0\n", "line 3: rank 0 is already given on line 1"),
            ("Ig== 1\nIQ== 3\n\n \nIQ== 2\n", "line 5: the token \"!\" is already on line 2"),
            ("\n \n", "no tokens"),
        ] {
            let message = vocab(text.as_bytes()).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
        let message = parse(&[b'x'; 100_000]).unwrap_err();
        assert!(message.len() < 200, "{message}");
    }

    proptest! {
        #[test]
        fn base64_is_decoded_as_the_general_decoder_does(token: Vec<u8>, text in "[A-D+/=9z]{0,12}", strange: Vec<u8>) {
            for text in [STANDARD.encode(&token).as_bytes(), text.as_bytes(), &strange] {
                let mut bytes = b"before".to_vec();
                let decoded = decode_base64(text, &mut bytes);
                match STANDARD.decode(text) {
                    // Of the empty text, which no line has, the general decoder is asked.
                    Ok(expected) => prop_assert!(text.is_empty() || (decoded && bytes[6..] == expected)),
                    Err(_) => prop_assert!(!decoded),
                }
                prop_assert!(decoded || bytes == b"before");
            }
        }
    }

    #[test]
    fn without_a_known_name_the_pattern_is_asked_for_before_the_file_is_read() {
        let message = load(Path::new("mine.tiktoken"), None, None).unwrap_err().to_string();
        assert!(message.contains("mine.tiktoken") && message.contains("pattern is needed"), "{message}");
    }
}
