//! The core itself: its state, the dispatch of inputs, and the gathering of effects.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::ids::{ClusterTime, LocalTime, LogIndex, NodeId, Term};
use crate::marks;

use super::log::{Log, Position};
use super::membership::Membership;
use super::on_demand::OnDemand;
use super::progress::Progress;
use super::read::Reads;
use super::rng::Rng;
use super::sending::{Kept, Receiving};
use super::silence::Silence;
use super::storing::{Completed, Storing};
use super::transfer::{Preference, Transfer};
use super::types::{
    Config, Effects, Entry, Event, HardState, Input, Message, PeerStatus, Recovered, Role, Snapshot, Status,
};

/// One member of a Raft cluster: a function from inputs to effects. See the [module](super) for the
/// contract.
#[derive(Clone, Debug)]
pub struct Core {
    pub(super) config: Arc<Config>,
    pub(super) role: Role,
    /// Term and vote as they are in memory; `storing` knows what of it is on disk.
    pub(super) hard_state: HardState,
    pub(super) leader: Option<NodeId>,
    pub(super) leader_contact: Option<LocalTime>,
    pub(super) log: Log,
    pub(super) storing: Storing,
    pub(super) commit_index: LogIndex,
    /// Entries up to here have been handed out for applying.
    pub(super) emitted_index: LogIndex,
    pub(super) applied_index: LogIndex,
    /// The members in force: those of `applied_index`.
    pub(super) membership: Arc<Membership>,
    /// The version in force: that of `applied_index`.
    pub(super) version: u16,
    /// Positions of the entries in the log that change members or version and are not applied.
    pub(super) unapplied_changes: Vec<LogIndex>,
    /// The other members, in the order of their ids.
    pub(super) peers: Vec<Progress>,
    pub(super) reads: Reads,
    /// The latest snapshot that is durable here.
    pub(super) snapshot: Option<Box<Kept>>,
    /// A snapshot that a leader is sending.
    pub(super) receiving: Receiving,
    /// As leader: the hand-over that is under way.
    pub(super) transfer: Option<Box<Transfer>>,
    /// As leader: another node may have been told to campaign, so no lease can be relied on in this term.
    pub(super) is_lease_void: bool,
    /// The term whose leader has told this node to campaign, which it could not do at once, and until when
    /// that counts.
    pub(super) order: (Term, LocalTime),
    pub(super) silence: Silence,
    /// With leases: to which leader's lease a vote for anybody else is promised, and until when. A restarted
    /// node does not know to whom, and a later term does not release it.
    pub(super) promise: (LocalTime, Option<NodeId>),
    /// Hand-overs to a node of a higher priority: when the next may begin, and how long it is until another.
    pub(super) preference: Preference,
    pub(super) election_timeout_us: u64,
    pub(super) election_deadline: LocalTime,
    pub(super) heartbeat_deadline: LocalTime,
    /// As leader: stamp of the last entry and time, both when it became leader.
    pub(super) stamp_base: (ClusterTime, LocalTime),
    /// As leader: its first entry, and the weight of its entries that are not committed.
    pub(super) term_start: LogIndex,
    pub(super) uncommitted_bytes: usize,
    pub(super) rng: Rng,
    pub(super) now: LocalTime,
    pub(super) effects: OnDemand<Effects>,
}

// A driver may hold very many idle groups.
const _: () = assert!(size_of::<Core>() <= 704);

