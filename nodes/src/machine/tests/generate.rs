//! Random logs: intentions are drawn, then made concrete against what earlier entries led to, so that
//! tokens, sessions and retries mostly mean something. Times lie on a coarse grid, so that deadlines and
//! stamps often coincide.

use std::collections::BTreeSet;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::ids::{ClientId, ClusterTime, FenceToken, LogIndex, Sequence, SessionId};
use crate::machine::cache::CacheLimits;
use crate::machine::limits::Limits;
use crate::machine::lock::LockLimits;
use crate::machine::queue::QueueLimits;
use crate::machine::{
    Action, Applied, CacheAction, Command, Expected, LockAction, LockEvent, LockGrant, LockMode, LockRequest,
    Machine, MachineEvent, Opener, Reply,
};

/// One grid step of time.
pub(super) const GRID_US: u64 = 50_000;
/// The keys that occur; one more than [`limits`] admits.
pub(super) const NAMES: [&str; 4] = ["attic", "barn", "cellar", "door"];
/// The resources that are locked: mutexes mostly, the last three semaphores mostly.
pub(super) const RESOURCES: [&str; 6] = ["attic", "barn", "cellar", "door", "pool", "quay"];

/// Bounds that a random log reaches.
pub(super) fn limits() -> Limits {
    Limits {
        sessions: 7,
        ends: 2,
        lock: LockLimits { waiters: 2, locks: 5, claims: 9, forced: 2 },
        queue: QueueLimits::default(),
        cache: CacheLimits { keys: 3 },
    }
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
    /// Under a name, or under none.
    Open {
        lease_grid: u64,
        opener: Option<u64>,
    },
    Keep(Index),
    Close(Index),
    Acquire {
        who: Index,
        names: Vec<usize>,
        modes: u8,
        wait_grid: u64,
    },
    Release {
        who: Index,
        which: Index,
    },
    ReleaseTwo {
        which: Index,
        other: Index,
    },
    ReleaseAsOther {
        who: Index,
        which: Index,
    },
    Upgrade {
        which: Index,
        wait_grid: u64,
    },
    Downgrade {
        which: Index,
    },
    Cancel {
        who: Index,
        back: u64,
    },
    Declare {
        who: Index,
        semaphore: usize,
        permits: u32,
    },
    RemoveSemaphore {
        who: Index,
        semaphore: usize,
    },
    Force {
        who: Index,
        which: Index,
    },
    Set {
        who: Index,
        key: usize,
        value: u8,
    },
    CompareAndSet {
        who: Index,
        key: usize,
        expected: Option<u8>,
        value: u8,
    },
    Delete {
        who: Index,
        key: usize,
    },
    LetGo {
        who: Index,
    },
    LetGoBut {
        who: Index,
        kept: u8,
    },
    Late {
        who: Index,
        key: usize,
        value: u8,
    },
    Malformed {
        who: Index,
        behind: bool,
    },
    Again {
        which: Index,
    },
}

