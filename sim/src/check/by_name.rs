//! Values by name, where names are few and each is looked up very often: once for each operation, or more.
//!
//! A name is hashed once, and compared once with the one that it is. A tree would compare it with several, each of them in
//! another place in memory.
#![expect(clippy::disallowed_types, reason = "a fixed hasher, and nothing iterates it: order cannot leak")]

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::ops::Index;

/// A value for each name.
#[derive(Clone, Debug)]
pub(super) struct ByName<'a, T> {
    places: HashMap<&'a str, usize, BuildHasherDefault<DefaultHasher>>,
    /// In the order in which names came first.
    all: Vec<(&'a str, T)>,
}

impl<T> Default for ByName<'_, T> {
    fn default() -> Self {
        Self { places: HashMap::default(), all: Vec::new() }
    }
}

impl<'a, T> ByName<'a, T> {
    /// The value of a name; if it has none, the default.
    pub(super) fn or_default(&mut self, name: &'a str) -> &mut T
    where
        T: Default,
    {
        let next = self.all.len();
        let place = *self.places.entry(name).or_insert(next);
        if place == next {
            self.all.push((name, T::default()));
        }
        &mut self.all[place].1
    }

    pub(super) fn get(&self, name: &str) -> Option<&T> {
        self.get_named(name).map(|(_, value)| value)
    }

    /// The value, with the name that lives as long.
    pub(super) fn get_named(&self, name: &str) -> Option<(&'a str, &T)> {
        let (name, value) = &self.all[*self.places.get(name)?];
        Some((name, value))
    }

    /// All, in the order of their names.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'a str, &T)> {
        let mut all: Vec<&(&str, T)> = self.all.iter().collect();
        all.sort_unstable_by_key(|(name, _)| *name);
        all.into_iter().map(|(name, value)| (*name, value))
    }

    /// The names, in order.
    pub(super) fn names(&self) -> impl Iterator<Item = &'a str> {
        self.iter().map(|(name, _)| name)
    }

    /// The values, in the order of their names.
    pub(super) fn values(&self) -> impl Iterator<Item = &T> {
        self.iter().map(|(_, value)| value)
    }

    /// All, in the order of their names, to be changed.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&'a str, &mut T)> {
        let mut all: Vec<&mut (&str, T)> = self.all.iter_mut().collect();
        all.sort_unstable_by_key(|one| one.0);
        all.into_iter().map(|(name, value)| (*name, value))
    }
}

impl<T> Index<&str> for ByName<'_, T> {
    type Output = T;

    fn index(&self, name: &str) -> &T {
        self.get(name).unwrap_or_else(|| panic!("{name:?} is among the names"))
    }
}

impl<'a, T> FromIterator<(&'a str, T)> for ByName<'a, T> {
    /// Of several values of one name the first counts.
    fn from_iter<I: IntoIterator<Item = (&'a str, T)>>(all: I) -> Self {
        let mut by_name = Self::default();
        for (name, value) in all {
            let next = by_name.all.len();
            if *by_name.places.entry(name).or_insert(next) == next {
                by_name.all.push((name, value));
            }
        }
        by_name
    }
}

#[cfg(test)]
mod tests {
    use super::ByName;

    #[test]
    fn values_are_found_by_name_and_told_in_the_order_of_names() {
        let mut counts: ByName<'_, u64> = ByName::default();
        for name in ["b", "a", "c", "a"] {
            *counts.or_default(name) += 1;
        }
        assert_eq!(counts.iter().collect::<Vec<_>>(), [("a", &2), ("b", &1), ("c", &1)]);
        counts.iter_mut().for_each(|(name, count)| *count += name.len() as u64);
        assert_eq!((counts.get("a"), counts.get("d"), counts["b"]), (Some(&3), None, 2));
        let first: ByName<'_, u64> = [("x", 1), ("x", 2)].into_iter().collect();
        assert_eq!(first.get_named("x"), Some(("x", &1)));
    }
}
