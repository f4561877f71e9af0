//! Commands and questions as plain data: for a gateway, which speaks for many and knows them not.
//!
//! A gateway carries two kinds of commands. Those of people without a session go out in the client's own, and what is
//! not known of their outcome can be asked for later, by the numbers that [`Begun::numbers`] tells. Those of people who
//! have a session and number their commands themselves go out as they came ([`Client::act_as`]): the cluster does each
//! once, whichever gateway brings it, however often.

use super::locks::ASK_AGAIN_US;
use super::rpc::Completed;
use super::session::{Numbers, Open, Session};
use super::unclaimed::Claim;
use super::{Client, ClientError, ReadFrom};
use crate::api::{KeyLines, NodeStatus, RequestBody, ResponseBody};
use crate::env::Env;
use crate::ids::{NodeId, SessionId};
use crate::machine::{
    Action, Command, ForcedRelease, LockAction, LockQuery, LockReply, MachineError, Outcome, Query,
    QueueAction, Reply,
};

const MISANSWERED: ClientError = ClientError::Unknown("the cluster answered another question");

impl<E: Env> Client<E> {
    /// Whether the client's session, or the one that it would open, has room for a command.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.state().session.as_ref().is_none_or(Session::has_room)
    }

    /// Numbers a command within the client's session, which is opened if there is none.
    ///
    /// # Errors
    /// [`ClientError::NotDone`]: a session more or less is no effect.
    pub async fn begin(&self) -> Result<Begun<'_, E>, ClientError> {
        if !self.has_session()
            && let Err(error) = self.ensure_session().await
        {
            let not_done = ClientError::NotDone("no session was opened in time");
            return Err(if error.is_definite() { error } else { not_done });
        }
        self.open_command().map(Begun)
    }

    /// Ends whatever waits in the client's session: each wait is answered with nothing, unless it was served before.
    /// Whoever waits is told so soon after.
    ///
    /// # Errors
    /// If there is no session, or nobody answered in time.
    pub async fn let_go_of_waits(&self) -> Result<(), ClientError> {
        self.let_go_of_open_commands();
        let open = self.open_command()?;
        // What ends the waits is that the command names none of those before it. It has nothing to do itself.
        let nothing = Action::Lock(LockAction::Cancel { sequence: open.numbers.sequence });
        match self.once_as(&open.numbers, nothing, self.attempt_us(0), 0).await {
            Ok(_) | Err(ClientError::Refused(_)) => Ok(()),
            Err(error) => Err(error),
        }
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

    /// How a node is, which need not be one that the client knows.
    ///
    /// # Errors
    /// When it does not answer in time.
    pub async fn status_of(&self, node: NodeId) -> Result<NodeStatus, ClientError> {
        match self.ask_node(node, RequestBody::Status).await {
            Some(ResponseBody::Status(status)) => Ok(*status),
            _ => Err(ClientError::NotDone("the node did not tell of its state in time")),
        }
    }

    /// What a node knows of a key's lines.
    ///
    /// # Errors
    /// When it does not answer in time. Always definite: a question has no effect.
    pub async fn lines_of(&self, key: &str, node: NodeId) -> Result<KeyLines, ClientError> {
        match self.ask_node(node, RequestBody::NearLines { key: key.to_owned() }).await {
            Some(ResponseBody::NearLines(lines)) => Ok(*lines),
            _ => Err(ClientError::NotDone("the node did not tell of its lines in time")),
        }
    }

    /// The forced releases on record, the oldest first: the latest [`FORCED_RELEASES_KEPT`](crate::machine::FORCED_RELEASES_KEPT).
    ///
    /// # Errors
    /// Always definite: a read has no effect.
    pub async fn forced_releases(&self) -> Result<Vec<ForcedRelease>, ClientError> {
        match self.query(Query::Lock(LockQuery::ForcedReleases)).await? {
            Reply::Lock(LockReply::Forced(forced)) => Ok(forced),
            _ => Err(ClientError::NotDone("the cluster answered another question")),
        }
    }

    fn attempt_us(&self, wait_us: u64) -> u64 {
        if wait_us == 0 { self.config.attempt_timeout_us } else { ASK_AGAIN_US }
    }
}

/// A command that has its numbers, and is not on its way yet.
pub struct Begun<'a, E: Env>(Open<'a, E>);

impl<E: Env> Begun<'_, E> {
    /// Under which it will go out.
    #[must_use]
    pub fn numbers(&self) -> &Numbers {
        &self.0.numbers
    }

    /// Does `action` once under these numbers; of `wait_us` the action itself must say the same.
    ///
    /// Not for what a session holds, such as locks: if the caller goes away, nobody gives them back. Messages that a
    /// caller asked for who went away meanwhile are given back, and its place in line.
    ///
    /// # Errors
    /// When it is refused, or nobody answered in time: then it is [owed](Begun::owe).
    pub async fn act(&mut self, action: Action, wait_us: u64) -> Result<Reply, ClientError> {
        let asks_for_messages = matches!(action, Action::Queue(QueueAction::Dequeue { .. }));
        self.0.claim = asks_for_messages.then(|| Claim::of(&action));
        let Open { client, numbers, .. } = &self.0;
        let done = client.once_as(numbers, action, client.attempt_us(wait_us), wait_us).await;
        match &done {
            Err(ClientError::Unknown(_)) => self.owe(),
            _ => self.0.claim = None,
        }
        done.map(|(_, reply)| reply)
    }

    /// The caller does not know how it ended, and is told by which numbers to ask ([`Client::act_as`]): its outcome is
    /// kept as long as the session lives, and until a command has gone out whose number is greater by
    /// [`OPEN_COMMANDS_MAX`](crate::machine::OPEN_COMMANDS_MAX).
    pub fn owe(&mut self) {
        self.0.claim = None;
        self.0.is_owed = true;
    }
}
