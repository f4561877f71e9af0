//! The client library: finds the leader, retries within bounds, keeps a session alive, and says honestly
//! what it does not know.
//!
//! A client process has one [`Client`]; it is cheap to clone. All commands run within a session that the
//! client opens with [`Client::open_session`] and keeps alive in the background, and so take effect at
//! most once however often they are retried (Raft thesis 6.3).
//!
//! Invariants:
//! * An error is definite ([`ClientError::is_definite`]) only if no attempt, nor any copy of one that the
//!   network may still hold, can have had effect, now or later.
//! * A client believes in its session, and in every lock that it holds through it, only until
//!   [`Client::believed_until`]: the lease counted from the moment at which the *request* that renewed it
//!   was sent, less what two clocks may drift apart. So it stops believing before the cluster can expire
//!   the session, whatever the network did to request and reply.
//! * Once that moment has passed without renewal the session is lost to this client for ever, even if the
//!   cluster still holds it. So it is as soon as the cluster says that it is no more.
//! * It believes in a lock no longer than in the session, and no longer than a lease after somebody took the lock
//!   from it by force: see `holds`.
//!
//! Reads go to the leader, or, if so configured, to any node, which asks its leader how far it must have
//! applied: they are linearizable either way. Those whose name says `within` may be stale, within a bound that
//! the caller sets and one that the answer states; a watch tells of what one node has applied.
//!
//! `consumer` is a loop over `dequeue` with all that belongs to it.
//!
//! Deliberately absent: retries beyond the operation's own deadline.

mod admin;
#[cfg(test)]
mod belief_tests;
mod cache;
mod config;
mod consumer;
#[cfg(test)]
mod consumer_tests;
mod direct;
#[cfg(test)]
mod direct_tests;
mod error;
mod holds;
mod inbox;
#[cfg(test)]
mod lock_tests;
mod locks;
#[cfg(test)]
mod near_tests;
mod queue;
#[cfg(test)]
mod queue_tests;
#[cfg(test)]
mod read_tests;
mod rpc;
mod session;
mod surrenders;
#[cfg(test)]
mod tests;
mod unclaimed;
mod watching;
mod within;

use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::{Notify, watch};

pub use cache::LifeLeft;
pub use config::{ClientConfig, ReadFrom};
pub use consumer::{
    Consumer, ConsumerAsk, ConsumerConfig, ConsumerCounts, ConsumerSettled, ConsumerTold, ConsumerWatch,
    HandlerEnd, Retry,
};
pub use direct::Begun;
pub use error::ClientError;
pub use locks::LockGuard;
pub use queue::Enqueued;
pub use session::Numbers;

use crate::env::Env;
use crate::ids::{LocalTime, NodeId};
use inbox::Inbox;
use session::Session;

/// A client process's access to the cluster.
#[derive(Debug)]
pub struct Client<E: Env> {
    env: E,
    config: Arc<ClientConfig>,
    inbox: Arc<Inbox>,
    state: Arc<Mutex<State>>,
    /// Tells who waits for the end of a belief that it may have come: see [`Client::session_lost`].
    beliefs: Arc<watch::Sender<()>>,
    /// Told when there is a command whose answer nobody takes.
    unclaimed: Arc<Notify>,
    /// Held while a session is opened that others can share.
    opening: Arc<tokio::sync::Mutex<()>>,
}

impl<E: Env> Clone for Client<E> {
    fn clone(&self) -> Self {
        Self {
            env: self.env.clone(),
            config: Arc::clone(&self.config),
            inbox: Arc::clone(&self.inbox),
            state: Arc::clone(&self.state),
            beliefs: Arc::clone(&self.beliefs),
            unclaimed: Arc::clone(&self.unclaimed),
            opening: Arc::clone(&self.opening),
        }
    }
}

/// What changes as a client goes along.
#[derive(Debug)]
struct State {
    /// The cluster's nodes, at least one.
    nodes: Vec<NodeId>,
    /// Index into them of the one to ask next.
    target: usize,
    session: Option<Session>,
    /// The near node was silent, and is not told of writes before this.
    near_silent_until: LocalTime,
}

impl<E: Env> Client<E> {
    /// Starts the client's background receiving on `env`.
    ///
    /// # Panics
    /// If `config` names no nodes.
    #[must_use]
    pub fn start(env: E, config: ClientConfig) -> Self {
        assert!(!config.nodes.is_empty(), "a client needs at least one node to talk to");
        let inbox = Arc::new(Inbox::new(env.entropy()));
        env.spawn("client inbox", inbox::receive(env.clone(), Arc::clone(&inbox)));
        let state =
            State { nodes: config.nodes.clone(), target: 0, session: None, near_silent_until: LocalTime(0) };
        let (config, state) = (Arc::new(config), Arc::new(Mutex::new(state)));
        let (beliefs, unclaimed, opening) = (Arc::default(), Arc::default(), Arc::default());
        Self { env, config, inbox, state, beliefs, unclaimed, opening }
    }

    /// The cluster's nodes are these from now on; positions, as those of [`ReadFrom`], are places in this list.
    ///
    /// # Panics
    /// If there are none.
    pub fn set_nodes(&self, nodes: Vec<NodeId>) {
        assert!(!nodes.is_empty(), "a client needs at least one node to talk to");
        let mut state = self.state();
        (state.nodes, state.target) = (nodes, 0);
    }

    /// Until when, by this process's clock, the client may act as the owner of its session and of the
    /// locks that it holds. `None` without a session or once it is lost.
    #[must_use]
    pub fn believed_until(&self) -> Option<LocalTime> {
        let state = self.state();
        let until = state.session.as_ref()?.believed_until;
        (self.env.now() < until).then_some(until)
    }

    /// When the client's belief in this lock ends or ended, by its own clock: with the session, or when it learnt that
    /// the lock had been taken from it by force. `None` if it was given back or its session replaced since.
    #[must_use]
    pub fn belief_ends(&self, guard: &LockGuard) -> Option<LocalTime> {
        let state = self.state();
        state.session.as_ref()?.belief_ends(guard)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }
}
