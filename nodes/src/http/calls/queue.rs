//! `/queue/…`: messages in and out, and what was counted.

#![expect(clippy::disallowed_methods, reason = "the older system's answer holds the time of day, for people")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::extract::State;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use super::{Refusal, Said};
use crate::http::App;
use crate::http::bounded::Name;
use crate::http::extract::{InQuery, LooseBody};
use crate::http::problem::Problem;
use crate::machine::{
    Action, BATCH_MAX, Delivery, NewMessage, Query, QueueAction, QueueQuery, QueueReply, Reply, TopicStats,
};

/// For how long a message is kept from others while it is being handed out.
const VISIBILITY_US: u64 = 30_000_000;

/// A message.
#[derive(Deserialize, ToSchema)]
pub(crate) struct EnqueueCall {
    topic: Name,
    /// Any JSON, which is kept as it is written.
    #[schema(value_type = serde_json::Value)]
    message: Box<RawValue>,
}

/// A message that was taken.
#[derive(Serialize, ToSchema)]
pub(crate) struct EnqueuedCall {
    message: &'static str,
    status: &'static str,
    topic: String,
    message_id: u64,
}

/// Which topic.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct DequeueCall {
    #[param(inline)]
    topic: Name,
}

/// A message that was handed out, or `empty`.
#[derive(Serialize, ToSchema)]
pub(crate) struct DequeuedCall {
    /// The message as it was enqueued.
    #[schema(value_type = serde_json::Value)]
    message: Box<RawValue>,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<u64>,
}

/// What the queues hold and have counted.
#[derive(Serialize, ToSchema)]
pub(crate) struct QueueStats {
    node_id: u64,
    /// The messages of each topic: the first 1,024 topics, by name.
    queues: BTreeMap<String, u64>,
    throughput: Throughput,
    /// Seconds since 1970.
    timestamp: f64,
    /// Messages of those topics that were taken out of them for good, by consumers.
    total_dequeued: u64,
    /// Messages that producers put into them.
    total_enqueued: u64,
    /// Of the leader, which counts the throughput.
    uptime_seconds: f64,
}

/// Means over the last ten seconds.
#[derive(Serialize, ToSchema)]
pub(crate) struct Throughput {
    dequeue_rate: f64,
    enqueue_rate: f64,
    overall_msg_per_sec: f64,
}

async fn act(app: &App, action: QueueAction) -> Result<QueueReply, Problem> {
    match app.gateway.act(None, Action::Queue(action), 0).await? {
        Reply::Queue(reply) => Ok(reply),
        _ => Err(Problem::misanswered()),
    }
}

async fn ask(app: &App, query: QueueQuery) -> Result<QueueReply, Problem> {
    match app.gateway.ask(Query::Queue(query)).await? {
        Reply::Queue(reply) => Ok(reply),
        _ => Err(Problem::misanswered()),
    }
}

/// Put a message into a topic
#[utoipa::path(post, path = "/queue/enqueue", tag = "calls", request_body = EnqueueCall, responses(
    (status = 200, description = "It is taken", body = EnqueuedCall),
    (status = 409, description = "The topic is full", body = Said),
))]
pub(crate) async fn enqueue(
    State(app): State<Arc<App>>,
    LooseBody(call): LooseBody<EnqueueCall>,
) -> Result<Json<EnqueuedCall>, Refusal> {
    let topic = call.topic.0;
    let message = NewMessage { payload: Bytes::from(call.message.get().to_owned()), ..NewMessage::default() };
    let action = QueueAction::Enqueue { topic: topic.clone(), messages: vec![message], producer: None };
    let QueueReply::Enqueued { ids, .. } = act(&app, action).await? else {
        return Err(Problem::misanswered().into());
    };
    let message_id = ids.first().map_or(0, |id| id.0);
    Ok(Json(EnqueuedCall { message: "Message enqueued", status: "ok", topic, message_id }))
}

