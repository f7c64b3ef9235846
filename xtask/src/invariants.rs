//! The invariants that `ARCHITECTURE.md` names and a machine can check: who may depend on whom,
//! who touches devices, network and clock, and how long a file may be.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use crate::root;

/// Our crates and which of ours each may use.
const EDGES: &[(&str, &[&str])] = &[
    ("redact", &[]),
    ("protocol", &["redact"]),
    ("authz", &["protocol"]),
    ("bench", &["protocol", "servers"]),
    ("consult", &["protocol"]),
    ("session", &["protocol"]),
    ("bwe", &[]),
    ("media", &[]),
    ("call", &["bwe", "media"]),
    ("devices", &["media"]),
    ("proxy", &[]),
    ("servers", &[]),
    ("rtc", &["bwe", "media", "proxy", "redact"]),
    ("backends", &["protocol", "proxy", "redact"]),
    ("sealing", &["redact"]),
    ("service", &["authz", "consult", "protocol", "redact", "sealing"]),
    ("client", &["backends", "bwe", "call", "devices", "media", "protocol", "redact", "rtc", "session"]),
];

/// What only one crate may name, so that replacing it touches one crate.
const OWNED: &[(&str, &str)] = &[
    ("cpal", "bedside-devices"),
    ("nokhwa", "bedside-devices"),
    ("v4l", "bedside-devices"),
    ("webrtc", "bedside-rtc"),
    ("rtc", "bedside-rtc"),
    ("sonora", "bedside-media"),
    ("tauri", "bedside"),
    ("sqlx", "bedside-service"),
    ("axum", "bedside-service"),
];

/// Crates that decide and never perform.
const PURE: &[&str] = &["redact", "sealing", "protocol", "authz", "consult", "session", "bwe", "call"];

/// Words by which code outside tests would do I/O or ask for the time.
const IMPURE: &[&str] = &[
    "std::fs",
    "std::net",
    "std::process",
    "std::thread",
    "std::env",
    "tokio::",
    "Instant::now",
    "SystemTime",
    "Timestamp::now",
    "Zoned::now",
];

/// No source file is longer, in lines: one sitting's reading.
const LONGEST: usize = 800;

/// Normal dependencies of our packages, by name.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let cargo = std::env::var_os("CARGO").unwrap_or("cargo".into());
    let asked = Command::new(cargo)
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root())
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&asked.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let of = |package: &Value| {
        let normal = package["dependencies"].as_array().unwrap().iter().filter(|d| d["kind"].is_null());
        normal.map(|dependency| text(&dependency["name"])).collect()
    };
    metadata["packages"].as_array().unwrap().iter().map(|p| (text(&p["name"]), of(p))).collect()
}

/// Source files that git knows of, with these endings.
fn sources(endings: &[&str]) -> Vec<PathBuf> {
    let listed = Command::new("git").args(["ls-files"]).current_dir(root()).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let wanted = |path: &&str| Path::new(path).extension().is_some_and(|e| endings.iter().any(|w| e == *w));
    listed.lines().filter(wanted).map(PathBuf::from).collect()
}

/// A file's text before its unit tests.
fn outside_tests(path: &Path) -> String {
    let text = fs::read_to_string(root().join(path)).unwrap();
    text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default().to_owned()
}

#[test]
fn the_arrows_point_one_way() {
    let all = dependencies();
    for (name, allowed) in EDGES {
        let used = &all[&format!("bedside-{name}")];
        let ours: BTreeSet<&str> = used.iter().filter_map(|name| name.strip_prefix("bedside-")).collect();
        let allowed: BTreeSet<&str> = allowed.iter().copied().collect();
        assert!(ours.is_subset(&allowed), "{name} uses {:?}", ours.difference(&allowed));
    }
    let crates = fs::read_dir(root().join("crates")).unwrap().count();
    assert_eq!(crates, EDGES.len(), "a crate is missing from the table above");
}

#[test]
fn what_has_one_owner_is_named_by_it_alone() {
    let all = dependencies();
    for (what, owner) in OWNED {
        assert!(all[*owner].contains(*what), "{owner} no longer uses {what}: this table is stale");
        let others = all.iter().filter(|(name, uses)| name != owner && uses.contains(*what));
        let others: Vec<&String> = others.map(|(name, _)| name).collect();
        assert!(others.is_empty(), "{what} belongs to {owner}, and {others:?} use it");
    }
}

