//! The walls between the crates, and the sizes of their files.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// Which sibling each crate may import.
const SIBLINGS: &[(&str, &[&str])] = &[
    ("sluice-domain", &[]),
    ("sluice-storage", &["sluice-domain"]),
    ("sluice-table", &["sluice-domain", "sluice-storage"]),
    ("sluice-catalog", &["sluice-domain"]),
    ("sluice-query", &["sluice-domain"]),
    ("sluice-quality", &["sluice-domain"]),
    ("sluice-ingest", &["sluice-domain", "sluice-storage", "sluice-catalog", "sluice-table", "sluice-quality"]),
    ("sluice-monitor", &["sluice-domain", "sluice-catalog"]),
    ("sluice-lifecycle", &["sluice-domain", "sluice-storage", "sluice-catalog", "sluice-table"]),
    ("sluice-curate", &["sluice-domain", "sluice-catalog", "sluice-table", "sluice-quality", "sluice-query"]),
    (
        "sluice-api",
        &[
            "sluice-domain",
            "sluice-storage",
            "sluice-catalog",
            "sluice-table",
            "sluice-query",
            "sluice-ingest",
            "sluice-monitor",
            "sluice-lifecycle",
            "sluice-curate",
            "sluice-quality",
        ],
    ),
    (
        "sluice",
        &[
            "sluice-domain",
            "sluice-storage",
            "sluice-catalog",
            "sluice-table",
            "sluice-query",
            "sluice-ingest",
            "sluice-monitor",
            "sluice-lifecycle",
            "sluice-curate",
            "sluice-quality",
            "sluice-api",
        ],
    ),
];

/// Which crates may name a foreign one. A `TableProvider` of DataFusion reaches the query engine through `deltalake`,
/// so the table crate needs no `datafusion` of its own.
const OWNERS: &[(&str, &[&str])] = &[
    ("aws-sdk-s3", &["sluice-storage"]),
    ("aws-credential-types", &["sluice-storage"]),
    ("deltalake", &["sluice-table"]),
    ("datafusion", &["sluice-query"]),
    ("sqlx", &["sluice-catalog"]),
    ("axum", &["sluice-api", "sluice"]),
    ("utoipa", &["sluice-api"]),
    ("utoipa-axum", &["sluice-api"]),
    ("utoipa-swagger-ui", &["sluice-api"]),
    ("multer", &["sluice-api"]),
    ("tower-http", &["sluice-api"]),
    ("clap", &["sluice"]),
    ("figment", &["sluice"]),
    ("reqwest", &["sluice", "sluice-ingest", "sluice-monitor"]),
    ("lettre", &["sluice-monitor"]),
    ("glob", &["sluice-ingest"]),
    ("indicatif", &["sluice"]),
    ("serde-saphyr", &["sluice"]),
    ("similar", &["sluice"]),
    ("croner", &["sluice-domain"]),
    ("chrono-tz", &["sluice-domain"]),
    ("tracing-subscriber", &["sluice"]),
    ("anyhow", &["sluice"]),
    ("rlimit", &["sluice"]),
    ("close_fds", &["sluice"]),
    ("csv", &["sluice-ingest"]),
    ("jiter", &["sluice-ingest"]),
    ("flate2", &["sluice-ingest"]),
    ("zstd", &["sluice-ingest", "sluice-table"]),
    ("bitpacking", &["sluice-table"]),
    ("foldhash", &["sluice-table"]),
    ("arrow-avro", &["sluice-ingest"]),
    ("bzip2", &["sluice-ingest"]),
    ("encoding_rs", &["sluice-ingest"]),
    ("liblzma", &["sluice-ingest"]),
    ("rawzip", &["sluice-ingest"]),
    ("snap", &["sluice-ingest"]),
];

/// Two copies of one of these have types that do not fit together.
const SINGLE: &[&str] = &["arrow", "parquet", "object_store", "datafusion", "deltalake-core"];

