//! A consumer against the real machine, over a network and a clock that the test moves.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use super::tests::{Bench, done};
use super::{Consumer, ConsumerConfig, ConsumerCounts, Retry};
use crate::env::Env;
use crate::fake_env::FakeEnv;
use crate::ids::LocalTime;
use crate::machine::NewMessage;

/// What the test sees of handlers, and tells them.
#[derive(Clone, Default)]
struct Desk {
    /// How many handlers of each payload have begun.
    begun: Arc<Mutex<BTreeMap<String, u32>>>,
    /// What the handlers of each payload are to say; until then they wait.
    verdicts: Arc<Mutex<BTreeMap<String, Result<(), Retry>>>>,
}

impl Desk {
    fn begun(&self, payload: &str) -> u32 {
        self.begun.lock().expect("one thread").get(payload).copied().unwrap_or_default()
    }

    fn say(&self, payload: &str, verdict: Result<(), Retry>) {
        self.verdicts.lock().expect("one thread").insert(payload.to_owned(), verdict);
    }

    /// Handles a message, looking for its verdict every millisecond.
    async fn handle(self, env: FakeEnv, payload: String) -> Result<(), Retry> {
        *self.begun.lock().expect("one thread").entry(payload.clone()).or_default() += 1;
        loop {
            let verdict = self.verdicts.lock().expect("one thread").get(&payload).copied();
            match verdict {
                Some(verdict) => return verdict,
                None => env.sleep_until(env.now().plus_us(1_000)).await,
            }
        }
    }
}

fn config(concurrency_max: u32) -> ConsumerConfig {
    let (visibility_us, poll_us) = (6_000_000, 1_000_000);
    ConsumerConfig { concurrency_max, visibility_us, poll_us, ..ConsumerConfig::new("jobs") }
}

fn start(bench: &Bench, desk: &Desk, config: ConsumerConfig) -> Consumer {
    let (env, desk) = (bench.env.clone(), desk.clone());
    Consumer::start(bench.client.clone(), config, move |delivery| {
        let payload = String::from_utf8(delivery.payload.to_vec()).expect("the test sends text");
        desk.clone().handle(env.clone(), payload)
    })
}

/// Lets time pass in steps of 50 ms, serving what is sent, or losing it.
fn pass_ms(bench: &mut Bench, ms: u64, is_served: bool) {
    for _ in 0..ms.div_ceil(50) {
        bench.env.advance_us(50_000);
        match is_served {
            true => bench.serve(),
            false => drop(bench.requests()),
        }
    }
}

fn enqueue(bench: &mut Bench, payloads: &[&'static str]) {
    let message = |&payload: &&'static str| NewMessage {
        payload: Bytes::from_static(payload.as_bytes()),
        ..NewMessage::default()
    };
    let batch = payloads.iter().map(message).collect();
    let sent = bench.begin(|client| async move { client.enqueue_batch("jobs", batch, None).await });
    bench.serve();
    assert!(matches!(done(&sent), Some(Ok(_))));
}

fn counts(delivered: u64, acknowledged: u64) -> ConsumerCounts {
    ConsumerCounts { delivered, acknowledged, ..ConsumerCounts::default() }
}

#[test]
fn a_consumer_handles_as_many_at_a_time_as_it_may_and_acknowledges_them() {
    let mut bench = Bench::ready();
    let desk = Desk::default();
    enqueue(&mut bench, &["a", "b", "c"]);
    let consumer = start(&bench, &desk, config(2));
    pass_ms(&mut bench, 200, true);
    assert_eq!([desk.begun("a"), desk.begun("b"), desk.begun("c")], [1, 1, 0]);
    desk.say("b", Ok(()));
    pass_ms(&mut bench, 200, true);
    assert_eq!([desk.begun("a"), desk.begun("b"), desk.begun("c")], [1, 1, 1]);
    desk.say("a", Ok(()));
    desk.say("c", Ok(()));
    pass_ms(&mut bench, 200, true);
    assert_eq!(consumer.counts(), counts(3, 3));
}

#[test]
fn a_message_that_takes_many_leases_to_handle_goes_to_nobody_else() {
    let mut bench = Bench::ready();
    let desk = Desk::default();
    enqueue(&mut bench, &["a"]);
    let consumer = start(&bench, &desk, config(2));
    pass_ms(&mut bench, 60_000, true);
    assert_eq!(desk.begun("a"), 1);
    desk.say("a", Ok(()));
    pass_ms(&mut bench, 200, true);
    let counted = consumer.counts();
    assert_eq!((counted.acknowledged, counted.lost), (1, 0));
    assert!((20..=40).contains(&counted.extended), "{counted:?}");
}

