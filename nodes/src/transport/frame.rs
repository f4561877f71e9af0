//! The frame: encoding, decoding, and how long the frame is of which a header has arrived.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::api::{Request, Response};
use crate::coherence::CoherenceMessage;
use crate::env::FRAME_BYTES_MAX;
use crate::raft::Message;

/// Length of a frame's header.
pub const HEADER_BYTES: usize = 14;

const MAGIC: u8 = 0xB0;
const MAGIC_MASK: u8 = 0xF0;
const VERSION: u8 = 1;
const GROUP: u32 = 0;
const CRC_OFFSET: usize = 10;

/// Frames up to this length, which are almost all, are put together on the stack and cost one allocation.
const SHORT_FRAME_BYTES: usize = 512;

/// What a checksum covers is brought together up to this length.
const SHORT_CHECKSUM_BYTES: usize = 256;

const KIND_PEER: u8 = 1;
const KIND_REQUEST: u8 = 2;
const KIND_RESPONSE: u8 = 3;
const KIND_COHERENCE: u8 = 4;

/// What a frame carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// From one core to another.
    Peer(Message),
    /// From a client to a node.
    Request(Request),
    /// From a node to a client.
    Response(Response),
    /// From one node to another, about lines of the near-cache.
    Coherence(CoherenceMessage),
}

/// Why bytes are not a frame. None can be mended by reading on.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum FrameError {
    /// It does not begin as our frames do: the sender speaks another protocol.
    #[error("not a frame: it begins with {0:#04x}")]
    NotAFrame(u8),
    /// The sender is of another version.
    #[error("the frame is of version {0}, and only version {VERSION} is known")]
    UnknownVersion(u8),
    /// The sender knows kinds that this version does not.
    #[error("the frame is of the unknown kind {0}")]
    UnknownKind(u8),
    /// The sender has groups that this node does not.
    #[error("the frame is for the unknown group {0}")]
    UnknownGroup(u32),
    /// It ends before its header or body does.
    #[error("the frame is cut short: {found} bytes of {expected}")]
    Short {
        /// How many bytes it should have, as far as is known.
        expected: usize,
        /// How many it has.
        found: usize,
    },
    /// It goes on after its body.
    #[error("the frame is too long: {found} bytes instead of {expected}")]
    Long {
        /// How many bytes it should have.
        expected: usize,
        /// How many it has.
        found: usize,
    },
    /// Its header announces more than [`FRAME_BYTES_MAX`].
    #[error("the frame would have {0} bytes, and at most {FRAME_BYTES_MAX} are accepted")]
    Oversized(u64),
    /// It was damaged on the way.
    #[error("the frame is damaged: its checksum does not match")]
    Damaged,
    /// Its checksum is right, its body is not: the sender is of another build.
    #[error("the frame's body cannot be decoded: {0}")]
    Undecodable(String),
}

