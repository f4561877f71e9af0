//! What each session has to do with the locks: its claims, its commands that wait, and when they end.
//!
//! Each session has short tables of its own for these, so that what waits need not say in each of them whose it is,
//! and none has room for more than there are. Among all sessions only the earliest end of each is listed.
//!
//! Invariants: a session is in the table if it has a claim, and a wait has claims; each wait has one end; a session
//! with waits is listed under the earliest of their ends.

use std::ops::Bound;
use std::sync::Arc;

use serde::Serialize;

use super::resource::ResourceId;
use super::waits::Wait;
use crate::ids::{ClusterTime, FenceToken, Sequence, SessionId};
use crate::machine::Table;
use crate::machine::expiry::Deadlines;
use crate::machine::service::Asker;
use crate::machine::short_table::ShortTable;
use crate::machine::snapshot::beyond;

/// What a session has to do with one resource: it holds it under a token, or it stands in line, for which
/// there is the token that is never granted. There is one for each place in line, so it is small.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(super) struct Claim(FenceToken);

impl Claim {
    /// It stands in line.
    pub(super) const WAITS: Self = Self(FenceToken(0));

    /// It holds under this token.
    pub(super) fn holds(token: FenceToken) -> Self {
        Self(token)
    }

    /// The token under which it holds, if it does.
    pub(super) fn token(self) -> Option<FenceToken> {
        (self != Self::WAITS).then_some(self.0)
    }
}

/// One session.
#[derive(Clone, Debug, Default, Serialize)]
struct Party {
    claims: ShortTable<ResourceId, Claim>,
    waits: ShortTable<Sequence, Wait>,
    ends: ShortTable<(ClusterTime, Sequence), ()>,
}

impl Party {
    /// The earliest end of a wait.
    fn first_end(&self) -> Option<(ClusterTime, Sequence)> {
        self.ends.get_min().map(|&(end, ())| end)
    }

    fn is_idle(&self) -> bool {
        self.claims.is_empty() && self.waits.is_empty()
    }
}

/// All sessions that have to do with locks.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Parties {
    table: Table<SessionId, Arc<Party>>,
    /// Those with waits, by the earliest end.
    ends: Deadlines<SessionId>,
    /// How many commands wait.
    waiting: usize,
    /// How many claims are holds. Follows from them, so the fingerprint of a state does without it.
    #[serde(skip)]
    holding: usize,
    /// How many claims there are. Follows from them as well.
    #[serde(skip)]
    claims: usize,
}

impl Parties {
    fn party_mut(&mut self, session: SessionId) -> &mut Party {
        Arc::make_mut(self.table.entry(session).or_default())
    }

    /// Whether a session holds or awaits anything.
    pub(super) fn contains(&self, session: SessionId) -> bool {
        self.table.contains_key(&session)
    }

    /// How many resources a session holds or awaits.
    pub(super) fn count_claims(&self, session: SessionId) -> usize {
        self.table.get(&session).map_or(0, |party| party.claims.len())
    }

    /// What a session has to do with a resource, if anything.
    pub(super) fn claim_of(&self, session: SessionId, resource: ResourceId) -> Option<Claim> {
        self.table.get(&session)?.claims.get(&resource).copied()
    }

    /// The claims of a session.
    pub(super) fn claims_of(&self, session: SessionId) -> Vec<(ResourceId, Claim)> {
        let party = self.table.get(&session);
        party.map_or_else(Vec::new, |party| party.claims.iter().map(|(&id, &claim)| (id, claim)).collect())
    }

    /// Notes what a session has to do with a resource now.
    pub(super) fn claim(&mut self, session: SessionId, resource: ResourceId, claim: Claim) {
        self.holding += usize::from(claim.token().is_some());
        let before = self.party_mut(session).claims.insert(resource, claim);
        self.claims += usize::from(before.is_none());
        self.holding -= usize::from(before.and_then(Claim::token).is_some());
    }

    /// A session has nothing to do with a resource any more.
    pub(super) fn disclaim(&mut self, session: SessionId, resource: ResourceId) {
        let party = self.party_mut(session);
        let claim = party.claims.remove(&resource).expect("who leaves has been there");
        if party.is_idle() {
            self.table.remove(&session);
        }
        self.claims -= 1;
        self.holding -= usize::from(claim.token().is_some());
    }

