//! The protocol on three nodes, one behaviour each, with every message in sight.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;

use bytes::Bytes;

use crate::coherence::{
    CoherenceBody, CoherenceMessage, Content, Directory, Found, Holder, HolderId, Key, Life, Lookup,
    NearRead, ReaderId, RoundId, Settings, WriteId,
};
use crate::ids::{LocalTime, LogIndex, NodeId, Term};

/// What has been applied: one state for all, as no leader here is ever deposed without knowing.
#[derive(Default)]
struct Applied {
    index: u64,
    keys: BTreeMap<String, Content>,
    ttl_us: BTreeMap<String, u64>,
}

impl Lookup for Applied {
    fn look_up(&self, key: &str) -> Found {
        Found {
            content: self.keys.get(key).cloned(),
            as_of: LogIndex(self.index),
            ttl_us: self.ttl_us.get(key).copied(),
        }
    }
}

/// Runs a script:
///
/// ```text
/// lead n1 | elect n1 | ready | at 30ms   a leader, settled or not; it has applied its first entry; time
/// read n2 key | state n2 key | holders key
/// write key value | writes n2 key value  from a client of the leader, or from a node with a line
/// delete key | ttl key 40ms
/// deliver | drop | hold | release        what is on its way; held messages come after others
/// round                                  the wanted round is confirmed
/// apply                                  proposed writes are applied
/// restart n2 | tick
/// ```
struct Script {
    now: u64,
    term: Term,
    leader: NodeId,
    nodes: BTreeMap<NodeId, (Holder, Directory)>,
    wire: VecDeque<(NodeId, NodeId, CoherenceMessage)>,
    held: VecDeque<(NodeId, NodeId, CoherenceMessage)>,
    rounds: Vec<RoundId>,
    gated: BTreeMap<WriteId, (String, Option<String>)>,
    proposed: VecDeque<(WriteId, String, Option<String>)>,
    applied: Applied,
    lives: u64,
    said: String,
}

fn settings() -> Settings {
    Settings { lease_us: 100_000, drift_ppm_max: 1_000, ..Settings::default() }
}

fn run(script: &str) -> String {
    let now = 1_000_000;
    let members: BTreeSet<NodeId> = (1..=3).map(NodeId).collect();
    let mut nodes = BTreeMap::new();
    for &id in &members {
        let mut directory = Directory::new(settings(), LocalTime(0));
        directory.set_members(members.clone(), LocalTime(0));
        nodes.insert(id, (Holder::new(Life(id.0), settings()), directory));
    }
    let mut world = Script {
        now,
        term: Term(0),
        leader: NodeId(1),
        nodes,
        wire: VecDeque::new(),
        held: VecDeque::new(),
        rounds: Vec::new(),
        gated: BTreeMap::new(),
        proposed: VecDeque::new(),
        applied: Applied { index: 10, ..Applied::default() },
        lives: 10,
        said: String::new(),
    };
    let mut transcript = String::new();
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        writeln!(transcript, "{line}").unwrap();
        if line.starts_with('#') {
            continue;
        }
        world.line(&line.split_whitespace().collect::<Vec<_>>());
        for said in std::mem::take(&mut world.said).lines() {
            writeln!(transcript, "    {said}").unwrap();
        }
    }
    transcript
}

impl Script {
    fn line(&mut self, words: &[&str]) {
        let local = LocalTime(self.now);
        match *words {
            ["lead", node] => {
                self.elect(id(node));
                self.directory().ready(local);
                self.obey();
                self.deliver();
                self.said.clear();
            }
            ["elect", node] => self.elect(id(node)),
            ["ready"] => self.directory().ready(local),
            ["at", time] => self.now = 1_000_000 + time.trim_end_matches("ms").parse::<u64>().unwrap() * 1000,
            ["read", node, key] => self.read(id(node), key),
            ["state", node, key] => {
                let state = self.nodes[&id(node)].0.state(key, local);
                writeln!(self.said, "{state:?}").unwrap();
            }
            ["holders", key] => {
                let holders = self.nodes[&self.leader].1.holders(key);
                for view in holders {
                    let HolderId { node, .. } = view.holder;
                    writeln!(self.said, "{node} {:?} invalidating={}", view.state, view.is_invalidating)
                        .unwrap();
                }
            }
            ["write", key, value] => self.write(None, key, Some(value)),
            ["writes", node, key, value] => self.write(Some(id(node)), key, Some(value)),
            ["delete", key] => self.write(None, key, None),
            ["ttl", key, time] => {
                let ttl_us = time.trim_end_matches("ms").parse::<u64>().unwrap() * 1000;
                self.applied.ttl_us.insert(key.to_owned(), ttl_us);
            }
            ["deliver"] => self.deliver(),
            ["drop"] => self.wire.clear(),
            ["hold"] => self.held.append(&mut self.wire),
            ["release"] => self.wire.append(&mut self.held),
            ["round"] => self.round(),
            ["apply"] => self.apply(),
            ["restart", node] => {
                self.lives += 1;
                self.nodes.get_mut(&id(node)).unwrap().0 = Holder::new(Life(self.lives), settings());
            }
            ["tick"] => {
                for (holder, directory) in self.nodes.values_mut() {
                    holder.tick(local);
                    directory.tick(local);
                }
            }
            _ => panic!("no such line: {words:?}"),
        }
        self.obey();
    }

