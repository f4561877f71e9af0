//! Streams of programs: madsim's, with two of its habits mended and its obstacles counted.
//!
//! madsim sends something at every flush, even if there is nothing to send; and it says nothing about what a cut
//! link held up, which the nemesis has to know.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use madsim::net::TcpStream;
use stormglass_nodes::env::StreamAddress;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::world::core::Shared;

/// An open stream.
pub struct SimStream {
    inner: TcpStream,
    has_unsent: bool,
    /// Who opened it to whom, if both are of this world.
    link: Option<(Arc<Shared>, u32, u32)>,
}

impl SimStream {
    /// Opens a stream of a process to a service of the world.
    pub(in crate::world) async fn connect(
        shared: Arc<Shared>,
        process: u32,
        to: &StreamAddress,
    ) -> io::Result<Self> {
        let unsupported = |what: &str| io::Error::new(io::ErrorKind::Unsupported, what.to_owned());
        let StreamAddress::Tcp { host, port } = to else {
            return Err(unsupported("this world has neither TLS nor sockets in a file system"));
        };
        let ip: IpAddr = host.parse().map_err(|_| unsupported("this world has no names of hosts"))?;
        let service = shared.lock().process_at(ip);
        let Some(service) = service else {
            return Err(io::Error::new(io::ErrorKind::NotFound, format!("nobody is at {ip}")));
        };
        shared.lock().note_stream_use(process, service);
        let inner = TcpStream::connect(SocketAddr::new(ip, *port)).await?;
        Ok(Self { inner, has_unsent: false, link: Some((shared, process, service)) })
    }

    /// A stream that somebody at `from` opened to a service of the world.
    pub(in crate::world) fn accepted(
        shared: Arc<Shared>,
        service: u32,
        from: IpAddr,
        inner: TcpStream,
    ) -> Self {
        let process = shared.lock().process_at(from);
        let link = process.map(|process| (shared, process, service));
        Self { inner, has_unsent: false, link }
    }
}

impl AsyncRead for SimStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl AsyncWrite for SimStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.has_unsent |= !data.is_empty();
        Pin::new(&mut self.inner).poll_write(context, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !std::mem::take(&mut self.has_unsent) {
            return Poll::Ready(Ok(()));
        }
        if let Some((shared, process, service)) = &self.link {
            shared.lock().note_stream_use(*process, *service);
        }
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
