//! The uploads that have not landed yet.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sluice_domain::{PartialUpload, UploadId};
use sqlx::AnyConnection;

use super::{SqlBackend, entries};
use crate::{
    CatalogError, Partials,
    columns::{instant, json, number},
    rows::PartialRow,
};

#[async_trait]
impl Partials for SqlBackend {
    async fn announce(&self, new: &PartialUpload, limit: u32) -> Result<bool, CatalogError> {
        let mut write = self.write().await?;
        let open: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM partial_uploads").fetch_one(&mut *write).await?;
        if open >= i64::from(limit) {
            return Ok(false);
        }
        insert(&mut write, new).await?;
        write.commit().await?;
        Ok(true)
    }

    async fn find(&self, id: UploadId) -> Result<Option<PartialUpload>, CatalogError> {
        let row: Option<PartialRow> = sqlx::query_as("SELECT * FROM partial_uploads WHERE id = $1")
            .bind(id.to_string())
            .fetch_optional(&self.readers)
            .await?;
        row.map(PartialUpload::try_from).transpose()
    }

    async fn advance(&self, id: UploadId, from: u64, to: u64, expires_at: DateTime<Utc>) -> Result<bool, CatalogError> {
        let mut write = self.write().await?;
        let done = sqlx::query(
            "UPDATE partial_uploads SET offset_bytes = $1, expires_at = $2 \
             WHERE id = $3 AND offset_bytes = $4 AND size_bytes >= $1",
        )
        .bind(number("partial upload's offset", to)?)
        .bind(instant(expires_at))
        .bind(id.to_string())
        .bind(number("partial upload's offset", from)?)
        .execute(&mut *write)
        .await?;
        write.commit().await?;
        Ok(done.rows_affected() > 0)
    }

    async fn forget(&self, id: UploadId) -> Result<bool, CatalogError> {
        let mut write = self.write().await?;
        let forgotten = forget(&mut write, id).await?;
        write.commit().await?;
        Ok(forgotten)
    }

    async fn expired(&self, now: DateTime<Utc>, limit: u32) -> Result<Vec<PartialUpload>, CatalogError> {
        let rows: Vec<PartialRow> = sqlx::query_as(
            "SELECT * FROM partial_uploads WHERE expires_at <= $1 AND offset_bytes < size_bytes \
             ORDER BY expires_at LIMIT $2",
        )
        .bind(instant(now))
        .bind(i64::from(limit))
        .fetch_all(&self.readers)
        .await?;
        entries(rows)
    }

    async fn whole(&self, limit: u32) -> Result<Vec<PartialUpload>, CatalogError> {
        let rows: Vec<PartialRow> =
            sqlx::query_as("SELECT * FROM partial_uploads WHERE offset_bytes = size_bytes ORDER BY id LIMIT $1")
                .bind(i64::from(limit))
                .fetch_all(&self.readers)
                .await?;
        entries(rows)
    }
}

/// Forget an upload within a transaction; says whether it was there.
pub(super) async fn forget(connection: &mut AnyConnection, id: UploadId) -> Result<bool, CatalogError> {
    let done =
        sqlx::query("DELETE FROM partial_uploads WHERE id = $1").bind(id.to_string()).execute(connection).await?;
    Ok(done.rows_affected() > 0)
}

async fn insert(connection: &mut AnyConnection, new: &PartialUpload) -> Result<(), CatalogError> {
    sqlx::query(
        "INSERT INTO partial_uploads (id, delivery, table_name, principal, file_name, note, read_options, \
         size_bytes, offset_bytes, sha256, started_at, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
    )
    .bind(new.id.to_string())
    .bind(new.delivery.as_str())
    .bind(new.table.to_string())
    .bind(&new.principal)
    .bind(&new.file_name)
    .bind(&new.note)
    .bind(json("partial upload's options", &new.options)?)
    .bind(number("partial upload's size", new.size_bytes)?)
    .bind(number("partial upload's offset", new.offset_bytes)?)
    .bind(&new.sha256)
    .bind(instant(new.started_at))
    .bind(instant(new.expires_at))
    .execute(connection)
    .await?;
    Ok(())
}