    fn directory(&mut self) -> &mut Directory {
        &mut self.nodes.get_mut(&self.leader).unwrap().1
    }

    fn elect(&mut self, leader: NodeId) {
        self.directory().deposed();
        self.gated.clear();
        (self.term, self.leader) = (self.term.next(), leader);
        let (term, local) = (self.term, LocalTime(self.now));
        self.directory().elected(term, local);
        for (holder, _) in self.nodes.values_mut() {
            holder.set_leader(term, Some(leader));
        }
    }

    fn read(&mut self, node: NodeId, key: &str) {
        let local = LocalTime(self.now);
        let holder = &mut self.nodes.get_mut(&node).unwrap().0;
        match holder.read(key, ReaderId(self.now), local) {
            NearRead::Hit(reading) => {
                writeln!(self.said, "hit: {}", content(reading.content.as_ref())).unwrap()
            }
            NearRead::Waiting => writeln!(self.said, "waits").unwrap(),
            NearRead::Uncached => writeln!(self.said, "must read another way").unwrap(),
        }
    }

    fn write(&mut self, from: Option<NodeId>, key: &str, value: Option<&str>) {
        let local = LocalTime(self.now);
        let origin = from.map(|node| {
            let holder = &mut self.nodes.get_mut(&node).unwrap().0;
            (node, holder.begin_write(key, local).into_iter().collect())
        });
        let keys = BTreeSet::from([Key::from(key)]);
        match self.directory().take_write(keys, origin, local) {
            Ok(write) => {
                self.gated.insert(write, (key.to_owned(), value.map(str::to_owned)));
            }
            Err(error) => writeln!(self.said, "{error}").unwrap(),
        }
    }

    fn deliver(&mut self) {
        let local = LocalTime(self.now);
        while let Some((from, to, message)) = self.wire.pop_front() {
            writeln!(self.said, "{from} -> {to}: {}", body(&message.body)).unwrap();
            let (holder, directory) = self.nodes.get_mut(&to).unwrap();
            holder.receive(from, message.clone(), local);
            directory.receive(from, message, local);
            self.obey();
        }
    }

    fn round(&mut self) {
        let local = LocalTime(self.now);
        for round in std::mem::take(&mut self.rounds) {
            let directory = &mut self.nodes.get_mut(&self.leader).unwrap().1;
            directory.confirmed(round, &self.applied, local);
        }
    }

    fn apply(&mut self) {
        let local = LocalTime(self.now);
        while let Some((write, key, value)) = self.proposed.pop_front() {
            self.applied.index += 1;
            let version = LogIndex(self.applied.index);
            match value {
                Some(value) => {
                    self.applied.keys.insert(key, Content { value: Bytes::from(value), version });
                }
                None => {
                    self.applied.keys.remove(&key);
                }
            }
            let directory = &mut self.nodes.get_mut(&self.leader).unwrap().1;
            directory.applied(write, &self.applied, local);
        }
    }

    fn obey(&mut self) {
        for (&id, (holder, directory)) in &mut self.nodes {
            let held = holder.take_effects();
            let directed = directory.take_effects();
            for (to, message) in held.messages.into_iter().chain(directed.messages) {
                self.wire.push_back((id, to, message));
            }
            for (_, reading) in held.answers {
                let answer = reading.map_or_else(
                    || "must read another way".to_owned(),
                    |reading| content(reading.content.as_ref()),
                );
                writeln!(self.said, "reader at {id}: {answer}").unwrap();
            }
            for write in directed.proposable {
                let (key, value) = self.gated.remove(&write).unwrap();
                writeln!(self.said, "proposes the write of {key}").unwrap();
                self.proposed.push_back((write, key, value));
            }
            if let Some(round) = directed.round {
                writeln!(self.said, "wants a round").unwrap();
                self.rounds.push(round);
            }
        }
    }
}

