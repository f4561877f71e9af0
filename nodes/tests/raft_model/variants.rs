//! The searches that gate every change, each of a size that takes some seconds, and one on demand.

use stormglass_nodes::ids::NodeId;
use stormglass_nodes::raft::membership::{MemberChange, MembershipChange, Transition};

use crate::bounds::Bounds;
use crate::search::{self, Found};
use crate::space::Reached;
use crate::trace;

/// What a search has found, beside how it got there.
#[derive(Debug)]
pub(crate) struct Summary {
    pub(crate) found: Found,
    pub(crate) reached: Reached,
    /// The shortest run to a violation, and its steps.
    pub(crate) told: Option<(String, usize)>,
}

/// Searches, prints the figures, and fails with the shortest trace if an invariant does not hold.
fn hold(name: &str, bounds: Bounds) -> Summary {
    let summary = run(name, bounds);
    if let Some((told, steps)) = &summary.told {
        panic!("{name}: a violation in {steps} steps\n{told}");
    }
    assert!(!summary.found.is_cut, "{name}: the bound on states left the search incomplete");
    summary
}

/// Searches and prints the figures.
#[expect(clippy::disallowed_methods, reason = "it says how long the search took; nothing depends on it")]
pub(crate) fn run(name: &str, bounds: Bounds) -> Summary {
    let began = std::time::Instant::now();
    let (mut space, first, found) = search::run(bounds);
    let seconds = began.elapsed().as_secs_f64();
    let Found { states, transitions, depth, committed, leaders, .. } = &found;
    let (nodes, steps) = space.sizes();
    println!(
        "{name}: {states} states, depth {depth}, {transitions} transitions, {seconds:.1} s \
         ({:.0} k states/s); {nodes} states of nodes, {steps} steps computed, {} audited; \
         up to {committed} entries committed, {leaders} leaders; {:?}",
        *states as f64 / seconds / 1e3,
        space.audits,
        space.reached,
    );
    let reached = space.reached;
    let told = found.violation.as_ref().map(|(what, path)| trace::tell(&mut space, first, what, path));
    Summary { reached, told, found }
}

/// Nothing goes wrong but the network; every store is durable at once.
fn plain() -> Bounds {
    Bounds::plain(2, 2, 3)
}

/// Few messages at a time, many terms, and a crash to make a leader follow again: enough for Figure 8 of the
/// Raft paper.
fn deep() -> Bounds {
    Bounds { crashes: 1, ..Bounds::plain(4, 2, 1) }
}

/// Stores complete late, and crashes lose what is under way to the disk, or a part of it.
fn crashes() -> Bounds {
    Bounds { stores_wait: true, torn_stores: true, crashes: 2, ..Bounds::plain(2, 2, 1) }
}

/// The same with more messages and fewer entries.
fn late_stores() -> Bounds {
    Bounds { stores_wait: true, torn_stores: true, crashes: 1, ..Bounds::plain(2, 1, 2) }
}

/// Messages arrive twice, and several entries travel in one.
fn duplicates() -> Bounds {
    Bounds { duplicates: 1, append_bytes: 1024, ..Bounds::plain(2, 2, 2) }
}

/// Heartbeats tell what is committed, and make a leader send again.
fn heartbeats() -> Bounds {
    Bounds { heartbeats: 2, append_bytes: 1024, ..Bounds::plain(2, 2, 1) }
}

/// Snapshots, nothing kept behind them, and a crash.
fn snapshots() -> Bounds {
    Bounds { snapshots: 1, crashes: 1, append_bytes: 32, ..Bounds::plain(2, 2, 2) }
}

/// One voter is removed, the leader perhaps, which then tells the voter of the least name to take over:
/// names matter.
fn removal() -> Bounds {
    let wanted = vec![MembershipChange::of(vec![MemberChange::Remove(NodeId(3))])];
    Bounds { wanted, changes: 1, alike: Vec::new(), ..Bounds::plain(3, 3, 1) }
}