/// Take the next message out of a topic
#[utoipa::path(get, path = "/queue/dequeue", tag = "calls", params(DequeueCall), responses(
    (status = 200, description = "The message, or that there is none", body = DequeuedCall),
    (status = 409, description = "The topic was deleted meanwhile", body = Said),
))]
pub(crate) async fn dequeue(
    State(app): State<Arc<App>>,
    method: Method,
    call: Result<InQuery<DequeueCall>, Problem>,
) -> Result<Response, Refusal> {
    if method == Method::HEAD {
        // It would take a message out and show it to nobody.
        return Ok((StatusCode::METHOD_NOT_ALLOWED, [("allow", "GET")]).into_response());
    }
    let InQuery(DequeueCall { topic: Name(topic) }) = call?;
    let Some(delivery) = take(&app, &topic).await? else {
        let message = super::json_of(b"No messages available");
        let empty = DequeuedCall { message, status: "empty", topic: None, message_id: None };
        return Ok(Json(empty).into_response());
    };
    let message = super::json_of(&delivery.payload);
    let message_id = Some(delivery.id.0);
    Ok(Json(DequeuedCall { message, status: "ok", topic: Some(topic), message_id }).into_response())
}

/// The next message, which is removed.
async fn take(app: &App, topic: &str) -> Result<Option<Delivery>, Problem> {
    let (count_max, visibility_us) = (1, VISIBILITY_US);
    let dequeue = QueueAction::Dequeue { topic: topic.to_owned(), count_max, visibility_us, wait_us: 0 };
    let delivery = match act(app, dequeue).await {
        Ok(QueueReply::Delivered(deliveries)) => deliveries.into_iter().next(),
        // A second attempt of the gateway's own: the first was given the message.
        Ok(QueueReply::DeliveredBefore { deliveries, .. }) if !deliveries.is_empty() => {
            deliveries.into_iter().next()
        }
        Ok(_) => return Err(Problem::misanswered()),
        Err(problem) if problem.status == StatusCode::NOT_FOUND => None,
        Err(problem) => return Err(problem),
    };
    let Some(delivery) = delivery else { return Ok(None) };
    let receipts = vec![(delivery.id, delivery.receipt)];
    act(app, QueueAction::Acknowledge { topic: topic.to_owned(), receipts }).await?;
    Ok(Some(delivery))
}

/// What the queues hold and have counted
#[utoipa::path(get, path = "/queue/stats", tag = "calls", responses(
    (status = 200, description = "Their statistics", body = QueueStats),
    (status = 409, description = "A topic was deleted meanwhile", body = Said),
))]
pub(crate) async fn stats(State(app): State<Arc<App>>) -> Result<Json<QueueStats>, Refusal> {
    let QueueReply::Topics(topics) =
        ask(&app, QueueQuery::List { after: None, count_max: BATCH_MAX as u32 }).await?
    else {
        return Err(Problem::misanswered().into());
    };
    let asked =
        topics.iter().map(async |listed| ask(&app, QueueQuery::Stats { topic: listed.topic.clone() }).await);
    let answers = futures_util::future::join_all(asked).await;
    let mut known: Vec<TopicStats> = Vec::with_capacity(answers.len());
    for answer in answers {
        match answer {
            Ok(QueueReply::Stats(stats)) => known.push(*stats),
            Ok(_) => return Err(Problem::misanswered().into()),
            // A topic that was deleted meanwhile does not count any more.
            Err(problem) if problem.status == StatusCode::NOT_FOUND => {}
            Err(problem) => return Err(problem.into()),
        }
    }
    let sum = |count: fn(&TopicStats) -> u64| known.iter().map(count).fold(0_u64, u64::saturating_add);
    let leader = app.gateway.client().status().await.map_err(|error| Problem::of_client(error, None))?;
    let traffic = leader.traffic;
    let (enqueue_rate, dequeue_rate) =
        (traffic.per_second(traffic.recent.enqueued), traffic.per_second(traffic.recent.delivered));
    Ok(Json(QueueStats {
        node_id: app.id.0,
        queues: topics.into_iter().map(|listed| (listed.topic, listed.depth)).collect(),
        throughput: Throughput {
            dequeue_rate,
            enqueue_rate,
            overall_msg_per_sec: enqueue_rate + dequeue_rate,
        },
        timestamp: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64()),
        total_dequeued: sum(|stats| stats.totals.acknowledged),
        total_enqueued: sum(|stats| stats.totals.enqueued),
        uptime_seconds: traffic.uptime_us as f64 / 1e6,
    }))
}