/// Nothing is longer than this.
const MAX_LINES: usize = 600;
/// What is longer than this is split, or stands in the list of what will be.
const SPLIT_LINES: usize = 400;
const TO_BE_SPLIT: &[&str] = &[];
/// A `lib.rs` holds a module list and nothing else.
const MAX_LIB_LINES: usize = 120;

/// The normal and build dependencies of every crate of the house, the tests left out.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let arguments = ["metadata", "--format-version", "1", "--no-deps", "--locked", "--offline"];
    let output = Command::new(env!("CARGO")).args(arguments).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let name = |value: &Value| value["name"].as_str().unwrap().to_owned();
    let of = |package: &Value| {
        let all = package["dependencies"].as_array().unwrap().iter();
        all.filter(|dependency| dependency["kind"] != "dev").map(name).collect()
    };
    let packages = metadata["packages"].as_array().unwrap().iter();
    packages.map(|package| (name(package), of(package))).filter(|(name, _)| name != "sluice-tests").collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

#[test]
fn a_crate_imports_the_siblings_below_it_and_no_other() {
    let allowed: BTreeMap<&str, BTreeSet<&str>> =
        SIBLINGS.iter().map(|(name, siblings)| (*name, siblings.iter().copied().collect())).collect();
    let found = dependencies();
    let known: BTreeSet<&str> = allowed.keys().copied().collect();
    let there: BTreeSet<&str> = found.keys().map(String::as_str).collect();
    assert_eq!(there, known, "the crates of the workspace and the rows of the table");
    for (name, dependencies) in &found {
        let siblings = dependencies.iter().map(String::as_str).filter(|dependency| known.contains(dependency));
        let wrong: Vec<&str> = siblings.filter(|sibling| !allowed[name.as_str()].contains(sibling)).collect();
        assert!(wrong.is_empty(), "{name} may not import {wrong:?}");
    }
}

#[test]
fn a_foreign_crate_is_named_by_its_owners_only() {
    let found = dependencies();
    for (foreign, owners) in OWNERS {
        let users = found.iter().filter(|(_, dependencies)| dependencies.contains(*foreign));
        let users: BTreeSet<&str> = users.map(|(name, _)| name.as_str()).collect();
        assert_eq!(users, owners.iter().copied().collect(), "{foreign} is named by its owners");
    }
}

#[test]
fn the_data_stack_is_there_once() {
    let lock = std::fs::read_to_string(root().join("Cargo.lock")).unwrap();
    for name in SINGLE {
        let versions = lock.matches(&format!("\nname = \"{name}\"\n")).count();
        assert_eq!(versions, 1, "Cargo.lock has {versions} versions of {name}");
    }
}

/// The sources in Rust and Python, with the number of their lines.
fn sources() -> Vec<(PathBuf, usize)> {
    let mut folders = vec![root().join("crates"), root().join("tests")];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap().map(Result::unwrap) {
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            let built = name.starts_with('.') || ["target", "node_modules", "__pycache__"].contains(&name.as_str());
            if entry.file_type().unwrap().is_dir() && !built {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs" || extension == "py") {
                let lines = std::fs::read_to_string(&path).unwrap().lines().count();
                sources.push((path.strip_prefix(root()).unwrap().to_owned(), lines));
            }
        }
    }
    sources
}

#[test]
fn no_source_is_too_long() {
    let sources = sources();
    assert!(sources.len() > 100, "only {} sources were found", sources.len());
    let limit = |path: &Path| match path {
        path if path.ends_with("src/lib.rs") => MAX_LIB_LINES,
        path if TO_BE_SPLIT.iter().any(|listed| path == Path::new(listed)) => MAX_LINES,
        _ => SPLIT_LINES,
    };
    let too_long: Vec<_> = sources.iter().filter(|(path, lines)| *lines > limit(path)).collect();
    assert!(too_long.is_empty(), "these are too long: {too_long:?}");
}
