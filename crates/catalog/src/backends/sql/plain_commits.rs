//! Commits to plain tables.

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use sluice_domain::{LogRecord, UploadEntry, UploadId, UploadState};

use super::{
    SqlBackend, inventory,
    schemas::{find_latest, record},
    tables::activate,
    uploads::{commit_one, find, insert, wrong_state},
};
use crate::{CatalogError, CommittedUpload, NewSchemaVersion, PlainCommit, PlainCommits, columns::read_number};

#[async_trait]
impl PlainCommits for SqlBackend {
    async fn reserve_stamps(&self, upload: UploadId, count: u32) -> Result<DateTime<Utc>, CatalogError> {
        let mut write = self.write().await?;
        let held: Option<(Option<i64>, i64)> =
            sqlx::query_as("SELECT first_stamp, stamp_count FROM uploads WHERE id = $1")
                .bind(upload.to_string())
                .fetch_optional(&mut *write)
                .await?;
        let (first, held) = held.ok_or(CatalogError::UploadNotFound { upload })?;
        if let Some(first) = first.filter(|_| held >= i64::from(count)) {
            return moment(first);
        }
        let last: i64 = sqlx::query_scalar("SELECT last_stamp FROM lakes").fetch_one(&mut *write).await?;
        let first = Utc::now().timestamp_micros().max(last.saturating_add(1));
        let end = moment(first)? + TimeDelta::microseconds(i64::from(count) - 1);
        sqlx::query("UPDATE lakes SET last_stamp = $1").bind(end.timestamp_micros()).execute(&mut *write).await?;
        sqlx::query("UPDATE uploads SET first_stamp = $1, stamp_count = $2 WHERE id = $3")
            .bind(first)
            .bind(i64::from(count))
            .bind(upload.to_string())
            .execute(&mut *write)
            .await?;
        write.commit().await?;
        moment(first)
    }

    async fn commit_next(&self, commit: &PlainCommit) -> Result<Option<UploadEntry>, CatalogError> {
        let mut write = self.write().await?;
        let entry = find(&mut *write, commit.upload).await?;
        match entry.state {
            UploadState::Committed => return Ok(Some(entry)),
            UploadState::Committing if entry.table_id == Some(commit.table) => {}
            _ => return Err(wrong_state(&entry)),
        }
        let latest = find_latest(&mut *write, commit.table).await?;
        if latest.is_some_and(|latest| latest.schema != commit.schema) {
            return Ok(None);
        }
        activate(&mut write, commit.table, &commit.partition_by).await?;
        let newest: Option<i64> = sqlx::query_scalar("SELECT MAX(version) FROM log_entries WHERE table_id = $1")
            .bind(commit.table.to_string())
            .fetch_one(&mut *write)
            .await?;
        let version = newest.map_or(Ok(0), |newest| read_number("version", newest.saturating_add(1)))?;
        record(&mut write, &schema_version(commit, version)).await?;
        let log = LogRecord { version, content: commit.content.clone() };
        inventory::enter_commit(&mut write, commit.table, &log).await?;
        let upload = CommittedUpload { version, rows: commit.rows, committed_at: commit.committed_at };
        let entry = commit_one(&mut write, commit.upload, &upload).await?;
        if let Some(new) = &commit.quarantined {
            insert(&mut write, new, self.node).await?;
        }
        write.commit().await?;
        Ok(Some(entry))
    }
}

fn schema_version(commit: &PlainCommit, table_version: u64) -> NewSchemaVersion {
    NewSchemaVersion {
        table_id: commit.table,
        table_version,
        schema: commit.schema.clone(),
        upload_id: Some(commit.upload),
        run_id: None,
        principal: commit.principal.clone(),
    }
}

fn moment(micros: i64) -> Result<DateTime<Utc>, CatalogError> {
    DateTime::from_timestamp_micros(micros)
        .ok_or_else(|| CatalogError::corrupt("stamp", format!("{micros} is no moment")))
}
