//! Commands that were proposed here and are not applied yet, by name.
//!
//! A retry of one of them becomes no entry of its own: it joins the first attempt, and is told what comes of that. So
//! where a command takes longer than an attempt of its client, as on a store that syncs once a second, retries do not
//! make the log longer, and what is written slower still. Of several retries the latest is answered, beside the first
//! attempt.
//!
//! An answer to a retry that has joined says that it was no entry, and so renewed no lease: the stamp of the entry may
//! be earlier than the retry.

use std::collections::BTreeMap;

use super::pending::Asker;
use crate::ids::{Sequence, SessionId};
use crate::machine::{Command, Opener};

/// What repetitions of a command have in common. Commands without a name are rare, or nobody repeats them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum CommandName {
    /// A command of a session.
    Once(SessionId, Sequence),
    /// The opening of a session.
    Opening(Opener),
    /// The renewal of a lease.
    KeepAlive(SessionId),
}

impl CommandName {
    pub(super) fn of(command: &Command) -> Option<Self> {
        match command {
            Command::Once { session, sequence, .. } => Some(Self::Once(*session, *sequence)),
            Command::OpenSessionOnce { opener, .. } => Some(Self::Opening(*opener)),
            Command::KeepAlive { session } => Some(Self::KeepAlive(*session)),
            Command::Tick
            | Command::OpenSession { .. }
            | Command::CloseSession { .. }
            | Command::Evict { .. }
            | Command::AgreeOnNear { .. } => None,
        }
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct UnderWay {
    /// Whose retry has joined last, if anybody's has.
    joined: BTreeMap<CommandName, Option<Asker>>,
    /// The proposals that the core has not said yet whether it takes.
    offered: BTreeMap<u64, CommandName>,
}

impl UnderWay {
    /// A command with this name is proposed as `id`.
    pub(super) fn begin(&mut self, id: u64, name: CommandName) {
        self.joined.insert(name, None);
        self.offered.insert(id, name);
    }

    /// A retry joins the command of its name; false if none is under way.
    pub(super) fn join(&mut self, name: CommandName, asker: Asker) -> bool {
        let Some(joined) = self.joined.get_mut(&name) else { return false };
        *joined = Some(asker);
        true
    }

    /// The core has taken the proposal.
    pub(super) fn taken(&mut self, id: u64) {
        self.offered.remove(&id);
    }

    /// The proposal was refused: who had joined it.
    pub(super) fn refused(&mut self, id: u64) -> Option<Asker> {
        let name = self.offered.remove(&id)?;
        self.joined.remove(&name)?
    }

    /// A command of this name is applied, be it this one or a copy of it: who had joined.
    pub(super) fn applied(&mut self, name: CommandName) -> Option<Asker> {
        self.joined.remove(&name)?
    }

    /// This node leads no more: all who had joined.
    pub(super) fn abandon(&mut self) -> Vec<Asker> {
        self.offered.clear();
        std::mem::take(&mut self.joined).into_values().flatten().collect()
    }
}
