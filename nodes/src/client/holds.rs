//! What a client believes of the locks that its session holds.
//!
//! All of them end with the session. But somebody may end one of them by force, and the session goes on. The reply to
//! a keep-alive tells that something may have been taken ([`Reply::Renewed`]), and the client then asks what is left.
//! No other reply does, so keep-alives alone, and the answers to that question, renew the belief in locks: a lease
//! after a forced release at the latest, and as a rule a third of that, its former holder knows.
//!
//! A belief that is over stays over. Who was granted a lock gives it back all the same, for the cluster may still keep
//! it for the session.
//!
//! [`Reply::Renewed`]: crate::machine::Reply::Renewed

use std::collections::{BTreeSet, VecDeque};

use super::LockGuard;
use crate::ids::{FenceToken, LocalTime, LogIndex};
use crate::machine::{CLAIMS_MAX, LockGrant, SessionLocks};
use crate::marks;

/// A lock under a token, which is unique for one resource only.
type Hold = (String, FenceToken);

/// The locks of one session, as its client sees them.
#[derive(Debug)]
pub(super) struct Holds {
    /// Granted, not given back, and not known to be over.
    held: BTreeSet<Hold>,
    /// Over though nobody gave them back, and since when; the latest last, as many as a session can hold.
    over: VecDeque<(Hold, LocalTime)>,
    /// Until when the client may take it that nothing has been taken from it that it does not know of.
    known_until: LocalTime,
    /// Forced releases up to this entry have been looked for.
    looked_at: LogIndex,
}

impl Holds {
    /// None, in a session that was opened by the entry at `opened_at`.
    pub(super) fn new(opened_at: LogIndex, known_until: LocalTime) -> Self {
        Self { held: BTreeSet::new(), over: VecDeque::new(), known_until, looked_at: opened_at }
    }

    /// These locks were granted, and are believed in unless they are known to be over.
    pub(super) fn grant(&mut self, grants: &[LockGrant]) {
        let is_over = |hold: &Hold| self.over.iter().any(|(over, _)| over == hold);
        let believed: Vec<Hold> = grants.iter().map(granted).filter(|hold| !is_over(hold)).collect();
        self.held.extend(believed);
    }

    /// Up to where forced releases were looked for without regard to these grants, though they may have ended one of
    /// them; `None` if they cannot.
    pub(super) fn doubted(&self, grants: &[LockGrant]) -> Option<LogIndex> {
        let earliest = grants.iter().map(|grant| grant.token.granting_index()).min()?;
        (earliest <= self.looked_at).then_some(self.looked_at)
    }

    /// As far as anybody knows the session holds this, by a state that has applied the entry at `up_to`: of these grants,
    /// what was granted up to there and is not among it is over.
    pub(super) fn refuse_beyond(
        &mut self,
        grants: &[LockGrant],
        left: &SessionLocks,
        up_to: LogIndex,
        now: LocalTime,
    ) {
        for grant in grants.iter().filter(|grant| grant.token.granting_index() <= up_to) {
            if !left.held.iter().any(|one| one.resource == grant.resource && one.token == grant.token) {
                marks::hit("client.late_grant_is_over");
                self.end(granted(grant), now);
            }
        }
    }

    /// A lock is about to be given back.
    pub(super) fn give_back(&mut self, guard: &LockGuard) {
        let hold = hold(guard);
        self.held.remove(&hold);
        self.over.retain(|(over, _)| *over != hold);
    }

    /// When the belief in this lock ends, as things stand, or ended, if it was granted and not given back.
    pub(super) fn belief_ends(&self, guard: &LockGuard) -> Option<LocalTime> {
        let hold = hold(guard);
        if self.held.contains(&hold) {
            return Some(self.known_until);
        }
        self.over.iter().find(|(over, _)| *over == hold).map(|(_, since)| *since)
    }

    /// Whether a forced release by the entry at `taken_at` may be one that nobody here has looked for.
    pub(super) fn may_lack(&self, taken_at: LogIndex) -> bool {
        taken_at > self.looked_at && !self.held.is_empty()
    }

    /// The session holds this by a state that has applied the entry at `taken_at`, which is all that is left of what
    /// was granted up to there.
    pub(super) fn keep_only(&mut self, left: &SessionLocks, taken_at: LogIndex, now: LocalTime) {
        let left: BTreeSet<Hold> = left.held.iter().map(|one| (one.resource.clone(), one.token)).collect();
        // What was granted later may have been granted after the question was answered.
        let is_gone = |hold: &Hold| hold.1.granting_index() <= taken_at && !left.contains(hold);
        let gone: Vec<Hold> = self.held.iter().filter(|hold| is_gone(hold)).cloned().collect();
        for hold in gone {
            marks::hit("client.lock_taken_by_force");
            self.end(hold, now.min(self.known_until));
        }
    }

    /// Nothing was taken until a moment, by forced releases up to `looked_at`, but what is known; so for some time from
    /// then on, until `until`, nothing more is believed in error.
    pub(super) fn renew(&mut self, looked_at: LogIndex, now: LocalTime, until: LocalTime) {
        if now >= self.known_until {
            let since = self.known_until;
            for hold in std::mem::take(&mut self.held) {
                marks::hit("client.lock_not_confirmed_in_time");
                self.end(hold, since);
            }
        }
        self.looked_at = self.looked_at.max(looked_at);
        self.known_until = self.known_until.max(until);
    }

    fn end(&mut self, hold: Hold, since: LocalTime) {
        self.held.remove(&hold);
        if self.over.len() == CLAIMS_MAX {
            self.over.pop_front();
        }
        self.over.push_back((hold, since));
    }
}

fn granted(grant: &LockGrant) -> Hold {
    (grant.resource.clone(), grant.token)
}

fn hold(guard: &LockGuard) -> Hold {
    (guard.resource.clone(), guard.token)
}
