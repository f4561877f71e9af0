//! How much of each there may be. All nodes must have the same.

use crate::ids::MessageId;
use crate::machine::{NAME_BYTES_MAX, VALUE_BYTES_MAX};

/// Messages that one purge looks at, and that one peek passes over because their life is over.
pub const PURGE_MAX: usize = 4_096;
/// Topics at a time.
pub const TOPICS_MAX: usize = 16_384;
/// Longest name of a topic.
pub const TOPIC_BYTES_MAX: usize = NAME_BYTES_MAX;
/// Longest name of a message group.
pub const GROUP_BYTES_MAX: usize = 256;
/// Longest payload, whatever the topic's settings.
pub const PAYLOAD_BYTES_MAX: usize = VALUE_BYTES_MAX;
/// Headers of one message.
pub const HEADERS_MAX: usize = 64;
/// Names and values of one message's headers together.
pub const HEADERS_BYTES_MAX: usize = 8_192;
/// What each header counts against limits in bytes, beside its name and value: the memory of its place.
pub const HEADER_PLACE_BYTES: usize = 48;
/// Messages that one command enqueues, dequeues, acknowledges, redrives or shows.
pub const BATCH_MAX: usize = 1_024;
/// Payloads, headers and groups that one command enqueues: such a command still fits a log entry.
pub const ENQUEUE_BYTES_MAX: usize = 1_572_864;
/// Payloads, headers and groups in one reply: it ends before the message that would exceed this, unless that
/// is its first. Such a reply still fits a frame.
pub const REPLY_BYTES_MAX: usize = 4_194_304;
/// Largest [`TopicSettings::depth_max`](super::TopicSettings::depth_max).
pub const DEPTH_MAX: u64 = 67_108_864;
/// Largest [`TopicSettings::bytes_max`](super::TopicSettings::bytes_max): 1 TiB.
pub const TOPIC_STORED_BYTES_MAX: u64 = 1_099_511_627_776;
/// Largest [`TopicSettings::attempts_max`](super::TopicSettings::attempts_max).
pub const ATTEMPTS_MAX: u16 = 10_000;
/// Shortest visibility lease: a millisecond.
pub const VISIBILITY_US_MIN: u64 = 1_000;
/// Longest visibility lease, counted from the delivery or from its latest extension: twelve hours.
pub const VISIBILITY_US_MAX: u64 = 43_200_000_000;
/// Longest delay of a message: thirty days.
pub const DELAY_US_MAX: u64 = 2_592_000_000_000;
/// Longest time to live: 366 days.
pub const MESSAGE_TTL_US_MAX: u64 = 31_622_400_000_000;
/// Commands that wait for messages of one topic.
pub const CONSUMERS_WAITING_MAX: usize = 4_096;
/// Producers of one topic whose latest sequence numbers are remembered; the least recently heard of leaves.
pub const PRODUCERS_MAX: usize = 1_024;
/// Latest batches of one producer whose message ids are remembered.
pub const PRODUCER_BATCHES_MAX: usize = 8;

const _: () = assert!(BATCH_MAX < 1 << MessageId::ORDINAL_BITS);
