//! What an operator asks of a cluster: its state, other members, another leader.

use super::{Client, ClientError};
use crate::api::{NodeStatus, RequestBody, ResponseBody};
use crate::env::Env;
use crate::ids::NodeId;
use crate::machine::{Command, NearTerms, Reply};
use crate::raft::membership::{Membership, MembershipChange};

const MISANSWERED: ClientError = ClientError::Unknown("the cluster answered another question");

impl<E: Env> Client<E> {
    /// Changes the members; returns those in force then. Of a joint change that is the joint state, which the
    /// leader ends by itself. Tries again while another change is under way.
    ///
    /// A change is not exactly-once: an attempt whose answer is lost is repeated. To add who is there, or to
    /// remove who is not, changes nothing, so repetition does no harm where nobody else changes members too.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn change_members(&self, change: MembershipChange) -> Result<Membership, ClientError> {
        match self.administrate(RequestBody::ChangeMembers(change)).await? {
            ResponseBody::Members(members) => Ok(members),
            _ => Err(MISANSWERED),
        }
    }

    /// Makes the leader hand over to `to`, or to whoever is furthest. Tries again if that fails.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn transfer_leadership(&self, to: Option<NodeId>) -> Result<(), ClientError> {
        match self.administrate(RequestBody::Transfer { to }).await? {
            ResponseBody::Transferred => Ok(()),
            _ => Err(MISANSWERED),
        }
    }

    /// Lets the members agree on other terms of their near-caches, in place of those of now. Every member stops as
    /// it learns of it, and must be started again with the new ones in its settings; nothing is lost by that.
    ///
    /// # Errors
    /// See [`ClientError`]; refused if the terms of now are others than named.
    pub async fn agree_on_near(
        &self,
        terms: NearTerms,
        replaces: Option<NearTerms>,
    ) -> Result<(), ClientError> {
        let command = Command::AgreeOnNear { terms, replaces };
        match self.call_command(command, self.config.attempt_timeout_us, 0).await?.reply()? {
            Reply::Done => Ok(()),
            _ => Err(MISANSWERED),
        }
    }

    /// What some node, one that answers, knows of itself and of the cluster.
    ///
    /// # Errors
    /// If none answers in time. Definite: it only asks.
    pub async fn status(&self) -> Result<NodeStatus, ClientError> {
        match self.administrate(RequestBody::Status).await {
            Ok(ResponseBody::Status(status)) => Ok(*status),
            _ => Err(ClientError::NotDone("no node told of its state in time")),
        }
    }

    async fn administrate(&self, body: RequestBody) -> Result<ResponseBody, ClientError> {
        let timeout_us = self.config.operation_timeout_us;
        Ok(self.ask(body, self.config.attempt_timeout_us, timeout_us).await?.0)
    }
}
