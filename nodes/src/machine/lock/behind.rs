//! Who may wait for a session, found from its own end of the wait-for graph.
//!
//! The search for a deadlock ([`super::deadlock`]) looks at what a session would wait for, which may be most of what
//! there is. Often few wait for that session itself. These are found here, and those who wait for them, and so on: if
//! they come to an end, and none of them has anything to do with a resource at which the session would wait, no cycle
//! can arise, however large the rest of the graph is.
//!
//! The edges here are more than the *necessities* of [`super::deadlock`]: everybody in the line of what a session holds
//! may wait for it, and so may everybody behind it in line and whoever would upgrade beside it. So an end proves that
//! there is no cycle; somebody who has to do with such a resource proves nothing.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use super::locks::Locks;
use super::resource::ResourceId;
use crate::ids::{LogIndex, SessionId};

/// What is known so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Behind {
    /// These are all, and no cycle can arise.
    NoCycle,
    /// One of them has to do with a resource at which the session would wait.
    Perhaps,
    /// There are more to look at.
    Unfinished,
}

/// Those in one line behind a ticket, up to those whom another walk looks at.
struct Walk {
    id: ResourceId,
    after: LogIndex,
    up_to: LogIndex,
}

/// One search.
pub(super) struct SearchBehind<'a> {
    locks: &'a Locks,
    from: SessionId,
    /// Where the session would wait.
    awaited: BTreeSet<ResourceId>,
    seen: BTreeSet<SessionId>,
    walks: Vec<Walk>,
    /// For each line, the ticket behind which all are looked at.
    walked_after: BTreeMap<ResourceId, LogIndex>,
    steps: usize,
    meets: bool,
}

impl<'a> SearchBehind<'a> {
    /// Who waits for `from`, which would wait at these.
    pub(super) fn new(locks: &'a Locks, from: SessionId, awaited: BTreeSet<ResourceId>) -> Self {
        let (seen, walked_after) = (BTreeSet::from([from]), BTreeMap::new());
        let mut search =
            Self { locks, from, awaited, seen, walks: Vec::new(), walked_after, steps: 0, meets: false };
        search.look_behind(from);
        search
    }

    /// Goes on until it has looked at this many places in all, or somewhat more.
    pub(super) fn run_to(&mut self, steps: usize) -> Behind {
        while !self.meets {
            let Some(Walk { id, after, up_to }) = self.walks.pop() else { return Behind::NoCycle };
            if self.steps >= steps {
                self.walks.push(Walk { id, after, up_to });
                return Behind::Unfinished;
            }
            self.steps += 1;
            let behind = (std::ops::Bound::Excluded(after), std::ops::Bound::Included(up_to));
            if let Some((&ticket, waiting)) = self.locks.resources[&id].line.range(behind).next() {
                let session = waiting.by.session;
                if ticket < up_to {
                    self.walks.push(Walk { id, after: ticket, up_to });
                }
                self.visit(session);
            }
        }
        Behind::Perhaps
    }

    fn visit(&mut self, session: SessionId) {
        if !self.seen.insert(session) {
            return;
        }
        self.meets |= self.awaited.iter().any(|&id| self.locks.parties.claim_of(session, id).is_some());
        if !self.meets {
            self.look_behind(session);
        }
    }

    /// Notes where those stand who may wait for this session.
    fn look_behind(&mut self, session: SessionId) {
        let locks = self.locks;
        for (id, claim) in locks.parties.claims_of(session) {
            self.steps += 1;
            if claim.token().is_none() {
                continue;
            }
            if let Some(upgrader) = locks.resources[&id].upgrader
                && upgrader.session != self.from
            {
                self.visit(upgrader.session);
            }
            self.walk(id, LogIndex(0));
        }
        for (_, wait) in locks.parties.waits_of(session) {
            for want in wait.wanted.places() {
                self.walk(want.resource, wait.ticket);
            }
        }
    }

    /// All in this line behind this ticket will be looked at.
    fn walk(&mut self, id: ResourceId, after: LogIndex) {
        let up_to = match self.walked_after.entry(id) {
            Entry::Occupied(walked) if *walked.get() <= after => return,
            Entry::Occupied(mut walked) => walked.insert(after),
            Entry::Vacant(place) => {
                place.insert(after);
                LogIndex(u64::MAX)
            }
        };
        self.walks.push(Walk { id, after, up_to });
    }
}
