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
//!   skip whole terms where logs differ; what was lost is sent again (`replication`, `progress`). Entries are
//!   shared, not copied, from the leader's log to the followers' disks (`entries`, `log`).
//! * Asynchronous storage: one request out at a time, stepping goes on meanwhile (`storing`).
//! * Snapshots: taken by the driver in the background, sent in pieces, installed atomically; the log is cut
//!   behind them but for a tail (`snapshots`, `sending`).
//! * Membership by joint consensus or single steps, learners that are promoted once they have caught up, in
//!   force when applied ([`membership`], `members`).
//! * Leadership handed over on request, to a node of a higher priority, and by a leader whose disk stalls or
//!   that is no member any more (`transfer`).
//! * Linearizable reads by read index, batched on heartbeat rounds; by lease, if allowed; on followers, which
//!   ask for the index (`read`).
//! * Silence while there is nothing to do (`silence`), and versions that rise when every member speaks them
//!   (`leading`).
//! * Entries that bear cluster time: see [`Core::cluster_time`].
//!
//! # Invariants
//! Those of the Raft paper's Figure 3, and:
//! * `emitted <= min(committed, durable here)`: what is applied is committed and on this node's disk.
//! * `match_index < next_index` for every peer; the commit index and every match index only rise.
//! * A leader commits by counting only entries of its own term (5.4.2). It opens its term with an empty
//!   entry, so that there is one to count.
//! * A leader counts itself for what is on its own disk, not for what is in its memory.
//! * After a restart a node follows, knows of nothing committed but what its snapshot and its log prove, and
//!   learns the commit index again. Its machine is fed from the snapshot on.
//! * The members in force are those of the last entry *applied*. At most one change is unapplied anywhere but
//!   at its end, and nobody campaigns with a committed change unapplied: see `members` for why that suffices.
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
//! | a snapshot received acknowledged | the snapshot and its members, in place of the log | as an append of its last entry |
//! | a snapshot received installed | the same | `install` |
//! | entries forgotten | the snapshot that covers them | [`StoreRequest::compact_to`] in a later request |
//! | order to campaign, read index, pieces of a snapshot and what is said of them, wake | nothing | `messages` |
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
//! by a heartbeat interval in applying. Only the news of a change of the members does not wait.
//!
//! A message is taken from whoever sends it, known as a member or not: a node's own knowledge of the members
//! may be old, and who joins knows nobody. Whose vote or acknowledgement counts is decided where it counts.
//!
//! # Deliberately absent
//! Forwarding of proposals (clients find the leader), witnesses, and a leader that writes to its disk last.
//!
//! # Sources
//! Ongaro and Ousterhout, "In Search of an Understandable Consensus Algorithm" (USENIX ATC 2014; "the
//! paper"); Ongaro, "Consensus: Bridging Theory and Practice" (2014; "the thesis"): 3.10 leadership
//! transfer, 4 membership, 4.2.3 disruptive servers, 5 snapshots, 6.4 reads, 9.6 pre-vote, 10.2.1 writing to
//! the leader's disk in parallel. The split of followers into probed, replicated and those that are sent a
//! snapshot, and configurations in force when applied, are known from etcd's core; quiescence from
//! Dragonboat's.

mod core;
mod election;
mod entries;
mod hints;
mod leading;
mod log;
mod members;
pub mod membership;
mod on_demand;
mod progress;
pub mod quorum;
mod read;
mod receiving;
mod replication;
mod rng;
mod sending;
mod silence;
mod snapshots;
mod storing;
mod transfer;
mod types;

pub use self::core::Core;
pub use entries::{Entries, Iter as EntriesIter};
pub use types::*;
