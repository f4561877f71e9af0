//! Topics: what they hold, how they behave.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::aged::Freshness;
use super::messages::{Peeked, peeked};
use crate::http::App;
use crate::http::bounded::{
    Attempts, Count, Depth, MessageNumber, MessageTtlMs, Name, PayloadBytes, TopicBytes,
};
use crate::http::extract::{Body, InQuery, PathName};
use crate::http::keys::{Key, MaybeKey};
use crate::http::problem::{Problem, ProblemBody};
use crate::ids::MessageId;
use crate::machine::{
    PurgeScope, Query, QueueAction, QueueQuery, QueueReply, Reply, TopicRecent, TopicSettings,
};

/// How a topic behaves. What is not said has its default.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TopicSettings)]
pub(crate) struct Settings {
    /// Deliveries of a message before it is given up as dead. Default 20.
    #[serde(default)]
    attempts_max: Option<Attempts>,
    /// The topic that messages go to which were given up; without it they stay in the topic's own list of the dead.
    #[serde(default)]
    dead_letter: Option<Name>,
    /// How long a message lives that does not say so itself. Default for ever.
    #[serde(default)]
    ttl_ms: Option<MessageTtlMs>,
    /// Messages that it holds at most. Default 1,048,576.
    #[serde(default)]
    depth_max: Option<Depth>,
    /// Bytes that it holds at most. Default 1 GiB.
    #[serde(default)]
    bytes_max: Option<TopicBytes>,
    /// The longest payload. Default 1 MiB.
    #[serde(default)]
    payload_bytes_max: Option<PayloadBytes>,
}

/// A topic at one moment.
#[derive(Serialize, ToSchema)]
pub(crate) struct Topic {
    topic: String,
    /// Messages in whatever state.
    depth: u64,
    /// Messages that can be delivered, or could but for another of their group.
    ready: u64,
    /// Those of them that nothing holds back: the rest wait for their groups' turn.
    deliverable: u64,
    /// Messages held back.
    delayed: u64,
    /// Messages delivered and not settled.
    in_flight: u64,
    /// Messages in its own list of the dead.
    dead: u64,
    /// Bytes of all messages.
    bytes: u64,
    /// How long ago the oldest deliverable one was enqueued.
    oldest_ready_us: Option<u64>,
    /// Commands that wait for messages.
    waiting: u64,
    /// Open sessions that have asked for messages.
    consumers: u64,
    totals: Totals,
    rates: Rates,
    settings: Settings,
}

/// How many messages passed through a topic per second, in the mean over its last ten whole seconds, on whatever node.
#[derive(Serialize, ToSchema)]
#[schema(as = TopicRates)]
pub(crate) struct Rates {
    enqueued_per_s: f64,
    delivered_per_s: f64,
    acknowledged_per_s: f64,
}

/// What happened to a topic's messages since it was made.
#[derive(Serialize, ToSchema)]
#[schema(as = TopicTotals)]
pub(crate) struct Totals {
    enqueued: u64,
    moved_in: u64,
    moved_out: u64,
    delivered: u64,
    redelivered: u64,
    acknowledged: u64,
    rejected: u64,
    lease_expired: u64,
    expired: u64,
    purged: u64,
    dead_lettered: u64,
    redriven: u64,
}

/// Some topics, in the order of their names.
#[derive(Serialize, ToSchema)]
#[schema(as = Topics)]
pub(crate) struct Listing {
    topics: Vec<Listed>,
}

/// One of them.
#[derive(Serialize, ToSchema)]
#[schema(as = ListedTopic)]
pub(crate) struct Listed {
    topic: String,
    depth: u64,
    bytes: u64,
}

/// Which topics.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Page {
    /// From the first after this name on.
    #[param(inline)]
    after: Option<Name>,
    /// How many at most. Default 100.
    #[param(inline)]
    count: Option<Count>,
}

/// How many.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Limit {
    /// How many at most. Default 10.
    #[param(inline)]
    pub(super) count: Option<Count>,
}

/// Which messages to remove.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Purge {
    what: Scope,
    /// From the first message after this one on: what the answer before called `next`. Default the oldest.
    #[serde(default)]
    after: Option<MessageNumber>,
}

/// Messages by their state.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = PurgeScope)]
pub(crate) enum Scope {
    /// Those ready or delayed.
    Waiting,
    /// Those in the topic's own list of the dead.
    Dead,
    /// All, those in flight included.
    All,
}

/// How many to bring back.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Redrive {
    /// At most. Default 100.
    #[serde(default)]
    count: Option<Count>,
}

/// How many messages were removed, and where to go on.
#[derive(Serialize, ToSchema)]
pub(crate) struct Purged {
    messages: u64,
    /// The last one that was looked at, if there are more.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<u64>,
}

/// How many messages it was.
#[derive(Serialize, ToSchema)]
#[schema(as = Affected)]
pub(crate) struct Messages {
    messages: u64,
}

