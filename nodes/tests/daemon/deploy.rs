//! The deployment files name options that there are, and values that they take.
#![expect(clippy::disallowed_methods, reason = "it reads the deployment files")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use clap::{CommandFactory, Parser};
use stormglass_nodes::daemon::{Options, Settings};
use stormglass_nodes::env::StreamAddress;

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(name)
}

fn text(name: &str) -> String {
    std::fs::read_to_string(file(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The settings of variables, as flags of the same names.
fn settings_of(variables: &BTreeMap<String, String>) -> Settings {
    let flags = variables.iter().map(|(name, value)| {
        let name = name.trim_start_matches("STORMGLASS_").to_lowercase().replace('_', "-");
        format!("--{name}={value}")
    });
    let options = Options::try_parse_from(std::iter::once("stormglassd".to_owned()).chain(flags));
    Settings::from_options(options.expect("the options are known")).expect("the options make sense")
}

/// `NAME: "value"` and `NAME=value`, wherever they stand.
fn variables_in(text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for (at, _) in text.match_indices("STORMGLASS_") {
        let rest = &text[at..];
        let end = rest.find(|c: char| !c.is_ascii_uppercase() && c != '_').unwrap_or(rest.len());
        let (name, rest) = rest.split_at(end);
        let value = match rest.strip_prefix(": ") {
            Some(quoted) => quoted.split('"').nth(1).unwrap_or_default(),
            None => rest.trim_start_matches('=').split_whitespace().next().unwrap_or_default(),
        };
        found.insert(name.to_owned(), value.to_owned());
    }
    found
}

#[test]
fn compose_starts_three_nodes_of_one_cluster() {
    let (image, compose) = (text("Dockerfile"), text("compose.yaml"));
    let of_image = variables_in(&image);
    assert!(of_image.contains_key("STORMGLASS_DATA"), "{of_image:?}");
    let mut of_first = None;
    let mut ids = BTreeSet::new();
    for service in compose.split("\n  node").skip(1).filter(|part| part.contains("image: stormglass")) {
        let mut variables = of_image.clone();
        variables.extend(of_first.clone().unwrap_or_default());
        let own = variables_in(service);
        variables.extend(own.clone());
        of_first.get_or_insert(own);
        let settings = settings_of(&variables);
        assert_eq!(settings.addresses.len(), 3);
        assert!(settings.is_insecure_beyond_loopback && settings.http.as_deref() == Some("0.0.0.0:6000"));
        let redis = settings.redis.as_ref().expect("the logs are kept in a Redis, as in the older system");
        assert_eq!(redis.address, StreamAddress::Tcp { host: "redis".to_owned(), port: 6_379 });
        assert!(!redis.allow_volatile && redis.database == 0);
        assert_eq!(
            settings.addresses[&settings.id],
            format!("node{}:7000", settings.id.0),
            "as the service is called"
        );
        assert!(service.starts_with(&format!("{}:", settings.id.0)), "node{service}");
        ids.insert(settings.id);
    }
    assert_eq!(ids.len(), 3, "in\n{compose}");
    for port in ["7000", "6000"] {
        assert!(image.lines().any(|line| line.starts_with("EXPOSE") && line.contains(port)), "{port}");
    }
}

#[test]
fn the_redis_of_compose_keeps_what_it_acknowledges() {
    let compose = text("compose.yaml");
    let (_, service) = compose.split_once("\n  redis:\n").expect("the service is called as the nodes say");
    let (service, _) = service.split_once("\n  node1:\n").expect("it stands before the nodes");
    let command = service.lines().find_map(|line| line.trim().strip_prefix("command: ")).expect("it has one");
    let command: Vec<String> = serde_json::from_str(command).expect("a list of words");
    for (setting, value) in [("--appendonly", "yes"), ("--appendfsync", "always")] {
        assert!(command.windows(2).any(|pair| pair == [setting, value]), "{setting} {value}: {command:?}");
    }
    // What it has written, and the nodes' marks, are on volumes: both outlive their containers.
    for volume in ["redis:/data", "node1:/data", "node2:/data", "node3:/data"] {
        assert!(compose.contains(&format!("volumes: [\"{volume}\"]")), "{volume}");
    }
    assert_eq!(compose.matches("depends_on: [redis").count(), 3);
}

#[test]
fn the_systemd_unit_starts_the_daemon_with_the_file_beside_it() {
    let unit = text("stormglassd.service");
    let start = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).expect("it starts something");
    let options = Options::try_parse_from(start.split_whitespace()).expect("the options are known");
    assert_eq!(options.config.as_deref(), Some(Path::new("/etc/stormglass/node.toml")));
    let options = Options { config: Some(file("node.toml")), ..options };
    let settings = options.complete().and_then(Settings::from_options).expect("the file makes sense");
    let state = unit.lines().find_map(|line| line.strip_prefix("StateDirectory=")).expect("it has a folder");
    assert_eq!(settings.data, Path::new("/var/lib").join(state));
    let patience =
        unit.lines().find_map(|line| line.strip_prefix("TimeoutStopSec=")).and_then(|s| s.parse().ok());
    let patience: u64 = patience.expect("a stop has its time");
    assert!(settings.stop_timeout.as_secs() * 2 <= patience, "systemd waits longer than the daemon");
    // Bad options are told apart by the exit code that the daemon documents.
    assert!(unit.contains("RestartPreventExitStatus=64"));
}

/// No file of the deployment, and no document for operators, speaks of an option that there is not.
#[test]
fn no_option_is_made_up() {
    let command = Options::command();
    let known: BTreeSet<String> =
        command.get_arguments().filter_map(|argument| argument.get_long()).map(str::to_owned).collect();
    let operating = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operating.md");
    let operating = std::fs::read_to_string(operating).expect("there is such a document");
    for name in variables_in(&[text("Dockerfile"), text("compose.yaml"), operating.clone()].concat()).keys() {
        let flag = name.trim_start_matches("STORMGLASS_").to_lowercase().replace('_', "-");
        assert!(known.contains(&flag), "{name}");
    }
    // Every option is explained, and in code marks.
    for name in known.iter().filter(|name| !["help", "version"].contains(&name.as_str())) {
        assert!(operating.contains(&format!("`{name}`")), "docs/operating.md says nothing of `{name}`");
    }
}
