//! Moving up: after something was taken away, whoever may be in now is admitted and granted.
//!
//! Each waiter is admitted once at each of its resources, unless an upgrade or a change of permits takes it
//! back, and granted once; so what settling costs, O(log n) for each, was paid for by the command that
//! waited.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::acquire::granted;
use super::locks::Locks;
use super::resource::{Resource, ResourceId};
use super::types::LockMode;
use crate::ids::LogIndex;
use crate::machine::service::{Asker, Moment, Out};
use crate::marks;
use crate::plant::{self, Bug};

impl Locks {
    /// Lets the lines of the resources that were touched move up, grants whoever is admitted everywhere, in
    /// the order of coming, and forgets what nobody holds or awaits then.
    pub(super) fn settle(&mut self, at: Moment, out: &mut Out) {
        if self.touched.is_empty() {
            return;
        }
        let touched = std::mem::take(&mut self.touched);
        let mut ready = BTreeSet::new();
        for &id in &touched {
            self.move_up(id, at, &mut ready, out);
        }
        for by in in_order(ready) {
            marks::hit("machine.lock_handed_off");
            self.grant_waiter(by, at, out);
        }
        for id in touched {
            if self.resources.get(&id).is_some_and(|resource| resource.is_idle()) {
                self.forget(id, at);
            }
        }
        self.touched.clear();
    }

    /// Admits in all lines whoever there is room for, after a restore. Whether nobody is to be granted
    /// anything now, as must be; nothing is granted, for who knows whether there are tokens for it.
    pub(super) fn admit_again(&mut self, at: Moment) -> bool {
        let is_due =
            |resource: &Arc<Resource>| resource.upgrader.is_some() && resource.only_holder().is_some();
        if self.resources.values().any(is_due) {
            return false;
        }
        let (mut ready, mut out) = (BTreeSet::new(), Out::default());
        for id in std::mem::take(&mut self.touched) {
            self.move_up(id, at, &mut ready, &mut out);
        }
        ready.is_empty()
    }

    /// Admits at one resource whoever there is room for, or grants its upgrade. Those who are admitted
    /// everywhere now are ready.
    fn move_up(
        &mut self,
        id: ResourceId,
        at: Moment,
        ready: &mut BTreeSet<(LogIndex, Asker)>,
        out: &mut Out,
    ) {
        let Some(resource) = self.resources.get_mut(&id).map(Arc::make_mut) else { return };
        if let Some(upgrader) = resource.upgrader {
            if resource.only_holder().is_some() {
                resource.upgrader = None;
                self.grant_upgrade(upgrader, at, out);
            }
            return;
        }
        let mut admitted = 0;
        while let Some(waiting) = resource.admit_next() {
            admitted += 1;
            let wait = self.parties.wait_mut(waiting.by).expect("who stands in line waits");
            if wait.wanted.let_in() {
                ready.insert((wait.ticket, waiting.by));
            } else {
                marks::hit("machine.lock_admitted_in_part");
            }
        }
        if admitted > 1 {
            marks::hit("machine.shared_granted_together");
        }
    }

    fn grant_waiter(&mut self, by: Asker, at: Moment, out: &mut Out) {
        let wait = self.parties.take_wait(by).expect("who is ready waits");
        let places = wait.wanted.places();
        let mut grants = Vec::with_capacity(places.len());
        for want in places {
            let resource = self.resource_mut(want.resource);
            resource.leave(wait.ticket);
            let holder = resource.grant(at.index, by.session, want.mode);
            grants.push(self.note_grant(want.resource, holder, out));
        }
        out.complete(by, Ok(granted(grants)));
    }

    fn grant_upgrade(&mut self, by: Asker, at: Moment, out: &mut Out) {
        marks::hit("machine.lock_upgrade_granted");
        let Some((id, token)) = self.upgrade_of(by) else {
            // Another command of the same number has taken the place of the upgrade among the waits.
            assert!(plant::is(Bug::RetryAppliedTwice), "an upgrader waits");
            return;
        };
        self.parties.take_wait(by).expect("an upgrader waits");
        let grant = self.regrant(at, by.session, id, token, LockMode::Exclusive, out);
        out.complete(by, Ok(granted(vec![grant])));
    }
}

/// Who is granted first: whoever came first.
fn in_order(ready: BTreeSet<(LogIndex, Asker)>) -> Vec<Asker> {
    if plant::is(Bug::ApplyIteratesHash) {
        #[expect(clippy::disallowed_types, reason = "that its order is random is the bug")]
        let by_hash: std::collections::HashMap<LogIndex, Asker> = ready.into_iter().collect();
        return by_hash.into_values().collect();
    }
    ready.into_iter().map(|(_, by)| by).collect()
}
