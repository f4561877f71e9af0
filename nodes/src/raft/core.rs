//! The core itself: its state, the dispatch of inputs, and the gathering of effects.

use crate::ids::{ClusterTime, LocalTime, LogIndex, NodeId, Term};
use crate::marks;

use super::log::Log;
use super::progress::Progress;
use super::read::Reads;
use super::rng::Rng;
use super::storing::Storing;
use super::types::{
    Body, Config, Effects, Entry, Event, HardState, Input, Message, Payload, ProposalOutcome, Recovered,
    Refusal, Role, Status,
};

/// Terms from outside beyond this one are malformed. Elections alone never come near it, so the term can
/// always rise by one.
const TERM_MAX: Term = Term(u64::MAX / 2);

/// One member of a Raft cluster: a function from inputs to effects. See the [module](super) for the
/// contract.
#[derive(Debug)]
pub struct Core {
    pub(super) config: Config,
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
    /// The other voters, in the order of their ids.
    pub(super) peers: Vec<Progress>,
    pub(super) reads: Reads,
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
    pub(super) effects: Effects,
}

impl Core {
    /// Starts from durable state, as a follower that knows of no leader and of nothing committed.
    ///
    /// `seed` feeds the core's only randomness, the election timeouts; members should have different ones.
    ///
    /// # Panics
    /// If the recovered log has gaps or its terms decrease, or if its last term is beyond that of the
    /// recovered hard state: a store must have refused such a disk.
    #[must_use]
    pub fn new(mut config: Config, recovered: Recovered, seed: u64, now: LocalTime) -> Self {
        config.voters.sort_unstable();
        config.voters.dedup();
        let log = Log::recovered(recovered.entries);
        assert!(log.last_term() <= recovered.hard_state.term, "the log is ahead of the term on disk");
        let others = config.voters.iter().filter(|&&id| id != config.id);
        let mut core = Self {
            peers: others.map(|&id| Progress::new(id)).collect(),
            storing: Storing::new(recovered.hard_state, log.last_index()),
            config,
            role: Role::Follower,
            hard_state: recovered.hard_state,
            leader: None,
            leader_contact: None,
            log,
            commit_index: LogIndex(0),
            emitted_index: LogIndex(0),
            applied_index: LogIndex(0),
            reads: Reads::default(),
            election_timeout_us: 0,
            election_deadline: now,
            heartbeat_deadline: now,
            stamp_base: (ClusterTime(0), now),
            term_start: LogIndex(0),
            uncommitted_bytes: 0,
            rng: Rng::new(seed),
            now,
            effects: Effects::default(),
        };
        core.draw_election_timeout();
        core
    }