#[test]
fn what_is_depended_on_is_used() {
    let sources = sources(&["rs"]);
    for (name, uses) in dependencies() {
        let folder = match name.strip_prefix("bedside-") {
            Some(name) => format!("crates/{name}/src"),
            None if name == "xtask" => "xtask/src".to_owned(),
            None => "src-tauri/src".to_owned(),
        };
        let files = sources.iter().filter(|path| path.starts_with(&folder));
        let text: String = files.map(|path| fs::read_to_string(root().join(path)).unwrap()).collect();
        let unused: Vec<&String> =
            uses.iter().filter(|name| !text.contains(&name.replace('-', "_"))).collect();
        assert!(unused.is_empty(), "{name} does not use {unused:?}");
    }
    let all: BTreeSet<String> = dependencies().into_values().flatten().collect();
    let manifests =
        fs::read_dir(root().join("crates")).unwrap().map(|e| e.unwrap().path().join("Cargo.toml"));
    let manifests: String = manifests.map(|path| fs::read_to_string(path).unwrap()).collect();
    let listed = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let listed = listed.split("[workspace.dependencies]").nth(1).unwrap().split("\n[").next().unwrap();
    let names = listed.lines().filter_map(|line| line.split_once(" = ")).map(|(name, _)| name);
    let stale: Vec<&str> = names
        .filter(|name| !all.contains(*name) && !manifests.contains(&format!("{name}.workspace")))
        .collect();
    assert!(stale.is_empty(), "nobody uses {stale:?} of the workspace's dependencies");
}

#[test]
fn who_decides_does_not_perform() {
    for path in sources(&["rs"]) {
        let is_pure = PURE.iter().any(|name| path.starts_with(format!("crates/{name}/src")));
        if !is_pure {
            continue;
        }
        let text = outside_tests(&path);
        let found: Vec<&&str> = IMPURE.iter().filter(|word| text.contains(**word)).collect();
        assert!(found.is_empty(), "{} uses {found:?}", path.display());
    }
}

#[test]
fn files_can_be_read_in_one_sitting() {
    let mut lengths: Vec<(usize, PathBuf)> = sources(&["rs", "ts", "tsx", "mjs", "css", "py"])
        .into_iter()
        .filter(|path| !path.ends_with("bindings.ts"))
        .map(|path| (fs::read_to_string(root().join(&path)).unwrap().lines().count(), path))
        .collect();
    lengths.sort();
    let (longest, path) = lengths.last().unwrap();
    assert!(*longest <= LONGEST, "{} has {longest} lines", path.display());
}

#[test]
fn every_folder_has_its_line() {
    let page = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    for entry in fs::read_dir(root().join("crates")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(
            page.contains(&format!("| `crates/{name}` |")),
            "ARCHITECTURE.md does not say what {name} is"
        );
        let manifest = fs::read_to_string(root().join("crates").join(&name).join("Cargo.toml")).unwrap();
        assert!(manifest.contains("[lints]\nworkspace = true"), "{name} goes without the lints");
    }
}

#[test]
fn the_media_stack_is_pinned() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    for name in ["webrtc", "rtc"] {
        let is_pinned =
            manifest.lines().any(|line| line.starts_with(&format!("{name} = ")) && line.contains("\"="));
        assert!(is_pinned, "{name} is not pinned exactly: its minor versions change behaviour");
    }
}

#[test]
fn the_page_runs_and_loads_only_what_is_bundled() {
    let conf = fs::read_to_string(root().join("tauri.conf.json")).unwrap();
    let conf: Value = serde_json::from_str(&conf).unwrap();
    let policy = conf["app"]["security"]["csp"].as_str().expect("a content security policy");
    // The shell's own channel; pictures of the chat that the page holds in memory, and previews of screens
    // that come with the state.
    let harmless = ["'none'", "'self'", "ipc:", "http://ipc.localhost", "blob:", "data:"];
    let pictures = ["blob:", "data:"];
    for directive in policy.split(';') {
        let mut words = directive.split_whitespace();
        let name = words.next().unwrap_or_default();
        for source in words {
            assert!(harmless.contains(&source), "{name} allows {source}");
            let is_picture = name == "img-src" || !pictures.contains(&source);
            assert!(is_picture, "{name} allows what the page makes itself");
        }
    }
    assert!(policy.starts_with("default-src 'none'"), "what is not named is not allowed");
}

#[test]
fn use_cases_know_no_wire() {
    let all = sources(&["rs"]);
    let cases: Vec<_> = all.iter().filter(|path| path.starts_with("crates/service/src/use_cases")).collect();
    assert!(cases.len() > 5, "they have moved: this test is stale");
    for path in cases {
        let text = outside_tests(path);
        for word in ["axum", "hyper", "sqlx", "stomp"] {
            assert!(!text.contains(word), "{} names {word}", path.display());
        }
    }
}
