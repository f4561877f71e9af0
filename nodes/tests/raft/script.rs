//! The script language of the golden transcripts, one command a line; `#` begins a comment.
//!
//! ```text
//! cluster 3 [spare=2] [lease_drift_ppm_max=N …]   nodes n1.. with empty disks, electing after 300-600 ms, and
//!                                    nodes that may join; any bound or option of a node's configuration
//! disk 2 term=3 vote=1 log=1,1,3     restarts a node from this disk: terms of its entries
//! tick 1 [50ms]                      lets time pass (default: to the node's deadline), then ticks it
//! wait 100ms                         lets time pass and ticks nobody
//! elect 1                            tick, then everything until quiet, without a word
//! deliver 1->2 [N | all | last]      delivers messages of a link: the first N (1), all, or the newest
//! drop 1->2 [N] | drop 1 | drop all  loses them, of a link (the first N or all), to and from a node, or all
//! cut 1->2 … | heal                  from now on these links lose everything; all links work again
//! double 1->2                        doubles the first message of a link
//! store 2                            completes the store that is out
//! propose 1 a b c | read 1 7         proposes commands one by one; asks for a read named 7
//! read-anywhere 2 8                  asks any node for a read
//! snapshot 1                         takes a snapshot of a machine
//! change 1 [joint|explicit] +4 -2 learn5 learn+6 | change 1 leave-joint   changes the members
//! transfer 1 [2] | campaign 2        hands the leadership over; behaves as if the election timeout had passed
//! unreachable 1 2                    tells n1 that n2 cannot be reached
//! crash 2 [keep=N] | restart 2       keeps the first N parts of the store that is out
//! stabilize [1 2]                    stores and delivers among these nodes (all) until quiet; never ticks
//! reign 1 600ms 1 2                  n1 ticks and these nodes stabilize every 50 ms for that long
//! inject 1->2 t3 append 1/1 commit=0 2/3:x@7 …   a message from nowhere, entry 2 stamped 7, without it 0
//!                                    (also: vote, pre-vote, accepted, heartbeat, answered)
//! state | log | network              shows roles and positions, logs, messages under way
//! quietly COMMAND                    without printing what happens
//! ```

use std::collections::BTreeSet;
use std::fmt::Write;
use std::str::FromStr;

use bytes::Bytes;
use stormglass_nodes::ids::{ClusterTime, LogIndex, NodeId, Term};
use stormglass_nodes::raft::membership::{MemberChange, MembershipChange, Transition};
use stormglass_nodes::raft::{Body, Config, Entry, HardState, Input, Message, Payload};

use crate::checks::Checker;
use crate::cluster::Cluster;
use crate::show;

/// Deliveries and stores of one `stabilize`, at most.
const STABILIZE_STEPS_MAX: usize = 10_000;

/// Runs a script; what it prints is the transcript. Every invariant is checked
/// along the way, up to the first injected message.
pub(crate) fn run(script: &str) -> String {
    let mut runner =
        Runner { cluster: Cluster::new(0, 0, 0, |_| {}), checker: None, proposals: 0, cut: BTreeSet::new() };
    let mut transcript = String::new();
    for line in script.lines() {
        let command = line.split('#').next().unwrap_or("").trim();
        if command.is_empty() {
            writeln!(transcript, "{line}").expect("strings can be written to");
            continue;
        }
        let (quiet, command) = match command.strip_prefix("quietly ") {
            Some(rest) => (true, rest),
            None => (command.starts_with("elect"), command),
        };
        let shown = runner.execute(command);
        let cut = &runner.cut;
        runner.cluster.network.retain(|m| !cut.contains(&(m.from, m.to)));
        writeln!(transcript, "> {line}").expect("strings can be written to");
        let happened = std::mem::take(&mut runner.cluster.happened);
        if !quiet {
            for happening in &happened {
                writeln!(transcript, "  {}", show::happening(happening)).expect("strings can be written to");
            }
        }
        transcript.push_str(&shown);
        if let Some(checker) = &mut runner.checker {
            checker.observe(&runner.cluster, &happened).unwrap_or_else(|violation| {
                panic!("{violation}\n{transcript}");
            });
        }
    }
    transcript
}

struct Runner {
    cluster: Cluster,
    checker: Option<Checker>,
    proposals: u64,
    /// Links that lose everything.
    cut: BTreeSet<(NodeId, NodeId)>,
}

fn parse<T: FromStr>(text: &str) -> T {
    text.parse().unwrap_or_else(|_| panic!("cannot read {text:?}"))
}

fn node(text: &str) -> NodeId {
    NodeId(parse(text))
}

