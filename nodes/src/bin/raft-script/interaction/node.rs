//! One node: a core, its disk, its machine, and the work that the script has not let happen yet.

use std::collections::VecDeque;

use bytes::Bytes;
use stormglass_nodes::ids::{LocalTime, LogIndex, NodeId};
use stormglass_nodes::raft::{
    ChangeOutcome, Config, Core, Effects, Entry, Event, Input, Message, Payload, ProposalOutcome,
    ReadOutcome, Role, Snapshot, StoreRequest, StoreToken, TransferOutcome,
};

use super::disk::Disk;
use super::output::Level;
use super::report;
use super::setup::{Setup, TICK_US};

/// Requests that one `process-ready` writes at once, at most: the one that is out, and the one that has
/// gathered behind it.
const STORES_PER_READY_MAX: usize = 2;
/// Requests that one `compact` writes, at most: what has gathered, the snapshot, and the compaction.
const STORES_PER_COMPACTION_MAX: usize = 4;
/// Where clocks begin: late enough that no time before it is ever asked for.
const CLOCK_START: LocalTime = LocalTime(1_000_000);

/// Between the seeds of two lives of a node: more than there are nodes.
const SEEDS_PER_LIFE: u64 = 1_000;

/// What a core has asked for and the script has not let happen yet.
#[derive(Debug, Default)]
pub(super) struct Ready {
    /// Leader and role, if they are not those of the last one.
    pub(super) soft_state: Option<(Option<NodeId>, Role)>,
    /// What is to be made durable, in this order.
    pub(super) stores: Vec<StoreRequest>,
    /// Snapshots that take the machine's place.
    pub(super) installs: Vec<Snapshot>,
    /// Entries to be applied.
    pub(super) committed: Vec<Entry>,
    /// Messages that may leave.
    pub(super) messages: Vec<Message>,
    /// Messages that wait for a store.
    pub(super) held: Vec<(StoreToken, Message)>,
    /// Reads that were answered.
    pub(super) reads: Vec<ReadOutcome>,
}

impl Ready {
    /// Whether there is nothing to do.
    pub(super) fn is_empty(&self) -> bool {
        let Self { soft_state, stores, installs, committed, messages, held, reads } = self;
        soft_state.is_none()
            && stores.is_empty()
            && installs.is_empty()
            && committed.is_empty()
            && messages.is_empty()
            && held.is_empty()
            && reads.is_empty()
    }
}

/// A store on its way, and the messages that leave when it is done.
#[derive(Debug)]
pub(super) struct AppendWork {
    /// What to write.
    pub(super) request: StoreRequest,
    /// What may leave then.
    pub(super) responses: Vec<Message>,
}

/// What the machine is to do.
#[derive(Debug)]
pub(super) struct ApplyWork {
    /// First, take these states, one after the other.
    pub(super) installs: Vec<Snapshot>,
    /// Then apply these entries.
    pub(super) entries: Vec<Entry>,
}

/// A machine whose state is everything that it was ever told, and all its earlier states.
#[derive(Debug)]
struct Machine {
    history: Vec<Snapshot>,
}

/// One node.
#[derive(Debug)]
pub(super) struct Node {
    /// The core.
    pub(super) core: Core,
    /// How it behaves.
    pub(super) config: Config,
    /// What of it is durable.
    pub(super) disk: Disk,
    /// Disk and machine wait for the script.
    pub(super) is_async: bool,
    /// Work for the disk.
    pub(super) append_work: VecDeque<AppendWork>,
    /// Work for the machine.
    pub(super) apply_work: VecDeque<ApplyWork>,
    /// When it last became leader, by its own clock.
    pub(super) led_since: LocalTime,
    machine: Machine,
    now: LocalTime,
    /// How often it has been started again.
    life: u64,
    ready: Ready,
    /// Leader and role as last shown.
    shown: (Option<NodeId>, Role),
    /// Messages that wait for a store that is out, or for the one after it.
    waiting: Vec<(StoreToken, Message)>,
    log: Vec<(Level, String)>,
    requests: u64,
}

impl Node {
    /// Starts a node for the first time, with what the setup puts on its disk.
    pub(super) fn start(id: NodeId, setup: &Setup) -> Self {
        let config = Config { id, ..setup.config.clone() };
        // A node that promises to wait for leaders waits for those that it may have forgotten, too: it is
        // taken to have done so, and not to have lost patience meanwhile.
        let waited_us = config.lease_drift_ppm_max.map_or(0, |_| config.election_timeout_us);
        let disk = Disk::beginning_with(setup.snapshot.clone());
        let mut node = Self::boot(config, disk, setup.is_async, (0, LocalTime(CLOCK_START.0 - waited_us)));
        if waited_us > 0 {
            node.core.set_election_timeout_us(waited_us + node.config.election_timeout_us_max);
        }
        node.now = CLOCK_START;
        node
    }

