//! What becomes of commands that a gateway brings for people who are told too late, or never.

use bytes::Bytes;

use super::lock_tests::{go_on, unanswered};
use super::tests::{Bench, done};
use super::{ClientError, Numbers};
use crate::env::Env;
use crate::ids::Sequence;
use crate::machine::{
    Action, CacheAction, CacheReply, MachineError, NewMessage, OPEN_COMMANDS_MAX, Query, QueueAction,
    QueueQuery, QueueReply, Reply,
};

const HOUR_US: u64 = 3_600_000_000;

fn add_one() -> Action {
    let (key, delta, initial, ttl_us) = ("n".to_owned(), 1, 0, None);
    Action::Cache(CacheAction::Add { key, delta, initial, ttl_us })
}

/// What the numbers are answered with that somebody was told to ask by.
fn asked_again(bench: &mut Bench, numbers: &Numbers) -> Result<Reply, MachineError> {
    let numbers = Numbers::new(numbers.session, numbers.sequence, numbers.sequence);
    let asked = bench.begin(|client| async move { client.act_as(&numbers, add_one(), 0).await });
    bench.serve();
    done(&asked).expect("it is answered").expect("the cluster knows")
}

#[test]
fn what_nobody_knew_the_outcome_of_can_be_asked_for_though_others_came_after_it() {
    let mut bench = Bench::ready();
    let added = bench.begin(|client| async move {
        let mut begun = client.begin().await.expect("there is a session");
        let ended = begun.act(add_one(), 0).await;
        (ended, begun.numbers().clone())
    });
    let (ended, numbers) = unanswered(&mut bench, &added);
    assert!(matches!(ended, Err(ClientError::Unknown(_))), "{ended:?}");
    let mut sequence = numbers.sequence.0;
    while sequence + 1 < numbers.sequence.0 + OPEN_COMMANDS_MAX as u64 {
        let other = bench.begin(|client| async move {
            let mut begun = client.begin().await?;
            let sequence = begun.numbers().sequence;
            let (key, value) = ("other".to_owned(), Bytes::new());
            begun.act(Action::Cache(CacheAction::Set { key, value, ttl_us: None }), 0).await.map(|_| sequence)
        });
        bench.serve();
        sequence = done(&other).expect("it is answered").expect("it is done").0;
    }
    let answer = asked_again(&mut bench, &numbers);
    assert!(matches!(answer, Ok(Reply::Cache(CacheReply::Counted { value: 1, .. }))), "{answer:?}");
    // One more, and there has been time enough to ask.
    let other = bench.begin(|client| async move { client.delete("other").await });
    bench.serve();
    assert!(matches!(done(&other), Some(Ok(_))));
    assert_eq!(asked_again(&mut bench, &numbers), Err(MachineError::SequenceTooOld));
    assert!(bench.client.has_room() && numbers.sequence > Sequence(0));
}

#[test]
fn a_caller_who_hung_up_while_it_waited_for_messages_is_out_of_the_line_soon() {
    let mut bench = Bench::ready();
    let env = bench.env.clone();
    let gone = bench.begin(|client| async move {
        let until = env.now().plus_us(100_000);
        let mut begun = client.begin().await.expect("there is a session");
        let (topic, count_max) = ("jobs".to_owned(), 1);
        let action = QueueAction::Dequeue { topic, count_max, visibility_us: HOUR_US, wait_us: HOUR_US };
        tokio::select! {
            biased;
            got = begun.act(Action::Queue(action), HOUR_US) => Some(got),
            () = env.sleep_until(until) => None,
        }
    });
    bench.serve();
    let waiting = |bench: &Bench| {
        let stats = bench.machine.query(&Query::Queue(QueueQuery::Stats { topic: "jobs".to_owned() }));
        let Ok(Reply::Queue(QueueReply::Stats(stats))) = stats else { panic!("{stats:?}") };
        stats.waiting
    };
    assert_eq!(waiting(&bench), 1);
    bench.env.advance_us(100_000);
    assert_eq!(done(&gone), Some(None), "it hung up");
    bench.serve();
    assert_eq!(waiting(&bench), 0);
    go_on(&mut bench, 300_000);
    let put = bench.begin(|client| async move { client.enqueue("jobs", NewMessage::default()).await });
    bench.serve();
    assert!(matches!(done(&put), Some(Ok(_))));
    let got = bench.begin(|client| async move { client.dequeue("jobs", 1, HOUR_US, 0).await });
    bench.serve();
    let Some(Ok(given)) = done(&got) else { panic!("it is there") };
    assert_eq!(given.first().map(|delivery| delivery.attempt), Some(1), "nobody had it before");
}
