//! A server that is a process of its own.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A server on a folder that vanishes with it. Dropping it kills it.
pub(crate) struct ServerProcess {
    process: Child,
    url: String,
    client: Client,
    folder: TempDir,
}

impl ServerProcess {
    /// A server with `shop.numbers`, and with these settings by their variables' names after `SLUICE_`.
    pub(crate) async fn start(settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(folder.path());
        command.env_clear().envs(settings.iter().map(|(name, value)| (format!("SLUICE_{name}"), value)));
        let mut process = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("listening on ").unwrap().to_owned();
        let server = Self { process, url, client: Client::new(), folder };
        let rows: String = (0..20_000).map(|n| format!("{{\"n\":{n}}}\n")).collect();
        server.upload("shop/numbers", rows).await;
        server
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// The folder of everything that the server keeps.
    pub(crate) fn data_dir(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}", self.url))
    }

    /// A query that is not sent yet.
    pub(crate) fn query(&self, sql: &str) -> RequestBuilder {
        self.client.post(format!("{}/api/v1/queries", self.url)).json(&json!({ "sql": sql }))
    }

    /// The status and the body of a query's answer.
    pub(crate) async fn answer(&self, sql: &str) -> (u16, Value) {
        let response = self.query(sql).send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    /// The rows of a query that must succeed.
    pub(crate) async fn rows(&self, sql: &str) -> Value {
        let (status, body) = self.answer(sql).await;
        assert_eq!(status, 200, "{body}");
        body["rows"].clone()
    }

    /// Upload lines of JSON that must be taken.
    pub(crate) async fn upload(&self, table: &str, rows: String) {
        let url = format!("{}/api/v1/tables/{table}/uploads?format=ndjson", self.url);
        let response = self.client.post(url).body(rows).send().await.unwrap();
        assert_eq!(response.status(), 201, "{}", response.text().await.unwrap());
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
