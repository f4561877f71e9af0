//! Frames on a byte stream, and the hello that opens every connection.
//!
//! A frame is its length (4 bytes, little-endian) and that many bytes. The first frame of a connection is
//! a hello: magic, version (2 bytes), and in postcard the sender's address and whom it means to reach.

use std::io;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::env::FRAME_BYTES_MAX;
use crate::ids::Address;

/// The version of the framing and of the hello.
pub const PROTOCOL_VERSION: u16 = 1;

/// The longest hello. It is read before anything is known of the sender.
pub const HELLO_BYTES_MAX: usize = 64;

const MAGIC: [u8; 8] = *b"STORMNET";

const LENGTH_BYTES: usize = 4;

/// A stream is read in pieces of this many bytes, whatever length a frame claims.
const READ_BYTES: usize = 64 * 1024;

/// Why a connection was given up.
#[derive(Debug)]
pub enum Broken {
    /// It ended, or the system reported an error.
    Closed,
    /// A frame claims to be longer than allowed.
    Oversized,
    /// The hello is none, or not one for this process.
    Garbage(&'static str),
    /// After a proper hello, a frame that its receiver can do nothing with.
    Nonsense(&'static str),
}

impl From<io::Error> for Broken {
    fn from(_: io::Error) -> Self {
        Self::Closed
    }
}

/// Takes a stream apart into frames.
pub struct FrameReader<R> {
    stream: R,
    buffer: BytesMut,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    pub fn new(stream: R) -> Self {
        Self { stream, buffer: BytesMut::new() }
    }

    /// The next frame, of at most `bytes_max`.
    pub async fn next(&mut self, bytes_max: usize) -> Result<Bytes, Broken> {
        loop {
            if let Some(header) = self.buffer.first_chunk::<LENGTH_BYTES>() {
                let length = u32::from_le_bytes(*header) as usize;
                if length > bytes_max {
                    return Err(Broken::Oversized);
                }
                if self.buffer.len() >= LENGTH_BYTES + length {
                    self.buffer.advance(LENGTH_BYTES);
                    return Ok(self.buffer.split_to(length).freeze());
                }
            }
            self.buffer.reserve(READ_BYTES);
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(Broken::Closed);
            }
        }
    }
}

/// Appends a frame to what is to be written.
pub fn put_frame(buffer: &mut BytesMut, frame: &[u8]) {
    debug_assert!(frame.len() <= FRAME_BYTES_MAX, "longer frames are dropped before");
    buffer.extend_from_slice(&(frame.len() as u32).to_le_bytes());
    buffer.extend_from_slice(frame);
}

/// The hello from one process to another.
pub(super) fn hello(from: Address, to: Address) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&PROTOCOL_VERSION.to_le_bytes());
    postcard::to_extend(&(from, to), bytes).expect("two addresses always encode")
}

/// Understands a hello to `me`: who sent it.
pub(super) fn read_hello(bytes: &[u8], me: Address) -> Result<Address, Broken> {
    let rest = bytes.strip_prefix(&MAGIC).ok_or(Broken::Garbage("it does not begin with a hello"))?;
    let (version, rest) = rest.split_first_chunk::<2>().ok_or(Broken::Garbage("the hello is cut short"))?;
    if u16::from_le_bytes(*version) != PROTOCOL_VERSION {
        return Err(Broken::Garbage("it speaks another version of the protocol"));
    }
    match postcard::take_from_bytes::<(Address, Address)>(rest) {
        Ok(((from, to), [])) if to == me && from != me => Ok(from),
        Ok((_, [])) => Err(Broken::Garbage("it means to reach somebody else")),
        _ => Err(Broken::Garbage("the hello does not decode")),
    }
}
