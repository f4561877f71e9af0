//! What clients ask, and what they are answered.

use super::near::Origin;
use super::pending::{Asker, NOBODY};
use super::probe::Probe;
use super::replica::Replica;
use super::under_way::CommandName;
use crate::api::{ApiError, KeyLines, LineHolder, NodeStatus, Request, RequestBody, ResponseBody};
use crate::coherence::HolderView;
use crate::env::Env;
use crate::ids::{ClientId, LogIndex};
use crate::machine::{
    Action, CacheQuery, CacheReply, Command, LockAction, LockQuery, MachineError, NAME_BYTES_MAX, Outcome,
    Query, QueueAction, QueueQuery, Reply, VALUE_BYTES_MAX,
};
use crate::marks;
use crate::plant::{self, Bug};
use crate::raft::membership::MemberChange;
use crate::raft::{ChangeOutcome, Input, ProposalOutcome, ReadOutcome, Refusal, Role, TransferOutcome};

/// Requests that make room are refused only beyond this many times the bound of the others.
const MAKING_ROOM_FACTOR: usize = 2;

/// The longest command that is taken, encoded: two values and a name, as in a compare-and-set, and room for
/// the rest. A longer one is refused before it enters the log: the network would drop every append that
/// carries it, and nothing behind it would ever commit.
pub(super) const COMMAND_BYTES_MAX: usize = 2 * VALUE_BYTES_MAX + NAME_BYTES_MAX + 128;

impl<E: Env, P: Probe> Replica<E, P> {
    pub(super) fn on_request(&mut self, client: ClientId, request: Request) {
        let asker = Asker { client, request: request.id };
        let factor = if makes_room(&request.body) { MAKING_ROOM_FACTOR } else { 1 };
        let waiting = self.pending.len() + self.near.waiting() + self.watches.len();
        if waiting >= self.pending_requests_max.saturating_mul(factor) {
            marks::hit("server.too_many_pending_requests");
            return self.answer(asker, Err(ApiError::Overloaded));
        }
        match request.body {
            RequestBody::Command(command) => self.take_command(asker, &command, None),
            RequestBody::CommandOfHolder { command, holder, surrenders } => {
                match self.origin_of(holder, surrenders) {
                    Ok(origin) => self.take_command(asker, &command, origin),
                    Err(refused) => self.answer(asker, Ok(ResponseBody::Outcome(Err(refused)))),
                }
            }
            RequestBody::BeginWrite { keys } => self.begin_write(asker, &keys),
            RequestBody::QueryNear(query) => self.query_near(asker, query),
            // The same from every state, so there is no need to keep it until the state is known to be fresh.
            RequestBody::Query(query)
            | RequestBody::QueryAnywhere(query)
            | RequestBody::QueryWithin { query, .. }
                if longest_name(&query) > NAME_BYTES_MAX =>
            {
                self.answer(asker, Ok(ResponseBody::Outcome(self.machine.query(&query))));
            }
            RequestBody::QueryAnywhere(query @ Query::Queue(_)) if plant::is(Bug::QueueEmptyPollStale) => {
                self.answer(asker, Ok(ResponseBody::Outcome(self.machine.query(&query))));
            }
            RequestBody::Query(query) => {
                let id = self.pending.read(asker, query, self.env.now());
                self.core.step(Input::Read { id }, self.env.now());
            }
            RequestBody::QueryAnywhere(query) => {
                let id = self.pending.read(asker, query, self.env.now());
                self.core.step(Input::ReadAnywhere { id }, self.env.now());
            }
            RequestBody::QueryWithin { query, age_us_max } => self.query_within(asker, query, age_us_max),
            RequestBody::Watch { resource, seen, wait_us } => self.watch(asker, resource, seen, wait_us),
            RequestBody::ChangeMembers(change) => {
                let weight = change.changes.len() * size_of::<MemberChange>() + change.context.len();
                if weight > COMMAND_BYTES_MAX {
                    marks::hit("server.change_too_long");
                    let why = format!("a change has at most {COMMAND_BYTES_MAX} bytes, not {weight}");
                    return self.answer(asker, Err(ApiError::ImpossibleChange(why)));
                }
                let id = self.pending.propose(asker);
                self.core.step(Input::ChangeMembership { id, change }, self.env.now());
            }
            RequestBody::Transfer { to } => {
                if self.pending.transfer(asker) {
                    self.core.step(Input::Transfer { to }, self.env.now());
                } else {
                    self.answer(asker, Err(ApiError::Overloaded));
                }
            }
            RequestBody::NearLines { key } => {
                let lines = Box::new(self.lines_of(&key));
                self.answer(asker, Ok(ResponseBody::NearLines(lines)));
            }
            RequestBody::Status => self.answer(asker, Ok(ResponseBody::Status(Box::new(self.status())))),
        }
    }

