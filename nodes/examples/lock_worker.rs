//! A worker that holds a lock, and a protected resource that checks its fencing token.
//!
//! The first worker writes to a ledger under a lock and then falls silent, as a process does that is paused
//! or cut off. Its session ends, the lock goes to the second worker, who writes too. What the first one then
//! still sends arrives with the token of a hold that is over, and the ledger refuses it. The lock keeps out who
//! behaves; the token keeps out who does not know any better.
//!
//! Run it with `cargo run --example lock_worker`.

#[cfg(not(test))]
mod loopback;

use std::error::Error;

#[cfg(test)]
use crate::loopback;
use loopback::Loopback;
use stormglass_nodes::ids::FenceToken;
use stormglass_nodes::machine::{LockMode, TokenStatus};

const LEDGER: &str = "ledger";
const WAIT_US: u64 = 20_000_000;

/// The protected resource: it obeys no token older than one that it has seen.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    latest: FenceToken,
    pub(crate) lines: Vec<String>,
}

impl Ledger {
    /// Writes a line, unless the writer's token is stale.
    pub(crate) fn write(&mut self, token: FenceToken, line: &str) -> Result<(), FenceToken> {
        if token < self.latest {
            println!("ledger: refused {line:?} under {token}: {} has written", self.latest);
            return Err(self.latest);
        }
        self.latest = token;
        self.lines.push(line.to_owned());
        println!("ledger: {line:?} under {token}");
        Ok(())
    }
}

/// What came out.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) ledger: Ledger,
    pub(crate) tokens: [FenceToken; 2],
    /// What the ledger said to the late write.
    pub(crate) late: Result<(), FenceToken>,
    /// What the cluster says of the first worker's token in the end.
    pub(crate) status: TokenStatus,
}

/// Runs the example.
pub(crate) async fn run() -> Result<Report, Box<dyn Error>> {
    let mut cluster = Loopback::start().await?;
    let first = cluster.client(|config| config.lease_us = 1_000_000).await?;
    let second = cluster.client(|config| config.lease_us = 10_000_000).await?;
    let mut ledger = Ledger::default();

    first.client.open_session().await?;
    let held = first.client.acquire(LEDGER, LockMode::Exclusive, WAIT_US).await?;
    println!("first:  has the lock under {}", held.token);
    let written = ledger.write(held.token, "opening balance");
    assert!(written.is_ok(), "nobody has written before");

    // All its tasks stop, and so do its keep-alives. What it knows of time goes on.
    first.env.shutdown().await;
    println!("first:  is silent");

    second.client.open_session().await?;
    let passed = second.client.acquire(LEDGER, LockMode::Exclusive, WAIT_US).await?;
    println!("second: has the lock under {}", passed.token);
    assert!(!first.client.believes(&held), "its belief ended before the lock was passed on");
    if second.client.believes(&passed) {
        let _ = ledger.write(passed.token, "deposit");
    }

    // The first worker did not ask whether it still believes, or its write was long on its way.
    let late = ledger.write(held.token, "withdrawal");
    // A resource that cannot remember tokens asks the cluster instead.
    let status = second.client.check_token(LEDGER, held.token).await?;
    second.client.release(&passed).await?;
    Ok(Report { ledger, tokens: [held.token, passed.token], late, status })
}

#[cfg(not(test))]
#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let report = run().await?;
    let [first, second] = report.tokens;
    println!(
        "granted under {first}, then under {second}; the ledger has {} lines",
        report.ledger.lines.len()
    );
    println!("the late write: {:?}; the first token: {:?}", report.late, report.status);
    Ok(())
}
