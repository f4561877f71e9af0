//! What a machine's disk holds: the page cache, what is durable, and what lies between.
//!
//! Programs read and write the page cache. A sync makes a file's content durable, a sync of names the
//! folder. Processes come and go without touching either; a power loss leaves what is durable, and of the
//! rest whatever the device had come to. Which combinations are legal:
//!
//! * **Data.** A write is split at sectors of 512 bytes. Each sector survives or not by itself, so a write
//!   may survive wholly, in part or not at all, and later writes may survive where earlier ones do not.
//!   Of several writes to one sector a prefix survives, because the cache holds one state of each sector.
//! * **Length.** Of a file's changes of length a prefix survives: a length is one number. What lies within
//!   the surviving length but was not written reads as zeros or as it was before.
//! * **Cutting.** What was written after a cut can survive only if the cut does: it lives in other blocks.
//! * **Names.** Each creation, removal and renaming survives or not by itself, unless one that shares a
//!   name with it came before and did not. A renaming is atomic. A synced file whose name was never
//!   synced may be gone.
//!
//! Deliberately absent: sectors that are torn within, and durable data that rots (faults of a later kind).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use stormglass_nodes::env::DiskError;

use super::random::{below, chance};
use crate::rng::StreamRng;

/// The size of a machine's disk in bytes: 1 GiB. Beyond it, writes fail with [`DiskError::Full`].
pub const DISK_BYTES_MAX: u64 = 1 << 30;
/// Most unsynced changes of one file. The device writes back the oldest of more, as real ones do.
pub const UNSYNCED_CHANGES_MAX: usize = 65_536;
/// What a device writes as a whole or not at all.
pub const SECTOR_BYTES: u64 = 512;

/// What a power loss cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Loss {
    /// Bytes of unsynced writes that did not survive.
    pub(super) bytes: u64,
    /// Writes that survived in part.
    pub(super) torn: u64,
}

#[derive(Default)]
struct Inode {
    cache: Vec<u8>,
    durable: Vec<u8>,
    unsynced: VecDeque<(u64, Change)>,
    open: u64,
}

enum Change {
    Write { offset: u64, data: Bytes, extends: bool },
    Length(u64),
}

enum NameChange {
    Create { name: String, inode: u64 },
    Remove { name: String },
    Rename { from: String, to: String, inode: u64 },
}

impl NameChange {
    fn names(&self) -> Vec<&String> {
        match self {
            Self::Create { name, .. } | Self::Remove { name } => vec![name],
            Self::Rename { from, to, .. } => vec![from, to],
        }
    }

    fn apply(&self, names: &mut BTreeMap<String, u64>) {
        match self {
            Self::Create { name, inode } => {
                names.insert(name.clone(), *inode);
            }
            Self::Remove { name } => {
                names.remove(name);
            }
            Self::Rename { from, to, inode } => {
                names.remove(from);
                names.insert(to.clone(), *inode);
            }
        }
    }
}

/// One machine's disk.
#[derive(Default)]
pub(super) struct Medium {
    inodes: BTreeMap<u64, Inode>,
    inodes_made: u64,
    names: BTreeMap<String, u64>,
    durable_names: BTreeMap<String, u64>,
    unsynced_names: VecDeque<(u64, NameChange)>,
    changes: u64,
    bytes: u64,
}

impl Medium {
    /// The number of the latest change. A sync covers the changes up to the number at its beginning.
    pub(super) fn latest_change(&self) -> u64 {
        self.changes
    }

    fn next_change(&mut self) -> u64 {
        self.changes += 1;
        self.changes
    }

    pub(super) fn list(&self) -> Vec<String> {
        self.names.keys().cloned().collect()
    }

    pub(super) fn open(&mut self, name: &str, create: bool) -> Result<u64, DiskError> {
        check_name(name)?;
        let inode = match self.names.get(name) {
            Some(inode) => *inode,
            None if create => {
                self.inodes_made += 1;
                let inode = self.inodes_made;
                self.inodes.insert(inode, Inode::default());
                self.change_names(NameChange::Create { name: name.to_owned(), inode });
                inode
            }
            None => return Err(DiskError::NotFound(name.to_owned())),
        };
        self.inode_mut(inode).open += 1;
        Ok(inode)
    }

    /// Begins one more use of a file that is in use.
    pub(super) fn hold(&mut self, inode: u64) {
        self.inode_mut(inode).open += 1;
    }

    /// Ends one use of a file.
    pub(super) fn close(&mut self, inode: u64) {
        let file = self.inode_mut(inode);
        file.open = file.open.saturating_sub(1);
        if file.open == 0 {
            self.free_unreachable();
        }
    }