/// One voter takes the place of another through a joint state.
fn replacement() -> Bounds {
    let changes = vec![MemberChange::Remove(NodeId(3)), MemberChange::AddVoter(NodeId(4))];
    let change = MembershipChange { transition: Transition::Auto, ..MembershipChange::of(changes) };
    Bounds { wanted: vec![change], changes: 1, spares: 1, alike: Vec::new(), ..Bounds::plain(2, 3, 1) }
}

/// Pre-vote is on.
fn pre_vote() -> Bounds {
    Bounds { pre_vote: true, ..Bounds::plain(2, 2, 2) }
}

#[test]
fn a_lossy_network_breaks_no_invariant() {
    let Summary { found, reached, .. } = hold("plain", plain());
    assert!(found.committed >= 3 && found.leaders == 2 && reached.truncations > 0, "{found:?}");
}

#[test]
fn many_elections_break_no_invariant() {
    let Summary { found, reached, .. } = hold("deep", deep());
    assert!(found.committed >= 4 && found.leaders == 4 && reached.truncations > 0, "{found:?}");
}

#[test]
fn crashes_and_late_stores_break_no_invariant() {
    let Summary { found, reached, .. } = hold("crashes", crashes());
    assert!(found.committed >= 2 && found.leaders == 2 && reached.truncations > 0, "{found:?}");
}

#[test]
fn late_stores_and_many_messages_break_no_invariant() {
    let Summary { found, reached, .. } = hold("late-stores", late_stores());
    assert!(found.committed >= 2 && found.leaders == 2 && reached.truncations > 0, "{found:?}");
}

#[test]
fn duplicates_and_batches_break_no_invariant() {
    let Summary { found, reached, .. } = hold("duplicates", duplicates());
    assert!(found.committed >= 3 && found.leaders == 2 && reached.truncations > 0, "{found:?}");
}

#[test]
fn heartbeats_break_no_invariant() {
    let Summary { found, reached, .. } = hold("heartbeats", heartbeats());
    assert!(found.committed >= 3 && found.leaders == 2 && reached.truncations > 0, "{found:?}");
}

#[test]
fn snapshots_and_compaction_break_no_invariant() {
    let Summary { found, reached, .. } = hold("snapshots", snapshots());
    assert!(found.committed >= 2 && reached.installs > 0, "{found:?}");
}

#[test]
fn the_removal_of_a_voter_breaks_no_invariant() {
    let Summary { found, reached, .. } = hold("removal", removal());
    assert!(found.committed >= 2 && reached.changes > 0, "{found:?}");
}

#[test]
fn the_replacement_of_a_voter_breaks_no_invariant() {
    let Summary { found, reached, .. } = hold("replacement", replacement());
    assert!(found.committed >= 3 && reached.changes > 0, "{found:?}");
}

#[test]
fn pre_votes_break_no_invariant() {
    let Summary { found, .. } = hold("pre-vote", pre_vote());
    assert!(found.committed >= 2 && found.leaders == 2, "{found:?}");
}

/// The search that `RAFT_MODEL` asks for; without it, a very small one.
#[test]
fn a_search_on_demand_breaks_no_invariant() {
    let wanted = std::env::var("RAFT_MODEL").unwrap_or_else(|_| "plain terms=1".to_owned());
    let mut words = wanted.split_whitespace();
    let mut bounds = match words.next().unwrap_or("plain") {
        "plain" => plain(),
        "deep" => deep(),
        "crashes" => crashes(),
        "late-stores" => late_stores(),
        "duplicates" => duplicates(),
        "heartbeats" => heartbeats(),
        "snapshots" => snapshots(),
        "removal" => removal(),
        "replacement" => replacement(),
        "pre-vote" => pre_vote(),
        other => panic!("no search is named {other:?}"),
    };
    for word in words {
        let (name, value) = word.split_once('=').expect("bounds are set by name=value");
        bounds.set(name, value).unwrap_or_else(|error| panic!("{error}"));
    }
    assert!(hold(&wanted, bounds).found.committed > 0, "a search in which nothing is ever committed is none");
}
