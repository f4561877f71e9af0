//! What a workload needs of the service under test.

use std::future::Future;
use std::sync::Arc;

use super::looped::{LoopCounts, LoopRecord, Work};
use crate::history::{Call, Delivery, Outcome, VirtualTime};

/// One client process's access to a service.
pub trait Service: Send + Sync + 'static {
    /// True time, for the record only: nothing that the client does may depend on it but its end.
    fn now(&self) -> VirtualTime;

    /// Sleeps by the client's own clock.
    fn sleep_us(&self, us: u64) -> impl Future<Output = ()> + Send;

    /// Gets ready for operations (opens a session, say); whether it is.
    fn prepare(&self) -> impl Future<Output = bool> + Send;

    /// The number of the client's session, once it is ready; 0 without one. Cycles of waits name it.
    fn session(&self) -> u64;

    /// Carries out one operation. An answer that leaves open whether it took effect is
    /// [`Outcome::Unknown`].
    fn call(&self, call: &Call) -> impl Future<Output = Outcome> + Send;

    /// Has a consumer loop take messages until `stop` is ready, and then finish what it has in hand. All that it asks,
    /// is answered and does is written down in `looped`; `plan` says how its handlers work. Returns what became of
    /// the messages; `None`, at once, of a service that has no such loop.
    fn consume(
        &self,
        _looped: LoopRecord,
        _plan: impl FnMut(&Delivery) -> Work + Send + 'static,
        _stop: impl Future<Output = ()> + Send,
    ) -> impl Future<Output = Option<LoopCounts>> + Send {
        std::future::ready(None)
    }

    /// The true time at which the client's belief in this lock, held under this token, ends or ended by its own clock,
    /// as far as it was renewed until now. `None` if it gave the lock back or up.
    fn belief_ends(&self, resource: &str, token: u64) -> Option<VirtualTime>;

    /// Gives up everything that the client may hold or wait for, known or unknown.
    fn abandon(&self) -> impl Future<Output = ()> + Send;

    /// The client process dies and another takes its place, which knows nothing of what the first one had;
    /// and nobody is told.
    fn crash(&self) -> impl Future<Output = ()> + Send;
}

/// The threads of one process share its access.
impl<S: Service> Service for Arc<S> {
    fn now(&self) -> VirtualTime {
        (**self).now()
    }

    fn sleep_us(&self, us: u64) -> impl Future<Output = ()> + Send {
        (**self).sleep_us(us)
    }

    fn prepare(&self) -> impl Future<Output = bool> + Send {
        (**self).prepare()
    }

    fn session(&self) -> u64 {
        (**self).session()
    }

    fn call(&self, call: &Call) -> impl Future<Output = Outcome> + Send {
        (**self).call(call)
    }

    fn consume(
        &self,
        looped: LoopRecord,
        plan: impl FnMut(&Delivery) -> Work + Send + 'static,
        stop: impl Future<Output = ()> + Send,
    ) -> impl Future<Output = Option<LoopCounts>> + Send {
        (**self).consume(looped, plan, stop)
    }

    fn belief_ends(&self, resource: &str, token: u64) -> Option<VirtualTime> {
        (**self).belief_ends(resource, token)
    }

    fn abandon(&self) -> impl Future<Output = ()> + Send {
        (**self).abandon()
    }

    fn crash(&self) -> impl Future<Output = ()> + Send {
        (**self).crash()
    }
}
