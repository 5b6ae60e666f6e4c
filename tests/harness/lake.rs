//! A lake on a folder that vanishes with it.

use std::{
    future::ready,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    sync::Arc,
};

use axum::{Router, body::Body, http::Method};
use serde_json::{Value, json};
use sluice::{Server, Settings};
use sluice_api::KeySettings;
use sluice_catalog::Catalog;
use sluice_domain::{Action, TableRef};
use sluice_query::Isolation;
use tempfile::TempDir;

use crate::{Answer, Call, ServedLake, samples::sha256_of};

/// A lake that is not open yet.
pub struct LakeBuilder {
    settings: Settings,
}

impl LakeBuilder {
    /// Change the settings.
    #[must_use]
    pub fn set(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self
    }

    /// A caller with a key; without namespaces it sees them all.
    #[must_use]
    pub fn key(mut self, name: &str, actions: &[Action], namespaces: Option<&[&str]>) -> Self {
        self.settings.auth.keys.push(KeySettings {
            name: name.to_owned(),
            secret_sha256: sha256_of(secret_of(name).as_bytes()),
            actions: actions.to_vec(),
            namespaces: namespaces.map(|names| names.iter().map(|name| (*name).to_owned()).collect()),
        });
        self
    }

    /// Open the lake on a new folder.
    pub async fn open(mut self) -> TestLake {
        let folder = Arc::new(tempfile::tempdir().expect("a folder for the lake"));
        self.settings.data_dir = folder.path().join("lake");
        self.settings.catalog.url = own_catalog();
        TestLake::start(folder, self.settings).await
    }

    /// Open the lake on a new folder, behind a socket.
    pub async fn serve(self) -> ServedLake {
        let lake = self.open().await;
        ServedLake::start(lake.folder, lake.server)
    }
}

/// A catalog in the PostgreSQL database that `SLUICE_TEST_POSTGRES` names, in a schema of its own; SQLite without it.
fn own_catalog() -> Option<String> {
    let url = std::env::var("SLUICE_TEST_POSTGRES").ok()?;
    let schema = format!("test_{}", uuid::Uuid::new_v4().simple());
    let made = std::process::Command::new("psql").args([&url, "-qc", &format!("CREATE SCHEMA {schema}")]).status();
    assert!(made.expect("psql is there").success(), "{url} makes no schema");
    let separator = if url.contains('?') { '&' } else { '?' };
    Some(format!("{url}{separator}options=-csearch_path%3D{schema}"))
}

/// An open lake. Its requests do not go through a socket.
pub struct TestLake {
    folder: Arc<TempDir>,
    settings: Settings,
    server: Server,
    router: Router,
}

impl TestLake {
    /// A lake with settings of one's own.
    pub fn builder() -> LakeBuilder {
        let mut settings = Settings { listen: (Ipv4Addr::LOCALHOST, 0).into(), ..Settings::default() };
        // This program is not the one that knows how to be a query's process.
        settings.query.isolation = Isolation::None;
        // This program is not the one that knows how to be a process that decodes.
        settings.ingest.isolation = sluice_ingest::Isolation::None;
        LakeBuilder { settings }
    }

    /// A lake with the default settings, where everybody may do everything.
    pub async fn open() -> Self {
        Self::builder().open().await
    }

    async fn start(folder: Arc<TempDir>, settings: Settings) -> Self {
        let server = Box::pin(Server::open(settings.clone())).await.expect("the server opens");
        let router = server.router();
        Self { folder, settings, server, router }
    }

    /// Another server on the same lake.
    pub async fn open_another(&self) -> Self {
        Self::start(Arc::clone(&self.folder), self.settings.clone()).await
    }

    /// Close the lake: what is under way is finished.
    pub async fn close(self) -> ClosedLake {
        let Self { folder, settings, server, .. } = self;
        Box::pin(server.serve(ready(()))).await.expect("the server ends well");
        ClosedLake { folder, settings }
    }

    /// Close the lake and open it again on the same folder.
    pub async fn reopen(self) -> Self {
        self.close().await.open().await
    }

    /// The folder of the catalog and the zones.
    pub fn data_dir(&self) -> &Path {
        &self.settings.data_dir
    }

    /// A request.
    pub fn call(&self, method: Method, path: &str) -> Call {
        Call::new(self.router.clone(), method, path)
    }

    /// Get what is at this path.
    pub async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path).send().await
    }

    /// Post a body with headers.
    pub async fn post(&self, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Answer {
        let call = self.call(Method::POST, path).body(body);
        headers.iter().fold(call, |call, (name, value)| call.header(name, value)).send().await
    }

    /// Upload a body into `namespace.table`; the query begins with a question mark.
    pub async fn upload(&self, table: &str, query: &str, body: impl Into<Body>) -> Answer {
        self.post(&format!("{}{query}", uploads_path(table)), &[], body).await
    }

    /// Run a statement.
    pub async fn sql(&self, sql: &str) -> Answer {
        self.call(Method::POST, "/api/v1/queries").json(&json!({ "sql": sql })).send().await
    }

    /// The rows of a statement that must succeed.
    pub async fn rows(&self, sql: &str) -> Vec<Value> {
        let answer = self.sql(sql).await.expect(200);
        assert_eq!(answer["truncated"], false, "there are more rows of {sql}");
        answer["rows"].as_array().expect("rows are an array").clone()
    }

    /// The number of rows of a table.
    pub async fn count(&self, table: &str) -> u64 {
        let rows = self.rows(&format!("SELECT count(*) AS n FROM {table}")).await;
        rows[0]["n"].as_u64().expect("a count is a number")
    }

    /// The description of a table that must exist.
    pub async fn describe(&self, table: &str) -> Value {
        self.get(&table_path(table)).await.expect(200)
    }

    /// The actions of one version of a table's Delta log, as they lie in its folder.
    pub async fn log(&self, table: &str, version: u64) -> Vec<Value> {
        let location = self.describe(table).await["location"].as_str().expect("a location").to_owned();
        let folder = PathBuf::from(location.strip_prefix("file://").expect("a local table"));
        let text = std::fs::read_to_string(folder.join(format!("_delta_log/{version:020}.json")));
        let text = text.expect("the log has this version");
        text.lines().map(|line| serde_json::from_str(line).expect("the log is JSON")).collect()
    }
}

/// A lake that nobody has open.
pub struct ClosedLake {
    folder: Arc<TempDir>,
    settings: Settings,
}

impl ClosedLake {
    /// The folder of the catalog and the zones.
    pub fn data_dir(&self) -> &Path {
        &self.settings.data_dir
    }

    /// The catalog, as a server of its own that has it open.
    pub async fn catalog(&self) -> Catalog {
        Catalog::start(&self.settings.catalog, self.data_dir()).await.expect("the catalog opens")
    }

    /// With other settings.
    #[must_use]
    pub fn changed(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self
    }

    /// Open the lake again.
    pub async fn open(self) -> TestLake {
        TestLake::start(self.folder, self.settings).await
    }
}

/// The secret of a caller's key.
pub(crate) fn secret_of(name: &str) -> String {
    format!("the-secret-of-{name}")
}

/// The path of `namespace.table`.
pub fn table_path(table: &str) -> String {
    let TableRef { namespace, table } = table.parse().expect("a table is written namespace.table");
    format!("/api/v1/tables/{namespace}/{table}")
}

/// The path of the uploads into `namespace.table`.
pub fn uploads_path(table: &str) -> String {
    format!("{}/uploads", table_path(table))
}
