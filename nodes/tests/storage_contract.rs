//! Every store keeps the contract on the real world: files in a temporary folder, and a private redis-server.

mod redis_support;

use std::cell::RefCell;
use std::collections::BTreeMap;

use redis_support::{RedisServer, SYNCED, server, skip};
use stormglass_nodes::env::{Disk, Env, File};
use stormglass_nodes::ids::{Address, NodeId, Term};
use stormglass_nodes::raft::{HardState, Recovered, StoreRequest, StoreToken};
use stormglass_nodes::storage::conformance::{StoreUnderTest, run_contract_suite};
use stormglass_nodes::storage::redis::Password;
use stormglass_nodes::storage::{
    Durability, Identity, LogStore, RedisConfig, RedisStore, StorageError, StorageStatus, Wal, WalConfig,
};
use stormglass_nodes::tokio_env::{TokioConfig, TokioDisk, TokioEnv};
use tempfile::TempDir;

const IDENTITY: Identity = Identity { cluster: 7, node: NodeId(3) };

struct Files {
    disk: TokioDisk,
    _folder: TempDir,
}

impl StoreUnderTest for Files {
    type Store = Wal<TokioDisk>;

    async fn open(&self, identity: Identity) -> Result<(Self::Store, Recovered), StorageError> {
        let small = WalConfig { segment_bytes: 4_096, preallocate_bytes: 1_024 };
        Wal::open(self.disk.clone(), identity, small).await
    }

    /// No test can cut the power of the machine that it runs on.
    async fn crash(&self) -> bool {
        false
    }
}

#[tokio::test]
async fn the_log_keeps_the_contract_on_real_files() {
    let fresh = || async {
        let folder = TempDir::new().unwrap();
        Files { disk: TokioDisk::open(folder.path().to_owned()).await.unwrap(), _folder: folder }
    };
    let report = run_contract_suite(fresh).await.unwrap();
    println!("{report}");
    assert_eq!((report.passed.len(), report.skipped.len()), (11, 2));
}

/// A folder for the mark, and the environment over it.
struct Home {
    env: TokioEnv,
    _folder: TempDir,
}

async fn home() -> Home {
    let folder = TempDir::new().unwrap();
    let config = TokioConfig {
        me: Address::Node(IDENTITY.node),
        listen: None,
        peers: BTreeMap::new(),
        data: folder.path().to_owned(),
    };
    Home { env: TokioEnv::start(config).await.unwrap(), _folder: folder }
}

struct InRedis {
    server: RefCell<RedisServer>,
    /// By identity, as each node has a folder of its own.
    homes: RefCell<BTreeMap<(u64, u64), TokioEnv>>,
    folders: RefCell<Vec<TempDir>>,
}

impl StoreUnderTest for InRedis {
    type Store = RedisStore<TokioEnv>;

    async fn open(&self, identity: Identity) -> Result<(Self::Store, Recovered), StorageError> {
        let key = (identity.cluster, identity.node.0);
        let known = self.homes.borrow().get(&key).cloned();
        let env = match known {
            Some(env) => env,
            None => {
                let Home { env, _folder: folder } = home().await;
                self.folders.borrow_mut().push(folder);
                self.homes.borrow_mut().insert(key, env.clone());
                env
            }
        };
        let config = self.server.borrow().config();
        RedisStore::open(env, identity, config, StorageStatus::default()).await
    }

    #[expect(clippy::await_holding_refcell_ref, reason = "one task uses it, and waits for this")]
    async fn crash(&self) -> bool {
        let mut server = self.server.borrow_mut();
        server.kill();
        server.start().await.expect("the server comes back");
        true
    }
}

#[tokio::test]
async fn a_redis_keeps_the_contract() {
    let Some(first) = server(SYNCED).await else { return };
    drop(first);
    let fresh = || async {
        let server = RefCell::new(server(SYNCED).await.expect("it was there a moment ago"));
        InRedis { server, homes: RefCell::default(), folders: RefCell::default() }
    };
    let report = run_contract_suite(fresh).await.unwrap();
    println!("{report}");
    assert_eq!((report.passed.len(), report.skipped.len()), (13, 0));
}

fn vote(term: u64) -> StoreRequest {
    let hard_state = Some(HardState { term: Term(term), voted_for: Some(NodeId(1)) });
    StoreRequest { hard_state, ..StoreRequest::empty(StoreToken(term)) }
}

async fn open(home: &Home, config: RedisConfig) -> Result<(RedisStore<TokioEnv>, Recovered), StorageError> {
    RedisStore::open(home.env.clone(), IDENTITY, config, StorageStatus::default()).await
}

