//! One node's state and what it does with each input. No awaiting happens here.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::NodeConfig;
use super::guard::DurabilityGuard;
use super::pending::{Asker, NOBODY, Pending};
use super::probe::{Observed, Probe};
use crate::api::{ApiError, NodeStatus, Request, RequestBody, Response, ResponseBody};
use crate::env::{Env, Net};
use crate::ids::{Address, ClientId, ClusterTime, LocalTime, LogIndex, Sequence, SessionId};
use crate::machine::{
    Action, Command, LockAction, Machine, MachineError, MachineEvent, NAME_BYTES_MAX, Outcome, Query, Reply,
    VALUE_BYTES_MAX,
};
use crate::marks;
use crate::raft::{
    self, Core, Effects, Entry, Input, Message, Payload, ProposalOutcome, ReadOutcome, Recovered, Refusal,
    Role, StoreRequest, StoreToken,
};
use crate::transport::Frame;

/// Requests that make room are refused only beyond this many times the bound of the others.
const MAKING_ROOM_FACTOR: usize = 2;
/// Every how many entries the machine's whole state enters the state hash.
const DIGEST_INTERVAL: u64 = 64;

/// The longest command that is taken, encoded: two values and a name, as in a compare-and-set, and room for
/// the rest. A longer one is refused before it enters the log: the network would drop every append that
/// carries it, and nothing behind it would ever commit.
pub(super) const COMMAND_BYTES_MAX: usize = 2 * VALUE_BYTES_MAX + NAME_BYTES_MAX + 128;

pub(super) struct Replica<E: Env, P: Probe> {
    env: E,
    probe: P,
    pending_requests_max: usize,
    core: Core,
    machine: Machine,
    guard: DurabilityGuard,
    pending: Pending,
    /// Messages that wait for the write of their token.
    waiting: BTreeMap<StoreToken, Vec<Message>>,
    /// The write that is on its way to the disk.
    storing: Option<Arc<StoreRequest>>,
    applied_index: LogIndex,
    state_hash: u64,
    /// The last effects carried out: kept for their memory.
    effects: Effects,
    /// What was hashed last: kept for its memory.
    hashed: Vec<u8>,
    /// The cluster time at which this leader last proposed a tick.
    ticked_at: ClusterTime,
    /// Whether the core had no room for that tick: it is proposed again after the next apply.
    tick_refused: bool,
}

impl<E: Env, P: Probe> Replica<E, P> {
    pub(super) fn new(env: E, probe: P, config: &NodeConfig, recovered: Recovered) -> Self {
        probe.observe(Observed::Recovered(&recovered));
        let guard = DurabilityGuard::new(config.identity.node, &recovered);
        let core = Core::new(config.raft.clone(), recovered, env.entropy(), env.now());
        Self {
            env,
            probe,
            pending_requests_max: config.pending_requests_max,
            core,
            machine: Machine::new(),
            guard,
            pending: Pending::default(),
            waiting: BTreeMap::new(),
            storing: None,
            applied_index: LogIndex(0),
            state_hash: 0,
            effects: Effects::default(),
            hashed: Vec::new(),
            ticked_at: ClusterTime(0),
            tick_refused: false,
        }
    }

    /// When [`Replica::on_time`] must be called next.
    pub(super) fn deadline(&self) -> LocalTime {
        let core = self.core.deadline();
        match self.machine_due_in_us() {
            Some(due_us) => core.min(self.env.now().plus_us(due_us)),
            None => core,
        }
    }

    /// Time has passed.
    pub(super) fn on_time(&mut self) {
        self.core.step(Input::Tick, self.env.now());
        if self.machine_due_in_us() == Some(0) {
            let now = self.env.now();
            self.ticked_at = self.core.cluster_time(now).unwrap_or_default();
            self.core.step(Input::Propose { id: NOBODY, command: Command::Tick.encode() }, now);
        }
    }

    /// A frame arrived. Whatever it holds, it is judged, never trusted.
    pub(super) fn on_frame(&mut self, from: Address, bytes: &Bytes) {
        match (Frame::decode(bytes), from) {
            (Ok(Frame::Peer(message)), Address::Node(node)) if message.from == node => {
                self.core.step(Input::Receive(message), self.env.now());
            }
            (Ok(Frame::Request(request)), Address::Client(client)) => self.on_request(client, request),
            (Ok(_), _) => {
                marks::hit("server.frame_from_the_wrong_kind_of_sender");
                tracing::warn!(%from, "dropped a frame that its sender has no business to send");
            }
            (Err(error), _) => {
                marks::hit("server.frame_refused");
                tracing::warn!(%from, %error, "dropped a frame that cannot be decoded");
            }
        }
    }