impl Core {
    /// Starts from durable state, as a follower that knows of no leader. Of what is committed it knows only
    /// what the log itself proves: the snapshot, and every change of the members but the last, since none is
    /// proposed before the one before it is applied.
    ///
    /// `seed` feeds the core's only randomness: the election timeouts and the first number of its questions
    /// to leaders. Members, and the lives of one member, should have different ones. Groups on one node that
    /// have the same configuration may share it.
    ///
    /// # Panics
    /// If the recovered log has gaps or its terms decrease, or if its last term is beyond that of the
    /// recovered hard state: a store must have refused such a disk.
    #[must_use]
    pub fn new(config: impl Into<Arc<Config>>, recovered: Recovered, seed: u64, now: LocalTime) -> Self {
        let config = config.into();
        let Recovered { hard_state, snapshot, entries } = recovered;
        let changes = entries.iter().filter(|entry| entry.payload.is_change());
        let unapplied_changes: Vec<_> = changes.map(|entry| entry.index).collect();
        let base = snapshot.as_ref().map(|snapshot| Position::from(&snapshot.meta)).unwrap_or_default();
        let log = Log::recovered(base, entries);
        assert!(log.last_term() <= hard_state.term, "the log is ahead of the term on disk");
        let (membership, version) = match &snapshot {
            Some(snapshot) => (Arc::new(snapshot.meta.membership.clone()), snapshot.meta.version),
            None => (Arc::clone(&config.members), 1),
        };
        let mut rng = Rng::new(seed);
        let proven = unapplied_changes.iter().rev().nth(1).copied().unwrap_or_default();
        let promised_us = config.lease_drift_ppm_max.map_or(0, |_| config.election_timeout_us);
        let mut core = Self {
            storing: Storing::new(hard_state, log.last_index()),
            role: Role::Follower,
            hard_state,
            leader: None,
            leader_contact: None,
            log,
            commit_index: base.index.max(proven),
            emitted_index: base.index,
            applied_index: base.index,
            membership: Arc::default(),
            version,
            unapplied_changes,
            peers: Vec::new(),
            reads: Reads::new(rng.next()),
            snapshot: snapshot.map(|snapshot| Box::new(Kept::new(snapshot))),
            receiving: Receiving::default(),
            transfer: None,
            is_lease_void: false,
            order: (Term(0), now),
            silence: Silence::default(),
            promise: (now.plus_us(promised_us), None),
            preference: Preference::default(),
            election_timeout_us: 0,
            election_deadline: now,
            heartbeat_deadline: now,
            stamp_base: (ClusterTime(0), now),
            term_start: LogIndex(0),
            uncommitted_bytes: 0,
            rng,
            now,
            effects: OnDemand::new(),
            config,
        };
        core.adopt_membership(base.index, membership);
        core.draw_election_timeout();
        if core.commit_index > core.emitted_index {
            core.effects.get().events.push(Event::Committed { index: core.commit_index });
        }
        core
    }

    /// Takes one input. `now` is this node's monotonic clock; should it go back, it is taken to stand
    /// still. What the driver has to do follows from [`Core::effects`]; several steps may precede it.
    pub fn step(&mut self, input: Input, now: LocalTime) {
        self.now = self.now.max(now);
        if let Input::Propose { id, command } = input {
            self.wake();
            self.propose(id, command);
            return;
        }
        self.seal();
        match input {
            Input::Propose { .. } => {}
            Input::Tick => self.tick(),
            Input::Receive(message) => self.receive(message),
            Input::Read { id } => {
                self.wake();
                self.read(id);
            }
            Input::ReadAnywhere { id } => {
                self.wake();
                self.read_anywhere(id);
            }
            Input::ChangeMembership { id, change } => {
                self.wake();
                self.change_membership(id, change);
            }
            Input::Transfer { to } => {
                self.wake();
                self.begin_transfer(to);
            }
            Input::Campaign => self.campaign_if_allowed(),
            Input::Heartbeat => self.beat(),
            Input::Stored(token) => {
                if let Some(completed) = self.storing.completed(token, self.effects.get()) {
                    self.own_store_completed(completed);
                }
            }
            Input::Applied(index) => self.applied(index),
            Input::SnapshotTaken(snapshot) => self.snapshot_taken(*snapshot),
            Input::Installed(index) => self.installed(index),
            Input::Unreachable(peer) => self.unreachable(peer),
        }
    }

    /// Takes everything that the steps since the last call ask for, in the order that [`Effects`] states.
    ///
    /// Appends, a round for the reads that wait, the store request and the entries to apply are put
    /// together here, so that steps taken together share messages and disk writes.
    #[must_use]
    pub fn effects(&mut self) -> Effects {
        let mut effects = Effects::default();
        self.effects_into(&mut effects);
        effects
    }