#[tokio::test]
async fn a_store_goes_on_when_its_redis_was_killed_and_comes_back() {
    let Some(mut server) = server(SYNCED).await else { return };
    let (home, status) = (home().await, StorageStatus::default());
    let opened = RedisStore::open(home.env.clone(), IDENTITY, server.config(), status.clone()).await;
    let (mut store, _) = opened.unwrap();
    for term in 1..=3 {
        store.store(&vote(2 * term)).await.unwrap();
        server.kill();
        let request = vote(2 * term + 1);
        let mut storing = std::pin::pin!(store.store(&request));
        // The store notices, waits, and is not done while there is no Redis.
        while status.report().is_available {
            tokio::select! {
                biased;
                done = &mut storing => panic!("stored without a Redis: {done:?}"),
                () = tokio::task::yield_now() => {}
            }
        }
        server.start().await.unwrap();
        storing.await.unwrap();
        let report = status.report();
        assert!(report.is_available && report.last_trouble.is_some(), "{report:?}");
        assert_eq!(report.reconnects, term);
    }
    drop(store);
    let (_, recovered) = open(&home, server.config()).await.unwrap();
    assert_eq!(recovered.hard_state.term, Term(7));
}

#[tokio::test]
async fn an_emptied_redis_is_refused() {
    let Some(mut server) = server(SYNCED).await else { return };
    let home = home().await;
    let (mut store, _) = open(&home, server.config()).await.unwrap();
    store.store(&vote(1)).await.unwrap();
    server.lose_everything().await;
    server.start().await.unwrap();
    let error = store.store(&vote(2)).await.unwrap_err();
    assert!(matches!(error, StorageError::Forgot { .. }), "while it runs: {error}");
    assert_eq!(store.store(&vote(3)).await.unwrap_err(), error);
    let error = open(&home, server.config()).await.err().expect("an emptied Redis is refused");
    assert!(matches!(error, StorageError::Forgot { .. }), "at the start: {error}");
}

#[tokio::test]
async fn a_store_that_the_folder_has_no_mark_of_is_taken_over_only_if_asked() {
    let Some(server) = server(SYNCED).await else { return };
    let (first, stranger) = (home().await, home().await);
    let (mut store, _) = open(&first, server.config()).await.unwrap();
    store.store(&vote(1)).await.unwrap();
    let error = open(&stranger, server.config()).await.err().expect("it has no mark");
    assert!(matches!(error, StorageError::Unmarked { .. }), "{error}");
    // Nothing was touched: the store goes on under the process that has it, and from its folder.
    store.store(&vote(2)).await.unwrap();
    drop(store);
    drop(open(&first, server.config()).await.unwrap());
    let adopting = RedisConfig { adopts_unmarked: true, ..server.config() };
    let (_, recovered) = open(&stranger, adopting).await.unwrap();
    assert_eq!(recovered.hard_state.term, Term(2));
    // Its mark is made, so it need not be asked again.
    drop(open(&stranger, server.config()).await.unwrap());
}

#[tokio::test]
async fn a_mark_of_another_store_is_never_overruled() {
    let Some(mut server) = server(SYNCED).await else { return };
    let (first, other) = (home().await, home().await);
    drop(open(&first, server.config()).await.unwrap());
    server.lose_everything().await;
    server.start().await.unwrap();
    drop(open(&other, server.config()).await.unwrap());
    let adopting = RedisConfig { adopts_unmarked: true, ..server.config() };
    let error = open(&first, adopting).await.err().expect("its own store is gone");
    assert!(matches!(error, StorageError::Forgot { .. }), "{error}");
}

/// A folder as a process leaves it that dies between the two steps of the mark.
async fn announced(home: &Home) {
    let file = home.env.disk().open("redis-mark", false).await.unwrap();
    let mut bytes = file.read_at(0, 48).await.unwrap().to_vec();
    bytes[40] = 1;
    let checksum = crc32c::crc32c(&bytes[..44]);
    bytes[44..].copy_from_slice(&checksum.to_le_bytes());
    file.write_at(0, bytes.into()).await.unwrap();
    file.sync().await.unwrap();
}

#[tokio::test]
async fn a_store_that_was_begun_and_no_more_is_found_again_or_begun_anew() {
    let Some(mut server) = server(SYNCED).await else { return };
    let home = home().await;
    drop(open(&home, server.config()).await.unwrap());
    announced(&home).await;
    let (mut store, _) = open(&home, server.config()).await.unwrap();
    store.store(&vote(1)).await.unwrap();
    drop(store);
    // Once it is held, there is no beginning anew.
    assert_eq!(open(&home, server.config()).await.unwrap().1.hard_state.term, Term(1));
    announced(&home).await;
    server.lose_everything().await;
    server.start().await.unwrap();
    assert_eq!(open(&home, server.config()).await.unwrap().1, Recovered::default());
    server.lose_everything().await;
    server.start().await.unwrap();
    let error = open(&home, server.config()).await.err().expect("what was held is gone");
    assert!(matches!(error, StorageError::Forgot { .. }), "{error}");
}

