//! Streams to services that are not ours: TCP, TCP behind TLS, and sockets in the file system.
//!
//! TLS is rustls with the machine's trusted certificates, or with those of a file for a private authority.
//! There is no way to leave out the check of the other side's name: a password would go to whoever answers.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::env::StreamAddress;

/// An open stream.
pub struct TokioStream(Kind);

enum Kind {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    Unix(UnixStream),
}

impl TokioStream {
    pub(super) async fn connect(to: &StreamAddress) -> io::Result<Self> {
        Ok(Self(match to {
            StreamAddress::Tcp { host, port } => Kind::Tcp(connect_tcp(host, *port).await?),
            StreamAddress::Tls { host, port, authorities } => {
                let connector = connector(authorities.as_deref()).await?;
                let name = ServerName::try_from(host.clone())
                    .map_err(|error| invalid(format!("{host} is no name of a server: {error}")))?;
                let stream = connect_tcp(host, *port).await?;
                Kind::Tls(Box::new(connector.connect(name, stream).await?))
            }
            StreamAddress::Unix(path) => Kind::Unix(UnixStream::connect(path).await?),
        }))
    }

    fn inner(&mut self) -> Pin<&mut (dyn Stream + Send)> {
        match &mut self.0 {
            Kind::Tcp(stream) => Pin::new(stream),
            Kind::Tls(stream) => Pin::new(stream.as_mut()),
            Kind::Unix(stream) => Pin::new(stream),
        }
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

async fn connect_tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((host, port)).await?;
    // Requests are whole when they are written: waiting for more would only delay them.
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn connector(authorities: Option<&Path>) -> io::Result<TlsConnector> {
    let authorities = authorities.map(Path::to_owned);
    // Certificates are read from files.
    let roots = tokio::task::spawn_blocking(move || match authorities {
        Some(path) => roots_of_file(&path),
        None => roots_of_machine(),
    });
    let roots = roots.await.map_err(io::Error::other)??;
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| invalid(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

fn roots_of_file(path: &Path) -> io::Result<RootCertStore> {
    let shown = path.display();
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(path)
        .map_err(|error| invalid(format!("no certificates can be read from {shown}: {error}")))?;
    for certificate in certificates {
        let certificate =
            certificate.map_err(|error| invalid(format!("a certificate in {shown} is damaged: {error}")))?;
        roots.add(certificate).map_err(|error| invalid(format!("a certificate in {shown}: {error}")))?;
    }
    if roots.is_empty() {
        return Err(invalid(format!("there is no certificate in {shown}")));
    }
    Ok(roots)
}

fn roots_of_machine() -> io::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if added == 0 {
        let reason = "this machine trusts no certificates: name a file with those of the authority";
        return Err(invalid(reason.to_owned()));
    }
    Ok(roots)
}

fn invalid(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, reason)
}

impl AsyncRead for TokioStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.inner().poll_read(context, buffer)
    }
}

impl AsyncWrite for TokioStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.inner().poll_write(context, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner().poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner().poll_shutdown(context)
    }
}
