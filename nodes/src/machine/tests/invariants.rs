//! What must hold of the machine after every apply, looked at through its questions and its events.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::{FenceToken, LogIndex, SessionId};
use crate::machine::limits::Limits;
use crate::machine::{
    Applied, LockEvent, LockMode, LockQuery, LockReply, LockState, Machine, MachineEvent, OPEN_BELOW_MAX,
    OPEN_COMMANDS_MAX, Query, Reply,
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
        for resource in &machine.locks.names() {
            let holders = lock_state(machine, resource).holders;
            let tokens: BTreeSet<FenceToken> = holders.iter().map(|holder| holder.token).collect();
            watch.highest.extend(tokens.last().map(|&token| (resource.clone(), token)));
            watch.held.insert(resource.clone(), tokens);
        }
        watch
    }

    /// Looks at the machine after it has applied the entry at `index`.
    pub(super) fn check(&mut self, machine: &Machine, limits: Limits, index: LogIndex, applied: &Applied) {
        for event in &applied.events {
            self.follow(machine, index, event);
        }
        for (resource, tokens) in &self.held {
            assert!(tokens.is_empty() || machine.locks.names().contains(resource), "what is held is known");
        }
        let mut waits = BTreeSet::new();
        for resource in &machine.locks.names() {
            let state = lock_state(machine, resource);
            self.check_lock(machine, limits, resource, &state);
            waits.extend(state.waiters.iter().map(|waiter| (waiter.session, waiter.sequence)));
        }
        let known = machine.sessions.open.iter();
        let remembered: BTreeSet<_> = known
            .flat_map(|(&id, session)| session.waits.iter().map(move |(&number, _)| (id, number)))
            .collect();
        assert_eq!(waits, remembered, "who waits is known to wait");
        assert_eq!(machine.locks.counts(), (waits.len(), waits.len()), "one deadline for each wait");
        self.check_sessions(machine, limits);
    }

    fn follow(&mut self, machine: &Machine, index: LogIndex, event: &MachineEvent) {
        match event {
            MachineEvent::Lock(LockEvent::Granted { resource, holder }) => {
                assert_eq!(holder.token.granting_index(), index, "a token names its entry");
                let before = self.highest.insert(resource.clone(), holder.token);
                assert!(before < Some(holder.token), "tokens rise in the order of grants");
                assert!(self.held.entry(resource.clone()).or_default().insert(holder.token));
                assert!(!self.ended.contains(&holder.session), "nobody is granted after its end");
            }
            MachineEvent::Lock(LockEvent::Released { resource, holder }) => {
                assert!(self.held.entry(resource.clone()).or_default().remove(&holder.token));
            }
            MachineEvent::Lock(LockEvent::Forced(_) | LockEvent::Semaphore { .. }) => {}
            MachineEvent::Queue(_) => unreachable!("these commands touch no topic"),
            MachineEvent::Completed { session, sequence, outcome } => {
                assert!(!matches!(outcome, Ok(Reply::Waiting { .. })), "a completion is final");
                if let Some(remembered) = machine.outcome_of(*session, *sequence) {
                    assert_eq!(remembered, *outcome, "the table remembers what was announced");
                }
            }
            // The cache's own tests look at these.
            MachineEvent::Cache(_) => {}
            MachineEvent::SessionEnded { session, .. } => {
                assert!(self.ended.insert(*session), "a session ends once");
                assert!(!machine.sessions.open.contains_key(session));
            }
        }
    }

    fn check_lock(&self, machine: &Machine, limits: Limits, resource: &str, state: &LockState) {
        let tokens: BTreeSet<FenceToken> = state.holders.iter().map(|holder| holder.token).collect();
        let told = self.held.get(resource).cloned().unwrap_or_default();
        assert_eq!(tokens, told, "the events tell who holds");
        let is_shared = state.holders.iter().all(|holder| holder.mode == LockMode::Shared);
        assert!(tokens.len() < 2 || is_shared || state.permits.is_some(), "holders go together");
        assert!(state.waiters.len() <= limits.lock.waiters + 1);
        let upgrades = state.waiters.iter().filter(|waiter| waiter.is_upgrade);
        assert!(upgrades.clone().count() < 2, "two upgrades would wait for each other");
        assert!(upgrades.clone().all(|upgrade| state.holders.iter().any(|h| h.session == upgrade.session)));
        let here: Vec<SessionId> = (state.holders.iter().map(|holder| holder.session))
            .chain(state.waiters.iter().filter(|waiter| !waiter.is_upgrade).map(|waiter| waiter.session))
            .collect();
        assert_eq!(here.iter().collect::<BTreeSet<_>>().len(), here.len(), "a session is here once");
        assert!(here.iter().all(|session| machine.sessions.open.contains_key(session)));
    }

    fn check_sessions(&self, machine: &Machine, limits: Limits) {
        assert!(machine.sessions.open.len() <= limits.sessions);
        assert_eq!(
            machine.sessions.deadlines(),
            machine.sessions.open.len(),
            "one deadline for each session"
        );
        for (id, session) in &machine.sessions.open {
            assert!(!self.ended.contains(id));
            assert!(session.remembered() <= OPEN_COMMANDS_MAX + OPEN_BELOW_MAX);
            assert!(session.open_below.len() <= OPEN_BELOW_MAX);
            for (sequence, _) in session.waits.iter() {
                assert!(matches!(machine.outcome_of(*id, *sequence), Some(Ok(Reply::Waiting { .. }))));
            }
        }
    }
}

fn lock_state(machine: &Machine, resource: &str) -> LockState {
    match machine.query(&Query::Lock(LockQuery::State { resource: resource.to_owned() })) {
        Ok(Reply::Lock(LockReply::State(state))) => *state,
        other => panic!("a lock query answered {other:?}"),
    }
}
