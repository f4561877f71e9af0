//! How a client behaves.

use crate::ids::{ClientId, NodeId};

/// A client's configuration. All times in microseconds of its own clock.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// This client. Must differ from every other client alive at the same time.
    pub id: ClientId,
    /// The cluster's nodes, at least one, as far as they are known at the start.
    pub nodes: Vec<NodeId>,
    /// How long one attempt waits for its answer before another node is tried. Default 300 ms.
    pub attempt_timeout_us: u64,
    /// How long an operation may take in all; then its outcome is what is known by then. Default 5 s.
    pub operation_timeout_us: u64,
    /// Pause before an attempt that follows a refusal: drawn evenly from half of this up to this, doubled
    /// with each refusal in a row up to 16 times. Default 10 ms.
    pub backoff_us: u64,
    /// The session's lease; renewed at a third of it. Default 3 s.
    pub lease_us: u64,
    /// No two clocks of the cluster and its clients run further apart than this, in parts per million of
    /// true time each. Safety of beliefs rests on it; that of fencing tokens does not. Default 1,000.
    pub drift_ppm_max: u64,
    /// Who is asked to answer reads. Default the leader.
    pub read_from: ReadFrom,
    /// The member of [`ClientConfig::nodes`], by position, from whose near-cache keys are read that this client also
    /// writes: it is told of each write beforehand, so that its own line is not in the way. Costs each write of the
    /// cache a message there and back, and nothing if that member is the leader. Default the one of
    /// [`ReadFrom::Near`], if reads go there.
    pub writes_near: Option<usize>,
}

/// Who answers reads. They are linearizable in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReadFrom {
    /// The leader: fewest messages.
    #[default]
    Leader,
    /// This member of [`ClientConfig::nodes`], by position, as long as it answers: spares the leader the work
    /// of reading.
    Node(usize),
    /// The same, and from that member's near-cache where it can: a key that is read there again and again
    /// costs no message between nodes.
    Near(usize),
}

impl ClientConfig {
    /// The defaults for one client.
    #[must_use]
    pub fn new(id: ClientId, nodes: Vec<NodeId>) -> Self {
        Self {
            id,
            nodes,
            attempt_timeout_us: 300_000,
            operation_timeout_us: 5_000_000,
            backoff_us: 10_000,
            lease_us: 3_000_000,
            drift_ppm_max: 1_000,
            read_from: ReadFrom::Leader,
            writes_near: None,
        }
    }

    /// The member that is told of writes beforehand.
    pub(super) fn told_of_writes(&self) -> Option<usize> {
        self.writes_near.or(match self.read_from {
            ReadFrom::Near(position) => Some(position),
            ReadFrom::Leader | ReadFrom::Node(_) => None,
        })
    }

    /// How long, by its own clock, a client may believe in a lease that the cluster counts by another.
    ///
    /// The cluster expires the session no earlier than `lease / (1 + d)` of true time after the request
    /// was sent, `d` being the drift; the client's clock shows `b` after at most `b / (1 - d)`. So `b` must
    /// not exceed `lease (1 - d) / (1 + d)`, and `lease (1 - 2d)` is below that.
    #[must_use]
    pub fn belief_us(&self) -> u64 {
        self.belief_in_us(self.lease_us)
    }

    /// The same for any lease of `lease_us` that the cluster counts.
    #[must_use]
    pub fn belief_in_us(&self, lease_us: u64) -> u64 {
        let lost_us = lease_us.saturating_mul(self.drift_ppm_max.saturating_mul(2)) / 1_000_000;
        lease_us.saturating_sub(lost_us).saturating_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_that_may_drift_by_half_leave_nothing_to_believe_in() {
        let config =
            ClientConfig { drift_ppm_max: 600_000, ..ClientConfig::new(ClientId(1), vec![NodeId(1)]) };
        assert_eq!(config.belief_us(), 0);
    }

    #[test]
    fn belief_ends_before_the_lease_can_whatever_the_clocks_do() {
        for lease_us in [100_000, 3_000_000, 3_600_000_000] {
            for drift_ppm_max in [0, 100, 1_000, 50_000] {
                let config = ClientConfig {
                    lease_us,
                    drift_ppm_max,
                    ..ClientConfig::new(ClientId(1), vec![NodeId(1)])
                };
                let drift = drift_ppm_max as f64 / 1e6;
                let believed_true_us = config.belief_us() as f64 / (1.0 - drift);
                let expires_true_us = lease_us as f64 / (1.0 + drift);
                assert!(believed_true_us < expires_true_us, "{lease_us} {drift_ppm_max}");
            }
        }
    }
}
