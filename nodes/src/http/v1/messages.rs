//! Messages: in, out, and settled.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use base64::Engine;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::topics::Limit;
use crate::http::App;
use crate::http::bounded::{
    Count, DelayMs, Group, MessageNumber, MessageTtlMs, Name, Priority, Producer, ProducerSequence,
    ReceiptNumber, VisibilityMs, WaitMs,
};
use crate::http::extract::{Body, InQuery, PathName};
use crate::http::keys::{Key, MaybeKey};
use crate::http::limits::Place;
use crate::http::problem::{Problem, ProblemBody};
use crate::ids::{MessageId, ProducerId, Receipt};
use crate::machine::{
    Acknowledgement, Death, DeathReason, Delivery, NewMessage, Origin, Query, QueueAction, QueueQuery,
    QueueReply, Reply, StoredMessage,
};

/// Messages for a topic.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Enqueue {
    /// All are taken, in this order, or none.
    #[schema(min_items = 1, max_items = 1024)]
    messages: Vec<Message>,
    /// Who makes them and numbers them, so that a repetition is no second message, without a session and for ever.
    #[serde(default)]
    producer: Option<Numbered>,
}

/// Where messages stand among all of their producer.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ProducerNumber)]
pub(crate) struct Numbered {
    /// The producer.
    id: Producer,
    /// The number of the first message: they follow each other without gaps, from 1 on, in each topic.
    sequence: ProducerSequence,
}

/// A message.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewMessage)]
pub(crate) struct Message {
    /// What it says, if that is text. Default nothing.
    #[serde(default)]
    text: Option<String>,
    /// What it says, if that is no text. Counts for more than `text`.
    #[serde(default)]
    #[schema(pattern = r"^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$")]
    base64: Option<String>,
    /// Names and values; the queue does not read them.
    #[serde(default)]
    headers: Option<BTreeMap<String, String>>,
    /// Higher ones are delivered first. Default 0.
    #[serde(default)]
    priority: Option<Priority>,
    /// The group whose order it keeps.
    #[serde(default)]
    group: Option<Group>,
    /// For how long it is held back. Default 0.
    #[serde(default)]
    delay_ms: Option<DelayMs>,
    /// How long it lives unless it is in flight then. Default as the topic says.
    #[serde(default)]
    ttl_ms: Option<MessageTtlMs>,
}

/// Messages that were taken.
#[derive(Serialize, ToSchema)]
pub(crate) struct Enqueued {
    /// Their numbers, in order. None if they were taken too long ago.
    ids: Vec<u64>,
    /// Whether their producer had brought them before, and nothing was done.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    duplicate: bool,
}

/// What a consumer wants.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Dequeue {
    /// How many at most. Default 1.
    #[serde(default)]
    count: Option<Count>,
    /// For how long nobody else gets them. Default 30,000.
    #[serde(default)]
    visibility_ms: Option<VisibilityMs>,
    /// How long to wait if there is none. Default 0.
    #[serde(default)]
    wait_ms: Option<WaitMs>,
}

/// Messages that were delivered.
#[derive(Serialize, ToSchema)]
pub(crate) struct Deliveries {
    /// None if there are none.
    deliveries: Vec<Delivered>,
    /// To a repetition: what the first was given besides, and is over by now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    over: Vec<OverDelivery>,
}

/// A delivery that is over.
#[derive(Serialize, ToSchema)]
pub(crate) struct OverDelivery {
    id: u64,
    receipt: u64,
}

/// A message that was delivered.
#[derive(Serialize, ToSchema)]
#[schema(as = Delivery)]
pub(crate) struct Delivered {
    id: u64,
    /// Names this delivery: to be acknowledged with.
    receipt: u64,
    /// How often it has been tried, this time included.
    attempt: u16,
    priority: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    /// Where it was given up before it was moved here.
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<GivenUp>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<String, String>,
    #[serde(flatten)]
    payload: Payload,
}

/// What a message says: `text`, or `base64` if it is no text.
#[derive(Serialize, ToSchema)]
pub(crate) struct Payload {
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
}

/// Messages as they lie in a topic.
#[derive(Serialize, ToSchema)]
#[schema(as = PeekedMessages)]
pub(crate) struct Peeked {
    messages: Vec<Stored>,
}