#[tokio::test]
async fn a_redis_that_went_back_in_time_is_refused() {
    let Some(server) = server(SYNCED).await else { return };
    let home = home().await;
    let (mut store, _) = open(&home, server.config()).await.unwrap();
    store.store(&vote(1)).await.unwrap();
    // As if a backup had been restored.
    server.ask(&["HSET", "stormglass:7:node:3:state", "batch", "0"]).await;
    let error = store.store(&vote(2)).await.unwrap_err();
    assert!(matches!(error, StorageError::Forgot { .. }), "{error}");
}

#[tokio::test]
async fn what_was_altered_in_a_redis_is_refused() {
    let Some(server) = server(SYNCED).await else { return };
    let home = home().await;
    let (mut store, _) = open(&home, server.config()).await.unwrap();
    store.store(&vote(1)).await.unwrap();
    drop(store);
    server.ask(&["RPUSH", "stormglass:7:node:3:log", "x"]).await;
    let error = open(&home, server.config()).await.err().expect("a foreign entry is refused");
    assert!(matches!(error, StorageError::Damaged { .. }), "{error}");
    server.ask(&["DEL", "stormglass:7:node:3:log"]).await;
    drop(open(&home, server.config()).await.unwrap());
    server.ask(&["HSET", "stormglass:7:node:3:state", "format", "2"]).await;
    let error = open(&home, server.config()).await.err().expect("a newer format is refused");
    assert!(matches!(error, StorageError::NewerFormat { .. }), "{error}");
    server.ask(&["HSET", "stormglass:7:node:3:state", "format", "1", "node", "4"]).await;
    let error = open(&home, server.config()).await.err().expect("another node's store is refused");
    assert!(matches!(error, StorageError::WrongIdentity { .. }), "{error}");
}

#[tokio::test]
async fn the_process_that_opened_last_is_the_one_that_writes() {
    let Some(server) = server(SYNCED).await else { return };
    let home = home().await;
    let (mut first, _) = open(&home, server.config()).await.unwrap();
    first.store(&vote(1)).await.unwrap();
    let (mut second, recovered) = open(&home, server.config()).await.unwrap();
    assert_eq!(recovered.hard_state.term, Term(1));
    let error = first.store(&vote(2)).await.unwrap_err();
    assert!(matches!(error, StorageError::TakenOver { .. }), "{error}");
    second.store(&vote(3)).await.unwrap();
    let (_, recovered) = open(&home, server.config()).await.unwrap();
    assert_eq!(recovered.hard_state.term, Term(3));
}

#[tokio::test]
async fn a_redis_that_may_forget_is_used_only_if_that_is_allowed() {
    for arguments in [
        &["--appendonly", "no"][..],
        &["--appendonly", "yes", "--appendfsync", "no"],
        &["--appendonly", "yes", "--appendfsync", "always", "--no-appendfsync-on-rewrite", "yes"],
    ] {
        let Some(server) = server(arguments).await else { return };
        let (home, status) = (home().await, StorageStatus::default());
        // Later releases can be asked to wait for a sync, which makes up for the last of these.
        match open(&home, server.config()).await {
            Err(StorageError::MayForget { .. }) => {}
            Ok(_) if arguments.len() > 4 => continue,
            other => panic!("{arguments:?}: {:?}", other.err()),
        }
        let allowed = RedisConfig { allow_volatile: true, ..server.config() };
        let opened = RedisStore::open(home.env.clone(), IDENTITY, allowed, status.clone()).await;
        opened.unwrap().0.store(&vote(1)).await.unwrap();
        assert!(matches!(status.report().durability, Durability::Volatile { .. }));
    }
}

#[tokio::test]
async fn nodes_of_several_clusters_share_a_redis() {
    let Some(server) = server(SYNCED).await else { return };
    let mut homes = Vec::new();
    for (cluster, node) in [(1, 1), (1, 2), (2, 1), (11, 1)] {
        let identity = Identity { cluster, node: NodeId(node) };
        let home = home().await;
        let opened =
            RedisStore::open(home.env.clone(), identity, server.config(), StorageStatus::default()).await;
        let (mut store, recovered) = opened.unwrap();
        assert_eq!(recovered, Recovered::default(), "{identity}");
        store.store(&vote(cluster * 100 + node)).await.unwrap();
        homes.push((identity, home, store));
    }
    for (identity, home, store) in homes {
        drop(store);
        let opened =
            RedisStore::open(home.env.clone(), identity, server.config(), StorageStatus::default()).await;
        let term = opened.unwrap().1.hard_state.term;
        assert_eq!(term, Term(identity.cluster * 100 + identity.node.0));
    }
}

