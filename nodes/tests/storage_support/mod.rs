//! An in-memory disk that keeps only what it must.
//!
//! Every write, change of length and change of names waits apart from the durable state until it is synced.
//! A power loss decides each of them by itself: all of it, none, or some sectors of it. A fuse stages the
//! power loss at the n-th operation; from then on everything fails, as it does for a dying process.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use rand::{Rng, RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use stormglass_nodes::env::{Disk, DiskError, File};

/// Small, so that records often span several.
const SECTOR_BYTES: usize = 16;

#[derive(Clone, Debug)]
enum Change {
    Write { offset: usize, data: Bytes },
    Length(usize),
}

#[derive(Clone, Debug, Default)]
struct Inode {
    live: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
}

#[derive(Clone, Debug)]
enum NameChange {
    Link(String, usize),
    Unlink(String),
}

struct State {
    random: Xoshiro256PlusPlus,
    inodes: Vec<Inode>,
    live: BTreeMap<String, usize>,
    durable: BTreeMap<String, usize>,
    /// Each group happens wholly or not at all: a rename is one.
    pending: Vec<Vec<NameChange>>,
    fuse: Option<u64>,
    operations: u64,
}

/// The disk.
#[derive(Clone)]
pub(crate) struct MemoryDisk(Arc<Mutex<State>>);

/// An open file of it.
pub(crate) struct MemoryFile {
    disk: MemoryDisk,
    inode: usize,
}

impl MemoryDisk {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            random: Xoshiro256PlusPlus::seed_from_u64(seed),
            inodes: Vec::new(),
            live: BTreeMap::new(),
            durable: BTreeMap::new(),
            pending: Vec::new(),
            fuse: None,
            operations: 0,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no test panics while it holds the disk")
    }

    /// Lets the power fail at the operation after `operations` more.
    pub(crate) fn set_fuse(&self, operations: Option<u64>) {
        self.state().fuse = operations;
    }

    /// How many operations there were so far.
    pub(crate) fn operations(&self) -> u64 {
        self.state().operations
    }

    /// Loses power; the next handles see what is left.
    pub(crate) fn lose_power(&self) {
        let mut guard = self.state();
        let state = &mut *guard;
        state.fuse = None;
        for inode in &mut state.inodes {
            for change in std::mem::take(&mut inode.pending) {
                survive(&mut inode.durable, &change, &mut state.random);
            }
            inode.live = inode.durable.clone();
        }
        for group in std::mem::take(&mut state.pending) {
            if state.random.random_bool(0.5) {
                group.iter().for_each(|change| rename(&mut state.durable, change));
            }
        }
        state.live = state.durable.clone();
    }
}

fn survive(durable: &mut Vec<u8>, change: &Change, random: &mut impl Rng) {
    let fate = random.random_range(0..4);
    match change {
        _ if fate == 0 => {}
        Change::Length(length) => durable.resize(*length, 0),
        Change::Write { offset, data } => {
            for (sector, piece) in data.chunks(SECTOR_BYTES).enumerate() {
                let at = offset + sector * SECTOR_BYTES;
                if fate == 1 || random.random_bool(0.5) {
                    write(durable, at, piece);
                } else if random.random_bool(0.5) {
                    let length = durable.len().max(at + piece.len());
                    durable.resize(length, 0);
                }
            }
        }
    }
}

fn write(content: &mut Vec<u8>, offset: usize, data: &[u8]) {
    let end = offset + data.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[offset..end].copy_from_slice(data);
}

fn apply(content: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write { offset, data } => write(content, *offset, data),
        Change::Length(length) => content.resize(*length, 0),
    }
}

fn rename(names: &mut BTreeMap<String, usize>, change: &NameChange) {
    match change {
        NameChange::Link(name, inode) => {
            names.insert(name.clone(), *inode);
        }
        NameChange::Unlink(name) => {
            names.remove(name);
        }
    }
}