/// One of them.
#[derive(Serialize, ToSchema)]
#[schema(as = StoredMessage)]
pub(crate) struct Stored {
    id: u64,
    /// How often it was tried.
    attempts: u16,
    priority: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    /// Where it was given up before it was moved here.
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<GivenUp>,
    /// What ended its last attempt, if it is dead.
    #[serde(skip_serializing_if = "Option::is_none")]
    death: Option<End>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<String, String>,
    #[serde(flatten)]
    payload: Payload,
}

/// Where and how a message was given up.
#[derive(Serialize, ToSchema)]
#[schema(as = MessageOrigin)]
pub(crate) struct GivenUp {
    topic: String,
    death: End,
}

/// What ended a message's last attempt.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = MessageDeath)]
pub(crate) enum End {
    /// Nobody acknowledged it in time.
    LeaseExpired,
    /// Its consumer rejected it.
    Rejected,
}

impl From<Death> for End {
    fn from(death: Death) -> Self {
        match death.reason {
            DeathReason::LeaseExpired => Self::LeaseExpired,
            DeathReason::Rejected => Self::Rejected,
        }
    }
}

impl From<Origin> for GivenUp {
    fn from(origin: Origin) -> Self {
        Self { topic: origin.topic, death: origin.death.into() }
    }
}

/// A delivery.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = DeliveryName)]
pub(crate) struct Named {
    id: MessageNumber,
    receipt: ReceiptNumber,
}

/// Deliveries that are done with.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Acknowledge {
    #[schema(min_items = 1, max_items = 1024)]
    deliveries: Vec<Named>,
}

/// What became of them, in the same order.
#[derive(Serialize, ToSchema)]
pub(crate) struct Acknowledged {
    results: Vec<Settlement>,
}

/// What became of one.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Settlement {
    /// The message is removed.
    Done,
    /// The delivery was over: somebody else has the message, or will.
    Stale,
    /// There is no such message.
    Unknown,
}

/// A delivery that came to nothing.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RejectDelivery)]
pub(crate) struct Reject {
    id: MessageNumber,
    receipt: ReceiptNumber,
    /// For how long the message is held back. Default 0.
    #[serde(default)]
    delay_ms: Option<DelayMs>,
}

/// What became of its message.
#[derive(Serialize, ToSchema)]
pub(crate) struct Rejected {
    /// Whether it was given up.
    dead: bool,
}

/// A delivery that takes longer.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ExtendDelivery)]
pub(crate) struct Extend {
    id: MessageNumber,
    receipt: ReceiptNumber,
    /// How long from now.
    visibility_ms: VisibilityMs,
}

/// Padding may be there or not, and what the last character says too much is passed over: whatever the pattern lets
/// through is read.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

impl Message {
    fn into_message(self) -> Result<NewMessage, Problem> {
        let payload = match (self.base64, self.text) {
            (Some(base64), _) => {
                let read = BASE64.decode(base64);
                Bytes::from(read.map_err(|error| Problem::bad_request(format!("`base64` is none: {error}")))?)
            }
            (None, text) => Bytes::from(text.unwrap_or_default()),
        };
        Ok(NewMessage {
            payload,
            headers: self.headers.unwrap_or_default().into_iter().collect(),
            priority: self.priority.map_or(0, |priority| priority.0 as u8),
            group: self.group.map(|group| group.0),
            delay_us: self.delay_ms.map_or(0, |delay| delay.0 * 1_000),
            ttl_us: self.ttl_ms.map(|ttl| ttl.0 * 1_000),
        })
    }
}

impl Payload {
    /// Nothing.
    pub(super) const fn none() -> Self {
        Self { text: None, base64: None }
    }

    pub(super) fn of(payload: &Bytes) -> Self {
        match std::str::from_utf8(payload) {
            Ok(text) => Self { text: Some(text.to_owned()), base64: None },
            Err(_) => Self { text: None, base64: Some(BASE64.encode(payload)) },
        }
    }
}

fn delivered(delivery: Delivery) -> Delivered {
    Delivered {
        id: delivery.id.0,
        receipt: delivery.receipt.0,
        attempt: delivery.attempt,
        origin: delivery.origin.map(GivenUp::from),
        priority: delivery.priority,
        group: delivery.group,
        headers: delivery.headers.into_iter().collect(),
        payload: Payload::of(&delivery.payload),
    }
}

fn told(deliveries: Vec<Delivery>, over: Vec<(MessageId, Receipt)>) -> Json<Deliveries> {
    let over = over.into_iter().map(|(id, receipt)| OverDelivery { id: id.0, receipt: receipt.0 });
    let deliveries = deliveries.into_iter().map(delivered);
    Json(Deliveries { deliveries: deliveries.collect(), over: over.collect() })
}

