//! Settings and the command line.

use std::net::{Ipv4Addr, SocketAddr};

use clap::{CommandFactory as _, Parser as _};
use rstest::rstest;
use sluice::{Cli, Flags, LogFormat, Server, Settings};
use sluice_tests::{TestLake, assert_problem};

fn load(toml: &str, flags: &Flags) -> Result<Settings, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sluice.toml");
    std::fs::write(&file, toml).unwrap();
    Settings::load(Some(&file), flags).map_err(|error| format!("{error:#}"))
}

#[test]
fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
    let toml =
        "listen = \"127.0.0.1:7001\"\ngrace_seconds = 3\n[ingest]\nmax_body_bytes = 77\n[log]\nformat = \"json\"\n";
    let settings = load(toml, &Flags::default()).unwrap();
    assert_eq!(settings.listen, SocketAddr::from((Ipv4Addr::LOCALHOST, 7001)));
    assert_eq!((settings.grace_seconds, settings.ingest.max_body_bytes), (3, 77));
    assert_eq!(settings.log.format, LogFormat::Json);
    assert_eq!(settings.ingest.idle_seconds, Settings::default().ingest.idle_seconds);

    let flags = Flags { listen: Some((Ipv4Addr::LOCALHOST, 7002).into()), data_dir: Some("elsewhere".into()) };
    let settings = load(toml, &flags).unwrap();
    assert_eq!(settings.listen.port(), 7002);
    assert_eq!((settings.data_dir, settings.grace_seconds), ("elsewhere".into(), 3));
}

#[rstest]
#[case("listne = \"127.0.0.1:1\"", "listne")]
#[case("[ingest]\nmax_body = 1", "max_body")]
#[case("[auth]\nkeys = [{ name = \"a\", secret = \"b\" }]", "secret")]
#[case("listen = \"nowhere\"", "listen")]
#[case("grace_seconds = -1", "grace_seconds")]
#[case("not toml at all", "")]
fn a_setting_that_cannot_be_is_refused_by_name(#[case] toml: &str, #[case] name: &str) {
    let error = load(toml, &Flags::default()).unwrap_err();
    assert!(error.contains(name), "{error}");
}

#[test]
fn a_file_that_is_not_there_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    assert!(Settings::load(Some(&folder.path().join("absent.toml")), &Flags::default()).is_err());
}

#[tokio::test]
async fn a_server_for_everybody_needs_keys() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        listen: (Ipv4Addr::UNSPECIFIED, 0).into(),
        data_dir: folder.path().join("lake"),
        ..Settings::default()
    };
    let error = Box::pin(Server::open(settings)).await.err().unwrap().to_string();
    assert!(error.contains("0.0.0.0") && error.contains("auth.keys"), "{error}");
    assert!(!folder.path().join("lake").exists(), "a refused start leaves nothing behind");
}

#[tokio::test]
async fn a_server_with_keys_may_listen_everywhere() {
    let builder = TestLake::builder().key("owner", &[sluice_domain::Action::Read], None);
    let lake = builder.set(|settings| settings.listen = (Ipv4Addr::UNSPECIFIED, 0).into()).open().await;
    assert_problem(&lake.get("/api/v1/tables").await, 401, "unauthenticated");
}

#[test]
fn the_command_line_fits_together() {
    Cli::command().debug_assert();
    for arguments in [
        vec!["sluice", "openapi"],
        vec!["sluice", "serve", "--data-dir", "x", "--listen", "127.0.0.1:0"],
        vec!["sluice", "upload", "a.csv", "--table", "nyc.flights"],
        vec!["sluice", "query", "SELECT 1"],
        vec!["sluice", "apply", "lake.yaml", "more.toml"],
        vec!["sluice", "diff", "lake.yaml", "--server", "http://127.0.0.1:1"],
        vec!["sluice", "run", "delays", "--full-refresh"],
        vec!["sluice", "demo", "--once"],
    ] {
        assert!(Cli::try_parse_from(&arguments).is_ok(), "{arguments:?}");
    }
    for arguments in [
        vec!["sluice"],
        vec!["sluice", "serve", "--listen", "nowhere"],
        vec!["sluice", "upload", "a.csv", "--table", "../x"],
        vec!["sluice", "upload", "a.csv"],
    ] {
        assert!(Cli::try_parse_from(&arguments).is_err(), "{arguments:?}");
    }
}
