//! How the machine drives a service: the lock, queue or cache part of the replicated state.
//!
//! A service is a struct of tables with these methods, called by the machine and by nobody else:
//!
//! | method | when |
//! |---|---|
//! | `act(at, by, action, out) -> Outcome` | a command, for the first time |
//! | `session_ended(id, at, out)` | everything of this session goes |
//! | `wait_given_up(by, at, out)` | the client let go of a command that waits |
//! | `expire(at, out)` | what is due at `at.time` or before ends, then whoever may be served is |
//! | `next_deadline()` | when something will be due |
//! | `query(time, query) -> Outcome` | a question |
//!
//! `session_ended` and `wait_given_up` only take away. The machine calls them for all that ends together and
//! then `expire`, once: so nobody is served by the entry at which its own session or wait ends. `expire` is
//! called at the beginning of every apply and must cost next to nothing if nothing is due. Waits, messages and keys
//! end only as far as [`Out::may_end`] says. Messages and keys that are left over count as ended to whoever looks at
//! them, so a service compares ends with the stamp wherever it hands something out; a wait that is left over stands
//! where it stood, and may be served.
//!
//! A service never sees the session table. A command that cannot be answered yet gets [`Reply::Waiting`] as
//! its outcome and the service keeps its [`Asker`]; it ends every such wait with [`Out::complete`], exactly
//! once, whatever ends it.
//!
//! [`Reply::Waiting`]: super::Reply::Waiting

use serde::Serialize;

use super::Name;
use super::queue::{Delivery, QueueReply};
use super::remembered::Remembered;
use super::types::{MachineEvent, Outcome, Reply};
use crate::ids::{ClusterTime, LogIndex, Sequence, SessionId};

/// The entry being applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    /// Its place in the log.
    pub(super) index: LogIndex,
    /// Its stamp.
    pub(super) time: ClusterTime,
}

/// A command of a session, and with it whoever waits for its outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Asker {
    /// The session.
    pub(super) session: SessionId,
    /// Its number within the session.
    pub(super) sequence: Sequence,
}

/// Which service a command waits in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) enum Service {
    /// The locks.
    Lock,
    /// The queue.
    Queue,
}

/// What an entry brings about besides its own outcome, in order.
#[derive(Debug, Default)]
pub(super) struct Out {
    /// What happened.
    pub(super) events: Vec<MachineEvent>,
    /// Waiting commands that are complete, for the session table to remember.
    pub(super) completions: Vec<(Asker, Remembered)>,
    /// What this entry may still end by itself: sessions and what they hold, waits, messages, keys.
    pub(super) ends_left: usize,
}

impl Out {
    /// Nothing yet, and room for so many ends.
    pub(super) fn with(ends_left: usize) -> Self {
        Self { ends_left, ..Self::default() }
    }

    /// Whether one more thing may end by itself with this entry; counts it if so.
    pub(super) fn may_end(&mut self) -> bool {
        let may = self.ends_left > 0;
        self.also_ended(1);
        may
    }

    /// So many ended along with it, which leave less room for others.
    pub(super) fn also_ended(&mut self, count: usize) {
        self.ends_left = self.ends_left.saturating_sub(count);
    }

    /// Something happened.
    pub(super) fn event(&mut self, event: MachineEvent) {
        self.events.push(event);
    }

    /// A command that waited has its final outcome.
    pub(super) fn complete(&mut self, by: Asker, outcome: Outcome) {
        let remembered = Remembered::Said(outcome.clone());
        self.completed(by, outcome, remembered);
    }

    /// A command that waited for messages of this topic has got some.
    pub(super) fn complete_delivery(&mut self, by: Asker, topic: &Name, deliveries: Vec<Delivery>) {
        let outcome = Ok(Reply::Queue(QueueReply::Delivered(deliveries.clone())));
        let remembered = Remembered::delivered(Name::clone(topic), &deliveries, &outcome);
        self.completed(by, outcome, remembered);
    }

    fn completed(&mut self, by: Asker, outcome: Outcome, remembered: Remembered) {
        let Asker { session, sequence } = by;
        self.events.push(MachineEvent::Completed { session, sequence, outcome });
        self.completions.push((by, remembered));
    }
}
