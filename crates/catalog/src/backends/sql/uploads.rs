//! The ledger of uploads.

use async_trait::async_trait;
use serde_json::json;
use sluice_domain::{ChangedKind, Page, PageRequest, StoredFailure, TableRef, UploadEntry, UploadId, UploadState};
use sqlx::{AnyConnection, AnyExecutor};

use super::{SqlBackend, changes, entries, fetch_size, inventory, page_of, replays};
use crate::{
    CatalogError, CommittedUpload, CommittedUploads, NewUpload, Uploads,
    columns::{instant, json as column_json, now, number},
    rows::UploadRow,
};

/// Sorts after every id.
const AFTER_EVERY_ID: &str = "~";

#[async_trait]
impl Uploads for SqlBackend {
    async fn land(&self, new: &NewUpload) -> Result<UploadEntry, CatalogError> {
        let mut write = self.write().await?;
        if let Some(entry) = insert(&mut write, new, self.node).await? {
            // In one step, so that it is to be found in one place or the other.
            super::partials::forget(&mut write, new.id).await?;
            write.commit().await?;
            return Ok(entry);
        }
        match (find(&mut *write, new.id).await, &new.idempotency_key) {
            (Err(CatalogError::UploadNotFound { .. }), Some(taken)) => {
                Err(CatalogError::KeyTaken { key: taken.key.clone() })
            }
            (entered, _) => Err(wrong_state(&entered?)),
        }
    }

    async fn find(&self, id: UploadId) -> Result<UploadEntry, CatalogError> {
        find(&self.readers, id).await
    }

    async fn find_by_key(&self, scope: &str, key: &str) -> Result<Option<UploadEntry>, CatalogError> {
        let row: Option<UploadRow> =
            sqlx::query_as("SELECT * FROM uploads WHERE key_scope = $1 AND idempotency_key = $2")
                .bind(scope)
                .bind(key)
                .fetch_optional(&self.readers)
                .await?;
        row.map(UploadEntry::try_from).transpose()
    }

    async fn commit(&self, committed: &CommittedUploads) -> Result<Vec<UploadEntry>, CatalogError> {
        let mut write = self.write().await?;
        let mut entries = Vec::with_capacity(committed.uploads.len());
        for (id, upload) in &committed.uploads {
            entries.push(commit_one(&mut write, *id, upload).await?);
        }
        for new in &committed.quarantined {
            insert(&mut write, new, self.node).await?;
        }
        inventory::enter_commit(&mut write, committed.table, &committed.entry).await?;
        write.commit().await?;
        Ok(entries)
    }

    async fn fail(&self, id: UploadId, failure: &StoredFailure) -> Result<(), CatalogError> {
        let mut write = self.write().await?;
        let entry = find(&mut *write, id).await?;
        match entry.state {
            UploadState::Failed if entry.failure.as_ref() == Some(failure) => return Ok(()),
            UploadState::Landed | UploadState::Committing => {}
            _ => return Err(wrong_state(&entry)),
        }
        sqlx::query("UPDATE uploads SET state = 'failed', failure = $1, failed_at = $2 WHERE id = $3")
            .bind(column_json("upload's failure", failure)?)
            .bind(now())
            .bind(id.to_string())
            .execute(&mut *write)
            .await?;
        replays::release(&mut write, id).await?;
        let body = json!({"upload_id": id, "code": failure.code, "principal": entry.principal});
        changes::record(&mut write, ChangedKind::UploadFailed, &entry.table, body).await?;
        Ok(write.commit().await?)
    }

    async fn unfinished(&self, limit: u32) -> Result<Vec<UploadEntry>, CatalogError> {
        let rows: Vec<UploadRow> = sqlx::query_as(
            "SELECT * FROM uploads WHERE state IN ('landed', 'committing') AND node = $1 ORDER BY id LIMIT $2",
        )
        .bind(i64::from(self.node))
        .bind(i64::from(limit))
        .fetch_all(&self.readers)
        .await?;
        entries(rows)
    }

