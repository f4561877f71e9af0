//! One operation as a bounded sequence of attempts.
//!
//! An attempt that has had no answer in time is followed by another, and is not forgotten: its answer counts whenever it
//! comes while the operation lasts. So an operation gets through though every answer takes longer than an attempt
//! waits, as at nodes whose store syncs once a second. That is sound, for the answer was given after the operation
//! began and before it ended; and whatever is counted from the moment of asking, such as a lease, is counted from the
//! moment at which that very attempt was sent.

use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::oneshot;

use super::{Client, ClientError, ReadFrom};
use crate::api::{ApiError, Request, RequestBody, RequestId, Response, ResponseBody};
use crate::env::{Env, Net};
use crate::ids::{Address, LocalTime, NodeId};
use crate::machine::{MachineError, Outcome, Query, Reply};
use crate::marks;
use crate::transport::Frame;

/// Doublings of the pause between refused attempts, at most.
const BACKOFF_DOUBLINGS_MAX: u32 = 4;

/// Refusals because of a hand-over within a call that are answered by a short pause, and how much shorter
/// it is than others.
const HAND_OVER_REFUSALS_MAX: u32 = 16;
const HAND_OVER_BACKOFF_DIVISOR: u64 = 10;

/// Attempts of one operation whose answers may still come and count. More than fit into an operation of the default
/// length; of a wait, which asks again and again, the latest.
const UNANSWERED_MAX: usize = 16;

/// An operation's successful end.
#[derive(Debug)]
pub(super) struct Completed {
    /// What the machine said.
    pub(super) outcome: Outcome,
    /// When the attempt that was answered had been sent.
    pub(super) sent_at: LocalTime,
    /// Whether that attempt is an entry of the log, and so renewed the session's lease.
    pub(super) is_entry: bool,
}

/// Refusals by one node within a call, after which others' word that it leads counts for nothing.
const REFUSALS_MAX: u32 = 3;

/// What a call has learnt of a hand-over that is under way.
#[derive(Debug, Default)]
struct HandOver {
    refusals: u32,
    /// Who is about to lead, by position.
    heir: Option<usize>,
}

enum Attempt {
    Answered(Box<Result<ResponseBody, ApiError>>),
    TimedOut,
}

/// An attempt that is on its way.
struct Sent<'a, E: Env> {
    at: LocalTime,
    response: oneshot::Receiver<Response>,
    _forget_when_done: Forget<'a, E>,
}

/// The attempts of one operation that have had no answer yet, the latest last.
struct Unanswered<'a, E: Env>(VecDeque<Sent<'a, E>>);

impl<E: Env> Client<E> {
    /// Asks until the machine has answered or `timeout_us` is over.
    ///
    /// # Errors
    /// [`ClientError::Unknown`] when the time is over.
    pub(super) async fn call(
        &self,
        body: RequestBody,
        attempt_timeout_us: u64,
        timeout_us: u64,
    ) -> Result<Completed, ClientError> {
        let began = self.env.now();
        let body = self.with_surrenders(body, attempt_timeout_us.min(timeout_us)).await;
        let left_us = timeout_us.saturating_sub(self.env.now().since_us(began));
        match self.ask(body, attempt_timeout_us, left_us).await? {
            (ResponseBody::Outcome(outcome), sent_at) => Ok(Completed { outcome, sent_at, is_entry: true }),
            (ResponseBody::Known(outcome), sent_at) => Ok(Completed { outcome, sent_at, is_entry: false }),
            _ => Err(ClientError::Unknown("answered another question")),
        }
    }

    /// Asks the node that reads go to, or whoever answers if that one does not, until one has answered or
    /// `timeout_us` is over. For what any node answers.
    ///
    /// # Errors
    /// [`ClientError::Unknown`] when the time is over.
    pub(super) async fn ask_anywhere(
        &self,
        body: RequestBody,
        attempt_timeout_us: u64,
        timeout_us: u64,
    ) -> Result<ResponseBody, ClientError> {
        let sent_at = self.env.now();
        if let ReadFrom::Node(position) | ReadFrom::Near(position) = self.config.read_from {
            let deadline = sent_at.plus_us(attempt_timeout_us.min(timeout_us));
            let attempt = self.attempt(position, body.clone(), deadline);
            if let Attempt::Answered(answer) = attempt.await
                && let Ok(answer) = *answer
            {
                return Ok(answer);
            }
        }
        let left_us = timeout_us.saturating_sub(self.env.now().since_us(sent_at));
        Ok(self.ask(body, attempt_timeout_us, left_us).await?.0)
    }