pub(super) fn peeked(messages: Vec<StoredMessage>) -> Peeked {
    let stored = messages.into_iter().map(|message| Stored {
        id: message.id.0,
        attempts: message.attempts,
        origin: message.origin.map(GivenUp::from),
        death: message.death.map(End::from),
        priority: message.priority,
        group: message.group,
        headers: message.headers.into_iter().collect(),
        payload: Payload::of(&message.payload),
    });
    Peeked { messages: stored.collect() }
}

/// Add messages to a topic
///
/// The topic is made if there is none.
#[utoipa::path(post, path = "/v1/topics/{topic}/messages", tag = "topics", request_body = Enqueue, params(
    ("topic" = inline(Name), Path, description = "The topic"),
    ("Idempotency-Key" = inline(Option<Key>), Header, description = "A session, and a new number in it"),
), responses(
    (status = 201, description = "They are taken", body = Enqueued),
    (status = 409, description = "The topic is full", body = ProblemBody, content_type = "application/problem+json"),
))]
pub(crate) async fn enqueue(
    State(app): State<Arc<App>>,
    PathName(topic): PathName,
    MaybeKey(key): MaybeKey,
    Body(enqueue): Body<Enqueue>,
) -> Result<(StatusCode, Json<Enqueued>), Problem> {
    let messages = enqueue.messages.into_iter().map(Message::into_message).collect::<Result<_, _>>()?;
    let producer = enqueue.producer.map(|producer| (ProducerId(producer.id.0), producer.sequence.0));
    let (ids, duplicate) =
        match super::on_topic(&app, key, QueueAction::Enqueue { topic, messages, producer }, 0).await? {
            QueueReply::Enqueued { ids, duplicate } => (ids.into_iter().map(|id| id.0).collect(), duplicate),
            QueueReply::AlreadyEnqueued => (Vec::new(), true),
            _ => return Err(super::misused()),
        };
    Ok((StatusCode::CREATED, Json(Enqueued { ids, duplicate })))
}

/// The messages that would be delivered next
#[utoipa::path(get, path = "/v1/topics/{topic}/messages", tag = "topics", params(
    ("topic" = inline(Name), Path, description = "The topic"), Limit,
), responses(
    (status = 200, description = "Some of them", body = Peeked),
    (status = 404, description = "There is no such topic", body = ProblemBody, content_type = "application/problem+json"),
))]
pub(crate) async fn peek(
    State(app): State<Arc<App>>,
    PathName(topic): PathName,
    InQuery(limit): InQuery<Limit>,
) -> Result<Json<Peeked>, Problem> {
    let count_max = limit.count.map_or(10, |count| count.0 as u32);
    match app.gateway.ask(Query::Queue(QueueQuery::Peek { topic, count_max })).await? {
        Reply::Queue(QueueReply::Peeked(messages)) => Ok(Json(peeked(messages))),
        _ => Err(Problem::misanswered()),
    }
}

/// Get messages, waiting for one if there is none
///
/// Nobody else gets them for a while; whoever is done with one acknowledges it, or else it is delivered again.
#[utoipa::path(post, path = "/v1/topics/{topic}/deliveries", tag = "topics", request_body = Dequeue, params(
    ("topic" = inline(Name), Path, description = "The topic"),
    ("Idempotency-Key" = inline(Option<Key>), Header, description = "A session, and a new number in it"),
), responses(
    (status = 200, description = "Those that there are", body = Deliveries),
    (status = 404, description = "There is no such topic", body = ProblemBody, content_type = "application/problem+json"),
    (status = 409, description = "It was deleted, or too many wait", body = ProblemBody, content_type = "application/problem+json"),
))]
pub(crate) async fn dequeue(
    State(app): State<Arc<App>>,
    PathName(topic): PathName,
    MaybeKey(key): MaybeKey,
    place: Place,
    Body(dequeue): Body<Dequeue>,
) -> Result<Json<Deliveries>, Problem> {
    let wait_us = dequeue.wait_ms.map_or(0, |wait| wait.0 * 1_000);
    place.to_wait(&app, wait_us)?;
    let count_max = dequeue.count.map_or(1, |count| count.0 as u32);
    let visibility_us = dequeue.visibility_ms.map_or(30_000, |visibility| visibility.0) * 1_000;
    let action = QueueAction::Dequeue { topic, count_max, visibility_us, wait_us };
    match super::on_topic(&app, key, action, wait_us).await? {
        QueueReply::Delivered(deliveries) => Ok(told(deliveries, Vec::new())),
        QueueReply::DeliveredBefore { deliveries, over } => Ok(told(deliveries, over)),
        _ => Err(super::misused()),
    }
}