    /// The write on its way is durable.
    ///
    /// # Panics
    /// If no write of this token is on its way.
    pub(super) fn on_stored(&mut self, token: StoreToken) {
        let request = self.storing.take().expect("a write completes only if one was asked for");
        assert_eq!(request.token, token, "the store completed another write than the one asked for");
        self.guard.stored(&request);
        let (hard_state, last_index) = self.guard.durable();
        self.probe.observe(Observed::Durable { hard_state, last_index });
        self.core.step(Input::Stored(token), self.env.now());
        while let Some(first) = self.waiting.first_entry()
            && *first.key() <= token
        {
            for message in first.remove() {
                self.send(message);
            }
        }
    }

    /// Carries out all effects; returns the write that is to be started, if any.
    pub(super) fn obey(&mut self) -> Option<Arc<StoreRequest>> {
        let mut to_store = None;
        let mut effects = std::mem::take(&mut self.effects);
        loop {
            self.core.effects_into(&mut effects);
            if effects.is_empty() {
                break;
            }
            let will_step = !effects.committed.is_empty();
            to_store = self.obey_once(&mut effects).or(to_store);
            // Effects follow from steps, and applying is the only one that is taken here.
            if !will_step {
                break;
            }
        }
        self.effects = effects;
        while let Some((asker, query)) = self.pending.next_answerable(self.applied_index) {
            self.answer(asker, Ok(ResponseBody::Outcome(self.machine.query(&query))));
        }
        to_store
    }

    fn obey_once(&mut self, effects: &mut Effects) -> Option<Arc<StoreRequest>> {
        for event in &effects.events {
            self.probe.observe(Observed::Raft(event));
        }
        for outcome in effects.proposals.drain(..) {
            self.on_proposal_outcome(outcome);
        }
        if effects.events.iter().any(|event| matches!(event, raft::Event::RoleChanged { .. })) {
            self.on_role_change();
        }
        for message in effects.messages.drain(..) {
            self.send(message);
        }
        for (token, message) in effects.messages_after.drain(..) {
            self.waiting.entry(token).or_default().push(message);
        }
        for entry in &effects.committed {
            self.apply(entry);
        }
        if !effects.committed.is_empty() {
            if std::mem::take(&mut self.tick_refused) {
                self.ticked_at = ClusterTime(0);
            }
            self.core.step(Input::Applied(self.applied_index), self.env.now());
        }
        for outcome in effects.reads.drain(..) {
            self.on_read_outcome(outcome);
        }
        let request = Arc::new(effects.store.take()?);
        assert!(self.storing.is_none(), "the core asked for a second write before the first was durable");
        self.storing = Some(Arc::clone(&request));
        Some(request)
    }

    fn on_request(&mut self, client: ClientId, request: Request) {
        let asker = Asker { client, request: request.id };
        let factor = if makes_room(&request.body) { MAKING_ROOM_FACTOR } else { 1 };
        if self.pending.len() >= self.pending_requests_max.saturating_mul(factor) {
            marks::hit("server.too_many_pending_requests");
            return self.answer(asker, Err(ApiError::Overloaded));
        }
        match request.body {
            RequestBody::Command(command) => {
                let command = command.encode();
                if command.len() > COMMAND_BYTES_MAX {
                    marks::hit("server.command_too_long");
                    let why =
                        format!("a command has at most {COMMAND_BYTES_MAX} bytes, not {}", command.len());
                    let refused = Err(MachineError::InvalidArgument(why));
                    return self.answer(asker, Ok(ResponseBody::Outcome(refused)));
                }
                let id = self.pending.propose(asker);
                self.core.step(Input::Propose { id, command }, self.env.now());
            }
            // The same from every state, so there is no need to keep it until the state is known to be fresh.
            RequestBody::Query(query) if name_of(&query).len() > NAME_BYTES_MAX => {
                self.answer(asker, Ok(ResponseBody::Outcome(self.machine.query(&query))));
            }
            RequestBody::Query(query) => {
                let id = self.pending.read(asker, query);
                self.core.step(Input::Read { id }, self.env.now());
            }
            RequestBody::Status => self.answer(asker, Ok(ResponseBody::Status(self.status()))),
        }
    }

    fn on_proposal_outcome(&mut self, outcome: ProposalOutcome) {
        match outcome {
            ProposalOutcome::Appended { id, index, term } => self.pending.appended(id, index, term),
            ProposalOutcome::Refused { id: NOBODY, .. } => {
                marks::hit("server.tick_refused");
                self.tick_refused = true;
            }
            ProposalOutcome::Refused { id, reason } => {
                if let Some(asker) = self.pending.refused(id) {
                    self.answer(asker, Err(refusal(reason)));
                }
            }
        }
    }

    fn on_read_outcome(&mut self, outcome: ReadOutcome) {
        match outcome {
            ReadOutcome::Ready { id, index } => self.pending.read_confirmed(id, index),
            ReadOutcome::Refused { id, reason } => {
                if let Some(asker) = self.pending.read_refused(id) {
                    self.answer(asker, Err(refusal(reason)));
                }
            }
        }
    }

    fn on_role_change(&mut self) {
        self.ticked_at = ClusterTime(0);
        if self.core.status().role != Role::Leader {
            for asker in self.pending.abandon_commands() {
                marks::hit("server.command_abandoned");
                self.answer(asker, Err(ApiError::LeadershipLost));
            }
        }
    }

