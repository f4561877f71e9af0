//! What the people who run a cluster do to it. The runner implements it with a client process of its own.

use crate::history::VirtualTime;

/// Something that an operator asks of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Hand the leadership over: to this node, or to whoever is furthest.
    Transfer {
        /// To whom.
        to: Option<u64>,
    },
    /// Change the members, one step after the other.
    Members(Vec<MemberStep>),
}

/// One change of the members.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberStep {
    /// Who votes from now on.
    pub add: Vec<u64>,
    /// Who votes once it has caught up.
    pub add_once_caught_up: Vec<u64>,
    /// Who gets the log and does not vote.
    pub add_learners: Vec<u64>,
    /// Who leaves.
    pub remove: Vec<u64>,
    /// Whether it goes through a joint state in any case.
    pub joint: bool,
}

/// The operator. Orders travel over the network like any request, and are repeated until they are answered.
pub trait Operator {
    /// Asks for something on behalf of the fault of this number; tries until `give_up_at`.
    fn order(&self, number: usize, order: Order, give_up_at: VirtualTime);
    /// Whether the cluster has answered that all of the order is done.
    fn is_done(&self, number: usize) -> bool;
    /// Tells a node to stop by itself, and to speak the newest version when it is started again.
    fn stop_for_upgrade(&self, node: u64);
}
