//! `/lock` and `/unlock`: locks that belong to clients by name, whichever node is called.
//!
//! No gateway remembers who holds what. For each client and resource there is a session of its own, and it is found by
//! a lock that it holds besides: one whose name is made of the two. So the replicated state itself says which session
//! is that of client A and resource R, and the session that holds R whose client it is; and both end together.
//!
//! Such a session has no other commands than these, each always under the same number, so that two calls at a time, at
//! two nodes, cannot do anything twice:
//! 1. get the name's lock and the resource's, both or none;
//! 2. if that failed: get the name's, or else the client has called before;
//! 3. stand in line for the resource.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use tokio::sync::oneshot;
use utoipa::ToSchema;

use super::{Refusal, Said, ok};
use crate::api::RESERVED_LOCKS;
use crate::env::Env;
use crate::http::App;
use crate::http::bounded::{CallClient, CallResource};
use crate::http::extract::LooseBody;
use crate::http::keys::CommandName;
use crate::http::limits::Place;
use crate::http::problem::Problem;
use crate::http::v1::is_free;
use crate::ids::{Sequence, SessionId};
use crate::machine::{
    Action, LockAction, LockMode, LockQuery, LockReply, LockRequest, LockState, Query, Reply, SessionLocks,
};

/// A lock that nobody asks for any more is given back after this time; so long may one wait, too.
const LEASE_US: u64 = 3_600_000_000;

/// Attempts, of which each is overtaken by another call of the same client.
const ATTEMPTS_MAX: usize = 8;

/// The pause between two looks whether a place in line has been taken.
const LOOK_AGAIN_US: u64 = 2_000;

/// A client's wish for a lock.
#[derive(Deserialize, ToSchema)]
#[schema(as = LockCall)]
pub(crate) struct Call {
    resource: CallResource,
    client_id: CallClient,
    /// Default exclusive.
    #[serde(default)]
    lock_type: Kind,
}

/// A client's lock.
#[derive(Deserialize, ToSchema)]
#[schema(as = UnlockCall)]
pub(crate) struct Return {
    resource: CallResource,
    client_id: CallClient,
}

/// How it is to be held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = LockType)]
pub(crate) enum Kind {
    #[default]
    Exclusive,
    Shared,
}

impl Kind {
    fn mode(self) -> LockMode {
        match self {
            Self::Exclusive => LockMode::Exclusive,
            Self::Shared => LockMode::Shared,
        }
    }
}

fn word(mode: LockMode) -> &'static str {
    match mode {
        LockMode::Exclusive => "exclusive",
        LockMode::Shared => "shared",
        LockMode::Permits(_) => "counted",
    }
}

/// The lock by which the session of a client and a resource is found.
fn name_of(client: &str, resource: &str) -> String {
    format!("{RESERVED_LOCKS}{}/{client}/{resource}", client.len())
}

/// The client that such a name is made of, if it is for this resource.
fn client_of<'a>(name: &'a str, resource: &str) -> Option<&'a str> {
    let (length, rest) = name.strip_prefix(RESERVED_LOCKS)?.split_once('/')?;
    let (client, rest) = rest.split_at_checked(length.parse().ok()?)?;
    (rest.strip_prefix('/')? == resource).then_some(client)
}

/// How a client stands to a resource.
enum Standing {
    Holds(LockMode),
    Waits(LockMode),
}

/// One client's access to one resource.
struct Claim {
    app: Arc<App>,
    client: String,
    resource: String,
    name: String,
}

impl Claim {
    fn new(app: Arc<App>, CallClient(client): CallClient, CallResource(resource): CallResource) -> Self {
        let name = name_of(&client, &resource);
        Self { app, client, resource, name }
    }

    /// Does `work` to its end, although the client may hang up: half done, it would leave sessions behind that nobody
    /// uses. It keeps the place of its request until then.
    async fn complete<T: Send + 'static, W: Future<Output = Result<T, Problem>> + Send + 'static>(
        self,
        place: Place,
        work: impl FnOnce(Self) -> W + Send + 'static,
    ) -> Result<T, Problem> {
        let (tell, told) = oneshot::channel();
        let app = Arc::clone(&self.app);
        app.gateway.env().spawn("http-lock-call", async move {
            let result = work(self).await;
            drop(place);
            // Nobody may listen any more.
            let _ = tell.send(result);
        });
        told.await.unwrap_or_else(|_| Err(Problem::misanswered()))
    }

    /// The session of this client and resource, if there is one.
    async fn session(&self) -> Result<Option<SessionId>, Problem> {
        Ok(self.state_of(&self.name).await?.holders.first().map(|holder| holder.session))
    }

    async fn state_of(&self, resource: &str) -> Result<LockState, Problem> {
        match self.app.gateway.ask(Query::Lock(LockQuery::State { resource: resource.to_owned() })).await? {
            Reply::Lock(LockReply::State(state)) => Ok(*state),
            _ => Err(Problem::misanswered()),
        }
    }

