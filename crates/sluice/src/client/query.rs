//! `sluice query`: SQL on a server, shown as a table, as CSV or as JSON.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use arrow::{array::RecordBatch, ipc::reader::StreamReader, util::pretty::pretty_format_batches};
use indicatif::ProgressBar;
use reqwest::header::ACCEPT;
use serde_json::json;

use super::{Connection, ConnectionFlags};
use crate::cli::{say, write_out};

/// How often the spinner moves.
const TICK: Duration = Duration::from_millis(100);

/// Run a query.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct QueryCommand {
    /// One read-only statement; tables are named namespace.table
    pub(crate) sql: String,
    /// How the result is shown
    #[arg(long, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
    /// How many rows to show at the most
    #[arg(long)]
    pub(crate) row_limit: Option<u64>,
    #[command(flatten)]
    pub(crate) connection: ConnectionFlags,
}

/// How a result is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Output {
    /// Boxes for people.
    Table,
    /// Comma-separated values with a header.
    Csv,
    /// The server's JSON answer, with what was scanned.
    Json,
}

impl Output {
    fn media_type(self) -> &'static str {
        match self {
            Self::Table => "application/vnd.apache.arrow.stream",
            Self::Csv => "text/csv",
            Self::Json => "application/json",
        }
    }
}

impl Connection {
    /// Run the query and print its result.
    pub(crate) async fn query(&self, command: &QueryCommand) -> anyhow::Result<()> {
        let spinner = ProgressBar::new_spinner().with_message("running");
        spinner.enable_steady_tick(TICK);
        let started = Instant::now();
        let answer = self.query_bytes(command).await;
        spinner.finish_and_clear();
        let answer = answer?;
        match command.output {
            Output::Table => {
                let batches = read_batches(&answer)?;
                let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
                say(&pretty_format_batches(&batches)?.to_string());
                say(&format!("{rows} rows in {:.3} s", started.elapsed().as_secs_f64()));
            }
            Output::Csv => write_out(&answer),
            Output::Json => say(std::str::from_utf8(&answer)?),
        }
        Ok(())
    }

    async fn query_bytes(&self, command: &QueryCommand) -> anyhow::Result<Vec<u8>> {
        let body = json!({ "sql": command.sql, "row_limit": command.row_limit });
        let request = self.http.post(self.url(&["api", "v1", "queries"])?);
        let request = request.header(ACCEPT, command.output.media_type()).json(&body);
        Ok(self.send(request).await?.bytes().await?.to_vec())
    }
}

fn read_batches(stream: &[u8]) -> anyhow::Result<Vec<RecordBatch>> {
    let reader = StreamReader::try_new(stream, None).context("the answer is not an Arrow stream")?;
    Ok(reader.collect::<Result<_, _>>()?)
}