impl Settings {
    fn into_settings(self) -> TopicSettings {
        let default = TopicSettings::default();
        TopicSettings {
            attempts_max: self
                .attempts_max
                .map_or(default.attempts_max, |n| u16::try_from(n.0).unwrap_or(u16::MAX)),
            dead_letter: self.dead_letter.map(|name| name.0),
            ttl_us: self.ttl_ms.map(|ttl| ttl.0 * 1_000),
            depth_max: self.depth_max.map_or(default.depth_max, |depth| depth.0),
            bytes_max: self.bytes_max.map_or(default.bytes_max, |bytes| bytes.0),
            payload_bytes_max: self.payload_bytes_max.map_or(default.payload_bytes_max, |bytes| bytes.0),
        }
    }

    fn of(settings: TopicSettings) -> Self {
        Self {
            attempts_max: Some(Attempts(u64::from(settings.attempts_max))),
            dead_letter: settings.dead_letter.map(Name),
            ttl_ms: settings.ttl_us.map(|ttl_us| MessageTtlMs(ttl_us / 1_000)),
            depth_max: Some(Depth(settings.depth_max)),
            bytes_max: Some(TopicBytes(settings.bytes_max)),
            payload_bytes_max: Some(PayloadBytes(settings.payload_bytes_max)),
        }
    }
}

async fn ask(app: &App, query: QueueQuery) -> Result<QueueReply, Problem> {
    match app.gateway.ask(Query::Queue(query)).await? {
        Reply::Queue(reply) => Ok(reply),
        _ => Err(Problem::misanswered()),
    }
}

/// The topics
#[utoipa::path(get, path = "/v1/topics", tag = "topics", params(Page), responses(
    (status = 200, description = "Some of them", body = Listing),
))]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    InQuery(page): InQuery<Page>,
) -> Result<Json<Listing>, Problem> {
    let count_max = page.count.map_or(100, |count| count.0 as u32);
    let query = QueueQuery::List { after: page.after.map(|name| name.0), count_max };
    let QueueReply::Topics(topics) = ask(&app, query).await? else { return Err(Problem::misanswered()) };
    let listed =
        topics.into_iter().map(|one| Listed { topic: one.topic, depth: one.depth, bytes: one.bytes });
    Ok(Json(Listing { topics: listed.collect() }))
}

/// How a topic is and what it has counted
#[utoipa::path(get, path = "/v1/topics/{topic}", tag = "topics", params(
    ("topic" = inline(Name), Path, description = "The topic"), Freshness,
), responses(
    (status = 200, description = "The topic", body = Topic),
    (status = 404, description = "There is none", body = ProblemBody, content_type = "application/problem+json"),
))]
pub(crate) async fn show(
    State(app): State<Arc<App>>,
    PathName(topic): PathName,
    InQuery(freshness): InQuery<Freshness>,
) -> Result<Response, Problem> {
    let query = Query::Queue(QueueQuery::Stats { topic: topic.clone() });
    let (Reply::Queue(QueueReply::Stats(stats)), age) = freshness.ask(&app, query).await? else {
        return Err(Problem::misanswered());
    };
    let totals = Totals {
        enqueued: stats.totals.enqueued,
        moved_in: stats.totals.moved_in,
        moved_out: stats.totals.moved_out,
        delivered: stats.totals.delivered,
        redelivered: stats.totals.redelivered,
        acknowledged: stats.totals.acknowledged,
        rejected: stats.totals.rejected,
        lease_expired: stats.totals.lease_expired,
        expired: stats.totals.expired,
        purged: stats.totals.purged,
        dead_lettered: stats.totals.dead_lettered,
        redriven: stats.totals.redriven,
    };
    let recent = &stats.recent;
    let rates = Rates {
        enqueued_per_s: TopicRecent::per_second(recent.enqueued),
        delivered_per_s: TopicRecent::per_second(recent.delivered),
        acknowledged_per_s: TopicRecent::per_second(recent.acknowledged),
    };
    let topic = Topic {
        topic,
        depth: stats.depth(),
        ready: stats.ready,
        deliverable: stats.deliverable,
        delayed: stats.delayed,
        in_flight: stats.in_flight,
        dead: stats.dead,
        bytes: stats.bytes,
        oldest_ready_us: stats.oldest_ready_us,
        waiting: stats.waiting,
        consumers: stats.consumers,
        totals,
        rates,
        settings: Settings::of(stats.settings),
    };
    Ok(age.on(Json(topic).into_response()))
}

/// Make a topic, or change how one behaves
///
/// Enqueueing makes a topic as well, with default settings.
#[utoipa::path(put, path = "/v1/topics/{topic}", tag = "topics", request_body = Settings, params(
    ("topic" = inline(Name), Path, description = "The topic"),
    ("Idempotency-Key" = inline(Option<Key>), Header, description = "A session, and a new number in it"),
), responses(
    (status = 200, description = "It behaves so now"),
    (status = 201, description = "It is made"),
    (status = 409, description = "A bound is reached", body = ProblemBody, content_type = "application/problem+json"),
))]
pub(crate) async fn declare(
    State(app): State<Arc<App>>,
    PathName(topic): PathName,
    MaybeKey(key): MaybeKey,
    Body(settings): Body<Settings>,
) -> Result<StatusCode, Problem> {
    let settings = settings.into_settings();
    if settings.dead_letter.as_ref() == Some(&topic) {
        let title = "A topic cannot be its own dead_letter";
        return Err(Problem::conflict("own-dead-letter", title, "name another topic, or none"));
    }
    match super::on_topic(&app, key, QueueAction::Declare { topic, settings }, 0).await? {
        QueueReply::Declared { created: true } => Ok(StatusCode::CREATED),
        QueueReply::Declared { created: false } => Ok(StatusCode::OK),
        _ => Err(super::misused()),
    }
}

