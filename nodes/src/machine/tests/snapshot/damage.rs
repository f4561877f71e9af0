//! Bytes from outside: cut, flipped, made up or altered and sealed again, they are refused or they are a
//! sound state. Nothing panics.

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::super::generate::{Entry, limits, log};
use super::super::invariants::Watch;
use super::image::{Image, Kept, seal};
use super::{bytes_of, furnished, machine_of};
use crate::machine::{Command, LockMode, Machine, Reply, RestoreError};

/// One alteration of a snapshot by somebody who can seal it.
#[derive(Clone, Debug)]
enum Alteration {
    Number { which: Index, to: u64 },
    NumberBy { which: Index, by: i8 },
    NumberLikeAnother { which: Index, another: Index },
    DropSession(Index),
    DropLock(Index),
    DoubleLock(Index),
    DropHolder(Index),
    DropWaiter(Index),
    OtherModes(Index),
    Queue { session: Index, outcome: Index },
    RenameKey(Index),
}

fn alteration() -> impl Strategy<Value = Alteration> {
    let which = any::<Index>;
    prop_oneof![
        4 => (which(), prop_oneof![Just(0), Just(1), Just(u64::MAX), any::<u64>()])
            .prop_map(|(which, to)| Alteration::Number { which, to }),
        6 => (which(), any::<i8>()).prop_map(|(which, by)| Alteration::NumberBy { which, by }),
        6 => (which(), which()).prop_map(|(which, another)| Alteration::NumberLikeAnother { which, another }),
        1 => which().prop_map(Alteration::DropSession),
        1 => which().prop_map(Alteration::DropLock),
        1 => which().prop_map(Alteration::DoubleLock),
        1 => which().prop_map(Alteration::DropHolder),
        1 => which().prop_map(Alteration::DropWaiter),
        2 => which().prop_map(Alteration::OtherModes),
        1 => (which(), which()).prop_map(|(session, outcome)| Alteration::Queue { session, outcome }),
        1 => which().prop_map(Alteration::RenameKey),
    ]
}

/// The element that an index means, if there is any.
fn place<T>(items: &mut [T], which: Index) -> Option<&mut T> {
    (!items.is_empty()).then(|| &mut items[which.index(items.len())])
}

fn drop_one<T>(items: &mut Vec<T>, which: Index) {
    if !items.is_empty() {
        items.remove(which.index(items.len()));
    }
}

fn alter(image: &mut Image, alteration: &Alteration) {
    match *alteration {
        Alteration::Number { which, to } => **place(&mut image.numbers(), which).unwrap() = to,
        Alteration::NumberBy { which, by } => {
            let mut numbers = image.numbers();
            let number = place(&mut numbers, which).unwrap();
            **number = number.wrapping_add_signed(by.into());
        }
        Alteration::NumberLikeAnother { which, another } => {
            let mut numbers = image.numbers();
            let to = **place(&mut numbers, another).unwrap();
            **place(&mut numbers, which).unwrap() = to;
        }
        Alteration::DropSession(which) => drop_one(&mut image.sessions, which),
        Alteration::DropLock(which) => drop_one(&mut image.locks, which),
        Alteration::DoubleLock(which) => {
            let double = place(&mut image.locks, which).cloned();
            image.locks.extend(double);
        }
        Alteration::DropHolder(which) => {
            let _ = place(&mut image.locks, which).map(|lock| drop_one(&mut lock.holders, which));
        }
        Alteration::DropWaiter(which) => drop_one(&mut image.waits, which),
        Alteration::OtherModes(which) => {
            for holder in place(&mut image.locks, which).map_or(&mut [][..], |lock| &mut lock.holders) {
                holder.mode = match holder.mode {
                    LockMode::Exclusive => LockMode::Shared,
                    LockMode::Shared => LockMode::Permits(2),
                    LockMode::Permits(_) => LockMode::Exclusive,
                };
            }
        }
        Alteration::Queue { session, outcome } => {
            let outcomes =
                place(&mut image.sessions, session).map_or(&mut [][..], |session| &mut session.outcomes);
            if let Some((_, outcome)) = place(outcomes, outcome) {
                *outcome = Kept::Said(Ok(Reply::Waiting { ahead: 0 }));
            }
        }
        Alteration::RenameKey(which) => {
            if let Some(line) = place(&mut image.cache, which) {
                line.key = "cellar".to_owned();
            }
        }
    }
}

