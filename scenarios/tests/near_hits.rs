//! A read that hits a near-cache costs no message between nodes and no entry of the log: by the counters of runs of
//! `near-cache-hits` in which nobody writes and nothing fails, at two rates of reading. And a write from where the line is
//! held costs no invalidation, be that a follower. And where leaders die, some do at the worst of moments.

use std::collections::BTreeMap;

use stormglass_sim::check::Verdict;
use stormglass_sim::nemesis::Process;
use stormglass_sim::plan::{MsSpan, Schedule, expand};
use stormglass_sim::run::{Options, execute};
use stormglass_sim::world::{NearCounts, TraceKind};

/// What a run cost.
#[derive(Debug)]
struct Cost {
    reads: u64,
    /// Reads that the clients were told had come from a near-cache.
    local: u64,
    near: NearCounts,
    /// Frames that one node sent another and that arrived.
    between_nodes: u64,
    entries: u64,
    /// Frames that nodes got from clients, by node.
    from_clients: BTreeMap<u64, u64>,
}

fn scenario(name: &str) -> Schedule {
    let scenarios = stormglass_scenarios::scenarios().expect("the catalogue can be read");
    expand(scenarios.iter().find(|one| one.name == name).expect("it is in the catalogue"), 1)
}

/// The scenario, with nothing in it but reads of one key, each `near` or not.
fn reads_alone(rate_per_client_hz: f64, near: f64) -> Schedule {
    let mut schedule = scenario("near-cache-hits");
    schedule.faults.clear();
    schedule.workload.keys = 1;
    schedule.workload.rate_per_client_hz = rate_per_client_hz;
    let cache = &mut schedule.workload.cache;
    (cache.near, cache.read) = (near, 100);
    (cache.write, cache.write_if_absent, cache.write_if_version, cache.remove, cache.increment) =
        (0, 0, 0, 0, 0);
    schedule
}

fn cost_of(schedule: &Schedule) -> Cost {
    use stormglass_sim::history::{Answer, Outcome};
    let outcome = execute(schedule, Options { keep_trace: true, plant: None });
    let statistics = outcome.statistics.expect("the run came to its end");
    let trace = outcome.trace.expect("the run came to its end");
    assert_eq!(trace.length, trace.records.len() as u64, "the whole trace was kept");
    let is_node = |process| matches!(process, Some(Process::Node(_)));
    let is_between = |kind, from, to| kind == TraceKind::Delivered && is_node(from) && is_node(to);
    let between = trace.records.iter().filter(|one| is_between(one.kind, one.subject, one.object));
    let answers = outcome.history.operations.iter().filter_map(|operation| match &operation.outcome {
        Outcome::Ok { answer: Answer::Cached { local, .. } } => Some(*local),
        _ => None,
    });
    let (reads, local) = answers.fold((0, 0), |(all, local), one| (all + 1, local + u64::from(one)));
    let between_nodes = between.count() as u64;
    let mut from_clients = BTreeMap::new();
    for one in trace.records.iter().filter(|one| one.kind == TraceKind::Delivered) {
        if let (Some(Process::Client(_)), Some(Process::Node(node))) = (one.subject, one.object) {
            *from_clients.entry(node).or_default() += 1;
        }
    }
    let entries = statistics.entries_applied;
    Cost { reads, local, near: statistics.near, between_nodes, entries, from_clients }
}

#[test]
fn a_hit_costs_no_message_between_nodes_and_no_entry() {
    let (slow, fast) = (reads_alone(20.0, 1.0), reads_alone(80.0, 1.0));
    let frames_per_question = 2 + 2 * (slow.cluster.nodes - 1);
    let (slow, fast) = (cost_of(&slow), cost_of(&fast));
    for run in [&slow, &fast] {
        let NearCounts { hits, misses, joined, asks, renewals, .. } = run.near;
        assert!(run.local <= hits, "{} answers from a line, and {hits} hits", run.local);
        assert!(run.local * 10 > run.reads * 9, "nearly all reads are hits: {} of {}", run.local, run.reads);
        assert!(asks <= misses - joined + renewals, "a question is a miss's or a renewal's");
    }
    let more_hits = fast.near.hits - slow.near.hits;
    assert!(more_hits > 5_000, "{more_hits}");
    println!(
        "{more_hits} more hits: frames between nodes {} and {}, entries applied {} and {}, questions {} and {}",
        slow.between_nodes, fast.between_nodes, slow.entries, fast.entries, slow.near.asks, fast.near.asks
    );
    assert_eq!(slow.entries, fast.entries, "the log is the same");
    // Who reads oftener renews a little sooner. A question takes a frame, as does its grant, and a round of the leader
    // with each other node; hits take none.
    let more_questions = fast.near.asks.saturating_sub(slow.near.asks);
    let more_frames = fast.between_nodes.saturating_sub(slow.between_nodes);
    assert!(more_questions * 50 < more_hits, "{more_questions} more questions");
    assert!(more_frames <= more_questions * frames_per_question, "{more_frames} for {more_questions}");
}

#[test]
fn the_same_reads_cost_messages_where_they_are_not_near() {
    let (slow, fast) = (cost_of(&reads_alone(20.0, 0.0)), cost_of(&reads_alone(80.0, 0.0)));
    assert_eq!((slow.near.hits, fast.near.hits, fast.local), (0, 0, 0));
    let (more_reads, more_frames) = (fast.reads - slow.reads, fast.between_nodes - slow.between_nodes);
    println!("{more_reads} more reads, {more_frames} more frames between nodes");
    assert!(more_frames > more_reads, "each read takes a round: {more_frames} frames for {more_reads}");
}

/// One client, whose own node is the first, reads and writes one key as fast as it is answered; this node leads, or none
/// of that client's does.
fn one_writer(leader: usize) -> Schedule {
    let mut schedule = reads_alone(20.0, 1.0);
    schedule.cluster.clients = 1;
    schedule.election.priorities = vec![0; 3];
    schedule.election.priorities[leader - 1] = 1;
    schedule.workload.think_ms = Some(MsSpan { min_ms: 1, max_ms: 10 });
    (schedule.workload.cache.read, schedule.workload.cache.write) = (50, 50);
    schedule
}

#[test]
fn a_follower_that_writes_what_it_reads_is_told_of_no_invalidation() {
    for (leader, other) in [(2, 3), (1, 2)] {
        let cost = cost_of(&one_writer(leader));
        println!("node {leader} leads: {cost:?}");
        let NearCounts { hits, misses, surrenders, invalidations, writes_held_back, .. } = cost.near;
        // The client's own node is told of writes where it does not lead, and all commands go to the leader.
        let of = |node: usize| cost.from_clients.get(&(node as u64)).copied().unwrap_or(0);
        assert!(of(leader) > 500 && of(1) > 1_000 && of(other) < 50, "{cost:?}");
        assert!(surrenders > 500, "{surrenders}");
        assert!(
            hits > 500 && hits > 10 * misses,
            "{hits} hits and {misses} misses: the line comes back with each write"
        );
        assert_eq!((invalidations, writes_held_back), (0, 0), "nobody is told, and nobody waited for");
    }
}

#[test]
fn leaders_die_between_an_invalidation_and_the_commit_of_its_write() {
    let outcome = execute(&scenario("near-cache-leader-dies"), Options::default());
    assert_eq!(outcome.verdict, Verdict::Valid, "{:?}", outcome.reasons);
    assert!(outcome.leaders_lost > 0, "{:?}", outcome.statistics);
}
