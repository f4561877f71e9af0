//! Random logs: intentions are drawn, then made concrete against what earlier entries led to, so that
//! tokens, sessions and retries mostly mean something. Times lie on a coarse grid, so that deadlines and
//! stamps often coincide.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::ids::{ClusterTime, FenceToken, LogIndex, Sequence, SessionId};
use crate::machine::limits::Limits;
use crate::machine::{
    Action, Applied, Command, LockAction, LockMode, Machine, MachineEvent, RegisterAction, Reply,
};

/// One grid step of time.
pub(super) const GRID_US: u64 = 50_000;
/// The resources and keys that occur; one more than [`limits`] admits.
pub(super) const NAMES: [&str; 4] = ["attic", "barn", "cellar", "door"];

/// Bounds that a random log reaches.
pub(super) fn limits() -> Limits {
    Limits { sessions: 7, waiters: 3, locks: 3, keys: 3 }
}

/// A concrete entry.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) index: LogIndex,
    pub(super) time: ClusterTime,
    pub(super) command: Command,
}

/// What an entry shall be, before it is known which sessions and tokens there are.
#[derive(Clone, Debug)]
enum Intent {
    Tick,
    Open { lease_grid: u64 },
    Keep(Index),
    Close(Index),
    Acquire { who: Index, resource: usize, shared: bool, wait_grid: u64 },
    Release { who: Index, which: Index },
    ReleaseAsOther { who: Index, which: Index },
    Set { who: Index, key: usize, value: u8 },
    CompareAndSet { who: Index, key: usize, expected: Option<u8>, value: u8 },
    Delete { who: Index, key: usize },
    LetGo { who: Index },
    Malformed { who: Index, behind: bool },
    Again { which: Index },
}

fn intent() -> impl Strategy<Value = Intent> {
    let who = any::<Index>;
    let name = || prop_oneof![3 => Just(0), 2 => 0..NAMES.len()];
    prop_oneof![
        2 => Just(Intent::Tick),
        10 => (0_u64..60).prop_map(|lease_grid| Intent::Open { lease_grid }),
        8 => who().prop_map(Intent::Keep),
        1 => who().prop_map(Intent::Close),
        20 => (who(), name(), any::<bool>(), 0_u64..20)
            .prop_map(|(who, resource, shared, wait_grid)| Intent::Acquire { who, resource, shared, wait_grid }),
        7 => (who(), who()).prop_map(|(who, which)| Intent::Release { who, which }),
        1 => (who(), who()).prop_map(|(who, which)| Intent::ReleaseAsOther { who, which }),
        4 => (who(), name(), 0_u8..3).prop_map(|(who, key, value)| Intent::Set { who, key, value }),
        4 => (who(), name(), proptest::option::of(0_u8..3), 0_u8..3)
            .prop_map(|(who, key, expected, value)| Intent::CompareAndSet { who, key, expected, value }),
        2 => (who(), name()).prop_map(|(who, key)| Intent::Delete { who, key }),
        3 => who().prop_map(|who| Intent::LetGo { who }),
        1 => (who(), any::<bool>()).prop_map(|(who, behind)| Intent::Malformed { who, behind }),
        8 => who().prop_map(|which| Intent::Again { which }),
    ]
}

/// A random log of up to 120 entries, made against a machine with [`limits`].
pub(super) fn log() -> impl Strategy<Value = Vec<Entry>> {
    let pause = prop_oneof![16 => Just(0_u64), 5 => Just(1_u64), 2 => 2_u64..5, 1 => Just(12_u64)];
    vec((pause, intent()), 1..120).prop_map(|intents| {
        let mut clients = Clients::default();
        let mut machine = Machine::with_limits(limits());
        let mut entries: Vec<Entry> = Vec::new();
        let mut time = ClusterTime(0);
        for (pause_grid, intent) in intents {
            time = time.plus_us(pause_grid * GRID_US);
            let index = LogIndex(entries.len() as u64 + 1);
            let command = clients.concrete(&intent);
            clients.learn(&machine.apply(index, time, &command));
            entries.push(Entry { index, time, command });
        }
        entries
    })
}

/// What all clients together have learnt.
#[derive(Default)]
struct Clients {
    /// Every session ever opened, with its next number and its lowest open one.
    sessions: Vec<(SessionId, u64, u64)>,
    /// Every grant ever made.
    grants: Vec<(SessionId, String, FenceToken)>,
    /// Every command with a number ever sent.
    sent: Vec<Command>,
}