    async fn locks_of(&self, session: SessionId) -> Result<SessionLocks, Problem> {
        match self.app.gateway.ask(Query::Lock(LockQuery::OfSession { session })).await? {
            Reply::Lock(LockReply::OfSession(locks)) => Ok(*locks),
            _ => Err(Problem::misanswered()),
        }
    }

    /// How the session stands to the resource.
    async fn standing(&self, session: SessionId) -> Result<Option<Standing>, Problem> {
        let locks = self.locks_of(session).await?;
        let held = locks.held.iter().find(|held| held.resource == self.resource);
        let awaited = locks.awaited.iter().find(|awaited| awaited.resource == self.resource);
        Ok(held
            .map(|held| Standing::Holds(held.mode))
            .or(awaited.map(|awaited| Standing::Waits(awaited.mode))))
    }

    /// Gets these, or waits in line for so long.
    async fn acquire(
        &self,
        (session, number): (SessionId, u64),
        wanted: Vec<(&str, LockMode)>,
        wait_us: u64,
    ) -> Result<Reply, Problem> {
        let request =
            |(resource, mode): (&str, LockMode)| LockRequest { resource: resource.to_owned(), mode };
        let requests = wanted.into_iter().map(request).collect();
        let name = CommandName { session, sequence: Sequence(number) };
        self.app.gateway.act(Some(name), Action::Lock(LockAction::Acquire { requests, wait_us }), 0).await
    }

    /// Tries once. `None` if the client's session was another and has just ended.
    async fn call(&self, mode: LockMode) -> Result<Option<Standing>, Problem> {
        let client = self.app.gateway.client();
        let opened = client.open_for_another(LEASE_US).await;
        let session = opened.map_err(|error| Problem::of_client(error, None))?;
        let result = self.call_in(session, mode).await;
        if !matches!(result, Ok(Some((_, true)))) {
            // It is of no use. If this does not get through it ends by itself.
            let _ = client.close_for_another(session).await;
        }
        Ok(result?.map(|(standing, _)| standing))
    }

    /// The same in a session; says also whether that is now the client's.
    async fn call_in(&self, session: SessionId, mode: LockMode) -> Result<Option<(Standing, bool)>, Problem> {
        let both = vec![(self.name.as_str(), LockMode::Exclusive), (self.resource.as_str(), mode)];
        if was_granted(self.acquire((session, 1), both, 0).await)? {
            return Ok(Some((Standing::Holds(mode), true)));
        }
        let own = vec![(self.name.as_str(), LockMode::Exclusive)];
        if !was_granted(self.acquire((session, 2), own, 0).await)? {
            let Some(earlier) = self.session().await? else { return Ok(None) };
            let _ = self.app.gateway.client().keep_alive_for_another(earlier).await;
            let standing = match self.standing(earlier).await? {
                None => self.go_on(earlier, mode).await?,
                found => found,
            };
            return Ok(standing.map(|standing| (standing, false)));
        }
        self.stand_in_line(session, mode).await.map(|standing| Some((standing, true)))
    }

    /// Has an earlier call's session stand in line, which it does not: that call has not come so far yet, or its node
    /// was lost before. The number of the command makes it the same, whoever asks. `None` if the session has ended, or
    /// has waited for as long as one may, and is ended then.
    async fn go_on(&self, earlier: SessionId, mode: LockMode) -> Result<Option<Standing>, Problem> {
        match self.stand_in_line(earlier, mode).await {
            // In what mode, the other call may have said.
            Ok(_) => self.standing(earlier).await,
            Err(problem) if problem.name() == "session-gone" => Ok(None),
            Err(problem) if problem.name() == "lock-not-granted" => {
                let closed = self.app.gateway.client().close_for_another(earlier).await;
                closed.map(|_| None).map_err(|error| Problem::of_client(error, None))
            }
            Err(problem) => Err(problem),
        }
    }

    /// Returns once the session holds the resource or has its place in line, so that places are taken in the order in
    /// which calls are answered.
    async fn stand_in_line(&self, session: SessionId, mode: LockMode) -> Result<Standing, Problem> {
        let waits = self.acquire((session, 3), vec![(self.resource.as_str(), mode)], LEASE_US);
        let looks = async {
            loop {
                if let Some(standing) = self.standing(session).await? {
                    return Ok(standing);
                }
                let env = self.app.gateway.env();
                env.sleep_until(env.now().plus_us(LOOK_AGAIN_US)).await;
            }
        };
        tokio::select! {
            biased;
            ended = waits => ended.map(|_| Standing::Holds(mode)),
            standing = looks => standing,
        }
    }

    /// Ends the client's hold, or leaves the line.
    async fn give_back(&self) -> Result<Json<Said>, Problem> {
        let (client, resource) = (&self.client, &self.resource);
        let Some(session) = self.session().await? else {
            let detail = format!("{client} does not hold a lock on {resource}");
            return Err(Problem::new(StatusCode::NOT_FOUND, "not-held", "There is no such hold", detail));
        };
        let standing = self.standing(session).await?;
        let closed = self.app.gateway.client().close_for_another(session).await;
        closed.map_err(|error| Problem::of_client(error, None))?;
        Ok(ok(match standing {
            Some(Standing::Waits(mode)) => {
                format!("Success: {client} no longer waits for {} lock on {resource}", word(mode))
            }
            Some(Standing::Holds(mode)) => {
                format!("Success: {client} released {} lock on {resource}", word(mode))
            }
            None => format!("Success: {client} released {resource}"),
        }))
    }

