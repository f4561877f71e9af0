//! The seam between the nodes and the world: clock, entropy, tasks, network, streams, disk.
//!
//! Everything above is generic over [`Env`] and is the same code on tokio and in the simulator. The traits
//! promise little, on purpose: whatever a real machine may do to a program, an implementation may do.
//!
//! * Time is monotonic within one run of a process and means nothing to anybody else. Clocks may drift.
//! * [`Net`] carries frames like a bad postal service: each may be lost, delayed, duplicated or overtaken.
//! * [`Disk`] keeps what was synced. What was written but not synced may survive a crash wholly, in part,
//!   or not at all; the name of a new file is itself such a write, made durable by [`Disk::sync_names`].
//! * A stream from [`Env::connect`] keeps order and loses nothing in between, but may stall for ever, or end at
//!   any byte: what was written last may or may not have arrived.
//! * A task spawned here dies with its process, at any await point.
//!
//! Deliberately absent: wall-clock time, threads, and any promise of order between two frames.

use std::fmt;
use std::future::Future;
use std::io;
use std::path::PathBuf;

use bytes::Bytes;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::ids::{Address, LocalTime};

/// The world as one process sees it. Cloning yields another handle to the same process.
pub trait Env: Clone + Send + Sync + 'static {
    /// This process's network endpoint.
    type Net: Net;
    /// This process's disk.
    type Disk: Disk;
    /// A connection to a service that is not a node of ours. Dropping it closes it.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// This process's monotonic clock.
    fn now(&self) -> LocalTime;

    /// Returns once [`Env::now`] has reached `deadline`, at once if it has already.
    fn sleep_until(&self, deadline: LocalTime) -> impl Future<Output = ()> + Send;

    /// A fresh 64-bit random number.
    fn entropy(&self) -> u64;

    /// Runs `task` until it ends or the process dies. `name` is for diagnostics.
    fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static);

    /// Opens a stream to a service, encrypted where the address says so. It may take for ever: the caller
    /// brings its own patience.
    fn connect(&self, to: &StreamAddress) -> impl Future<Output = io::Result<Self::Stream>> + Send;

    /// This process's network endpoint.
    fn net(&self) -> &Self::Net;

    /// This process's disk.
    fn disk(&self) -> &Self::Disk;
}

/// Where a service is that takes streams of bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamAddress {
    /// A TCP port.
    Tcp {
        /// A name or an address.
        host: String,
        /// The port.
        port: u16,
    },
    /// A TCP port behind TLS. The service must prove that it is `host`.
    Tls {
        /// A name or an address.
        host: String,
        /// The port.
        port: u16,
        /// The certificates (PEM) of those who may vouch for it. Default: those that the machine trusts.
        authorities: Option<PathBuf>,
    },
    /// A socket in the file system.
    Unix(PathBuf),
}

impl fmt::Display for StreamAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Tls { host, port, .. } => write!(f, "{host}:{port} (TLS)"),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// A process's endpoint on the network. Frames are opaque, at most [`FRAME_BYTES_MAX`] long.
pub trait Net: Clone + Send + Sync + 'static {
    /// Hands `frame` over for delivery to `to`. Never waits and never reports failure: an unreachable
    /// receiver looks like a lost frame.
    fn send(&self, to: Address, frame: Bytes);

    /// Waits for the next frame. Dropping the future loses no frame. One task receives at a time.
    fn receive(&self) -> impl Future<Output = (Address, Bytes)> + Send;

    /// The frame that was received last cannot be one of ours, for this reason: whoever sent it is not to be listened
    /// to any further. An endpoint that has connections closes the one on which it came, and counts that.
    fn refuse(&self, reason: &'static str) {
        // Where there are no connections there is none to close.
        let _ = reason;
    }
}

/// The longest frame that an endpoint accepts: 8 MiB. A longer one is dropped by the sender and counted.
pub const FRAME_BYTES_MAX: usize = 8 * 1024 * 1024;

/// A folder of flat, append-only files. Names are ASCII letters, digits, `-`, `.` and `_`.
pub trait Disk: Clone + Send + Sync + 'static {
    /// An open file.
    type File: File;

    /// The names of all files, sorted.
    fn list(&self) -> impl Future<Output = Result<Vec<String>, DiskError>> + Send;

    /// Opens a file for reading and appending; creates it, empty, if `create` and it is absent.
    fn open(&self, name: &str, create: bool) -> impl Future<Output = Result<Self::File, DiskError>> + Send;

    /// Removes a file. Durable after [`Disk::sync_names`]; before, a crash may bring it back.
    fn remove(&self, name: &str) -> impl Future<Output = Result<(), DiskError>> + Send;

    /// Renames a file over any file of the new name, atomically. Durable after [`Disk::sync_names`].
    fn rename(&self, from: &str, to: &str) -> impl Future<Output = Result<(), DiskError>> + Send;

    /// Returns once every creation, removal and renaming that was complete when it was called is durable
    /// (fsync of the directory).
    fn sync_names(&self) -> impl Future<Output = Result<(), DiskError>> + Send;
}

/// An open file. Offsets and lengths are in bytes.
#[expect(
    clippy::len_without_is_empty,
    reason = "asking costs a round to the disk; callers compare the length"
)]
pub trait File: Send + Sync + 'static {
    /// Its current length.
    fn len(&self) -> impl Future<Output = Result<u64, DiskError>> + Send;

    /// Reads up to `length` bytes from `offset`; fewer only at the end of the file.
    fn read_at(&self, offset: u64, length: usize) -> impl Future<Output = Result<Bytes, DiskError>> + Send;

    /// Writes at `offset`, extending the file where needed. Not durable before [`File::sync`].
    fn write_at(&self, offset: u64, data: Bytes) -> impl Future<Output = Result<(), DiskError>> + Send;

    /// Cuts or zero-extends the file. Not durable before [`File::sync`].
    fn set_len(&self, length: u64) -> impl Future<Output = Result<(), DiskError>> + Send;

    /// Returns once all that was written before the call is durable (fdatasync). After an error nothing
    /// unsynced may be believed durable, ever: the caller stops.
    fn sync(&self) -> impl Future<Output = Result<(), DiskError>> + Send;
}

/// What a disk may answer instead.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum DiskError {
    /// There is no such file. The caller may create it.
    #[error("no file named {0}")]
    NotFound(String),
    /// The disk is full. Nothing of the write is promised.
    #[error("no space left while writing {0}")]
    Full(String),
    /// The device failed. The state of unsynced data is unknown: fatal.
    #[error("input/output error on {name}: {reason}")]
    Io {
        /// The file.
        name: String,
        /// What the system said.
        reason: String,
    },
}
