//! The rows of quality, as they are stored.

use sluice_domain::{QualityResult, QualitySubject, RunId, UploadId};
use sqlx::FromRow;

use crate::{
    CatalogError, JudgedResult,
    columns::{read, read_json, read_number},
};

#[derive(FromRow)]
pub(crate) struct QualityResultRow {
    id: String,
    upload_id: Option<String>,
    run_id: Option<String>,
    version: Option<i64>,
    checked_at: String,
    validation: String,
}

impl TryFrom<QualityResultRow> for QualityResult {
    type Error = CatalogError;
    fn try_from(row: QualityResultRow) -> Result<Self, CatalogError> {
        let subject = match (&row.upload_id, &row.run_id) {
            (Some(id), _) => QualitySubject::Upload(UploadId(read("quality result's upload", id)?)),
            (None, Some(id)) => QualitySubject::Run(RunId(read("quality result's run", id)?)),
            (None, None) => QualitySubject::Table(read("quality result id", &row.id)?),
        };
        Ok(Self {
            subject,
            version: row.version.map(|version| read_number("quality result's version", version)).transpose()?,
            checked_at: read("quality result's time", &row.checked_at)?,
            validation: read_json("quality result", &row.validation)?,
        })
    }
}

/// A result with its table.
#[derive(FromRow)]
pub(crate) struct JudgedResultRow {
    #[sqlx(flatten)]
    result: QualityResultRow,
    recorded_at: String,
    table_name: String,
    tags: Option<String>,
}

impl TryFrom<JudgedResultRow> for JudgedResult {
    type Error = CatalogError;
    fn try_from(row: JudgedResultRow) -> Result<Self, CatalogError> {
        Ok(Self {
            recorded_at: read("quality result's time", &row.recorded_at)?,
            table: read("table name", &row.table_name)?,
            tags: row.tags.map(|tags| read_json("tags", &tags)).transpose()?.unwrap_or_default(),
            result: row.result.try_into()?,
        })
    }
}
