//! The state of things when a table was at one of its versions.

use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use sluice_domain::{
    TableEntry,
    lineage::{Dataset, Flow},
};

use crate::{App, problem::Problem};

/// As of a version of a table: until its next one was committed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AsOf {
    /// The version.
    pub(crate) version: u64,
    /// When the next one was committed.
    pub(crate) before: Option<DateTime<Utc>>,
}

impl AsOf {
    /// Whether a flow into or from the table is not of a later version.
    pub(crate) fn has(&self, table: &Dataset, flow: &Flow) -> bool {
        let later = |end: &Dataset, version: Option<u64>| end == table && version > Some(self.version);
        !later(&flow.target, flow.target_version) && !later(&flow.source, flow.source_version)
    }
}

/// When a table was at this version.
pub(crate) async fn as_of(app: &App, entry: &TableEntry, version: u64) -> Result<AsOf, Problem> {
    let next = async |version: u64| {
        let before = version.checked_add(1).filter(|before| i64::try_from(*before).is_ok());
        let Some(before) = before else { return Ok::<_, Problem>(None) };
        let newest = app.ingest.versions(entry, Some(before), 1).await?.into_iter().next();
        Ok(newest.filter(|found| found.version == version))
    };
    if next(version).await?.is_none() {
        let detail = format!("{} has no version {version}, or its log does not tell of it any more", entry.name);
        return Err(Problem::new(StatusCode::NOT_FOUND, "version-not-found", detail));
    }
    let before = next(version + 1).await?.and_then(|next| next.committed_at);
    Ok(AsOf { version, before })
}
