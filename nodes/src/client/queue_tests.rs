//! The client's operations on topics, against the real machine.

use bytes::Bytes;

use super::tests::{Bench, done};
use crate::ids::ProducerId;
use crate::machine::{Acknowledgement, NewMessage};

fn message(payload: &'static str) -> NewMessage {
    NewMessage { payload: Bytes::from_static(payload.as_bytes()), ..NewMessage::default() }
}

#[test]
fn a_consumer_that_waits_gets_the_message_that_comes_and_acknowledges_it() {
    let mut bench = Bench::ready();
    let waits = bench.begin(|client| async move { client.dequeue("jobs", 5, 2_000_000, 9_000_000).await });
    bench.serve();
    assert_eq!(done(&waits), None, "there is nothing yet");
    let enqueued = bench.begin(|client| async move { client.enqueue("jobs", message("a")).await });
    bench.serve();
    let Some(Ok(id)) = done(&enqueued) else { panic!("the topic has room") };
    // It asks again, lest it miss its turn, and is answered from the session table.
    bench.env.advance_us(1_000_000);
    bench.serve();
    let Some(Ok(deliveries)) = done(&waits) else { panic!("a message came") };
    assert_eq!((deliveries.len(), deliveries[0].id, deliveries[0].attempt), (1, id, 1));
    let receipt = deliveries[0].receipt;
    let acknowledged =
        bench.begin(move |client| async move { client.acknowledge("jobs", vec![(id, receipt)]).await });
    bench.serve();
    assert_eq!(done(&acknowledged), Some(Ok(vec![Acknowledgement::Done])));
}

#[test]
fn a_batch_sent_again_in_another_call_is_taken_once() {
    let mut bench = Bench::ready();
    let mut send = || {
        let producer = Some((ProducerId(7), 1));
        let batch = vec![message("a"), message("b")];
        let sent = bench.begin(|client| async move { client.enqueue_batch("jobs", batch, producer).await });
        bench.serve();
        done(&sent).expect("it was answered").expect("the topic has room")
    };
    let (first, second) = (send(), send());
    assert_eq!((first.ids.len(), first.duplicate), (2, false));
    assert_eq!((&second.ids, second.duplicate), (&first.ids, true));
}