impl Frame {
    /// The frame as bytes. It may come out longer than [`FRAME_BYTES_MAX`]; networks drop such frames, so
    /// senders bound what they put in.
    ///
    /// # Panics
    ///
    /// If the body reaches 4 GiB, which nothing that is bounded as documented does.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        match self {
            Self::Peer(message) => encode(KIND_PEER, message),
            Self::Request(request) => encode(KIND_REQUEST, request),
            Self::Response(response) => encode(KIND_RESPONSE, response),
            Self::Coherence(message) => encode(KIND_COHERENCE, message),
        }
    }

    /// Reads exactly one frame.
    ///
    /// # Errors
    ///
    /// Whatever is wrong with it, as a [`FrameError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, FrameError> {
        let found = bytes.len();
        let expected = Self::length(bytes)?.ok_or(FrameError::Short { expected: HEADER_BYTES, found })?;
        if found < expected {
            return Err(FrameError::Short { expected, found });
        }
        if found > expected {
            return Err(FrameError::Long { expected, found });
        }
        let (header, body) = bytes.split_at(HEADER_BYTES);
        if u32_at(header, CRC_OFFSET) != checksum(header, body) {
            return Err(FrameError::Damaged);
        }
        match header[1] {
            KIND_PEER => decode(body).map(Self::Peer),
            KIND_REQUEST => decode(body).map(Self::Request),
            KIND_RESPONSE => decode(body).map(Self::Response),
            KIND_COHERENCE => decode(body).map(Self::Coherence),
            kind => Err(FrameError::UnknownKind(kind)),
        }
    }

    /// For streams: how many bytes the frame at the start of `stream` has in all, header included, or
    /// `None` while its header is incomplete. The checksum has not been looked at yet, so the answer only
    /// says how much to read before [`Frame::decode`]; it is never above [`FRAME_BYTES_MAX`].
    ///
    /// # Errors
    ///
    /// If the header cannot be one of ours, as early as that shows.
    pub fn length(stream: &[u8]) -> Result<Option<usize>, FrameError> {
        let Some(&first) = stream.first() else { return Ok(None) };
        if first & MAGIC_MASK != MAGIC {
            return Err(FrameError::NotAFrame(first));
        }
        if first & !MAGIC_MASK != VERSION {
            return Err(FrameError::UnknownVersion(first & !MAGIC_MASK));
        }
        let Some(header) = stream.get(..HEADER_BYTES) else { return Ok(None) };
        if !matches!(header[1], KIND_PEER | KIND_REQUEST | KIND_RESPONSE | KIND_COHERENCE) {
            return Err(FrameError::UnknownKind(header[1]));
        }
        let group = u32_at(header, 2);
        if group != GROUP {
            return Err(FrameError::UnknownGroup(group));
        }
        let length = HEADER_BYTES as u64 + u64::from(u32_at(header, 6));
        usize::try_from(length)
            .ok()
            .filter(|&length| length <= FRAME_BYTES_MAX)
            .map(Some)
            .ok_or(FrameError::Oversized(length))
    }
}

fn encode(kind: u8, body: &impl Serialize) -> Bytes {
    let mut short = [0; SHORT_FRAME_BYTES];
    let length = postcard::to_slice(body, &mut short[HEADER_BYTES..]).map(|body| body.len());
    if let Ok(length) = length {
        let frame = &mut short[..HEADER_BYTES + length];
        fill_header(kind, frame);
        return Bytes::copy_from_slice(frame);
    }
    let encoded = postcard::to_extend(body, vec![0; HEADER_BYTES]);
    let mut frame: Vec<u8> = encoded.expect("a body is plain data, and memory takes any length");
    fill_header(kind, &mut frame);
    Bytes::from(frame)
}

/// Writes the header of a frame whose body is in its place.
fn fill_header(kind: u8, frame: &mut [u8]) {
    let (header, body) = frame.split_at_mut(HEADER_BYTES);
    header[0] = MAGIC | VERSION;
    header[1] = kind;
    header[2..6].copy_from_slice(&GROUP.to_le_bytes());
    let length = u32::try_from(body.len()).expect("messages are bounded far below 4 GiB");
    header[6..CRC_OFFSET].copy_from_slice(&length.to_le_bytes());
    let crc = checksum(header, body);
    header[CRC_OFFSET..].copy_from_slice(&crc.to_le_bytes());
}

fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, FrameError> {
    let (value, rest) =
        postcard::take_from_bytes(body).map_err(|error| FrameError::Undecodable(error.to_string()))?;
    if !rest.is_empty() {
        return Err(FrameError::Undecodable(format!("{} bytes are left over", rest.len())));
    }
    Ok(value)
}

/// The CRC over the header up to its own place and the body. Short ones are brought together first: most of
/// a short checksum's cost is in beginning and ending it.
fn checksum(header: &[u8], body: &[u8]) -> u32 {
    let header = &header[..CRC_OFFSET];
    let mut short = Aligned([0; SHORT_CHECKSUM_BYTES]);
    if let Some(joined) = short.0.get_mut(..CRC_OFFSET + body.len()) {
        joined[..CRC_OFFSET].copy_from_slice(header);
        joined[CRC_OFFSET..].copy_from_slice(body);
        return crc32c::crc32c(joined);
    }
    crc32c::crc32c_append(crc32c::crc32c(header), body)
}

/// Bytes from a whole word on, which is what the processor's instruction takes.
#[repr(align(8))]
struct Aligned([u8; SHORT_CHECKSUM_BYTES]);

/// Reads a number from a header that is known to be whole.
fn u32_at(header: &[u8], offset: usize) -> u32 {
    let bytes = header[offset..offset + 4].try_into().expect("the slice has four bytes");
    u32::from_le_bytes(bytes)
}
