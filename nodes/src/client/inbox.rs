//! Brings responses to the attempts that wait for them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::oneshot;

use crate::api::{RequestId, Response};
use crate::env::{Env, Net};
use crate::marks;
use crate::transport::Frame;

/// The attempts that wait, by request id. An attempt whose operation has ended has no place here any more, so its
/// late response is dropped.
///
/// Ids go on from a number drawn at random: a response to an earlier run of this client process, still under
/// way, must not pass for one to this run.
#[derive(Debug)]
pub(super) struct Inbox {
    waiting: Mutex<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    last_id: u64,
    by_id: BTreeMap<u64, oneshot::Sender<Response>>,
}

impl Inbox {
    /// An inbox whose ids begin after `drawn`, less its highest bits: room to count up without end.
    pub(super) fn new(drawn: u64) -> Self {
        let waiting = Waiting { last_id: drawn >> 8, by_id: BTreeMap::new() };
        Self { waiting: Mutex::new(waiting) }
    }

    /// A new request id and the response that it will bring.
    pub(super) fn expect(&self) -> (RequestId, oneshot::Receiver<Response>) {
        let (sender, receiver) = oneshot::channel();
        let mut waiting = self.lock();
        waiting.last_id += 1;
        let id = waiting.last_id;
        waiting.by_id.insert(id, sender);
        (RequestId(id), receiver)
    }

    /// A number that no other opening of a session has had, by this run of the client process or an earlier one.
    pub(super) fn nonce(&self) -> u64 {
        let mut waiting = self.lock();
        waiting.last_id += 1;
        waiting.last_id
    }

    /// Nobody waits for this response any more.
    pub(super) fn forget(&self, id: RequestId) {
        self.lock().by_id.remove(&id.0);
    }

    fn deliver(&self, response: Response) {
        match self.lock().by_id.remove(&response.id.0) {
            // The attempt may give up at this very moment; then the response is as lost as a late one.
            Some(sender) => drop(sender.send(response)),
            None => marks::hit("client.late_response_dropped"),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().expect("no holder of this lock panics")
    }
}

/// Receives for ever.
pub(super) async fn receive<E: Env>(env: E, inbox: Arc<Inbox>) {
    loop {
        let (from, bytes) = env.net().receive().await;
        match Frame::decode(&bytes) {
            Ok(Frame::Response(response)) => inbox.deliver(response),
            Ok(_) => tracing::warn!(%from, "dropped a frame that is no response"),
            Err(error) => tracing::warn!(%from, %error, "dropped a frame that cannot be decoded"),
        }
    }
}
