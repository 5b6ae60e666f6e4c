//! A server that is a process of its own.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use reqwest::Client;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A server on a folder that vanishes with it. Dropping it kills it.
pub(crate) struct ServerProcess {
    process: Child,
    url: String,
    client: Client,
    _folder: TempDir,
}

/// What came of an upload.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
    pub(crate) took: Duration,
}

impl ServerProcess {
    /// A server with these settings by their variables' names after `SLUICE_`.
    pub(crate) fn start(settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(folder.path());
        command.env_clear().envs(settings.iter().map(|(name, value)| (format!("SLUICE_{name}"), value)));
        let mut process =
            command.env("SLUICE_SECRET", "a secret").stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("listening on ").unwrap().to_owned();
        Self { process, url, client: Client::new(), _folder: folder }
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Whether it ended well.
    pub(crate) fn wait(&mut self) -> bool {
        self.process.wait().unwrap().success()
    }

    pub(crate) async fn upload(&self, table: &str, format: &str, bytes: Vec<u8>) -> Answer {
        let url = format!("{}/api/v1/tables/a/{table}/uploads?format={format}", self.url);
        let started = Instant::now();
        let response = self.client.post(url).body(bytes).send().await.unwrap();
        let (status, body) = (response.status().as_u16(), response.json().await.unwrap());
        Answer { status, body, took: started.elapsed() }
    }

    /// The number of rows of a table that must be there.
    pub(crate) async fn count(&self, table: &str) -> u64 {
        let query = json!({ "sql": format!("SELECT count(*) AS n FROM a.{table}") });
        let response = self.client.post(format!("{}/api/v1/queries", self.url)).json(&query).send().await.unwrap();
        let body: Value = response.json().await.unwrap();
        body["rows"][0]["n"].as_u64().unwrap()
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