    fn take_command(&mut self, asker: Asker, command: &Command, origin: Option<Origin>) {
        if self.is_known(asker, command) {
            return;
        }
        let encoded = self.encode(command);
        if encoded.len() > COMMAND_BYTES_MAX {
            marks::hit("server.command_too_long");
            let why = format!("a command has at most {COMMAND_BYTES_MAX} bytes, not {}", encoded.len());
            return self.refuse(asker, why);
        }
        if let Command::AgreeOnNear { terms, .. } = command
            && let Err(why) = terms.check()
        {
            marks::hit("server.near_terms_out_of_bounds");
            return self.refuse(asker, why);
        }
        let id = self.pending.propose(asker);
        if let Some(name) = CommandName::of(command)
            && !plant::is(Bug::RetryAppliedTwice)
        {
            self.pending.under_way.begin(id, name);
        }
        self.propose_gated(id, command, encoded, origin);
    }

    /// What was asked for breaks a bound.
    fn refuse(&mut self, asker: Asker, why: String) {
        self.answer(asker, Ok(ResponseBody::Outcome(Err(MachineError::InvalidArgument(why)))));
    }

    /// Answers a retry of a command that has been applied here, or lets it wait in the place of the attempt
    /// before it, or join one that is under way, without another entry. Returns whether that is what it was.
    ///
    /// What the table says of a command that was applied is final unless it waits, so any node might say it. But
    /// an attempt without an entry has renewed no lease, and its answer says so.
    fn is_known(&mut self, asker: Asker, command: &Command) -> bool {
        if !self.leads() || plant::is(Bug::RetryAppliedTwice) {
            return false;
        }
        if CommandName::of(command).is_some_and(|name| self.pending.under_way.join(name, asker)) {
            marks::hit("server.retry_joined");
            return true;
        }
        let &Command::Once { session, sequence, .. } = command else { return false };
        match self.machine.outcome_of(session, sequence) {
            None => return false,
            Some(Ok(Reply::Waiting { .. })) => self.pending.queue(session, sequence, asker, false),
            Some(outcome) => self.answer_known(asker, outcome),
        }
        marks::hit("server.retry_without_an_entry");
        true
    }

    pub(super) fn on_proposal_outcome(&mut self, outcome: ProposalOutcome) {
        match outcome {
            ProposalOutcome::Appended { id: NOBODY, index, .. } => self.tick_index = index,
            ProposalOutcome::Appended { id, index, term } => {
                self.near_appended(id, index, term);
                self.pending.appended(id, index, term);
            }
            ProposalOutcome::Refused { id: NOBODY, reason } => {
                marks::hit("server.tick_refused");
                self.tick_refused = Some(reason);
            }
            ProposalOutcome::Refused { id, reason } => {
                self.near_refused(id, reason);
                for asker in self.pending.refused(id) {
                    self.answer(asker, Err(refusal(reason)));
                }
            }
        }
    }