    fn apply(&mut self, entry: &Entry) {
        assert_eq!(entry.index, self.applied_index.next(), "entries are applied in order, each once");
        let (asked, outcome, events) = match &entry.payload {
            Payload::Noop => self.apply_command(entry, Ok(Command::Tick)),
            Payload::Command(bytes) => self.apply_command(entry, Command::decode(bytes)),
        };
        self.applied_index = entry.index;
        if P::WATCHING {
            self.state_hash = self.hash_after(entry.index, &outcome, &events);
            self.probe.observe(Observed::Applied { entry, state: self.state_hash });
        }
        if let Some((asker, is_its_entry)) = self.pending.applied(entry.index, entry.term) {
            match (is_its_entry, outcome, asked) {
                (false, ..) => self.answer(asker, Err(ApiError::LeadershipLost)),
                (true, Ok(Reply::LockQueued { .. }), Some((session, sequence))) => {
                    self.pending.queue(session, sequence, asker);
                }
                (true, outcome, _) => self.answer(asker, Ok(ResponseBody::Outcome(outcome))),
            }
        }
        for event in events {
            if let MachineEvent::Completed { session, sequence, outcome } = event
                && let Some(asker) = self.pending.completed(session, sequence)
            {
                self.answer(asker, Ok(ResponseBody::Outcome(outcome)));
            }
        }
    }

    /// Applies a command; one that this version cannot read changes nothing but the time, on every node.
    fn apply_command(
        &mut self,
        entry: &Entry,
        command: Result<Command, MachineError>,
    ) -> (Option<(SessionId, Sequence)>, Outcome, Vec<MachineEvent>) {
        let (command, refused) = match command {
            Ok(command) => (command, None),
            Err(error) => (Command::Tick, Some(error)),
        };
        let applied = self.machine.apply(entry.index, entry.time, &command);
        let asked = match command {
            Command::Once { session, sequence, .. } => Some((session, sequence)),
            _ => None,
        };
        (asked, refused.map_or(applied.outcome, Err), applied.events)
    }

    fn hash_after(&mut self, index: LogIndex, outcome: &Outcome, events: &[MachineEvent]) -> u64 {
        let mut bytes = std::mem::take(&mut self.hashed);
        bytes.clear();
        bytes = postcard::to_extend(&(outcome, events), bytes).expect("outcomes and events serialize");
        if index.0.is_multiple_of(DIGEST_INTERVAL) {
            bytes.extend_from_slice(&self.machine.digest().to_le_bytes());
        }
        let hash = xxh3_64_with_seed(&bytes, self.state_hash);
        self.hashed = bytes;
        hash
    }

    /// Microseconds until the machine's next deadline, if this node leads and has not yet proposed the tick
    /// that will serve it.
    fn machine_due_in_us(&self) -> Option<u64> {
        let due = self.machine.next_deadline()?;
        let now = self.core.cluster_time(self.env.now())?;
        (self.ticked_at < due).then(|| due.0.saturating_sub(now.0))
    }

    fn status(&self) -> NodeStatus {
        let status = self.core.status();
        NodeStatus {
            id: status.id,
            role: status.role,
            term: status.term,
            leader: status.leader,
            commit_index: status.commit_index,
            applied_index: self.applied_index,
            last_index: status.last_index,
        }
    }

    /// The last entry of the log.
    #[cfg(test)]
    pub(super) fn last_index(&self) -> LogIndex {
        self.core.status().last_index
    }

    /// When something ends in the machine, in cluster time.
    #[cfg(test)]
    pub(super) fn next_expiry(&self) -> Option<ClusterTime> {
        self.machine.next_deadline()
    }

    fn send(&self, message: Message) {
        self.guard.check(&message);
        self.env.net().send(Address::Node(message.to), Frame::Peer(message).encode());
    }

    fn answer(&self, asker: Asker, result: Result<ResponseBody, ApiError>) {
        let response = Response { id: asker.request, result };
        self.env.net().send(Address::Client(asker.client), Frame::Response(response).encode());
    }
}

fn name_of(query: &Query) -> &str {
    match query {
        Query::Register { key } => key,
        Query::Lock { resource } => resource,
    }
}

/// Whether a request keeps a session alive or gives up what others wait for. Who stands in line for a lock
/// is among the pending requests: they must not shut out what ends their waiting.
fn makes_room(body: &RequestBody) -> bool {
    match body {
        RequestBody::Command(Command::KeepAlive { .. } | Command::CloseSession { .. }) => true,
        RequestBody::Command(Command::Once { action: Action::Lock(LockAction::Release { .. }), .. }) => true,
        RequestBody::Command(_) | RequestBody::Query(_) | RequestBody::Status => false,
    }
}

fn refusal(reason: Refusal) -> ApiError {
    match reason {
        Refusal::NotLeader { leader } => ApiError::NotLeader { leader },
        Refusal::Overloaded => ApiError::Overloaded,
    }
}
