//! The deployment files name options that there are, and values that they take.
#![expect(clippy::disallowed_methods, reason = "it reads the deployment files")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use clap::{CommandFactory, Parser};
use serde_json::Value;
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

/// `STORMGLASS_NAME=value` and `STORMGLASS_NAME`, wherever they stand in a document.
fn variables_named_in(text: &str) -> BTreeSet<String> {
    let is_of_name = |c: &char| c.is_ascii_uppercase() || *c == '_';
    let starts = text.match_indices("STORMGLASS_").map(|(at, _)| at);
    starts.map(|at| text[at..].chars().take_while(is_of_name).collect()).collect()
}

/// A Dockerfile's instructions in their order, each with what follows it.
fn instructions(text: &str) -> Vec<(String, String)> {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
    let whole = lines.join("\n").replace("\\\n", " ");
    let lines = whole.lines().map(str::trim).filter(|line| !line.is_empty());
    let split = lines.map(|line| line.split_once(' ').unwrap_or_else(|| panic!("no instruction: {line}")));
    split.map(|(name, rest)| (name.to_uppercase(), rest.trim().to_owned())).collect()
}

/// What the image that a Dockerfile makes is started as.
struct Image {
    /// Of its last stage.
    last: Vec<(String, String)>,
    variables: BTreeMap<String, String>,
}

impl Image {
    fn of(text: &str) -> Self {
        let all = instructions(text);
        let from = all.iter().rposition(|(name, _)| name == "FROM").expect("it is made from something");
        let last = all[from..].to_vec();
        let pairs =
            last.iter().filter(|(name, _)| name == "ENV").flat_map(|(_, pairs)| pairs.split_whitespace());
        let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or_else(|| panic!("no value: {pair}")));
        let variables = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Self { last, variables }
    }

    /// What its last such instruction says, which is the one that counts.
    fn says(&self, name: &str) -> &str {
        let found = self.last.iter().rfind(|(found, _)| found == name);
        found.map(|(_, rest)| rest.as_str()).unwrap_or_else(|| panic!("there is no {name}"))
    }
}

fn compose() -> Value {
    serde_saphyr::from_str(&text("compose.yaml")).expect("it is YAML")
}

fn words(list: &Value) -> Vec<&str> {
    let list = list.as_array().unwrap_or_else(|| panic!("{list} is no list"));
    list.iter().map(|word| word.as_str().unwrap_or_else(|| panic!("{word} is no text"))).collect()
}

#[test]
fn the_image_runs_the_daemon_that_it_built_as_a_user_without_rights() {
    let all = instructions(&text("Dockerfile"));
    let image = Image::of(&text("Dockerfile"));
    let entry: Vec<String> = serde_json::from_str(image.says("ENTRYPOINT")).expect("a list of words");
    let [program] = entry.as_slice() else { panic!("{entry:?}") };
    assert_eq!(Path::new(program).file_name(), Some("stormglassd".as_ref()));
    let copied: Vec<&str> = image.says("COPY").split_whitespace().collect();
    assert_eq!(copied, ["--from=build", "/source/target/release/stormglassd", program]);
    let build = all.iter().find(|(name, rest)| name == "RUN" && rest.starts_with("cargo build"));
    let (_, build) = build.expect("it is built");
    let build: Vec<&str> = build.split_whitespace().collect();
    for wanted in [["-p", "stormglass-nodes"], ["--bin", "stormglassd"]] {
        assert!(build.windows(2).any(|pair| pair == wanted), "{build:?}");
    }
    assert!(build.contains(&"--release") && build.contains(&"--locked"), "{build:?}");
    let user: Vec<u32> = image
        .says("USER")
        .split(':')
        .map(|id| id.parse().expect("by number, which names need no file"))
        .collect();
    assert!(user.len() == 2 && !user.contains(&0), "{user:?}");
    assert_eq!(image.variables["STORMGLASS_DATA"], image.says("VOLUME"));
    let ports: Vec<&str> = image.says("EXPOSE").split_whitespace().collect();
    assert_eq!(ports, ["7000", "6000"]);
    // What the daemon takes for the wish that it stop gracefully.
    assert_eq!(image.says("STOPSIGNAL"), "SIGTERM");
}