    /// Who holds the resource, in words.
    async fn current(&self) -> Result<Option<String>, Problem> {
        let state = self.state_of(&self.resource).await?;
        let Some(first) = state.holders.first() else { return Ok(None) };
        let mut names = Vec::new();
        for holder in &state.holders {
            let locks = self.locks_of(holder.session).await?;
            let name = locks.held.iter().find_map(|held| client_of(&held.resource, &self.resource));
            names.push(name.map_or_else(|| format!("session {}", holder.session.0), str::to_owned));
        }
        Ok(Some(format!("{} by {}", word(first.mode), names.join(", "))))
    }

    /// What is to be said of how the client stands. Who holds a lock alone may share it as well; who shares it, or waits
    /// to, has not been given what asks for more, and a client that acted on a success would not be alone.
    async fn answer(&self, standing: Standing, wanted: LockMode) -> Result<Json<Said>, Problem> {
        let (client, resource) = (&self.client, &self.resource);
        if let Standing::Holds(mode) | Standing::Waits(mode) = standing
            && wanted == LockMode::Exclusive
            && mode != LockMode::Exclusive
        {
            let does = if matches!(standing, Standing::Holds(_)) { "holds" } else { "waits for" };
            let detail = format!(
                "{client} {does} {} lock on {resource}; POST /unlock first, then ask for the {} one",
                word(mode),
                word(wanted)
            );
            return Err(Problem::conflict("wrong-mode", "The lock is held in another mode", detail));
        }
        Ok(ok(match standing {
            Standing::Holds(mode) if mode == wanted => {
                format!("Success: {client} acquired {} lock on {resource}", word(mode))
            }
            Standing::Holds(mode) => format!("Success: {client} holds {} lock on {resource}", word(mode)),
            Standing::Waits(mode) => {
                let current = self.current().await?.unwrap_or_else(|| "free".to_owned());
                format!("Waiting: {client} waiting for {} lock on {resource}. Current: {current}", word(mode))
            }
        }))
    }
}

/// Whether an acquire that does not wait was granted.
fn was_granted(acquired: Result<Reply, Problem>) -> Result<bool, Problem> {
    match acquired {
        Ok(_) => Ok(true),
        Err(problem) if problem.name() == "lock-not-granted" => Ok(false),
        Err(problem) => Err(problem),
    }
}

/// Get a lock, or a place in its line
///
/// Whoever waits gets the lock by itself; to call again tells whether that has happened.
#[utoipa::path(post, path = "/lock", tag = "calls", request_body = Call, responses(
    (status = 200, description = "The client holds the lock, or waits for it", body = Said),
    (status = 409, description = "The client shares the lock and now wants it alone, a bound is reached, or to wait would be a deadlock", body = Said),
))]
pub(crate) async fn lock(
    State(app): State<Arc<App>>,
    place: Place,
    LooseBody(call): LooseBody<Call>,
) -> Result<Json<Said>, Refusal> {
    is_free(&call.resource.0)?;
    let mode = call.lock_type.mode();
    let attempts = async move |claim: Claim| {
        for _ in 0..ATTEMPTS_MAX {
            if let Some(standing) = claim.call(mode).await? {
                return claim.answer(standing, mode).await;
            }
        }
        Err(Problem::too_many("other calls of the same client for the same resource kept coming between"))
    };
    Ok(Claim::new(app, call.client_id, call.resource).complete(place, attempts).await?)
}

/// Give a lock back, or leave its line
#[utoipa::path(post, path = "/unlock", tag = "calls", request_body = Return, responses(
    (status = 200, description = "The client neither holds the lock nor waits for it any more", body = Said),
    (status = 404, description = "It did not", body = Said),
))]
pub(crate) async fn unlock(
    State(app): State<Arc<App>>,
    place: Place,
    LooseBody(call): LooseBody<Return>,
) -> Result<Json<Said>, Refusal> {
    let give_back = async move |claim: Claim| claim.give_back().await;
    Ok(Claim::new(app, call.client_id, call.resource).complete(place, give_back).await?)
}

#[cfg(test)]
mod tests {
    use super::{client_of, name_of};

    #[test]
    fn a_name_tells_client_and_resource_apart() {
        for (client, resource) in [("a", "b"), ("a/b", "c"), ("a", "b/c"), ("é", "1/x/y"), ("1/a", "")] {
            assert_eq!(client_of(&name_of(client, resource), resource), Some(client));
        }
        assert_ne!(name_of("a/b", "c"), name_of("a", "b/c"));
        for other in [
            "a",
            "~calls/",
            "~calls/9/a/b",
            "~calls/x/a/b",
            "~calls/1/é/b",
            "~calls/18446744073709551615/a/b",
        ] {
            assert_eq!(client_of(other, "b"), None, "{other}");
        }
    }
}
