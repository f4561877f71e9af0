//! The invariants, checked after every step, from what happened and what the disks hold.
//!
//! | name | source |
//! |-|-|
//! | election safety, leader append-only, log matching, leader completeness, state machine safety | Raft paper, Figure 3 |
//! | commit monotone, term monotone | Raft paper 5.1, 5.3 |
//! | stamps monotone | the core's contract: cluster time never goes back along a log |
//! | applied in order, once, durable | the core's contract |
//! | read freshness | thesis 6.4: a read index is at least what was committed when the read was asked for |
//! | durable: vote, vote sent, acknowledgement, quorum | the core's table of what must be durable before what |
//!
//! The last row is about means, the others about ends; a checker that is not `strict` leaves it out, to
//! show that a broken means is noticed by its ends.

use std::collections::BTreeMap;
use std::fmt;

use stormglass_nodes::ids::{LogIndex, NodeId, Term};
use stormglass_nodes::raft::membership::Membership;
use stormglass_nodes::raft::{Body, Entry, Event, HardState, Message, ReadOutcome, Role};

use crate::cluster::{COVERED, Cluster, Copy, Happening, Machine};
use crate::show;

/// An invariant that does not hold.
#[derive(Clone, Debug)]
pub(crate) struct Violation {
    pub(crate) invariant: &'static str,
    pub(crate) detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} violated: {}", self.invariant, self.detail)
    }
}

type Checked = Result<(), Violation>;

fn ensure(holds: bool, invariant: &'static str, detail: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(Violation { invariant, detail: detail() }) }
}

/// What the checker knows of one node from its events.
#[derive(Debug, Default)]
struct Mirror {
    role: Role,
    term: Term,
    /// All of it from index 1: what a snapshot covers is what was committed.
    log: Vec<Entry>,
    commit: u64,
    applied: u64,
    membership: Membership,
}

/// Judges a history step by step.
#[derive(Debug)]
pub(crate) struct Checker {
    strict: bool,
    mirrors: BTreeMap<NodeId, Mirror>,
    leaders: BTreeMap<Term, NodeId>,
    /// Every entry that ever was in a log, with the term of the entry before it.
    known: BTreeMap<(LogIndex, Term), (Entry, Term)>,
    /// What was ever committed, in order.
    pub(crate) committed: Vec<Entry>,
    /// Up to how many entries were committed by the leader of each term, in the order of terms.
    committed_in: Vec<(Term, usize)>,
    votes_on_disk: BTreeMap<(NodeId, Term), NodeId>,
    terms_on_disk: BTreeMap<NodeId, Term>,
    /// The states of the machine, after one entry, two, and so on.
    states: Vec<Machine>,
    /// What a leader committed last, and whom it counted.
    decided: Option<(u64, Membership)>,
    /// Per read, how much was committed when it was asked for.
    reads: BTreeMap<(NodeId, u64), u64>,
    /// Times that a node went by other members.
    pub(crate) changes: u64,
    /// Snapshots that took the place of a log.
    pub(crate) snapshots: u64,
    /// Elections won so far.
    pub(crate) elections: u64,
    /// Reads answered so far.
    pub(crate) reads_ready: u64,
    /// Times that a log was cut.
    pub(crate) truncations: u64,
}

impl Checker {
    /// Begins with the cluster as it is, its disks taken for granted.
    pub(crate) fn new(cluster: &Cluster, strict: bool) -> Self {
        let mut checker = Self {
            strict,
            mirrors: BTreeMap::new(),
            leaders: BTreeMap::new(),
            known: BTreeMap::new(),
            committed: Vec::new(),
            committed_in: Vec::new(),
            votes_on_disk: BTreeMap::new(),
            terms_on_disk: BTreeMap::new(),
            states: Vec::new(),
            decided: None,
            reads: BTreeMap::new(),
            changes: 0,
            snapshots: 0,
            elections: 0,
            reads_ready: 0,
            truncations: 0,
        };
        cluster.nodes.keys().for_each(|&id| checker.restarted(cluster, id));
        checker
    }

