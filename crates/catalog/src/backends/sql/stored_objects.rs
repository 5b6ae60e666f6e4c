//! The bytes of uploads and the files of deleted tables in the database.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sluice_domain::{StorageClass, TableEntry, TableId, UploadId};

use super::{SqlBackend, entries};
use crate::{
    CatalogError, ObjectRecord, Original, StoredObjects,
    columns::{instant, now},
    lifecycle_rows::{ObjectRow, OriginalRow},
    rows::TableRow,
};

#[async_trait]
impl StoredObjects for SqlBackend {
    async fn originals(&self, after: Option<UploadId>, limit: u32) -> Result<Vec<Original>, CatalogError> {
        let rows: Vec<OriginalRow> = sqlx::query_as(
            "SELECT u.id, u.table_name, u.table_id, u.state, u.raw_path, u.size_bytes, u.landed_at, \
             o.storage_class, o.simulated FROM uploads u LEFT JOIN lifecycle_objects o ON o.raw_path = u.raw_path \
             WHERE u.id > $1 AND o.expired_at IS NULL ORDER BY u.id LIMIT $2",
        )
        .bind(after.map(|after| after.to_string()).unwrap_or_default())
        .bind(i64::from(limit))
        .fetch_all(&self.readers)
        .await?;
        entries(rows)
    }

    async fn original(&self, upload: UploadId) -> Result<Option<Original>, CatalogError> {
        let row: Option<OriginalRow> = sqlx::query_as(
            "SELECT u.id, u.table_name, u.table_id, u.state, u.raw_path, u.size_bytes, u.landed_at, \
             o.storage_class, o.simulated FROM uploads u LEFT JOIN lifecycle_objects o ON o.raw_path = u.raw_path \
             WHERE u.id = $1 AND o.expired_at IS NULL",
        )
        .bind(upload.to_string())
        .fetch_optional(&self.readers)
        .await?;
        row.map(Original::try_from).transpose()
    }

    async fn find(&self, raw_path: &str) -> Result<ObjectRecord, CatalogError> {
        let row: Option<ObjectRow> =
            sqlx::query_as("SELECT storage_class, simulated, expired_at FROM lifecycle_objects WHERE raw_path = $1")
                .bind(raw_path)
                .fetch_optional(&self.readers)
                .await?;
        row.map_or_else(|| Ok(ObjectRecord::default()), ObjectRecord::try_from)
    }

    async fn set_class(&self, raw_path: &str, class: StorageClass, simulated: bool) -> Result<(), CatalogError> {
        let mut write = self.write().await?;
        sqlx::query(
            "INSERT INTO lifecycle_objects (raw_path, storage_class, simulated, changed_at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (raw_path) DO UPDATE SET storage_class = excluded.storage_class, \
             simulated = excluded.simulated, changed_at = excluded.changed_at",
        )
        .bind(raw_path)
        .bind(class.as_str())
        .bind(i64::from(simulated))
        .bind(now())
        .execute(&mut *write)
        .await?;
        Ok(write.commit().await?)
    }

    async fn expire(&self, raw_path: &str) -> Result<(), CatalogError> {
        let (mut write, moment) = (self.write().await?, now());
        sqlx::query(
            "INSERT INTO lifecycle_objects (raw_path, storage_class, simulated, changed_at, expired_at) \
             VALUES ($1, 'STANDARD', 0, $2, $3) ON CONFLICT (raw_path) DO UPDATE SET \
             changed_at = excluded.changed_at, expired_at = excluded.expired_at",
        )
        .bind(raw_path)
        .bind(&moment)
        .bind(&moment)
        .execute(&mut *write)
        .await?;
        Ok(write.commit().await?)
    }

    async fn deleted_tables(&self, before: DateTime<Utc>, limit: u32) -> Result<Vec<TableEntry>, CatalogError> {
        let rows: Vec<TableRow> = sqlx::query_as(
            "SELECT * FROM tables WHERE state = 'deleted' AND purged_at IS NULL AND deleted_at < $1 \
             ORDER BY deleted_at, id LIMIT $2",
        )
        .bind(instant(before))
        .bind(i64::from(limit))
        .fetch_all(&self.readers)
        .await?;
        entries(rows)
    }

    async fn begin_purge(&self, id: TableId) -> Result<bool, CatalogError> {
        let mut write = self.write().await?;
        let done =
            sqlx::query("UPDATE tables SET purged_at = COALESCE(purged_at, $1) WHERE id = $2 AND state = 'deleted'")
                .bind(now())
                .bind(id.to_string())
                .execute(&mut *write)
                .await?;
        write.commit().await?;
        Ok(done.rows_affected() > 0)
    }

    async fn finish_purge(&self, id: TableId) -> Result<(), CatalogError> {
        let mut write = self.write().await?;
        for statement in ["DELETE FROM data_files WHERE table_id = $1", "DELETE FROM log_entries WHERE table_id = $1"] {
            sqlx::query(statement).bind(id.to_string()).execute(&mut *write).await?;
        }
        Ok(write.commit().await?)
    }
}
