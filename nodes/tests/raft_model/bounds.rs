//! What a search is of, and how far it goes.

use stormglass_nodes::ids::NodeId;
use stormglass_nodes::raft::Config;
use stormglass_nodes::raft::membership::MembershipChange;

/// Nodes of a model, spare ones included, at most.
pub(crate) const NODES_MAX: usize = 4;

/// A search.
#[derive(Clone, Debug)]
pub(crate) struct Bounds {
    /// Voters at the beginning: 1 up to this.
    pub(crate) voters: u64,
    /// Further nodes, which know of no cluster.
    pub(crate) spares: u64,
    /// Nobody campaigns in a later term.
    pub(crate) terms: u64,
    /// Nothing is proposed to a leader whose log is as long.
    pub(crate) log: usize,
    /// Messages under way that will still arrive, at most: see [`super::search`].
    pub(crate) messages: usize,
    /// Messages that arrive twice, in the whole run.
    pub(crate) duplicates: u8,
    /// Crashes, each with a restart from what is on disk, in the whole run.
    pub(crate) crashes: u8,
    /// Rounds of heartbeats, in the whole run.
    pub(crate) heartbeats: u8,
    /// Snapshots taken, in the whole run.
    pub(crate) snapshots: u8,
    /// Changes of the members asked for, in the whole run.
    pub(crate) changes: u8,
    /// Whether stores complete at some later time. Else each is durable at once.
    pub(crate) stores_wait: bool,
    /// Whether a crash may leave any part of the store that is out. Else it leaves all or nothing.
    pub(crate) torn_stores: bool,
    /// Whether pre-vote is on.
    pub(crate) pre_vote: bool,
    /// The entries of one message weigh at most so much: 1 means one entry each.
    pub(crate) append_bytes: usize,
    /// What may be asked for as a change.
    pub(crate) wanted: Vec<MembershipChange>,
    /// Nodes that nothing but their names tells apart: states that differ in these alone are one.
    pub(crate) alike: Vec<u64>,
    /// Whether promises are checked against the disk when they leave, beside what becomes of them.
    pub(crate) strict: bool,
    /// The search ends, incomplete, beyond so many states.
    pub(crate) states: u32,
}

impl Bounds {
    /// Three voters, and nothing goes wrong but that messages are lost, late, and out of order.
    pub(crate) fn plain(terms: u64, log: usize, messages: usize) -> Self {
        Self {
            voters: 3,
            spares: 0,
            terms,
            log,
            messages,
            duplicates: 0,
            crashes: 0,
            heartbeats: 0,
            snapshots: 0,
            changes: 0,
            stores_wait: false,
            torn_stores: false,
            pre_vote: false,
            append_bytes: 1,
            wanted: Vec::new(),
            alike: vec![1, 2, 3],
            strict: true,
            states: u32::MAX - 1,
        }
    }

    /// Everybody's names.
    pub(crate) fn ids(&self) -> impl Iterator<Item = NodeId> {
        (1..=self.voters + self.spares).map(NodeId)
    }

    /// How a node's core is set up.
    pub(crate) fn config(&self, id: NodeId) -> Config {
        let voters = if id.0 <= self.voters { (1..=self.voters).map(NodeId).collect() } else { Vec::new() };
        Config {
            pre_vote: self.pre_vote,
            check_quorum: false,
            append_bytes_max: self.append_bytes,
            trailing_entries: 0,
            ..Config::new(id, voters)
        }
    }

    /// Sets a bound by its name, for searches on demand.
    ///
    /// # Errors
    /// If there is no bound of that name, or the value is no number.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let number: u32 = value.parse().map_err(|_| format!("{name}={value}: not a number"))?;
        match name {
            "terms" => self.terms = u64::from(number),
            "log" => self.log = number as usize,
            "messages" => self.messages = number as usize,
            "duplicates" => self.duplicates = number as u8,
            "crashes" => self.crashes = number as u8,
            "heartbeats" => self.heartbeats = number as u8,
            "snapshots" => self.snapshots = number as u8,
            "changes" => self.changes = number as u8,
            "stores_wait" => self.stores_wait = number > 0,
            "torn_stores" => self.torn_stores = number > 0,
            "pre_vote" => self.pre_vote = number > 0,
            "append_bytes" => self.append_bytes = number as usize,
            "states" => self.states = number,
            _ => return Err(format!("no bound is named {name:?}")),
        }
        Ok(())
    }

    /// Every way of exchanging the nodes that are alike, the identity first: position to position.
    pub(crate) fn permutations(&self) -> Vec<[u8; NODES_MAX]> {
        let identity: [u8; NODES_MAX] = std::array::from_fn(|at| at as u8);
        let mut found = vec![identity];
        for (count, &one) in self.alike.iter().enumerate() {
            let mut more = Vec::new();
            for permutation in &found {
                for &other in &self.alike[..count] {
                    let mut swapped = *permutation;
                    swapped.swap(one as usize - 1, other as usize - 1);
                    more.push(swapped);
                }
            }
            found.extend(more);
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::Bounds;

    #[test]
    fn three_nodes_that_are_alike_can_be_exchanged_in_six_ways() {
        let mut found = Bounds::plain(1, 1, 1).permutations();
        assert_eq!(found[0], [0, 1, 2, 3]);
        found.sort_unstable();
        found.dedup();
        assert_eq!(found.len(), 6);
        assert!(found.iter().all(|permutation| permutation[3] == 3));
    }
}
