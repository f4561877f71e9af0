//! Records what clients do, as they do it.

use std::collections::BTreeMap;
use std::fmt::Debug;

use super::{Call, History, Hold, Operation, Outcome, VirtualTime};

/// The reason given for an operation that never returned.
pub const OPEN_AT_END: &str = "open when the run ended";

/// The reason given for an operation whose answer its client wanted no more, though it was served well.
pub const WITHDRAWN: &str = "its client has no use for the answer any more";

/// Hears of operations while they are recorded, in the order of their times.
pub trait Listener: Debug + Send {
    /// An operation was invoked.
    fn invoked(&mut self, operation: &Operation);

    /// An operation ended, or nobody will ever know how.
    fn completed(&mut self, operation: &Operation);
}

/// Records operations and holds of all clients of one run.
///
/// An operation has an unknown outcome from its invocation on, until it is completed with a better one: a
/// run may thus end at any moment and leave a true history.
#[derive(Debug, Default)]
pub struct Recorder {
    history: History,
    open: BTreeMap<u64, u64>,
    latest: VirtualTime,
    listener: Option<Box<dyn Listener>>,
}

impl Recorder {
    /// A recorder of an empty history.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Tells `listener` of everything from now on.
    pub fn tell(&mut self, listener: Box<dyn Listener>) {
        self.listener = Some(listener);
    }

    /// Records that `client` invokes `call` now, and returns the operation's number.
    ///
    /// # Panics
    /// If the client has an operation open, or if time went back: both are bugs of the caller.
    pub fn invoke(&mut self, client: u64, call: Call, at: VirtualTime) -> u64 {
        self.advance(at);
        let id = self.history.operations.len() as u64;
        let before = self.open.insert(client, id);
        assert!(before.is_none(), "client {client} invokes an operation while {before:?} is open");
        let operation = Operation {
            id,
            client,
            call,
            invoked_ns: at,
            returned_ns: None,
            outcome: Outcome::Unknown { reason: OPEN_AT_END.to_owned() },
        };
        if let Some(listener) = &mut self.listener {
            listener.invoked(&operation);
        }
        self.history.operations.push(operation);
        id
    }

    /// Records that an operation ended now. A client that dies leaves its operation to be completed by
    /// whoever killed it, as unknown, before its successor may use the number.
    ///
    /// # Panics
    /// If the operation is not open, or if time went back: both are bugs of the caller.
    pub fn complete(&mut self, id: u64, outcome: Outcome, at: VirtualTime) {
        self.advance(at);
        let operation =
            usize::try_from(id).ok().and_then(|position| self.history.operations.get_mut(position));
        let Some(operation) = operation else { panic!("operation {id} was never invoked") };
        let open = self.open.remove(&operation.client);
        assert_eq!(open, Some(id), "operation {id} completes but is not open");
        operation.returned_ns = Some(at);
        operation.outcome = outcome;
        if let Some(listener) = &mut self.listener {
            listener.completed(operation);
        }
    }

    /// The operation that a client has open.
    #[must_use]
    pub fn open_operation(&self, client: u64) -> Option<u64> {
        self.open.get(&client).copied()
    }

    /// When an operation ended, if it has.
    #[must_use]
    pub fn returned_at(&self, id: u64) -> Option<VirtualTime> {
        let position = usize::try_from(id).ok()?;
        self.history.operations.get(position)?.returned_ns
    }

    /// Records a span in which a client believed that it held a lock, once the span is over.
    ///
    /// # Panics
    /// If the hold ends before it begins: a bug of the caller.
    pub fn hold(&mut self, hold: Hold) {
        assert!(hold.from_ns <= hold.until_ns, "a hold ends before it begins: {hold:?}");
        self.history.holds.push(hold);
    }

    /// What was recorded so far.
    #[must_use]
    pub const fn history(&self) -> &History {
        &self.history
    }

    /// Ends the record. Operations still open stay of unknown outcome and without a time of return.
    #[must_use]
    pub fn finish(self) -> History {
        self.history
    }

    fn advance(&mut self, at: VirtualTime) {
        assert!(at >= self.latest, "time went back from {} to {at}", self.latest);
        self.latest = at;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Answer;

    fn get() -> Call {
        Call::Get { key: "k".to_owned() }
    }

    #[test]
    fn an_operation_still_open_at_the_end_is_of_unknown_outcome() {
        let mut recorder = Recorder::new();
        let id = recorder.invoke(1, get(), VirtualTime(5));
        assert_eq!(recorder.open_operation(1), Some(id));
        let history = recorder.finish();
        assert_eq!(history.operations[0].returned_ns, None);
        assert_eq!(history.operations[0].outcome, Outcome::Unknown { reason: OPEN_AT_END.to_owned() });
        assert_eq!(history.verify(), Ok(()));
    }

    #[test]
    fn operations_are_numbered_in_the_order_of_invocation() {
        let mut recorder = Recorder::new();
        let first = recorder.invoke(1, get(), VirtualTime(1));
        let second = recorder.invoke(2, get(), VirtualTime(1));
        let answer = Answer::Value { value: None, version: None };
        recorder.complete(second, Outcome::Ok { answer }, VirtualTime(3));
        let third = recorder.invoke(2, get(), VirtualTime(3));
        assert_eq!((first, second, third), (0, 1, 2));
    }

    #[test]
    #[should_panic(expected = "while Some(0) is open")]
    fn a_client_cannot_open_two_operations() {
        let mut recorder = Recorder::new();
        recorder.invoke(1, get(), VirtualTime(1));
        recorder.invoke(1, get(), VirtualTime(2));
    }

    #[test]
    #[should_panic(expected = "completes but is not open")]
    fn an_operation_cannot_complete_twice() {
        let mut recorder = Recorder::new();
        let id = recorder.invoke(1, get(), VirtualTime(1));
        recorder.complete(id, Outcome::Fail { reason: "no".to_owned() }, VirtualTime(2));
        recorder.complete(id, Outcome::Fail { reason: "no".to_owned() }, VirtualTime(2));
    }

    #[test]
    #[should_panic(expected = "time went back")]
    fn time_cannot_go_back() {
        let mut recorder = Recorder::new();
        recorder.invoke(1, get(), VirtualTime(2));
        recorder.invoke(2, get(), VirtualTime(1));
    }
}