    /// Asks this node, once; `None` if it refuses or does not answer in time.
    pub(super) async fn ask_node(&self, node: NodeId, body: RequestBody) -> Option<ResponseBody> {
        self.ask_node_within(node, body, self.config.attempt_timeout_us).await
    }

    /// The same, for so long.
    pub(super) async fn ask_node_within(
        &self,
        node: NodeId,
        body: RequestBody,
        timeout_us: u64,
    ) -> Option<ResponseBody> {
        let deadline = self.env.now().plus_us(timeout_us);
        match self.attempt_at(node, body, deadline).await {
            Attempt::Answered(answer) => (*answer).ok(),
            Attempt::TimedOut => None,
        }
    }

    /// Asks the node at `position`, and the leader for the same if that one does not answer in time.
    ///
    /// # Errors
    /// [`ClientError::Unknown`] when the time is over.
    pub(super) async fn call_at(
        &self,
        position: usize,
        (body, query): (RequestBody, Query),
        attempt_timeout_us: u64,
        timeout_us: u64,
    ) -> Result<Completed, ClientError> {
        let sent_at = self.env.now();
        let deadline = sent_at.plus_us(attempt_timeout_us.min(timeout_us));
        let attempt = self.attempt(position, body, deadline);
        if let Attempt::Answered(answer) = attempt.await
            && let Ok(ResponseBody::Outcome(outcome)) = *answer
        {
            return Ok(Completed { outcome, sent_at, is_entry: false });
        }
        marks::hit("client.read_falls_back_on_the_leader");
        let left_us = timeout_us.saturating_sub(self.env.now().since_us(sent_at));
        self.call(RequestBody::Query(query), attempt_timeout_us, left_us).await
    }

    /// Asks until somebody answers, be it an attempt given up for another, or until `timeout_us` is over; says also
    /// when the attempt that was answered had been sent.
    ///
    /// A refusal by a node that does not lead is definite for the frame that it answers, not for the
    /// operation: the network may hold a second copy, and that node may lead when the copy arrives. So an
    /// operation that nobody took is still one of unknown outcome.
    ///
    /// # Errors
    /// [`ClientError::Unknown`] when the time is over.
    pub(super) async fn ask(
        &self,
        mut body: RequestBody,
        attempt_timeout_us: u64,
        timeout_us: u64,
    ) -> Result<(ResponseBody, LocalTime), ClientError> {
        let give_up_at = self.env.now().plus_us(timeout_us);
        let mut refusals_of = BTreeMap::new();
        let mut refusals = 0;
        let mut hand_over = HandOver::default();
        let mut unanswered = Unanswered(VecDeque::new());
        loop {
            let sent_at = self.env.now();
            if let Some(late) = unanswered.late() {
                return Ok(late);
            }
            if sent_at >= give_up_at {
                return Err(ClientError::Unknown("no answer in time"));
            }
            let deadline = give_up_at.min(sent_at.plus_us(attempt_timeout_us));
            let tried = self.state().target;
            unanswered.add(self.send(tried, body.clone()));
            match self.latest_answered(&mut unanswered, deadline).await {
                Ok(answered) => return Ok(answered),
                Err(Some(ApiError::ImpossibleChange(why))) => return Err(ClientError::Impossible(why)),
                Err(Some(error)) => {
                    if self.heeds_hand_over(&error, tried, &mut hand_over) {
                        self.pause(self.config.backoff_us / HAND_OVER_BACKOFF_DIVISOR, give_up_at).await;
                        continue;
                    }
                    *refusals_of.entry(tried).or_default() += 1;
                    // The first word of where the leader is costs no pause: it is right nearly always.
                    let is_redirected = self.follow(&error, tried, &refusals_of);
                    if refusals > 0 || !is_redirected {
                        let longest_us = self.config.backoff_us << refusals.min(BACKOFF_DOUBLINGS_MAX);
                        self.pause(longest_us, give_up_at).await;
                    }
                    refusals += 1;
                }
                Err(None) => {
                    marks::hit("client.attempt_timed_out");
                    // By now the near node does not wait for its lines any more; and who is silent may be of a version
                    // that does not know of surrenders.
                    body = body.without_surrenders();
                    self.try_another_than(tried);
                }
            }
        }
    }