    /// Takes one input. `now` is this node's monotonic clock; should it go back, it is taken to stand
    /// still. What the driver has to do follows from [`Core::effects`]; several steps may precede it.
    pub fn step(&mut self, input: Input, now: LocalTime) {
        self.now = self.now.max(now);
        match input {
            Input::Tick => self.tick(),
            Input::Receive(message) => self.receive(message),
            Input::Propose { id, command } => {
                let outcome = self.propose(id, Payload::Command(command));
                self.effects.proposals.push(outcome);
            }
            Input::Read { id } => self.read(id),
            Input::Stored(token) => {
                if self.storing.completed(token, &mut self.effects) {
                    self.own_store_completed();
                }
            }
            Input::Applied(index) => {
                self.applied_index = self.applied_index.max(index.min(self.emitted_index));
            }
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
        if self.role == Role::Leader {
            self.begin_round_if_reads_wait();
            self.send_appends();
        }
        self.effects.store = self.storing.next_request(&self.log, &mut self.effects);
        let ready = self.commit_index.min(self.storing.durable_index());
        if self.emitted_index < ready {
            let entries = self.log.range(self.emitted_index.next(), ready);
            self.effects.committed.extend_from_slice(entries);
            self.emitted_index = ready;
        }
        effects.clear();
        std::mem::swap(&mut self.effects, effects);
    }

    /// When [`Input::Tick`] will next do something. Ticking earlier does nothing, later is safe. A leader
    /// without peers and a node that is no voter wait for nothing: [`LocalTime`]'s maximum.
    #[must_use]
    pub fn deadline(&self) -> LocalTime {
        match self.role {
            Role::Leader if self.peers.is_empty() => LocalTime(u64::MAX),
            Role::Leader => self.heartbeat_deadline,
            _ if !self.is_voter() => LocalTime(u64::MAX),
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
            last_index: self.log.last_index(),
            commit_index: self.commit_index,
            applied_index: self.applied_index,
            leader_contact: self.leader_contact,
        }
    }

    /// The entry at `index`, if the log in memory holds one. It need not be durable or committed.
    #[must_use]
    pub fn entry(&self, index: LogIndex) -> Option<&Entry> {
        self.log.get(index)
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

    /// Appends a client's command if this node leads and has room.
    fn propose(&mut self, id: u64, payload: Payload) -> ProposalOutcome {
        if self.role != Role::Leader {
            return ProposalOutcome::Refused { id, reason: Refusal::NotLeader { leader: self.leader } };
        }
        let entry = self.next_entry(payload);
        let with_entry = self.uncommitted_bytes + entry.weight_bytes();
        if self.uncommitted_bytes > 0 && with_entry > self.config.uncommitted_bytes_max {
            marks::hit("raft.proposal_refused_overloaded");
            return ProposalOutcome::Refused { id, reason: Refusal::Overloaded };
        }
        self.uncommitted_bytes = with_entry;
        let (index, term) = (entry.index, entry.term);
        self.append(entry);
        ProposalOutcome::Appended { id, index, term }
    }

    /// The entry that this leader would append now.
    pub(super) fn next_entry(&self, payload: Payload) -> Entry {
        let time = self.cluster_time(self.now).expect("only a leader makes entries");
        Entry { index: self.log.last_index().next(), term: self.hard_state.term, time, payload }
    }

    /// Puts an entry into the log in memory.
    pub(super) fn append(&mut self, entry: Entry) {
        self.effects.events.push(Event::Appended(entry.clone()));
        self.log.push(entry);
    }

    /// Sorts out a message by its term (Raft paper 5.1), then by what it says.
    fn receive(&mut self, message: Message) {
        let is_ours = message.to == self.config.id && self.peer(message.from).is_some();
        if !is_ours || message.term > TERM_MAX {
            marks::hit("raft.foreign_message_ignored");
            return;
        }
        if message.term < self.hard_state.term {
            self.answer_stale(&message);
            return;
        }
        if message.term > self.hard_state.term {
            match message.body {
                // A pre-vote asks about a term that nobody has entered; granting it grants nothing else.
                Body::PreVoteRequest { .. } | Body::PreVoteResponse { granted: true } => {}
                Body::VoteRequest { .. } if self.hears_leader_other_than(message.from) => {
                    marks::hit("raft.vote_request_ignored_leader_alive");
                    return;
                }
                // Only a term's leader sends these, so it is known at once.
                Body::AppendRequest { .. } | Body::Heartbeat { .. } => {
                    self.become_follower(message.term, Some(message.from));
                }
                _ => self.become_follower(message.term, None),
            }
        }
        self.dispatch(message);
    }

    /// Handles a message of the current term (or, of pre-votes, a later one).
    fn dispatch(&mut self, message: Message) {
        let Message { from, term, body, .. } = message;
        match body {
            Body::PreVoteRequest { last_index, last_term } => {
                self.answer_pre_vote(from, term, last_index, last_term);
            }
            Body::PreVoteResponse { granted } => self.count_pre_vote(from, term, granted),
            Body::VoteRequest { last_index, last_term } => self.answer_vote(from, last_index, last_term),
            Body::VoteResponse { granted } => self.count_vote(from, granted),
            Body::AppendRequest { prev_index, prev_term, entries, commit_index } => {
                if self.follow(from) {
                    self.answer_append(from, (prev_index, prev_term), entries, commit_index);
                }
            }
            Body::AppendAccepted { match_index } => self.append_accepted(from, match_index),
            Body::AppendRejected { prev_index, hint_index, hint_term } => {
                self.append_rejected(from, prev_index, hint_index, hint_term);
            }
            Body::Heartbeat { commit_index, read_round } => {
                if self.follow(from) {
                    self.answer_heartbeat(from, commit_index, read_round);
                }
            }
            Body::HeartbeatResponse { read_round } => self.heartbeat_answered(from, read_round),
        }
    }

    /// Tells the sender of a stale request about the current term; a stale leader will then step down, a
    /// stale candidate catch up. The answers promise nothing, so they wait for nothing. Stale responses
    /// are dropped.
    fn answer_stale(&mut self, message: &Message) {
        let body = match message.body {
            Body::AppendRequest { .. } | Body::Heartbeat { .. } => Body::HeartbeatResponse { read_round: 0 },
            Body::VoteRequest { .. } => Body::VoteResponse { granted: false },
            Body::PreVoteRequest { .. } => Body::PreVoteResponse { granted: false },
            _ => {
                marks::hit("raft.stale_response_ignored");
                return;
            }
        };
        marks::hit("raft.stale_request_answered");
        self.send(message.from, self.hard_state.term, body);
    }

    /// A request of this node's own came back from the disk.
    fn own_store_completed(&mut self) {
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
            let weight: usize = self.log.range(from, index).iter().map(Entry::weight_bytes).sum();
            self.uncommitted_bytes = self.uncommitted_bytes.saturating_sub(weight);
        }
        self.commit_index = index;
        self.effects.events.push(Event::Committed { index });
    }

    /// Whether this leader has committed an entry of its own term.
    pub(super) fn has_committed_in_term(&self) -> bool {
        self.log.term(self.commit_index) == Some(self.hard_state.term)
    }

    /// Sends a message that depends on nothing that is not durable.
    pub(super) fn send(&mut self, to: NodeId, term: Term, body: Body) {
        self.effects.messages.push(Message { from: self.config.id, to, term, body });
    }

    /// Whether this node is one of the voters.
    pub(super) fn is_voter(&self) -> bool {
        self.config.voters.binary_search(&self.config.id).is_ok()
    }

    /// What is known of a peer; `None` of this node itself and of strangers.
    pub(super) fn peer(&self, id: NodeId) -> Option<&Progress> {
        self.peers.iter().find(|peer| peer.id == id)
    }

    /// The same, to be changed.
    pub(super) fn peer_mut(&mut self, id: NodeId) -> Option<&mut Progress> {
        self.peers.iter_mut().find(|peer| peer.id == id)
    }
}
