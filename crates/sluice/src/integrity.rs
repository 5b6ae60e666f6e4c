//! `sluice scrub` and `sluice repair`: a lake against its ledger, a line of JSON for each thing that is wrong.

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::Context as _;
use serde::Serialize;
use sluice_catalog::Catalog;
use sluice_ingest::{Integrity, Lake};
use sluice_storage::Zones;
use sluice_table::Shelf;

use crate::{
    cli::say,
    settings::{Flags, Settings},
    telemetry,
};

/// The exit code of a comparison that found something, and of a repair that left something.
const FOUND: u8 = 1;

/// Which lake.
#[derive(clap::Args)]
pub(crate) struct LakeCommand {
    /// A TOML file with settings
    #[arg(long, env = "SLUICE_CONFIG")]
    config: Option<PathBuf>,
    #[command(flatten)]
    flags: Flags,
}

/// Compare every log entry, data file and original with the ledger. Servers may go on meanwhile.
pub(crate) async fn scrub(command: LakeCommand) -> anyhow::Result<ExitCode> {
    let (integrity, catalog) = open(command).await?;
    let mut findings = 0_u64;
    let objects = integrity
        .scrub(&mut |finding| {
            findings += 1;
            line(&finding);
        })
        .await?;
    catalog.close().await?;
    tracing::info!(objects, findings, "scrubbed");
    Ok(if findings == 0 { ExitCode::SUCCESS } else { ExitCode::from(FOUND) })
}

/// Put right what the comparison finds, as far as the ledger and the originals reach.
pub(crate) async fn repair(command: LakeCommand) -> anyhow::Result<ExitCode> {
    let (integrity, catalog) = open(command).await?;
    let (mut repaired, mut left) = (0_u64, 0_u64);
    integrity
        .repair(&mut |repair| {
            if repair.repaired {
                repaired += 1
            } else {
                left += 1
            }
            line(&repair);
        })
        .await?;
    catalog.close().await?;
    tracing::info!(repaired, left, "repaired");
    Ok(if left == 0 { ExitCode::SUCCESS } else { ExitCode::from(FOUND) })
}

/// Make the catalog anew from what the lake tells. No server may have it open.
pub(crate) async fn rebuild(command: LakeCommand) -> anyhow::Result<ExitCode> {
    let (integrity, catalog) = open(command).await?;
    let (mut tables, mut left_out) = (0_u64, 0_u64);
    integrity
        .rebuild(&mut |table| {
            tables += 1;
            left_out += u64::from(table.left_out.is_some());
            line(table);
        })
        .await?;
    catalog.close().await?;
    tracing::info!(tables, left_out, "rebuilt");
    Ok(if left_out == 0 { ExitCode::SUCCESS } else { ExitCode::from(FOUND) })
}

async fn open(command: LakeCommand) -> anyhow::Result<(Integrity, Catalog)> {
    let settings = Settings::load(command.config.as_ref(), &command.flags)?;
    telemetry::start(&settings.log)?;
    let data_dir = std::fs::canonicalize(&settings.data_dir)
        .with_context(|| format!("there is no folder {}", settings.data_dir.display()))?;
    let catalog = Catalog::start(&settings.catalog, &data_dir).await?;
    let zones = Arc::new(Zones::open(&settings.storage, &data_dir)?);
    let scratch_dir = settings.ingest.scratch_dir.clone().unwrap_or_else(|| data_dir.join("scratch"));
    std::fs::create_dir_all(&scratch_dir)?;
    let shelf = Arc::new(Shelf::new(Arc::clone(&zones)));
    let lake = Lake { zones, catalog: catalog.clone(), shelf };
    Ok((Integrity::new(settings.ingest, lake, &scratch_dir)?, catalog))
}

fn line(value: &impl Serialize) {
    // Names and texts: there is nothing in them that JSON has no word for.
    say(&serde_json::to_string(value).unwrap_or_default());
}
