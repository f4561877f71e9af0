//! One node's state and what it does with each input. No awaiting happens here.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::applying::restore;
use super::events::Events;
use super::freshness::Freshness;
use super::guard::DurabilityGuard;
use super::near::Near;
use super::pending::{Asker, NOBODY, Pending};
use super::probe::{Observed, Probe};
use super::snapshots::Snapshots;
use super::traffic::Traffic;
use super::watching::Watches;
use super::{NodeConfig, NodeError};
use crate::api::{ApiError, Response, ResponseBody};
use crate::env::{Env, Net};
use crate::ids::{Address, ClusterTime, LocalTime, LogIndex};
use crate::machine::{Command, Machine};
use crate::marks;
use crate::raft::{
    self, Body, Core, Effects, Input, Message, Recovered, Refusal, Role, StoreRequest, StoreToken,
};
use crate::transport::Frame;

pub(super) struct Replica<E: Env, P: Probe> {
    pub(super) env: E,
    pub(super) probe: P,
    pub(super) pending_requests_max: usize,
    pub(super) core: Core,
    pub(super) machine: Machine,
    guard: DurabilityGuard,
    pub(super) pending: Pending,
    /// When to take snapshots, and the one that is being taken.
    pub(super) snapshots: Snapshots,
    /// The latest version that this program speaks.
    pub(super) version_max: u16,
    /// Messages that wait for the write of their token.
    waiting: BTreeMap<StoreToken, Vec<Message>>,
    /// The write that is on its way to the disk.
    storing: Option<Arc<StoreRequest>>,
    pub(super) applied_index: LogIndex,
    /// When the last of them took effect here.
    pub(super) applied_at: LocalTime,
    pub(super) state_hash: u64,
    /// The last effects carried out: kept for their memory.
    effects: Effects,
    /// What was hashed last: kept for its memory.
    pub(super) hashed: Vec<u8>,
    /// The cluster time at which this leader last proposed a tick.
    pub(super) ticked_at: ClusterTime,
    /// Where the last tick of this leadership stands in the log.
    pub(super) tick_index: LogIndex,
    /// Why the core did not take that tick, if so. It is proposed again after the next apply, or once the transfer of the
    /// leadership that was in its way has failed.
    pub(super) tick_refused: Option<Refusal>,
    /// The near-cache.
    pub(super) near: Near,
    /// What clients were told of messages.
    pub(super) traffic: Traffic,
    /// How old the applied state may be.
    pub(super) freshness: Freshness,
    /// Clients that watch locks.
    pub(super) watches: Watches,
    /// Where events are announced.
    pub(super) events: Events,
    /// Why this node cannot go on.
    pub(super) failed: Option<NodeError>,
}

impl<E: Env, P: Probe> Replica<E, P> {
    /// A node that starts from what its disk holds.
    ///
    /// # Errors
    /// If the snapshot on its disk cannot be read.
    pub(super) fn new(
        env: E,
        probe: P,
        config: &NodeConfig,
        recovered: Recovered,
    ) -> Result<Self, NodeError> {
        probe.observe(Observed::Recovered(&recovered));
        let cluster = recovered.snapshot.as_ref().map_or(0, |snapshot| snapshot.meta.version);
        if cluster > config.raft.version {
            return Err(NodeError::TooOld { cluster, own: config.raft.version });
        }
        let guard = DurabilityGuard::new(config.identity.node, &recovered);
        let (machine, state_hash) = match &recovered.snapshot {
            Some(snapshot) => restore(snapshot)?,
            None => (Machine::new(), 0),
        };
        let applied_index = recovered.snapshot.as_ref().map_or(LogIndex(0), |snapshot| snapshot.meta.index);
        let core = Core::new(config.raft.clone(), recovered, env.entropy(), env.now());
        let mut near = Near::new(config.identity.node, config.near, env.entropy(), env.now(), P::WATCHING);
        near.set_members(core.membership(), env.now());
        near.check_terms(&machine)?;
        let (applied_at, traffic) = (env.now(), Traffic::new(env.now()));
        let events = Events::start(&env, config);
        Ok(Self {
            env,
            probe,
            pending_requests_max: config.pending_requests_max,
            core,
            machine,
            guard,
            traffic,
            pending: Pending::new(config.raft.election_timeout_us_max),
            snapshots: Snapshots::new(config, applied_index),
            version_max: config.raft.version,
            waiting: BTreeMap::new(),
            storing: None,
            applied_index,
            applied_at,
            state_hash,
            effects: Effects::default(),
            hashed: Vec::new(),
            ticked_at: ClusterTime(0),
            tick_index: LogIndex(0),
            tick_refused: None,
            near,
            freshness: Freshness::default(),
            watches: Watches::default(),
            events,
            failed: None,
        })
    }