fn link(text: &str) -> (NodeId, NodeId) {
    let (from, to) = text.split_once("->").unwrap_or_else(|| panic!("{text:?} is no link"));
    (node(from), node(to))
}

fn duration_us(text: &str) -> u64 {
    parse::<u64>(text.strip_suffix("ms").expect("durations are given in ms")) * 1000
}

/// A change of the members: `+4 -2 learn5 learn+6`, after `joint` or `explicit` if it is to be joint at any
/// rate; `leave-joint`.
fn change(words: &[&str]) -> MembershipChange {
    let (mut transition, mut changes) = (Transition::Auto, Vec::new());
    for &word in words {
        match word {
            "leave-joint" => return MembershipChange::leave_joint(),
            "joint" => transition = Transition::JointImplicit,
            "explicit" => transition = Transition::JointExplicit,
            _ => changes.push(if let Some(id) = word.strip_prefix("learn+") {
                MemberChange::AddVoterOnceCaughtUp(node(id))
            } else if let Some(id) = word.strip_prefix("learn") {
                MemberChange::AddLearner(node(id))
            } else if let Some(id) = word.strip_prefix('+') {
                MemberChange::AddVoter(node(id))
            } else if let Some(id) = word.strip_prefix('-') {
                MemberChange::Remove(node(id))
            } else {
                panic!("{word:?} is no change of a member")
            }),
        }
    }
    MembershipChange { transition, changes, ..MembershipChange::default() }
}

/// A position `index/term`.
fn position(text: &str) -> (LogIndex, Term) {
    let (index, term) = text.split_once('/').unwrap_or_else(|| panic!("{text:?} is no index/term"));
    (LogIndex(parse(index)), Term(parse(term)))
}

/// The value of `name=` among `words`.
fn option<'a>(words: &[&'a str], name: &str) -> Option<&'a str> {
    words.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
}

impl Runner {
    fn execute(&mut self, command: &str) -> String {
        let words: Vec<&str> = command.split_whitespace().collect();
        let (name, words) = words.split_first().expect("a command has a name");
        match (*name, words) {
            ("cluster", [size, options @ ..]) => self.begin(parse(size), options),
            ("disk", [id, options @ ..]) => self.disk(node(id), options),
            ("tick", [id]) => self.tick(node(id)),
            ("tick", [id, time]) => {
                self.cluster.now_us += duration_us(time);
                self.cluster.step(node(id), Input::Tick);
            }
            ("wait", [time]) => self.cluster.now_us += duration_us(time),
            ("elect", [id]) => {
                self.tick(node(id));
                self.stabilize(&[]);
            }
            ("deliver", [route]) => self.deliver(link(route), 1),
            ("deliver", [route, "all"]) => self.deliver(link(route), usize::MAX),
            ("deliver", [route, "last"]) => {
                let (from, to) = link(route);
                let found = self.cluster.network.iter().rposition(|m| m.from == from && m.to == to);
                self.cluster.deliver(found.expect("a message is on this link"));
            }
            ("deliver", [route, count]) => self.deliver(link(route), parse(count)),
            ("drop", ["all"]) => self.cluster.network.clear(),
            ("cut", routes) => self.cut.extend(routes.iter().map(|route| link(route))),
            ("heal", []) => self.cut.clear(),
            ("drop", [route, count]) => self.lose(link(route), parse(count)),
            ("drop", [route]) if route.contains("->") => {
                let (from, to) = link(route);
                self.cluster.network.retain(|m| m.from != from || m.to != to);
            }
            ("drop", [id]) => {
                let id = node(id);
                self.cluster.network.retain(|m| m.from != id && m.to != id);
            }
            ("double", [route]) => {
                let (from, to) = link(route);
                let found = self.cluster.network.iter().find(|m| m.from == from && m.to == to);
                let message = found.expect("a message is on this link").clone();
                self.cluster.network.push(message);
            }
            ("store", [id]) => self.cluster.complete_store(node(id)),
            ("propose", [id, commands @ ..]) => {
                for command in commands {
                    self.proposals += 1;
                    let command = Bytes::copy_from_slice(command.as_bytes());
                    self.cluster.propose(node(id), self.proposals, command);
                }
            }
            ("read", [id, read]) => self.cluster.step(node(id), Input::Read { id: parse(read) }),
            ("read-anywhere", [id, read]) => {
                self.cluster.step(node(id), Input::ReadAnywhere { id: parse(read) });
            }
            ("snapshot", [id]) => self.cluster.snapshot(node(id)),
            ("change", [id, words @ ..]) => {
                self.proposals += 1;
                self.cluster.change(node(id), self.proposals, change(words));
            }
            ("transfer", [id]) => self.cluster.step(node(id), Input::Transfer { to: None }),
            ("transfer", [id, to]) => {
                self.cluster.step(node(id), Input::Transfer { to: Some(node(to)) });
            }
            ("campaign", [id]) => self.cluster.step(node(id), Input::Campaign),
            ("unreachable", [id, peer]) => self.cluster.step(node(id), Input::Unreachable(node(peer))),
            ("crash", [id, options @ ..]) => {
                self.cluster.crash(node(id), option(options, "keep").map_or(0, parse));
            }
            ("restart", [id]) => self.cluster.start(node(id)),
            ("stabilize", ids) => self.stabilize(&ids.iter().map(|id| node(id)).collect::<Vec<_>>()),
            ("reign", [id, time, ids @ ..]) => {
                let ids: Vec<_> = ids.iter().map(|id| node(id)).collect();
                for _ in 0..duration_us(time) / 50_000 {
                    self.cluster.now_us += 50_000;
                    self.cluster.step(node(id), Input::Tick);
                    self.stabilize(&ids);
                }
            }
            ("inject", [route, term, what, rest @ ..]) => self.inject(link(route), term, what, rest),
            ("state" | "log" | "network", []) => return self.show(name),
            _ => panic!("no such command: {command}"),
        }
        String::new()
    }