    /// [`Core::effects`], put into `effects` in place of what it holds. A driver that passes the same one
    /// every time spares both sides their buffers' allocation: the core gathers what comes next in those
    /// that it is given.
    pub fn effects_into(&mut self, effects: &mut Effects) {
        self.seal();
        if self.role == Role::Leader {
            self.propose_what_is_due();
            self.begin_round_if_reads_wait();
            self.send_appends();
            self.ask_transfer_target();
        } else {
            self.forward_reads();
        }
        let gathered = self.effects.get();
        gathered.store = self.storing.next_request(&self.log, self.now, gathered);
        let ready = self.commit_index.min(self.storing.durable_index());
        if self.emitted_index < ready && !self.storing.is_log_being_replaced() && !self.waits_for_install() {
            self.log.extend_with(self.emitted_index.next(), ready, &mut self.effects.get().committed);
            self.emitted_index = ready;
        }
        effects.clear();
        std::mem::swap(self.effects.get(), effects);
    }

    /// Gives back the memory of buffers that are empty. For a driver of very many groups, most of which are
    /// idle most of the time.
    pub fn release_memory(&mut self) {
        self.effects.release_if(Effects::is_empty);
        self.storing.release_memory();
        self.log.release_memory();
        self.reads.release_memory(self.silence.is_silent());
        self.unapplied_changes.shrink_to_fit();
        self.peers.shrink_to_fit();
        self.peers.iter_mut().for_each(Progress::release_memory);
    }

    /// When [`Input::Tick`] will next do something. Ticking earlier does nothing, later is safe. A leader
    /// without peers and a node that is no voter wait for nothing: [`LocalTime`]'s maximum.
    #[must_use]
    pub fn deadline(&self) -> LocalTime {
        match self.role {
            _ if self.silence.is_silent() => LocalTime(u64::MAX),
            Role::Leader if self.peers.is_empty() => LocalTime(u64::MAX),
            Role::Leader => self.heartbeat_deadline,
            _ if !self.is_voter() && !self.calls_for_leader() => LocalTime(u64::MAX),
            _ => self.election_deadline,
        }
    }

    /// What this node knows of itself.
    #[must_use]
    pub fn status(&self) -> Status {
        Status {
            id: self.config.id,
            role: self.role,
            term: self.hard_state.term,
            voted_for: self.hard_state.voted_for,
            leader: self.leader,
            first_index: self.log.first_index(),
            last_index: self.log.last_index(),
            commit_index: self.commit_index,
            applied_index: self.applied_index,
            leader_contact: self.leader_contact,
            transfer_to: self.transfer.as_deref().map(Transfer::target),
            is_quiescent: self.silence.is_silent(),
            version: self.version,
        }
    }

    /// What this node knows of each of the others, in the order of their ids. Of use where it leads.
    #[must_use]
    pub fn peers(&self) -> Vec<PeerStatus> {
        self.peers.iter().map(|peer| peer.status(self.is_paused(peer))).collect()
    }

    /// The members in force: those after the last entry that was applied.
    #[must_use]
    pub fn membership(&self) -> &Membership {
        &self.membership
    }

    /// The latest snapshot, if there is one. It is durable here.
    #[must_use]
    pub fn snapshot(&self) -> Option<&Snapshot> {
        self.snapshot.as_ref().map(|kept| &kept.snapshot)
    }

    /// The entry at `index`, if the log in memory holds one. It need not be durable or committed.
    #[must_use]
    pub fn entry(&self, index: LogIndex) -> Option<&Entry> {
        self.log.get(index)
    }

    /// The term of the entry at `index`, if the log in memory reaches there.
    #[must_use]
    pub fn term_of(&self, index: LogIndex) -> Option<Term> {
        self.log.term(index)
    }

    /// The last index up to which the log as it is now is known to be durable here.
    #[must_use]
    pub const fn durable_index(&self) -> LogIndex {
        self.storing.durable_index()
    }

    /// The stamp that an entry appended at `now` would bear; `None` unless this node leads.
    ///
    /// It is the stamp of the last entry when this node became leader plus the time since then by its own
    /// clock, and never less than that of the last entry: stamps do not go back and do not outrun the
    /// leader's clock.
    #[must_use]
    pub fn cluster_time(&self, now: LocalTime) -> Option<ClusterTime> {
        let (base, since) = self.stamp_base;
        (self.role == Role::Leader).then(|| base.plus_us(now.since_us(since)).max(self.log.last_time()))
    }

