//! `add-nodes`: what new nodes are made of.

use bytes::Bytes;
use stormglass_nodes::ids::{LogIndex, NodeId};
use stormglass_nodes::raft::membership::Membership;
use stormglass_nodes::raft::{Config, Snapshot, SnapshotMeta};

use super::Interaction;
use super::node::Node;
use crate::script::{self, Command, Misuse};

/// A tick: one heartbeat interval.
pub(super) const TICK_US: u64 = 100_000;
/// Ticks in the least election timeout.
pub(super) const ELECTION_TICKS: u64 = 3;
/// Ticks in the greatest.
const ELECTION_TICKS_MAX: u64 = 5;
/// Nodes that one script may make, in all.
const NODES_MAX: usize = 100;
/// Where a script's log may begin, at most: far below where indexes come to an end.
const INDEX_MAX: LogIndex = LogIndex(1 << 50);
/// Messages and bytes in flight, where a script says nothing of them: no bound that it would meet.
const UNBOUNDED: usize = i32::MAX as usize;

const OPTIONS: &[&str] = &[
    "voters",
    "learners",
    "index",
    "content",
    "inflight",
    "max-inflight-bytes",
    "prevote",
    "checkquorum",
    "async-storage-writes",
    "read-only",
    "step-down-on-removal",
    "max-committed-size-per-ready",
    "disable-conf-change-validation",
];

/// What nodes are made of.
#[derive(Debug)]
pub(super) struct Setup {
    /// How they behave, but for their ids.
    pub(super) config: Config,
    /// What they find on their disks.
    pub(super) snapshot: Option<Snapshot>,
    /// Their disks and machines wait for the script.
    pub(super) is_async: bool,
    /// Which options do not do what they do elsewhere.
    notes: Vec<String>,
}

impl Setup {
    /// The defaults of a script: neither pre-votes nor check-quorum, no bounds, no preference, and no part of
    /// the log kept behind a snapshot.
    fn new() -> Self {
        let config = Config {
            heartbeat_interval_us: TICK_US,
            election_timeout_us: ELECTION_TICKS * TICK_US,
            election_timeout_us_max: ELECTION_TICKS_MAX * TICK_US,
            pre_vote: false,
            check_quorum: false,
            append_bytes_max: UNBOUNDED,
            inflight_messages_max: UNBOUNDED,
            inflight_bytes_max: UNBOUNDED,
            uncommitted_bytes_max: UNBOUNDED,
            trailing_entries: 0,
            store_stall_us_max: u64::MAX,
            ..Config::new(NodeId(0), Vec::new())
        };
        Self { config, snapshot: None, is_async: false, notes: Vec::new() }
    }

    /// Reads the words of `add-nodes`: how many, and of what kind.
    fn parse(command: &Command) -> Result<(usize, Self), Misuse> {
        let mut setup = Self::new();
        let (mut voters, mut learners, mut index, mut content) = (Vec::new(), Vec::new(), None, Bytes::new());
        for (name, values) in command.options(OPTIONS)? {
            match name {
                "voters" => voters = nodes(values)?,
                "learners" => learners = nodes(values)?,
                "index" => index = Some(LogIndex(script::number(script::single(name, values)?)?)),
                "content" => content = Bytes::from(script::single(name, values)?.to_owned()),
                _ => setup.adopt(name, values)?,
            }
        }
        let mut count = None;
        for word in command.plain() {
            match word.parse() {
                Ok(number) if count.is_none() => count = Some(number),
                _ => setup.adopt(word, &["true".to_owned()])?,
            }
        }
        let hint = "add-nodes 3 voters=(1,2,3) index=2";
        let count = count.ok_or_else(|| Misuse::new("add-nodes takes a number of nodes", hint))?;
        if !voters.is_empty() || !learners.is_empty() || index.is_some() || !content.is_empty() {
            let index = index.filter(|index| index.0 > 1 && *index <= INDEX_MAX);
            let what = format!("index must be from 2 to {INDEX_MAX} where nodes begin with a state");
            let index = index.ok_or_else(|| Misuse::new(what, hint))?;
            // Nobody has led yet, so the entries before it are of no leader's term.
            let membership = Membership::new(voters, learners);
            let version = setup.config.version;
            let meta = SnapshotMeta { index, membership, version, ..SnapshotMeta::default() };
            setup.snapshot = Some(Snapshot { meta, data: content });
        }
        Ok((count, setup))
    }

    /// Takes over an option that says how nodes behave.
    fn adopt(&mut self, name: &str, values: &[String]) -> Result<(), Misuse> {
        let note = |what: &str| format!("note: {name} has no counterpart: {what}");
        match name {
            "inflight" => self.config.inflight_messages_max = script::number(script::single(name, values)?)?,
            "max-inflight-bytes" => {
                self.config.inflight_bytes_max = script::number(script::single(name, values)?)?;
            }
            "prevote" => self.config.pre_vote = script::yes_or_no(name, values)?,
            "checkquorum" => self.config.check_quorum = script::yes_or_no(name, values)?,
            "async-storage-writes" => self.is_async = script::yes_or_no(name, values)?,
            "read-only" => match script::single(name, values)? {
                "safe" => {}
                "lease-based" => self.config.lease_drift_ppm_max = Some(0),
                other => return Err(Misuse::new(format!("read-only={other}"), "safe or lease-based")),
            },
            "step-down-on-removal" => {
                if !script::yes_or_no(name, values)? {
                    self.notes.push(note("a leader that is removed steps down"));
                }
            }
            "max-committed-size-per-ready" => {
                script::number::<u64>(script::single(name, values)?)?;
                self.notes.push(note("what is committed is handed out at once"));
            }
            "disable-conf-change-validation" => {
                if script::yes_or_no(name, values)? {
                    self.notes.push(note("changes of the members are always validated"));
                }
            }
            other => {
                return Err(Misuse::new(format!("add-nodes has no option {other:?}"), OPTIONS.join(", ")));
            }
        }
        Ok(())
    }
}

impl Interaction {
    /// Adds nodes with the numbers that follow the last one.
    pub(super) fn add_nodes(&mut self, command: &Command) -> Result<(), Misuse> {
        let (count, setup) = Setup::parse(command)?;
        if self.nodes.len().saturating_add(count) > NODES_MAX {
            return Err(Misuse::new(
                format!("{count} more nodes are too many"),
                format!("{NODES_MAX} in all"),
            ));
        }
        setup.notes.iter().for_each(|note| self.output.say(note));
        for _ in 0..count {
            let id = NodeId(self.nodes.len() as u64 + 1);
            self.nodes.push(Node::start(id, &setup));
            self.at(id, |_| ())?;
        }
        Ok(())
    }
}

fn nodes(words: &[String]) -> Result<Vec<NodeId>, Misuse> {
    words.iter().map(|word| script::number(word).map(NodeId)).collect()
}
