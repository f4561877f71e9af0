//! The select that no other one may be like: without order. Planted only.

use std::future::ready;

use super::Probe;
use super::replica::Replica;
use crate::env::{Env, Net};

/// Takes a frame that has arrived before anything else that is ready, or not: as chance has it, and not the chance of
/// the seed.
pub(super) async fn maybe_a_frame_first<E: Env, P: Probe>(env: &E, replica: &mut Replica<E, P>) {
    tokio::select! {
        (from, frame) = env.net().receive() => replica.on_frame(from, &frame),
        () = ready(()) => {}
    }
}