    /// Ends all uses: the process died.
    pub(super) fn close_all(&mut self) {
        self.inodes.values_mut().for_each(|file| file.open = 0);
        self.free_unreachable();
    }

    pub(super) fn remove(&mut self, name: &str) -> Result<(), DiskError> {
        if !self.names.contains_key(name) {
            return Err(DiskError::NotFound(name.to_owned()));
        }
        self.change_names(NameChange::Remove { name: name.to_owned() });
        Ok(())
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        check_name(to)?;
        let inode = *self.names.get(from).ok_or_else(|| DiskError::NotFound(from.to_owned()))?;
        if from != to {
            self.change_names(NameChange::Rename { from: from.to_owned(), to: to.to_owned(), inode });
        }
        Ok(())
    }

    fn change_names(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        let number = self.next_change();
        self.unsynced_names.push_back((number, change));
    }

    /// Makes the changes of names up to this number durable.
    pub(super) fn sync_names(&mut self, up_to: u64) {
        let covered = self.unsynced_names.partition_point(|(number, _)| *number <= up_to);
        for (_, change) in self.unsynced_names.drain(..covered) {
            change.apply(&mut self.durable_names);
        }
        self.free_unreachable();
    }

    pub(super) fn length(&self, inode: u64) -> u64 {
        self.inode(inode).cache.len() as u64
    }

    pub(super) fn read(&self, inode: u64, offset: u64, length: usize) -> Bytes {
        let cache = &self.inode(inode).cache;
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(cache.len());
        let end = start.saturating_add(length).min(cache.len());
        Bytes::copy_from_slice(&cache[start..end])
    }

    pub(super) fn write(&mut self, inode: u64, offset: u64, data: Bytes) -> Result<(), DiskError> {
        if data.is_empty() {
            return Ok(());
        }
        let length = self.length(inode);
        let end = offset.checked_add(data.len() as u64).ok_or_else(full)?;
        self.reserve(length, end.max(length))?;
        let number = self.next_change();
        let file = self.inode_mut(inode);
        put(&mut file.cache, offset, &data);
        file.unsynced.push_back((number, Change::Write { offset, data, extends: end > length }));
        file.write_back();
        Ok(())
    }

    pub(super) fn set_length(&mut self, inode: u64, length: u64) -> Result<(), DiskError> {
        let before = self.length(inode);
        if before == length {
            return Ok(());
        }
        self.reserve(before, length)?;
        let number = self.next_change();
        let file = self.inode_mut(inode);
        file.cache.resize(length as usize, 0);
        file.unsynced.push_back((number, Change::Length(length)));
        file.write_back();
        Ok(())
    }

    /// Makes the changes of a file up to this number durable.
    pub(super) fn sync(&mut self, inode: u64, up_to: u64) {
        let file = self.inode_mut(inode);
        let covered = file.unsynced.partition_point(|(number, _)| *number <= up_to);
        for (_, change) in file.unsynced.drain(..covered) {
            change.apply(&mut file.durable);
        }
    }

    /// Takes account of a file that grows or shrinks.
    fn reserve(&mut self, before: u64, after: u64) -> Result<(), DiskError> {
        let bytes = (self.bytes - before).checked_add(after).filter(|bytes| *bytes <= DISK_BYTES_MAX);
        self.bytes = bytes.ok_or_else(full)?;
        Ok(())
    }

    /// Leaves of the disk what a power loss leaves.
    pub(super) fn lose_power(&mut self, rng: &mut StreamRng) -> Loss {
        let mut lost_names = BTreeSet::new();
        for (_, change) in std::mem::take(&mut self.unsynced_names) {
            if change.names().into_iter().any(|name| lost_names.contains(name)) || chance(rng, 0.5) {
                lost_names.extend(change.names().into_iter().cloned());
            } else {
                change.apply(&mut self.durable_names);
            }
        }
        self.names = self.durable_names.clone();
        let mut loss = Loss::default();
        let reachable: BTreeSet<u64> = self.names.values().copied().collect();
        for (number, file) in &mut self.inodes {
            file.open = 0;
            if reachable.contains(number) {
                file.lose_power(rng, &mut loss);
            } else {
                loss.bytes += file.unsynced_bytes();
            }
        }
        self.free_unreachable();
        self.bytes = self.inodes.values().map(|file| file.cache.len() as u64).sum();
        loss
    }

    /// Frees the files that no name and no process leads to any more.
    fn free_unreachable(&mut self) {
        let mut reachable: BTreeSet<u64> =
            self.names.values().chain(self.durable_names.values()).copied().collect();
        for (_, change) in &self.unsynced_names {
            if let NameChange::Create { inode, .. } | NameChange::Rename { inode, .. } = change {
                reachable.insert(*inode);
            }
        }
        let bytes = &mut self.bytes;
        self.inodes.retain(|number, file| {
            let keep = file.open > 0 || reachable.contains(number);
            if !keep {
                *bytes -= (file.cache.len() as u64).min(*bytes);
            }
            keep
        });
    }

