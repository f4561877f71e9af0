//! The machine beside the naive model: over random entries both say the same in every respect.

use std::collections::BTreeMap;

use super::super::{QueueQuery, QueueReply};
use super::generate::Source;
use super::model::Queue;
use super::{ENDS, SMALL, apply, bytes_of, small_limits, small_machine};
use crate::ids::{ClusterTime, LogIndex, Sequence, SessionId};
use crate::machine::{
    Action, Command, LockAction, Machine, MachineError, MachineEvent, Outcome, Query, Reply,
};
use crate::marks;

/// Commands that one machine sees.
const COMMANDS_PER_MACHINE: u64 = 500;
const PEEKED: u32 = 5;

struct Session {
    lease_us: u64,
    ends: u64,
    last: Sequence,
    lowest_open: Sequence,
    open_below: Vec<Sequence>,
}

/// Machine and model, side by side.
struct Pair {
    source: Source,
    machine: Machine,
    model: Queue,
    sessions: BTreeMap<SessionId, Session>,
    replies: BTreeMap<(SessionId, Sequence), Outcome>,
    last: Option<Command>,
}

impl Pair {
    fn new(seed: u64) -> Self {
        Self {
            source: Source::new(seed),
            machine: small_machine(),
            model: Queue::new(SMALL),
            sessions: BTreeMap::new(),
            replies: BTreeMap::new(),
            last: None,
        }
    }

    fn step(&mut self) {
        let time = self.model.time + self.source.pick(&[0, 0, 0, 500, 1_000, 1_000, 2_500]);
        let command = self.command();
        let read = Command::decode(&command.encode_as(2)).expect("it was just encoded");
        let (index, applied) = apply(&mut self.machine, time, &read);
        let outcome = self.expected(index, time, &command);
        assert_eq!(applied.outcome, outcome, "{command:?}");
        assert_eq!(applied.events, self.model.events, "{command:?}");
        let told = (applied.outcome, applied.events);
        let written = postcard::to_allocvec(&told).expect("it is plain data");
        assert_eq!(postcard::from_bytes(&written), Ok(told), "it survives the wire");
        self.compare_state();
        if self.source.once_in(40) {
            self.restart();
        }
        self.last = Some(command);
    }

    fn command(&mut self) -> Command {
        let ids: Vec<SessionId> = self.sessions.keys().copied().collect();
        if ids.is_empty() || (ids.len() < 4 && self.source.once_in(20)) {
            return Command::OpenSession { lease_us: self.source.pick(&[100_000, 1_000_000]) };
        }
        match self.source.below(60) {
            0 => return Command::CloseSession { session: self.source.pick(&ids) },
            1 => return Command::Tick,
            2 if self.last.is_some() => return self.last.clone().expect("a line ago it was there"),
            _ => {}
        }
        let id = self.source.pick(&ids);
        let action = match self.source.below(25) {
            0 => Action::Lock(LockAction::Cancel { sequence: self.some_wait(id) }),
            _ => Action::Queue(self.source.action(&self.model)),
        };
        let lets_go = self.source.once_in(10);
        let session = self.sessions.get_mut(&id).expect("it was picked from them");
        session.last = Sequence(session.last.0 + 1);
        if lets_go || session.last.0 > session.lowest_open.0 + 900 {
            // Some of the latest stay open.
            let latest = session.lowest_open.0.max(session.last.0.saturating_sub(6)).max(1)..session.last.0;
            session.open_below.extend(latest.map(Sequence));
            session.lowest_open = session.last;
            let source = &mut self.source;
            session.open_below.retain(|_| source.once_in(2));
        }
        let Session { last: sequence, lowest_open, .. } = *session;
        Command::Once { session: id, sequence, lowest_open, open_below: session.open_below.clone(), action }
    }

    /// A command of the session that waits, if there is one, and mostly then.
    fn some_wait(&mut self, id: SessionId) -> Sequence {
        let own = self.model.waits.iter().filter(|wait| wait.session == id);
        let waits: Vec<Sequence> = own.map(|wait| wait.sequence).collect();
        if waits.is_empty() || self.source.once_in(5) {
            return Sequence(self.source.below(9));
        }
        self.source.pick(&waits)
    }

    fn expected(&mut self, index: LogIndex, time: u64, command: &Command) -> Outcome {
        self.model.index = index;
        self.model.time = time;
        self.model.events.clear();
        let mut ended: Vec<(u64, SessionId)> =
            self.sessions.iter().filter(|(_, s)| s.ends <= time).map(|(&id, s)| (s.ends, id)).collect();
        ended.sort_unstable();
        self.model.ends_left = ENDS;
        for (_, id) in ended {
            if self.model.ends_left == 0 {
                break;
            }
            let ends = 1 + self.model.count_of(id);
            self.model.ends_left = self.model.ends_left.saturating_sub(ends);
            self.end_session(id, true);
        }
        self.model.expire();
        self.remember();
        let outcome = match command {
            Command::OpenSession { lease_us } => {
                let (lease_us, ends) = (*lease_us, time + lease_us);
                let (last, lowest_open) = (Sequence(0), Sequence(1));
                let session = Session { lease_us, ends, last, lowest_open, open_below: Vec::new() };
                self.sessions.insert(SessionId(index.0), session);
                Ok(Reply::SessionOpened { session: SessionId(index.0) })
            }
            Command::CloseSession { session } => {
                if self.sessions.contains_key(session) {
                    self.end_session(*session, false);
                }
                Ok(Reply::Done)
            }
            Command::Once { session, sequence, lowest_open, open_below, action } => {
                let is_open = |number: Sequence| number >= *lowest_open || open_below.contains(&number);
                self.once(*session, *sequence, is_open, action)
            }
            Command::Tick => Ok(Reply::Done),
            other => unreachable!("the source makes none: {other:?}"),
        };
        self.remember();
        outcome
    }

