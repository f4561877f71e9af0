//! Frames between nodes, and between clients and nodes.

use bytes::Bytes;
use stormglass_nodes::api::{ApiError, Request, RequestBody, RequestId, Response, ResponseBody};
use stormglass_nodes::coherence::{AskNumber, Claim, Life, Surrender};
use stormglass_nodes::ids::{ClusterTime, LogIndex, NodeId, SessionId, Term};
use stormglass_nodes::machine::{MachineError, Reply};
use stormglass_nodes::raft::{Body, Entry, Message, Payload};
use stormglass_nodes::transport::{Frame, HEADER_BYTES};

use crate::commands::commands;
use crate::harness::Target;

/// Where the header says how long the body is.
const LENGTH_AT: usize = 6;
/// Where the header has its checksum.
const CHECKSUM_AT: usize = 10;

/// Frames.
pub(crate) struct Frames;

fn surrenders() -> Vec<Surrender> {
    vec![Surrender { key: "key".into(), claim: Claim { life: Life(5), number: AskNumber(300) } }]
}

fn frames() -> Vec<Frame> {
    let request = |body| Frame::Request(Request { id: RequestId(300), body });
    let response = |result| Frame::Response(Response { id: RequestId(300), result });
    let peer = |body| Frame::Peer(Message { from: NodeId(1), to: NodeId(2), term: Term(4), body });
    let entry = |index, payload| Entry {
        index: LogIndex(index),
        term: Term(3),
        time: ClusterTime(index * 1_000),
        payload,
    };
    let entries = vec![entry(10, Payload::Noop), entry(11, Payload::Command(Bytes::from_static(b"command")))];
    let mut frames: Vec<Frame> =
        commands().into_iter().map(|command| request(RequestBody::Command(command))).collect();
    frames.extend([
        request(RequestBody::Status),
        request(RequestBody::Transfer { to: Some(NodeId(3)) }),
        request(RequestBody::Watch { resource: "lock".to_owned(), seen: LogIndex(9), wait_us: 1_000 }),
        request(RequestBody::BeginWrite { keys: vec!["key".to_owned()] }),
        request(RequestBody::CommandOfHolder {
            command: commands().swap_remove(0),
            holder: NodeId(2),
            surrenders: surrenders(),
        }),
        response(Ok(ResponseBody::Surrendered(surrenders()))),
        response(Ok(ResponseBody::Outcome(Ok(Reply::SessionOpened { session: SessionId(7) })))),
        response(Ok(ResponseBody::Outcome(Err(MachineError::SessionExpired)))),
        response(Err(ApiError::NotLeader { leader: Some(NodeId(2)) })),
        response(Err(ApiError::Unsupported("of a later version".to_owned()))),
        peer(Body::VoteRequest {
            last_index: LogIndex(9),
            last_term: Term(3),
            by_transfer: false,
            committed: (LogIndex(8), Term(3)),
        }),
        peer(Body::AppendRequest {
            prev_index: LogIndex(9),
            prev_term: Term(3),
            entries: entries.into(),
            commit_index: LogIndex(8),
        }),
        peer(Body::AppendRejected { prev_index: LogIndex(9), hint_index: LogIndex(4), hint_term: Term(2) }),
        peer(Body::Heartbeat { commit_index: LogIndex(8), read_round: 5, quiesce: false }),
    ]);
    frames
}

impl Target for Frames {
    fn name(&self) -> &'static str {
        "frames"
    }

    fn seeds(&self) -> Vec<Vec<u8>> {
        frames().iter().map(|frame| frame.encode().to_vec()).collect()
    }

    /// The length of the body and the checksum. Other bytes of the header stay as they are.
    fn seal(&self, input: &mut Vec<u8>) {
        if input.len() < HEADER_BYTES {
            return;
        }
        let length = u32::try_from(input.len() - HEADER_BYTES).expect("inputs are short");
        input[LENGTH_AT..CHECKSUM_AT].copy_from_slice(&length.to_le_bytes());
        let crc = crc32c::crc32c_append(crc32c::crc32c(&input[..CHECKSUM_AT]), &input[HEADER_BYTES..]);
        input[CHECKSUM_AT..HEADER_BYTES].copy_from_slice(&crc.to_le_bytes());
    }

    fn memory_per_byte(&self) -> u64 {
        256
    }

    fn decode(&self, input: &[u8]) -> Result<Vec<u8>, String> {
        let length = Frame::length(input).map_err(|error| error.to_string())?;
        let frame = Frame::decode(input).map_err(|error| error.to_string())?;
        assert_eq!(length, Some(input.len()));
        let written: Bytes = frame.encode();
        assert_eq!(Frame::decode(&written), Ok(frame));
        Ok(written.to_vec())
    }
}