/// Be done with deliveries: their messages are removed
#[utoipa::path(post, path = "/v1/topics/{topic}/acknowledgements", tag = "topics", request_body = Acknowledge, params(
    ("topic" = inline(Name), Path, description = "The topic"),
    ("Idempotency-Key" = inline(Option<Key>), Header, description = "A session, and a new number in it"),
), responses(
    (status = 200, description = "Each is judged by itself", body = Acknowledged),
    (status = 404, description = "There is no such topic", body = ProblemBody, content_type = "application/problem+json"),
    (status = 409, description = "The key is of no use", body = ProblemBody, content_type = "application/problem+json"),
))]
pub(crate) async fn acknowledge(
    State(app): State<Arc<App>>,
    PathName(topic): PathName,
    MaybeKey(key): MaybeKey,
    Body(done): Body<Acknowledge>,
) -> Result<Json<Acknowledged>, Problem> {
    let receipts = done.deliveries.iter().map(|one| (MessageId(one.id.0), Receipt(one.receipt.0))).collect();
    match super::on_topic(&app, key, QueueAction::Acknowledge { topic, receipts }, 0).await? {
        QueueReply::Acknowledged(results) => {
            let results = results.into_iter().map(|result| match result {
                Acknowledgement::Done => Settlement::Done,
                Acknowledgement::Stale => Settlement::Stale,
                Acknowledgement::Unknown => Settlement::Unknown,
            });
            Ok(Json(Acknowledged { results: results.collect() }))
        }
        _ => Err(super::misused()),
    }
}

/// Give a delivery back: its message comes again, or is given up if that was its last attempt
#[utoipa::path(post, path = "/v1/topics/{topic}/rejections", tag = "topics", request_body = Reject, params(
    ("topic" = inline(Name), Path, description = "The topic"),
    ("Idempotency-Key" = inline(Option<Key>), Header, description = "A session, and a new number in it"),
), responses(
    (status = 200, description = "It is given back", body = Rejected),
    (status = 404, description = "There is no such message", body = ProblemBody, content_type = "application/problem+json"),
    (status = 409, description = "The delivery was over", body = ProblemBody, content_type = "application/problem+json"),
))]
pub(crate) async fn reject(
    State(app): State<Arc<App>>,
    PathName(topic): PathName,
    MaybeKey(key): MaybeKey,
    Body(reject): Body<Reject>,
) -> Result<Json<Rejected>, Problem> {
    let (id, receipt) = (MessageId(reject.id.0), Receipt(reject.receipt.0));
    let delay_us = reject.delay_ms.map_or(0, |delay| delay.0 * 1_000);
    match super::on_topic(&app, key, QueueAction::Reject { topic, id, receipt, delay_us }, 0).await? {
        QueueReply::Rejected { dead } => Ok(Json(Rejected { dead })),
        _ => Err(super::misused()),
    }
}

/// Keep a delivery for longer
#[utoipa::path(post, path = "/v1/topics/{topic}/extensions", tag = "topics", request_body = Extend, params(
    ("topic" = inline(Name), Path, description = "The topic"),
    ("Idempotency-Key" = inline(Option<Key>), Header, description = "A session, and a new number in it"),
), responses(
    (status = 204, description = "Nobody else gets it for so long from now"),
    (status = 404, description = "There is no such message", body = ProblemBody, content_type = "application/problem+json"),
    (status = 409, description = "The delivery was over", body = ProblemBody, content_type = "application/problem+json"),
))]
pub(crate) async fn extend(
    State(app): State<Arc<App>>,
    PathName(topic): PathName,
    MaybeKey(key): MaybeKey,
    Body(extend): Body<Extend>,
) -> Result<StatusCode, Problem> {
    let (id, receipt) = (MessageId(extend.id.0), Receipt(extend.receipt.0));
    let visibility_us = extend.visibility_ms.0 * 1_000;
    match super::on_topic(&app, key, QueueAction::Extend { topic, id, receipt, visibility_us }, 0).await? {
        QueueReply::Extended { .. } => Ok(StatusCode::NO_CONTENT),
        _ => Err(super::misused()),
    }
}