#[test]
fn a_rejected_message_is_handled_again_after_its_delay() {
    let mut bench = Bench::ready();
    let desk = Desk::default();
    desk.say("a", Err(Retry { delay_us: 2_000_000 }));
    enqueue(&mut bench, &["a"]);
    let consumer = start(&bench, &desk, config(1));
    pass_ms(&mut bench, 1_500, true);
    assert_eq!(desk.begun("a"), 1);
    desk.say("a", Ok(()));
    pass_ms(&mut bench, 3_000, true);
    assert_eq!(desk.begun("a"), 2);
    assert_eq!(consumer.counts(), ConsumerCounts { rejected: 1, ..counts(2, 1) });
}

#[test]
fn a_handler_is_dropped_before_its_message_can_go_to_somebody_else() {
    let mut bench = Bench::ready();
    let desk = Desk::default();
    enqueue(&mut bench, &["a"]);
    let asked_at = bench.env.now();
    let consumer = start(&bench, &desk, config(1));
    bench.env.advance_us(0);
    bench.serve();
    assert_eq!(desk.begun("a"), 1);
    // Nothing gets through any more; the lease is 6 s long by the cluster's count.
    while consumer.counts().lost == 0 {
        assert!(bench.env.now() < LocalTime(asked_at.0 + 6_000_000), "the handler must be gone by now");
        pass_ms(&mut bench, 50, false);
    }
    assert!(bench.env.now() >= LocalTime(asked_at.0 + 5_900_000), "not for nothing");
}

#[test]
fn a_consumer_whose_session_is_lost_goes_on_in_a_new_one_with_what_it_has_in_hand() {
    let mut bench = Bench::ready();
    let desk = Desk::default();
    enqueue(&mut bench, &["a"]);
    let consumer = start(&bench, &desk, config(1));
    pass_ms(&mut bench, 50, true);
    assert_eq!(desk.begun("a"), 1);
    pass_ms(&mut bench, 3_500, false);
    assert!(!bench.client.has_session(), "its lease is 3 s long");
    pass_ms(&mut bench, 20_000, true);
    assert!(bench.client.has_session());
    assert_eq!(desk.begun("a"), 1, "nobody else got it");
    desk.say("a", Ok(()));
    pass_ms(&mut bench, 200, true);
    let counted = consumer.counts();
    assert_eq!((counted.acknowledged, counted.lost), (1, 0), "{counted:?}");
}

#[test]
fn a_consumer_that_is_stopped_asks_for_no_more_and_finishes_what_it_has() {
    let mut bench = Bench::ready();
    let desk = Desk::default();
    enqueue(&mut bench, &["a"]);
    let consumer = start(&bench, &desk, config(1));
    pass_ms(&mut bench, 50, true);
    let stopped = bench.begin(|_| consumer.stop());
    enqueue(&mut bench, &["b"]);
    pass_ms(&mut bench, 10_000, true);
    assert_eq!(done(&stopped), None, "a message is in hand");
    desk.say("a", Ok(()));
    pass_ms(&mut bench, 200, true);
    let counted = done(&stopped).expect("nothing is in hand");
    assert_eq!((counted.delivered, counted.acknowledged), (1, 1));
    assert_eq!(desk.begun("b"), 0);
}

#[test]
fn a_poll_under_way_when_the_consumer_is_stopped_loses_no_message() {
    let mut bench = Bench::ready();
    let desk = Desk::default();
    desk.say("a", Ok(()));
    let consumer = start(&bench, &desk, config(1));
    pass_ms(&mut bench, 50, true);
    let stopped = bench.begin(|_| consumer.stop());
    enqueue(&mut bench, &["a"]);
    assert_eq!(done(&stopped), None, "the poll waits in the cluster");
    pass_ms(&mut bench, 3_000, true);
    assert_eq!(done(&stopped), Some(counts(1, 1)));
}

#[test]
fn a_consumer_that_nobody_holds_any_more_stops() {
    let mut bench = Bench::ready();
    let desk = Desk::default();
    drop(start(&bench, &desk, config(1)));
    pass_ms(&mut bench, 3_000, true);
    enqueue(&mut bench, &["a"]);
    pass_ms(&mut bench, 3_000, true);
    assert_eq!(desk.begun("a"), 0);
}

#[test]
fn an_acknowledgement_of_unknown_outcome_is_not_counted_as_done() {
    let mut bench = Bench::ready();
    let desk = Desk::default();
    enqueue(&mut bench, &["a"]);
    let consumer = start(&bench, &desk, config(1));
    pass_ms(&mut bench, 50, true);
    desk.say("a", Ok(()));
    // The acknowledgement arrives, its answer does not, and by the time of the next the session is gone.
    bench.env.advance_us(1_000);
    let requests = bench.requests();
    bench.apply_unanswered(requests);
    pass_ms(&mut bench, 7_000, false);
    pass_ms(&mut bench, 7_000, true);
    let counted = consumer.counts();
    assert_eq!((counted.acknowledged, counted.unsettled), (0, 1), "{counted:?}");
}
