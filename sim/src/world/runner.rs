//! How a run gets a thread and a runtime, and leaves nothing behind.
//!
//! Two runs on one thread would differ, because madsim seeds the thread's hash keys once, and coverage
//! marks and planted bugs belong to a thread. A runtime frees its tasks only if every process is killed and
//! the executor runs once more; a run that panicked is cleaned up in the same way.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::future::BoxFuture;
use madsim::runtime::Runtime;

use super::core::Shared;

thread_local! {
    /// The worlds made on this thread, to be ended when the run is over.
    static WORLDS: RefCell<Vec<Weak<Shared>>> = const { RefCell::new(Vec::new()) };
}

/// Remembers a world for the end of the run.
pub(super) fn register(world: &Arc<Shared>) {
    WORLDS.with_borrow_mut(|worlds| worlds.push(Arc::downgrade(world)));
}

/// Runs the future that `run` makes to its end, in a new runtime of this seed on a new thread, and then
/// ends every world that it made.
///
/// # Errors
///
/// The payload of the panic that ended the run, as of [`std::thread::JoinHandle::join`]. A panic of a
/// program's task arrives as a `String` that names process, task and true time.
///
/// # Panics
///
/// If the system refuses a new thread, or when called from within a run.
pub fn run_in_fresh_thread<T: Send>(
    seed: u64,
    run: impl FnOnce() -> BoxFuture<'static, T> + Send,
) -> std::thread::Result<T> {
    std::thread::scope(|scope| {
        std::thread::Builder::new()
            .name(format!("seed-{seed}"))
            .spawn_scoped(scope, || run_here(seed, run))
            .expect("the system grants a thread")
            .join()
    })
}

fn run_here<T>(seed: u64, run: impl FnOnce() -> BoxFuture<'static, T>) -> T {
    let runtime = Runtime::with_seed_and_config(seed, madsim::Config::default());
    let result = catch_unwind(AssertUnwindSafe(|| runtime.block_on(async { run().await })));
    // Destructors of a broken run may panic once more; the first panic is the one to report.
    let ended = catch_unwind(AssertUnwindSafe(|| {
        runtime.block_on(async {
            for world in WORLDS.take() {
                if let Some(world) = world.upgrade() {
                    world.end();
                }
            }
            madsim::time::sleep(Duration::from_millis(1)).await;
        });
    }));
    match (result, ended) {
        (Ok(value), Ok(())) => value,
        (Err(payload), _) | (Ok(_), Err(payload)) => resume_unwind(payload),
    }
}
