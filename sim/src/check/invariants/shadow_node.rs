//! One node as its events tell it.

use xxhash_rust::xxh3::xxh3_64;

use super::Numbered;
use crate::history::{Change, LogSlot, MembersSeen, NodeRole};

/// A log slot, and a hash over it and everything before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShadowSlot {
    /// The slot.
    pub slot: LogSlot,
    /// Equal for two logs if they are equal up to here.
    pub prefix: u64,
}

/// One node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShadowNode {
    /// Whether its process lives.
    pub up: bool,
    /// Its term; while it is down, its last.
    pub term: u64,
    /// Its role.
    pub role: NodeRole,
    /// Its log in memory, from index 1; while it is down, its last. What a snapshot covers is in it: it is
    /// what was committed.
    pub log: Numbered<ShadowSlot>,
    /// Its commit index in this life.
    pub commit: u64,
    /// The last index that its machine applied, or that the snapshot covers in whose state it is, in this
    /// life.
    pub applied: u64,
    /// Entries up to here it has let go of, and sends a snapshot instead of them.
    pub compacted: u64,
    /// The members that it goes by.
    pub members: MembersSeen,
    /// The index at which it came to go by them, as it says.
    pub members_index: u64,
    /// The version that it speaks, as far as it was raised in this life; 0 before that.
    pub version: u16,
    /// The latest version that its program speaks.
    pub version_max: u16,
    /// The term last reported durable.
    pub durable_term: u64,
    /// The vote last reported durable, in that term.
    pub durable_vote: Option<u64>,
    /// So much of `log` is durable. A write that was under way when the log was cut in memory made the log of
    /// before durable: that counts up to the cut.
    pub durable: u64,
    /// The last index of the log on disk, whatever of it is still in `log`.
    pub disk_last: u64,
    /// The write that is under way.
    pub write: Option<Write>,
}

/// A write that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Write {
    /// The last index of the log on disk once it is complete.
    pub last: u64,
    /// So much of that is still in the log in memory.
    pub kept: u64,
}

impl Default for ShadowNode {
    fn default() -> Self {
        Self::unseen()
    }
}

impl ShadowNode {
    /// A node that was never seen to start.
    pub(super) const fn unseen() -> Self {
        Self {
            up: false,
            term: 0,
            role: NodeRole::Follower,
            log: Numbered::new(),
            commit: 0,
            applied: 0,
            compacted: 0,
            members: MembersSeen { voters: Vec::new(), outgoing: Vec::new(), learners: Vec::new() },
            members_index: 0,
            version: 0,
            version_max: 0,
            durable_term: 0,
            durable_vote: None,
            durable: 0,
            disk_last: 0,
            write: None,
        }
    }

    /// The index of its last entry.
    #[must_use]
    pub fn last_index(&self) -> u64 {
        self.log.last_number()
    }

    /// Its slot at `index`, from 1.
    #[must_use]
    pub fn slot(&self, index: u64) -> Option<&ShadowSlot> {
        self.log.get(index)
    }

    /// Whether its log is durable up to `index`, and equal to the one that ends there with this prefix.
    #[must_use]
    pub fn has_durably(&self, index: u64, prefix: u64) -> bool {
        self.durable >= index && self.slot(index).is_some_and(|held| held.prefix == prefix)
    }

    /// Entries after `index` that change members or version, in order.
    pub fn changes_after(&self, index: u64) -> impl Iterator<Item = (u64, Change)> {
        self.log.after(index).filter_map(|(index, held)| held.slot.change.map(|change| (index, change)))
    }

    pub(super) fn push(&mut self, slot: LogSlot) {
        let before = self.log.last().map_or(0, |last| last.prefix);
        self.log.push(ShadowSlot { slot, prefix: prefix(before, slot) });
    }

    /// It has started: its disk holds a snapshot of `covered`, and the log after that.
    pub(super) fn start(&mut self, covered: Numbered<ShadowSlot>, log: &[LogSlot]) {
        self.up = true;
        self.commit = covered.last_number();
        self.applied = self.commit;
        self.compacted = self.commit;
        self.log = covered;
        log.iter().for_each(|slot| self.push(*slot));
        self.durable = self.last_index();
        self.disk_last = self.durable;
    }

    pub(super) fn truncate(&mut self, from: u64) {
        let keep = from.saturating_sub(1);
        self.log.truncate(keep);
        self.keep_durable(keep);
    }

    /// A snapshot of `covered` has taken the place of its log.
    pub(super) fn replace_log(&mut self, covered: Numbered<ShadowSlot>) {
        let differs = |(index, held): &(u64, &ShadowSlot)| {
            covered.get(*index).is_none_or(|other| other.prefix != held.prefix)
        };
        let equal = self.log.after(0).find(differs).map_or(self.last_index(), |(index, _)| index - 1);
        self.keep_durable(equal);
        self.log = covered;
        self.commit = self.last_index();
        self.compacted = self.commit;
    }

    /// Nothing after `keep` that is durable, or about to be, is in the log any more.
    fn keep_durable(&mut self, keep: u64) {
        self.durable = self.durable.min(keep);
        if let Some(write) = &mut self.write {
            write.kept = write.kept.min(keep);
        }
    }

    pub(super) fn begin_write(&mut self) {
        self.write = Some(Write { last: self.last_index(), kept: self.last_index() });
    }

    pub(super) fn complete_write(&mut self, term: u64, voted_for: Option<u64>, last_index: u64) {
        self.durable_term = term;
        self.durable_vote = voted_for;
        self.disk_last = last_index;
        self.durable = self.write.take().map_or(self.durable, |write| write.kept).min(last_index);
    }
}

/// The prefix hash of a log that ends in `slot`, from that of the log without it (0 if that is empty).
pub(super) fn prefix(before: u64, slot: LogSlot) -> u64 {
    let mut bytes = [0; 24];
    bytes[..8].copy_from_slice(&before.to_le_bytes());
    bytes[8..16].copy_from_slice(&slot.term.to_le_bytes());
    bytes[16..].copy_from_slice(&slot.digest.to_le_bytes());
    xxh3_64(&bytes)
}
