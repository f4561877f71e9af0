//! Mutual TLS between nodes, and between native clients and nodes.
//!
//! Every process has a certificate that the cluster's own authority signed, and shows it at both ends. A node's is made
//! out to a name that its number makes ([`name_of`]), whatever host it runs on: whoever dials node 2 speaks to node 2 or
//! to nobody, and whoever says in its hello that it is node 2 has shown a certificate for that. A client's may bear any
//! name.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

use crate::ids::{Address, NodeId};

/// What a process needs to be believed, and to believe others.
#[derive(Clone)]
pub struct Security {
    acceptor: TlsAcceptor,
    connector: TlsConnector,
}

/// The name that the certificate of a node is made out to.
#[must_use]
pub fn name_of(node: NodeId) -> String {
    format!("node-{}", node.0)
}

fn server_name(node: NodeId) -> ServerName<'static> {
    ServerName::try_from(name_of(node)).expect("letters, a dash and digits are a name")
}

fn unusable(path: &Path, why: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("{}: {why}", path.display()))
}

/// The certificates of a PEM file, the process's own first.
///
/// # Errors
/// If there are none.
pub fn certificates(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let found = CertificateDer::pem_file_iter(path).map_err(|error| unusable(path, error))?;
    let found = found.collect::<Result<Vec<_>, _>>().map_err(|error| unusable(path, error))?;
    if found.is_empty() { Err(unusable(path, "there is no certificate in it")) } else { Ok(found) }
}

/// The key of a PEM file.
///
/// # Errors
/// If there is none.
pub fn key(path: &Path) -> io::Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| unusable(path, error))
}

impl Security {
    /// Reads what it needs from PEM files: the authority's certificates, and the process's own with its key.
    ///
    /// # Errors
    /// If a file cannot be read or used, with its name.
    pub fn from_files(authority: &Path, certificate: &Path, own_key: &Path) -> io::Result<Self> {
        let mut roots = RootCertStore::empty();
        for root in certificates(authority)? {
            roots.add(root).map_err(|error| unusable(authority, error))?;
        }
        let (roots, chain) = (Arc::new(roots), certificates(certificate)?);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider)).build();
        let verifier = verifier.map_err(|error| unusable(authority, error))?;
        let accepting =
            ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
        let accepting = accepting.map_err(|error| unusable(certificate, error))?;
        let accepting =
            accepting.with_client_cert_verifier(verifier).with_single_cert(chain.clone(), key(own_key)?);
        let dialing = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let dialing = dialing.map_err(|error| unusable(certificate, error))?;
        let dialing = dialing.with_root_certificates(roots).with_client_auth_cert(chain, key(own_key)?);
        Ok(Self {
            acceptor: Arc::new(accepting.map_err(|error| unusable(certificate, error))?).into(),
            connector: Arc::new(dialing.map_err(|error| unusable(certificate, error))?).into(),
        })
    }

    /// Makes an accepted connection a secure one.
    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<server::TlsStream<TcpStream>> {
        self.acceptor.accept(stream).await
    }

    /// Makes a connection to a node a secure one.
    pub(super) async fn connect(
        &self,
        node: NodeId,
        stream: TcpStream,
    ) -> io::Result<client::TlsStream<TcpStream>> {
        self.connector.connect(server_name(node), stream).await
    }
}

/// Whether the other side of a connection is who it says it is: a node has to have shown a certificate of its own.
pub(super) fn is_who_it_says(stream: &server::TlsStream<TcpStream>, says: Address) -> bool {
    let Address::Node(node) = says else { return true };
    let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let shown = shown.and_then(|certificate| webpki::EndEntityCert::try_from(certificate).ok());
    shown.is_some_and(|shown| shown.verify_is_valid_for_subject_name(&server_name(node)).is_ok())
}