/// Restores altered bytes. If they are a state, it must be sound: it writes the very bytes that it was read
/// from, and the rest of the log, moved behind it, neither panics nor breaks an invariant.
fn restore_and_go_on(bytes: &[u8], rest: &[Entry]) -> bool {
    let mut machine = match Machine::restore_within(bytes, limits()) {
        Ok(machine) => machine,
        Err(RestoreError::Inconsistent(_)) => return false,
        Err(other) => panic!("what was sealed and decodes cannot be refused as {other:?}"),
    };
    assert_eq!(bytes_of(machine.snapshot(), 4_096), bytes);
    let mut watch = Watch::from_now(&machine);
    for Entry { time, command, .. } in rest {
        let (index, time) = (machine.index().next(), machine.time().max(*time));
        let applied = machine.apply(index, time, command);
        watch.check(&machine, limits(), index, &applied);
    }
    // Everything ends at last: leases, waits, and with them the locks.
    for _ in 0..100 {
        let (index, end) = (machine.index().next(), machine.time().plus_us(u64::MAX));
        let applied = machine.apply(index, end, &Command::Tick);
        watch.check(&machine, limits(), index, &applied);
    }
    assert_eq!(machine.next_deadline(), None);
    true
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_flipped_bit_is_refused(log in log(), at in any::<Index>(), bit in 0_u32..8) {
        let mut bytes = bytes_of(machine_of(&log).snapshot(), 1 << 20);
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let refused = Machine::restore_within(&bytes, limits()).map(|_| ()).unwrap_err();
        let expected = if at < 8 { matches!(refused, RestoreError::WrongMagic) } else { matches!(refused, RestoreError::Damaged(_)) };
        prop_assert!(expected, "byte {}: {:?}", at, refused);
    }

    #[test]
    fn random_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200), version in 0_u32..7) {
        prop_assert!(Machine::restore(&bytes).is_err());
        // Sealed, they may decode by chance, and then are a state or not; the rest is that nothing panics.
        let restored = Machine::restore(&seal(version, &bytes));
        prop_assert!(version == 5 || restored.is_err());
    }

    #[test]
    fn a_sealed_body_with_any_bytes_altered_is_refused_or_sound(
        log in log(),
        alterations in proptest::collection::vec((any::<Index>(), any::<u8>()), 1..4),
    ) {
        let bytes = bytes_of(machine_of(&log).snapshot(), 1 << 20);
        let mut body = bytes[16..bytes.len() - 8].to_vec();
        for (at, to) in alterations {
            let at = at.index(body.len());
            body[at] = to;
        }
        if let Ok(machine) = Machine::restore_within(&seal(5, &body), limits()) {
            let mut watch = Watch::from_now(&machine);
            let mut machine = machine;
            let (index, end) = (machine.index().next(), machine.time().plus_us(u64::MAX));
            let applied = machine.apply(index, end, &Command::Tick);
            watch.check(&machine, limits(), index, &applied);
        }
    }

    #[test]
    fn an_altered_state_is_refused_or_sound(
        log in log(),
        cut in any::<Index>(),
        alterations in proptest::collection::vec(alteration(), 1..3),
    ) {
        let (past, rest) = log.split_at(cut.index(log.len() + 1));
        let mut image = Image::of(&bytes_of(machine_of(past).snapshot(), 1 << 20));
        alterations.iter().for_each(|alteration| alter(&mut image, alteration));
        restore_and_go_on(&image.sealed(), rest);
    }
}

