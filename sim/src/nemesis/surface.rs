//! What the nemesis can do to a cluster. The simulated world implements it, and the live one.
//!
//! Every call says what it did, because a fault that changed nothing must not pass for one.

use std::collections::BTreeSet;

use crate::history::MembersSeen;

/// A process that can be harmed: a node or a client, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Process {
    /// A node, from 1.
    Node(u64),
    /// A client, from 1.
    Client(u64),
}

/// Names an active link rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RuleId(pub u64);

/// What a link rule does to each frame on its links.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LinkAction {
    /// Drops every frame, those on the way included.
    Cut,
    /// Drops, doubles or delays frames by chance. Probabilities are 0 to 1.
    Degrade {
        /// Chance to drop a frame.
        loss: f64,
        /// Chance to deliver a frame twice.
        duplicate: f64,
        /// Added to every delay.
        extra_delay_us: u64,
        /// A further delay drawn evenly from 0 to this, per frame: frames overtake one another.
        jitter_us: u64,
    },
}

/// What a link rule did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RuleEffect {
    /// Frames dropped.
    pub dropped: u64,
    /// Frames delivered twice.
    pub duplicated: u64,
    /// Frames that it delayed.
    pub delayed: u64,
}

/// What a crash did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CrashEffect {
    /// Whether a live process was killed; false if it was down already.
    pub killed: bool,
    /// Bytes written but not synced that were lost.
    pub unsynced_bytes_lost: u64,
    /// Writes of which a part survived.
    pub writes_torn: u64,
}

/// Counters of the whole cluster, to be read before and after a fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Times that some node became leader.
    pub leaders_elected: u64,
    /// Times that some node started a campaign for votes.
    pub campaigns: u64,
    /// Frames delivered.
    pub frames_delivered: u64,
    /// Disk syncs completed.
    pub syncs: u64,
}

/// Who belongs to the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MembersInForce {
    /// The entry that brought them; 0 for those of the beginning.
    pub index: u64,
    /// The members.
    pub members: MembersSeen,
    /// How many times members came into force since the beginning.
    pub changes: u64,
}

/// The levers.
pub trait Surface {
    /// Number of nodes, spares included; they are 1 to this.
    fn nodes(&self) -> u64;
    /// Number of clients; they are 1 to this.
    fn clients(&self) -> u64;
    /// The live node that leads in the highest term, if any believes to.
    fn leader(&self) -> Option<u64>;
    /// The members that came into force last, as far as any node has told.
    fn members(&self) -> MembersInForce;
    /// The last entry that a node's machine has applied in this life, as far as it has told.
    fn applied(&self, node: u64) -> u64;
    /// The version that the cluster speaks, as far as any node has told.
    fn version(&self) -> u16;
    /// Who votes, outgoing voters of a joint state included.
    fn voters(&self) -> BTreeSet<u64> {
        let MembersInForce { members, .. } = self.members();
        members.voters.into_iter().chain(members.outgoing).collect()
    }
    /// The operator's process, if there is one.
    fn operator(&self) -> Option<Process>;
    /// Whether a node's process runs (paused or not).
    fn is_up(&self, node: u64) -> bool;
    /// Kills a node's process. With `power_loss` the machine too: what was not synced is lost, in whole,
    /// in part, or not at all, write by write.
    fn crash(&self, node: u64, power_loss: bool) -> CrashEffect;
    /// Kills a node's process and destroys its disk.
    fn destroy(&self, node: u64) -> CrashEffect;
    /// Starts a crashed node again. False if it was up.
    fn restart(&self, node: u64) -> bool;
    /// Kills a client's process. False if it was down.
    fn crash_client(&self, client: u64) -> bool;
    /// Starts a client's process that was killed: another one, which knows nothing of what the first one had. False
    /// if it was up.
    fn restart_client(&self, client: u64) -> bool;
    /// The process of the Redis that a node keeps its log in, if it keeps it in one.
    fn redis_of(&self, node: u64) -> Option<Process>;
    /// Kills a Redis server, as [`Surface::crash`] does a node.
    fn crash_redis(&self, server: Process, power_loss: bool) -> CrashEffect;
    /// Starts a Redis server again. False if it was up.
    fn start_redis(&self, server: Process) -> bool;
    /// Removes all that a Redis server, which is down, has written.
    fn empty_redis(&self, server: Process);
    /// Whether a node has refused to start on a Redis that had forgotten its log.
    fn has_refused(&self, node: u64) -> bool;
    /// Makes every operation of the disk under a Redis server wait until the stall ends.
    fn stall_redis(&self, server: Process);
    /// Ends the stall; says how many operations it held up.
    fn resume_redis(&self, server: Process) -> u64;
    /// Keeps a node and its Redis from reaching each other.
    fn cut_from_redis(&self, node: u64, server: Process);
    /// Ends such a cut; says how often something was to pass.
    fn heal_to_redis(&self, node: u64, server: Process) -> u64;
    /// Stops a process where it stands, as SIGSTOP does; its clock goes on. False if it was not running.
    fn pause(&self, process: Process) -> bool;
    /// Lets it go on; says how many frames awaited it.
    fn resume(&self, process: Process) -> u64;
    /// Adds a rule over all links from one of `from` to one of `to`.
    fn add_link_rule(&self, from: &BTreeSet<Process>, to: &BTreeSet<Process>, action: LinkAction) -> RuleId;
    /// Removes a rule; says what it did.
    fn remove_link_rule(&self, rule: RuleId) -> RuleEffect;
    /// Makes every operation of a node's disk wait until the stall ends.
    fn stall_disk(&self, node: u64);
    /// Ends the stall; says how many operations it held up.
    fn resume_disk(&self, node: u64) -> u64;
    /// Makes a process's clock run fast by `ppm` parts per million (slow if negative) from now on.
    /// Says by how many microseconds it has strayed from true time so far.
    fn set_clock_drift(&self, process: Process, ppm: i64) -> i64;
    /// The cluster's counters now.
    fn counters(&self) -> Counters;
}
