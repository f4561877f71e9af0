//! The client library's consumer loop, watched.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use stormglass_nodes::client::{
    Consumer, ConsumerAsk, ConsumerConfig, ConsumerCounts, ConsumerSettled, ConsumerTold, ConsumerWatch,
    HandlerEnd, Retry,
};
use stormglass_nodes::env::Env;
use stormglass_nodes::ids::{MessageId, Receipt};
use stormglass_nodes::machine;

use super::queue::delivery_of;
use super::{NodesService, TrueTime, outcome_of};
use crate::history::{Answer, Delivery, Outcome};
use crate::workload::{About, LoopCounts, LoopRecord, Work};

/// Writes down what a loop does.
#[derive(Clone)]
struct Watch<T> {
    time: T,
    looped: LoopRecord,
    /// What the history calls what is in hand.
    names: Arc<Mutex<BTreeMap<(MessageId, Receipt), About>>>,
}

impl<T: TrueTime> Watch<T> {
    fn name(&self, delivery: &machine::Delivery) -> Delivery {
        let named = delivery_of(delivery);
        let about = (named.message, named.receipt);
        self.names().insert((delivery.id, delivery.receipt), about);
        named
    }

    fn named(&self, delivery: (MessageId, Receipt)) -> Option<About> {
        self.names().get(&delivery).copied()
    }

    fn names(&self) -> std::sync::MutexGuard<'_, BTreeMap<(MessageId, Receipt), About>> {
        self.names.lock().expect("no holder of this lock panics")
    }
}

impl<T: TrueTime> ConsumerWatch for Watch<T> {
    type Asked = Option<u64>;

    fn asks(&self, ask: ConsumerAsk) -> Option<u64> {
        let now = || self.time.now();
        match ask {
            ConsumerAsk::Messages(count_max) => {
                Some(self.looped.asks_for_messages(u64::from(count_max), &now))
            }
            ConsumerAsk::Extend(id, receipt) => self.looped.asks_for_time(self.named((id, receipt))?, &now),
            ConsumerAsk::Acknowledge(id, receipt) => {
                self.looped.acknowledges(self.named((id, receipt))?, &now)
            }
            ConsumerAsk::Reject(id, receipt, delay_us) => {
                self.looped.rejects(self.named((id, receipt))?, delay_us, &now)
            }
        }
    }

    fn told(&self, asked: Option<u64>, told: ConsumerTold<'_>) {
        let Some(operation) = asked else { return };
        let outcome = match told {
            ConsumerTold::Messages(taken) => {
                let deliveries = taken.iter().map(|delivery| self.name(delivery)).collect();
                Outcome::Ok { answer: Answer::Delivered { deliveries } }
            }
            ConsumerTold::Done => Outcome::Ok { answer: Answer::Settled },
            ConsumerTold::Over => Outcome::Ok { answer: Answer::Stale },
            ConsumerTold::Failed(error) => outcome_of(Err(error.clone())),
        };
        self.looped.answered(operation, outcome, &|| self.time.now());
    }

    fn handled(&self, delivery: (MessageId, Receipt), end: HandlerEnd) {
        let Some(about) = self.named(delivery) else { return };
        let HandlerEnd { is_finished, ended_at, believed_until } = end;
        let answer = Answer::Handled {
            finished: is_finished,
            ended_ns: self.time.of(ended_at),
            believed_until_ns: self.time.of(believed_until),
        };
        self.looped.ended(about, answer, &|| self.time.now());
    }

    fn settled(&self, delivery: (MessageId, Receipt), _how: ConsumerSettled) {
        let about = self.names().remove(&delivery);
        if let Some(about) = about {
            self.looped.settled(about, &|| self.time.now());
        }
    }
}

impl<E: Env, T: TrueTime> NodesService<E, T> {
    /// Runs a loop until `stop` is ready, and then until nothing is in hand.
    pub(super) async fn run_loop(
        &self,
        looped: LoopRecord,
        plan: impl FnMut(&Delivery) -> Work + Send + 'static,
        stop: impl Future<Output = ()> + Send,
    ) -> LoopCounts {
        let terms = looped.terms();
        let config = ConsumerConfig {
            topic: terms.topic.clone(),
            concurrency_max: u32::try_from(terms.in_hand_max).unwrap_or(u32::MAX),
            visibility_us: terms.visibility_us,
            poll_us: terms.poll_us,
        };
        let watch = Watch { time: self.time.clone(), looped, names: Arc::default() };
        let (told, env, plan) = (watch.clone(), self.env.clone(), Mutex::new(plan));
        let handle = move |delivery: machine::Delivery| {
            let delivery = delivery_of(&delivery);
            told.looped.begins((delivery.message, delivery.receipt), &|| told.time.now());
            let work = (plan.lock().expect("no holder of this lock panics"))(&delivery);
            let env = env.clone();
            async move {
                env.sleep_until(env.now().plus_us(work.for_us)).await;
                work.rejected_us.map_or(Ok(()), |delay_us| Err(Retry { delay_us }))
            }
        };
        let consumer = Consumer::start_watched(self.client.clone(), config, watch, handle);
        stop.await;
        let ConsumerCounts { delivered, acknowledged, rejected, lost, unsettled, .. } = consumer.stop().await;
        LoopCounts { delivered, acknowledged, rejected, lost, unsettled }
    }
}