fn id(word: &str) -> NodeId {
    NodeId(word.trim_start_matches('n').parse().unwrap())
}

fn content(content: Option<&Content>) -> String {
    content.map_or_else(
        || "no such key".to_owned(),
        |content| format!("{} of version {}", String::from_utf8_lossy(&content.value), content.version),
    )
}

fn body(body: &CoherenceBody) -> String {
    match body {
        CoherenceBody::Ask { key, claim } => format!("ask {key} {}", claim.number),
        CoherenceBody::Grant { key, claim, content: found, lease_us, exclusive, .. } => {
            let state = if *exclusive { "exclusive" } else { "shared" };
            let found = content(found.as_ref());
            format!("grant {key} {} {state} for {} ms: {found}", claim.number, lease_us / 1000)
        }
        CoherenceBody::Withheld { key, claim, reason } => {
            format!("withheld {key} {}: {reason:?}", claim.number)
        }
        CoherenceBody::Invalidate { key, claim } => format!("invalidate {key} {}", claim.number),
        CoherenceBody::Invalidated { key, claim } => format!("invalidated {key} {}", claim.number),
        CoherenceBody::Demote { key, claim } => format!("demote {key} {}", claim.number),
        CoherenceBody::Evicted { key, claim } => format!("evicted {key} {}", claim.number),
        CoherenceBody::Recall => "recall".to_owned(),
        CoherenceBody::Recalled => "recalled".to_owned(),
    }
}

macro_rules! transcripts {
    ($($(#[doc = $goal:literal])* $name:ident: $script:literal;)*) => {
        $(
            $(#[doc = $goal])*
            #[test]
            fn $name() {
                insta::assert_snapshot!(run($script));
            }
        )*
    };
}

transcripts! {
    a_line_is_granted_after_a_round_and_then_read_without_any_message: "
        lead n1
        read n2 k
        read n2 k
        deliver
        round
        deliver
        at 1ms
        read n2 k
        state n2 k";
    a_write_waits_for_every_holder_and_then_for_none: "
        lead n1
        read n2 k
        read n3 k
        deliver
        round
        deliver
        holders k
        write k v
        holders k
        deliver
        holders k
        apply
        read n2 k
        deliver
        round
        deliver";
    a_holder_that_does_not_answer_is_waited_for_until_its_lease_is_over: "
        lead n1
        read n2 k
        deliver
        round
        deliver
        at 10ms
        write k v
        drop
        at 60ms
        tick
        drop
        at 99ms
        tick
        drop
        state n2 k
        at 100ms
        state n2 k
        tick";
    an_invalidation_that_overtakes_the_grant_kills_it: "
        lead n1
        read n2 k
        deliver
        round
        # the grant is late
        hold
        write k v
        deliver
        apply
        release
        deliver
        state n2 k";
    an_exclusive_holder_writes_without_a_round_of_invalidations: "
        lead n1
        read n2 k
        deliver
        round
        deliver
        state n2 k
        writes n2 k v
        # nobody reads it while the write is on its way, not even here
        state n2 k
        read n2 k
        apply
        deliver
        state n2 k
        read n3 k
        deliver
        round
        deliver
        state n2 k
        writes n2 k w
        deliver";
    a_new_leader_recalls_all_lines_before_its_first_write_and_reads_go_on: "
        lead n1
        read n2 k
        deliver
        round
        deliver
        elect n3
        write k v
        ready
        read n2 k
        # the recall of n2 is lost
        drop
        at 30ms
        tick
        deliver
        read n2 k";
    a_new_leader_waits_out_the_leases_of_a_node_that_is_silent: "
        lead n1
        read n2 k
        deliver
        round
        deliver
        at 20ms
        elect n3
        ready
        write k v
        drop
        at 119ms
        state n2 k
        tick
        drop
        at 120ms
        tick";
    a_line_never_outlasts_its_keys_time_to_live: "
        lead n1
        write k v
        apply
        ttl k 30ms
        read n2 k
        deliver
        round
        deliver
        at 29ms
        state n2 k
        at 30ms
        state n2 k";
    a_node_that_restarts_acknowledges_for_its_earlier_life_and_takes_none_of_its_grants: "
        lead n1
        read n2 k
        deliver
        round
        # the grant is late, and n2 restarts
        hold
        restart n2
        write k v
        deliver
        release
        deliver
        state n2 k";
}
