//! Clients that watch a lock: they are answered when it changes, from the state that this node has applied.
//!
//! Invariants:
//! * A watch is looked at after every turn that may have changed a lock, so none outlives a change that is
//!   applied here. Versions only rise, so looking once after several entries misses nothing.
//! * What changes a lock is a command on locks or comes with an event (a session or a wait that ends). A
//!   turn without either costs the watches nothing; another costs a look at each watched resource.
//! * Every watch has a deadline, and all count among the pending requests.

use std::collections::{BTreeMap, BTreeSet};

use super::pending::Asker;
use super::probe::Probe;
use super::replica::Replica;
use crate::api::ResponseBody;
use crate::env::Env;
use crate::ids::{LocalTime, LogIndex};
use crate::machine::{LockQuery, MachineError, Query, WAIT_US_MAX};
use crate::marks;

/// The watches of one resource, the one that has seen least first.
type OfResource = BTreeMap<(LogIndex, u64), (Asker, LocalTime)>;

/// Who watches which lock, and until when.
#[derive(Debug, Default)]
pub(super) struct Watches {
    by_resource: BTreeMap<String, OfResource>,
    /// Where each watch stands, the earliest deadline first.
    deadlines: BTreeMap<(LocalTime, u64), (String, LogIndex)>,
    last_id: u64,
    /// Whether a lock may have changed since the watches were last looked at.
    pub(super) is_due: bool,
}

impl Watches {
    /// How many watch.
    pub(super) fn len(&self) -> usize {
        self.deadlines.len()
    }

    /// When the next one is answered in any case.
    pub(super) fn deadline(&self) -> Option<LocalTime> {
        self.deadlines.first_key_value().map(|(&(deadline, _), _)| deadline)
    }

    fn add(&mut self, asker: Asker, resource: String, seen: LogIndex, deadline: LocalTime) {
        self.last_id += 1;
        let id = self.last_id;
        self.by_resource.entry(resource.clone()).or_default().insert((seen, id), (asker, deadline));
        self.deadlines.insert((deadline, id), (resource, seen));
    }

    /// Takes out those whose resource has changed since what they have seen.
    fn take_changed(&mut self, changed: impl Fn(&str, LogIndex) -> bool) -> Vec<(Asker, String)> {
        let mut taken = Vec::new();
        for (resource, watches) in &mut self.by_resource {
            while let Some(first) = watches.first_entry()
                && changed(resource, first.key().0)
            {
                let ((_, id), (asker, deadline)) = first.remove_entry();
                self.deadlines.remove(&(deadline, id));
                taken.push((asker, resource.clone()));
            }
        }
        let served: BTreeSet<&str> = taken.iter().map(|(_, resource)| resource.as_str()).collect();
        for resource in served {
            self.forget_unwatched(resource);
        }
        taken
    }

    /// Takes out one whose deadline is `now` or earlier.
    fn take_overdue(&mut self, now: LocalTime) -> Option<(Asker, String)> {
        let first = self.deadlines.first_entry().filter(|first| first.key().0 <= now)?;
        let ((_, id), (resource, seen)) = first.remove_entry();
        let watches = self.by_resource.get_mut(&resource)?;
        let (asker, _) = watches.remove(&(seen, id))?;
        self.forget_unwatched(&resource);
        Some((asker, resource))
    }

    fn forget_unwatched(&mut self, resource: &str) {
        if self.by_resource.get(resource).is_some_and(BTreeMap::is_empty) {
            self.by_resource.remove(resource);
        }
    }
}

impl<E: Env, P: Probe> Replica<E, P> {
    /// Answers a watch, or keeps it until there is an answer.
    pub(super) fn watch(&mut self, asker: Asker, resource: String, seen: LogIndex, wait_us: u64) {
        if wait_us > WAIT_US_MAX {
            let why = format!("a watch waits for at most {WAIT_US_MAX} us, not {wait_us}");
            return self.answer(asker, Ok(ResponseBody::Outcome(Err(MachineError::InvalidArgument(why)))));
        }
        let query = Query::Lock(LockQuery::State { resource: resource.clone() });
        let state = self.machine.query(&query);
        if state.is_err() || wait_us == 0 || self.machine.lock_changed_since(&resource, seen) {
            return self.answer(asker, Ok(ResponseBody::Outcome(state)));
        }
        self.watches.add(asker, resource, seen, self.env.now().plus_us(wait_us));
    }

    /// Answers the watches that something has happened to, and those whose time is over.
    pub(super) fn serve_watches(&mut self) {
        let mut answerable = Vec::new();
        if std::mem::take(&mut self.watches.is_due) {
            let machine = &self.machine;
            answerable =
                self.watches.take_changed(|resource, seen| machine.lock_changed_since(resource, seen));
        }
        let now = self.env.now();
        while let Some(overdue) = self.watches.take_overdue(now) {
            marks::hit("server.watch_saw_no_change");
            answerable.push(overdue);
        }
        for (asker, resource) in answerable {
            let state = self.machine.query(&Query::Lock(LockQuery::State { resource }));
            self.answer(asker, Ok(ResponseBody::Outcome(state)));
        }
    }
}
