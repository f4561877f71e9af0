//! True time, for the record of what clients do. No client acts on it but to end its work.

use stormglass_nodes::ids::LocalTime;

use crate::history::VirtualTime;
use crate::nemesis::Process;
use crate::world::World;

/// True time, and what one process's clock shows in its terms.
pub(crate) trait TrueTime: Clone + Send + Sync + 'static {
    /// True time now.
    fn now(&self) -> VirtualTime;

    /// The earliest true time at which the process's clock showed, or will show, `local`.
    fn of(&self, local: LocalTime) -> VirtualTime;
}

/// The simulated world's time, and the clock of one of its processes.
#[derive(Clone)]
pub(crate) struct ProcessTime {
    pub(crate) world: World,
    pub(crate) process: Process,
}

impl TrueTime for ProcessTime {
    fn now(&self) -> VirtualTime {
        self.world.now()
    }

    fn of(&self, local: LocalTime) -> VirtualTime {
        self.world.true_time_of(self.process, local)
    }
}
