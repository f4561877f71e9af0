//! Real daemons on loopback, as an operator starts them, spoken to over HTTP.

mod bad_input;
mod calls;
mod crowds;
mod deploy;
mod failover;
mod majority;
mod near;
mod on_redis;
mod options;
mod process;
#[path = "../redis_support/mod.rs"]
mod redis_support;
mod secure;
mod signals;
mod support;
mod v1;
mod v1_more;
