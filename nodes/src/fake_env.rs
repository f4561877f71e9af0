//! An [`Env`] for unit tests: a clock that is set by hand, a network that is a heap of frames, tasks that
//! are polled when the test says so. There is no disk: what is tested with it does not touch one.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use crate::env::{Disk, DiskError, Env, File, Net, StreamAddress};
use crate::ids::{Address, LocalTime};

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

#[derive(Default)]
struct Shared {
    now: LocalTime,
    entropy: u64,
    tasks: Vec<Task>,
    sent: Vec<(Address, Bytes)>,
    inbox: VecDeque<(Address, Bytes)>,
    stands_still_us: u64,
}

/// The world of one process.
#[derive(Clone, Default)]
pub(crate) struct FakeEnv {
    shared: Arc<Mutex<Shared>>,
}

impl FakeEnv {
    /// A world whose entropy counts up from `entropy`.
    pub(crate) fn with_entropy(entropy: u64) -> Self {
        let env = Self::default();
        env.lock().entropy = entropy;
        env
    }

    /// Lets time pass, then polls every task until none gets further by itself.
    pub(crate) fn advance_us(&self, us: u64) {
        let now = self.now().plus_us(us);
        self.lock().now = now;
        for _ in 0..3 {
            self.poll_all();
        }
    }

    /// From now on the process stands still for so long whenever it has sent something.
    pub(crate) fn stand_still_after_sending_us(&self, us: u64) {
        self.lock().stands_still_us = us;
    }

    /// Takes what was sent since the last call.
    pub(crate) fn take_sent(&self) -> Vec<(Address, Bytes)> {
        std::mem::take(&mut self.lock().sent)
    }

    /// Delivers a frame, and lets the tasks see it.
    pub(crate) fn deliver(&self, from: Address, frame: Bytes) {
        self.lock().inbox.push_back((from, frame));
        self.advance_us(0);
    }

    fn poll_all(&self) {
        let mut tasks = std::mem::take(&mut self.lock().tasks);
        tasks.retain_mut(|task| task.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        let mut shared = self.lock();
        tasks.append(&mut shared.tasks);
        shared.tasks = tasks;
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().expect("no holder of this lock panics")
    }
}

impl Env for FakeEnv {
    type Net = Self;
    type Disk = NoDisk;
    type Stream = tokio::io::DuplexStream;

    fn now(&self) -> LocalTime {
        self.lock().now
    }

    async fn sleep_until(&self, deadline: LocalTime) {
        let poll = |_: &mut Context<'_>| if self.now() >= deadline { Poll::Ready(()) } else { Poll::Pending };
        std::future::poll_fn(poll).await;
    }

    fn entropy(&self) -> u64 {
        let mut shared = self.lock();
        shared.entropy += 1;
        shared.entropy
    }

    fn spawn(&self, _name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.lock().tasks.push(Box::pin(task));
    }

    async fn connect(&self, to: &StreamAddress) -> std::io::Result<Self::Stream> {
        Err(std::io::Error::new(std::io::ErrorKind::ConnectionRefused, format!("nobody is at {to}")))
    }

    fn net(&self) -> &Self {
        self
    }

    fn disk(&self) -> &NoDisk {
        &NoDisk
    }
}

impl Net for FakeEnv {
    fn send(&self, to: Address, frame: Bytes) {
        let mut shared = self.lock();
        shared.sent.push((to, frame));
        shared.now = shared.now.plus_us(shared.stands_still_us);
    }

    async fn receive(&self) -> (Address, Bytes) {
        let poll = |_: &mut Context<'_>| self.lock().inbox.pop_front().map_or(Poll::Pending, Poll::Ready);
        std::future::poll_fn(poll).await
    }
}

/// No disk: every operation says that there is none.
#[derive(Clone)]
pub(crate) struct NoDisk;

fn none<T>() -> Result<T, DiskError> {
    Err(DiskError::NotFound("the disk".to_owned()))
}

impl Disk for NoDisk {
    type File = Self;

    async fn list(&self) -> Result<Vec<String>, DiskError> {
        none()
    }

    async fn open(&self, _name: &str, _create: bool) -> Result<Self, DiskError> {
        none()
    }

    async fn remove(&self, _name: &str) -> Result<(), DiskError> {
        none()
    }

    async fn rename(&self, _from: &str, _to: &str) -> Result<(), DiskError> {
        none()
    }

    async fn sync_names(&self) -> Result<(), DiskError> {
        none()
    }
}

impl File for NoDisk {
    async fn len(&self) -> Result<u64, DiskError> {
        none()
    }

    async fn read_at(&self, _offset: u64, _length: usize) -> Result<Bytes, DiskError> {
        none()
    }

    async fn write_at(&self, _offset: u64, _data: Bytes) -> Result<(), DiskError> {
        none()
    }

    async fn set_len(&self, _length: u64) -> Result<(), DiskError> {
        none()
    }

    async fn sync(&self) -> Result<(), DiskError> {
        none()
    }
}
