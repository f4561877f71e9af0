//! One connection to the Redis, and transactions over it.
//!
//! A transaction is one request: `MULTI`, its commands, `EXEC`, and then at once `WATCH` of the node's state key
//! and a look at it. So the watch for the *next* transaction begins before this one is answered, and a
//! transaction costs one round trip, although Redis carries it out only if nobody has touched the state since
//! this process last saw it. Late copies of requests, on connections that were given up, are thereby refused, and
//! so is a process that does not know yet that another has taken its store over.
//!
//! Where syncing is not the Redis's own rule (`appendfsync always`), `WAITAOF` stands behind the `EXEC`.

use std::future::Future;
use std::pin::Pin;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Cmd, ErrorKind, Pipeline, ProtocolVersion, RedisConnectionInfo, RedisError, Value,
};

use super::config::RedisConfig;
use super::layout::Keys;
use crate::env::Env;
use crate::plant::{self, Bug};
use crate::storage::StorageError;

/// Why something did not come about.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The connection broke, or the Redis cannot serve now. What was asked may or may not have happened.
    Passing(String),
    /// The Redis refuses this user. At the beginning, a mistake of the operator.
    Refused(String),
    /// The user has logged in, and may not do this.
    Forbidden(String),
    /// The store must not be used.
    Final(StorageError),
}

/// What became of a transaction.
#[derive(Debug)]
pub(super) enum Transacted {
    /// It was carried out, and is durable if the Redis promises that at all. This is the state key afterwards.
    Done(Option<Head>),
    /// It was not: somebody had touched the state key.
    Overtaken,
}

/// The state key as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) format: u64,
    pub(super) cluster: u64,
    pub(super) node: u64,
    pub(super) incarnation: u64,
    pub(super) owner: u64,
    pub(super) batch: u64,
    pub(super) state: Vec<u8>,
}

/// The fields of a [`Head`], in its order.
const HEAD_FIELDS: [&str; 7] = ["format", "cluster", "node", "incarnation", "owner", "batch", "state"];

/// An open connection. Dropping it closes it.
pub(super) struct Link {
    connection: MultiplexedConnection,
    /// Moves the bytes. Polled while something is asked, and not in between: nothing arrives unasked.
    driver: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// Whether each transaction has to wait until the append-only file is synced.
    pub(super) waits_for_sync: bool,
}

impl Link {
    pub(super) async fn open<E: Env>(env: &E, config: &RedisConfig) -> Result<Self, Trouble> {
        let deadline = env.now().plus_us(config.answer_within_us);
        let opening = async {
            let stream = env
                .connect(&config.address)
                .await
                .map_err(|error| Trouble::Passing(format!("no connection: {error}")))?;
            // Its own timers are tokio's, which do not exist in the simulator; ours stands around it.
            let timeless =
                AsyncConnectionConfig::new().set_response_timeout(None).set_connection_timeout(None);
            let opened = MultiplexedConnection::new_with_config(&login(config), stream, timeless).await;
            let (connection, driver) = opened.map_err(|error| {
                let reason = format!("no login: {error}");
                if is_refusal(&error) { Trouble::Refused(reason) } else { Trouble::Passing(reason) }
            })?;
            Ok(Self { connection, driver: Box::pin(driver), waits_for_sync: false })
        };
        tokio::select! {
            biased;
            opened = opening => opened,
            () = env.sleep_until(deadline) => Err(Trouble::Passing("no connection in time".to_owned())),
        }
    }

    /// Asks all of it at once, and waits for all answers.
    pub(super) async fn ask<E: Env>(
        &mut self,
        env: &E,
        config: &RedisConfig,
        pipeline: &Pipeline,
    ) -> Result<Vec<Value>, Trouble> {
        let deadline = env.now().plus_us(config.answer_within_us);
        let answers = self.connection.send_packed_commands(pipeline, 0, pipeline.len());
        tokio::select! {
            biased;
            answers = answers => {
                let answers = answers.map_err(|error| Trouble::Passing(error.to_string()))?;
                let refusal = answers.iter().find_map(refusal);
                refusal.map_or(Ok(answers), Err)
            }
            () = &mut self.driver => Err(Trouble::Passing("the connection broke".to_owned())),
            () = env.sleep_until(deadline) => Err(Trouble::Passing("no answer in time".to_owned())),
        }
    }

    /// Begins to watch the state key, and looks at it.
    pub(super) async fn watch<E: Env>(
        &mut self,
        env: &E,
        config: &RedisConfig,
        keys: &Keys,
    ) -> Result<Option<Head>, Trouble> {
        let mut pipeline = redis::pipe();
        push_watch(&mut pipeline, keys);
        let answers = self.ask(env, config, &pipeline).await?;
        head_of(&answers)
    }

    /// Carries out commands, all or none, if nobody has touched the state key since it was last looked at.
    pub(super) async fn transact<E: Env>(
        &mut self,
        env: &E,
        config: &RedisConfig,
        keys: &Keys,
        commands: &[Cmd],
    ) -> Result<Transacted, Trouble> {
        if plant::is(Bug::RedisMultiSplit)
            && let [first @ .., last] = commands
            && !first.is_empty()
        {
            let last = std::slice::from_ref(last);
            if let Transacted::Overtaken = self.transact_all(env, config, keys, last).await? {
                return Ok(Transacted::Overtaken);
            }
            return self.transact_all(env, config, keys, first).await;
        }
        self.transact_all(env, config, keys, commands).await
    }

