//! Random commands against the naive model: outcomes, events, questions, victims, totals, after each of them;
//! the machine is frozen and restored now and then.

use bytes::Bytes;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::model::{Answer, Item, Model};
use crate::ids::{ClusterTime, LogIndex, Sequence, SessionId};
use crate::machine::cache::CacheLimits;
use crate::machine::limits::Limits;
use crate::machine::{
    Action, Applied, CacheAction, CacheEvent, CacheQuery, CacheReply, CacheSettings, CacheStats, CacheTotals,
    Command, EvictionPolicy, Expected, Machine, MachineError, MachineEvent, Outcome, Query, Reply, Room,
    Victim,
};
use crate::marks;

const KEYS: [&str; 6] = ["a", "b", "cc", "dd", "eee", "f"];
const KEYS_MAX: u64 = 5;
/// Keys that one entry ends by itself: fewer than fall due together now and then.
const ENDS: usize = 1;

fn limits() -> Limits {
    Limits { cache: CacheLimits { keys: KEYS_MAX as usize }, ends: ENDS, ..Limits::default() }
}

struct Dice(Xoshiro256PlusPlus);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0.next_u64() % n
    }

    fn pick<T: Clone>(&mut self, all: &[T]) -> T {
        all[usize::try_from(self.below(all.len() as u64)).unwrap()].clone()
    }

    fn key(&mut self) -> String {
        self.pick(&KEYS).to_owned()
    }

    fn value(&mut self) -> Bytes {
        Bytes::from(self.pick(&["", "1", "22", "-3", "x", "0004", "9223372036854775800", "a longer value"]))
    }

    fn ttl(&mut self) -> Option<u64> {
        self.pick(&[None, None, Some(1), Some(10_000), Some(35_000), Some(90_000), Some(0)])
    }

    fn expected(&mut self, model: &Model) -> Expected {
        let any: Option<Item> = (!model.items.is_empty()).then(|| self.pick(&model.items));
        match (self.below(3), any) {
            (0, _) | (_, None) => Expected::Absent,
            (1, Some(item)) => Expected::Value(Bytes::from(item.value)),
            (_, Some(item)) => Expected::Version(LogIndex(item.version)),
        }
    }

    fn action(&mut self, model: &Model) -> CacheAction {
        let (key, ttl_us) = (self.key(), self.ttl());
        match self.below(40) {
            0..12 => CacheAction::Set { key, value: self.value(), ttl_us },
            12..20 => CacheAction::CompareAndSet {
                key,
                expected: self.expected(model),
                value: self.value(),
                ttl_us,
            },
            20..24 => CacheAction::Delete { key },
            24..28 => CacheAction::CompareAndDelete { key, expected: self.expected(model) },
            28..34 => {
                let delta = self.pick(&[1, -1, 100, i64::MAX, i64::MIN]);
                CacheAction::Add { key, delta, initial: self.pick(&[0, 7, -7]), ttl_us }
            }
            34..38 => CacheAction::Touch { key, ttl_us },
            _ => CacheAction::Configure(CacheSettings {
                entries_max: self.below(KEYS_MAX + 2),
                bytes_max: self.pick(&[0, 8, 20, 40, 60, 1000]),
                policy: self.pick(&[
                    EvictionPolicy::Refuse,
                    EvictionPolicy::LeastRecentlyWritten,
                    EvictionPolicy::SoonestToExpire,
                ]),
            }),
        }
    }
}

/// The machine's answer in the model's words.
fn answer(outcome: &Outcome) -> Answer {
    match outcome {
        Ok(Reply::Done) => Answer::Done,
        Ok(Reply::Cache(reply)) => Answer::Reply(reply.clone()),
        Err(MachineError::Cache(error)) => Answer::Refused(error.clone()),
        Err(MachineError::InvalidArgument(_)) => Answer::Senseless,
        other => panic!("a cache does not answer {other:?}"),
    }
}

fn events(applied: &Applied) -> Vec<CacheEvent> {
    let cache = applied.events.iter().filter_map(|event| match event {
        MachineEvent::Cache(event) => Some(event.clone()),
        _ => None,
    });
    cache.collect()
}

fn ask(machine: &Machine, query: CacheQuery) -> CacheReply {
    match machine.query(&Query::Cache(query)) {
        Ok(Reply::Cache(reply)) => reply,
        other => panic!("a question is answered, not {other:?}"),
    }
}

