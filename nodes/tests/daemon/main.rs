//! Real daemons on loopback, as an operator starts them, spoken to over HTTP.

mod bad_input;
mod calls;
mod deploy;
mod failover;
mod options;
mod secure;
mod support;
mod v1;