    async fn transact_all<E: Env>(
        &mut self,
        env: &E,
        config: &RedisConfig,
        keys: &Keys,
        commands: &[Cmd],
    ) -> Result<Transacted, Trouble> {
        let mut pipeline = redis::pipe();
        pipeline.cmd("MULTI");
        for command in commands {
            pipeline.add_command(command.clone());
        }
        pipeline.cmd("EXEC");
        if self.waits_for_sync {
            let patience_ms = (config.answer_within_us / 1_000).max(1);
            pipeline.cmd("WAITAOF").arg(1).arg(0).arg(patience_ms);
        }
        push_watch(&mut pipeline, keys);
        let answers = self.ask(env, config, &pipeline).await?;
        let (queued, rest) = answers.split_at(1 + commands.len());
        if let Some(Value::ServerError(error)) =
            queued.iter().find(|answer| matches!(answer, Value::ServerError(_)))
        {
            // Redis carries out nothing of a transaction that it could not queue.
            return Err(Trouble::Passing(format!("the Redis refuses a command: {error}")));
        }
        match &rest[0] {
            Value::Nil => return Ok(Transacted::Overtaken),
            Value::Array(results) => {
                if let Some(Value::ServerError(error)) =
                    results.iter().find(|result| matches!(result, Value::ServerError(_)))
                {
                    let reason =
                        format!("a command of a transaction failed while others took effect: {error}");
                    return Err(Trouble::Final(damaged(keys, &reason)));
                }
            }
            other => return Err(unexpected("EXEC", other)),
        }
        if self.waits_for_sync {
            match &rest[1] {
                Value::Array(copies) if matches!(copies.first(), Some(Value::Int(1..))) => {}
                other => return Err(unexpected("WAITAOF", other)),
            }
        }
        head_of(&rest[rest.len() - 2..]).map(Transacted::Done)
    }
}

/// Something is wrong with what lies in the Redis.
pub(super) fn damaged(keys: &Keys, reason: &str) -> StorageError {
    StorageError::Damaged { file: keys.state.clone(), offset: 0, reason: reason.to_owned() }
}

pub(super) fn unexpected(command: &str, answer: &Value) -> Trouble {
    match answer {
        Value::ServerError(error) => Trouble::Passing(format!("{command} fails: {error}")),
        other => Trouble::Passing(format!("{command} is answered by {other:?}")),
    }
}

fn login(config: &RedisConfig) -> RedisConnectionInfo {
    let mut login = RedisConnectionInfo::default()
        .set_protocol(ProtocolVersion::RESP2)
        .set_db(i64::from(config.database))
        .set_skip_set_lib_name();
    if let Some(username) = &config.username {
        login = login.set_username(username);
    }
    if let Some(password) = &config.password {
        login = login.set_password(&password.0);
    }
    login
}

/// Whether a login came to nothing because of what was said in it, so that the next would as well. Of a refused `SELECT`,
/// which is what a Redis without a login's password comes to, the library keeps the words and not the code.
fn is_refusal(error: &RedisError) -> bool {
    let words = error.to_string();
    error.kind() == ErrorKind::AuthenticationFailed
        || matches!(error.code(), Some("WRONGPASS" | "NOAUTH" | "NOPERM"))
        || ["Authentication required", "no permissions", "DB index is out of range"]
            .iter()
            .any(|refusal| words.contains(refusal))
}

/// Whether an answer says that this user may not, or that nobody has logged in.
fn refusal(answer: &Value) -> Option<Trouble> {
    let Value::ServerError(error) = answer else { return None };
    match error.code() {
        "NOAUTH" | "WRONGPASS" => Some(Trouble::Refused(error.to_string())),
        "NOPERM" => Some(Trouble::Forbidden(error.to_string())),
        _ => None,
    }
}

fn push_watch(pipeline: &mut Pipeline, keys: &Keys) {
    pipeline.cmd("WATCH").arg(&keys.state);
    pipeline.cmd("HMGET").arg(&keys.state).arg(&HEAD_FIELDS);
}

/// Reads the answers to [`push_watch`].
fn head_of(answers: &[Value]) -> Result<Option<Head>, Trouble> {
    let [watched, fields] = answers else {
        return Err(Trouble::Passing("an answer is missing".to_owned()));
    };
    if *watched != Value::Okay {
        return Err(unexpected("WATCH", watched));
    }
    let Value::Array(fields) = fields else {
        return Err(unexpected("HMGET", fields));
    };
    if fields.iter().all(|field| *field == Value::Nil) {
        return Ok(None);
    }
    let [format, cluster, node, incarnation, owner, batch, state] = fields.as_slice() else {
        return Err(Trouble::Passing("a field is missing".to_owned()));
    };
    let number = |value: &Value, name: &str| {
        let digits = bytes_of(value).and_then(|bytes| std::str::from_utf8(bytes).ok());
        digits.and_then(|digits| digits.parse().ok()).ok_or_else(|| {
            let reason = format!("its field `{name}` holds {value:?}, which is no number");
            Trouble::Final(StorageError::Damaged { file: "the state key".to_owned(), offset: 0, reason })
        })
    };
    Ok(Some(Head {
        format: number(format, "format")?,
        cluster: number(cluster, "cluster")?,
        node: number(node, "node")?,
        incarnation: number(incarnation, "incarnation")?,
        owner: number(owner, "owner")?,
        batch: number(batch, "batch")?,
        state: bytes_of(state).unwrap_or_default().to_vec(),
    }))
}

/// The bytes of a string.
pub(super) fn bytes_of(value: &Value) -> Option<&[u8]> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        Value::SimpleString(text) => Some(text.as_bytes()),
        _ => None,
    }
}