    /// Waits until one of the attempts is answered, and says when it had been sent; or until the latest is refused, or
    /// has had no answer until `deadline`. What an earlier one is refused for is no news.
    async fn latest_answered(
        &self,
        unanswered: &mut Unanswered<'_, E>,
        deadline: LocalTime,
    ) -> Result<(ResponseBody, LocalTime), Option<ApiError>> {
        loop {
            let (sent_at, is_latest, result) = tokio::select! {
                biased;
                answered = poll_fn(|context| unanswered.poll(context)) => answered,
                () = self.env.sleep_until(deadline) => return Err(None),
            };
            match result {
                Ok(answer) => {
                    if !is_latest {
                        marks::hit("client.late_answer_counted");
                    }
                    return Ok((answer, sent_at));
                }
                Err(error) if is_latest => return Err(Some(error)),
                Err(_) => {}
            }
        }
    }

    /// While the leadership is handed over: turns to the heir, who is asked again, after a short pause each
    /// time, until it leads or knows of another. That is sound, for a retry is: a hand-over takes a few round
    /// trips as a rule, and who hands over may be gone before it is done.
    fn heeds_hand_over(&self, error: &ApiError, tried: usize, hand_over: &mut HandOver) -> bool {
        if hand_over.refusals == HAND_OVER_REFUSALS_MAX {
            return false;
        }
        match error {
            ApiError::Transferring { to } => {
                hand_over.heir = self.position_of(*to);
                self.state().target = hand_over.heir.unwrap_or(tried);
            }
            ApiError::NotLeader { leader: None } if hand_over.heir == Some(tried) => {
                marks::hit("client.heir_does_not_lead_yet");
            }
            _ => return false,
        }
        hand_over.refusals += 1;
        true
    }

    /// One attempt by itself, whose answer counts until `deadline`.
    async fn attempt(&self, tried: usize, body: RequestBody, deadline: LocalTime) -> Attempt {
        self.answered(self.send(tried, body), deadline).await
    }

    async fn attempt_at(&self, target: NodeId, body: RequestBody, deadline: LocalTime) -> Attempt {
        self.answered(self.send_to(target, body), deadline).await
    }

    async fn answered(&self, sent: Sent<'_, E>, deadline: LocalTime) -> Attempt {
        tokio::select! {
            biased;
            response = sent.response => match response {
                Ok(Response { result, .. }) => Attempt::Answered(Box::new(result)),
                Err(_) => Attempt::TimedOut,
            },
            () = self.env.sleep_until(deadline) => Attempt::TimedOut,
        }
    }

