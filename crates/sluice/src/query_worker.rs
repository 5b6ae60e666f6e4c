//! Queries in processes of their own: how the server starts them, and what they do.
//!
//! Invariant: a worker has its limits before it reads anything.
//! Invariant: secrets come to a worker through its pipe, never by arguments or environment.

use std::{
    error::Error,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context as _;
use rlimit::{Resource, setrlimit};
use serde::{Deserialize, Serialize};
use sluice_query::{QuerySettings, TableOpener, WorkerProgram, serve_worker};
use sluice_storage::{StorageSettings, Zones};
use sluice_table::Shelf;
use tokio::{
    signal::unix::{SignalKind, signal},
    task::spawn_blocking,
};

use crate::lake::LakeTables;

/// This program as it runs, even where its file was replaced since.
const THIS_PROGRAM: &str = "/proc/self/exe";

/// How willing the system is to end this process when memory is short, and the most willing it can be.
const OOM_SCORE: &str = "/proc/self/oom_score_adj";
const FIRST_TO_GO: &str = "1000";

/// Both allocators take address space in large pieces ahead of need, one of them for each thread: under a limit that is
/// space that queries do not have.
const ALLOCATORS: [(&str, &str); 2] = [("MIMALLOC_ARENA_RESERVE", "64MiB"), ("MALLOC_ARENA_MAX", "1")];

/// What a worker is told on its command line: limits, which must hold before anything else is read.
#[derive(clap::Args)]
pub(crate) struct QueryWorkerCommand {
    /// The most address space that the process may take, in bytes
    #[arg(long)]
    address_space_bytes: u64,
}

/// What a worker needs to open tables.
#[derive(Serialize, Deserialize)]
struct Lake {
    storage: StorageSettings,
    data_dir: PathBuf,
}

/// The worker of this server.
pub(crate) fn program(
    settings: &QuerySettings,
    storage: &StorageSettings,
    data_dir: &Path,
) -> anyhow::Result<WorkerProgram> {
    let this = Path::new(THIS_PROGRAM);
    let program = if this.exists() { this.to_owned() } else { std::env::current_exe()? };
    let limit = settings.worker_address_space_bytes().to_string();
    let lake = Lake { storage: storage.clone().with_environment(), data_dir: data_dir.to_owned() };
    Ok(WorkerProgram {
        program,
        arguments: vec!["query-worker".into(), "--address-space-bytes".into(), limit.into()],
        environment: ALLOCATORS.map(|(name, value)| (name.into(), value.into())).into(),
        lake: serde_json::to_value(lake)?,
    })
}

/// Be a worker: answer the queries that come on standard input, until it is closed.
pub(crate) async fn run(command: QueryWorkerCommand) -> anyhow::Result<()> {
    let limit = command.address_space_bytes;
    setrlimit(Resource::AS, limit, limit).context("the address space cannot be limited")?;
    setrlimit(Resource::CORE, 0, 0).context("core dumps cannot be switched off")?;
    // Where the system runs out of memory, it is to end queries and not the server.
    if let Err(error) = std::fs::write(OOM_SCORE, FIRST_TO_GO) {
        tracing::debug!(%error, "this system does not choose whom to end by a score");
    }
    // The server decides when its workers end: what is sent to the whole service is not for them.
    let _ignored = [signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?];
    let serving = spawn_blocking(|| {
        let hung_up = || std::process::exit(0);
        serve_worker(std::io::stdin(), std::io::stdout().lock(), open_lake, hung_up)
    });
    serving.await?.context("the server cannot be served")
}

fn open_lake(lake: serde_json::Value) -> Result<Arc<dyn TableOpener>, Box<dyn Error + Send + Sync>> {
    let lake: Lake = serde_json::from_value(lake)?;
    let zones = Arc::new(Zones::open(&lake.storage, &lake.data_dir)?);
    Ok(Arc::new(LakeTables { shelf: Arc::new(Shelf::new(zones)) }))
}