    fn begin(&mut self, size: u64, options: &[&str]) {
        let adjust = |config: &mut Config| {
            for (name, field) in [
                ("append_bytes_max", &mut config.append_bytes_max),
                ("inflight_messages_max", &mut config.inflight_messages_max),
                ("inflight_bytes_max", &mut config.inflight_bytes_max),
                ("uncommitted_bytes_max", &mut config.uncommitted_bytes_max),
                ("trailing_bytes", &mut config.trailing_bytes),
                ("pending_reads_max", &mut config.pending_reads_max),
            ] {
                if let Some(value) = option(options, name) {
                    *field = parse(value);
                }
            }
            for (name, field) in [
                ("trailing_entries", &mut config.trailing_entries),
                ("promotion_lag_entries", &mut config.promotion_lag_entries),
                ("snapshot_bytes_max", &mut config.snapshot_bytes_max),
                ("store_stall_us_max", &mut config.store_stall_us_max),
            ] {
                if let Some(value) = option(options, name) {
                    *field = parse(value);
                }
            }
            config.lease_drift_ppm_max = option(options, "lease_drift_ppm_max").map(parse);
            config.quiesce_after_intervals = option(options, "quiesce_after_intervals").map(parse);
            config.pre_vote = option(options, "pre_vote").is_none_or(parse);
            config.check_quorum = option(options, "check_quorum").is_none_or(parse);
            // A list: of the first node, the second, and so on.
            let of_node = |name, otherwise: u16| {
                let list =
                    option(options, name).map(|list| list.split(',').map(parse::<u16>).collect::<Vec<_>>());
                list.and_then(|list| list.get(config.id.0 as usize - 1).copied()).unwrap_or(otherwise)
            };
            config.priority = of_node("priority", 0) as u8;
            config.version = of_node("version", 1);
        };
        let spare = option(options, "spare").map_or(0, parse);
        self.cluster = Cluster::new(size, spare, 1, adjust);
        self.cluster.happened.clear();
        self.checker = Some(Checker::new(&self.cluster, true));
    }

    /// Puts a node on a disk of this content. The checks begin anew: such a history has no past.
    fn disk(&mut self, id: NodeId, options: &[&str]) {
        let terms = option(options, "log").unwrap_or("").split(',').filter(|term| !term.is_empty());
        let entries = terms.zip(1..).map(|(term, index)| Entry {
            index: LogIndex(index),
            term: Term(parse(term)),
            time: ClusterTime(0),
            payload: Payload::Command(Bytes::from(format!("{index}.{term}"))),
        });
        let entries: Vec<_> = entries.collect();
        self.cluster.crash(id, 0);
        let node = self.cluster.nodes.get_mut(&id).expect("the node exists");
        node.disk.entries = entries;
        node.disk.hard_state = HardState {
            term: Term(option(options, "term").map_or(0, parse)),
            voted_for: option(options, "vote").map(|vote| NodeId(parse(vote))),
        };
        self.cluster.start(id);
        self.cluster.happened.clear();
        self.checker = Some(Checker::new(&self.cluster, true));
    }

    fn tick(&mut self, id: NodeId) {
        let core = self.cluster.core(id).expect("the node is up");
        self.cluster.now_us += core.deadline().since_us(self.cluster.local_time(id));
        self.cluster.step(id, Input::Tick);
    }

