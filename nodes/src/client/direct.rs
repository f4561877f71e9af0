//! Commands and questions as plain data: for a gateway, which speaks for many and knows them not.
//!
//! A gateway carries two kinds of commands. Those of people without a session go out in the client's own, and what is
//! not known of their outcome can be asked for later, by the numbers that [`Client::act`] tells. Those of people who
//! have a session and number their commands themselves go out as they came ([`Client::act_as`]): the cluster does each
//! once, whichever gateway brings it, however often.

use super::locks::ASK_AGAIN_US;
use super::rpc::Completed;
use super::session::{Numbers, Session};
use super::{Client, ClientConfig, ClientError, ReadFrom};
use crate::api::{NodeStatus, RequestBody, ResponseBody};
use crate::env::Env;
use crate::ids::SessionId;
use crate::machine::{Action, Command, MachineError, Outcome, Query, Reply};

const MISANSWERED: ClientError = ClientError::Unknown("the cluster answered another question");

impl<E: Env> Client<E> {
    /// As [`Client::start`], for a client that is near the node at `position` among the configured ones, and asks it
    /// first.
    ///
    /// # Panics
    /// If `config` names no nodes.
    #[must_use]
    pub fn start_at(env: E, config: ClientConfig, position: usize) -> Self {
        let position = position % config.nodes.len().max(1);
        let client = Self::start(env, config);
        client.state().target = position;
        client
    }

    /// Whether the client's session, or the one that it would open, has room for a command.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.state().session.as_ref().is_none_or(Session::has_room)
    }

    /// Does `action` once within the client's session, which is opened if there is none; of `wait_us` the action itself
    /// must say the same. Tells the numbers under which it went out, if it did.
    ///
    /// Not for what a session holds, such as locks: if the caller goes away, nobody gives them back.
    pub async fn act(&self, action: Action, wait_us: u64) -> (Option<Numbers>, Result<Reply, ClientError>) {
        if !self.has_session()
            && let Err(error) = self.ensure_session().await
        {
            // A session more or less is no effect.
            let error = if error.is_definite() {
                error
            } else {
                ClientError::NotDone("no session was opened in time")
            };
            return (None, Err(error));
        }
        let open = match self.open_command() {
            Ok(open) => open,
            Err(error) => return (None, Err(error)),
        };
        let done = self.once_as(&open.numbers, action, self.attempt_us(wait_us), wait_us).await;
        (Some(open.numbers.clone()), done.map(|(_, reply)| reply))
    }

    /// Does `action` once under numbers that somebody else has chosen, within a session that somebody else keeps.
    ///
    /// # Errors
    /// [`ClientError::Unknown`] when nobody answered in time; the machine's refusals are part of the outcome.
    pub async fn act_as(
        &self,
        numbers: &Numbers,
        action: Action,
        wait_us: u64,
    ) -> Result<Outcome, ClientError> {
        let command = numbers.command(action);
        Ok(self.call_command(command, self.attempt_us(wait_us), wait_us).await?.outcome)
    }

    /// Opens a session for somebody else, who has to keep it alive.
    ///
    /// # Errors
    /// When no session was opened for sure; one that was opened all the same expires unused.
    pub async fn open_for_another(&self, lease_us: u64) -> Result<SessionId, ClientError> {
        let completed = self.call_command(self.opening(lease_us), self.attempt_us(0), 0).await?;
        match completed.reply()? {
            Reply::SessionOpened { session } => Ok(session),
            _ => Err(MISANSWERED),
        }
    }

    /// Renews the lease of somebody else's session; says whether it was open still.
    ///
    /// # Errors
    /// When nobody answered in time.
    pub async fn keep_alive_for_another(&self, session: SessionId) -> Result<bool, ClientError> {
        let keep_alive = || self.call_command(Command::KeepAlive { session }, self.attempt_us(0), 0);
        let mut completed = keep_alive().await?;
        if !completed.is_entry {
            // It has joined another, which may have been sent long ago. That one is applied now, so what this one joins,
            // if anything, has begun since.
            completed = keep_alive().await?;
        }
        match completed {
            Completed { outcome: Err(MachineError::SessionExpired), .. } => Ok(false),
            completed => completed.reply().map(|_| true),
        }
    }

    /// Ends somebody else's session, with all that it holds and awaits.
    ///
    /// # Errors
    /// When nobody answered in time: then it may be open still.
    pub async fn close_for_another(&self, session: SessionId) -> Result<(), ClientError> {
        let completed = self.call_command(Command::CloseSession { session }, self.attempt_us(0), 0).await?;
        completed.reply().map(|_| ())
    }

    /// Asks a question, of the node that `from` says.
    ///
    /// # Errors
    /// When it is refused or not answered in time.
    pub async fn question(&self, query: Query, from: ReadFrom) -> Result<Reply, ClientError> {
        self.query_from(query, from).await
    }

    /// How the node at `position` among the configured ones is.
    ///
    /// # Errors
    /// When it does not answer in time.
    pub async fn status_of(&self, position: usize) -> Result<NodeStatus, ClientError> {
        match self.ask_one(position, RequestBody::Status).await {
            Some(ResponseBody::Status(status)) => Ok(*status),
            _ => Err(ClientError::NotDone("the node did not tell of its state in time")),
        }
    }

    fn attempt_us(&self, wait_us: u64) -> u64 {
        if wait_us == 0 { self.config.attempt_timeout_us } else { ASK_AGAIN_US }
    }
}
