//! The configurations that were reached while one operation was put in its place, without those that others are
//! better than.
#![expect(clippy::disallowed_types, reason = "a fixed hasher, and nothing iterates: order cannot leak")]

use std::collections::HashMap;
use std::hash::BuildHasherDefault;

use super::super::Model;
use super::super::memo::Mixer;
use super::config::{Config, Kinds};
use super::mask::Mask;
use super::pending::{Counting, NOTHING_USED, Pending};

/// What a new configuration is measured by.
pub(super) struct Measures<'c, M: Model, const W: usize> {
    pub(super) kinds: &'c Kinds<W>,
    pub(super) pending: &'c Pending<M>,
    pub(super) counting: Counting,
}

const NONE: u32 = u32::MAX;

#[derive(Debug)]
struct Node<const W: usize> {
    config: Config<W>,
    /// The next of those that it is compared with.
    next: u32,
    /// Whether no other is better.
    stands: bool,
}

/// Configurations that are compared with one another.
#[derive(Clone, Copy, Debug)]
struct Chain {
    first: u32,
    length: u32,
}

impl Chain {
    const EMPTY: Self = Self { first: NONE, length: 0 };
}

type Chains<Key> = HashMap<Key, Chain, BuildHasherDefault<Mixer>>;

/// A set of configurations.
#[derive(Debug, Default)]
pub(super) struct Seen<const W: usize> {
    nodes: Vec<Node<W>>,
    /// By state, and by those that took effect but for operations that only read or overwrite.
    alike: Chains<(Mask<W>, u32)>,
    /// Of chains that are full: by all but what was used up.
    equal: Chains<(Mask<W>, Mask<W>, u32)>,
}

/// Room that is kept for the next set, in configurations.
const ROOM_KEPT_MAX: usize = 4_096;
/// So many configurations are compared with every new one that is like them.
const COMPARED_MAX: u32 = 64;

impl<const W: usize> Seen<W> {
    /// Forgets all.
    pub(super) fn clear(&mut self) {
        if self.nodes.capacity() > ROOM_KEPT_MAX {
            *self = Self::default();
        }
        self.nodes.clear();
        self.alike.clear();
        self.equal.clear();
    }

    /// How many there are, with those that others turned out to be better than.
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn config(&self, number: u32) -> Config<W> {
        self.nodes[number as usize].config
    }

    /// Whether no better one came after this one.
    pub(super) fn stands(&self, number: u32) -> bool {
        self.nodes[number as usize].stands
    }

    /// Those that no other is better than.
    pub(super) fn standing(&self) -> impl Iterator<Item = Config<W>> {
        self.nodes.iter().filter(|node| node.stands).map(|node| node.config)
    }

    /// Adds a configuration; its number, if it is worth going on from. `dropped` is set if one was left out that no
    /// other is better than.
    pub(super) fn insert<M: Model>(
        &mut self,
        config: Config<W>,
        measures: &Measures<'_, M, W>,
        dropped: &mut bool,
    ) -> Option<u32> {
        let Self { nodes, alike, equal } = self;
        let key = (measures.kinds.fixed(&config.done), config.state);
        let chain = alike.entry(key).or_insert(Chain::EMPTY);
        if !improve(nodes, chain, &config, measures) {
            return None;
        }
        if chain.length < COMPARED_MAX {
            return add(nodes, chain, config, measures, dropped);
        }
        let chain = equal.entry((config.done, config.early, config.state)).or_insert(Chain::EMPTY);
        improve(nodes, chain, &config, measures).then(|| add(nodes, chain, config, measures, dropped))?
    }
}

/// Takes those out of a chain that the configuration is better than; says whether none is better than it.
fn improve<M: Model, const W: usize>(
    nodes: &mut [Node<W>],
    chain: &mut Chain,
    config: &Config<W>,
    measures: &Measures<'_, M, W>,
) -> bool {
    let Measures { kinds, pending, .. } = measures;
    let mut before = NONE;
    let mut at = chain.first;
    while at != NONE {
        let other = &nodes[at as usize];
        let next = other.next;
        if other.config.covers(config, kinds, pending) {
            return false;
        }
        if config.covers(&other.config, kinds, pending) {
            nodes[at as usize].stands = false;
            unlink(nodes, chain, before, next);
        } else {
            before = at;
        }
        at = next;
    }
    true
}

fn unlink<const W: usize>(nodes: &mut [Node<W>], chain: &mut Chain, before: u32, next: u32) {
    match before {
        NONE => chain.first = next,
        before => nodes[before as usize].next = next,
    }
    chain.length -= 1;
}

fn add<M: Model, const W: usize>(
    nodes: &mut Vec<Node<W>>,
    chain: &mut Chain,
    config: Config<W>,
    measures: &Measures<'_, M, W>,
    dropped: &mut bool,
) -> Option<u32> {
    let number = nodes.len() as u32;
    nodes.push(Node { config, next: chain.first, stands: true });
    *chain = Chain { first: number, length: chain.length + 1 };
    if let Counting::Beam { width } = measures.counting
        && config.used != NOTHING_USED
    {
        *dropped |= narrow(nodes, chain, &config, width, measures.pending);
    }
    nodes[number as usize].stands.then_some(number)
}

/// Of configurations that differ in what they used up only, leaves the worst out if there are more than so many.
fn narrow<M: Model, const W: usize>(
    nodes: &mut [Node<W>],
    chain: &mut Chain,
    config: &Config<W>,
    width: usize,
    pending: &Pending<M>,
) -> bool {
    let same = |other: &Config<W>| other.done == config.done && other.early == config.early;
    let (mut count, mut at) = (0, chain.first);
    while at != NONE {
        let other = &nodes[at as usize];
        count += usize::from(same(&other.config));
        at = other.next;
    }
    if count <= width {
        return false;
    }
    let rank = |at: u32| {
        let used = nodes[at as usize].config.used;
        (pending.share(used), pending.uses(used))
    };
    let (mut before, mut at) = (NONE, chain.first);
    let mut worst = (before, at, rank(at));
    while at != NONE {
        if same(&nodes[at as usize].config) && rank(at) > worst.2 {
            worst = (before, at, rank(at));
        }
        (before, at) = (at, nodes[at as usize].next);
    }
    let (before, at, _) = worst;
    let next = nodes[at as usize].next;
    nodes[at as usize].stands = false;
    unlink(nodes, chain, before, next);
    true
}
