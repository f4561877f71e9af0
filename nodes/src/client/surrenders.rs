//! A client that reads from a node's near-cache tells it of its writes beforehand.
//!
//! The node reads the key from its line no more, and says so to the leader by way of this client: then the leader need
//! not ask it, and gives it the line back with the result. If the node does not answer soon, or has no line, the write
//! goes out as it would without: the leader asks whoever holds one.

use super::Client;
use crate::api::{RequestBody, ResponseBody};
use crate::env::Env;
use crate::ids::NodeId;
use crate::marks;

/// The near node is awaited for this part of an attempt: it is close by.
const PATIENCE_DIVISOR: u64 = 4;

/// A near node that was silent is not told of writes for so many attempts.
const SILENCE_ATTEMPTS: u64 = 3;

impl<E: Env> Client<E> {
    /// A command as it is to be sent to the leader: with what the near node has given up for it, if anything.
    pub(super) async fn with_surrenders(&self, body: RequestBody, attempt_timeout_us: u64) -> RequestBody {
        let RequestBody::Command(command) = body else { return body };
        let keys: Vec<String> = command.cache_keys().into_iter().map(str::to_owned).collect();
        let holder = if keys.is_empty() { None } else { self.near_node() };
        let Some(holder) = holder else { return RequestBody::Command(command) };
        let begin = RequestBody::BeginWrite { keys };
        match self.ask_node_within(holder, begin, attempt_timeout_us / PATIENCE_DIVISOR).await {
            Some(ResponseBody::Surrendered(surrenders)) if !surrenders.is_empty() => {
                RequestBody::CommandOfHolder { command, holder, surrenders }
            }
            Some(_) => RequestBody::Command(command),
            None => {
                marks::hit("client.near_node_is_silent");
                let silence_us = self.config.attempt_timeout_us.saturating_mul(SILENCE_ATTEMPTS);
                self.state().near_silent_until = self.env.now().plus_us(silence_us);
                RequestBody::Command(command)
            }
        }
    }

    /// Who is to be told of writes; nobody if that node is the one which commands go to, as far as this client knows: a
    /// leader needs no telling.
    fn near_node(&self) -> Option<NodeId> {
        let position = self.config.told_of_writes()?;
        let now = self.env.now();
        let state = self.state();
        let place = position % state.nodes.len();
        let is_told = place != state.target % state.nodes.len() && now >= state.near_silent_until;
        is_told.then(|| state.nodes[place])
    }
}
