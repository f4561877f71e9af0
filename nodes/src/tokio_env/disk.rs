//! A disk as a folder of files.
//!
//! Operations run on tokio's pool of blocking threads, so that a slow device stalls nobody else. The folder
//! is locked while any handle on it or operation in it lives: two processes on one log would each be true
//! to its own word and together break both.

#![expect(clippy::disallowed_types, reason = "this file is the real side of Env::disk")]

use std::fs::{File as SystemFile, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use tokio::fs::OpenOptions;
use tokio::task::spawn_blocking;

use crate::env::{Disk, DiskError, File};

/// Its name cannot be one of a file of the disk.
const LOCK_NAME: &str = "~lock";

/// A folder.
#[derive(Clone)]
pub struct TokioDisk {
    folder: Arc<Folder>,
}

struct Folder {
    path: PathBuf,
    /// The folder itself, to be synced.
    directory: SystemFile,
    /// Locked as long as it is open.
    _lock: SystemFile,
}

/// An open file of a folder.
pub struct TokioFile {
    file: Arc<OpenFile>,
}

struct OpenFile {
    name: String,
    system: SystemFile,
    /// Keeps the folder locked while an operation is on its way.
    _folder: Arc<Folder>,
}

impl TokioDisk {
    /// Opens a folder, creating it if need be, and locks it.
    ///
    /// # Errors
    ///
    /// If it cannot be created or opened, or is in use.
    pub async fn open(path: PathBuf) -> io::Result<Self> {
        tokio::fs::create_dir_all(&path).await?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let lock = options.open(path.join(LOCK_NAME)).await?.into_std().await;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let reason = format!("the folder {} is in use by another process", path.display());
                return Err(io::Error::new(io::ErrorKind::WouldBlock, reason));
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let directory = tokio::fs::File::open(&path).await?.into_std().await;
        sync_parent(&path).await?;
        Ok(Self { folder: Arc::new(Folder { path, directory, _lock: lock }) })
    }

    fn place(&self, name: &str) -> Result<PathBuf, DiskError> {
        if is_name(name) {
            return Ok(self.folder.path.join(name));
        }
        let reason =
            "a name is of ASCII letters, digits, '-', '.' and '_', and is not '.' or '..'".to_owned();
        Err(DiskError::Io { name: name.to_owned(), reason })
    }
}

/// Makes the folder's own name durable.
async fn sync_parent(path: &std::path::Path) -> io::Result<()> {
    let absolute = tokio::fs::canonicalize(path).await?;
    match absolute.parent() {
        Some(parent) => tokio::fs::File::open(parent).await?.sync_all().await,
        None => Ok(()),
    }
}

/// Whether this may be the name of a file of a disk.
fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    !name.is_empty() && name != "." && name != ".." && name.bytes().all(allowed)
}

fn refusal(name: &str, error: &io::Error) -> DiskError {
    match error.kind() {
        io::ErrorKind::NotFound => DiskError::NotFound(name.to_owned()),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => DiskError::Full(name.to_owned()),
        _ => DiskError::Io { name: name.to_owned(), reason: error.to_string() },
    }
}

/// Runs an operation where it may block.
async fn blocking<T: Send + 'static>(
    name: &str,
    operation: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, DiskError> {
    match spawn_blocking(operation).await {
        Ok(result) => result.map_err(|error| refusal(name, &error)),
        Err(error) => Err(DiskError::Io { name: name.to_owned(), reason: error.to_string() }),
    }
}

impl Disk for TokioDisk {
    type File = TokioFile;

    async fn list(&self) -> Result<Vec<String>, DiskError> {
        let path = &self.folder.path;
        let shown = path.display().to_string();
        let mut names = Vec::new();
        let mut entries = tokio::fs::read_dir(path).await.map_err(|error| refusal(&shown, &error))?;
        while let Some(entry) = entries.next_entry().await.map_err(|error| refusal(&shown, &error))? {
            let kind = entry.file_type().await.map_err(|error| refusal(&shown, &error))?;
            match entry.file_name().into_string() {
                Ok(name) if kind.is_file() && is_name(&name) => names.push(name),
                _ => {}
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    async fn open(&self, name: &str, create: bool) -> Result<TokioFile, DiskError> {
        let path = self.place(name)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(create).truncate(false);
        let opened = options.open(path).await.map_err(|error| refusal(name, &error))?;
        let system = opened.into_std().await;
        let file = OpenFile { name: name.to_owned(), system, _folder: self.folder.clone() };
        Ok(TokioFile { file: Arc::new(file) })
    }

    async fn remove(&self, name: &str) -> Result<(), DiskError> {
        tokio::fs::remove_file(self.place(name)?).await.map_err(|error| refusal(name, &error))
    }

    async fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        let (old, new) = (self.place(from)?, self.place(to)?);
        tokio::fs::rename(old, new).await.map_err(|error| refusal(from, &error))
    }

    async fn sync_names(&self) -> Result<(), DiskError> {
        let folder = self.folder.clone();
        blocking("the folder", move || folder.directory.sync_all()).await
    }
}

impl TokioFile {
    async fn run<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&SystemFile) -> io::Result<T> + Send + 'static,
    ) -> Result<T, DiskError> {
        let file = self.file.clone();
        blocking(&self.file.name, move || operation(&file.system)).await
    }
}

impl File for TokioFile {
    async fn len(&self) -> Result<u64, DiskError> {
        self.run(|file| file.metadata().map(|metadata| metadata.len())).await
    }

    async fn read_at(&self, offset: u64, length: usize) -> Result<Bytes, DiskError> {
        self.run(move |file| read_up_to(file, offset, length)).await
    }

    async fn write_at(&self, offset: u64, data: Bytes) -> Result<(), DiskError> {
        self.run(move |file| file.write_all_at(&data, offset)).await
    }

    async fn set_len(&self, length: u64) -> Result<(), DiskError> {
        self.run(move |file| file.set_len(length)).await
    }

    async fn sync(&self) -> Result<(), DiskError> {
        self.run(SystemFile::sync_data).await
    }
}

/// Reads until the length is reached or the file ends.
fn read_up_to(file: &SystemFile, offset: u64, length: usize) -> io::Result<Bytes> {
    let available = file.metadata()?.len().saturating_sub(offset);
    let mut buffer = vec![0; usize::try_from(available).unwrap_or(usize::MAX).min(length)];
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    buffer.truncate(filled);
    Ok(Bytes::from(buffer))
}
