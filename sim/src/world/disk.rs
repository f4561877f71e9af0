//! Disks as programs see them: operations that take time.
//!
//! An operation begins when its future is first polled and takes effect on the page cache when it ends;
//! dropping the future does not stop it, as it would not stop a thread in a system call. A process that
//! dies leaves each operation that it had begun done, not done, or (a write) done up to some byte; none
//! takes effect later. If its machine loses power, a sync under way is not done: how much of what it was to
//! make durable had reached the device is for the medium to say, sector by sector.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use stormglass_nodes::env::{Disk, DiskError, File};
use stormglass_nodes::marks;

use super::core::{Core, Shared};
use super::kernel::Event;
use super::medium::Medium;
use super::random::{below, exponential};
use super::trace::{TraceKind, digest, digest_bytes};
use crate::plan::DiskProfile;
use crate::rng::StreamRng;

/// Most operations that one process may have begun and not ended. A further one fails.
pub const DISK_OPERATIONS_MAX: usize = 65_536;

/// What a program asks of its disk. Syncs carry the number of the latest change that they cover.
enum Request {
    List,
    Open { name: String, create: bool },
    Remove { name: String },
    Rename { from: String, to: String },
    SyncNames { up_to: u64 },
    Length { inode: u64 },
    Read { inode: u64, offset: u64, length: usize },
    Write { inode: u64, offset: u64, data: Bytes },
    SetLength { inode: u64, length: u64 },
    Sync { inode: u64, up_to: u64 },
}

enum Reply {
    Done,
    Names(Vec<String>),
    Opened(u64),
    Length(u64),
    Data(Bytes),
}

enum Stage {
    Begun { request: Request, waker: Option<Waker>, abandoned: bool },
    Ended(Result<Reply, DiskError>),
}

/// One machine's disk and what is being done to it.
pub(super) struct Machine {
    pub(super) medium: Medium,
    rng: StreamRng,
    profile: DiskProfile,
    operations: BTreeMap<u64, Stage>,
    operations_begun: u64,
    stalled: bool,
    /// Operations that would have ended during the stall, in order.
    held: Vec<u64>,
}

impl Machine {
    pub(super) fn new(rng: StreamRng, profile: DiskProfile) -> Self {
        Self {
            medium: Medium::default(),
            rng,
            profile,
            operations: BTreeMap::new(),
            operations_begun: 0,
            stalled: false,
            held: Vec::new(),
        }
    }

    fn latency_ns(&mut self, is_sync: bool) -> u64 {
        if is_sync {
            let tail_us = self.profile.sync_tail_us as f64 * exponential(&mut self.rng);
            self.profile.sync_us.saturating_mul(1_000).saturating_add((tail_us * 1_000.0) as u64)
        } else {
            let mean_ns = self.profile.write_us.saturating_mul(1_000);
            (mean_ns / 2).saturating_add(below(&mut self.rng, mean_ns.saturating_add(1)))
        }
    }

    /// Ends every operation where it stands, because the process dies or its machine loses power. Says how
    /// many writes were torn.
    pub(super) fn interrupt(&mut self, power_loss: bool) -> u64 {
        let mut torn = 0;
        for (_, stage) in std::mem::take(&mut self.operations) {
            let Stage::Begun { request, .. } = stage else { continue };
            marks::hit("world.operation_interrupted");
            match (below(&mut self.rng, 3), request) {
                (0, _) => {}
                (_, request) if power_loss && request.is_sync() => {}
                (1, Request::Write { inode, offset, data }) => {
                    let kept = below(&mut self.rng, data.len() as u64 + 1) as usize;
                    torn += u64::from(kept > 0 && kept < data.len());
                    // A full disk refuses this part of the write as it would the whole.
                    let _ = self.medium.write(inode, offset, data.slice(..kept));
                }
                (_, request) => {
                    // Nobody is left to hear an answer.
                    let _ = self.medium.perform(&request);
                }
            }
        }
        self.held.clear();
        self.medium.close_all();
        torn
    }

    pub(super) fn lose_power(&mut self) -> super::medium::Loss {
        self.medium.lose_power(&mut self.rng)
    }

    /// Whatever was on it is gone, and the disk with it.
    pub(super) fn destroy(&mut self) {
        self.medium = Medium::default();
    }

    pub(super) fn stall(&mut self) {
        self.stalled = true;
    }
}

impl Medium {
    fn perform(&mut self, request: &Request) -> Result<Reply, DiskError> {
        match request {
            Request::List => Ok(Reply::Names(self.list())),
            Request::Open { name, create } => self.open(name, *create).map(Reply::Opened),
            Request::Remove { name } => self.remove(name).map(|()| Reply::Done),
            Request::Rename { from, to } => self.rename(from, to).map(|()| Reply::Done),
            Request::SyncNames { up_to } => {
                self.sync_names(*up_to);
                Ok(Reply::Done)
            }
            Request::Length { inode } => Ok(Reply::Length(self.length(*inode))),
            Request::Read { inode, offset, length } => Ok(Reply::Data(self.read(*inode, *offset, *length))),
            Request::Write { inode, offset, data } => {
                self.write(*inode, *offset, data.clone()).map(|()| Reply::Done)
            }
            Request::SetLength { inode, length } => self.set_length(*inode, *length).map(|()| Reply::Done),
            Request::Sync { inode, up_to } => {
                self.sync(*inode, *up_to);
                Ok(Reply::Done)
            }
        }
    }
}

