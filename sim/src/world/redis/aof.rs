//! The append-only file: every command that changed something, in order, transactions in their brackets.
//!
//! Reading stops at the first bytes that are no whole command, or in an open transaction, and cuts the file there,
//! before the transaction. A server that syncs always has acknowledged nothing behind that; one that syncs each
//! second may have, as a real one whose file an operator repairs with `redis-check-aof --fix`.

use bytes::Bytes;
use stormglass_nodes::env::{Disk, DiskError, File};
use stormglass_nodes::marks;

use super::AppendFsync;
use super::keyspace::Keyspace;
use super::resp::decode_command;
use super::session::Session;

const NAME: &str = "appendonly.aof";
const READ_BYTES: usize = 1024 * 1024;

/// The file, open at its end.
pub(super) struct AppendOnlyFile<F> {
    file: F,
    /// Where the next bytes go.
    end: u64,
    /// Up to here it is synced.
    pub(super) synced: u64,
}

impl<F: File> AppendOnlyFile<F> {
    /// Reads the file back, or begins it.
    pub(super) async fn open<D: Disk<File = F>>(disk: &D) -> Result<(Self, Keyspace), DiskError> {
        let file = disk.open(NAME, true).await?;
        disk.sync_names().await?;
        let mut bytes = Vec::new();
        loop {
            let piece = file.read_at(bytes.len() as u64, READ_BYTES).await?;
            if piece.is_empty() {
                break;
            }
            bytes.extend_from_slice(&piece);
        }
        let (keyspace, end) = replay(&bytes);
        if end < bytes.len() {
            marks::hit("world.redis_file_cut");
            file.set_len(end as u64).await?;
        }
        // A real server does not sync what it has read back: its next sync covers it.
        Ok((Self { file, end: end as u64, synced: 0 }, keyspace))
    }

    pub(super) const fn end(&self) -> u64 {
        self.end
    }

    pub(super) async fn append(&mut self, bytes: Vec<u8>) -> Result<(), DiskError> {
        let length = bytes.len() as u64;
        self.file.write_at(self.end, Bytes::from(bytes)).await?;
        self.end += length;
        Ok(())
    }

    pub(super) async fn sync(&mut self) -> Result<(), DiskError> {
        self.file.sync().await?;
        self.synced = self.end;
        Ok(())
    }
}

/// Carries the commands of a file out. Says where the last whole one, or whole transaction, ends.
fn replay(bytes: &[u8]) -> (Keyspace, usize) {
    let (mut keyspace, mut session) = (Keyspace::default(), Session::default());
    let (mut at, mut whole) = (0, 0);
    let mut is_open = false;
    while let Ok(Some((command, length))) = decode_command(&bytes[at..]) {
        match command.first().map(|name| name.to_ascii_uppercase()) {
            Some(name) if name == b"MULTI" => is_open = true,
            Some(name) if name == b"EXEC" => is_open = false,
            Some(_) => {}
            None => break,
        }
        session.handle(&mut keyspace, AppendFsync::Always, &command, &mut Vec::new());
        at += length;
        if !is_open {
            whole = at;
        }
    }
    (keyspace, whole)
}