    /// A command that waits.
    pub(super) fn wait(&self, by: Asker) -> Option<&Wait> {
        self.table.get(&by.session)?.waits.get(&by.sequence)
    }

    /// A command that waits, to be let in or shut out.
    pub(super) fn wait_mut(&mut self, by: Asker) -> Option<&mut Wait> {
        Arc::make_mut(self.table.get_mut(&by.session)?).waits.get_mut(&by.sequence)
    }

    /// The commands of a session that wait, by their numbers.
    pub(super) fn waits_of(&self, session: SessionId) -> impl Iterator<Item = (Asker, &Wait)> {
        self.waits_from((Bound::Included(session), Bound::Included(session)), None)
    }

    /// All commands that wait from the one after this on, by sessions and numbers.
    pub(super) fn waits_beyond(&self, after: Option<Asker>) -> impl Iterator<Item = (Asker, &Wait)> {
        let first = after.map_or(Bound::Unbounded, |after| Bound::Included(after.session));
        self.waits_from((first, Bound::Unbounded), after)
    }

    fn waits_from(
        &self,
        sessions: (Bound<SessionId>, Bound<SessionId>),
        after: Option<Asker>,
    ) -> impl Iterator<Item = (Asker, &Wait)> {
        self.table.range(sessions).flat_map(move |(&session, party)| {
            let after = after.filter(|after| after.session == session).map(|after| after.sequence);
            let waits = party.waits.range(beyond(after));
            waits.map(move |(&sequence, wait)| (Asker { session, sequence }, wait))
        })
    }

    /// How often sessions hold a resource.
    pub(super) fn holding(&self) -> usize {
        self.holding
    }

    /// How many holds and places in line there are.
    pub(super) fn claims(&self) -> usize {
        self.claims
    }

    /// How many commands wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// A command waits from now on.
    pub(super) fn add_wait(&mut self, by: Asker, wait: Wait) {
        // One of the same number is there only if a retry was applied twice, which is a planted bug.
        drop(self.take_wait(by));
        let end = (wait.deadline, by.sequence);
        let party = self.party_mut(by.session);
        let before = party.first_end();
        party.waits.insert(by.sequence, wait);
        party.ends.insert(end, ());
        let first = party.first_end();
        self.waiting += 1;
        self.relist(by.session, before, first);
    }

    /// A command waits no more, if it did.
    pub(super) fn take_wait(&mut self, by: Asker) -> Option<Wait> {
        self.wait(by)?;
        let party = self.party_mut(by.session);
        let before = party.first_end();
        let wait = party.waits.remove(&by.sequence)?;
        party.ends.remove(&(wait.deadline, by.sequence));
        let (first, is_idle) = (party.first_end(), party.is_idle());
        if is_idle {
            self.table.remove(&by.session);
        }
        self.waiting -= 1;
        self.relist(by.session, before, first);
        Some(wait)
    }

    /// Lists a session under the earliest end of its waits as it is now.
    fn relist(
        &mut self,
        session: SessionId,
        before: Option<(ClusterTime, Sequence)>,
        first: Option<(ClusterTime, Sequence)>,
    ) {
        let [before, first] = [before, first].map(|end| end.map(|(end, _)| end));
        if before == first {
            return;
        }
        if let Some(before) = before {
            self.ends.remove(before, session);
        }
        if let Some(first) = first {
            self.ends.add(first, session);
        }
    }

    /// The earliest end of a wait.
    pub(super) fn next_end(&self) -> Option<ClusterTime> {
        self.ends.next()
    }

    /// The wait that ends first.
    pub(super) fn first_to_end(&self) -> Option<Asker> {
        let &session = self.ends.in_order().next()?;
        let (_, sequence) = self.table[&session].first_end()?;
        Some(Asker { session, sequence })
    }

    /// How many ends there are.
    #[cfg(test)]
    pub(super) fn count_ends(&self) -> usize {
        self.table.values().map(|party| party.ends.len()).sum()
    }
}