    /// Feeds everything to `state` on which the core's future depends, but for the clock, the timers and the
    /// random numbers to come: two cores of the same fingerprint answer the same inputs alike as long as
    /// elections and heartbeats are asked for ([`Input::Campaign`], [`Input::Heartbeat`]) and not waited for.
    pub fn fingerprint(&self, state: &mut impl Hasher) {
        (self.role, self.hard_state, self.leader, self.commit_index).hash(state);
        (self.emitted_index, self.applied_index, &self.membership, self.version).hash(state);
        (&self.unapplied_changes, self.term_start, self.uncommitted_bytes).hash(state);
        self.log.base().index.hash(state);
        for index in self.log.first_index().0..=self.log.last_index().0 {
            if let Some(entry) = self.log.get(LogIndex(index)) {
                (entry.term, &entry.payload).hash(state);
            }
        }
        self.storing.fingerprint(state);
        self.peers.iter().for_each(|peer| peer.fingerprint(state));
        self.reads.fingerprint(state);
        self.snapshot().map(|snapshot| &snapshot.meta).hash(state);
        self.receiving.state().hash(state);
        self.transfer.as_deref().map(Transfer::target).hash(state);
        self.order.0.hash(state);
        self.silence.is_silent().hash(state);
    }

    /// Makes what was proposed since the last time part of the log that can be shared.
    pub(super) fn seal(&mut self) {
        if self.log.is_sealed() {
            return;
        }
        if let Some(piece) = self.log.seal() {
            self.effects.get().events.push(Event::Appended(piece.into()));
        }
    }

    /// Puts an entry of this leader's own into the log in memory.
    pub(super) fn append(&mut self, entry: Entry) {
        self.log.push(entry);
    }

    /// A request of this node's own came back from the disk.
    fn own_store_completed(&mut self, completed: Completed) {
        if let Some(write) = completed.snapshot {
            self.snapshot_stored(*write);
        }
        match self.role {
            Role::Candidate => self.conclude_election(),
            Role::Leader => self.advance_commit_index(),
            Role::Follower | Role::PreCandidate => {}
        }
    }

    /// Raises the commit index; never lowers it.
    pub(super) fn commit_up_to(&mut self, index: LogIndex) {
        if index <= self.commit_index {
            return;
        }
        if self.role == Role::Leader {
            let from = self.commit_index.next().max(self.term_start.next());
            let weight = self.log.weight_bytes(from, index);
            self.uncommitted_bytes = self.uncommitted_bytes.saturating_sub(weight);
        }
        self.commit_index = index;
        // A snapshot of what has come by other ways is not waited for any more.
        if self.receiving.state().is_some_and(|(of, _)| of <= index) {
            self.receiving.clear();
        }
        self.effects.get().events.push(Event::Committed { index });
    }

    /// Whether this leader has committed an entry of its own term.
    pub(super) fn has_committed_in_term(&self) -> bool {
        self.log.term(self.commit_index) == Some(self.hard_state.term)
    }

    /// Whether the driver has yet to be told of a snapshot for the machine.
    pub(super) fn waits_for_install(&self) -> bool {
        self.effects.view().is_some_and(|effects| effects.install.is_some())
    }

    /// Sends a message that depends on nothing that is not durable.
    pub(super) fn send(&mut self, to: NodeId, term: Term, body: super::types::Body) {
        self.effects.get().messages.push(Message { from: self.config.id, to, term, body });
    }

    /// Whether this node is one of the voters.
    pub(super) fn is_voter(&self) -> bool {
        self.membership.is_voter(self.config.id)
    }

    /// What is known of a peer; `None` of this node itself and of strangers.
    pub(super) fn peer(&self, id: NodeId) -> Option<&Progress> {
        self.peers.iter().find(|peer| peer.id == id)
    }

    /// The same, to be changed.
    pub(super) fn peer_mut(&mut self, id: NodeId) -> Option<&mut Progress> {
        self.peers.iter_mut().find(|peer| peer.id == id)
    }

    /// The network says that what was on its way to this peer is lost.
    fn unreachable(&mut self, id: NodeId) {
        if self.role == Role::Leader
            && let Some(peer) = self.peer_mut(id)
        {
            marks::hit("raft.peer_unreachable");
            peer.resend();
        }
    }
}