fn intent() -> impl Strategy<Value = Intent> {
    let who = any::<Index>;
    let name = || prop_oneof![3 => Just(0), 2 => 0..NAMES.len()];
    let names = || {
        vec(0..RESOURCES.len(), 0..8).prop_map(|mut names| {
            // One resource mostly, sometimes two or three, hardly ever none or the same twice.
            names.truncate([1, 1, 1, 2, 3, 2, 1, 3][names.len()]);
            names
        })
    };
    prop_oneof![
        2 => Just(Intent::Tick),
        10 => (0_u64..60, proptest::option::of(0_u64..6))
            .prop_map(|(lease_grid, opener)| Intent::Open { lease_grid, opener }),
        8 => who().prop_map(Intent::Keep),
        1 => who().prop_map(Intent::Close),
        24 => (who(), names(), any::<u8>(), 0_u64..20)
            .prop_map(|(who, names, modes, wait_grid)| Intent::Acquire { who, names, modes, wait_grid }),
        7 => (who(), who()).prop_map(|(who, which)| Intent::Release { who, which }),
        1 => (who(), who()).prop_map(|(which, other)| Intent::ReleaseTwo { which, other }),
        4 => (who(), 0_u64..20).prop_map(|(which, wait_grid)| Intent::Upgrade { which, wait_grid }),
        2 => who().prop_map(|which| Intent::Downgrade { which }),
        2 => (who(), 1_u64..4).prop_map(|(who, back)| Intent::Cancel { who, back }),
        5 => (who(), 0_usize..3, 0_u32..5)
            .prop_map(|(who, semaphore, permits)| Intent::Declare { who, semaphore, permits }),
        1 => (who(), 0_usize..3).prop_map(|(who, semaphore)| Intent::RemoveSemaphore { who, semaphore }),
        1 => (who(), who()).prop_map(|(who, which)| Intent::Force { who, which }),
        1 => (who(), who()).prop_map(|(who, which)| Intent::ReleaseAsOther { who, which }),
        4 => (who(), name(), 0_u8..3).prop_map(|(who, key, value)| Intent::Set { who, key, value }),
        4 => (who(), name(), proptest::option::of(0_u8..3), 0_u8..3)
            .prop_map(|(who, key, expected, value)| Intent::CompareAndSet { who, key, expected, value }),
        2 => (who(), name()).prop_map(|(who, key)| Intent::Delete { who, key }),
        3 => who().prop_map(|who| Intent::LetGo { who }),
        3 => (who(), any::<u8>()).prop_map(|(who, kept)| Intent::LetGoBut { who, kept }),
        2 => (who(), name(), 0_u8..3).prop_map(|(who, key, value)| Intent::Late { who, key, value }),
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
    /// Every session ever opened, with its next number, its lowest open one, and those open below.
    sessions: Vec<(SessionId, u64, u64, Vec<u64>)>,
    /// Every grant ever made.
    grants: Vec<(SessionId, String, FenceToken)>,
    /// What is a semaphore now.
    semaphores: BTreeSet<String>,
    /// Every command with a number ever sent.
    sent: Vec<Command>,
}

impl Clients {
    fn learn(&mut self, applied: &Applied) {
        if let Ok(Reply::SessionOpened { session }) = applied.outcome {
            self.sessions.push((session, 1, 1, Vec::new()));
        }
        for event in &applied.events {
            if let MachineEvent::Lock(LockEvent::Granted { resource, holder }) = event {
                self.grants.push((holder.session, resource.clone(), holder.token));
            }
            if let MachineEvent::Lock(LockEvent::Semaphore { resource, permits }) = event {
                self.semaphores.remove(resource);
                self.semaphores.extend(permits.map(|_| resource.clone()));
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
            Intent::Open { lease_grid, opener: None } => {
                return Command::OpenSession { lease_us: lease_grid * GRID_US };
            }
            Intent::Open { lease_grid, opener: Some(nonce) } => {
                let opener = Opener { client: ClientId(nonce / 2), nonce: nonce % 2 };
                return Command::OpenSessionOnce { lease_us: lease_grid * GRID_US, opener };
            }
            Intent::Keep(who) => return Command::KeepAlive { session: self.pick(who).0 },
            Intent::Close(who) => return Command::CloseSession { session: self.pick(who).0 },
            Intent::LetGo { who } => {
                let session = self.pick(who);
                session.2 = session.1;
                session.3.clear();
                return Command::KeepAlive { session: session.0 };
            }
            Intent::LetGoBut { who, kept } => {
                // Of its latest eight numbers, and of those that it kept before, some stay open.
                let session = self.pick(who);
                let open = |number: u64| kept >> (number % 8) & 1 == 1;
                let newest = session.2.max(session.1.saturating_sub(8)).max(1)..session.1;
                session.3.extend(newest);
                session.3.retain(|&number| open(number));
                session.2 = session.1;
                return Command::KeepAlive { session: session.0 };
            }
            Intent::Late { key, value: new, .. } => {
                // It is sent, and comes when it is sent again.
                let set = CacheAction::Set { key: name(*key), value: value(*new), ttl_us: None };
                self.send(intent, None, Action::Cache(set));
                return Command::Tick;
            }
            Intent::Again { which } if self.sent.is_empty() => return self.concrete(&Intent::Keep(*which)),
            Intent::Again { which } => return which.get(&self.sent).clone(),
            Intent::Malformed { who, behind } => return self.malformed(who, *behind),
            Intent::Release { which, .. } | Intent::ReleaseAsOther { which, .. } => {
                let Some((_, resource, token)) = self.newest_grant(which) else { return Command::Tick };
                Action::Lock(LockAction::Release { grants: vec![LockGrant { resource, token }] })
            }
            Intent::ReleaseTwo { which, other } => {
                let (Some(one), Some(two)) = (self.newest_grant(which), self.newest_grant(other)) else {
                    return Command::Tick;
                };
                let grants = [one, two].map(|(_, resource, token)| LockGrant { resource, token });
                Action::Lock(LockAction::Release { grants: grants.to_vec() })
            }
            Intent::Upgrade { which, wait_grid } => {
                let Some((_, resource, token)) = self.newest_grant(which) else { return Command::Tick };
                Action::Lock(LockAction::Upgrade { resource, token, wait_us: wait_grid * GRID_US })
            }
            Intent::Downgrade { which } => {
                let Some((_, resource, token)) = self.newest_grant(which) else { return Command::Tick };
                Action::Lock(LockAction::Downgrade { resource, token })
            }
            Intent::Force { which, .. } => {
                let Some((_, resource, token)) = self.newest_grant(which) else { return Command::Tick };
                Action::Lock(LockAction::ForceRelease { resource, token, reason: "stuck".to_owned() })
            }
            Intent::Cancel { who, back } => {
                let next = self.pick(who).1;
                Action::Lock(LockAction::Cancel { sequence: Sequence(next.saturating_sub(*back)) })
            }
            Intent::Declare { semaphore, permits, .. } => {
                let resource = RESOURCES[3 + semaphore].to_owned();
                Action::Lock(LockAction::DeclareSemaphore { resource, permits: *permits })
            }
            Intent::RemoveSemaphore { semaphore, .. } => {
                Action::Lock(LockAction::RemoveSemaphore { resource: RESOURCES[3 + semaphore].to_owned() })
            }
            Intent::Acquire { names, modes, wait_grid, .. } => Action::Lock(LockAction::Acquire {
                requests: self.requests(names, *modes),
                wait_us: wait_grid * GRID_US,
            }),
            Intent::Set { key, value: new, .. } => {
                Action::Cache(CacheAction::Set { key: name(*key), value: value(*new), ttl_us: None })
            }
            Intent::CompareAndSet { key, expected, value: new, .. } => {
                let expected = expected.map_or(Expected::Absent, |old| Expected::Value(value(old)));
                let (key, value) = (name(*key), value(*new));
                Action::Cache(CacheAction::CompareAndSet { key, expected, value, ttl_us: None })
            }
            Intent::Delete { key, .. } => Action::Cache(CacheAction::Delete { key: name(*key) }),
        };
        let by = match intent {
            Intent::Release { which, .. }
            | Intent::ReleaseTwo { which, .. }
            | Intent::Upgrade { which, .. }
            | Intent::Downgrade { which } => self.newest_grant(which).map(|(session, ..)| session),
            _ => None,
        };
        self.send(intent, by, action)
    }

    /// Requests in modes that mostly go with the resources.
    fn requests(&self, names: &[usize], modes: u8) -> Vec<LockRequest> {
        let mode = |place: usize, resource: &str| {
            let drawn = modes.rotate_left(place as u32 * 3);
            let is_semaphore = self.semaphores.contains(resource) != (drawn % 64 == 9);
            match (is_semaphore, drawn & 1) {
                (true, _) => LockMode::Permits(u32::from(drawn >> 2) % 4),
                (false, 0) => LockMode::Shared,
                (false, _) => LockMode::Exclusive,
            }
        };
        let named = names.iter().map(|&name| RESOURCES[name]).enumerate();
        named
            .map(|(place, name)| LockRequest { resource: name.to_owned(), mode: mode(place, name) })
            .collect()
    }

    fn send(&mut self, intent: &Intent, by: Option<SessionId>, action: Action) -> Command {
        let who = match intent {
            Intent::Acquire { who, .. }
            | Intent::Release { who, .. }
            | Intent::ReleaseAsOther { who, .. }
            | Intent::ReleaseTwo { which: who, .. }
            | Intent::Upgrade { which: who, .. }
            | Intent::Downgrade { which: who }
            | Intent::Cancel { who, .. }
            | Intent::Late { who, .. }
            | Intent::Declare { who, .. }
            | Intent::RemoveSemaphore { who, .. }
            | Intent::Force { who, .. }
            | Intent::Set { who, .. }
            | Intent::CompareAndSet { who, .. }
            | Intent::Delete { who, .. } => who,
            _ => unreachable!("the others have no action"),
        };
        let place = by.and_then(|by| self.sessions.iter().position(|session| session.0 == by));
        let place = place.unwrap_or_else(|| self.recent(who));
        let (session, next, lowest_open, open_below) = &mut self.sessions[place];
        let sequence = Sequence(*next);
        *next += 1;
        let command = Command::Once {
            session: *session,
            sequence,
            lowest_open: Sequence(*lowest_open),
            open_below: open_below.iter().copied().map(Sequence).collect(),
            action,
        };
        self.sent.push(command.clone());
        command
    }

    fn malformed(&mut self, who: &Index, behind: bool) -> Command {
        let &mut (session, next, ..) = self.pick(who);
        let (sequence, lowest_open) = if behind { (next, next + 1) } else { (next + 1024, next) };
        let open_below = if next % 3 == 0 { vec![Sequence(lowest_open)] } else { Vec::new() };
        let command = Command::Once {
            session,
            sequence: Sequence(sequence),
            lowest_open: Sequence(lowest_open),
            open_below,
            action: Action::Cache(CacheAction::Delete { key: NAMES[0].to_owned() }),
        };
        self.sent.push(command.clone());
        command
    }

    /// One of the eight newest sessions: older ones have mostly ended.
    fn recent(&self, who: &Index) -> usize {
        let newest = self.sessions.len().min(8);
        self.sessions.len() - 1 - who.index(newest)
    }

    fn pick(&mut self, who: &Index) -> &mut (SessionId, u64, u64, Vec<u64>) {
        let place = self.recent(who);
        &mut self.sessions[place]
    }

    /// One of the four newest grants.
    fn newest_grant(&self, which: &Index) -> Option<(SessionId, String, FenceToken)> {
        let newest = self.grants.len().min(4);
        (newest > 0).then(|| self.grants[self.grants.len() - 1 - which.index(newest)].clone())
    }
}
