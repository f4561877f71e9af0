//! The cluster: who belongs to it, who leads, how the nodes are.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::NodeStatus;
use crate::http::App;
use crate::http::bounded::NodeNumber;
use crate::http::extract::Body;
use crate::http::problem::{Problem, ProblemBody};
use crate::ids::NodeId;
use crate::raft::Role;
use crate::raft::membership::{MemberChange, Membership, MembershipChange};

/// The cluster, as this node knows it.
#[derive(Serialize, ToSchema)]
pub(crate) struct Cluster {
    /// Its name.
    cluster: String,
    /// The node that was asked.
    node: u64,
    /// The leader that it knows of.
    leader: Option<u64>,
    /// Its term.
    term: u64,
    members: Members,
    /// Where the nodes are, by number, as the operator of this one says.
    addresses: BTreeMap<u64, String>,
}

/// Who belongs to the cluster.
#[derive(Serialize, ToSchema)]
pub(crate) struct Members {
    /// Who votes.
    voters: Vec<u64>,
    /// Who gets the log and does not vote.
    learners: Vec<u64>,
    /// Who votes as well until the change under way is complete.
    outgoing: Vec<u64>,
}

/// The nodes.
#[derive(Serialize, ToSchema)]
pub(crate) struct Nodes {
    nodes: Vec<Node>,
}

/// One node, as it says itself.
#[derive(Serialize, ToSchema)]
pub(crate) struct Node {
    node: u64,
    /// Whether it answered.
    reachable: bool,
    /// `leader`, `follower`, `candidate` or `pre-candidate`.
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    term: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    commit_index: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    applied_index: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_index: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    snapshot_index: Option<u64>,
}

/// Other members.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeMembers {
    /// Who votes now, as far as you know: if it is otherwise, nothing is changed.
    voters_now: Vec<NodeNumber>,
    /// Nodes that are to vote once they have caught up.
    #[serde(default)]
    add_voters: Option<Vec<NodeNumber>>,
    /// Nodes that are to get the log without a vote.
    #[serde(default)]
    add_learners: Option<Vec<NodeNumber>>,
    /// Nodes that are to leave.
    #[serde(default)]
    remove: Option<Vec<NodeNumber>>,
}

/// Another leader.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Transfer {
    /// Who is to lead. Without it, whoever has most of the log.
    #[serde(default)]
    to: Option<NodeNumber>,
}

/// A role's name.
pub(crate) fn role_name(role: Role) -> &'static str {
    match role {
        Role::Leader => "leader",
        Role::Follower => "follower",
        Role::Candidate => "candidate",
        Role::PreCandidate => "pre-candidate",
    }
}

fn members_of(members: &Membership) -> Members {
    let numbers = |ids: &[NodeId]| ids.iter().map(|id| id.0).collect();
    Members {
        voters: numbers(&members.voters),
        learners: numbers(&members.learners),
        outgoing: numbers(&members.outgoing),
    }
}

/// The cluster, as this node knows it
#[utoipa::path(get, path = "/v1/cluster", tag = "cluster", responses(
    (status = 200, description = "What it knows", body = Cluster),
))]
pub(crate) async fn show(State(app): State<Arc<App>>) -> Result<Json<Cluster>, Problem> {
    let status = app.gateway.own_status().await.map_err(|error| Problem::of_client(error, None))?;
    Ok(Json(Cluster {
        cluster: app.cluster_name.clone(),
        node: app.id.0,
        leader: status.leader.map(|leader| leader.0),
        term: status.term.0,
        members: members_of(&status.members),
        addresses: app.addresses.borrow().iter().map(|(node, at)| (node.0, at.clone())).collect(),
    }))
}

/// How each node is
#[utoipa::path(get, path = "/v1/cluster/nodes", tag = "cluster", responses(
    (status = 200, description = "What each says, or that it says nothing", body = Nodes),
))]
pub(crate) async fn nodes(State(app): State<Arc<App>>) -> Json<Nodes> {
    let nodes: Vec<NodeId> = app.addresses.borrow().keys().copied().collect();
    let asked = nodes.iter().map(async |&node| (node, app.gateway.status_of(node).await.ok()));
    let answers = futures_util::future::join_all(asked).await;
    Json(Nodes { nodes: answers.into_iter().map(|(node, status)| node_of(node, status)).collect() })
}