/// Everything that can be asked.
fn compare(machine: &Machine, model: &Model, dice: &mut Dice) {
    for key in KEYS.map(str::to_owned) {
        let item = model.alive(&key);
        let value = ask(machine, CacheQuery::Get { key: key.clone() });
        assert_eq!(value, CacheReply::Value(item.map(Item::versioned)));
        let expires = item.and_then(|item| item.ends).map(ClusterTime);
        let expiry = CacheReply::Expiry { exists: item.is_some(), expires, now: machine.time() };
        assert_eq!(ask(machine, CacheQuery::Expiry { key: key.clone() }), expiry);
        assert_eq!(machine.find(&key), item.map(|item| (item.versioned(), expires)));
    }
    let keys: Vec<String> = (0..3).map(|_| dice.key()).collect();
    let values = keys.iter().map(|key| model.alive(key).map(Item::versioned)).collect();
    assert_eq!(ask(machine, CacheQuery::GetMany { keys }), CacheReply::Values(values));
    let stats = CacheStats {
        settings: model.settings,
        entries: model.items.len() as u64,
        expiring: model.items.iter().filter(|item| item.ends.is_some()).count() as u64,
        bytes: model.bytes(),
        totals: model.totals,
    };
    assert_eq!(ask(machine, CacheQuery::Stats), CacheReply::Stats(stats));
    let CacheTotals { created, deleted, expired, evicted, .. } = model.totals;
    assert_eq!(created, stats.entries + deleted + expired + evicted, "every key is accounted for");
    let ends = model.items.iter().filter_map(|item| item.ends).min().map(ClusterTime);
    assert_eq!(machine.caches.next_deadline(), ends);
    let (room, spared) = (Room { entries: dice.below(3), bytes: dice.below(30) }, dice.key());
    let victims = machine.victims(room, Room::default(), |key| key == spared);
    assert_eq!(victims, model.victims(room.entries, room.bytes, &spared));
}

fn restored(machine: &Machine, dice: &mut Dice) -> Machine {
    let mut frozen = machine.snapshot();
    let mut bytes = Vec::new();
    let piece_bytes = 1 + usize::try_from(dice.below(50)).unwrap();
    while let Some(piece) = frozen.next_piece(piece_bytes) {
        bytes.extend_from_slice(&piece);
    }
    let restored = Machine::restore_within(&bytes, limits()).expect("what was written can be read");
    assert_eq!(restored.digest(), machine.digest());
    restored
}

#[test]
fn the_cache_agrees_with_the_naive_model_after_every_command() {
    let commands = crate::machine::tests::commands() as u64;
    let mut dice = Dice(Xoshiro256PlusPlus::seed_from_u64(7));
    let mut machine = Machine::with_limits(limits());
    let mut model = Model::new(KEYS_MAX, ENDS);
    let session = SessionId(1);
    machine.apply(LogIndex(1), ClusterTime(0), &Command::OpenSession { lease_us: 3_600_000_000 });
    let mut time = 0;
    for sequence in 1..=commands {
        let index = LogIndex(machine.index().0 + 1);
        time += dice.pick(&[0, 0, 0, 1, 5_000, 10_000, 40_000]);
        model.pass(time);
        let (applied, expected) = if dice.below(8) == 0 {
            let stale = Victim { key: dice.key(), version: LogIndex(dice.below(index.0)) };
            let mut victims = model.victims(dice.below(2), dice.below(20), "");
            victims.push(stale);
            model.evict(&victims);
            (machine.apply(index, ClusterTime(time), &Command::Evict { victims }), Answer::Done)
        } else {
            let action = dice.action(&model);
            let expected = model.act(index.0, time, &action);
            let (sequence, action) = (Sequence(sequence), Action::Cache(action));
            let command =
                Command::Once { session, sequence, lowest_open: sequence, open_below: Vec::new(), action };
            (machine.apply(index, ClusterTime(time), &command), expected)
        };
        assert_eq!(answer(&applied.outcome), expected, "at {index}");
        assert_eq!(events(&applied), model.events, "at {index}");
        compare(&machine, &model, &mut dice);
        if dice.below(500) == 0 {
            machine = restored(&machine, &mut dice);
        }
    }
    for corner in [
        "machine.key_expired",
        "machine.overdue_key_written",
        "machine.keys_full",
        "machine.victim_was_written",
        "machine.compare_found_other",
    ] {
        assert!(marks::count(corner) > 100, "{corner} is hardly ever reached");
    }
}
