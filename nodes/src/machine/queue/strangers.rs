//! Messages that other topics gave up, by the topic that each would be sent home to.
//!
//! A redrive goes through them oldest first, but passes over a home that has no room for its next one, and all that
//! is behind that, at the cost of one step. So however many belong to a topic that is full, they keep no other topic
//! from its own.

use std::collections::BTreeSet;
use std::ops::Bound::{Excluded, Unbounded};

use imbl::OrdSet;
use serde::Serialize;

use crate::ids::MessageId;
use crate::machine::snapshot::beyond;
use crate::machine::{Name, Table};

/// The strangers of one topic that nobody has in hand.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Strangers {
    by_home: Table<Name, OrdSet<MessageId>>,
    /// The oldest of each home.
    oldest: OrdSet<(MessageId, Name)>,
}

impl Strangers {
    /// One more, from this home.
    pub(super) fn add(&mut self, home: &Name, id: MessageId) {
        let Some(ids) = self.by_home.get_mut(home) else {
            self.oldest.insert((id, home.clone()));
            self.by_home.insert(home.clone(), OrdSet::unit(id));
            return;
        };
        let before = *ids.get_min().expect("no home is without one");
        ids.insert(id);
        self.relist(home, before, Some(before.min(id)));
    }

    /// One less, if it was one.
    pub(super) fn remove(&mut self, home: &Name, id: MessageId) {
        let Some(ids) = self.by_home.get_mut(home) else { return };
        let before = *ids.get_min().expect("no home is without one");
        ids.remove(&id);
        let oldest = ids.get_min().copied();
        if oldest.is_none() {
            self.by_home.remove(home);
        }
        self.relist(home, before, oldest);
    }

    fn relist(&mut self, name: &Name, before: MessageId, oldest: Option<MessageId>) {
        if oldest == Some(before) {
            return;
        }
        self.oldest.remove(&(before, name.clone()));
        if let Some(oldest) = oldest {
            self.oldest.insert((oldest, name.clone()));
        }
    }

    /// The name of a home, shared with those that come from there if there are any.
    pub(super) fn shared_home(&self, home: &str) -> Name {
        self.by_home.get_key_value(home).map_or_else(|| Name::from(home), |(name, _)| name.clone())
    }

    /// A walk through them as they are now, whatever becomes of them meanwhile.
    pub(super) fn walk(&self) -> Walk {
        Walk { strangers: self.clone(), opened: BTreeSet::new(), last_opened: None, homes: 0 }
    }
}

/// Goes through strangers oldest first, of each home as long as its last one was followed by [`Walk::go_on`].
pub(super) struct Walk {
    strangers: Strangers,
    /// The next one of each home that has been opened and not been left.
    opened: BTreeSet<(MessageId, Name)>,
    last_opened: Option<(MessageId, Name)>,
    homes: usize,
}

impl Walk {
    /// The next one, and its home.
    pub(super) fn next(&mut self) -> Option<(MessageId, Name)> {
        let unopened = self.strangers.oldest.range(beyond(self.last_opened.clone())).next().cloned();
        match (unopened, self.opened.first()) {
            (Some(unopened), opened) if opened.is_none_or(|opened| unopened < *opened) => {
                self.homes += 1;
                self.last_opened = Some(unopened.clone());
                Some(unopened)
            }
            _ => self.opened.pop_first(),
        }
    }

    /// The home of this one, which was the last, may have its next one in turn.
    pub(super) fn go_on(&mut self, id: MessageId, home: Name) {
        let ids = &self.strangers.by_home[&home];
        if let Some(&next) = ids.range((Excluded(id), Unbounded)).next() {
            self.opened.insert((next, home));
        }
    }

    /// How many homes it has come by.
    pub(super) fn homes(&self) -> usize {
        self.homes
    }
}