impl Clients {
    fn learn(&mut self, applied: &Applied) {
        if let Ok(Reply::SessionOpened { session }) = applied.outcome {
            self.sessions.push((session, 1, 1));
        }
        for event in &applied.events {
            if let MachineEvent::LockGranted { resource, holder } = event {
                self.grants.push((holder.session, resource.clone(), holder.token));
            }
        }
    }

    fn concrete(&mut self, intent: &Intent) -> Command {
        if self.sessions.is_empty() {
            return Command::OpenSession { lease_us: 20 * GRID_US };
        }
        let name = |name: usize| NAMES[name].to_owned();
        let value = |value: u8| Bytes::copy_from_slice(&[value]);
        let action = match intent {
            Intent::Tick => return Command::Tick,
            Intent::Open { lease_grid } => return Command::OpenSession { lease_us: lease_grid * GRID_US },
            Intent::Keep(who) => return Command::KeepAlive { session: self.pick(who).0 },
            Intent::Close(who) => return Command::CloseSession { session: self.pick(who).0 },
            Intent::LetGo { who } => {
                let session = self.pick(who);
                session.2 = session.1;
                return Command::KeepAlive { session: session.0 };
            }
            Intent::Again { which } if self.sent.is_empty() => return self.concrete(&Intent::Keep(*which)),
            Intent::Again { which } => return which.get(&self.sent).clone(),
            Intent::Malformed { who, behind } => return self.malformed(who, *behind),
            Intent::Release { which, .. } | Intent::ReleaseAsOther { which, .. } => {
                let Some((_, resource, token)) = self.newest_grant(which) else { return Command::Tick };
                Action::Lock(LockAction::Release { resource, token })
            }
            Intent::Acquire { resource, shared, wait_grid, .. } => Action::Lock(LockAction::Acquire {
                resource: name(*resource),
                mode: if *shared { LockMode::Shared } else { LockMode::Exclusive },
                wait_us: wait_grid * GRID_US,
            }),
            Intent::Set { key, value: new, .. } => {
                Action::Register(RegisterAction::Set { key: name(*key), value: value(*new) })
            }
            Intent::CompareAndSet { key, expected, value: new, .. } => {
                let expected = expected.map(value);
                Action::Register(RegisterAction::CompareAndSet {
                    key: name(*key),
                    expected,
                    value: value(*new),
                })
            }
            Intent::Delete { key, .. } => Action::Register(RegisterAction::Delete { key: name(*key) }),
        };
        let by = match intent {
            Intent::Release { which, .. } => self.newest_grant(which).map(|(session, ..)| session),
            _ => None,
        };
        self.send(intent, by, action)
    }

    fn send(&mut self, intent: &Intent, by: Option<SessionId>, action: Action) -> Command {
        let who = match intent {
            Intent::Acquire { who, .. }
            | Intent::Release { who, .. }
            | Intent::ReleaseAsOther { who, .. }
            | Intent::Set { who, .. }
            | Intent::CompareAndSet { who, .. }
            | Intent::Delete { who, .. } => who,
            _ => unreachable!("the others have no action"),
        };
        let place = by.and_then(|by| self.sessions.iter().position(|session| session.0 == by));
        let place = place.unwrap_or_else(|| self.recent(who));
        let (session, next, lowest_open) = &mut self.sessions[place];
        let sequence = Sequence(*next);
        *next += 1;
        let command =
            Command::Once { session: *session, sequence, lowest_open: Sequence(*lowest_open), action };
        self.sent.push(command.clone());
        command
    }

    fn malformed(&mut self, who: &Index, behind: bool) -> Command {
        let &mut (session, next, _) = self.pick(who);
        let (sequence, lowest_open) = if behind { (next, next + 1) } else { (next + 1024, next) };
        let command = Command::Once {
            session,
            sequence: Sequence(sequence),
            lowest_open: Sequence(lowest_open),
            action: Action::Register(RegisterAction::Delete { key: NAMES[0].to_owned() }),
        };
        self.sent.push(command.clone());
        command
    }

    /// One of the eight newest sessions: older ones have mostly ended.
    fn recent(&self, who: &Index) -> usize {
        let newest = self.sessions.len().min(8);
        self.sessions.len() - 1 - who.index(newest)
    }

    fn pick(&mut self, who: &Index) -> &mut (SessionId, u64, u64) {
        let place = self.recent(who);
        &mut self.sessions[place]
    }

    /// One of the four newest grants.
    fn newest_grant(&self, which: &Index) -> Option<(SessionId, String, FenceToken)> {
        let newest = self.grants.len().min(4);
        (newest > 0).then(|| self.grants[self.grants.len() - 1 - which.index(newest)].clone())
    }
}
