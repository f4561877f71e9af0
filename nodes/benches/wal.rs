//! How fast the log turns requests into bytes: records encoded, chained and checksummed, and handed to a disk
//! in memory that takes them at once. What is left out is the device, which in production costs far more;
//! this is the processor's share of it.
//!
//! `store/N` counts records per second when N of them are one request, and so one write and one sync.
//!
//! `files` is the same with a device: one request after another in a folder under `TMPDIR`, each synced, in files
//! that grow with each request and in files that are preallocated, side by side.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use futures_util::FutureExt;
use stormglass_nodes::env::{Disk, DiskError, File};
use stormglass_nodes::ids::{ClusterTime, LogIndex, NodeId, Term};
use stormglass_nodes::raft::{Entry, HardState, Payload, StoreRequest, StoreToken};
use stormglass_nodes::storage::{Identity, LogStore, Wal, WalConfig};
use stormglass_nodes::tokio_env::TokioDisk;
use tempfile::TempDir;

const COMMAND_BYTES: usize = 128;
/// Records of one measured run.
const RECORDS: u64 = 16_384;
const BATCHES: [u64; 4] = [1, 16, 64, 256];
const TERM: Term = Term(3);
const IDENTITY: Identity = Identity { cluster: 1, node: NodeId(1) };

type Files = BTreeMap<String, Arc<Mutex<Vec<u8>>>>;

/// A folder in memory. All of it is durable, because nothing ever happens to it.
#[derive(Clone, Default)]
struct Folder(Arc<Mutex<Files>>);

struct Content(Arc<Mutex<Vec<u8>>>);

impl Folder {
    fn files(&self) -> MutexGuard<'_, Files> {
        self.0.lock().expect("nothing panics while it holds the folder")
    }
}

impl Content {
    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().expect("nothing panics while it holds a file")
    }
}

impl Disk for Folder {
    type File = Content;

    async fn list(&self) -> Result<Vec<String>, DiskError> {
        Ok(self.files().keys().cloned().collect())
    }

    async fn open(&self, name: &str, create: bool) -> Result<Content, DiskError> {
        let mut files = self.files();
        if create {
            return Ok(Content(files.entry(name.to_owned()).or_default().clone()));
        }
        files.get(name).cloned().map(Content).ok_or_else(|| DiskError::NotFound(name.to_owned()))
    }

    async fn remove(&self, name: &str) -> Result<(), DiskError> {
        self.files().remove(name);
        Ok(())
    }

    async fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        let mut files = self.files();
        let file = files.remove(from).ok_or_else(|| DiskError::NotFound(from.to_owned()))?;
        files.insert(to.to_owned(), file);
        Ok(())
    }

    async fn sync_names(&self) -> Result<(), DiskError> {
        Ok(())
    }
}

impl File for Content {
    async fn len(&self) -> Result<u64, DiskError> {
        Ok(self.bytes().len() as u64)
    }

    async fn read_at(&self, offset: u64, length: usize) -> Result<Bytes, DiskError> {
        let bytes = self.bytes();
        let start = bytes.len().min(offset as usize);
        let end = bytes.len().min(start.saturating_add(length));
        Ok(Bytes::copy_from_slice(&bytes[start..end]))
    }

    async fn write_at(&self, offset: u64, data: Bytes) -> Result<(), DiskError> {
        let (start, end) = (offset as usize, offset as usize + data.len());
        let mut bytes = self.bytes();
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        bytes[start..end].copy_from_slice(&data);
        Ok(())
    }

    async fn set_len(&self, length: u64) -> Result<(), DiskError> {
        self.bytes().resize(length as usize, 0);
        Ok(())
    }

    async fn sync(&self) -> Result<(), DiskError> {
        Ok(())
    }
}

/// The folder never waits, so that its futures need no runtime.
fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("the folder never waits")
}

fn open(folder: &Folder) -> Wal<Folder> {
    now(Wal::open(folder.clone(), IDENTITY, WalConfig::default())).expect("the log opens").0
}

/// A new log of a node that has seen the term of the records.
fn begin(folder: &Folder) -> Wal<Folder> {
    let mut wal = open(folder);
    let hard_state = Some(HardState { term: TERM, voted_for: None });
    store(&mut wal, &[StoreRequest { hard_state, ..StoreRequest::empty(StoreToken(0)) }]);
    wal
}

/// All records, in requests of `batch`.
fn requests(batch: u64) -> Vec<StoreRequest> {
    (1..=RECORDS).step_by(batch as usize).map(|first| request(first, batch)).collect()
}

fn store(wal: &mut Wal<Folder>, requests: &[StoreRequest]) {
    for request in requests {
        now(wal.store(request)).expect("this disk does not fail");
    }
}

fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("store");
    group.sample_size(20).throughput(Throughput::Elements(RECORDS));
    for batch in BATCHES {
        let requests = requests(batch);
        let folder = Folder::default();
        store(&mut begin(&folder), &requests);
        assert_eq!(open(&folder).last_index(), LogIndex(RECORDS), "what is measured was really stored");
        group.bench_function(BenchmarkId::from_parameter(batch), |bencher| {
            bencher.iter_batched_ref(
                || begin(&Folder::default()),
                |wal| store(wal, &requests),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

/// One request of `batch` records, from `first` on.
fn request(first: u64, batch: u64) -> StoreRequest {
    let command = Bytes::from(vec![7; COMMAND_BYTES]);
    let entry = |index: u64| Entry {
        index: LogIndex(index),
        term: TERM,
        time: ClusterTime(1_000_000_000 + index),
        payload: Payload::Command(command.clone()),
    };
    StoreRequest { append: (first..first + batch).map(entry).collect(), ..StoreRequest::empty(StoreToken(1)) }
}

fn on_files(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let mut group = criterion.benchmark_group("files");
    for batch in [1, 64] {
        for (name, preallocate_bytes) in [("growing", 0), ("preallocated", 1024 * 1024)] {
            let folder = TempDir::new().expect("a temporary folder");
            let config = WalConfig { preallocate_bytes, ..WalConfig::default() };
            let mut wal = runtime.block_on(async {
                let disk = TokioDisk::open(folder.path().to_owned()).await.expect("the folder opens");
                let (mut wal, _) = Wal::open(disk, IDENTITY, config).await.expect("the log opens");
                let hard_state = Some(HardState { term: TERM, voted_for: None });
                let term = StoreRequest { hard_state, ..StoreRequest::empty(StoreToken(0)) };
                wal.store(&term).await.expect("this disk does not fail");
                wal
            });
            let mut next = 1;
            group.throughput(Throughput::Elements(batch));
            group.bench_function(BenchmarkId::new(name, batch), |bencher| {
                bencher.iter_batched(
                    || {
                        next += batch;
                        request(next - batch, batch)
                    },
                    |request| runtime.block_on(wal.store(&request)).expect("this disk does not fail"),
                    BatchSize::PerIteration,
                );
            });
        }
    }
    group.finish();
}

criterion_group!(benches, bench, on_files);
criterion_main!(benches);