    /// When [`Replica::on_time`] must be called next.
    pub(super) fn deadline(&self) -> LocalTime {
        let machine = self.machine_due_in_us().map(|due_us| self.env.now().plus_us(due_us));
        let read = self.pending.read_deadline();
        let others = [read, self.near.deadline(), self.watches.deadline()];
        machine.into_iter().chain(others.into_iter().flatten()).fold(self.core.deadline(), LocalTime::min)
    }

    /// Time has passed.
    pub(super) fn on_time(&mut self) {
        self.core.step(Input::Tick, self.env.now());
        if !self.is_handing_over() {
            self.propose_after_transfer();
        }
        self.near_on_time();
        if self.machine_due_in_us() == Some(0) {
            let now = self.env.now();
            self.ticked_at = self.core.cluster_time(now).unwrap_or_default();
            self.core.step(Input::Propose { id: NOBODY, command: self.encode(&Command::Tick) }, now);
        }
    }

    /// Lets be proposed again what a transfer of the leadership was in the way of: it has failed. In a quiet cluster
    /// nothing else would, and leases would not end.
    fn propose_after_transfer(&mut self) {
        let by_transfer = |refusal: &mut Refusal| matches!(refusal, Refusal::Transferring { .. });
        if self.tick_refused.take_if(by_transfer).is_some() {
            marks::hit("server.tick_after_failed_transfer");
            self.ticked_at = ClusterTime(0);
        }
        self.near.agreement_after(by_transfer);
    }

