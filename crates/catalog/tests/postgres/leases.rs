//! Places that end by the clock.

use sluice_catalog::{Catalog, NewTable};
use sluice_domain::{ErrorKind, Failure, PageRequest, TableFormat, ZoneName};
use uuid::Uuid;

/// A schema of its own, and a way to change it behind the servers' backs.
struct Database {
    url: String,
    schema: String,
}

impl Database {
    fn new() -> Self {
        let url = std::env::var("SLUICE_TEST_POSTGRES").expect("SLUICE_TEST_POSTGRES names a database");
        let database = Self { url, schema: format!("test_{}", Uuid::new_v4().simple()) };
        database.run(&format!("CREATE SCHEMA {}", database.schema));
        database
    }

    fn run(&self, sql: &str) {
        let sql = format!("SET search_path = {}; {sql}", self.schema);
        let status =
            std::process::Command::new("psql").args([&self.url, "-v", "ON_ERROR_STOP=1", "-qc", &sql]).status();
        assert!(status.unwrap().success(), "{sql}");
    }

    async fn connect(&self) -> Catalog {
        let separator = if self.url.contains('?') { '&' } else { '?' };
        Catalog::connect(&format!("{}{separator}options=-csearch_path%3D{}", self.url, self.schema)).await.unwrap()
    }

    /// Let the leases end that many seconds ago.
    fn end_leases(&self, seconds_ago: u64) {
        self.run(&format!(
            "UPDATE servers SET expires_at = CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT) - {}",
            seconds_ago * 1000
        ));
    }
}

fn new_table(name: &str) -> NewTable {
    NewTable {
        name: name.parse().unwrap(),
        zone: ZoneName::Raw,
        format: TableFormat::Delta,
        folder: None,
        partition_by: Vec::new(),
        owner: "ada".into(),
    }
}

#[tokio::test]
async fn a_server_whose_lease_ended_loses_its_place_to_the_next_and_writes_no_more() {
    let database = Database::new();
    let first = database.connect().await;
    first.tables().reserve(&new_table("a.before")).await.unwrap();
    database.end_leases(1);
    let second = database.connect().await;
    assert_eq!(second.writer(), first.writer(), "the place is free again");
    let error = first.tables().reserve(&new_table("a.after")).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Unavailable, "place-lost"));
    assert_eq!(first.tables().reserve(&new_table("a.after")).await.unwrap_err().code(), "place-lost");
    second.tables().reserve(&new_table("a.after")).await.unwrap();
}

#[tokio::test]
async fn a_server_that_is_alive_keeps_its_place() {
    let database = Database::new();
    let (first, second) = (database.connect().await, database.connect().await);
    assert_ne!(first.writer(), second.writer());
    first.tables().reserve(&new_table("a.t")).await.unwrap();
    second.tables().reserve(&new_table("a.t")).await.unwrap();
}

#[tokio::test]
async fn names_are_in_the_order_of_their_bytes_in_a_database_of_any_language() {
    let database = Database::new();
    let catalog = database.connect().await;
    for name in ["a.tb", "a.t_a", "a.t1"] {
        let entry = catalog.tables().reserve(&new_table(name)).await.unwrap();
        catalog.tables().activate(entry.id, &[]).await.unwrap();
    }
    let page = catalog.tables().list(None, None, &PageRequest::default()).await.unwrap();
    let names: Vec<String> = page.items.iter().map(|table| table.name.to_string()).collect();
    assert_eq!(names, ["a.t1", "a.t_a", "a.tb"]);
}

#[tokio::test]
async fn a_url_that_leads_nowhere_is_an_error_that_does_not_tell_the_password() {
    for url in ["postgres://ada:the-password@127.0.0.1:1/lake", "mysql://ada:the-password@127.0.0.1/lake", "nowhere"] {
        let error = Catalog::connect(url).await.unwrap_err();
        assert_eq!(error.code(), "catalog-unavailable", "{error:?}");
        assert!(!format!("{error:?} {error}").contains("the-password"), "{error:?}");
    }
}