    fn send(&self, tried: usize, body: RequestBody) -> Sent<'_, E> {
        // The list may have become shorter meanwhile.
        let target = {
            let nodes = &self.state().nodes;
            nodes[tried % nodes.len()]
        };
        self.send_to(target, body)
    }

    fn send_to(&self, target: NodeId, body: RequestBody) -> Sent<'_, E> {
        let (id, response) = self.inbox.expect();
        let frame = Frame::Request(Request { id, body }).encode();
        // A lease is counted from here. The process may stand still for however long once the frame is on its way.
        let at = self.env.now();
        self.env.net().send(Address::Node(target), frame);
        Sent { at, response, _forget_when_done: Forget { client: self, id } }
    }

    /// Turns to the leader that a refusal names, or else to the next node. Says whether one was named.
    ///
    /// Whoever has refused a few times within this call is not asked again on another node's word: members
    /// that have left the cluster know only of leaders of old, and could send a client around in circles for
    /// ever.
    fn follow(&self, error: &ApiError, tried: usize, refusals_of: &BTreeMap<usize, u32>) -> bool {
        let leader = match error {
            ApiError::NotLeader { leader } => *leader,
            _ => None,
        };
        let position = leader.and_then(|leader| self.position_of(leader));
        let is_believed = |at| refusals_of.get(&at).is_none_or(|&refusals| refusals < REFUSALS_MAX);
        match error {
            ApiError::NotLeader { .. } if position.is_some_and(is_believed) => {
                self.state().target = position.unwrap_or(tried);
                return true;
            }
            ApiError::Overloaded | ApiError::ChangePending | ApiError::Transferring { .. } => {}
            _ => self.try_another_than(tried),
        }
        false
    }

    /// Turns to the next node, unless another operation of this client has turned away meanwhile: as many
    /// as there are nodes, failing together, would else turn the full circle together for ever.
    fn try_another_than(&self, tried: usize) {
        let mut state = self.state();
        if state.target == tried {
            state.target = (tried + 1) % state.nodes.len();
        }
    }

    fn position_of(&self, node: NodeId) -> Option<usize> {
        self.state().nodes.iter().position(|known| *known == node)
    }

    /// Waits for at least half of `longest_us`.
    async fn pause(&self, longest_us: u64, give_up_at: LocalTime) {
        let pause_us = longest_us / 2 + self.env.entropy() % (longest_us / 2 + 1);
        self.env.sleep_until(give_up_at.min(self.env.now().plus_us(pause_us))).await;
    }
}

impl Completed {
    /// The machine's answer to a command.
    ///
    /// Refusals that the session table does not remember are unknown outcomes: another copy of the request
    /// may have fared otherwise.
    pub(super) fn reply(self) -> Result<Reply, ClientError> {
        match self.outcome {
            Ok(reply) => Ok(reply),
            Err(
                MachineError::SessionExpired
                | MachineError::SequenceTooOld
                | MachineError::TooManyOpenCommands
                | MachineError::Undecodable(_),
            ) => {
                marks::hit("client.refusal_says_nothing_of_other_copies");
                Err(ClientError::Unknown("this attempt was refused, but an earlier one may have had effect"))
            }
            Err(error) => Err(ClientError::Refused(error)),
        }
    }
}

impl<'a, E: Env> Unanswered<'a, E> {
    fn add(&mut self, sent: Sent<'a, E>) {
        if self.0.len() == UNANSWERED_MAX {
            self.0.pop_front();
        }
        self.0.push_back(sent);
    }

    /// An answer that is there already. Takes out whatever has been answered.
    fn late(&mut self) -> Option<(ResponseBody, LocalTime)> {
        let mut late = None;
        self.0.retain_mut(|sent| match sent.response.try_recv() {
            Ok(Response { result: Ok(answer), .. }) => {
                late = Some((answer, sent.at));
                false
            }
            Ok(_) => false,
            Err(_) => true,
        });
        if late.is_some() {
            marks::hit("client.late_answer_counted");
        }
        late
    }

    /// Takes out the first attempt that is answered: when it was sent, whether it is the latest, and the answer.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<(LocalTime, bool, Result<ResponseBody, ApiError>)> {
        // The earliest first: of two that are there, it is the one that was an entry and has renewed the lease.
        for place in 0..self.0.len() {
            let Poll::Ready(response) = Pin::new(&mut self.0[place].response).poll(context) else { continue };
            let is_latest = place + 1 == self.0.len();
            let Some(sent) = self.0.remove(place) else { continue };
            // A sender that is gone was dropped with the inbox: nothing will come.
            let Ok(Response { result, .. }) = response else { continue };
            return Poll::Ready((sent.at, is_latest, result));
        }
        Poll::Pending
    }
}

/// Takes an attempt's place out of the inbox, however the attempt ends.
struct Forget<'a, E: Env> {
    client: &'a Client<E>,
    id: RequestId,
}

impl<E: Env> Drop for Forget<'_, E> {
    fn drop(&mut self) {
        self.client.inbox.forget(self.id);
    }
}