    fn deliver(&mut self, (from, to): (NodeId, NodeId), count: usize) {
        let under_way = self.cluster.network.iter().filter(|m| m.from == from && m.to == to).count();
        assert!(under_way > 0, "nothing is under way from {from} to {to}");
        for _ in 0..count.min(under_way) {
            let found = self.cluster.network.iter().position(|m| m.from == from && m.to == to);
            self.cluster.deliver(found.expect("counted above"));
        }
    }

    fn lose(&mut self, (from, to): (NodeId, NodeId), count: usize) {
        for _ in 0..count {
            let found = self.cluster.network.iter().position(|m| m.from == from && m.to == to);
            self.cluster.network.remove(found.expect("as many messages are on this link"));
        }
    }

    fn stabilize(&mut self, ids: &[NodeId]) {
        let takes_part = |id: NodeId| ids.is_empty() || ids.contains(&id);
        for _ in 0..STABILIZE_STEPS_MAX {
            let storing =
                self.cluster.nodes.iter().find(|(id, node)| takes_part(**id) && node.storing.is_some());
            if let Some((&id, _)) = storing {
                self.cluster.complete_store(id);
                continue;
            }
            let mut network = self.cluster.network.iter();
            let arrives = |m: &Message| !self.cut.contains(&(m.from, m.to));
            match network.position(|m| takes_part(m.from) && takes_part(m.to) && arrives(m)) {
                Some(found) => self.cluster.deliver(found),
                None => return,
            }
        }
        panic!("the cluster does not come to rest");
    }

    fn inject(&mut self, (from, to): (NodeId, NodeId), term: &str, what: &str, rest: &[&str]) {
        let number = |name| option(rest, name).map_or(0, parse);
        let body = match (what, rest) {
            ("append", [prev, ..]) => {
                let (prev_index, prev_term) = position(prev);
                let entries = rest.iter().filter_map(|word| word.split_once(':')).map(|(place, content)| {
                    let (index, term) = position(place);
                    let (content, time) = content.split_once('@').unwrap_or((content, "0"));
                    let payload = Payload::Command(Bytes::copy_from_slice(content.as_bytes()));
                    Entry { index, term, time: ClusterTime(parse(time)), payload }
                });
                let (entries, commit_index) = (entries.collect(), LogIndex(number("commit")));
                Body::AppendRequest { prev_index, prev_term, entries, commit_index }
            }
            ("vote" | "pre-vote", [last]) => {
                let (last_index, last_term) = position(last);
                let committed = (LogIndex(0), Term(0));
                match what {
                    "vote" => Body::VoteRequest { last_index, last_term, by_transfer: false, committed },
                    _ => Body::PreVoteRequest { last_index, last_term, committed },
                }
            }
            ("accepted", [index]) => Body::AppendAccepted { match_index: LogIndex(parse(index)) },
            ("heartbeat", _) => {
                let commit_index = LogIndex(number("commit"));
                Body::Heartbeat { commit_index, read_round: number("round"), quiesce: false }
            }
            ("answered", [round]) => {
                Body::HeartbeatResponse { read_round: parse(round), quiesced: false, version: 1, priority: 0 }
            }
            _ => panic!("cannot inject {what} {rest:?}"),
        };
        let term = Term(parse(term.strip_prefix('t').expect("terms are written t1")));
        // No node said this, so no invariant need hold of what follows.
        self.checker = None;
        self.cluster.step(to, Input::Receive(Message { from, to, term, body }));
    }

    fn show(&self, what: &str) -> String {
        let mut shown = String::new();
        if what == "network" {
            for message in &self.cluster.network {
                writeln!(shown, "  {}", show::message(message)).expect("strings can be written to");
            }
            return shown;
        }
        for (&id, node) in &self.cluster.nodes {
            let line = match &node.core {
                None => "down".to_owned(),
                Some(core) if what == "state" => {
                    let status = core.status();
                    let voted_for = status.voted_for;
                    format!(
                        "{}, {}, last {} durable {} committed {} applied {}{}",
                        show::role(status.role),
                        show::hard_state(&HardState { term: status.term, voted_for }),
                        status.last_index,
                        core.durable_index(),
                        status.commit_index,
                        status.applied_index,
                        if status.is_quiescent { ", silent" } else { "" },
                    )
                }
                Some(core) => {
                    let held =
                        (1..=core.status().last_index.0).filter_map(|index| core.entry(LogIndex(index)));
                    show::entries(held)
                }
            };
            writeln!(shown, "  {id} {line}").expect("strings can be written to");
        }
        shown
    }
}
