//! Who may wait for a session, found from its own end of the wait-for graph.
//!
//! The search for a deadlock ([`super::deadlock`]) looks at what a session would wait for, which may be most of what
//! there is. Often few wait for that session itself. These are found here, and those who wait for them, and so on: if
//! they come to an end, and the session would wait for none of them, no cycle can arise, however large the rest of the
//! graph is.
//!
//! The edges here are more than the *necessities* of [`super::deadlock`]: everybody in the line of what a session holds
//! may wait for it, and so may everybody behind it in line and whoever would upgrade beside it; and the session may wait
//! for everybody who holds what it wants, or stands before it. So an end proves that there is no cycle; somebody whom it
//! may wait for proves nothing.

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
    /// The session may wait for one of them.
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

/// Where a session would wait, and for whom: whoever holds the resource, and whoever stands in its line with a lower
/// ticket than this.
pub(super) type Awaited = BTreeMap<ResourceId, LogIndex>;

/// One search.
pub(super) struct SearchBehind<'a> {
    locks: &'a Locks,
    awaited: Awaited,
    seen: BTreeSet<SessionId>,
    /// Sessions that were come by, to be looked behind.
    sessions: Vec<SessionId>,
    walks: Vec<Walk>,
    /// For each line, the ticket behind which all are looked at.
    walked_after: BTreeMap<ResourceId, LogIndex>,
    steps: usize,
}

impl<'a> SearchBehind<'a> {
    /// Who waits for `from`, which would wait for these.
    pub(super) fn new(locks: &'a Locks, from: SessionId, awaited: Awaited) -> Self {
        let (sessions, walks, walked_after) = (Vec::new(), Vec::new(), BTreeMap::new());
        let seen = BTreeSet::from([from]);
        let mut search = Self { locks, awaited, seen, sessions, walks, walked_after, steps: 0 };
        search.look_behind(from);
        search
    }

    /// Goes on until it has looked at this many places in all, or at those of one session more.
    pub(super) fn run_to(&mut self, steps: usize) -> Behind {
        while self.steps < steps {
            if let Some(session) = self.sessions.pop() {
                if self.is_awaited(session) {
                    return Behind::Perhaps;
                }
                self.look_behind(session);
            } else if let Some(walk) = self.walks.pop() {
                self.steps += 1;
                self.go_on(walk);
            } else {
                return Behind::NoCycle;
            }
        }
        Behind::Unfinished
    }

    /// Comes by the next in a line.
    fn go_on(&mut self, Walk { id, after, up_to }: Walk) {
        let behind = (std::ops::Bound::Excluded(after), std::ops::Bound::Included(up_to));
        let Some((&ticket, waiting)) = self.locks.resources[&id].line.range(behind).next() else { return };
        self.come_by(waiting.by.session);
        if ticket < up_to {
            self.walks.push(Walk { id, after: ticket, up_to });
        }
    }

    fn come_by(&mut self, session: SessionId) {
        if self.seen.insert(session) {
            self.sessions.push(session);
        }
    }

    /// Whether the session that all this is about would wait for this one, as far as can be told here.
    fn is_awaited(&mut self, session: SessionId) -> bool {
        let (locks, awaited) = (self.locks, &self.awaited);
        let claims = locks.parties.claims_of(session);
        self.steps += claims.len();
        let mut holds = claims.iter().filter(|(_, claim)| claim.token().is_some());
        let mut places = locks
            .parties
            .waits_of(session)
            .flat_map(|(_, wait)| wait.wanted.places().iter().map(move |want| (want.resource, wait.ticket)));
        holds.any(|(id, _)| awaited.contains_key(id))
            || places.any(|(id, ticket)| awaited.get(&id).is_some_and(|&before| ticket < before))
    }

    /// Notes where those stand who may wait for this session.
    fn look_behind(&mut self, session: SessionId) {
        let locks = self.locks;
        for (id, claim) in locks.parties.claims_of(session) {
            self.steps += 1;
            if claim.token().is_some() {
                if let Some(upgrader) = locks.resources[&id].upgrader {
                    self.come_by(upgrader.session);
                }
                self.walk(id, LogIndex(0));
            }
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
