//! The Redis protocol, as far as a server needs it: commands in, replies out.
//!
//! Bytes from outside are judged, never trusted: lengths are bounded, and nothing is allocated for what has not
//! arrived.

use bytes::Bytes;
use thiserror::Error;

/// Most words of a command.
const WORDS_MAX: usize = 1024 * 1024;
/// Longest word.
const WORD_BYTES_MAX: usize = 512 * 1024 * 1024;
/// Longest line that announces a length.
const LINE_BYTES_MAX: usize = 32;

/// What a server answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// A status, such as `OK`.
    Status(&'static str),
    /// A number.
    Integer(i64),
    /// A string.
    Bulk(Bytes),
    /// Nothing, in the place of a string.
    Nil,
    /// Nothing, in the place of an array.
    NilArray,
    /// Several.
    Array(Vec<Reply>),
    /// An error, with its code in front.
    Error(String),
}

impl Reply {
    /// `OK`.
    pub const OK: Self = Self::Status("OK");

    /// Appends its bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Status(text) => line(out, b'+', text),
            Self::Integer(number) => line(out, b':', &number.to_string()),
            Self::Error(text) => line(out, b'-', text),
            Self::Nil => out.extend_from_slice(b"$-1\r\n"),
            Self::NilArray => out.extend_from_slice(b"*-1\r\n"),
            Self::Bulk(bytes) => bulk(out, bytes),
            Self::Array(replies) => {
                line(out, b'*', &replies.len().to_string());
                replies.iter().for_each(|reply| reply.encode(out));
            }
        }
    }
}

fn line(out: &mut Vec<u8>, kind: u8, text: &str) {
    out.push(kind);
    out.extend_from_slice(text.as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn bulk(out: &mut Vec<u8>, bytes: &[u8]) {
    line(out, b'$', &bytes.len().to_string());
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

/// Appends a command as a client, or the append-only file, has it.
pub fn encode_command(command: &[Bytes], out: &mut Vec<u8>) {
    line(out, b'*', &command.len().to_string());
    command.iter().for_each(|word| bulk(out, word));
}

/// These bytes are no command.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("Protocol error: {0}")]
pub struct Malformed(pub &'static str);

/// Reads the command at the beginning of `bytes`, and says how many bytes it takes. `None` if more bytes have to
/// arrive first.
///
/// # Errors
///
/// If no further bytes could make a command of them.
pub fn decode_command(bytes: &[u8]) -> Result<Option<(Vec<Bytes>, usize)>, Malformed> {
    let Some((words, mut at)) = length(bytes, 0, b'*', WORDS_MAX)? else { return Ok(None) };
    let mut ranges = Vec::new();
    for _ in 0..words {
        let Some((length, start)) = length(bytes, at, b'$', WORD_BYTES_MAX)? else { return Ok(None) };
        let end = start + length;
        match bytes.get(end..end + 2) {
            Some(b"\r\n") => {}
            Some(_) => return Err(Malformed("a string is longer than was announced")),
            None => return Ok(None),
        }
        ranges.push(start..end);
        at = end + 2;
    }
    let whole = Bytes::copy_from_slice(&bytes[..at]);
    Ok(Some((ranges.into_iter().map(|range| whole.slice(range)).collect(), at)))
}

/// Reads a line that announces a length, and says where it ends.
fn length(bytes: &[u8], at: usize, kind: u8, most: usize) -> Result<Option<(usize, usize)>, Malformed> {
    let rest = bytes.get(at..).unwrap_or_default();
    match rest.first() {
        None => return Ok(None),
        Some(first) if *first != kind => {
            return Err(Malformed("neither an array nor a string of one begins"));
        }
        Some(_) => {}
    }
    let seen = &rest[1..rest.len().min(LINE_BYTES_MAX)];
    let Some(end) = seen.iter().position(|byte| *byte == b'\r') else {
        let is_cut = rest.len() < LINE_BYTES_MAX;
        return if is_cut { Ok(None) } else { Err(Malformed("a length does not end")) };
    };
    match rest.get(end + 2) {
        Some(b'\n') => {}
        Some(_) => return Err(Malformed("a line does not end")),
        None => return Ok(None),
    }
    let digits = &seen[..end];
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Malformed("a length is no number"));
    }
    let number = digits.iter().try_fold(0_usize, |number, digit| {
        number.checked_mul(10).and_then(|number| number.checked_add(usize::from(digit - b'0')))
    });
    match number {
        Some(number) if number <= most => Ok(Some((number, at + end + 3))),
        _ => Err(Malformed("a length is beyond all bounds")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn command() -> impl Strategy<Value = Vec<Bytes>> {
        proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40).prop_map(Bytes::from), 0..6)
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode_command(&bytes);
        }

        #[test]
        fn nor_do_bytes_that_look_like_commands(
            bytes in proptest::collection::vec(proptest::sample::select(b"*$0123456789\r\n-a".to_vec()), 0..60),
        ) {
            if let Ok(Some((_, length))) = decode_command(&bytes) {
                prop_assert!(length <= bytes.len());
            }
        }

        #[test]
        fn a_command_comes_back_whole_and_not_before(command in command(), rest in any::<[u8; 3]>()) {
            let mut bytes = Vec::new();
            encode_command(&command, &mut bytes);
            for end in 0..bytes.len() {
                prop_assert_eq!(decode_command(&bytes[..end]), Ok(None));
            }
            let length = bytes.len();
            bytes.extend_from_slice(&rest);
            prop_assert_eq!(decode_command(&bytes), Ok(Some((command, length))));
        }

        #[test]
        fn a_damaged_command_does_not_panic(command in command(), at in any::<u16>(), to in any::<u8>()) {
            let mut bytes = Vec::new();
            encode_command(&command, &mut bytes);
            let at = usize::from(at) % bytes.len();
            bytes[at] = to;
            let _ = decode_command(&bytes);
        }
    }

    #[test]
    fn lengths_are_bounded_before_anything_is_kept() {
        for bytes in
            [&b"*99999999999999999999\r\n"[..], b"*1\r\n$999999999\r\n", b"*x\r\n", b"+OK\r\n", b"*-1\r\n"]
        {
            assert!(decode_command(bytes).is_err(), "{bytes:?}");
        }
    }
}