    async fn list(&self, table: &TableRef, page: &PageRequest) -> Result<Page<UploadEntry>, CatalogError> {
        let before = page.token.as_ref().map_or(AFTER_EVERY_ID, |token| token.key());
        let rows: Vec<UploadRow> =
            sqlx::query_as("SELECT * FROM uploads WHERE table_name = $1 AND id < $2 ORDER BY id DESC LIMIT $3")
                .bind(table.to_string())
                .bind(before)
                .bind(fetch_size(page))
                .fetch_all(&self.readers)
                .await?;
        page_of(rows, page, |upload: &UploadEntry| upload.id.to_string())
    }
}

pub(super) fn wrong_state(entry: &UploadEntry) -> CatalogError {
    CatalogError::WrongState { upload: entry.id, state: entry.state }
}

pub(super) async fn find(executor: impl AnyExecutor<'_>, id: UploadId) -> Result<UploadEntry, CatalogError> {
    let row: Option<UploadRow> =
        sqlx::query_as("SELECT * FROM uploads WHERE id = $1").bind(id.to_string()).fetch_optional(executor).await?;
    row.ok_or(CatalogError::UploadNotFound { upload: id })?.try_into()
}

/// Say that one upload is in its table, within a transaction.
pub(super) async fn commit_one(
    connection: &mut AnyConnection,
    id: UploadId,
    committed: &CommittedUpload,
) -> Result<UploadEntry, CatalogError> {
    let entry = find(&mut *connection, id).await?;
    match entry.state {
        UploadState::Committed if entry.version == Some(committed.version) => return Ok(entry),
        UploadState::Committing => {}
        _ => return Err(wrong_state(&entry)),
    }
    let row: UploadRow = sqlx::query_as(
        "UPDATE uploads SET state = 'committed', version = $1, row_counts = $2, committed_at = $3 \
         WHERE id = $4 RETURNING *",
    )
    .bind(number("upload's table version", committed.version)?)
    .bind(column_json("upload's row counts", &committed.rows)?)
    .bind(instant(committed.committed_at))
    .bind(id.to_string())
    .fetch_one(&mut *connection)
    .await?;
    // How far a channel is, the table's log says from now on; only keys are asked for here again.
    sqlx::query("DELETE FROM row_requests WHERE upload_id = $1 AND idempotency_key IS NULL")
        .bind(id.to_string())
        .execute(&mut *connection)
        .await?;
    let entry = UploadEntry::try_from(row)?;
    let body = json!({
        "upload_id": id, "version": committed.version, "rows": committed.rows, "principal": entry.principal
    });
    changes::record(connection, ChangedKind::UploadCommitted, &entry.table, body).await?;
    Ok(entry)
}

/// Enter an upload; none where its id or its key is there already.
pub(super) async fn insert(
    connection: &mut AnyConnection,
    new: &NewUpload,
    node: u32,
) -> Result<Option<UploadEntry>, CatalogError> {
    let row: Option<UploadRow> = sqlx::query_as(
        "INSERT INTO uploads (id, table_name, principal, key_scope, idempotency_key, file_name, read_options, \
         raw_path, size_bytes, sha256, landed_at, started_at, node, state) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 'landed') ON CONFLICT DO NOTHING RETURNING *",
    )
    .bind(new.id.to_string())
    .bind(new.table.to_string())
    .bind(&new.principal)
    .bind(new.idempotency_key.as_ref().map(|key| &key.scope))
    .bind(new.idempotency_key.as_ref().map(|key| &key.key))
    .bind(&new.file_name)
    .bind(column_json("upload's options", &new.options)?)
    .bind(&new.landed.raw_path)
    .bind(number("upload size", new.landed.size_bytes)?)
    .bind(&new.landed.sha256)
    .bind(instant(new.landed.landed_at))
    .bind(instant(new.started_at))
    .bind(i64::from(node))
    .fetch_optional(connection)
    .await?;
    row.map(UploadEntry::try_from).transpose()
}
