//! The short table against the map of the standard library: whatever is done to it, and to copies of it.

use std::collections::BTreeMap;
use std::ops::Bound;

use proptest::prelude::*;

use crate::machine::Table;
use crate::machine::short_table::ShortTable;

/// What may be done to a table. Keys are few enough to be met again, and enough for both forms.
#[derive(Clone, Debug)]
enum Step {
    Insert(u8, u32),
    Remove(u8),
    Change(u8, u32),
    /// Keep a copy of it as it is.
    Copy,
    /// Look at what is within these bounds.
    Look(Bound<u8>, Bound<u8>),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = || 0..40_u8;
    let bound = || {
        prop_oneof![Just(Bound::Unbounded), key().prop_map(Bound::Included), key().prop_map(Bound::Excluded)]
    };
    let step = prop_oneof![
        6 => (key(), any::<u32>()).prop_map(|(key, value)| Step::Insert(key, value)),
        5 => key().prop_map(Step::Remove),
        2 => (key(), any::<u32>()).prop_map(|(key, value)| Step::Change(key, value)),
        1 => Just(Step::Copy),
        2 => (bound(), bound()).prop_map(|(from, to)| Step::Look(from, to)),
    ];
    prop::collection::vec(step, 0..400)
}

/// Whether a key is within bounds that may be the wrong way round.
fn is_within(key: u8, from: Bound<u8>, to: Bound<u8>) -> bool {
    let after = match from {
        Bound::Unbounded => true,
        Bound::Included(least) => key >= least,
        Bound::Excluded(least) => key > least,
    };
    let before = match to {
        Bound::Unbounded => true,
        Bound::Included(most) => key <= most,
        Bound::Excluded(most) => key < most,
    };
    after && before
}

fn check(table: &ShortTable<u8, u32>, model: &BTreeMap<u8, u32>) -> Result<(), TestCaseError> {
    prop_assert_eq!((table.len(), table.is_empty()), (model.len(), model.is_empty()));
    prop_assert!(table.iter().eq(model.iter()), "in order");
    prop_assert!(table.iter().rev().eq(model.iter().rev()), "and in reverse");
    prop_assert!(table.values().eq(model.values()));
    prop_assert_eq!(table.get_min().map(|&(key, _)| key), model.keys().next().copied());
    prop_assert_eq!(table.get_max().map(|&(key, _)| key), model.keys().last().copied());
    for key in 0..40 {
        prop_assert_eq!(table.get(&key), model.get(&key));
        prop_assert_eq!(table.contains_key(&key), model.contains_key(&key));
    }
    Ok(())
}

/// As the state is encoded for its digest.
fn encoded(entries: &impl serde::Serialize) -> Vec<u8> {
    postcard::to_stdvec(entries).expect("plain data")
}

proptest! {
    #[test]
    fn a_short_table_is_a_map_and_a_copy_never_changes_with_it(steps in steps()) {
        let (mut table, mut model) = (ShortTable::default(), BTreeMap::new());
        let mut copies = Vec::new();
        for step in steps {
            match step {
                Step::Insert(key, value) => {
                    prop_assert_eq!(table.insert(key, value), model.insert(key, value));
                }
                Step::Remove(key) => prop_assert_eq!(table.remove(&key), model.remove(&key)),
                Step::Change(key, value) => {
                    let found = (table.get_mut(&key), model.get_mut(&key));
                    prop_assert_eq!(&found.0, &found.1);
                    if let (Some(one), Some(other)) = found {
                        (*one, *other) = (value, value);
                    }
                }
                Step::Copy => copies.push((table.clone(), model.clone())),
                Step::Look(from, to) if is_sound(from, to) => {
                    let expected = model.iter().filter(|(key, _)| is_within(**key, from, to));
                    prop_assert!(table.range((from, to)).eq(expected.clone()));
                    prop_assert!(table.range((from, to)).rev().eq(expected.rev()));
                }
                Step::Look(..) => {}
            }
            check(&table, &model)?;
        }
        for (copy, model) in copies.iter().chain([&(table, model)]) {
            check(copy, model)?;
            let long: Table<u8, u32> = model.iter().map(|(&key, &value)| (key, value)).collect();
            prop_assert_eq!(encoded(copy), encoded(&long), "its past does not show");
        }
    }
}

/// Bounds that a map takes: the first is not behind the second, nor are both the same and left out.
fn is_sound(from: Bound<u8>, to: Bound<u8>) -> bool {
    match (from, to) {
        (Bound::Excluded(from), Bound::Excluded(to)) => from < to,
        (Bound::Included(from) | Bound::Excluded(from), Bound::Included(to) | Bound::Excluded(to)) => {
            from <= to
        }
        _ => true,
    }
}

#[test]
fn it_shrinks_to_nothing_and_its_copy_does_not() {
    assert_eq!(size_of::<ShortTable<u64, u64>>(), 2 * size_of::<usize>(), "a tag and a pointer");
    let mut table = ShortTable::default();
    for key in 0..17_u64 {
        table.insert(key, key);
    }
    let mut copy = table.clone();
    for key in 0..17 {
        assert_eq!((table.remove(&key), copy.get(&key)), (Some(key), Some(&key)));
    }
    assert!(table.is_empty() && copy.len() == 17 && copy.insert(3, 4) == Some(3));
}
