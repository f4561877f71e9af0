//! One message in memory: as little as can be, for there may be millions.
//!
//! What never changes about a message is one shared allocation with its payload at the end; what is rare
//! about it is boxed; what changes is 24 bytes in the topic's table.

use bytes::Bytes;
use serde::{Deserialize, Serialize, Serializer};
use triomphe::ThinArc;

use super::types::{Death, Delivery, HEADER_PLACE_BYTES, NewMessage, Origin, StoredMessage};
use crate::ids::{ClusterTime, MessageId, Receipt};
use crate::machine::Name;

/// The end of what has no end.
pub(super) const NEVER: ClusterTime = ClusterTime(u64::MAX);

/// Where a message stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum State {
    /// To be delivered, though perhaps not before its group's turn.
    Ready,
    /// Held back until its delay is over.
    Delayed,
    /// Delivered, under a lease.
    InFlight,
    /// Given up, and kept.
    Dead,
}

/// A message in its topic's table.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Message {
    pub(super) body: Body,
    /// The end of the delay or of the lease; 0 in other states.
    pub(super) until: ClusterTime,
    /// Deliveries ever, which is the receipt of the latest. Stops at its largest value, after four thousand
    /// million deliveries of one message.
    pub(super) deliveries: u32,
    /// Deliveries since it came to this topic or was redriven.
    pub(super) attempts: u16,
    pub(super) state: State,
}

impl Message {
    /// When it has to be looked at by itself.
    pub(super) fn deadline(&self) -> Option<ClusterTime> {
        let deadline = match self.state {
            State::Ready => self.body.expires(),
            State::Delayed => self.until.min(self.body.expires()),
            State::InFlight => return Some(self.until),
            State::Dead => NEVER,
        };
        (deadline != NEVER).then_some(deadline)
    }

    /// Whether it is in flight, and its lease runs.
    pub(super) fn is_in_flight(&self, time: ClusterTime) -> bool {
        self.state == State::InFlight && self.until > time
    }

    /// The receipt of its latest delivery.
    pub(super) fn receipt(&self) -> Receipt {
        Receipt(u64::from(self.deliveries))
    }

    /// It as a consumer gets it.
    pub(super) fn delivery(&self, id: MessageId, lease_until: ClusterTime) -> Delivery {
        let StoredMessage { enqueued_at, priority, group, headers, payload, origin, .. } =
            self.stored(id, None);
        let (receipt, attempt) = (self.receipt(), self.attempts);
        Delivery { id, receipt, lease_until, attempt, enqueued_at, priority, group, headers, payload, origin }
    }

    /// It as a person sees it.
    pub(super) fn stored(&self, id: MessageId, death: Option<Death>) -> StoredMessage {
        let (head, rare) = (self.body.head(), self.body.rare());
        StoredMessage {
            id,
            attempts: self.attempts,
            enqueued_at: head.enqueued_at,
            priority: head.priority,
            group: rare.and_then(|rare| rare.group.as_deref()).map(str::to_owned),
            headers: rare.map_or_else(Vec::new, |rare| rare.headers.clone()),
            payload: self.body.payload_shared(),
            origin: rare.and_then(|rare| rare.origin.clone()),
            death,
        }
    }
}

/// What never changes about a message while it is in one topic.
#[derive(Clone, Debug)]
pub(super) struct Body(ThinArc<Head, u8>);

/// The part of a body that every message has, but for its payload.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Head {
    pub(super) enqueued_at: ClusterTime,
    /// The end of its time to live, or [`NEVER`].
    pub(super) expires: ClusterTime,
    rare: Option<Box<Rare>>,
    pub(super) priority: u8,
}

/// The part that most messages do not have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Rare {
    pub(super) headers: Vec<(String, String)>,
    pub(super) group: Option<Name>,
    pub(super) origin: Option<Origin>,
}

impl Body {
    /// A body of these parts.
    pub(super) fn new(
        enqueued_at: ClusterTime,
        expires: ClusterTime,
        priority: u8,
        rare: Rare,
        payload: &[u8],
    ) -> Self {
        let rare = (rare != Rare::default()).then(|| Box::new(rare));
        Self(ThinArc::from_header_and_slice(Head { enqueued_at, expires, rare, priority }, payload))
    }

    /// The same message with another end, and perhaps from elsewhere.
    pub(super) fn renewed(&self, expires: ClusterTime, origin: Option<Origin>) -> Self {
        let head = self.head();
        let rare = Rare { origin, ..self.rare().cloned().unwrap_or_default() };
        Self::new(head.enqueued_at, expires, head.priority, rare, self.payload())
    }

    pub(super) fn head(&self) -> &Head {
        &self.0.header.header
    }

    pub(super) fn rare(&self) -> Option<&Rare> {
        self.head().rare.as_deref()
    }

    pub(super) fn expires(&self) -> ClusterTime {
        self.head().expires
    }

    pub(super) fn priority(&self) -> u8 {
        self.head().priority
    }

    pub(super) fn group(&self) -> Option<&Name> {
        self.rare()?.group.as_ref()
    }

    pub(super) fn origin(&self) -> Option<&Origin> {
        self.rare()?.origin.as_ref()
    }

    pub(super) fn payload(&self) -> &[u8] {
        &self.0.slice
    }

    /// The payload without a copy, for as long as the caller wants it.
    fn payload_shared(&self) -> Bytes {
        if self.payload().is_empty() { Bytes::new() } else { Bytes::from_owner(self.clone()) }
    }

    /// What counts against the limits in bytes.
    pub(super) fn weight(&self) -> u64 {
        let rare = self.rare().map_or(0, |rare| {
            headers_kept(&rare.headers) + rare.group.as_ref().map_or(0, |group| group.len())
        });
        (self.payload().len() + rare) as u64
    }
}

impl AsRef<[u8]> for Body {
    fn as_ref(&self) -> &[u8] {
        self.payload()
    }
}

impl Serialize for Body {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.head(), Raw(self.payload())).serialize(serializer)
    }
}

/// Bytes that are written in one go, and read back as `Bytes`.
pub(super) struct Raw<'a>(pub(super) &'a [u8]);

impl Serialize for Raw<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

/// What a message not yet enqueued will count against the limits in bytes.
pub(super) fn weight_of(message: &NewMessage) -> u64 {
    let group = message.group.as_ref().map_or(0, String::len);
    (message.payload.len() + headers_kept(&message.headers) + group) as u64
}

/// What headers count: with each one's place, so that many empty ones are not free.
fn headers_kept(headers: &[(String, String)]) -> usize {
    headers_weight(headers) + headers.len() * HEADER_PLACE_BYTES
}

/// Names and values together.
pub(super) fn headers_weight(headers: &[(String, String)]) -> usize {
    headers.iter().map(|(name, value)| name.len() + value.len()).sum()
}
