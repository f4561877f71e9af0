//! The real disk: files in a temporary folder.

use std::collections::BTreeMap;

use bytes::Bytes;
use stormglass_nodes::env::{Disk, DiskError, Env, File};
use stormglass_nodes::ids::{Address, NodeId};
use stormglass_nodes::storage::conformance::{DiskUnderTest, run_suite};
use stormglass_nodes::tokio_env::{TokioConfig, TokioDisk, TokioEnv};
use tempfile::TempDir;

struct RealFolder {
    disk: TokioDisk,
    _folder: TempDir,
}

impl DiskUnderTest for RealFolder {
    type Disk = TokioDisk;

    fn disk(&self) -> TokioDisk {
        self.disk.clone()
    }

    /// No test can cut the power of the machine that it runs on.
    fn crash(&self) -> bool {
        false
    }
}

async fn folder() -> RealFolder {
    let folder = TempDir::new().unwrap();
    RealFolder { disk: TokioDisk::open(folder.path().to_owned()).await.unwrap(), _folder: folder }
}

#[tokio::test]
async fn the_log_conforms_on_real_files() {
    let mut folders = Vec::new();
    for _ in 0..44 {
        folders.push(folder().await);
    }
    let report = run_suite(|| folders.pop().expect("one folder for each part")).await.unwrap();
    println!("{report}");
    let need_power_loss = [
        "a_whole_but_unacknowledged_batch_is_made_durable_before_it_is_believed",
        "power_loss_keeps_all_that_was_acknowledged",
        "power_loss_amid_a_batch_keeps_all_of_it_or_nothing",
        "power_loss_after_any_request_keeps_snapshots_too",
    ];
    assert_eq!(report.skipped, need_power_loss);
    assert_eq!(report.passed.len(), 40);
}

#[tokio::test]
async fn a_folder_serves_one_process_at_a_time() {
    let path = TempDir::new().unwrap();
    let config = TokioConfig {
        me: Address::Node(NodeId(1)),
        listen: None,
        peers: BTreeMap::new(),
        data: path.path().join("new").join("folder"),
    };
    let first = TokioEnv::start(config.clone()).await.unwrap();
    let Err(error) = TokioEnv::start(config.clone()).await else {
        panic!("a second process opened the folder");
    };
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
    let file = first.disk().open("held", true).await.unwrap();
    first.shutdown().await;
    drop(first);
    assert!(TokioEnv::start(config.clone()).await.is_err(), "an open file still holds the folder");
    drop(file);
    let again = TokioEnv::start(config).await.unwrap();
    assert_eq!(again.disk().list().await.unwrap(), ["held"]);
}

#[tokio::test]
async fn files_are_created_read_written_cut_renamed_and_removed() {
    let folder = folder().await;
    let disk = folder.disk();
    assert!(matches!(disk.open("a", false).await, Err(DiskError::NotFound(name)) if name == "a"));
    let file = disk.open("a", true).await.unwrap();
    file.write_at(3, Bytes::from_static(b"def")).await.unwrap();
    assert_eq!(file.read_at(0, 100).await.unwrap(), Bytes::from_static(b"\0\0\0def"));
    assert_eq!(file.read_at(4, 1).await.unwrap(), Bytes::from_static(b"e"));
    assert_eq!(file.read_at(6, usize::MAX).await.unwrap(), Bytes::new());
    file.set_len(4).await.unwrap();
    file.set_len(5).await.unwrap();
    file.sync().await.unwrap();
    assert_eq!(file.len().await.unwrap(), 5);
    disk.open("b", true).await.unwrap();
    disk.rename("a", "b").await.unwrap();
    disk.sync_names().await.unwrap();
    assert_eq!(disk.list().await.unwrap(), ["b"]);
    let renamed = disk.open("b", false).await.unwrap();
    assert_eq!(renamed.read_at(0, 9).await.unwrap(), Bytes::from_static(b"\0\0\0d\0"));
    disk.remove("b").await.unwrap();
    assert_eq!(disk.list().await.unwrap(), Vec::<String>::new());
    assert!(matches!(disk.remove("b").await, Err(DiskError::NotFound(_))));
}

#[tokio::test]
async fn names_that_leave_the_folder_are_refused() {
    let folder = folder().await;
    let disk = folder.disk();
    for name in ["", ".", "..", "../a", "a/b", "/etc/passwd", "~lock", "ä", "a\0b", "a b"] {
        let refused = matches!(disk.open(name, true).await, Err(DiskError::Io { .. }));
        assert!(refused, "{name:?}");
        assert!(disk.rename("a", name).await.is_err());
        assert!(disk.remove(name).await.is_err());
    }
}