    /// A frame arrived. Whatever it holds, it is judged, never trusted.
    pub(super) fn on_frame(&mut self, from: Address, bytes: &Bytes) {
        match (Frame::decode(bytes), from) {
            (Ok(Frame::Peer(message)), Address::Node(node)) if message.from == node => {
                self.core.step(Input::Receive(message), self.env.now());
            }
            (Ok(Frame::Request(request)), Address::Client(client)) => self.on_request(client, request),
            (Ok(Frame::Coherence(message)), Address::Node(node)) => self.on_coherence(node, message),
            (Ok(_), _) => {
                marks::hit("server.frame_from_the_wrong_kind_of_sender");
                self.env.net().refuse("a frame that its sender has no business to send");
            }
            (Err(error), _) => {
                marks::hit("server.frame_refused");
                tracing::debug!(%from, %error, "dropped a frame that cannot be decoded");
                self.env.net().refuse("a frame that cannot be decoded");
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
        self.pump_near();
        loop {
            self.core.effects_into(&mut effects);
            if effects.is_empty() {
                break;
            }
            let will_step = !effects.committed.is_empty() || effects.install.is_some();
            to_store = self.obey_once(&mut effects).or(to_store);
            // Effects follow from steps: applying is one, and the near-cache takes others.
            if !self.pump_near() && !will_step {
                break;
            }
        }
        self.effects = effects;
        self.answer_reads();
        self.serve_watches();
        self.give_up_reads();
        to_store
    }

    fn obey_once(&mut self, effects: &mut Effects) -> Option<Arc<StoreRequest>> {
        for event in &effects.events {
            self.probe.observe(Observed::Raft(event));
            if let raft::Event::VersionRaised { version } = event {
                self.on_version(*version);
            }
        }
        for outcome in effects.proposals.drain(..) {
            self.on_proposal_outcome(outcome);
        }
        if effects.events.iter().any(|event| matches!(event, raft::Event::RoleChanged { .. })) {
            self.sync_near();
            self.on_role_change();
        }
        for message in effects.messages.drain(..) {
            self.send(message);
        }
        for (token, message) in effects.messages_after.drain(..) {
            self.waiting.entry(token).or_default().push(message);
        }
        if let Some(snapshot) = effects.install.take() {
            self.install(&snapshot);
        }
        self.apply_all(&effects.committed);
        for outcome in effects.changes.drain(..) {
            self.on_change_outcome(outcome);
        }
        for outcome in effects.reads.drain(..) {
            self.on_read_outcome(outcome);
        }
        for outcome in effects.transfers.drain(..) {
            self.on_transfer_outcome(outcome);
        }
        let request = Arc::new(effects.store.take()?);
        assert!(self.storing.is_none(), "the core asked for a second write before the first was durable");
        self.storing = Some(Arc::clone(&request));
        self.probe.observe(Observed::WriteBegan);
        Some(request)
    }

    fn on_role_change(&mut self) {
        (self.ticked_at, self.tick_index) = (ClusterTime(0), LogIndex(0));
        if self.core.status().role != Role::Leader {
            for asker in self.pending.abandon_commands() {
                marks::hit("server.command_abandoned");
                self.answer(asker, Err(ApiError::LeadershipLost));
            }
        }
    }

    /// Microseconds until the machine's next deadline, if this node leads and has not yet proposed the tick
    /// that will serve it.
    fn machine_due_in_us(&self) -> Option<u64> {
        let due = self.machine.next_deadline()?;
        let now = self.core.cluster_time(self.env.now())?;
        (self.ticked_at < due).then(|| due.0.saturating_sub(now.0))
    }

    /// The time that entries would be stamped with now; where this node does not lead, as far as it knows: the
    /// last stamp, and what has passed since it took effect here.
    pub(super) fn cluster_time(&self) -> ClusterTime {
        let now = self.env.now();
        let followed = || self.machine.time().plus_us(now.since_us(self.applied_at));
        self.core.cluster_time(now).unwrap_or_else(followed)
    }

    /// The last entry of the log.
    #[cfg(test)]
    pub(super) fn last_index(&self) -> LogIndex {
        self.core.status().last_index
    }

    /// When the read that has waited longest is given up.
    #[cfg(test)]
    pub(super) fn read_deadline(&self) -> Option<LocalTime> {
        self.pending.read_deadline()
    }

    /// When something ends in the machine, in cluster time.
    #[cfg(test)]
    pub(super) fn next_expiry(&self) -> Option<ClusterTime> {
        self.machine.next_deadline()
    }

    /// Whether this node leads.
    pub(super) fn leads(&self) -> bool {
        self.core.status().role == Role::Leader
    }

    /// The node is to stop: it wants to lead no more. If it is handing over already, that will do.
    pub(super) fn hand_over(&mut self) {
        if self.is_handing_over() {
            return;
        }
        self.core.step(Input::Transfer { to: None }, self.env.now());
        if self.is_handing_over() {
            self.pending.own_transfer_begun();
        }
    }

    /// Whether it leads still, and somebody is about to take over.
    pub(super) fn is_handing_over(&self) -> bool {
        self.leads() && self.core.status().transfer_to.is_some()
    }

    /// Why this node cannot go on, if so.
    pub(super) fn take_failure(&mut self) -> Option<NodeError> {
        self.failed.take()
    }

    fn send(&self, message: Message) {
        self.guard.check(&message);
        if let Body::AppendAccepted { match_index } = message.body {
            self.probe.observe(Observed::Acknowledges { term: message.term, match_index });
        }
        self.env.net().send(Address::Node(message.to), Frame::Peer(message).encode());
    }

    pub(super) fn answer(&self, asker: Asker, result: Result<ResponseBody, ApiError>) {
        let response = Response { id: asker.request, result };
        self.env.net().send(Address::Client(asker.client), Frame::Response(response).encode());
    }
}
