//! A producer that may repeat itself and a consumer that takes several messages at a time.
//!
//! The producer numbers its batches, so the one that it sends twice is taken once. The consumer gives a
//! message back at its first attempt and acknowledges all others; it extends the leases of those whose handling
//! takes long, and stops when everything is done.
//!
//! Run it with `cargo run --example producer_consumer`.

#[cfg(not(test))]
mod loopback;

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Arc, Mutex};

#[cfg(test)]
use crate::loopback;
use bytes::Bytes;
use loopback::Loopback;
use stormglass_nodes::client::{Consumer, ConsumerConfig, ConsumerCounts, Retry};
use stormglass_nodes::env::Env;
use stormglass_nodes::ids::ProducerId;
use stormglass_nodes::machine::{NewMessage, TopicStats};

const ORDERS: &str = "orders";
const BATCH: u64 = 8;
/// The order that takes longer than a lease.
const SLOW: &str = "order 3";
/// The order whose first attempt fails.
const SHAKY: &str = "order 5";
const LEASE_US: u64 = 1_000_000;

/// What came out.
#[derive(Debug)]
pub(crate) struct Report {
    /// How often the handler of each order has come to its end.
    pub(crate) handled: BTreeMap<String, u32>,
    /// Whether the repeated batch was seen to be one.
    pub(crate) is_duplicate: bool,
    pub(crate) counts: ConsumerCounts,
    pub(crate) stats: TopicStats,
}

/// The orders from `first` on.
fn batch(first: u64) -> Vec<NewMessage> {
    let message =
        |number| NewMessage { payload: Bytes::from(format!("order {number}")), ..NewMessage::default() };
    (first..first + BATCH).map(message).collect()
}

/// Runs the example.
pub(crate) async fn run() -> Result<Report, Box<dyn Error>> {
    let mut cluster = Loopback::start().await?;
    let producer = cluster.client(|_| {}).await?;
    let consumer = cluster.client(|_| {}).await?;

    producer.client.open_session().await?;
    let id = ProducerId(producer.env.entropy());
    producer.client.enqueue_batch(ORDERS, batch(1), Some((id, 1))).await?;
    let second = batch(1 + BATCH);
    producer.client.enqueue_batch(ORDERS, second.clone(), Some((id, 1 + BATCH))).await?;
    let repeated = producer.client.enqueue_batch(ORDERS, second, Some((id, 1 + BATCH))).await?;
    println!("producer: {} orders, the last {BATCH} of them sent twice", 2 * BATCH);

    let handled = Arc::new(Mutex::new(BTreeMap::<String, u32>::new()));
    let config = ConsumerConfig {
        concurrency_max: 4,
        visibility_us: LEASE_US,
        poll_us: LEASE_US / 4,
        ..ConsumerConfig::new(ORDERS)
    };
    let (env, desk) = (consumer.env.clone(), Arc::clone(&handled));
    let running = Consumer::start(consumer.client.clone(), config, move |delivery| {
        let (env, desk) = (env.clone(), Arc::clone(&desk));
        async move {
            let order = String::from_utf8_lossy(&delivery.payload).into_owned();
            if order == SHAKY && delivery.attempt == 1 {
                println!("consumer: {order} later, please");
                return Err(Retry { delay_us: 200_000 });
            }
            let work_us = if order == SLOW { 2 * LEASE_US } else { 20_000 };
            env.sleep_until(env.now().plus_us(work_us)).await;
            println!("consumer: {order} done at attempt {}", delivery.attempt);
            *desk.lock().expect("no handler panics").entry(order).or_default() += 1;
            Ok(())
        }
    });

    let stats = loop {
        let stats = producer.client.topic_stats(ORDERS).await?;
        if stats.depth() == 0 {
            break stats;
        }
        producer.env.sleep_until(producer.env.now().plus_us(50_000)).await;
    };
    let counts = running.stop().await;
    let handled = handled.lock().expect("no handler panics").clone();
    Ok(Report { handled, is_duplicate: repeated.duplicate, counts, stats })
}

#[cfg(not(test))]
#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let report = run().await?;
    println!("{} orders handled", report.handled.len());
    println!("the second batch again: taken for a duplicate: {}", report.is_duplicate);
    println!("the consumer: {:?}", report.counts);
    println!("the topic: {:?}", report.stats.totals);
    Ok(())
}