    pub(super) fn on_read_outcome(&mut self, outcome: ReadOutcome) {
        if self.near_read_outcome(outcome) {
            return;
        }
        match outcome {
            ReadOutcome::Ready { id, index } => self.pending.read_confirmed(id, index),
            ReadOutcome::Refused { id, reason } => {
                if let Some(asker) = self.pending.read_refused(id) {
                    self.answer(asker, Err(refusal(reason)));
                }
            }
        }
    }

    /// Answers a question from the applied state.
    pub(super) fn look_up(&self, query: &Query) -> Outcome {
        if let Query::Cache(CacheQuery::Get { key }) = query
            && plant::is(Bug::CacheTtlLocal)
            && let Some((_, Some(expires))) = self.machine.find(key)
            && expires.0 <= self.env.now().0
        {
            return Ok(Reply::Cache(CacheReply::Value(None)));
        }
        self.machine.query_at(query, self.cluster_time())
    }

    /// Answers reads that will not be answered here, or not in good time. A read has no effect, so the refusal
    /// is definite; another node may serve it.
    pub(super) fn give_up_reads(&mut self) {
        let now = self.env.now();
        while let Some(asker) = self.pending.next_overdue_read(now) {
            marks::hit("server.read_given_up");
            self.refuse_read(asker);
        }
        if self.pending.is_any_read_confirmed() && !self.core.membership().contains(self.core.status().id) {
            // Whether what they wait for will ever come here, nobody knows.
            while let Some(asker) = self.pending.next_confirmed() {
                marks::hit("server.read_refused_where_no_member");
                self.refuse_read(asker);
            }
        }
    }

    fn refuse_read(&self, asker: Asker) {
        let status = self.core.status();
        let leader = status.leader.filter(|leader| *leader != status.id);
        self.answer(asker, Err(ApiError::NotLeader { leader }));
    }

    pub(super) fn on_change_outcome(&mut self, outcome: ChangeOutcome) {
        match outcome {
            ChangeOutcome::Appended { id, index, term } => self.pending.changing(id, index, term),
            ChangeOutcome::Refused { id, reason } => {
                for asker in self.pending.refused(id) {
                    self.answer(asker, Err(refusal(reason)));
                }
            }
            ChangeOutcome::Impossible { id, reason } => {
                for asker in self.pending.refused(id) {
                    self.answer(asker, Err(ApiError::ImpossibleChange(reason.to_string())));
                }
            }
        }
    }

    pub(super) fn on_transfer_outcome(&mut self, outcome: TransferOutcome) {
        let was_refused = matches!(outcome, TransferOutcome::Refused(_));
        let Some(asker) = self.pending.transferred(was_refused) else { return };
        let answer = match outcome {
            TransferOutcome::Done => Ok(ResponseBody::Transferred),
            TransferOutcome::TimedOut => {
                Err(ApiError::NotTransferred("it did not take over in time".to_owned()))
            }
            TransferOutcome::Refused(Refusal::NoSuchVoter) => {
                Err(ApiError::NotTransferred("there is no such voter".to_owned()))
            }
            TransferOutcome::Refused(reason) => Err(refusal(reason)),
        };
        self.answer(asker, answer);
    }

    /// A command as it is to stand in the log: in the format that the whole cluster speaks.
    pub(super) fn encode(&self, command: &Command) -> bytes::Bytes {
        command.encode_as(self.core.status().version)
    }

    pub(super) fn status(&self) -> NodeStatus {
        let (status, now) = (self.core.status(), self.env.now());
        NodeStatus {
            id: status.id,
            role: status.role,
            term: status.term,
            leader: status.leader,
            voted_for: status.voted_for,
            leader_silent_us: status.leader_contact.map(|contact| now.since_us(contact)),
            timer_us: Some(self.core.deadline()).filter(|due| due.0 < u64::MAX).map(|due| due.since_us(now)),
            commit_index: status.commit_index,
            applied_index: self.applied_index,
            last_index: status.last_index,
            first_index: status.first_index,
            snapshot_index: self.core.snapshot().map_or(LogIndex(0), |snapshot| snapshot.meta.index),
            members: self.core.membership().clone(),
            version: status.version,
            traffic: self.traffic.read(now),
            near: Box::new(self.near.holder.stats()),
            directory: Box::new(self.near.directory.stats()),
        }
    }
}