    fn once(
        &mut self,
        id: SessionId,
        sequence: Sequence,
        is_open: impl Fn(Sequence) -> bool,
        action: &Action,
    ) -> Outcome {
        let now = self.model.time;
        let session = self.sessions.get_mut(&id).filter(|session| session.ends > now);
        let session = session.ok_or(MachineError::SessionExpired)?;
        session.ends = self.model.time + session.lease_us;
        self.model.let_go(id, |number| !is_open(number));
        self.replies.retain(|(of, number), _| *of != id || is_open(*number));
        self.model.completed.retain(|(of, number, _)| *of != id || is_open(*number));
        if let Some(reply) = self.replies.get(&(id, sequence)) {
            return self.model.again(reply);
        }
        let outcome = match action {
            Action::Queue(action) => self.model.act(id, sequence, action),
            Action::Lock(LockAction::Cancel { sequence }) => self.model.cancel(id, *sequence),
            other => unreachable!("the source makes none: {other:?}"),
        };
        self.replies.insert((id, sequence), outcome.clone());
        outcome
    }

    fn end_session(&mut self, id: SessionId, expired: bool) {
        self.sessions.remove(&id);
        self.replies.retain(|(session, _), _| *session != id);
        self.model.session_ended(id);
        self.model.events.push(MachineEvent::SessionEnded { session: id, expired });
    }

    /// Completed commands have their final replies.
    fn remember(&mut self) {
        for (session, sequence, outcome) in std::mem::take(&mut self.model.completed) {
            if self.sessions.contains_key(&session) {
                self.replies.insert((session, sequence), outcome);
            }
        }
    }

    fn compare_state(&self) {
        let lease = self.sessions.values().map(|session| session.ends).min();
        let deadline = [lease, self.model.next_deadline()].into_iter().flatten().min();
        assert_eq!(self.machine.next_deadline(), deadline.map(ClusterTime));
        assert_eq!(
            self.ask(QueueQuery::List { after: None, count_max: 9 }),
            QueueReply::Topics(self.model.list())
        );
        for topic in self.model.topic_names() {
            let stats = self.ask(QueueQuery::Stats { topic: topic.clone() });
            assert_eq!(stats, QueueReply::Stats(Box::new(self.model.stats(&topic))));
            let QueueReply::Stats(stats) = stats else { unreachable!("they were equal") };
            stats.check_accounts().expect("the accounts balance");
            let peeked = self.ask(QueueQuery::Peek { topic: topic.clone(), count_max: PEEKED });
            assert_eq!(peeked, QueueReply::Peeked(self.model.peek(&topic, PEEKED as usize)));
            let dead = self.ask(QueueQuery::PeekDead { topic: topic.clone(), count_max: PEEKED });
            assert_eq!(dead, QueueReply::Peeked(self.model.peek_dead(&topic, PEEKED as usize)));
        }
        for ((session, sequence), outcome) in &self.replies {
            if sequence.0 + 3 > self.sessions[session].last.0 {
                assert_eq!(self.machine.outcome_of(*session, *sequence), Some(self.model.again(outcome)));
            }
        }
    }

    fn ask(&self, query: QueueQuery) -> QueueReply {
        match self.machine.query(&Query::Queue(query)) {
            Ok(Reply::Queue(reply)) => reply,
            other => panic!("{other:?}"),
        }
    }

    /// The node goes on from a snapshot, written in pieces of any size.
    fn restart(&mut self) {
        let piece_bytes_max = self.source.below(3_000) as usize + 1;
        let bytes = bytes_of(&self.machine, piece_bytes_max);
        let restored = Machine::restore_within(&bytes, small_limits()).expect("it was just written");
        assert_eq!(restored.digest(), self.machine.digest());
        assert_eq!(bytes_of(&restored, 4_096), bytes, "the bytes are a function of the state");
        let clone = std::mem::replace(&mut self.machine, restored);
        assert_eq!(clone.next_deadline(), self.machine.next_deadline());
    }
}

#[test]
fn the_machine_and_the_naive_model_agree_on_everything() {
    let commands = crate::machine::tests::commands() as u64;
    for seed in 0..commands.div_ceil(COMMANDS_PER_MACHINE) {
        let mut pair = Pair::new(seed);
        for _ in 0..COMMANDS_PER_MACHINE {
            pair.step();
        }
    }
    // A run in which nothing of this happened would prove little.
    for mark in [
        "queue.bytes_full",
        "queue.dead_letter_moved",
        "queue.dead_letter_topic_full",
        "queue.delay_over",
        "queue.depth_full",
        "queue.duplicate_batch",
        "queue.entry_ended_all_it_may",
        "queue.lease_expired",
        "queue.line_full",
        "queue.message_expired",
        "queue.producer_forgotten",
        "queue.producer_out_of_sequence",
        "queue.receipt_stale",
        "queue.redelivered",
        "queue.retry_found_deliveries_over",
        "queue.topics_full",
        "queue.wait_answered",
        "queue.wait_cancelled",
        "queue.wait_ended_by_deletion",
        "queue.wait_given_up",
        "queue.wait_timed_out",
    ] {
        assert!(marks::count(mark) > 0, "{mark} was never hit");
    }
}
