//! A disk that writes down what is asked of it, around any other; and every folder that a crash could leave
//! behind after each of these operations.
//!
//! What is not synced survives wholly or not at all, and a write also by its first or its second half, each
//! independently of all others. That is as much as a hostile disk can do, but for where a write tears.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;

use super::images::Image;
use crate::env::{Disk, DiskError, File};

/// More folders than this after one operation are not enumerated: the part asks for too much at once.
const FOLDERS_MAX: usize = 4_096;

/// Files by number, so that a renamed one stays the same.
type FileNumber = usize;

#[derive(Clone, Debug)]
enum Operation {
    Create(String, FileNumber),
    Remove(String),
    Rename(String, String, FileNumber),
    SyncNames,
    Write(FileNumber, usize, Bytes),
    SetLength(FileNumber, usize),
    Sync(FileNumber),
}

#[derive(Debug, Default)]
struct Log {
    numbers: BTreeMap<String, FileNumber>,
    files: FileNumber,
    operations: Vec<Operation>,
}

/// The disk.
#[derive(Clone)]
pub(super) struct JournalDisk<D> {
    inner: D,
    log: Arc<Mutex<Log>>,
}

/// An open file of it.
pub(super) struct JournalFile<D: Disk> {
    inner: D::File,
    number: FileNumber,
    disk: JournalDisk<D>,
}

/// What a folder may be after a number of operations.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Folder {
    names: BTreeMap<String, FileNumber>,
    contents: BTreeMap<FileNumber, Vec<u8>>,
}

impl<D: Disk> JournalDisk<D> {
    /// Around a disk which holds this, durably.
    pub(super) fn new(inner: D, image: &Image) -> Self {
        let numbers: BTreeMap<String, FileNumber> = image.keys().cloned().zip(0..).collect();
        let log = Log { files: numbers.len(), numbers, operations: Vec::new() };
        Self { inner, log: Arc::new(Mutex::new(log)) }
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().expect("nothing panics while it holds the journal")
    }

    /// Begins anew. What was asked so far has changed nothing, and all of it is durable.
    pub(super) fn forget_operations(&self) {
        self.log().operations.clear();
    }

    /// What crashes could leave behind: before the first operation since `image`, and after each.
    pub(super) fn crash_images(&self, image: &Image) -> Result<Vec<BTreeSet<Image>>, String> {
        let names: BTreeMap<String, FileNumber> = image.keys().cloned().zip(0..).collect();
        let contents = image.values().cloned().enumerate().collect();
        let mut durable = Folder { names, contents };
        let mut pending: Vec<Operation> = Vec::new();
        let mut images = vec![BTreeSet::from([image.clone()])];
        for operation in &self.log().operations {
            let synced: Vec<Operation> = pending.extract_if(.., |earlier| operation.syncs(earlier)).collect();
            synced.iter().for_each(|earlier| durable.apply(earlier));
            if !matches!(operation, Operation::SyncNames | Operation::Sync(_)) {
                pending.push(operation.clone());
            }
            images.push(survivors(&durable, &pending)?.iter().map(Folder::image).collect());
        }
        Ok(images)
    }
}

/// The folders that a crash may leave behind.
fn survivors(durable: &Folder, pending: &[Operation]) -> Result<BTreeSet<Folder>, String> {
    let mut folders = BTreeSet::from([durable.clone()]);
    for operation in pending {
        let mut more = BTreeSet::new();
        for folder in &folders {
            for part in operation.parts() {
                let mut with = folder.clone();
                with.apply(&part);
                more.insert(with);
            }
        }
        folders.extend(more);
        if folders.len() > FOLDERS_MAX {
            return Err(format!("more than {FOLDERS_MAX} folders could be left behind after one operation"));
        }
    }
    Ok(folders)
}

impl Operation {
    /// Whether it makes an earlier one durable.
    fn syncs(&self, earlier: &Self) -> bool {
        match (self, earlier) {
            (Self::SyncNames, Self::Create(..) | Self::Remove(_) | Self::Rename(..)) => true,
            (Self::Sync(file), Self::Write(of, ..) | Self::SetLength(of, _)) => file == of,
            _ => false,
        }
    }