impl<E: Env, P: Probe> Replica<E, P> {
    /// What this node knows of a key's lines.
    fn lines_of(&self, key: &str) -> KeyLines {
        let (now, near) = (self.env.now(), &self.near);
        let holder = |view: HolderView| LineHolder {
            node: view.holder.node,
            state: view.state,
            left_us: view.until.since_us(now),
            is_invalidating: view.is_invalidating,
        };
        let leads = self.core.status().role == Role::Leader;
        let holders = leads.then(|| near.directory.holders(key).into_iter().map(holder).collect());
        KeyLines { own: near.holder.state(key, now), counts: near.holder.counts(key), holders }
    }
}

/// The length of the longest name that a query is about: 0 if it is about none.
fn longest_name(query: &Query) -> usize {
    match query {
        Query::Cache(CacheQuery::Get { key } | CacheQuery::Expiry { key }) => key.len(),
        Query::Cache(CacheQuery::GetMany { keys }) => keys.iter().map(String::len).max().unwrap_or(0),
        Query::Cache(CacheQuery::Stats) => 0,
        Query::Lock(LockQuery::State { resource } | LockQuery::Check { resource, .. }) => resource.len(),
        Query::Lock(LockQuery::OfSession { .. } | LockQuery::ForcedReleases | LockQuery::Stats)
        | Query::Session { .. } => 0,
        Query::Queue(
            QueueQuery::Peek { topic, .. } | QueueQuery::PeekDead { topic, .. } | QueueQuery::Stats { topic },
        ) => topic.len(),
        Query::Queue(QueueQuery::List { after, .. }) => after.as_ref().map_or(0, String::len),
    }
}

/// Whether a request keeps a session or a delivery alive, or brings or gives up what others wait for. Who stands in line for
/// a lock or waits for messages is among the pending requests: they must not shut out what ends their waiting.
fn makes_room(body: &RequestBody) -> bool {
    match body {
        RequestBody::Command(Command::KeepAlive { .. } | Command::CloseSession { .. }) => true,
        RequestBody::Command(Command::Once { action: Action::Lock(action), .. }) => matches!(
            action,
            LockAction::Release { .. }
                | LockAction::Downgrade { .. }
                | LockAction::Cancel { .. }
                | LockAction::ForceRelease { .. }
        ),
        RequestBody::Command(Command::Once {
            action:
                Action::Queue(
                    QueueAction::Enqueue { .. }
                    | QueueAction::Acknowledge { .. }
                    | QueueAction::Reject { .. }
                    | QueueAction::Extend { .. },
                ),
            ..
        }) => true,
        // What an operator asks for mends things.
        RequestBody::ChangeMembers(_) | RequestBody::Transfer { .. } => true,
        RequestBody::Command(_)
        | RequestBody::CommandOfHolder { .. }
        | RequestBody::BeginWrite { .. }
        | RequestBody::Query(_)
        | RequestBody::QueryAnywhere(_)
        | RequestBody::QueryNear(_)
        | RequestBody::QueryWithin { .. }
        | RequestBody::Watch { .. }
        | RequestBody::NearLines { .. }
        | RequestBody::Status => false,
    }
}

fn refusal(reason: Refusal) -> ApiError {
    match reason {
        Refusal::NotLeader { leader } => ApiError::NotLeader { leader },
        Refusal::Overloaded => ApiError::Overloaded,
        Refusal::Transferring { to } => ApiError::Transferring { to },
        Refusal::ChangePending => ApiError::ChangePending,
        Refusal::NoSuchVoter => ApiError::NotTransferred("there is no such voter".to_owned()),
    }
}
