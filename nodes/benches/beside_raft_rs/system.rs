//! What is asked of a core that is measured, and the workload's constants: the same for every system.

use bytes::Bytes;

/// Members of the cluster. The first one leads; the last one is the follower that may be away.
pub(crate) const NODES: u64 = 3;
/// Bytes of each proposal's command.
pub(crate) const COMMAND_BYTES: usize = 128;
/// Proposals that share one round: proposed together, then seen committed everywhere.
pub(crate) const BATCHES: [u64; 5] = [1, 16, 64, 256, 1024];
/// Entries of one append message weigh about this much at most, in every system.
pub(crate) const APPEND_BYTES_MAX: usize = 256 * 1024;

/// A cluster of three in memory, on one thread, whose stores complete at once and whose messages arrive at
/// once, in the order in which they were sent. A node that is handed several messages takes them all before
/// it is asked what to do, as a driver that reads from a socket would.
///
/// No system is charged for making the command: each gets a clone of one shared buffer, and no message is
/// encoded.
pub(crate) trait System {
    /// Proposes `proposals` commands in rounds of `batch`; each round ends when no message is on its way.
    fn run(&mut self, proposals: u64, batch: u64);

    /// Entries handed out for applying, on all nodes together, since the election.
    fn applied(&self) -> u64;

    /// The last index that every node's log holds and that the leader knows to be committed.
    fn committed_everywhere(&self) -> u64;

    /// From now on whatever is sent to the last node is lost.
    fn leave(&mut self);

    /// The last node hears again. Returns when it holds, and has applied, all that was committed.
    fn catch_up(&mut self);
}

/// The command of every proposal.
pub(crate) fn command() -> Bytes {
    Bytes::from(vec![7; COMMAND_BYTES])
}