    /// What may survive of it, other than nothing.
    fn parts(&self) -> Vec<Self> {
        match self {
            Self::Write(file, offset, data) if data.len() > 1 => {
                let half = data.len() / 2;
                let (first, second) = (data.slice(..half), data.slice(half..));
                vec![
                    self.clone(),
                    Self::Write(*file, *offset, first),
                    Self::Write(*file, offset + half, second),
                ]
            }
            _ => vec![self.clone()],
        }
    }
}

impl Folder {
    fn apply(&mut self, operation: &Operation) {
        match operation {
            Operation::Create(name, file) => {
                self.names.insert(name.clone(), *file);
            }
            Operation::Remove(name) => {
                self.names.remove(name);
            }
            Operation::Rename(from, to, file) => {
                self.names.remove(from);
                self.names.insert(to.clone(), *file);
            }
            Operation::Write(file, offset, data) => {
                let content = self.contents.entry(*file).or_default();
                let end = offset + data.len();
                content.resize(content.len().max(end), 0);
                content[*offset..end].copy_from_slice(data);
            }
            Operation::SetLength(file, length) => self.contents.entry(*file).or_default().resize(*length, 0),
            Operation::SyncNames | Operation::Sync(_) => {}
        }
    }

    fn image(&self) -> Image {
        let content = |file| self.contents.get(file).cloned().unwrap_or_default();
        self.names.iter().map(|(name, file)| (name.clone(), content(file))).collect()
    }
}

impl<D: Disk> Disk for JournalDisk<D> {
    type File = JournalFile<D>;

    async fn list(&self) -> Result<Vec<String>, DiskError> {
        self.inner.list().await
    }

    async fn open(&self, name: &str, create: bool) -> Result<Self::File, DiskError> {
        let inner = self.inner.open(name, create).await?;
        let mut log = self.log();
        let number = match log.numbers.get(name) {
            Some(&number) => number,
            None => {
                let number = log.files;
                log.files += 1;
                log.numbers.insert(name.to_owned(), number);
                log.operations.push(Operation::Create(name.to_owned(), number));
                number
            }
        };
        drop(log);
        Ok(JournalFile { inner, number, disk: self.clone() })
    }

    async fn remove(&self, name: &str) -> Result<(), DiskError> {
        self.inner.remove(name).await?;
        let mut log = self.log();
        log.numbers.remove(name);
        log.operations.push(Operation::Remove(name.to_owned()));
        Ok(())
    }

    async fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        self.inner.rename(from, to).await?;
        let mut log = self.log();
        let number = log.numbers.remove(from).ok_or_else(|| DiskError::NotFound(from.to_owned()))?;
        log.numbers.insert(to.to_owned(), number);
        log.operations.push(Operation::Rename(from.to_owned(), to.to_owned(), number));
        Ok(())
    }

    async fn sync_names(&self) -> Result<(), DiskError> {
        self.inner.sync_names().await?;
        self.log().operations.push(Operation::SyncNames);
        Ok(())
    }
}

impl<D: Disk> JournalFile<D> {
    fn note(&self, operation: Operation) {
        self.disk.log().operations.push(operation);
    }
}

impl<D: Disk> File for JournalFile<D> {
    async fn len(&self) -> Result<u64, DiskError> {
        self.inner.len().await
    }

    async fn read_at(&self, offset: u64, length: usize) -> Result<Bytes, DiskError> {
        self.inner.read_at(offset, length).await
    }

    async fn write_at(&self, offset: u64, data: Bytes) -> Result<(), DiskError> {
        self.inner.write_at(offset, data.clone()).await?;
        self.note(Operation::Write(self.number, offset as usize, data));
        Ok(())
    }

    async fn set_len(&self, length: u64) -> Result<(), DiskError> {
        self.inner.set_len(length).await?;
        self.note(Operation::SetLength(self.number, length as usize));
        Ok(())
    }

    async fn sync(&self) -> Result<(), DiskError> {
        self.inner.sync().await?;
        self.note(Operation::Sync(self.number));
        Ok(())
    }
}
