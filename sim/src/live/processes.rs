//! The processes of nodes: started, stopped where they stand, killed, and never left behind.
//!
//! Signals go to the process that this one started and has not waited for yet, so to nobody else's. Whoever
//! drops a [`NodeProcess`] kills it, be it by a panic; and should this process be killed itself, the system
//! kills its children (see [`die_with_parent`]).

use std::io::{self, PipeWriter, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, getppid, kill_process, set_parent_process_death_signal};

/// What tells a node to stop by itself, on its standard input.
pub const STOP: &str = "stop";

/// How a node ends that refuses to start on a store which has forgotten what it acknowledged.
pub const FORGOT: u8 = 70;

/// A process that was started and not waited for.
#[derive(Debug)]
pub(super) struct NodeProcess {
    child: Child,
    /// Its end means that the harness is gone.
    orders: ChildStdin,
    /// Whether it was told to stop by itself.
    is_stopping: bool,
}

impl NodeProcess {
    /// Starts a node that tells what it does into `pipe`.
    pub(super) fn start(mut command: Command, pipe: PipeWriter) -> io::Result<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::from(pipe)).spawn()?;
        let orders = child.stdin.take().expect("its standard input is a pipe");
        Ok(Self { child, orders, is_stopping: false })
    }

    /// How it ended, if it did, and whether it had been told to.
    pub(super) fn ended(&mut self) -> io::Result<Option<(ExitStatus, bool)>> {
        Ok(self.child.try_wait()?.map(|status| (status, self.is_stopping)))
    }

    /// Tells it to stop by itself.
    pub(super) fn tell_to_stop(&mut self) {
        self.is_stopping = true;
        // One that is gone already need not be told.
        drop(writeln!(self.orders, "{STOP}"));
    }

    /// Makes it stand still.
    pub(super) fn stand_still(&self) {
        signal(&self.child, Signal::STOP);
    }

    /// Lets it go on.
    pub(super) fn go_on(&self) {
        signal(&self.child, Signal::CONT);
    }

    /// Kills it and waits until it is dead: nothing that it wrote comes after that.
    pub(super) fn kill(&mut self) {
        // It fails if the process has ended and was waited for, which is what is wanted.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Sends a signal to a process that was not waited for yet.
pub(super) fn signal(child: &Child, signal: Signal) {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    if let Some(pid) = pid {
        // A process that has just ended of its own is found by whoever asks how it ended.
        let _ = kill_process(pid, signal);
    }
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

/// For a node or a server: has the system kill this process as soon as the harness's is gone, even while it stands still.
///
/// # Errors
/// If the system cannot do that, or the harness is gone already.
pub fn die_with_parent(harness: u32) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let parent = getppid().map(|pid| pid.as_raw_nonzero().get().unsigned_abs());
    if parent == Some(harness) {
        return Ok(());
    }
    Err(io::Error::other("the harness that started this process is gone"))
}
