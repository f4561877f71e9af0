//! Clients of a service that is simulated in the simplest way: a queue of moments, and what happens at each.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rand::RngExt;
use stormglass_sim::history::{Answer, Call, History, Outcome, Recorder, VirtualTime};
use stormglass_sim::rng::{StreamRng, Streams};

/// How many clients there are.
pub(super) const CLIENTS: u64 = 32;
/// One-way delay of a request or an answer, at most.
const DELAY_NS_MAX: u64 = 400_000;
/// Pause between two operations of a client, at most.
const PAUSE_NS_MAX: u64 = 2_000_000;
/// One answer in so many is lost.
const LOST_ONE_IN: u64 = 200;

/// What happens at a moment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    /// The client begins its next operation.
    Begin,
    /// Its request reaches the service.
    Arrive(u64),
    /// Its answer reaches it.
    Return(u64),
    /// Something of the service's own, by a number that it gave.
    Due(u64),
}

/// The clients' side, the clock, and the record.
pub(super) struct Clients {
    pub(super) rng: StreamRng,
    pub(super) now_ns: u64,
    moments: BinaryHeap<Reverse<(u64, u64, u64, What)>>,
    numbered: u64,
    recorder: Recorder,
    /// Answers on their way, by operation: none if it is lost.
    answers: std::collections::BTreeMap<u64, Option<Answer>>,
    begun: u64,
    operations: u64,
}

/// A service of which clients ask something.
pub(super) trait Service {
    /// What the client asks next; nothing if it is to pause.
    fn ask(&mut self, clients: &mut Clients, client: u64) -> Option<Call>;
    /// A request arrives. It is answered now or later with [`Clients::answer`].
    fn arrive(&mut self, clients: &mut Clients, client: u64, id: u64);
    /// The client learns what came of its operation: nothing, if the answer was lost.
    fn learn(&mut self, clients: &mut Clients, client: u64, id: u64, answer: Option<&Answer>);
    /// Something is due that the service had noted.
    fn due(&mut self, clients: &mut Clients, number: u64);
    /// Once all operations have begun, what is still to be done; nothing, if the history may end.
    fn finish(&mut self, clients: &mut Clients, client: u64) -> Option<Call>;
}

/// The history of so many operations, or a few more.
pub(super) fn history(mut service: impl Service, name: &str, operations: u64) -> History {
    let mut clients = Clients {
        rng: Streams::new(1).stream(name),
        now_ns: 0,
        moments: BinaryHeap::new(),
        numbered: 0,
        recorder: Recorder::new(),
        answers: Default::default(),
        begun: 0,
        operations,
    };
    (1..=CLIENTS).for_each(|client| clients.at(client, client, What::Begin));
    while let Some(Reverse((at_ns, _, client, what))) = clients.moments.pop() {
        clients.now_ns = at_ns;
        match what {
            What::Begin => clients.begin(&mut service, client),
            What::Arrive(id) => service.arrive(&mut clients, client, id),
            What::Return(id) => clients.returned(&mut service, client, id),
            What::Due(number) => service.due(&mut clients, number),
        }
    }
    clients.recorder.finish()
}

impl Clients {
    /// Notes that something happens at a moment.
    pub(super) fn at(&mut self, at_ns: u64, client: u64, what: What) {
        self.numbered += 1;
        self.moments.push(Reverse((at_ns, self.numbered, client, what)));
    }

    /// What an operation asks.
    pub(super) fn call(&self, id: u64) -> Call {
        self.recorder.history().operations[id as usize].call.clone()
    }

    /// The service answers an operation of this client.
    pub(super) fn answer(&mut self, client: u64, id: u64, answer: Answer) {
        let is_lost = self.rng.random_range(0..LOST_ONE_IN) == 0;
        self.answers.insert(id, Some(answer).filter(|_| !is_lost));
        let at_ns = self.now_ns + self.rng.random_range(1..DELAY_NS_MAX);
        self.at(at_ns, client, What::Return(id));
    }

    /// Records that a client holds a lock for a span.
    pub(super) fn hold(&mut self, hold: stormglass_sim::history::Hold) {
        self.recorder.hold(hold);
    }

    fn begin(&mut self, service: &mut impl Service, client: u64) {
        let is_over = self.begun >= self.operations;
        let call = if is_over { service.finish(self, client) } else { service.ask(self, client) };
        let Some(call) = call else {
            if !is_over {
                self.pause(client);
            }
            return;
        };
        self.begun += 1;
        let id = self.recorder.invoke(client, call, VirtualTime(self.now_ns));
        let at_ns = self.now_ns + self.rng.random_range(1..DELAY_NS_MAX);
        self.at(at_ns, client, What::Arrive(id));
    }

    fn returned(&mut self, service: &mut impl Service, client: u64, id: u64) {
        let answer = self.answers.remove(&id).flatten();
        let outcome = match &answer {
            Some(answer) => Outcome::Ok { answer: answer.clone() },
            None => Outcome::Unknown { reason: "the answer was lost".to_owned() },
        };
        self.recorder.complete(id, outcome, VirtualTime(self.now_ns));
        service.learn(self, client, id, answer.as_ref());
        self.pause(client);
    }

    fn pause(&mut self, client: u64) {
        let at_ns = self.now_ns + self.rng.random_range(1..PAUSE_NS_MAX);
        self.at(at_ns, client, What::Begin);
    }
}