    /// The node crashes, loses everything that is not on its disk, and starts again at once.
    pub(super) fn restart(&mut self) {
        let disk = std::mem::take(&mut self.disk);
        *self = Self::boot(self.config.clone(), disk, self.is_async, (self.life + 1, self.now));
    }

    /// Begins a life of a node, at a time by its own clock.
    fn boot(config: Config, disk: Disk, is_async: bool, (life, now): (u64, LocalTime)) -> Self {
        let seed = config.id.0 + life * SEEDS_PER_LIFE;
        let mut node = Self {
            core: Core::new(config.clone(), disk.recovered(), seed, now),
            config,
            machine: Machine { history: disk.snapshot.iter().cloned().collect() },
            disk,
            is_async,
            append_work: VecDeque::new(),
            apply_work: VecDeque::new(),
            led_since: LocalTime(0),
            now,
            life,
            ready: Ready::default(),
            shown: (None, Role::Follower),
            waiting: Vec::new(),
            log: Vec::new(),
            requests: 0,
        };
        node.gather();
        let (status, membership) = (node.core.status(), node.core.membership());
        let line = format!(
            "{} starts at term {} with {membership}, commit: {}, applied: {}, lastindex: {}",
            status.id.0, status.term.0, status.commit_index, status.applied_index, status.last_index
        );
        node.log.push((Level::Info, line));
        node
    }

    /// Feeds the core one input, and gathers what it asks for.
    pub(super) fn step(&mut self, input: Input) {
        self.now = self.now.plus_us(1);
        self.core.step(input, self.now);
        self.gather();
    }

    /// One heartbeat interval passes.
    pub(super) fn tick(&mut self) {
        self.now = self.now.plus_us(TICK_US);
        self.core.step(Input::Tick, self.now);
        self.gather();
    }

    /// A name for a request to the core, never used before.
    pub(super) fn next_request(&mut self) -> u64 {
        self.requests += 1;
        self.requests
    }

    /// Time by this node's clock.
    pub(super) const fn now(&self) -> LocalTime {
        self.now
    }

    /// What the node has to say since the last call.
    pub(super) fn take_log(&mut self) -> Vec<(Level, String)> {
        std::mem::take(&mut self.log)
    }

    /// Whether there is anything that `process-ready` would do.
    pub(super) fn has_ready(&mut self) -> bool {
        self.gather();
        let status = self.core.status();
        !self.ready.is_empty() || self.shown != (status.leader, status.role)
    }

    /// Takes what the core has asked for. Without asynchronous storage all of it is carried out at once: what
    /// was there at the beginning becomes durable, then the machine applies what was committed by then. What
    /// follows from that is left for the next time.
    pub(super) fn take_ready(&mut self) -> Ready {
        self.gather();
        let mut ready = std::mem::take(&mut self.ready);
        let status = self.core.status();
        if self.shown != (status.leader, status.role) {
            self.shown = (status.leader, status.role);
            ready.soft_state = Some(self.shown);
        }
        if self.is_async {
            self.hand_over(&ready);
            return ready;
        }
        let owed = status.last_index;
        let mut written = 0;
        while let Some(request) = ready.stores.get(written).cloned() {
            written += 1;
            self.write(&request);
            ready.messages.extend(release(&mut ready.held, request.token));
            if self.disk.last_index() < owed && written < STORES_PER_READY_MAX {
                ready.stores.append(&mut self.ready.stores);
                ready.held.append(&mut self.ready.held);
            }
        }
        self.waiting.append(&mut ready.held);
        self.apply(&ready.installs, &ready.committed);
        ready
    }

    /// Hands the disk's work to the disk, and the machine's to the machine.
    fn hand_over(&mut self, ready: &Ready) {
        for request in &ready.stores {
            let responses = ready.held.iter().filter(|(token, _)| *token == request.token);
            let responses = responses.map(|(_, message)| message.clone()).collect();
            self.append_work.push_back(AppendWork { request: request.clone(), responses });
        }
        let is_handed_over = |token| ready.stores.iter().any(|request| request.token == token);
        self.waiting.extend(ready.held.iter().filter(|(token, _)| !is_handed_over(*token)).cloned());
        if !ready.installs.is_empty() || !ready.committed.is_empty() {
            let (installs, entries) = (ready.installs.clone(), ready.committed.clone());
            self.apply_work.push_back(ApplyWork { installs, entries });
        }
    }

