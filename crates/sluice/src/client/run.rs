//! `sluice run`: a run of a pipeline, waited for.

use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{Connection, ConnectionFlags};
use crate::cli::say;

/// How long the first request waits for the end, in seconds.
const WAIT_SECONDS: u64 = 30;
/// How often a run that goes on is looked at.
const LOOK_PAUSE: Duration = Duration::from_secs(1);

/// Run a pipeline.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct RunCommand {
    /// The pipeline
    pub(crate) pipeline: String,
    /// Read all of its inputs, and put the result in the place of all rows of the target
    #[arg(long)]
    pub(crate) full_refresh: bool,
    /// Makes the command repeatable: the same key is the same run; a new one by default
    #[arg(long)]
    pub(crate) idempotency_key: Option<String>,
    #[command(flatten)]
    pub(crate) connection: ConnectionFlags,
}

impl Connection {
    /// Begin a run, wait for its end, and say what it came to. A command that is cut off leaves the run going on.
    pub(crate) async fn run_pipeline(&self, command: &RunCommand) -> anyhow::Result<()> {
        let key = command.idempotency_key.clone().unwrap_or_else(|| Uuid::new_v4().to_string());
        let begin = self.http.post(self.url(&["api", "v1", "pipelines", &command.pipeline, "runs"])?);
        let begin = begin.header("Idempotency-Key", key).header("Prefer", format!("wait={WAIT_SECONDS}"));
        let body = command.full_refresh.then(|| json!({"full_refresh": true}));
        let begin = match body {
            Some(body) => begin.json(&body),
            None => begin,
        };
        let mut run: Map<String, Value> = self.send(begin).await?.json().await?;
        let id = run.get("run_id").and_then(Value::as_str).context("the server tells no run")?.to_owned();
        while text(&run, "status") == "RUNNING" {
            tokio::time::sleep(LOOK_PAUSE).await;
            run = self.send(self.http.get(self.url(&["api", "v1", "runs", &id])?)).await?.json().await?;
        }
        let told = format!(
            "{}: {} (rows in {}, rows out {}, version {})",
            command.pipeline,
            text(&run, "status"),
            text(&run, "rows_in"),
            text(&run, "rows_out"),
            text(&run, "version_out"),
        );
        match text(&run, "status").as_str() {
            "SUCCESS" | "WARNING" => {
                say(&told);
                Ok(())
            }
            _ => bail!("{told}: {}", text(&run, "error")),
        }
    }
}

/// A field as it is shown to people.
fn text(run: &Map<String, Value>, field: &str) -> String {
    match run.get(field) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
    }
}
