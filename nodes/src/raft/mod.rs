//! The Raft core, sans-IO: a function from inputs to effects.
//!
//! # Purpose
//! A [`Core`] is one member of a cluster. It holds no socket, disk, clock, task or source of entropy: its
//! driver feeds it [`Input`]s with the local time and carries out the [`Effects`]. The same inputs and the
//! same seed give the same effects, always. The driver's side of the contract, in order, is written at
//! [`Effects`]; its essence: feed a completion for every store request, hold back what waits for a token,
//! stop for good when a store fails.
//!
//! # What is in it
//! * Elections with randomized timeouts, pre-vote and check-quorum (`election`).
//! * Replication, pipelined and batched, bounded in messages and bytes per follower; hints from both ends
//!   skip whole terms where logs differ; what was lost is sent again (`replication`, `progress`).
//! * Asynchronous storage: one request out at a time, stepping goes on meanwhile (`storing`).
//! * Linearizable reads by read index, batched on heartbeat rounds (`read`).
//! * Entries that bear cluster time: see [`Core::cluster_time`].
//!
//! # Invariants
//! Those of the Raft paper's Figure 3, and:
//! * `emitted <= min(committed, durable here)`: what is applied is committed and on this node's disk.
//! * `match_index < next_index` for every peer; the commit index and every match index only rise.
//! * A leader commits by counting only entries of its own term (5.4.2). It opens its term with an empty
//!   entry, so that there is one to count.
//! * A leader counts itself for what is on its own disk, not for what is in its memory.
//! * After a restart a node follows, knows of nothing committed, and learns the commit index again. Its
//!   machine is fed from the first entry on.
//! * A conflict with a committed entry changes nothing: the message is ignored. No message, however broken,
//!   panics.
//!
//! # What must be durable before what
//! | message or action | waits for | where it comes out |
//! |-|-|-|
//! | pre-vote request, pre-vote answer | nothing: neither end changes | `messages` |
//! | own vote request, and counting the own vote | own term and vote, one record | `messages_after` its token; [`Input::Stored`] |
//! | vote granted | term and vote, one record | `messages_after`, or `messages` if they are durable already |
//! | vote refused | nothing: it promises nothing | `messages` |
//! | leader's appends, heartbeats | nothing: its term and vote became durable before it was elected | `messages` |
//! | append accepted | term, and the log up to the tail of that message | `messages_after`, or `messages` if durable already |
//! | append rejected | nothing: it says where logs differ and promises nothing | `messages` |
//! | heartbeat answered | nothing: it says that no later term was known here just now. Had a later leader been elected with this node's vote, that later term would be durable and this answer impossible | `messages` |
//! | answer to a stale request | nothing: the term it bears is a hint | `messages` |
//! | leader counts itself | its entries, by completion of the store | [`Input::Stored`] |
//! | applying an entry | committed, and the entry durable here | `committed` |
//!
//! Completions are matched by token. Truncation lowers what counts as durable at once, so a completion that
//! comes after it never vouches for an index that was rewritten meanwhile; and an acknowledgement whose
//! entries are truncated before they were handed to the disk is withdrawn. The commit index is not stored.
//! A follower's wait is bounded, and repeated causes make a message wait once.
//!
//! # Messages and terms
//! A higher term makes any node adopt it and follow, with three exceptions: a pre-vote request and a granted
//! pre-vote speak of a term that nobody has entered; a vote request is ignored by whoever hears from a live
//! leader, unless that leader is the one who asks. A lower term makes a request be answered with the current
//! one, from which a stale leader learns that it is deposed; a response of a lower term is dropped.
//!
//! A commit is passed on with the next append or heartbeat, not by a message of its own: a follower may lag
//! by a heartbeat interval in applying.
//!
//! # Deliberately absent
//! Snapshots and compaction (the log in memory knows a base, which is 0), membership changes (quorum
//! arithmetic takes two halves, the second of which is empty), leadership transfer, learners, lease reads
//! (no safety rests on a clock here), forwarding of proposals, and giving up leadership because of a slow
//! disk.
//!
//! # Sources
//! Ongaro and Ousterhout, "In Search of an Understandable Consensus Algorithm" (USENIX ATC 2014; "the
//! paper"); Ongaro, "Consensus: Bridging Theory and Practice" (2014; "the thesis"): 4.2.3 disruptive
//! servers, 6.4 reads, 9.6 pre-vote, 10.2.1 writing to the leader's disk in parallel. The split of followers
//! into probed and replicated ones is known from etcd's core.

mod core;
mod election;
mod log;
mod progress;
mod quorum;
mod read;
mod replication;
mod rng;
mod storing;
mod types;

pub use self::core::Core;
pub use types::*;