    /// The oldest work of the disk, with everything that may leave when it is done.
    pub(super) fn next_append_work(&mut self) -> Option<AppendWork> {
        let mut work = self.append_work.pop_front()?;
        work.responses.extend(release(&mut self.waiting, work.request.token));
        Some(work)
    }

    /// Makes a request durable, and tells the core. Messages that waited for it at this node may leave with
    /// what the core asks for next.
    pub(super) fn write(&mut self, request: &StoreRequest) {
        self.disk.write(request);
        self.ready.messages.extend(release(&mut self.waiting, request.token));
        self.step(Input::Stored(request.token));
    }

    /// Lets the machine take these states, then apply these entries.
    pub(super) fn apply(&mut self, installs: &[Snapshot], entries: &[Entry]) {
        for snapshot in installs {
            self.machine.history.push(snapshot.clone());
            self.step(Input::Installed(snapshot.meta.index));
        }
        for entry in entries {
            let mut data = self.latest_snapshot().map_or_else(Vec::new, |snapshot| snapshot.data.to_vec());
            if let Payload::Command(command) = &entry.payload {
                data.extend_from_slice(command);
            }
            self.step(Input::Applied(entry.index));
            self.machine.history.push(Snapshot { meta: self.core.snapshot_meta(), data: Bytes::from(data) });
        }
    }

    /// The machine's state now.
    pub(super) fn latest_snapshot(&self) -> Option<&Snapshot> {
        self.machine.history.last()
    }

    /// The machine's state after the entry at `index`, if it has ever been there.
    pub(super) fn snapshot_at(&self, index: LogIndex) -> Option<&Snapshot> {
        self.machine.history.iter().rev().find(|snapshot| snapshot.meta.index == index)
    }

    /// Keeps a snapshot in place of the log up to it. Without work on its way to the disk it is written at
    /// once, and the log before it goes.
    pub(super) fn compact(&mut self, snapshot: Snapshot) {
        self.step(Input::SnapshotTaken(Box::new(snapshot)));
        if !self.append_work.is_empty() {
            return;
        }
        for _ in 0..STORES_PER_COMPACTION_MAX {
            for request in std::mem::take(&mut self.ready.stores) {
                let released: Vec<_> = release(&mut self.ready.held, request.token).collect();
                self.ready.messages.extend(released);
                self.write(&request);
            }
        }
    }

    fn gather(&mut self) {
        let Effects {
            store,
            messages,
            messages_after,
            install,
            committed,
            proposals,
            changes,
            reads,
            transfers,
            events,
        } = self.core.effects();
        self.ready.stores.extend(store);
        self.ready.messages.extend(messages);
        self.ready.held.extend(messages_after);
        self.ready.installs.extend(install.map(|snapshot| *snapshot));
        self.ready.committed.extend(committed.iter().cloned());
        events.iter().for_each(|event| self.note(event));
        for outcome in proposals {
            if let ProposalOutcome::Refused { reason, .. } = outcome {
                self.refuse(format!("raft proposal dropped: {}", report::refusal(reason)));
            }
        }
        for outcome in changes {
            match outcome {
                ChangeOutcome::Appended { .. } => {}
                ChangeOutcome::Refused { reason, .. } => {
                    self.refuse(format!("raft proposal dropped: {}", report::refusal(reason)));
                }
                ChangeOutcome::Impossible { reason, .. } => {
                    self.refuse(format!("raft proposal dropped: {reason}"))
                }
            }
        }
        for outcome in reads {
            match outcome {
                ReadOutcome::Ready { .. } => self.ready.reads.push(outcome),
                ReadOutcome::Refused { id, reason } => {
                    self.refuse(format!("read {id} dropped: {}", report::refusal(reason)));
                }
            }
        }
        for outcome in transfers {
            match outcome {
                TransferOutcome::Refused(reason) => {
                    self.refuse(format!("transfer dropped: {}", report::refusal(reason)));
                }
                outcome => self.log.push((Level::Info, report::transfer(self.config.id, outcome))),
            }
        }
    }

    fn note(&mut self, event: &Event) {
        if matches!(event, Event::RoleChanged { role: Role::Leader, .. }) {
            self.led_since = self.now;
        }
        self.log.extend(report::event(self.config.id, event));
    }

    fn refuse(&mut self, line: String) {
        self.log.push((Level::None, line));
    }
}

/// The messages that need not wait any more once the store of `token` is done.
fn release(held: &mut Vec<(StoreToken, Message)>, token: StoreToken) -> impl Iterator<Item = Message> {
    held.extract_if(.., move |(waits_for, _)| *waits_for <= token).map(|(_, message)| message)
}