impl Request {
    /// The file that it works on, which must not be freed meanwhile.
    fn inode(&self) -> Option<u64> {
        match self {
            Self::Length { inode }
            | Self::Read { inode, .. }
            | Self::Write { inode, .. }
            | Self::SetLength { inode, .. }
            | Self::Sync { inode, .. } => Some(*inode),
            _ => None,
        }
    }

    fn is_sync(&self) -> bool {
        matches!(self, Self::Sync { .. } | Self::SyncNames { .. })
    }

    /// A hash for the trace.
    fn digest(&self) -> u64 {
        let text = |text: &str| digest_bytes(text.as_bytes());
        match self {
            Self::List => digest(&[1]),
            Self::Open { name, create } => digest(&[2, text(name), u64::from(*create)]),
            Self::Remove { name } => digest(&[3, text(name)]),
            Self::Rename { from, to } => digest(&[4, text(from), text(to)]),
            Self::SyncNames { up_to } => digest(&[5, *up_to]),
            Self::Length { inode } => digest(&[6, *inode]),
            Self::Read { inode, offset, length } => digest(&[7, *inode, *offset, *length as u64]),
            Self::Write { inode, offset, data } => digest(&[8, *inode, *offset, digest_bytes(data)]),
            Self::SetLength { inode, length } => digest(&[9, *inode, *length]),
            Self::Sync { inode, up_to } => digest(&[10, *inode, *up_to]),
        }
    }
}

/// A hash for the trace.
fn digest_reply(reply: &Result<Reply, DiskError>) -> u64 {
    match reply {
        Ok(Reply::Done) => 0,
        Ok(Reply::Names(names)) => {
            digest(&names.iter().map(|name| digest_bytes(name.as_bytes())).collect::<Vec<_>>())
        }
        Ok(Reply::Opened(number) | Reply::Length(number)) => *number,
        Ok(Reply::Data(data)) => digest_bytes(data),
        Err(error) => digest_bytes(error.to_string().as_bytes()),
    }
}

impl Core {
    fn begin_disk(&mut self, now: u64, process: u32, mut request: Request, waker: Waker) -> Option<u64> {
        let machine = &mut self.machines[process as usize];
        if machine.operations.len() >= DISK_OPERATIONS_MAX {
            return None;
        }
        if let Request::Sync { up_to, .. } | Request::SyncNames { up_to } = &mut request {
            *up_to = machine.medium.latest_change();
        }
        if let Some(inode) = request.inode() {
            machine.medium.hold(inode);
        }
        machine.operations_begun += 1;
        let operation = machine.operations_begun;
        let latency_ns = machine.latency_ns(request.is_sync());
        machine.operations.insert(operation, Stage::Begun { request, waker: Some(waker), abandoned: false });
        self.queue.push(now.saturating_add(latency_ns), Event::Disk { process, operation });
        Some(operation)
    }

    /// An operation's time is up. Says whom to wake.
    pub(super) fn complete_disk(&mut self, now: u64, process: u32, operation: u64) -> Option<Waker> {
        let name = self.name(process);
        let machine = &mut self.machines[process as usize];
        if machine.stalled {
            if machine.operations.contains_key(&operation) {
                machine.held.push(operation);
            }
            return None;
        }
        let Some(Stage::Begun { request, waker, abandoned }) = machine.operations.remove(&operation) else {
            return None;
        };
        let reply = machine.medium.perform(&request);
        if let Some(inode) = request.inode() {
            machine.medium.close(inode);
        }
        self.statistics.disk_operations += 1;
        self.statistics.disk_syncs += u64::from(request.is_sync());
        let detail = digest(&[request.digest(), digest_reply(&reply)]);
        self.tracer.record_of(now, TraceKind::Disk, name, detail);
        if !abandoned {
            machine.operations.insert(operation, Stage::Ended(reply));
        } else if let Ok(Reply::Opened(inode)) = reply {
            machine.medium.close(inode);
        }
        waker
    }

    /// Ends a stall. Says how many operations it held up.
    pub(super) fn resume_disk_of(&mut self, now: u64, process: u32) -> u64 {
        let machine = &mut self.machines[process as usize];
        machine.stalled = false;
        let held = std::mem::take(&mut machine.held);
        for operation in &held {
            let latency_ns = machine.latency_ns(false);
            self.queue.push(now.saturating_add(latency_ns), Event::Disk { process, operation: *operation });
        }
        held.len() as u64
    }

    fn abandon_disk(&mut self, process: u32, operation: u64) {
        let machine = &mut self.machines[process as usize];
        match machine.operations.get_mut(&operation) {
            Some(Stage::Begun { waker, abandoned, .. }) => {
                *abandoned = true;
                *waker = None;
            }
            Some(Stage::Ended(reply)) => {
                if let Ok(Reply::Opened(inode)) = reply {
                    machine.medium.close(*inode);
                }
                machine.operations.remove(&operation);
            }
            None => {}
        }
    }
}

