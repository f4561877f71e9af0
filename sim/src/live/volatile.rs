//! A disk that loses what was not synced when its process is killed, as a machine does that loses power.
//!
//! A killed process leaves what it has written to the system, which keeps it. So where a schedule takes the power of
//! nodes, what a node writes stays in its own memory until it syncs: with the process goes what was not synced, all
//! of it. Names of files are the system's at once: of what a loss of power may do to a file that is new or renamed,
//! this is that its name is there and what was in it is not.
//!
//! Deliberately absent: torn writes and names that come back, which the simulated disk has.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use stormglass_nodes::env::{Disk, DiskError, Env, File, StreamAddress};
use stormglass_nodes::ids::LocalTime;

/// An environment whose disk is a [`VolatileDisk`].
#[derive(Clone)]
pub struct Volatile<E: Env> {
    inner: E,
    disk: VolatileDisk<E::Disk>,
}

impl<E: Env> Volatile<E> {
    /// The same environment. Without `holds_back` its disk is that of `inner`.
    #[must_use]
    pub fn new(inner: E, holds_back: bool) -> Self {
        let disk = VolatileDisk::new(inner.disk().clone(), holds_back);
        Self { inner, disk }
    }
}

impl<E: Env> Env for Volatile<E> {
    type Net = E::Net;
    type Disk = VolatileDisk<E::Disk>;
    type Stream = E::Stream;

    fn now(&self) -> LocalTime {
        self.inner.now()
    }

    fn sleep_until(&self, deadline: LocalTime) -> impl Future<Output = ()> + Send {
        self.inner.sleep_until(deadline)
    }

    fn entropy(&self) -> u64 {
        self.inner.entropy()
    }

    fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.inner.spawn(name, task);
    }

    fn connect(&self, to: &StreamAddress) -> impl Future<Output = io::Result<Self::Stream>> + Send {
        self.inner.connect(to)
    }

    fn net(&self) -> &Self::Net {
        self.inner.net()
    }

    fn disk(&self) -> &Self::Disk {
        &self.disk
    }
}

/// A folder whose files keep in memory what is written until it is synced.
#[derive(Clone)]
pub struct VolatileDisk<D> {
    inner: D,
    holds_back: bool,
    /// What is not synced of each file that was opened, by its present name.
    files: Arc<Mutex<BTreeMap<String, Unsynced>>>,
}

type Unsynced = Arc<tokio::sync::Mutex<Image>>;

/// What is not on the disk of a file.
#[derive(Debug, Default)]
struct Image {
    /// The whole file as it is read, if it differs from the one on the disk.
    content: Option<Vec<u8>>,
    /// What is to be done to the one on the disk, in order.
    changes: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Write { offset: u64, data: Bytes },
    SetLen(u64),
}

/// An open file of such a folder.
pub struct VolatileFile<F> {
    inner: F,
    /// Absent where nothing is held back.
    unsynced: Option<Unsynced>,
}

impl<D: Disk> VolatileDisk<D> {
    /// A folder over this one. Without `holds_back`, writes go to it at once.
    #[must_use]
    pub fn new(inner: D, holds_back: bool) -> Self {
        Self { inner, holds_back, files: Arc::default() }
    }

