//! A disk in memory that never fails.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use stormglass_nodes::env::{Disk, DiskError, File};

/// Files by name.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// The disk.
#[derive(Clone, Default)]
pub(crate) struct MemoryDisk(Arc<Mutex<Files>>);

/// One of its files.
pub(crate) struct MemoryFile {
    disk: MemoryDisk,
    name: String,
}

impl MemoryDisk {
    /// A disk that holds these files.
    pub(crate) fn of(files: Files) -> Self {
        Self(Arc::new(Mutex::new(files)))
    }

    /// What it holds now.
    pub(crate) fn contents(&self) -> Files {
        self.files().clone()
    }

    fn files(&self) -> MutexGuard<'_, Files> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Disk for MemoryDisk {
    type File = MemoryFile;

    async fn list(&self) -> Result<Vec<String>, DiskError> {
        Ok(self.files().keys().cloned().collect())
    }

    async fn open(&self, name: &str, create: bool) -> Result<MemoryFile, DiskError> {
        let mut files = self.files();
        if create {
            files.entry(name.to_owned()).or_default();
        } else if !files.contains_key(name) {
            return Err(DiskError::NotFound(name.to_owned()));
        }
        Ok(MemoryFile { disk: self.clone(), name: name.to_owned() })
    }

    async fn remove(&self, name: &str) -> Result<(), DiskError> {
        self.files().remove(name).map(drop).ok_or_else(|| DiskError::NotFound(name.to_owned()))
    }

    async fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        let mut files = self.files();
        let bytes = files.remove(from).ok_or_else(|| DiskError::NotFound(from.to_owned()))?;
        files.insert(to.to_owned(), bytes);
        Ok(())
    }

    async fn sync_names(&self) -> Result<(), DiskError> {
        Ok(())
    }
}

impl MemoryFile {
    fn with<T>(&self, what: impl FnOnce(&mut Vec<u8>) -> T) -> Result<T, DiskError> {
        let mut files = self.disk.files();
        files.get_mut(&self.name).map(what).ok_or_else(|| DiskError::NotFound(self.name.clone()))
    }
}

impl File for MemoryFile {
    async fn len(&self) -> Result<u64, DiskError> {
        self.with(|bytes| bytes.len() as u64)
    }

    async fn read_at(&self, offset: u64, length: usize) -> Result<Bytes, DiskError> {
        self.with(|bytes| {
            let from = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
            let to = from.saturating_add(length).min(bytes.len());
            Bytes::copy_from_slice(&bytes[from..to])
        })
    }

    async fn write_at(&self, offset: u64, data: Bytes) -> Result<(), DiskError> {
        self.with(|bytes| {
            let from = usize::try_from(offset).expect("files are short");
            bytes.resize(bytes.len().max(from + data.len()), 0);
            bytes[from..from + data.len()].copy_from_slice(&data);
        })
    }

    async fn set_len(&self, length: u64) -> Result<(), DiskError> {
        self.with(|bytes| bytes.resize(usize::try_from(length).expect("files are short"), 0))
    }

    async fn sync(&self) -> Result<(), DiskError> {
        Ok(())
    }
}