fn node_of(node: NodeId, status: Option<NodeStatus>) -> Node {
    let status = status.as_ref();
    Node {
        node: node.0,
        reachable: status.is_some(),
        role: status.map(|status| role_name(status.role)),
        term: status.map(|status| status.term.0),
        commit_index: status.map(|status| status.commit_index.0),
        applied_index: status.map(|status| status.applied_index.0),
        last_index: status.map(|status| status.last_index.0),
        snapshot_index: status.map(|status| status.snapshot_index.0),
    }
}

/// Change the members
///
/// Returns when the change is in force. A node that is to be added runs with `--join`, and all others know its address.
#[utoipa::path(post, path = "/v1/cluster/members", tag = "cluster", request_body = ChangeMembers, responses(
    (status = 200, description = "The members in force", body = Members),
    (status = 409, description = "The members are others, or cannot be changed so", body = ProblemBody,
     content_type = "application/problem+json"),
))]
pub(crate) async fn change_members(
    State(app): State<Arc<App>>,
    Body(change): Body<ChangeMembers>,
) -> Result<Json<Members>, Problem> {
    let client = app.gateway.client();
    let status = client.status().await.map_err(|error| Problem::of_client(error, None))?;
    let mut expected: Vec<u64> = change.voters_now.iter().map(|node| node.0).collect();
    expected.sort_unstable();
    let voters: Vec<u64> = status.members.voters.iter().map(|node| node.0).collect();
    if expected != voters {
        let detail = format!("the voters are {voters:?}, not {expected:?}");
        return Err(Problem::conflict("other-members", "The members are others", detail));
    }
    let changes = changes_of(&app, &change)?;
    if changes.is_empty() {
        return Ok(Json(members_of(&status.members)));
    }
    let members = client.change_members(MembershipChange::of(changes)).await;
    members.map(|members| Json(members_of(&members))).map_err(|error| Problem::of_client(error, None))
}

/// The steps, if every node that is to be added can be found.
fn changes_of(app: &App, change: &ChangeMembers) -> Result<Vec<MemberChange>, Problem> {
    let ids = |nodes: &Option<Vec<NodeNumber>>| -> Vec<NodeId> {
        nodes.iter().flatten().map(|node| NodeId(node.0)).collect()
    };
    let (voters, learners, leaving) =
        (ids(&change.add_voters), ids(&change.add_learners), ids(&change.remove));
    let is_unknown = |node: &&NodeId| !app.addresses.borrow().contains_key(node);
    if let Some(stranger) = voters.iter().chain(&learners).find(is_unknown) {
        let detail = format!("this node has no address of {}: add it to --cluster, on all nodes", stranger.0);
        return Err(Problem::conflict("no-address", "Nobody knows where the node is", detail));
    }
    let voters = voters.into_iter().map(MemberChange::AddVoterOnceCaughtUp);
    let learners = learners.into_iter().map(MemberChange::AddLearner);
    Ok(voters.chain(learners).chain(leaving.into_iter().map(MemberChange::Remove)).collect())
}

/// Hand the leadership over
#[utoipa::path(post, path = "/v1/cluster/leader", tag = "cluster", request_body = Transfer, responses(
    (status = 204, description = "Another node leads"),
    (status = 409, description = "There is no such voter", body = ProblemBody, content_type = "application/problem+json"),
))]
pub(crate) async fn transfer(
    State(app): State<Arc<App>>,
    Body(transfer): Body<Transfer>,
) -> Result<StatusCode, Problem> {
    let client = app.gateway.client();
    let to = transfer.to.map(|node| NodeId(node.0));
    let status = client.status().await.map_err(|error| Problem::of_client(error, None))?;
    if let Some(to) = to.filter(|to| !status.members.voters.contains(to)) {
        let detail = format!("{} does not vote", to.0);
        return Err(Problem::conflict("no-such-voter", "There is no such voter", detail));
    }
    if to.is_some() && to == status.leader {
        return Ok(StatusCode::NO_CONTENT);
    }
    if status.members.voters.len() < 2 {
        return Err(Problem::conflict("no-such-voter", "There is nobody else", "the cluster has one voter"));
    }
    client.transfer_leadership(to).await.map_err(|error| Problem::of_client(error, None))?;
    Ok(StatusCode::NO_CONTENT)
}
