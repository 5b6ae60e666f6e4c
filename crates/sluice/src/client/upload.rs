//! `sluice upload`: a file to a table, with a progress bar.

use std::path::PathBuf;

use anyhow::Context as _;
use futures::TryStreamExt as _;
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::Body;
use serde_json::Value;
use sluice_domain::TableRef;
use tokio_util::io::ReaderStream;
use uuid::Uuid;

use super::{Connection, ConnectionFlags, WriteFlags};
use crate::cli::say;

/// How large a piece of the file is sent at once, in bytes.
const PIECE_BYTES: usize = 256 * 1024;

/// Upload a file.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct UploadCommand {
    /// The file
    pub(crate) file: PathBuf,
    /// The table, namespace.table; made if it does not exist
    #[arg(long)]
    pub(crate) table: TableRef,
    /// csv, tsv, ndjson, json, parquet, arrow, avro or zip; by default what the file's name ends with
    #[arg(long)]
    pub(crate) format: Option<String>,
    /// Columns to partition a new table by, separated by commas
    #[arg(long)]
    pub(crate) partition_by: Option<String>,
    /// Texts that stand for a missing value, separated by commas
    #[arg(long)]
    pub(crate) null_values: Option<String>,
    /// CSV: the character between fields, or tab
    #[arg(long)]
    pub(crate) delimiter: Option<String>,
    /// Makes the upload repeatable; a new one by default
    #[arg(long)]
    pub(crate) idempotency_key: Option<String>,
    #[command(flatten)]
    pub(crate) write: WriteFlags,
    #[command(flatten)]
    pub(crate) connection: ConnectionFlags,
}

impl UploadCommand {
    fn parameters(&self) -> Vec<(&'static str, String)> {
        let file_name = self.file.file_name().map(|name| name.to_string_lossy().into_owned());
        let given = [
            ("file_name", file_name),
            ("format", self.format.clone()),
            ("partition_by", self.partition_by.clone()),
            ("null_values", self.null_values.clone()),
            ("delimiter", self.delimiter.clone()),
        ];
        given.into_iter().chain(self.write.parameters()).filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

impl Connection {
    /// Upload the file and print the receipt.
    pub(crate) async fn upload(&self, command: &UploadCommand) -> anyhow::Result<()> {
        let shown = command.file.display();
        let file = tokio::fs::File::open(&command.file).await.with_context(|| format!("cannot open {shown}"))?;
        let size_bytes = file.metadata().await?.len();
        let bar = progress_bar(size_bytes);
        let moving = bar.clone();
        let pieces =
            ReaderStream::with_capacity(file, PIECE_BYTES).inspect_ok(move |piece| moving.inc(piece.len() as u64));
        let receipt = self.upload_body(command, Body::wrap_stream(pieces)).await;
        bar.finish_and_clear();
        say(&serde_json::to_string_pretty(&receipt?)?);
        Ok(())
    }

    /// Upload these bytes; gives the receipt.
    pub(crate) async fn upload_body(&self, command: &UploadCommand, body: Body) -> anyhow::Result<Value> {
        let TableRef { namespace, table } = &command.table;
        let mut url = self.url(&["api", "v1", "tables", namespace.as_str(), table.as_str(), "uploads"])?;
        url.query_pairs_mut().extend_pairs(command.parameters());
        let key = command.idempotency_key.clone().unwrap_or_else(|| Uuid::new_v4().to_string());
        let request = self.http.post(url).header("idempotency-key", &key).body(body);
        let answer = async { anyhow::Ok(self.send(request).await?.json().await?) }.await;
        answer.with_context(|| format!("to try this upload again, and be safe, add --idempotency-key {key}"))
    }
}

fn progress_bar(size_bytes: u64) -> ProgressBar {
    let bar = ProgressBar::new(size_bytes);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}") {
        bar.set_style(style);
    }
    bar
}
