//! Reads that may be stale within a bound.
//!
//! Each comes with an age: the answer is from a state that contains whatever was committed so many
//! microseconds before the node answered, by that node's clock, which may be off by
//! [`ClientConfig::drift_ppm_max`]. The way back is not counted: who wants the age on arrival adds the time since
//! it asked. A node whose state is known to be fresh enough answers at once, without asking anybody, also while it is
//! cut off from the others; another asks its leader first, and then the state is no older than the question.
//!
//! They are not linearizable, and one may show an older state than the one before it if another node answers.
//!
//! [`ClientConfig::drift_ppm_max`]: super::ClientConfig::drift_ppm_max

use super::{Client, ClientError};
use crate::api::{RequestBody, ResponseBody};
use crate::env::Env;
use crate::machine::{
    CacheQuery, CacheReply, LockQuery, LockReply, LockState, Query, QueueQuery, QueueReply, Reply,
    TopicStats, Versioned,
};

const MISREAD: ClientError = ClientError::NotDone("the cluster answered another question");

impl<E: Env> Client<E> {
    /// The value of `key` as it was no longer than `age_us_max` ago, and how long ago that may have been.
    ///
    /// # Errors
    /// Always definite: a read has no effect.
    pub async fn get_within(
        &self,
        key: &str,
        age_us_max: u64,
    ) -> Result<(Option<Versioned>, u64), ClientError> {
        let query = Query::Cache(CacheQuery::Get { key: key.to_owned() });
        match self.query_within(query, age_us_max).await? {
            (Reply::Cache(CacheReply::Value(value)), age_us) => Ok((value, age_us)),
            _ => Err(MISREAD),
        }
    }

    /// Who held and who awaited a lock no longer than `age_us_max` ago, and how long ago that may have been.
    ///
    /// # Errors
    /// Always definite: a read has no effect.
    pub async fn lock_state_within(
        &self,
        resource: &str,
        age_us_max: u64,
    ) -> Result<(LockState, u64), ClientError> {
        let query = Query::Lock(LockQuery::State { resource: resource.to_owned() });
        match self.query_within(query, age_us_max).await? {
            (Reply::Lock(LockReply::State(state)), age_us) => Ok((*state, age_us)),
            _ => Err(MISREAD),
        }
    }

    /// How a topic was no longer than `age_us_max` ago, and how long ago that may have been.
    ///
    /// # Errors
    /// Always definite: a read has no effect.
    pub async fn topic_stats_within(
        &self,
        topic: &str,
        age_us_max: u64,
    ) -> Result<(TopicStats, u64), ClientError> {
        let query = Query::Queue(QueueQuery::Stats { topic: topic.to_owned() });
        match self.query_within(query, age_us_max).await? {
            (Reply::Queue(QueueReply::Stats(stats)), age_us) => Ok((*stats, age_us)),
            _ => Err(MISREAD),
        }
    }

    /// Whatever may be asked, of a state that was the latest no longer than `age_us_max` ago.
    pub(crate) async fn query_within(
        &self,
        query: Query,
        age_us_max: u64,
    ) -> Result<(Reply, u64), ClientError> {
        let (attempt_us, timeout_us) = (self.config.attempt_timeout_us, self.config.operation_timeout_us);
        let body = RequestBody::QueryWithin { query, age_us_max };
        match self.ask_anywhere(body, attempt_us, timeout_us).await {
            Ok(ResponseBody::AgedOutcome { outcome: Ok(reply), age_us }) => Ok((reply, age_us)),
            // What is wrong with a question is wrong with it in every state.
            Ok(ResponseBody::AgedOutcome { outcome: Err(error), .. } | ResponseBody::Outcome(Err(error))) => {
                Err(ClientError::Refused(error))
            }
            Ok(_) => Err(MISREAD),
            Err(_) => Err(ClientError::NotDone("the read was not answered in time")),
        }
    }
}
