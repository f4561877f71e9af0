//! What must hold of the machine after every apply, looked at from inside and from its events.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::{FenceToken, LogIndex, SessionId};
use crate::machine::limits::Limits;
use crate::machine::session::Claim;
use crate::machine::{
    Applied, LockHolder, LockMode, Machine, MachineEvent, OPEN_COMMANDS_MAX, Outcome, Query, Reply,
};

/// Follows one machine from its first entry on.
#[derive(Default)]
pub(super) struct Watch {
    /// The highest token granted so far, by resource.
    highest: BTreeMap<String, FenceToken>,
    /// Who holds what, by the events alone.
    held: BTreeMap<String, BTreeSet<FenceToken>>,
    /// Sessions that have ended.
    ended: BTreeSet<SessionId>,
}

impl Watch {
    /// Follows a machine that has a past from here on.
    pub(super) fn from_now(machine: &Machine) -> Self {
        let mut watch = Self::default();
        for resource in machine.locks.names() {
            let holders = lock_state(machine, resource).holders;
            let tokens: BTreeSet<FenceToken> = holders.iter().map(|holder| holder.token).collect();
            watch.highest.extend(tokens.last().map(|&token| (resource.to_string(), token)));
            watch.held.insert(resource.to_string(), tokens);
        }
        watch
    }

    /// Looks at the machine after it has applied the entry at `index`.
    pub(super) fn check(&mut self, machine: &Machine, limits: Limits, index: LogIndex, applied: &Applied) {
        for event in &applied.events {
            self.follow(machine, index, event);
        }
        self.check_locks(machine, limits);
        self.check_sessions(machine, limits);
        let waits: usize = machine.sessions.values().map(|session| session.waits.len()).sum();
        assert_eq!(machine.deadlines.len(), machine.sessions.len() + waits, "one deadline for each");
    }

    fn follow(&mut self, machine: &Machine, index: LogIndex, event: &MachineEvent) {
        match event {
            MachineEvent::LockGranted { resource, holder } => {
                assert_eq!(holder.token.granting_index(), index, "a token names its entry");
                let before = self.highest.insert(resource.clone(), holder.token);
                assert!(before < Some(holder.token), "tokens rise in the order of grants");
                assert!(self.held.entry(resource.clone()).or_default().insert(holder.token));
                assert!(!self.ended.contains(&holder.session), "nobody is granted after its end");
            }
            MachineEvent::LockReleased { resource, holder } => {
                assert!(self.held.entry(resource.clone()).or_default().remove(&holder.token));
            }
            MachineEvent::Completed { session, sequence, outcome } => {
                assert!(!matches!(outcome, Ok(Reply::LockQueued { .. })), "a completion is final");
                if let Some(remembered) = machine.outcome_of(*session, *sequence) {
                    assert_eq!(remembered, outcome, "the table remembers what was announced");
                }
            }
            MachineEvent::SessionEnded { session, .. } => {
                assert!(self.ended.insert(*session), "a session ends once");
                assert!(!machine.sessions.contains_key(session));
            }
        }
    }

    fn check_locks(&self, machine: &Machine, limits: Limits) {
        assert!(machine.locks.len() <= limits.locks);
        let names: BTreeSet<&str> = machine.locks.names().map(|name| &**name).collect();
        for (resource, tokens) in &self.held {
            assert_eq!(!tokens.is_empty(), names.contains(resource.as_str()), "only held locks are kept");
        }
        for resource in names {
            let state = lock_state(machine, resource);
            let tokens: BTreeSet<FenceToken> = state.holders.iter().map(|holder| holder.token).collect();
            assert_eq!(&tokens, &self.held[resource], "the events tell who holds");
            assert!(tokens.len() == 1 || state.holders.iter().all(|holder| holder.mode == LockMode::Shared));
            assert!(state.waiters.len() <= limits.waiters);
            if let Some(head) = state.waiters.first() {
                let goes =
                    |holder: &LockHolder| (holder.mode, head.mode) == (LockMode::Shared, LockMode::Shared);
                assert!(!state.holders.iter().all(goes), "nobody waits who could hold");
            }
            let here: Vec<SessionId> = (state.holders.iter().map(|holder| holder.session))
                .chain(state.waiters.iter().map(|waiter| waiter.session))
                .collect();
            assert_eq!(here.iter().collect::<BTreeSet<_>>().len(), here.len(), "a session is here once");
            for session in here {
                assert!(machine.sessions[&session].claims.contains_key(resource), "and its session knows");
            }
        }
    }

    fn check_sessions(&self, machine: &Machine, limits: Limits) {
        assert!(machine.sessions.len() <= limits.sessions);
        for (id, session) in &machine.sessions {
            assert!(!self.ended.contains(id));
            assert!(session.remembered() <= OPEN_COMMANDS_MAX);
            let mut waiting = 0;
            for (resource, claim) in &session.claims {
                let state = lock_state(machine, resource);
                match claim {
                    Claim::Held(token) => {
                        assert!(state.holders.iter().any(|h| (h.session, h.token) == (*id, *token)));
                    }
                    Claim::Waiting(_) => {
                        waiting += 1;
                        let waiter = state.waiters.iter().find(|waiter| waiter.session == *id).unwrap();
                        assert_eq!(session.waits.get(&waiter.sequence), Some(resource));
                        let outcome: Option<&Outcome> = machine.outcome_of(*id, waiter.sequence);
                        assert!(matches!(outcome, Some(Ok(Reply::LockQueued { .. }))));
                    }
                }
            }
            assert_eq!(waiting, session.waits.len());
        }
    }
}

fn lock_state(machine: &Machine, resource: &str) -> crate::machine::LockState {
    match machine.query(&Query::Lock { resource: resource.to_owned() }) {
        Ok(Reply::Lock(state)) => state,
        other => panic!("a lock query answered {other:?}"),
    }
}
