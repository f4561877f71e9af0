//! A disk whose operations fail or hang when told to, around any other.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use bytes::Bytes;
use tokio::sync::Notify;

use crate::env::{Disk, DiskError, File};

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Trouble {
    /// Nothing.
    None = 0,
    /// Writes report an error and write nothing.
    FailWrites = 1,
    /// Syncs report an error and sync nothing.
    FailSyncs = 2,
    /// Syncs never return.
    HangSyncs = 3,
}

/// The disk.
#[derive(Clone)]
pub(super) struct FaultyDisk<D> {
    inner: D,
    lever: Arc<Lever>,
}

/// Sets what goes wrong, and tells when something hangs.
pub(super) struct Lever {
    trouble: AtomicU8,
    hung: Notify,
}

impl Lever {
    pub(super) fn set(&self, trouble: Trouble) {
        self.trouble.store(trouble as u8, Ordering::SeqCst);
    }

    fn is(&self, trouble: Trouble) -> bool {
        self.trouble.load(Ordering::SeqCst) == trouble as u8
    }

    /// Returns once an operation hangs.
    pub(super) async fn hung(&self) {
        self.hung.notified().await;
    }
}

impl<D: Disk> FaultyDisk<D> {
    pub(super) fn new(inner: D) -> (Self, Arc<Lever>) {
        let lever = Arc::new(Lever { trouble: AtomicU8::new(Trouble::None as u8), hung: Notify::new() });
        (Self { inner, lever: lever.clone() }, lever)
    }
}

/// An open file of it.
pub(super) struct FaultyFile<F> {
    inner: F,
    lever: Arc<Lever>,
}

impl<D: Disk> Disk for FaultyDisk<D> {
    type File = FaultyFile<D::File>;

    async fn list(&self) -> Result<Vec<String>, DiskError> {
        self.inner.list().await
    }

    async fn open(&self, name: &str, create: bool) -> Result<Self::File, DiskError> {
        Ok(FaultyFile { inner: self.inner.open(name, create).await?, lever: self.lever.clone() })
    }

    async fn remove(&self, name: &str) -> Result<(), DiskError> {
        self.inner.remove(name).await
    }

    async fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        self.inner.rename(from, to).await
    }

    async fn sync_names(&self) -> Result<(), DiskError> {
        self.inner.sync_names().await
    }
}

impl<F: File> File for FaultyFile<F> {
    async fn len(&self) -> Result<u64, DiskError> {
        self.inner.len().await
    }

    async fn read_at(&self, offset: u64, length: usize) -> Result<Bytes, DiskError> {
        self.inner.read_at(offset, length).await
    }

    async fn write_at(&self, offset: u64, data: Bytes) -> Result<(), DiskError> {
        if self.lever.is(Trouble::FailWrites) {
            return Err(DiskError::Full("a file of the suite".to_owned()));
        }
        self.inner.write_at(offset, data).await
    }

    async fn set_len(&self, length: u64) -> Result<(), DiskError> {
        self.inner.set_len(length).await
    }

    async fn sync(&self) -> Result<(), DiskError> {
        if self.lever.is(Trouble::FailSyncs) {
            let (name, reason) = ("a file of the suite".to_owned(), "a staged failure".to_owned());
            return Err(DiskError::Io { name, reason });
        }
        if self.lever.is(Trouble::HangSyncs) {
            self.lever.hung.notify_one();
            return std::future::pending().await;
        }
        self.inner.sync().await
    }
}