    fn with_files<T>(&self, f: impl FnOnce(&mut BTreeMap<String, Unsynced>) -> T) -> T {
        f(&mut self.files.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<D: Disk> Disk for VolatileDisk<D> {
    type File = VolatileFile<D::File>;

    fn list(&self) -> impl Future<Output = Result<Vec<String>, DiskError>> + Send {
        self.inner.list()
    }

    async fn open(&self, name: &str, create: bool) -> Result<Self::File, DiskError> {
        let inner = self.inner.open(name, create).await?;
        let of_name = || self.with_files(|files| Arc::clone(files.entry(name.to_owned()).or_default()));
        Ok(VolatileFile { inner, unsynced: self.holds_back.then(of_name) })
    }

    async fn remove(&self, name: &str) -> Result<(), DiskError> {
        self.inner.remove(name).await?;
        self.with_files(|files| files.remove(name));
        Ok(())
    }

    async fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        self.inner.rename(from, to).await?;
        self.with_files(|files| {
            let moved = files.remove(from).unwrap_or_default();
            files.insert(to.to_owned(), moved);
        });
        Ok(())
    }

    fn sync_names(&self) -> impl Future<Output = Result<(), DiskError>> + Send {
        self.inner.sync_names()
    }
}

impl<F: File> VolatileFile<F> {
    /// Takes note of a change of the file's content.
    async fn change(&self, unsynced: &Unsynced, change: Change) -> Result<(), DiskError> {
        let mut image = unsynced.lock().await;
        let mut content = match image.content.take() {
            Some(content) => content,
            None => {
                let length = usize::try_from(self.inner.len().await?).unwrap_or(usize::MAX);
                self.inner.read_at(0, length).await?.to_vec()
            }
        };
        let place = |offset| usize::try_from(offset).expect("a file in memory is no longer than memory");
        match &change {
            Change::Write { offset, data } => {
                let (from, until) = (place(*offset), place(*offset) + data.len());
                content.resize(content.len().max(until), 0);
                content[from..until].copy_from_slice(data);
            }
            Change::SetLen(length) => content.resize(place(*length), 0),
        }
        image.content = Some(content);
        image.changes.push(change);
        Ok(())
    }

    async fn write_through(&self, change: Change) -> Result<(), DiskError> {
        match change {
            Change::Write { offset, data } => self.inner.write_at(offset, data).await,
            Change::SetLen(length) => self.inner.set_len(length).await,
        }
    }
}

impl<F: File> File for VolatileFile<F> {
    async fn len(&self) -> Result<u64, DiskError> {
        if let Some(unsynced) = &self.unsynced
            && let Some(content) = &unsynced.lock().await.content
        {
            return Ok(content.len() as u64);
        }
        self.inner.len().await
    }

    async fn read_at(&self, offset: u64, length: usize) -> Result<Bytes, DiskError> {
        if let Some(unsynced) = &self.unsynced
            && let Some(content) = &unsynced.lock().await.content
        {
            let from = usize::try_from(offset).unwrap_or(usize::MAX).min(content.len());
            let until = from.saturating_add(length).min(content.len());
            return Ok(Bytes::copy_from_slice(&content[from..until]));
        }
        self.inner.read_at(offset, length).await
    }

    async fn write_at(&self, offset: u64, data: Bytes) -> Result<(), DiskError> {
        match &self.unsynced {
            Some(unsynced) => self.change(unsynced, Change::Write { offset, data }).await,
            None => self.inner.write_at(offset, data).await,
        }
    }

    async fn set_len(&self, length: u64) -> Result<(), DiskError> {
        match &self.unsynced {
            Some(unsynced) => self.change(unsynced, Change::SetLen(length)).await,
            None => self.inner.set_len(length).await,
        }
    }

    async fn sync(&self) -> Result<(), DiskError> {
        if let Some(unsynced) = &self.unsynced {
            let mut image = unsynced.lock().await;
            for change in image.changes.clone() {
                self.write_through(change).await?;
            }
            self.inner.sync().await?;
            // Only now: after an error nothing may be taken to be on the disk.
            *image = Image::default();
            return Ok(());
        }
        self.inner.sync().await
    }
}

#[cfg(test)]
mod tests {
    use stormglass_nodes::tokio_env::TokioDisk;

    use super::*;

    async fn read<D: Disk>(disk: &D, name: &str) -> Bytes {
        let file = disk.open(name, false).await.unwrap();
        let length = file.len().await.unwrap();
        file.read_at(0, usize::try_from(length).unwrap()).await.unwrap()
    }

    #[tokio::test]
    async fn what_is_written_is_read_and_lost_until_it_is_synced() {
        let folder = tempfile::tempdir().unwrap();
        let below = TokioDisk::open(folder.path().to_owned()).await.unwrap();
        let disk = VolatileDisk::new(below.clone(), true);
        let file = disk.open("a", true).await.unwrap();
        file.write_at(0, Bytes::from_static(b"kept")).await.unwrap();
        file.sync().await.unwrap();
        file.write_at(2, Bytes::from_static(b"lost")).await.unwrap();
        assert_eq!((read(&disk, "a").await, read(&below, "a").await), ("kelost".into(), "kept".into()));
        file.set_len(1).await.unwrap();
        assert_eq!((read(&disk, "a").await, read(&below, "a").await), ("k".into(), "kept".into()));
        // What is not synced goes where the file goes.
        disk.rename("a", "b").await.unwrap();
        assert_eq!((read(&disk, "b").await, read(&below, "b").await), ("k".into(), "kept".into()));
        disk.open("b", false).await.unwrap().sync().await.unwrap();
        assert_eq!(read(&below, "b").await, "k");
        disk.remove("b").await.unwrap();
        assert!(disk.open("b", true).await.unwrap().len().await.unwrap() == 0);
    }

    #[tokio::test]
    async fn nothing_is_held_back_that_is_not_to_be() {
        let folder = tempfile::tempdir().unwrap();
        let below = TokioDisk::open(folder.path().to_owned()).await.unwrap();
        let disk = VolatileDisk::new(below.clone(), false);
        disk.open("a", true).await.unwrap().write_at(0, Bytes::from_static(b"x")).await.unwrap();
        assert_eq!(read(&below, "a").await, "x");
    }
}