/// The disk of one process's machine, as one run of the process sees it. Once that run is over, no
/// operation begins or ends.
#[derive(Clone)]
pub struct SimDisk {
    pub(super) shared: Arc<Shared>,
    pub(super) process: u32,
    pub(super) incarnation: u32,
}

impl SimDisk {
    fn operation<'a>(&'a self, name: &'a str, request: Request) -> Operation<'a> {
        Operation { disk: self, name, request: Some(request), begun: None }
    }
}

/// An operation on its way.
struct Operation<'a> {
    disk: &'a SimDisk,
    name: &'a str,
    request: Option<Request>,
    begun: Option<u64>,
}

impl Future for Operation<'_> {
    type Output = Result<Reply, DiskError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let disk = this.disk;
        let now = disk.shared.now_ns();
        let mut core = disk.shared.lock();
        if !core.is_alive(disk.process, disk.incarnation) {
            return Poll::Pending;
        }
        if let Some(request) = this.request.take() {
            this.begun = core.begin_disk(now, disk.process, request, context.waker().clone());
            return match this.begun {
                Some(_) => Poll::Pending,
                None => Poll::Ready(Err(DiskError::Io {
                    name: this.name.to_owned(),
                    reason: "too many operations at once".to_owned(),
                })),
            };
        }
        let operation = this.begun.expect("an operation that has ended is not polled again");
        let operations = &mut core.machines[disk.process as usize].operations;
        if let Some(Stage::Begun { waker, .. }) = operations.get_mut(&operation) {
            *waker = Some(context.waker().clone());
            return Poll::Pending;
        }
        let Some(Stage::Ended(reply)) = operations.remove(&operation) else {
            unreachable!("a living process's operation is begun or ended")
        };
        this.begun = None;
        Poll::Ready(reply.map_err(|error| match error {
            DiskError::Full(_) => DiskError::Full(this.name.to_owned()),
            other => other,
        }))
    }
}

impl Drop for Operation<'_> {
    fn drop(&mut self) {
        let Some(operation) = self.begun else { return };
        let mut core = self.disk.shared.lock();
        if core.is_alive(self.disk.process, self.disk.incarnation) {
            core.abandon_disk(self.disk.process, operation);
        }
    }
}

impl Disk for SimDisk {
    type File = SimFile;

    async fn list(&self) -> Result<Vec<String>, DiskError> {
        match self.operation("", Request::List).await? {
            Reply::Names(names) => Ok(names),
            _ => unreachable!("a list is answered with names"),
        }
    }

    async fn open(&self, name: &str, create: bool) -> Result<SimFile, DiskError> {
        match self.operation(name, Request::Open { name: name.to_owned(), create }).await? {
            Reply::Opened(inode) => Ok(SimFile { disk: self.clone(), inode, name: name.to_owned() }),
            _ => unreachable!("an open is answered with a file"),
        }
    }

    async fn remove(&self, name: &str) -> Result<(), DiskError> {
        self.operation(name, Request::Remove { name: name.to_owned() }).await.map(drop)
    }

    async fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        let request = Request::Rename { from: from.to_owned(), to: to.to_owned() };
        self.operation(from, request).await.map(drop)
    }

    async fn sync_names(&self) -> Result<(), DiskError> {
        self.operation("", Request::SyncNames { up_to: 0 }).await.map(drop)
    }
}

/// An open file of a simulated disk.
pub struct SimFile {
    disk: SimDisk,
    inode: u64,
    name: String,
}

impl SimFile {
    fn operation(&self, request: Request) -> Operation<'_> {
        self.disk.operation(&self.name, request)
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        let mut core = self.disk.shared.lock();
        if core.is_alive(self.disk.process, self.disk.incarnation) {
            core.machines[self.disk.process as usize].medium.close(self.inode);
        }
    }
}

impl File for SimFile {
    async fn len(&self) -> Result<u64, DiskError> {
        match self.operation(Request::Length { inode: self.inode }).await? {
            Reply::Length(length) => Ok(length),
            _ => unreachable!("a length is answered with a length"),
        }
    }

    async fn read_at(&self, offset: u64, length: usize) -> Result<Bytes, DiskError> {
        match self.operation(Request::Read { inode: self.inode, offset, length }).await? {
            Reply::Data(data) => Ok(data),
            _ => unreachable!("a read is answered with data"),
        }
    }

    async fn write_at(&self, offset: u64, data: Bytes) -> Result<(), DiskError> {
        self.operation(Request::Write { inode: self.inode, offset, data }).await.map(drop)
    }

    async fn set_len(&self, length: u64) -> Result<(), DiskError> {
        self.operation(Request::SetLength { inode: self.inode, length }).await.map(drop)
    }

    async fn sync(&self) -> Result<(), DiskError> {
        self.operation(Request::Sync { inode: self.inode, up_to: 0 }).await.map(drop)
    }
}