#[test]
fn compose_starts_three_nodes_of_one_cluster() {
    let (image, compose) = (Image::of(&text("Dockerfile")), compose());
    let services = compose["services"].as_object().expect("there are services");
    let nodes: Vec<_> = services.iter().filter(|(_, service)| service["image"] == "stormglass").collect();
    let mut ids = BTreeSet::new();
    let mut host_ports = BTreeSet::new();
    for (name, service) in &nodes {
        let mut variables = image.variables.clone();
        let own = service["environment"].as_object().expect("it has variables");
        let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned();
        variables.extend(own.iter().map(|(name, value)| (name.clone(), text(value))));
        let settings = settings_of(&variables);
        assert_eq!(settings.addresses.len(), nodes.len());
        assert!(settings.is_insecure_beyond_loopback && settings.http.as_deref() == Some("0.0.0.0:6000"));
        let redis = settings.redis.as_ref().expect("the logs are kept in a Redis, as in the older system");
        assert_eq!(redis.address, StreamAddress::Tcp { host: "redis".to_owned(), port: 6_379 });
        assert!(!redis.allow_volatile && !redis.adopts_unmarked && redis.database == 0);
        let id = settings.id;
        assert_eq!(**name, format!("node{}", id.0));
        assert_eq!(settings.addresses[&id], format!("{name}:7000"), "as the service is called");
        assert_eq!(settings.listen, "0.0.0.0:7000");
        assert!(words(&service["depends_on"]).contains(&"redis"));
        // Its mark is on a volume, which outlives the container.
        let volume = format!("{name}:{}", image.variables["STORMGLASS_DATA"]);
        assert_eq!(words(&service["volumes"]), [volume]);
        assert!(compose["volumes"].as_object().is_some_and(|volumes| volumes.contains_key(*name)));
        for port in words(&service["ports"]) {
            let (host, inner) = port.rsplit_once(':').expect("from where to where");
            assert!(host.starts_with("127.0.0.1:") && inner == "6000", "{port}");
            host_ports.insert(host);
        }
        let grace = service["stop_grace_period"].as_str().and_then(|grace| grace.strip_suffix('s'));
        let grace: u64 = grace.and_then(|seconds| seconds.parse().ok()).expect("so many seconds");
        assert!(settings.stop_timeout.as_secs() * 2 <= grace, "Docker waits longer than the daemon");
        ids.insert(id);
    }
    assert_eq!((ids.len(), host_ports.len()), (3, 3), "in\n{compose:#}");
    let built: Vec<&Value> =
        nodes.iter().map(|(_, node)| &node["build"]).filter(|build| !build.is_null()).collect();
    let [build] = built.as_slice() else { panic!("the image is built once: {built:?}") };
    let context = file("").join(build["context"].as_str().expect("it has a context"));
    assert!(context.join(build["dockerfile"].as_str().expect("it has a file")).is_file(), "{build}");
}

#[test]
fn the_redis_of_compose_keeps_what_it_acknowledges() {
    let compose = compose();
    let redis = &compose["services"]["redis"];
    let command = words(&redis["command"]);
    for wanted in [["--appendonly", "yes"], ["--appendfsync", "always"]] {
        assert!(command.windows(2).any(|pair| pair == wanted), "{wanted:?}: {command:?}");
    }
    // What it has written is on a volume.
    assert_eq!(words(&redis["volumes"]), ["redis:/data"]);
    assert!(compose["volumes"].as_object().is_some_and(|volumes| volumes.contains_key("redis")));
}

/// A unit's sections, each with its keys and all their values.
fn unit_of(text: &str) -> BTreeMap<String, BTreeMap<String, Vec<String>>> {
    let mut sections = BTreeMap::<String, BTreeMap<String, Vec<String>>>::new();
    let mut section = String::new();
    let lines = text.lines().map(str::trim);
    for line in lines.filter(|line| !line.is_empty() && !line.starts_with(['#', ';'])) {
        match line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            Some(name) => name.clone_into(&mut section),
            None => {
                let (key, value) =
                    line.split_once('=').unwrap_or_else(|| panic!("neither key nor section: {line}"));
                let keys = sections.entry(section.clone()).or_default();
                keys.entry(key.trim().to_owned()).or_default().push(value.trim().to_owned());
            }
        }
    }
    sections
}

#[test]
fn the_systemd_unit_starts_the_daemon_with_the_file_beside_it() {
    let unit = unit_of(&text("stormglassd.service"));
    let service = &unit["Service"];
    let says = |key: &str| match service.get(key).map(Vec::as_slice) {
        Some([value]) => value.as_str(),
        found => panic!("{key} is to be said once: {found:?}"),
    };
    let start: Vec<&str> = says("ExecStart").split_whitespace().collect();
    let image = Image::of(&text("Dockerfile"));
    assert_eq!(image.says("ENTRYPOINT"), format!("[{:?}]", start[0]), "one program in one place");
    let options = Options::try_parse_from(&start).expect("the options are known");
    assert_eq!(options.config.as_deref(), Some(Path::new("/etc/stormglass/node.toml")));
    let options = Options { config: Some(file("node.toml")), ..options };
    let settings = options.complete().and_then(Settings::from_options).expect("the file makes sense");
    assert_eq!(settings.data, Path::new("/var/lib").join(says("StateDirectory")));
    let patience: u64 = says("TimeoutStopSec").parse().expect("a stop has its time, in seconds");
    assert!(settings.stop_timeout.as_secs() * 2 <= patience, "systemd waits longer than the daemon");
    // Bad options are told apart by the exit code that the daemon documents.
    assert_eq!(says("RestartPreventExitStatus"), "64");
    assert_eq!((says("KillSignal"), says("User"), says("Group")), ("SIGTERM", "stormglass", "stormglass"));
    // It is the file that says where the nodes are, so that a reload has something to read.
    assert_eq!(says("ExecReload"), "/bin/kill -HUP $MAINPID");
    assert_eq!(settings.addresses_from, Some(file("node.toml")));
    assert_eq!(unit["Install"]["WantedBy"], ["multi-user.target"]);
}

/// No file of the deployment, and no document for operators, speaks of an option that there is not.
#[test]
fn no_option_is_made_up() {
    let command = Options::command();
    let known: BTreeSet<String> =
        command.get_arguments().filter_map(|argument| argument.get_long()).map(str::to_owned).collect();
    let operating = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operating.md");
    let operating = std::fs::read_to_string(operating).expect("there is such a document");
    let all = [text("Dockerfile"), text("compose.yaml"), operating.clone()].concat();
    for name in variables_named_in(&all) {
        let flag = name.trim_start_matches("STORMGLASS_").to_lowercase().replace('_', "-");
        assert!(known.contains(&flag), "{name}");
    }
    // Every option is explained, and in code marks.
    for name in known.iter().filter(|name| !["help", "version"].contains(&name.as_str())) {
        assert!(operating.contains(&format!("`{name}`")), "docs/operating.md says nothing of `{name}`");
    }
}
