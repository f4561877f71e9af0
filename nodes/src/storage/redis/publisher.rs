//! Announcements to whoever listens at the Redis: sent once, or not at all.
//!
//! While the Redis is away, or slower than what there is to announce, announcements are dropped. Nothing of the
//! node depends on them.

use bytes::Bytes;
use tokio::sync::mpsc;

use super::Backoff;
use super::config::RedisConfig;
use super::link::Link;
use crate::env::Env;
use crate::marks;

/// Announcements that one request carries.
const ANNOUNCEMENTS_AT_ONCE: usize = 128;

/// Something to be said on a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// The channel.
    pub channel: String,
    /// What is said there.
    pub message: Bytes,
}

/// Publishes what comes out of `queue`, until its other end is gone.
pub async fn publish<E: Env>(env: E, config: RedisConfig, mut queue: mpsc::Receiver<Announcement>) {
    let mut link: Option<Link> = None;
    let mut backoff = Backoff::new(&config);
    while let Some(first) = queue.recv().await {
        let mut pipeline = redis::pipe();
        let mut next = Some(first);
        while let Some(Announcement { channel, message }) = next {
            pipeline.cmd("PUBLISH").arg(channel).arg(message.as_ref());
            next = if pipeline.len() < ANNOUNCEMENTS_AT_ONCE { queue.try_recv().ok() } else { None };
        }
        let sent = match link.take() {
            Some(open) => Ok(open),
            None => Link::open(&env, &config).await,
        };
        let sent = match sent {
            Ok(mut open) => open.ask(&env, &config, &pipeline).await.map(|_| open),
            Err(trouble) => Err(trouble),
        };
        match sent {
            Ok(open) => {
                link = Some(open);
                backoff = Backoff::new(&config);
            }
            Err(trouble) => {
                marks::hit("redis.announcements_lost");
                tracing::debug!(redis = %config.address, ?trouble, "announcements are lost");
                backoff.wait(&env).await;
            }
        }
    }
}
