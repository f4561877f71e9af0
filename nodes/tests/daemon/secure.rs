//! Daemons that know each other, and clients that show who they are.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::bad_input::say;
use crate::support::Daemons;

const TOKEN: &str = "a-token-that-nobody-guesses";

/// An authority, and certificates that it signs: for three nodes, of which the third's is made out to another, and for
/// HTTPS on this machine.
fn certificates(folder: &Path) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("keys can be made");
    let authority = CertifiedIssuer::self_signed(params, key).expect("an authority signs itself");
    write(folder, "ca.pem", &authority.pem());
    for (file, name) in
        [("n1", "node-1"), ("n2", "node-2"), ("n3", "node-3"), ("false", "node-9"), ("https", "localhost")]
    {
        let key = KeyPair::generate().expect("keys can be made");
        let params = CertificateParams::new([name.to_owned()]).expect("it is a name");
        let signed = params.signed_by(&key, &authority).expect("the authority signs");
        write(folder, &format!("{file}.pem"), &signed.pem());
        write(folder, &format!("{file}.key"), &key.serialize_pem());
    }
    write(folder, "tokens", TOKEN);
}

#[expect(clippy::disallowed_methods, reason = "it prepares files for the daemons")]
fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).expect("the folder can be written");
}

/// A request over TLS; what comes back.
async fn ask(address: std::net::SocketAddr, folder: &Path, request: &str) -> String {
    let mut roots = RootCertStore::empty();
    let root =
        rustls::pki_types::CertificateDer::from_pem_file(folder.join("ca.pem")).expect("it is a certificate");
    roots.add(root).expect("it is one of an authority");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.expect("it has versions").with_root_certificates(roots).with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let stream = TcpStream::connect(address).await.expect("somebody listens");
    let name = ServerName::try_from("localhost").expect("it is a name");
    let mut stream = connector.connect(name, stream).await.expect("the daemon shows its certificate");
    stream.write_all(request.as_bytes()).await.expect("it can be sent");
    stream.flush().await.expect("it can be sent");
    let mut answer = Vec::new();
    // That the end comes without a farewell is no matter.
    drop(stream.read_to_end(&mut answer).await);
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn https_answers_whoever_shows_a_token() {
    let folder = tempfile::TempDir::new().expect("there is room for a folder");
    certificates(folder.path());
    let file = |name: &str| folder.path().join(name).display().to_string();
    let (cert, key, tokens) = (file("https.pem"), file("https.key"), file("tokens"));
    let arguments = ["--http-tls-cert", &cert, "--http-tls-key", &key, "--http-tokens", &tokens];
    let daemons = Daemons::start_unasked(1, &arguments, BTreeMap::new()).await;
    let http = daemons.cluster.nodes()[0].http.expect("it serves");
    let get = |path: &str, head: &str| {
        format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{head}\r\n")
    };
    let refused = ask(http, folder.path(), &get("/v1/cluster", "")).await;
    assert!(refused.starts_with("HTTP/1.1 401") && refused.contains("www-authenticate: Bearer"), "{refused}");
    let alive = ask(http, folder.path(), &get("/healthz", "")).await;
    assert!(alive.starts_with("HTTP/1.1 200"), "{alive}");
    let token = format!("authorization: Bearer {TOKEN}\r\n");
    let answered = ask(http, folder.path(), &get("/v1/cluster", &token)).await;
    assert!(
        answered.starts_with("HTTP/1.1 200") && answered.contains("\"cluster\":\"stormglass\""),
        "{answered}"
    );
    // Whoever does not speak TLS is not answered.
    assert!(!say(http, get("/healthz", "").as_bytes()).await.contains("200"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_show_certificates_serve_and_one_with_a_false_name_is_nobody() {
    let folder = tempfile::TempDir::new().expect("there is room for a folder");
    certificates(folder.path());
    let ca = folder.path().join("ca.pem").display().to_string();
    let own = |id: u64| {
        let name = if id == 3 { "false".to_owned() } else { format!("n{id}") };
        let file = |kind: &str| folder.path().join(format!("{name}.{kind}")).display().to_string();
        let options = ["--peer-tls-ca", &ca, "--peer-tls-cert", &file("pem"), "--peer-tls-key", &file("key")];
        options.map(str::to_owned).to_vec()
    };
    let own_arguments = (1..=3).map(|id| (id, own(id))).collect();
    let daemons = Daemons::start_unasked(3, &[], own_arguments).await;
    daemons.until_served(1).await;
    daemons.until_served(2).await;
    // The third shows a certificate of another: nobody takes its frames, and it is told of no leader.
    assert_eq!(daemons.get(3, "/status").await.json()["leader_id"], serde_json::Value::Null);
    assert_eq!(daemons.get(3, "/readyz").await.status, 503);
    let address = daemons.cluster.nodes()[0].address;
    let told = say(address, b"\x0b\0\0\0STORMNET\x01\0\xff").await;
    assert!(told.len() <= 7, "an alert at most: {told:?}");
    assert!(daemons.metric(1, "stormglass_net_refused_garbage_total").await >= 1.0);
}