#[tokio::test]
async fn an_absent_redis_is_an_error_with_a_hint_once_patience_is_over() {
    let home = home().await;
    let folder = TempDir::new().unwrap();
    let address = stormglass_nodes::env::StreamAddress::Unix(folder.path().join("nobody"));
    let config = RedisConfig { open_within_us: 0, ..RedisConfig::new(address) };
    let error = open(&home, config).await.err().expect("nobody is there");
    assert!(matches!(error, StorageError::Unreachable { .. }), "{error}");
    assert!(error.hint().contains("address"), "{}", error.hint());
}

#[tokio::test]
async fn a_password_and_a_database_of_ones_own_are_used() {
    let arguments = [SYNCED, &["--requirepass", "secret"]].concat();
    let Some(server) = server(&arguments).await else { return };
    let home = home().await;
    for password in [None, Some("wrong")] {
        let password = password.map(|password: &str| Password(password.to_owned()));
        let config = RedisConfig { password, ..server.config() };
        let error = open(&home, config).await.err().expect("nobody gets in without the password");
        assert!(matches!(error, StorageError::Unreachable { .. }), "{error}");
    }
    // A missing password shows in the choice of a database, and is no passing trouble either.
    let (status, config) = (StorageStatus::default(), RedisConfig { database: 3, ..server.config() });
    let refused = RedisStore::open(home.env.clone(), IDENTITY, config, status.clone()).await;
    assert!(matches!(refused.err(), Some(StorageError::Unreachable { .. })));
    assert_eq!(status.report().last_trouble, None, "it tried again");
    let socket = server.socket();
    let url = |database: u32| format!("unix://{}?db={database}&pass=secret", socket.display());
    let config = RedisConfig::from_url(&url(3)).unwrap();
    open(&home, config.clone()).await.unwrap().0.store(&vote(1)).await.unwrap();
    let elsewhere = RedisConfig::from_url(&url(4)).unwrap();
    let error = open(&home, elsewhere).await.err().expect("another database holds nothing of the node");
    assert!(matches!(error, StorageError::Forgot { .. }), "{error}");
    assert_eq!(open(&home, config).await.unwrap().1.hard_state.term, Term(1));
}

/// A certificate for `localhost` and its key, made by the machine's openssl.
fn certificate(folder: &std::path::Path) -> std::io::Result<bool> {
    let made = std::process::Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"])
        .args(["-addext", "subjectAltName=DNS:localhost"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-keyout")
        .arg(folder.join("key.pem"))
        .arg("-out")
        .arg(folder.join("certificate.pem"))
        .output()?;
    Ok(made.status.success())
}

#[tokio::test]
async fn a_redis_behind_tls_has_to_prove_who_it_is() {
    let folder = TempDir::new().unwrap();
    if !matches!(certificate(folder.path()), Ok(true)) {
        return skip("there is no openssl on the PATH to make a certificate with");
    }
    // A port that was free a moment ago.
    let port = {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        listener.local_addr().unwrap().port()
    };
    let (key, certificate) = (folder.path().join("key.pem"), folder.path().join("certificate.pem"));
    let (port_text, key, authority) = (port.to_string(), key.display().to_string(), certificate.clone());
    let certificate = certificate.display().to_string();
    let tls = ["--tls-port", &port_text, "--tls-auth-clients", "no", "--tls-key-file", &key];
    let tls = [SYNCED, &tls, &["--tls-cert-file", &certificate, "--tls-ca-cert-file", &certificate]].concat();
    let Some(server) = server(&tls).await else { return };
    let home = home().await;
    let reach = |host: &str, authority: Option<std::path::PathBuf>| {
        let url = format!("rediss://{host}:{port}");
        let config = RedisConfig { open_within_us: 0, ..RedisConfig::from_url(&url).unwrap() };
        authority.map_or(config.clone(), |file| config.trusting(file))
    };
    for (host, authority) in [("localhost", None), ("127.0.0.1", Some(authority.clone()))] {
        let error = open(&home, reach(host, authority)).await.err().expect("it cannot prove who it is");
        assert!(matches!(error, StorageError::Unreachable { .. }), "{error}");
    }
    let (mut store, _) = open(&home, reach("localhost", Some(authority.clone()))).await.unwrap();
    store.store(&vote(1)).await.unwrap();
    drop(store);
    let (_, recovered) = open(&home, reach("localhost", Some(authority))).await.unwrap();
    assert_eq!(recovered.hard_state.term, Term(1));
    drop(server);
}
