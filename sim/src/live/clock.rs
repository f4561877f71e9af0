//! True time of a live run: this machine's monotonic clock, from the run's beginning.

use tokio::time::Instant;

use crate::history::VirtualTime;

/// The clock of one run. Every process of the machine shares the clock below it.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// Begins now.
    #[must_use]
    pub fn start() -> Self {
        Self { origin: Instant::now() }
    }

    /// True time now.
    #[must_use]
    pub fn now(self) -> VirtualTime {
        self.at(Instant::now())
    }

    /// True time at some moment.
    #[must_use]
    pub fn at(self, moment: Instant) -> VirtualTime {
        let since = moment.saturating_duration_since(self.origin);
        VirtualTime(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
    }

    /// Returns once [`Clock::now`] has reached `deadline`.
    pub async fn sleep_until(self, deadline: VirtualTime) {
        let deadline = self.origin + std::time::Duration::from_nanos(deadline.0);
        tokio::time::sleep_until(deadline).await;
    }
}
