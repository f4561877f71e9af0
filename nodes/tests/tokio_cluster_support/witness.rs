//! What the nodes of a cluster were seen to do, and whether they may.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use stormglass_nodes::ids::{LogIndex, NodeId, Term};
use stormglass_nodes::raft::{Event, Role};
use stormglass_nodes::server::{NodeError, Observed, Probe};
use tokio::sync::watch;

/// A test that has not come to its end by then never will, however busy the machine is.
const TEST_BOUND: Duration = Duration::from_secs(240);

/// Everything seen so far.
#[derive(Debug, Default)]
struct Seen {
    /// Who was elected in each term (at most one: Raft paper 5.2).
    leaders: BTreeMap<Term, NodeId>,
    /// How far each running node has applied.
    applied: BTreeMap<NodeId, LogIndex>,
    /// The term and state hash at each index that any node applied (one state machine: Raft paper 5.4.3).
    states: BTreeMap<LogIndex, (Term, u64)>,
    /// The node that is to panic at the next entry that it applies.
    sabotaged: Option<NodeId>,
    /// Nodes that are being killed: their tasks end in any order, and one may see another end.
    dying: BTreeSet<NodeId>,
    /// The first failure.
    failure: Option<String>,
}

/// Sees what all nodes of a cluster do.
#[derive(Clone)]
pub(crate) struct Witness {
    seen: Arc<watch::Sender<Seen>>,
}

impl Witness {
    pub(crate) fn new() -> Self {
        Self { seen: Arc::new(watch::Sender::new(Seen::default())) }
    }

    /// The probe of one run of `node`.
    pub(crate) fn probe(&self, node: NodeId) -> NodeProbe {
        NodeProbe { node, witness: self.clone() }
    }

    /// Runs a node's program; reports its error, or its panic.
    pub(crate) async fn attend(
        self,
        node: NodeId,
        program: impl Future<Output = Result<Infallible, NodeError>>,
    ) {
        let reason = match AssertUnwindSafe(program).catch_unwind().await {
            Ok(Err(error)) => error.to_string(),
            Err(payload) => format!("it panicked: {}", message_of(payload.as_ref())),
        };
        self.seen.send_modify(|seen| {
            if !seen.dying.contains(&node) {
                seen.failure = Some(format!("{node}: {reason}"));
            }
        });
    }

    /// Runs a test to its end, or to the first failure of any node.
    ///
    /// # Errors
    /// The failure of the node.
    ///
    /// # Panics
    /// If neither comes within [`TEST_BOUND`].
    pub(crate) async fn watch<T>(&self, test: impl Future<Output = T>) -> Result<T, String> {
        let failure = self.failure();
        tokio::select! {
            biased;
            failure = failure => Err(failure),
            result = tokio::time::timeout(TEST_BOUND, test) => {
                Ok(result.expect("the test comes to its end"))
            }
        }
    }

    async fn failure(&self) -> String {
        let mut seen = self.seen.subscribe();
        let seen = seen.wait_for(|seen| seen.failure.is_some()).await.expect("the witness lives");
        seen.failure.clone().unwrap_or_default()
    }

    /// Waits for a leader in a term after `term`. Returns the latest, and its term.
    pub(crate) async fn leader_after(&self, term: Term) -> (Term, NodeId) {
        let mut seen = self.seen.subscribe();
        let elected = |seen: &Seen| seen.leaders.last_key_value().is_some_and(|(last, _)| *last > term);
        let seen = seen.wait_for(elected).await.expect("the witness lives");
        let (&term, &leader) = seen.leaders.last_key_value().expect("there is one");
        (term, leader)
    }

    /// Waits until the node, in its present run, has applied the entry at `index`.
    pub(crate) async fn applied(&self, node: NodeId, index: LogIndex) {
        let mut seen = self.seen.subscribe();
        let reached = |seen: &Seen| seen.applied.get(&node).is_some_and(|applied| *applied >= index);
        drop(seen.wait_for(reached).await.expect("the witness lives"));
    }

    /// A node is about to be killed: what it says from now on is not its failure.
    pub(crate) fn dies(&self, node: NodeId) {
        self.seen.send_modify(|seen| {
            seen.dying.insert(node);
        });
    }

    /// A node's run is over.
    pub(crate) fn forget(&self, node: NodeId) {
        self.seen.send_modify(|seen| {
            seen.applied.remove(&node);
            seen.dying.remove(&node);
        });
    }

    /// Makes a node panic at the next entry that it applies.
    pub(crate) fn sabotage(&self, node: NodeId) {
        self.seen.send_modify(|seen| seen.sabotaged = Some(node));
    }
}

/// Watches one node for the witness.
#[derive(Clone)]
pub(crate) struct NodeProbe {
    node: NodeId,
    witness: Witness,
}

impl Probe for NodeProbe {
    const WATCHING: bool = true;

    /// # Panics
    /// If the node did what no node may: the panic ends it, and the witness hears of that.
    fn observe(&self, observed: Observed<'_>) {
        let mut offence = None;
        self.witness.seen.send_modify(|seen| offence = seen.note(self.node, observed));
        assert_eq!(offence, None, "{}", self.node);
    }
}

impl Seen {
    /// Takes note. Returns what is wrong with it, if anything.
    fn note(&mut self, node: NodeId, observed: Observed<'_>) -> Option<&'static str> {
        match observed {
            Observed::Raft(&Event::RoleChanged { role: Role::Leader, term, .. }) => {
                let leader = *self.leaders.entry(term).or_insert(node);
                (leader != node).then_some("it was elected in a term that has a leader")
            }
            Observed::Applied { entry, state } => {
                self.applied.insert(node, entry.index);
                let expected = *self.states.entry(entry.index).or_insert((entry.term, state));
                if expected != (entry.term, state) {
                    return Some("it applied another entry than the others did, or to another end");
                }
                (self.sabotaged == Some(node)).then_some("it was sabotaged")
            }
            _ => None,
        }
    }
}

fn message_of(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("without a message")
}
