//! One message in memory: as little as can be, for there may be millions.
//!
//! What never changes about a message is one shared allocation with its payload at the end; what is rare
//! about it is boxed, each kind for itself; what changes, and the priority, is 24 bytes in the topic's table.

use bytes::Bytes;
use serde::{Deserialize, Serialize, Serializer};
use triomphe::ThinArc;

use super::types::{Death, DeathReason, Delivery, HEADER_PLACE_BYTES, NewMessage, Origin, StoredMessage};
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
    /// Never changes; there is room for it here.
    pub(super) priority: u8,
}

const _: () = assert!(size_of::<Message>() == 24 && size_of::<Head>() == 32);

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
        StoredMessage {
            id,
            attempts: self.attempts,
            enqueued_at: self.body.enqueued_at(),
            priority: self.priority,
            group: self.body.group().map(|group| group.to_string()),
            headers: self.body.headers().to_vec(),
            payload: self.body.payload_shared(),
            origin: self.body.home().map(|home| home.origin()),
            death,
        }
    }
}

/// What never changes about a message while it is in one topic.
#[derive(Clone, Debug)]
pub(super) struct Body(ThinArc<Head, u8>);

/// The part of a body that every message has, but for its payload.
#[derive(Clone, Debug, Serialize)]
struct Head {
    enqueued_at: ClusterTime,
    /// The end of its time to live, or [`NEVER`].
    expires: ClusterTime,
    besides: Besides,
}

/// What there is besides. Which of these follows from what there is.
#[derive(Clone, Debug, Serialize)]
enum Besides {
    Nothing,
    /// A group and nothing else.
    Group(Box<Name>),
    /// A [`Home`], which is spread over the room there is, and nothing else.
    Home {
        attempts: u16,
        reason: DeathReason,
        whence: Box<(Name, ClusterTime)>,
    },
    /// Whatever else.
    Rare(Box<Rare>),
}

/// The part that most messages do not have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Rare {
    pub(super) headers: Vec<(String, String)>,
    pub(super) group: Option<Name>,
    pub(super) home: Option<Home>,
}

/// The topic that gave a message up and moved it here: an [`Origin`] that shares the topic's name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Home {
    pub(super) topic: Name,
    died_at: ClusterTime,
    attempts: u16,
    reason: DeathReason,
}

impl Home {
    /// Of a message that the topic gave up after so many attempts.
    pub(super) fn new(topic: Name, death: Death, attempts: u16) -> Self {
        Self { topic, died_at: death.at, attempts, reason: death.reason }
    }

    /// It as everybody sees it.
    pub(super) fn origin(&self) -> Origin {
        let death = Death { reason: self.reason, at: self.died_at };
        Origin { topic: self.topic.to_string(), death, attempts: self.attempts }
    }
}

impl Body {
    /// A body of these parts.
    pub(super) fn new(enqueued_at: ClusterTime, expires: ClusterTime, rare: Rare, payload: &[u8]) -> Self {
        let besides = match rare {
            Rare { headers, group: None, home: None } if headers.is_empty() => Besides::Nothing,
            Rare { headers, group: Some(group), home: None } if headers.is_empty() => {
                Besides::Group(Box::new(group))
            }
            Rare { headers, group: None, home: Some(home) } if headers.is_empty() => {
                let Home { topic, died_at, attempts, reason } = home;
                Besides::Home { attempts, reason, whence: Box::new((topic, died_at)) }
            }
            rare => Besides::Rare(Box::new(rare)),
        };
        Self(ThinArc::from_header_and_slice(Head { enqueued_at, expires, besides }, payload))
    }

    /// The same message with another end, and perhaps from elsewhere.
    pub(super) fn renewed(&self, expires: ClusterTime, home: Option<Home>) -> Self {
        let rare = Rare { headers: self.headers().to_vec(), group: self.group().cloned(), home };
        Self::new(self.enqueued_at(), expires, rare, self.payload())
    }

    fn head(&self) -> &Head {
        &self.0.header.header
    }

    pub(super) fn enqueued_at(&self) -> ClusterTime {
        self.head().enqueued_at
    }

    pub(super) fn expires(&self) -> ClusterTime {
        self.head().expires
    }

    pub(super) fn headers(&self) -> &[(String, String)] {
        match &self.head().besides {
            Besides::Rare(rare) => &rare.headers,
            Besides::Nothing | Besides::Group(_) | Besides::Home { .. } => &[],
        }
    }

    pub(super) fn group(&self) -> Option<&Name> {
        match &self.head().besides {
            Besides::Group(group) => Some(group),
            Besides::Rare(rare) => rare.group.as_ref(),
            Besides::Nothing | Besides::Home { .. } => None,
        }
    }

    /// The topic that gave it up, to which it would be sent home.
    pub(super) fn home_topic(&self) -> Option<&Name> {
        match &self.head().besides {
            Besides::Home { whence, .. } => Some(&whence.0),
            Besides::Rare(rare) => rare.home.as_ref().map(|home| &home.topic),
            Besides::Nothing | Besides::Group(_) => None,
        }
    }

    /// The same, with how it was given up there.
    pub(super) fn home(&self) -> Option<Home> {
        match &self.head().besides {
            &Besides::Home { attempts, reason, ref whence } => {
                Some(Home { topic: whence.0.clone(), died_at: whence.1, attempts, reason })
            }
            Besides::Rare(rare) => rare.home.clone(),
            Besides::Nothing | Besides::Group(_) => None,
        }
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
        let group = self.group().map_or(0, |group| group.len());
        (self.payload().len() + headers_kept(self.headers()) + group) as u64
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
