//! The near-cache in a node: holder and directory ([`crate::coherence`]), and what they need of the core.
//!
//! * `gate`: commands that may change keys of the cache wait until the directory lets them go.
//! * `room`: the leader evicts ahead of the writes that need room.
//! * `reading`: clients read near; who cannot be served so reads as at any node.
//! * `writing`: clients whose near node this is are about to write, and commands of clients that were.
//! * `pump`: messages, rounds, elections, members, applied entries.
//!
//! The replica calls [`Replica::pump_near`] until it finds nothing to do; whatever the core learns in the same
//! turn reaches the directory before any client's command of that turn does.

#[cfg(test)]
mod agreement_tests;
mod gate;
mod pump;
mod reading;
mod room;
#[cfg(test)]
mod surrender_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod transfer_tests;
mod writing;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::pending::Asker;
use crate::coherence::{
    Directory, DirectoryStats, Found, Holder, HolderStats, Key, Life, Lookup, ReaderId, RoundId, Settings,
    WriteId,
};
use crate::ids::{ClusterTime, LocalTime, LogIndex, NodeId, Term};
use crate::machine::{CacheQuery, Machine, NearTerms, Room, Versioned};
use crate::marks;
use crate::raft::Refusal;
use crate::raft::membership::Membership;
use crate::server::NodeError;

use room::Claims;
pub(in crate::server) use writing::Origin;

/// A command on its way through the gate.
#[derive(Debug)]
struct Gated {
    /// The driver's name for the proposal.
    id: u64,
    command: Bytes,
    /// What it may change, for whoever watches; empty if nobody does.
    keys: BTreeSet<Key>,
    /// An eviction that must stand in the log before it.
    after: Option<WriteId>,
    /// Whether the directory has let it go.
    is_released: bool,
}

/// All that a node knows of lines.
#[derive(Debug)]
pub(in crate::server) struct Near {
    node: NodeId,
    pub(in crate::server) holder: Holder,
    pub(in crate::server) directory: Directory,
    /// Commands that have not been proposed.
    gated: BTreeMap<WriteId, Gated>,
    /// The writes that must follow an eviction which has not been proposed.
    followers: BTreeMap<WriteId, Vec<WriteId>>,
    /// Proposed, the core has not said whether it takes them.
    proposed: BTreeMap<u64, WriteId>,
    /// Appended at this index in this term.
    appended: BTreeMap<LogIndex, (Term, WriteId)>,
    /// Rounds whose leadership round is under way, by the driver's name for the read.
    rounds: BTreeMap<u64, RoundId>,
    /// Rounds that await the application of their read index.
    confirmed: BTreeSet<(LogIndex, RoundId)>,
    /// Clients that wait for a line, and what they want to know.
    readers: BTreeMap<ReaderId, (Asker, CacheQuery)>,
    last_reader: u64,
    /// Room that is promised and keys that are on their way out.
    claims: Claims,
    members: Membership,
    /// The term of the last entry applied.
    applied_term: Term,
    /// What this node is set to.
    terms: NearTerms,
    /// The proposal by which the members are to agree on it, in this leadership.
    agreeing: Option<u64>,
    /// Why the core did not take that, if so.
    agreement_refused: Option<Refusal>,
    /// What whoever watches was told of the counters.
    told: (HolderStats, DirectoryStats),
}

impl Near {
    /// The near-cache of a node that starts now.
    pub(in crate::server) fn new(
        node: NodeId,
        settings: Settings,
        life: u64,
        now: LocalTime,
        is_watched: bool,
    ) -> Self {
        let mut holder = Holder::new(Life(life), settings);
        if is_watched {
            holder.watch();
        }
        Self {
            node,
            holder,
            directory: Directory::new(settings, now),
            gated: BTreeMap::new(),
            followers: BTreeMap::new(),
            proposed: BTreeMap::new(),
            appended: BTreeMap::new(),
            rounds: BTreeMap::new(),
            confirmed: BTreeSet::new(),
            readers: BTreeMap::new(),
            last_reader: 0,
            claims: Claims::default(),
            members: Membership::default(),
            applied_term: Term(0),
            terms: NearTerms { lease_us: settings.lease_us, drift_ppm_max: settings.drift_ppm_max },
            agreeing: None,
            agreement_refused: None,
            told: Default::default(),
        }
    }

    /// The agreement may be sought again if it was refused for such a reason.
    pub(in crate::server) fn agreement_after(&mut self, is_over: impl FnOnce(&mut Refusal) -> bool) {
        if self.agreement_refused.take_if(is_over).is_some() {
            self.agreeing = None;
        }
    }

    /// Looks at what the members have agreed on.
    ///
    /// # Errors
    /// If that is something else than what this node is set to.
    pub(in crate::server) fn check_terms(&mut self, machine: &Machine) -> Result<(), NodeError> {
        let own = self.terms;
        let agreed = machine.near_terms();
        self.directory.set_agreement(agreed == Some(own), machine.longest_near_lease_us());
        match agreed {
            Some(agreed) if agreed != own => {
                marks::hit("server.other_near_terms");
                Err(NodeError::NearTerms { agreed, own })
            }
            _ => Ok(()),
        }
    }

    /// How many clients wait for a line. Those whose commands wait are among the pending proposals.
    pub(in crate::server) fn waiting(&self) -> usize {
        self.readers.len()
    }

    /// When something is due.
    pub(in crate::server) fn deadline(&self) -> Option<LocalTime> {
        self.holder.deadline().into_iter().chain(self.directory.deadline()).min()
    }

    /// The members by what has been applied.
    pub(in crate::server) fn set_members(&mut self, members: &Membership, now: LocalTime) {
        if self.members != *members {
            self.members = members.clone();
            let lists = [&members.voters, &members.outgoing, &members.learners, &members.learners_next];
            self.directory.set_members(lists.into_iter().flatten().copied().collect(), now);
        }
    }
}

/// The leader's applied state at a moment of its cluster time.
struct Seen<'a> {
    machine: &'a Machine,
    cluster_time: ClusterTime,
}

impl Lookup for Seen<'_> {
    fn look_up(&self, key: &str) -> Found {
        let (content, expires) = match self.machine.find(key) {
            Some((Versioned { value, version }, expires)) => {
                (Some(crate::coherence::Content { value, version }), expires)
            }
            None => (None, None),
        };
        let ttl_us = expires.map(|expires| expires.0.saturating_sub(self.cluster_time.0));
        Found { content, as_of: self.machine.index(), ttl_us }
    }
}

/// The keys as the directory knows them.
fn keys(names: impl IntoIterator<Item = impl AsRef<str>>) -> BTreeSet<Key> {
    names.into_iter().map(|name| Key::from(name.as_ref())).collect()
}

/// Room that a write may take up.
const NO_ROOM: Room = Room { entries: 0, bytes: 0 };