#[test]
fn alterations_lead_to_refusals_and_to_sound_states_alike() {
    let mut runner = TestRunner::deterministic();
    let (mut sound, mut refused) = (0, 0);
    for _ in 0..600 {
        let (log, alteration) = (log(), alteration()).new_tree(&mut runner).unwrap().current();
        let before = Image::of(&bytes_of(machine_of(&log).snapshot(), 1 << 20));
        let mut image = before.clone();
        alter(&mut image, &alteration);
        if image != before {
            let count = if restore_and_go_on(&image.sealed(), &[]) { &mut sound } else { &mut refused };
            *count += 1;
        }
    }
    assert!(sound > 50 && refused > 200, "{sound} sound, {refused} refused");
}

#[test]
fn every_cut_is_refused() {
    let bytes = bytes_of(furnished().snapshot(), 64);
    for len in 0..bytes.len() {
        let refused = Machine::restore(&bytes[..len]).map(|_| ()).unwrap_err();
        let expected = if len == 0 {
            refused == RestoreError::WrongMagic
        } else {
            matches!(refused, RestoreError::Damaged(_))
        };
        assert!(expected, "cut to {len}: {refused:?}");
    }
}

#[test]
fn newer_versions_are_refused_by_name_and_strangers_by_their_magic() {
    let restore = |bytes: &[u8]| Machine::restore(bytes).map(|_| ()).unwrap_err();
    assert_eq!(restore(&seal(6, b"whatever comes")), RestoreError::NewerVersion { found: 6 });
    assert_eq!(restore(&seal(u32::MAX, b"")), RestoreError::NewerVersion { found: u32::MAX });
    for version in 0..5 {
        let unknown = format!("there is no version {version}");
        assert_eq!(restore(&seal(version, b"")), RestoreError::Undecodable(unknown));
    }
    assert_eq!(restore(b"REDIS0011"), RestoreError::WrongMagic);
    assert_eq!(restore(b""), RestoreError::WrongMagic);
}

#[test]
fn a_body_is_neither_short_nor_followed_by_anything() {
    let bytes = bytes_of(furnished().snapshot(), 64);
    let body = &bytes[16..bytes.len() - 8];
    for len in 0..body.len() {
        let refused = Machine::restore(&seal(5, &body[..len])).map(|_| ()).unwrap_err();
        assert!(matches!(refused, RestoreError::Undecodable(_)), "cut to {len}: {refused:?}");
    }
    let refused = Machine::restore(&seal(5, &[body, b"!"].concat())).map(|_| ()).unwrap_err();
    assert_eq!(refused, RestoreError::Undecodable("1 bytes are left over".to_owned()));
}

#[test]
fn lengths_that_nothing_backs_make_no_room() {
    let huge = postcard::to_allocvec(&u64::MAX).unwrap();
    // No agreement, no sessions, no locks (five numbers), no topics, one key: of a huge length; of length 1 with a huge value.
    let before_cache = [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let cache_head = [1, 1, 0, 0, 0, 0, 0, 0, 0];
    for start in [&[1][..], &[1, 1, b'k']] {
        let body = [&before_cache[..], &cache_head, start, &huge].concat();
        let refused = Machine::restore(&seal(5, &body)).map(|_| ()).unwrap_err();
        assert!(matches!(refused, RestoreError::Undecodable(_)), "{refused:?}");
    }
    // As many sessions, locks, waits, forced releases, topics and keys.
    let counts = [
        &[1, 0, 0, 0][..],
        &[1, 0, 0, 0, 0, 0, 0],
        &[1, 0, 0, 0, 0, 0, 0, 0],
        &[1, 0, 0, 0, 0, 0, 0, 0, 0],
        &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        &[&before_cache[..], &cache_head].concat(),
    ];
    for start in counts {
        let refused = Machine::restore(&seal(5, &[start, &huge].concat())).map(|_| ()).unwrap_err();
        assert!(matches!(refused, RestoreError::Inconsistent(_)), "{refused:?}");
    }
}