/// Remove a topic with all its messages
#[utoipa::path(delete, path = "/v1/topics/{topic}", tag = "topics", params(
    ("topic" = inline(Name), Path, description = "The topic"),
    ("Idempotency-Key" = inline(Option<Key>), Header, description = "A session, and a new number in it"),
), responses(
    (status = 200, description = "It is gone, and so many messages with it", body = Messages),
    (status = 404, description = "There was none", body = ProblemBody, content_type = "application/problem+json"),
    (status = 409, description = "The key is of no use", body = ProblemBody, content_type = "application/problem+json"),
))]
pub(crate) async fn delete(
    State(app): State<Arc<App>>,
    PathName(topic): PathName,
    MaybeKey(key): MaybeKey,
) -> Result<Json<Messages>, Problem> {
    match super::on_topic(&app, key, QueueAction::DeleteTopic { topic }, 0).await? {
        QueueReply::Deleted { messages: Some(messages) } => Ok(Json(Messages { messages })),
        QueueReply::Deleted { messages: None } => Err(Problem::not_found("there is no such topic")),
        _ => Err(super::misused()),
    }
}

/// Remove messages of a topic
///
/// Looks at some thousands of them, oldest first; `next` says where to go on.
#[utoipa::path(post, path = "/v1/topics/{topic}/purge", tag = "topics", request_body = Purge, params(
    ("topic" = inline(Name), Path, description = "The topic"),
    ("Idempotency-Key" = inline(Option<Key>), Header, description = "A session, and a new number in it"),
), responses(
    (status = 200, description = "So many are removed", body = Purged),
    (status = 404, description = "There is no such topic", body = ProblemBody, content_type = "application/problem+json"),
    (status = 409, description = "The key is of no use", body = ProblemBody, content_type = "application/problem+json"),
))]
pub(crate) async fn purge(
    State(app): State<Arc<App>>,
    PathName(topic): PathName,
    MaybeKey(key): MaybeKey,
    Body(purge): Body<Purge>,
) -> Result<Json<Purged>, Problem> {
    let what = match purge.what {
        Scope::Waiting => PurgeScope::Waiting,
        Scope::Dead => PurgeScope::Dead,
        Scope::All => PurgeScope::All,
    };
    let after = purge.after.map(|id| MessageId(id.0));
    match super::on_topic(&app, key, QueueAction::Purge { topic, what, after }, 0).await? {
        QueueReply::Purged { messages, next } => Ok(Json(Purged { messages, next: next.map(|id| id.0) })),
        _ => Err(super::misused()),
    }
}

/// Bring messages back that were given up
#[utoipa::path(post, path = "/v1/topics/{topic}/redrive", tag = "topics", request_body = Redrive, params(
    ("topic" = inline(Name), Path, description = "The topic"),
    ("Idempotency-Key" = inline(Option<Key>), Header, description = "A session, and a new number in it"),
), responses(
    (status = 200, description = "So many are back", body = Messages),
    (status = 404, description = "There is no such topic", body = ProblemBody, content_type = "application/problem+json"),
    (status = 409, description = "The topic is full", body = ProblemBody, content_type = "application/problem+json"),
))]
pub(crate) async fn redrive(
    State(app): State<Arc<App>>,
    PathName(topic): PathName,
    MaybeKey(key): MaybeKey,
    Body(redrive): Body<Redrive>,
) -> Result<Json<Messages>, Problem> {
    let count_max = redrive.count.map_or(100, |count| count.0 as u32);
    match super::on_topic(&app, key, QueueAction::Redrive { topic, count_max }, 0).await? {
        QueueReply::Redriven { messages } => Ok(Json(Messages { messages })),
        _ => Err(super::misused()),
    }
}

/// The messages in a topic's own list of the dead
#[utoipa::path(get, path = "/v1/topics/{topic}/dead", tag = "topics", params(
    ("topic" = inline(Name), Path, description = "The topic"), Limit,
), responses(
    (status = 200, description = "The oldest of them", body = Peeked),
    (status = 404, description = "There is no such topic", body = ProblemBody, content_type = "application/problem+json"),
))]
pub(crate) async fn dead(
    State(app): State<Arc<App>>,
    PathName(topic): PathName,
    InQuery(limit): InQuery<Limit>,
) -> Result<Json<Peeked>, Problem> {
    let count_max = limit.count.map_or(10, |count| count.0 as u32);
    match ask(&app, QueueQuery::PeekDead { topic, count_max }).await? {
        QueueReply::Peeked(messages) => Ok(Json(peeked(messages))),
        _ => Err(Problem::misanswered()),
    }
}