    fn inode(&self, inode: u64) -> &Inode {
        self.inodes.get(&inode).expect("an open file is not freed")
    }

    fn inode_mut(&mut self, inode: u64) -> &mut Inode {
        self.inodes.get_mut(&inode).expect("an open file is not freed")
    }
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Write { offset, data, .. } => put(content, *offset, data),
            Self::Length(length) => content.resize(*length as usize, 0),
        }
    }
}

impl Inode {
    fn write_back(&mut self) {
        if self.unsynced.len() > UNSYNCED_CHANGES_MAX
            && let Some((_, change)) = self.unsynced.pop_front()
        {
            change.apply(&mut self.durable);
        }
    }

    fn unsynced_bytes(&self) -> u64 {
        self.unsynced.iter().map(|(_, change)| change.bytes()).sum()
    }

    /// See the module's rules.
    fn lose_power(&mut self, rng: &mut StreamRng, loss: &mut Loss) {
        let unsynced = std::mem::take(&mut self.unsynced);
        let lengths = unsynced.iter().filter(|(_, change)| change.changes_length()).count() as u64;
        let mut lengths_left = below(rng, lengths + 1);
        let mut length = self.durable.len() as u64;
        let mut reach = length;
        let mut image = std::mem::take(&mut self.durable);
        let mut lost_sectors = BTreeSet::new();
        let mut cut_lost = false;
        for (_, change) in unsynced {
            let length_survives = change.changes_length() && lengths_left > 0;
            lengths_left -= u64::from(length_survives);
            match change {
                _ if cut_lost => loss.bytes += change.bytes(),
                Change::Length(new) => {
                    cut_lost = new < reach && !length_survives;
                    reach = new;
                    if length_survives {
                        length = new;
                        image.truncate(new as usize);
                        lost_sectors.retain(|sector| *sector < new.div_ceil(SECTOR_BYTES));
                    }
                }
                Change::Write { offset, data, .. } => {
                    reach = reach.max(offset + data.len() as u64);
                    if length_survives {
                        length = reach;
                    }
                    let lost = write_in_part(&mut image, offset, &data, rng, &mut lost_sectors);
                    loss.bytes += lost;
                    loss.torn += u64::from(lost > 0 && lost < data.len() as u64);
                }
            }
        }
        image.resize(length as usize, 0);
        self.cache.clone_from(&image);
        self.durable = image;
    }
}

impl Change {
    fn changes_length(&self) -> bool {
        matches!(self, Self::Length(_) | Self::Write { extends: true, .. })
    }

    fn bytes(&self) -> u64 {
        match self {
            Self::Write { data, .. } => data.len() as u64,
            Self::Length(_) => 0,
        }
    }
}

/// Writes the sectors of a write that survive. One write in four survives as far as it can, one in four
/// not at all, the others sector by sector; sectors of which an earlier write was lost are lost. Says how
/// many bytes were.
fn write_in_part(
    image: &mut Vec<u8>,
    offset: u64,
    data: &Bytes,
    rng: &mut StreamRng,
    lost_sectors: &mut BTreeSet<u64>,
) -> u64 {
    let survival = [0.0, 0.5, 0.5, 1.0][below(rng, 4) as usize];
    let end = offset + data.len() as u64;
    let mut lost = 0;
    let mut at = offset;
    while at < end {
        let sector = at / SECTOR_BYTES;
        let next = ((sector + 1) * SECTOR_BYTES).min(end);
        if !lost_sectors.contains(&sector) && chance(rng, survival) {
            put(image, at, &data[(at - offset) as usize..(next - offset) as usize]);
        } else {
            lost_sectors.insert(sector);
            lost += next - at;
        }
        at = next;
    }
    lost
}

fn put(content: &mut Vec<u8>, offset: u64, data: &[u8]) {
    let (start, end) = (offset as usize, offset as usize + data.len());
    if content.len() < end {
        content.resize(end, 0);
    }
    content[start..end].copy_from_slice(data);
}

fn check_name(name: &str) -> Result<(), DiskError> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    if name.is_empty() || !name.chars().all(legal) {
        return Err(DiskError::Io { name: name.to_owned(), reason: "illegal file name".to_owned() });
    }
    Ok(())
}

/// The name is filled in by the caller, who knows it.
fn full() -> DiskError {
    DiskError::Full(String::new())
}

#[cfg(test)]
#[path = "medium_tests.rs"]
mod tests;
