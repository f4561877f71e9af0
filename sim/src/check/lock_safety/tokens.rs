//! What is known by resource and token.
//!
//! Resources are few and tokens many: by resource first, so that names are compared once and not at every step
//! down to a token.

use std::collections::BTreeMap;

use crate::check::by_name::ByName;

/// A value for each token of each resource.
#[derive(Debug)]
pub(super) struct ByToken<'a, T>(ByName<'a, BTreeMap<u64, T>>);

impl<T> Default for ByToken<'_, T> {
    fn default() -> Self {
        Self(ByName::default())
    }
}

impl<'a, T> ByToken<'a, T> {
    /// Takes a value, and returns the one that was there.
    pub(super) fn insert(&mut self, resource: &'a str, token: u64, value: T) -> Option<T> {
        self.0.or_default(resource).insert(token, value)
    }

    /// The value, after this one was put there if there was none.
    pub(super) fn or_insert(&mut self, resource: &'a str, token: u64, value: T) -> &mut T {
        self.0.or_default(resource).entry(token).or_insert(value)
    }

    pub(super) fn get(&self, resource: &str, token: u64) -> Option<&T> {
        self.0.get(resource)?.get(&token)
    }

    /// All of a resource, by token.
    pub(super) fn on(&self, resource: &str) -> impl Iterator<Item = (u64, &T)> {
        self.0.get(resource).into_iter().flatten().map(|(token, value)| (*token, value))
    }

    /// The resources of which there are any.
    pub(super) fn resources(&self) -> impl Iterator<Item = &'a str> {
        self.0.names()
    }

    /// All of each resource, by token.
    pub(super) fn by_resource_mut(&mut self) -> impl Iterator<Item = (&'a str, &mut BTreeMap<u64, T>)> {
        self.0.iter_mut()
    }
}

impl<'a, T> FromIterator<((&'a str, u64), T)> for ByToken<'a, T> {
    /// Of several values for one token the last one counts.
    fn from_iter<I: IntoIterator<Item = ((&'a str, u64), T)>>(all: I) -> Self {
        let mut by_token = Self::default();
        for ((resource, token), value) in all {
            by_token.insert(resource, token, value);
        }
        by_token
    }
}
