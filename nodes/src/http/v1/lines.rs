//! Who has a key at hand: its lines in the near-caches of all nodes.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::{KEYS_COUNTED_MAX, KeyCounts, KeyLines, LineState};
use crate::http::App;
use crate::http::bounded::Name;
use crate::http::extract::PathName;
use crate::ids::NodeId;

/// A key's lines.
#[derive(Serialize, ToSchema)]
#[schema(as = CacheLines)]
pub(crate) struct Lines {
    key: String,
    /// What each node says of its own line.
    nodes: Vec<OfNode>,
    /// Who holds lines as far as the leader knows. A line that was given up without a word is here until its lease is
    /// over.
    directory: Vec<Holder>,
}

/// A node's own line.
#[derive(Serialize, ToSchema)]
#[schema(as = CacheLine)]
pub(crate) struct OfNode {
    node: u64,
    /// Whether it answered.
    reachable: bool,
    /// The state of its line; without it, it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<Standing>,
    /// What it has counted of the key. It counts the 4,096 keys of which something was counted last, and begins anew
    /// when it starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    counts: Option<Counts>,
}

/// What became of a key's reads and lines at one node.
#[derive(Serialize, ToSchema)]
#[schema(as = CacheLineCounts)]
pub(crate) struct Counts {
    /// Reads answered from its line, without a message.
    hits: u64,
    /// Reads that found no line.
    misses: u64,
    /// Lines that the leader granted, renewals included.
    grants: u64,
    /// Lines dropped, and questions closed, because somebody was about to write.
    invalidated: u64,
    /// Lines dropped because a new leader recalled them.
    recalled: u64,
    /// Lines dropped because their lease was over.
    lapsed: u64,
    /// Lines dropped for want of room.
    evicted: u64,
    /// Lines given up for a write from there.
    surrendered: u64,
}

const _: () = assert!(KEYS_COUNTED_MAX == 4_096, "the document tells how many");

impl From<KeyCounts> for Counts {
    fn from(counts: KeyCounts) -> Self {
        Self {
            hits: counts.hits,
            misses: counts.misses,
            grants: counts.grants,
            invalidated: counts.invalidated,
            recalled: counts.recalled,
            lapsed: counts.lapsed,
            evicted: counts.evicted,
            surrendered: counts.surrenders,
        }
    }
}

/// A holder as the leader knows it.
#[derive(Serialize, ToSchema)]
#[schema(as = CacheLineHolder)]
pub(crate) struct Holder {
    node: u64,
    state: Standing,
    /// How long its lease lasts at most.
    left_ms: u64,
    /// Whether it has been told to drop the line and has not answered.
    invalidating: bool,
}

/// What a node may do with its copy of a key.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = CacheLineState)]
pub(crate) enum Standing {
    /// Read it; others may read it too.
    Shared,
    /// Read it, and write without a round of invalidations.
    Exclusive,
    /// Nothing, for a write from there is on its way.
    Modified,
}

impl From<LineState> for Standing {
    fn from(state: LineState) -> Self {
        match state {
            LineState::Shared => Self::Shared,
            LineState::Exclusive => Self::Exclusive,
            LineState::Modified => Self::Modified,
        }
    }
}

/// Which nodes have a key at hand
#[utoipa::path(get, path = "/v1/cache/{key}/lines", tag = "cache", params(
    ("key" = inline(Name), Path, description = "The key, whether there is one or not"),
), responses((status = 200, description = "Its lines in the nodes' near-caches", body = Lines)))]
pub(crate) async fn show(State(app): State<Arc<App>>, PathName(key): PathName) -> Json<Lines> {
    let ask = async |&node: &NodeId| (node, app.gateway.lines_of(&key, node).await.ok());
    let nodes: Vec<NodeId> = app.addresses.borrow().keys().copied().collect();
    let answers = futures_util::future::join_all(nodes.iter().map(ask)).await;
    let holder = |view: &crate::api::LineHolder| Holder {
        node: view.node.0,
        state: view.state.into(),
        left_ms: view.left_us.div_ceil(1_000),
        invalidating: view.is_invalidating,
    };
    // Two may take themselves for the leader; the deposed one knows of lines that are not there any more.
    let mut known = answers.iter().filter_map(|(_, lines)| lines.as_ref()?.holders.as_ref());
    let directory = known.next_back().map(|holders| holders.iter().map(holder).collect()).unwrap_or_default();
    let own = |(node, lines): &(NodeId, Option<KeyLines>)| OfNode {
        node: node.0,
        reachable: lines.is_some(),
        state: lines.as_ref().and_then(|lines| lines.own).map(Standing::from),
        counts: lines.as_ref().map(|lines| lines.counts.into()),
    };
    let nodes = answers.iter().map(own).collect();
    Json(Lines { key, nodes, directory })
}