    /// Judges what has happened since the last call.
    pub(crate) fn observe(&mut self, cluster: &Cluster, happened: &[Happening]) -> Checked {
        for happening in happened {
            match happening {
                Happening::Event(id, event) => self.event(cluster, *id, event)?,
                Happening::Sent(message, disk, acknowledged) if self.strict => {
                    self.sent(message, disk, *acknowledged)?;
                }
                Happening::Applied(id, entries, machine) => self.applied(*id, entries, machine)?,
                Happening::Installed(id, index, machine) => {
                    let mirror = self.mirrors.get_mut(id).expect("every node is mirrored");
                    ensure(index.0 > mirror.applied, "applied in order, once", || {
                        format!("{id} goes back from {} to a snapshot of {index}", mirror.applied)
                    })?;
                    mirror.applied = index.0;
                    self.in_state(*id, machine)?;
                }
                Happening::ReadBegan(id, read) => {
                    self.reads.insert((*id, *read), self.committed.len() as u64);
                }
                Happening::Read(id, ReadOutcome::Ready { id: read, index }) => {
                    self.reads_ready += 1;
                    let least = self.reads.remove(&(*id, *read)).expect("a read is answered once");
                    ensure(index.0 >= least, "read freshness", || {
                        format!("{id} answers read {read} at {index}, {least} was committed before")
                    })?;
                }
                Happening::Started(id) => self.restarted(cluster, *id),
                _ => {}
            }
        }
        self.disks(cluster)
    }

    fn restarted(&mut self, cluster: &Cluster, id: NodeId) {
        let node = &cluster.nodes[&id];
        let (disk, config) = (&node.disk, &node.config);
        let snapshot = disk.snapshot.as_ref().map(|snapshot| &snapshot.meta);
        let covered = snapshot.map_or(0, |meta| meta.index.0);
        let mut log = self.committed[..covered as usize].to_vec();
        log.extend(disk.entries.iter().filter(|entry| entry.index.0 > covered).cloned());
        let first = (*config.members).clone();
        let mut before = Term(0);
        for entry in &log {
            self.known.insert((entry.index, entry.term), (entry.clone(), before));
            before = entry.term;
        }
        let mirror = Mirror {
            term: disk.hard_state.term,
            log,
            commit: covered,
            applied: covered,
            membership: snapshot.map_or(first, |meta| meta.membership.clone()),
            ..Mirror::default()
        };
        self.mirrors.insert(id, mirror);
    }

    fn event(&mut self, cluster: &Cluster, id: NodeId, event: &Event) -> Checked {
        let mirror = self.mirrors.get_mut(&id).expect("every node is mirrored");
        match event {
            Event::RoleChanged { role, term, .. } => {
                ensure(*term >= mirror.term, "term monotone", || format!("{id} goes back to {term}"))?;
                (mirror.role, mirror.term) = (*role, *term);
                if *role == Role::Leader { self.elected(id, *term) } else { Ok(()) }
            }
            Event::Truncated { from } => {
                self.truncations += 1;
                let role = mirror.role;
                mirror.log.truncate(from.previous().0 as usize);
                ensure(role != Role::Leader, "leader append-only", || format!("{id} cuts from {from}"))
            }
            Event::Appended(entries) => entries.iter().try_for_each(|entry| self.appended(id, entry)),
            Event::Committed { index } => self.commits(cluster, id, *index),
            Event::MembershipChanged { membership, .. } => {
                mirror.membership = (**membership).clone();
                self.changes += 1;
                Ok(())
            }
            Event::SnapshotReceived { meta } => {
                self.snapshots += 1;
                let covered = self.committed.get(..meta.index.0 as usize).unwrap_or_default();
                ensure(
                    covered.last().is_some_and(|last| last.term == meta.term),
                    "state machine safety",
                    || {
                        format!(
                            "{id} is sent a snapshot of {}/{}, which is not committed",
                            meta.index, meta.term
                        )
                    },
                )?;
                ensure(meta.index.0 > mirror.commit, "commit monotone", || {
                    format!("{id} goes back to {meta:?}")
                })?;
                (mirror.log, mirror.commit) = (covered.to_vec(), meta.index.0);
                Ok(())
            }
            Event::Voted { .. } | Event::Compacted { .. } | Event::VersionRaised { .. } => Ok(()),
        }
    }