impl State {
    /// Counts an operation; fails if the power is gone.
    fn operate(&mut self, name: &str) -> Result<(), DiskError> {
        self.operations += 1;
        match &mut self.fuse {
            Some(0) => Err(DiskError::Io { name: name.to_owned(), reason: "the power failed".to_owned() }),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn change_names(&mut self, group: Vec<NameChange>) {
        group.iter().for_each(|change| rename(&mut self.live, change));
        self.pending.push(group);
    }

    fn change(&mut self, inode: usize, change: Change) {
        let inode = &mut self.inodes[inode];
        apply(&mut inode.live, &change);
        inode.pending.push(change);
    }
}

impl Disk for MemoryDisk {
    type File = MemoryFile;

    async fn list(&self) -> Result<Vec<String>, DiskError> {
        let mut state = self.state();
        state.operate("list")?;
        Ok(state.live.keys().cloned().collect())
    }

    async fn open(&self, name: &str, create: bool) -> Result<MemoryFile, DiskError> {
        let mut state = self.state();
        state.operate(name)?;
        if !state.live.contains_key(name) {
            if !create {
                return Err(DiskError::NotFound(name.to_owned()));
            }
            state.inodes.push(Inode::default());
            let inode = state.inodes.len() - 1;
            state.change_names(vec![NameChange::Link(name.to_owned(), inode)]);
        }
        Ok(MemoryFile { disk: self.clone(), inode: state.live[name] })
    }

    async fn remove(&self, name: &str) -> Result<(), DiskError> {
        let mut state = self.state();
        state.operate(name)?;
        state.change_names(vec![NameChange::Unlink(name.to_owned())]);
        Ok(())
    }

    async fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        let mut state = self.state();
        state.operate(from)?;
        let inode = *state.live.get(from).ok_or_else(|| DiskError::NotFound(from.to_owned()))?;
        let (from, to) = (from.to_owned(), to.to_owned());
        state.change_names(vec![NameChange::Unlink(from), NameChange::Link(to, inode)]);
        Ok(())
    }

    async fn sync_names(&self) -> Result<(), DiskError> {
        let mut state = self.state();
        state.operate("sync_names")?;
        state.pending.clear();
        state.durable = state.live.clone();
        Ok(())
    }
}

impl File for MemoryFile {
    async fn len(&self) -> Result<u64, DiskError> {
        let mut state = self.disk.state();
        state.operate("len")?;
        Ok(state.inodes[self.inode].live.len() as u64)
    }

    async fn read_at(&self, offset: u64, length: usize) -> Result<Bytes, DiskError> {
        let mut state = self.disk.state();
        state.operate("read")?;
        let live = &state.inodes[self.inode].live;
        let start = live.len().min(offset as usize);
        let end = live.len().min(start + length);
        Ok(Bytes::copy_from_slice(&live[start..end]))
    }

    async fn write_at(&self, offset: u64, data: Bytes) -> Result<(), DiskError> {
        let mut state = self.disk.state();
        let alive = state.operate("write");
        // A write at which the power fails may have reached the device all the same.
        state.change(self.inode, Change::Write { offset: offset as usize, data });
        alive
    }

    async fn set_len(&self, length: u64) -> Result<(), DiskError> {
        let mut state = self.disk.state();
        state.operate("set_len")?;
        state.change(self.inode, Change::Length(length as usize));
        Ok(())
    }

    async fn sync(&self) -> Result<(), DiskError> {
        let mut guard = self.disk.state();
        let state = &mut *guard;
        let alive = state.operate("sync");
        let inode = &mut state.inodes[self.inode];
        // A sync that fails may have worked, its caller only does not hear of it; or it may have marked as
        // clean what never reached the device, so that no later sync will write it.
        let fate = if alive.is_ok() { 0 } else { state.random.random_range(0..3) };
        if fate < 2 {
            for change in std::mem::take(&mut inode.pending) {
                if fate == 0 {
                    apply(&mut inode.durable, &change);
                }
            }
        }
        alive
    }
}
