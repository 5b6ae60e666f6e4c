//! The commands that take the catalog out of its database, and put it in.

use std::{
    fs::File,
    io::{BufReader, BufWriter},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use sluice_catalog::Catalog;
use tempfile::NamedTempFile;

use crate::{
    integrity::{self, LakeCommand},
    settings::{Flags, Settings},
    telemetry,
};

/// What to do with the catalog.
#[derive(Subcommand)]
pub(crate) enum CatalogCommand {
    /// Write everything that the catalog holds into a file, as lines of JSON
    Export(Transfer),
    /// Take what was exported into a catalog that is new; no server may have it open
    Import(Transfer),
    /// Make a catalog that was lost anew from the Delta logs of the lake; no server may have it open
    Rebuild(LakeCommand),
}

/// Out of which catalog, or into which.
#[derive(Args)]
pub(crate) struct Transfer {
    /// The file; an export makes it, and it must not be there yet
    file: PathBuf,
    /// A TOML file with settings
    #[arg(long, env = "SLUICE_CONFIG")]
    config: Option<PathBuf>,
    #[command(flatten)]
    flags: Flags,
}

/// Do it.
pub(crate) async fn run(command: CatalogCommand) -> anyhow::Result<ExitCode> {
    let (transfer, is_export) = match command {
        CatalogCommand::Export(transfer) => (transfer, true),
        CatalogCommand::Import(transfer) => (transfer, false),
        CatalogCommand::Rebuild(command) => return integrity::rebuild(command).await,
    };
    let settings = Settings::load(transfer.config.as_ref(), &transfer.flags)?;
    telemetry::start(&settings.log)?;
    let catalog = Catalog::start(&settings.catalog, &settings.data_dir).await?;
    let done = if is_export { export(&catalog, &transfer.file).await } else { import(&catalog, &transfer.file).await };
    catalog.close().await?;
    done.map(|()| ExitCode::SUCCESS)
}

/// The file has its name only when it is whole and durable.
async fn export(catalog: &Catalog, path: &Path) -> anyhow::Result<()> {
    if path.exists() {
        bail!("{} is there already", path.display());
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let file = NamedTempFile::new_in(folder).with_context(|| format!("cannot write in {}", folder.display()))?;
    let mut out = BufWriter::new(file);
    let rows = catalog.export(&mut out).await?;
    let file = out.into_inner().map_err(std::io::IntoInnerError::into_error)?;
    file.as_file().sync_all()?;
    file.persist_noclobber(path)?;
    File::open(folder)?.sync_all()?;
    tracing::info!(rows, "exported");
    Ok(())
}

async fn import(catalog: &Catalog, path: &Path) -> anyhow::Result<()> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let rows = catalog.import(&mut BufReader::new(file)).await?;
    tracing::info!(rows, "imported");
    Ok(())
}