    fn appended(&mut self, id: NodeId, entry: &Entry) -> Checked {
        let mirror = self.mirrors.get_mut(&id).expect("every node is mirrored");
        let before = mirror.log.last().map_or(Term(0), |last| last.term);
        ensure(entry.index.0 == mirror.log.len() as u64 + 1, "log matching", || {
            format!("{id} leaves a gap before {}", show::entry(entry))
        })?;
        let time = mirror.log.last().map_or(entry.time, |last| last.time);
        ensure(entry.time >= time, "stamps monotone", || {
            format!("{id} appends {} stamped before {time}", show::entry(entry))
        })?;
        mirror.log.push(entry.clone());
        let found = self.known.entry((entry.index, entry.term)).or_insert((entry.clone(), before));
        ensure(*found == (entry.clone(), before), "log matching", || {
            format!("{id} holds {} after {before}, elsewhere it is {found:?}", show::entry(entry))
        })
    }

    fn elected(&mut self, id: NodeId, term: Term) -> Checked {
        self.elections += 1;
        let leader = *self.leaders.entry(term).or_insert(id);
        ensure(leader == id, "election safety", || format!("{leader} and {id} both lead {term}"))?;
        // A late vote may still elect a leader of an earlier term: it owes only what was committed before that.
        let owed = self.committed_in.partition_point(|&(of_term, _)| of_term < term);
        let owed = owed.checked_sub(1).map_or(0, |last| self.committed_in[last].1);
        let (log, owed) = (&self.mirrors[&id].log, &self.committed[..owed]);
        ensure(log.starts_with(owed), "leader completeness", || {
            format!("{id} leads {term} without all of {}", show::entries(owed))
        })
    }

    fn commits(&mut self, cluster: &Cluster, id: NodeId, index: LogIndex) -> Checked {
        let mirror = self.mirrors.get_mut(&id).expect("every node is mirrored");
        ensure(index.0 > mirror.commit, "commit monotone", || format!("{id} goes back to {index}"))?;
        let from = std::mem::replace(&mut mirror.commit, index.0) as usize;
        ensure(index.0 <= mirror.log.len() as u64, "state machine safety", || {
            format!("{id} commits {index} beyond its log")
        })?;
        let known = self.committed.len();
        for (offset, entry) in mirror.log[..index.0 as usize].iter().enumerate().skip(from) {
            match self.committed.get(offset) {
                None => self.committed.push(entry.clone()),
                Some(other) => ensure(other == entry, "state machine safety", || {
                    format!("{id} commits {}, elsewhere {}", show::entry(entry), show::entry(other))
                })?,
            }
        }
        let (term, count) = (mirror.term, self.committed.len());
        match self.committed_in.last_mut() {
            _ if count == known => {}
            Some((of_term, up_to)) if *of_term >= term => *up_to = count,
            _ => self.committed_in.push((term, count)),
        }
        if mirror.role == Role::Leader && self.strict {
            self.decided = Some((index.0, mirror.membership.clone()));
            return self.durable_on_quorum(cluster);
        }
        Ok(())
    }

    /// What a leader has committed is durable on a quorum of the members that it went by; and remains so as
    /// long as no leader goes by others.
    fn durable_on_quorum(&self, cluster: &Cluster) -> Checked {
        let Some((index, membership)) = &self.decided else { return Ok(()) };
        let expected = &self.committed[*index as usize - 1];
        let holds = |id: &&NodeId| match cluster.nodes[id].disk.copy(*index) {
            Copy::Entry(entry) => entry == *expected,
            Copy::Covered => true,
            Copy::Missing => false,
        };
        for half in [&membership.voters, &membership.outgoing] {
            let copies = half.iter().filter(holds).count();
            ensure(half.is_empty() || copies > half.len() / 2, "durable quorum", || {
                format!("{} is committed and on {copies} disks of {membership}", show::entry(expected))
            })?;
        }
        Ok(())
    }

