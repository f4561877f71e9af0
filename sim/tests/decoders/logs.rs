//! The write-ahead log: its one segment, as a node finds it when it starts.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::FutureExt;
use stormglass_nodes::ids::{ClusterTime, LogIndex, NodeId, Term};
use stormglass_nodes::raft::{Entry, HardState, Payload, Recovered, StoreRequest, StoreToken};
use stormglass_nodes::storage::{Identity, LogStore, StorageError, Wal, WalConfig};

use crate::disk::MemoryDisk;
use crate::harness::Target;

const IDENTITY: Identity = Identity { cluster: 7, node: NodeId(3) };
/// Everything in one segment, and no zeros behind it.
const CONFIG: WalConfig = WalConfig { segment_bytes: u64::MAX, preallocate_bytes: 0 };
/// Length of a segment's header, and what its records' checksums are seeded with.
const HEADER_BYTES: usize = 192;
const SEED: std::ops::Range<usize> = 16..52;
/// Length of a record's header.
const RECORD_HEADER_BYTES: usize = 28;

/// The log of a node. What it starts from, it starts from again.
pub(crate) struct Logs {
    name: String,
    segment: Vec<u8>,
}

impl Logs {
    pub(crate) fn new() -> Self {
        let disk = MemoryDisk::default();
        let (mut wal, _) = open(&disk).expect("an empty disk is a log's beginning");
        for request in requests() {
            let stored = wal.store(&request).now_or_never().expect("nothing is waited for");
            stored.expect("the disk never fails");
        }
        let files = disk.contents();
        assert_eq!(files.len(), 1, "all of it lies in one segment");
        let (name, segment) = files.into_iter().next().expect("there is one");
        Self { name, segment }
    }
}

fn open(disk: &MemoryDisk) -> Result<(Wal<MemoryDisk>, Recovered), StorageError> {
    Wal::open(disk.clone(), IDENTITY, CONFIG).now_or_never().expect("nothing is waited for")
}

fn requests() -> Vec<StoreRequest> {
    let entry = |index: u64, term: u64| Entry {
        index: LogIndex(index),
        term: Term(term),
        time: ClusterTime(index * 1_000),
        payload: if index == 1 { Payload::Noop } else { Payload::Command(Bytes::from(vec![7; 9])) },
    };
    let empty = || StoreRequest::empty(StoreToken(1));
    let hard_state = |term, vote: Option<u64>| HardState { term: Term(term), voted_for: vote.map(NodeId) };
    vec![
        StoreRequest { hard_state: Some(hard_state(1, Some(3))), ..empty() },
        StoreRequest { append: vec![entry(1, 1), entry(2, 1), entry(3, 1)].into(), ..empty() },
        StoreRequest {
            hard_state: Some(hard_state(2, None)),
            truncate_from: Some(LogIndex(3)),
            append: vec![entry(3, 2), entry(4, 2)].into(),
            ..empty()
        },
    ]
}

impl Target for Logs {
    fn name(&self) -> &'static str {
        "segments of the log"
    }

    fn seeds(&self) -> Vec<Vec<u8>> {
        vec![self.segment.clone()]
    }

    /// The checksums and the chain of the records, as far as their lengths lead.
    fn seal(&self, input: &mut Vec<u8>) {
        let Some(header) = input.get(..HEADER_BYTES) else { return };
        let seed = crc32c::crc32c(&header[SEED]);
        let mut chain = 0_u32;
        let mut offset = HEADER_BYTES;
        while let Some(header) = input.get(offset..offset + RECORD_HEADER_BYTES) {
            let length = u32::from_le_bytes([header[8], header[9], header[10], header[11]]) as usize;
            let end = offset.saturating_add(RECORD_HEADER_BYTES).saturating_add(length);
            let Some(record) = input.get_mut(offset..end) else { return };
            record[4..8].copy_from_slice(&chain.to_le_bytes());
            chain = crc32c::crc32c_append(seed, &record[4..]);
            record[..4].copy_from_slice(&chain.to_le_bytes());
            offset = end;
        }
    }

    fn memory_per_byte(&self) -> u64 {
        64
    }

    /// What is written again is what is on the disk once a node has started from it.
    fn decode(&self, input: &[u8]) -> Result<Vec<u8>, String> {
        let disk = MemoryDisk::of(BTreeMap::from([(self.name.clone(), input.to_vec())]));
        let (_, recovered) = open(&disk).map_err(|error| error.to_string())?;
        let (_, again) = open(&disk).expect("what was started from is durable and sound");
        assert_eq!(recovered, again);
        disk.contents().remove(&self.name).ok_or_else(|| "the segment was given up".to_owned())
    }
}
