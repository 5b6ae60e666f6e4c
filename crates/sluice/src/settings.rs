//! The settings: defaults, then a TOML file, then `SLUICE_` variables, then flags.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use figment::{
    Figment,
    providers::{Env, Format as _, Serialized, Toml},
};
use serde::{Deserialize, Serialize};
use sluice_api::AuthSettings;
use sluice_catalog::CatalogSettings;
use sluice_curate::CurateSettings;
use sluice_ingest::{IngestSettings, SourcesSettings};
use sluice_lifecycle::LifecycleSettings;
use sluice_monitor::MonitorSettings;
use sluice_query::QuerySettings;
use sluice_storage::StorageSettings;

use crate::connections::ConnectionSettings;

/// The Delta kernel tells of every file it looks at; that is for debugging.
const DEFAULT_FILTER: &str = "info,buoyant_kernel=warn,deltalake_core=warn";

/// Everything that can be set.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The folder of the catalog, of scratch files, and of zones that have no location of their own.
    pub data_dir: PathBuf,
    /// The address to listen at. Without authentication it must be a loopback address.
    pub listen: SocketAddr,
    /// How long a shutdown waits for what is under way, in seconds.
    pub grace_seconds: u64,
    /// Connections of clients.
    pub connections: ConnectionSettings,
    /// The log.
    pub log: LogSettings,
    /// Where the catalog is.
    pub catalog: CatalogSettings,
    /// Where the zones are.
    pub storage: StorageSettings,
    /// Uploads.
    pub ingest: IngestSettings,
    /// Sources that pull.
    pub sources: SourcesSettings,
    /// Pipelines of the lake, and their runs.
    pub curate: CurateSettings,
    /// Runs, freshness, service levels and alerts.
    pub monitor: MonitorSettings,
    /// What becomes of old data.
    pub lifecycle: LifecycleSettings,
    /// SQL.
    pub query: QuerySettings,
    /// Who may use the server.
    pub auth: AuthSettings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            data_dir: "sluice-data".into(),
            listen: (Ipv4Addr::LOCALHOST, 8080).into(),
            grace_seconds: 30,
            connections: ConnectionSettings::default(),
            log: LogSettings::default(),
            catalog: CatalogSettings::default(),
            storage: StorageSettings::default(),
            ingest: IngestSettings::default(),
            sources: SourcesSettings::default(),
            curate: CurateSettings::default(),
            monitor: MonitorSettings::default(),
            lifecycle: LifecycleSettings::default(),
            query: QuerySettings::default(),
            auth: AuthSettings::default(),
        }
    }
}

/// How the log is written.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSettings {
    /// `text` or `json`, one line an event, on standard error.
    pub format: LogFormat,
    /// Which events, in the syntax of tracing's `EnvFilter`.
    pub filter: String,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { format: LogFormat::Text, filter: DEFAULT_FILTER.into() }
    }
}

/// The shape of a line of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

impl Settings {
    /// The settings of a file and of the environment, with flags on top.
    ///
    /// # Errors
    /// A file that cannot be read, an unknown name, or a value that does not fit.
    pub fn load(file: Option<&PathBuf>, flags: &Flags) -> anyhow::Result<Self> {
        let mut figment = Figment::from(Serialized::defaults(Self::default()));
        if let Some(file) = file {
            figment = figment.merge(Toml::file_exact(file));
        }
        for secret in SECRETS {
            let name = format!("SLUICE_{}", secret.replace('.', "__").to_ascii_uppercase());
            if let Ok(value) = std::env::var(name) {
                figment = figment.merge(Serialized::default(secret, value));
            }
        }
        Ok(figment.merge(environment()).merge(Serialized::defaults(flags)).extract()?)
    }
}

/// Settings whose variables are taken as they are: a number would lose its zeros, and an error would print the value.
const SECRETS: [&str; 4] =
    ["catalog.url", "storage.s3.access_key_id", "storage.s3.secret_access_key", "storage.s3.session_token"];

/// The variables that are settings. Others that begin with `SLUICE_` belong to somebody else, such as those that
/// Kubernetes makes for a service of this name.
fn environment() -> Env {
    let known = [
        "data_dir",
        "listen",
        "grace_seconds",
        "connections",
        "log",
        "catalog",
        "storage",
        "ingest",
        "sources",
        "monitor",
        "lifecycle",
        "query",
        "auth",
    ];
    Env::prefixed("SLUICE_").split("__").filter(move |key| {
        let name = key.as_str().to_ascii_lowercase();
        let section = name.split('.').next().unwrap_or_default();
        known.contains(&section) && !SECRETS.contains(&name.as_str())
    })
}

/// Settings that have a flag of their own.
#[derive(Debug, Clone, Default, Serialize, clap::Args)]
pub struct Flags {
    /// The folder of the catalog, of scratch files, and of zones that have no location of their own
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_dir: Option<PathBuf>,
    /// The address to listen at; port 0 takes a free one
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<SocketAddr>,
}
