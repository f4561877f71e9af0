//! A cache in front of a slow source, read through the near-cache of one node.
//!
//! Two readers want the same few pages again and again. Whoever finds a page missing loads it from the source
//! and puts it into the cache, if nobody else has done so meanwhile. From then on the node that they ask
//! answers from its own copy, without a message to any other, until somebody writes the page.
//!
//! Run it with `cargo run --example cached_read_through`.

#[cfg(not(test))]
mod loopback;

use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};

#[cfg(test)]
use crate::loopback;
use bytes::Bytes;
use loopback::{Loopback, Process};
use stormglass_nodes::client::{ClientError, ReadFrom};
use stormglass_nodes::env::Env;
use stormglass_nodes::ids::NodeId;
use stormglass_nodes::machine::Expected;

const PAGES: u64 = 4;
const ROUNDS: u64 = 50;
const TTL_US: u64 = 60_000_000;
const SOURCE_US: u64 = 50_000;

/// What came out.
#[derive(Debug)]
pub(crate) struct Report {
    /// How often the source was asked.
    pub(crate) loads: u64,
    /// How often a page was read.
    pub(crate) reads: u64,
    /// How many of these reads the node answered by itself.
    pub(crate) near_hits: u64,
    /// What a reader found right after a write by another client.
    pub(crate) after_write: Bytes,
}

/// Something slow that knows every page.
#[derive(Default)]
struct Source {
    loads: AtomicU64,
}

impl Source {
    async fn load(&self, env: &impl Env, key: &str) -> Bytes {
        self.loads.fetch_add(1, Ordering::Relaxed);
        env.sleep_until(env.now().plus_us(SOURCE_US)).await;
        println!("source: loaded {key}");
        Bytes::from(format!("contents of {key}"))
    }
}

/// The page from the cache or, failing that, from the source.
async fn read_through(reader: &Process, source: &Source, key: &str) -> Result<Bytes, ClientError> {
    if let Some(found) = reader.client.get(key).await? {
        return Ok(found.value);
    }
    let loaded = source.load(&reader.env, key).await;
    match reader.client.set_if(key, Expected::Absent, loaded.clone(), Some(TTL_US)).await? {
        Ok(_) => Ok(loaded),
        // Somebody was quicker; what is in the cache is what all see.
        Err(found) => Ok(found.map_or(loaded, |found| found.value)),
    }
}

/// Runs the example.
pub(crate) async fn run() -> Result<Report, Box<dyn Error>> {
    let mut cluster = Loopback::start().await?;
    let first = cluster.client(|config| config.read_from = ReadFrom::Near(0)).await?;
    let second = cluster.client(|config| config.read_from = ReadFrom::Near(0)).await?;
    let writer = cluster.client(|_| {}).await?;
    let observer = cluster.client(|config| config.nodes = vec![NodeId(1)]).await?;
    for process in [&first, &second, &writer] {
        process.client.open_session().await?;
    }

    let source = Source::default();
    let mut reads = 0;
    for _ in 0..ROUNDS {
        for page in 0..PAGES {
            for reader in [&first, &second] {
                read_through(reader, &source, &format!("page-{page}")).await?;
                reads += 1;
            }
        }
    }
    let near_hits = observer.client.status().await?.near.hits;
    println!("{reads} reads, {near_hits} of them answered by the node alone");

    writer.client.set_for("page-0", Bytes::from_static(b"a new edition"), TTL_US).await?;
    let after_write = read_through(&first, &source, "page-0").await?;
    println!("after a write: {}", String::from_utf8_lossy(&after_write));
    Ok(Report { loads: source.loads.load(Ordering::Relaxed), reads, near_hits, after_write })
}

#[cfg(not(test))]
#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let report = run().await?;
    println!("the source was asked {} times for {} reads", report.loads, report.reads);
    println!("{} near hits, {} bytes in the end", report.near_hits, report.after_write.len());
    Ok(())
}
