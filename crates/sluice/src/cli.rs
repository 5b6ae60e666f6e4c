//! The command line.

use std::{future::Future, io::Write as _, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::{Parser, Subcommand};

use crate::{
    allocator,
    catalog::{self, CatalogCommand},
    client::{Connection, FilesCommand, QueryCommand, RunCommand, UploadCommand},
    decode_worker::{self, DecodeWorkerCommand},
    demo, integrity,
    query_worker::{self, QueryWorkerCommand},
    server::Server,
    settings::{Flags, Settings},
    telemetry,
};

/// The first number of an open file that is not standard input, output or error.
const FIRST_AFTER_STANDARD: i32 = 3;

/// Data-lake ingestion and catalog server
#[derive(Parser)]
#[command(version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start the server
    Serve(ServeCommand),
    /// Upload a file to a server
    Upload(Box<UploadCommand>),
    /// Run a query on a server
    Query(QueryCommand),
    /// Make pipelines on a server as files say
    Apply(FilesCommand),
    /// Show what `apply` would change; ends with 1 where that is anything
    Diff(FilesCommand),
    /// Run a pipeline on a server, and wait for its end
    Run(RunCommand),
    /// Start a server with a sample: flights from New York in January 2013, and tables made of them
    Demo(demo::DemoCommand),
    /// Compare a lake with its ledger, byte for byte; servers may go on meanwhile
    Scrub(integrity::LakeCommand),
    /// Restore what a comparison finds damaged, as far as the ledger and the originals reach
    Repair(integrity::LakeCommand),
    /// Move the catalog between databases, keep a copy of it, or make it again from the lake
    #[command(subcommand)]
    Catalog(CatalogCommand),
    /// Print the OpenAPI document
    Openapi,
    /// Run the queries of the server that started this process
    #[command(hide = true)]
    QueryWorker(QueryWorkerCommand),
    /// Decode a file of the server that started this process
    #[command(name = sluice_ingest::DECODE_COMMAND, hide = true)]
    DecodeWorker(DecodeWorkerCommand),
}

#[derive(clap::Args)]
struct ServeCommand {
    /// A TOML file with settings
    #[arg(long, env = "SLUICE_CONFIG")]
    config: Option<PathBuf>,
    #[command(flatten)]
    flags: Flags,
}

impl Cli {
    /// Do what the command line says, with a runtime if that needs one.
    ///
    /// # Errors
    /// Whatever stops the command.
    pub fn start(self) -> anyhow::Result<ExitCode> {
        match &self.command {
            // Threads of a runtime would take of the little that it may have.
            Command::DecodeWorker(command) => decode_worker::run(command).map(|()| ExitCode::SUCCESS),
            command => {
                if matches!(command, Command::Serve(_) | Command::Demo(_)) {
                    allocator::set_options();
                }
                // What this process was given open is not for those that it starts.
                close_fds::set_fds_cloexec(FIRST_AFTER_STANDARD, &[]);
                tokio::runtime::Runtime::new().context("cannot start")?.block_on(self.run())
            }
        }
    }

    /// Do what the command line says.
    ///
    /// # Errors
    /// Whatever stops the command.
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let done = match self.command {
            Command::Serve(command) => serve(command).await,
            Command::Upload(command) => Connection::new(&command.connection)?.upload(&command).await,
            Command::Query(command) => Connection::new(&command.connection)?.query(&command).await,
            Command::Apply(command) => Connection::new(&command.connection)?.apply(&command).await,
            Command::Diff(command) => return Connection::new(&command.connection)?.diff(&command).await,
            Command::Run(command) => Connection::new(&command.connection)?.run_pipeline(&command).await,
            Command::Demo(command) => demo::run(command).await,
            Command::Scrub(command) => return integrity::scrub(command).await,
            Command::Repair(command) => return integrity::repair(command).await,
            Command::Catalog(command) => return catalog::run(command).await,
            Command::QueryWorker(command) => query_worker::run(command).await,
            Command::DecodeWorker(command) => decode_worker::run(&command),
            Command::Openapi => {
                say(&sluice_api::document().to_pretty_json()?);
                Ok(())
            }
        };
        done.map(|()| ExitCode::SUCCESS)
    }
}

async fn serve(command: ServeCommand) -> anyhow::Result<()> {
    let settings = Settings::load(command.config.as_ref(), &command.flags)?;
    telemetry::start(&settings.log)?;
    let stop = stop_signal()?;
    let server = Server::open(settings).await?;
    say(&format!("listening on http://{}", server.address()?));
    server.serve(stop).await
}

/// Ready when the process is asked to end.
pub(crate) fn stop_signal() -> anyhow::Result<impl Future<Output = ()> + Send + 'static> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// What a command says on standard output: a line.
pub(crate) fn say(text: &str) {
    write_out(format!("{text}\n").as_bytes());
}

/// What a command gives out on standard output, as it is.
pub(crate) fn write_out(bytes: &[u8]) {
    let mut out = std::io::stdout().lock();
    // A reader that has seen enough, as `head` has, is no failure.
    if out.write_all(bytes).and_then(|()| out.flush()).is_err() {
        std::process::exit(0);
    }
}