    fn applied(&mut self, id: NodeId, entries: &[Entry], machine: &Machine) -> Checked {
        let mirror = self.mirrors.get_mut(&id).expect("every node is mirrored");
        for entry in entries {
            mirror.applied += 1;
            ensure(entry.index.0 == mirror.applied, "applied in order, once", || {
                format!("{id} applies {} as number {}", show::entry(entry), mirror.applied)
            })?;
            ensure(
                self.committed.get(entry.index.0 as usize - 1) == Some(entry),
                "state machine safety",
                || format!("{id} applies {}, which is not committed", show::entry(entry)),
            )?;
        }
        self.in_state(id, machine)
    }

    /// The machine of a node is in the one state that there is after as many entries.
    fn in_state(&mut self, id: NodeId, machine: &Machine) -> Checked {
        while (self.states.len() as u64) < machine.applied {
            let mut next = self.states.last().cloned().unwrap_or_default();
            next.apply(&self.committed[self.states.len()]);
            self.states.push(next);
        }
        let expected = &self.states[machine.applied as usize - 1];
        ensure(machine == expected, "state machine safety", || {
            format!("the machine of {id} is in {machine:?} instead of {expected:?}")
        })
    }

    /// No promise leaves before it is durable.
    fn sent(&self, message: &Message, disk: &HardState, acknowledged: Option<Term>) -> Checked {
        let Message { from, to, term, body } = message;
        let voted =
            |candidate| disk.term > *term || (disk.term == *term && disk.voted_for == Some(candidate));
        match body {
            Body::VoteResponse { granted: true, .. } => {
                ensure(voted(*to), "durable vote", || format!("{from} promises {to} {term}, has {disk:?}"))
            }
            Body::VoteRequest { .. } => {
                ensure(voted(*from), "durable vote", || format!("{from} asks for {term}, has {disk:?}"))
            }
            Body::AppendAccepted { match_index } => {
                ensure(disk.term >= *term, "durable acknowledgement", || {
                    format!("{from} acknowledges in {term}, has {disk:?}")
                })?;
                let leader = self.mirrors.get(to).filter(|at| at.role == Role::Leader && at.term == *term);
                let Some(leader) = leader.filter(|_| match_index.0 > 0) else { return Ok(()) };
                let expected = leader.log.get(match_index.0 as usize - 1).map(|entry| entry.term);
                let is_durable = acknowledged == expected || acknowledged == Some(COVERED);
                ensure(expected.is_some() && is_durable, "durable acknowledgement", || {
                    format!("{from} acknowledges {match_index} of {expected:?}, has {acknowledged:?}")
                })
            }
            _ => Ok(()),
        }
    }

    fn disks(&mut self, cluster: &Cluster) -> Checked {
        if !self.strict {
            return Ok(());
        }
        for (&id, node) in &cluster.nodes {
            let HardState { term, voted_for } = node.disk.hard_state;
            let before = self.terms_on_disk.insert(id, term).unwrap_or_default();
            ensure(before <= term, "term monotone", || format!("{id}'s disk goes back to {term}"))?;
            if let Some(candidate) = voted_for {
                let first = *self.votes_on_disk.entry((id, term)).or_insert(candidate);
                ensure(first == candidate, "durable vote", || {
                    format!("{id}'s disk turns from {first} to {candidate} in {term}")
                })?;
            }
        }
        self.durable_on_quorum(cluster)
    }

    /// The members after the last change that anybody has applied.
    pub(crate) fn members(&self) -> Membership {
        let furthest =
            self.mirrors.values().max_by_key(|mirror| (mirror.applied, mirror.membership.members().len()));
        furthest.map(|mirror| mirror.membership.clone()).unwrap_or_default()
    }

    /// Whether every member has applied everything that was ever committed.
    pub(crate) fn all_applied(&self) -> bool {
        let members = self.members().members();
        members.iter().all(|id| self.mirrors[id].applied == self.committed.len() as u64)
    }
}
