//! The resource API.

mod aged;
mod cache;
mod cluster;
mod lines;
mod lock_changes;
mod locks;
mod messages;
mod sessions;
mod topics;
mod values;

use std::sync::Arc;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) use cluster::role_name;
pub(super) use locks::is_free;

use super::App;
use super::problem::Problem;
use crate::machine::{Action, CacheReply, LockReply, QueueReply, Reply};

/// All routes.
pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(sessions::open))
        .routes(routes!(sessions::show, sessions::close))
        .routes(routes!(sessions::keep_alive))
        .routes(routes!(sessions::cancel))
        .routes(routes!(locks::acquire_all))
        .routes(routes!(locks::show))
        .routes(routes!(locks::acquire))
        .routes(routes!(locks::release))
        .routes(routes!(locks::upgrade))
        .routes(routes!(locks::downgrade))
        .routes(routes!(locks::check))
        .routes(routes!(locks::force_release))
        .routes(routes!(locks::declare_semaphore, locks::remove_semaphore))
        .routes(routes!(lock_changes::watch))
        .routes(routes!(lock_changes::forced))
        .routes(routes!(topics::list))
        .routes(routes!(topics::show, topics::declare, topics::delete))
        .routes(routes!(topics::purge))
        .routes(routes!(topics::redrive))
        .routes(routes!(topics::dead))
        .routes(routes!(messages::peek, messages::enqueue))
        .routes(routes!(messages::dequeue))
        .routes(routes!(messages::acknowledge))
        .routes(routes!(messages::reject))
        .routes(routes!(messages::extend))
        .routes(routes!(cache::stats))
        .routes(routes!(cache::get, cache::put, cache::delete))
        .routes(routes!(cache::add))
        .routes(routes!(cache::touch))
        .routes(routes!(values::life))
        .routes(routes!(lines::show))
        .routes(routes!(values::get_many))
        .routes(routes!(values::settings, values::configure))
        .routes(routes!(cluster::show))
        .routes(routes!(cluster::nodes))
        .routes(routes!(cluster::change_members))
        .routes(routes!(cluster::transfer))
}

/// Does something to locks.
async fn on_locks(
    app: &App,
    key: Option<crate::http::keys::CommandName>,
    action: crate::machine::LockAction,
    wait_us: u64,
) -> Result<Vec<crate::machine::LockGrant>, Problem> {
    match app.gateway.act(key, Action::Lock(action), wait_us).await? {
        Reply::Lock(LockReply::Granted { grants }) => Ok(grants),
        Reply::Done => Ok(Vec::new()),
        _ => Err(misused()),
    }
}

/// Does something to a topic.
async fn on_topic(
    app: &App,
    key: Option<crate::http::keys::CommandName>,
    action: crate::machine::QueueAction,
    wait_us: u64,
) -> Result<QueueReply, Problem> {
    match app.gateway.act(key, Action::Queue(action), wait_us).await? {
        Reply::Queue(reply) => Ok(reply),
        _ => Err(misused()),
    }
}

/// Does something to the cache.
async fn on_cache(
    app: &App,
    key: Option<crate::http::keys::CommandName>,
    action: crate::machine::CacheAction,
) -> Result<CacheReply, Problem> {
    match app.gateway.act(key, Action::Cache(action), 0).await? {
        Reply::Cache(reply) => Ok(reply),
        _ => Err(misused()),
    }
}

/// A key that was used for another command before is answered with what came of that one.
fn misused() -> Problem {
    Problem::conflict(
        "key-used-otherwise",
        "The Idempotency-Key was used for another command",
        "its outcome is remembered, and this command has not been done; take a number not used in the session yet",
    )
}
