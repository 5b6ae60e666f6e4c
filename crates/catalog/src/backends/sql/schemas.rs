//! Schema versions.

use async_trait::async_trait;
use sluice_domain::{ChangedKind, Page, PageRequest, SchemaVersion, TableId};
use sqlx::{AnyConnection, AnyExecutor};

use super::{
    SqlBackend, changes, fetch_size, page_of, search,
    tables::{find_live_by_id, not_found},
};
use crate::{
    CatalogError, NewSchemaVersion, Schemas,
    columns::{json, now, number},
    rows::SchemaRow,
};

#[async_trait]
impl Schemas for SqlBackend {
    async fn record(&self, new: &NewSchemaVersion) -> Result<SchemaVersion, CatalogError> {
        let mut write = self.write().await?;
        let version = record(&mut write, new).await?;
        write.commit().await?;
        Ok(version)
    }

    async fn list(&self, table: TableId, page: &PageRequest) -> Result<Page<SchemaVersion>, CatalogError> {
        // A token of another listing names no number: nothing comes after it.
        let before = page.token.as_ref().map_or(i64::MAX, |token| token.key().parse().unwrap_or(0));
        let rows: Vec<SchemaRow> = sqlx::query_as(
            "SELECT * FROM schema_versions WHERE table_id = $1 AND number < $2 ORDER BY number DESC LIMIT $3",
        )
        .bind(table.to_string())
        .bind(before)
        .bind(fetch_size(page))
        .fetch_all(&self.readers)
        .await?;
        page_of(rows, page, |version: &SchemaVersion| version.number.to_string())
    }

    async fn latest(&self, table: TableId) -> Result<Option<SchemaVersion>, CatalogError> {
        find_latest(&self.readers, table).await
    }
}

async fn find(connection: &mut AnyConnection, new: &NewSchemaVersion) -> Result<Option<SchemaVersion>, CatalogError> {
    let row: Option<SchemaRow> =
        sqlx::query_as("SELECT * FROM schema_versions WHERE table_id = $1 AND table_version = $2")
            .bind(new.table_id.to_string())
            .bind(number("schema's table version", new.table_version)?)
            .fetch_optional(connection)
            .await?;
    row.map(SchemaVersion::try_from).transpose()
}

/// Record a schema within a transaction.
pub(super) async fn record(
    connection: &mut AnyConnection,
    new: &NewSchemaVersion,
) -> Result<SchemaVersion, CatalogError> {
    if let Some(recorded) = find(&mut *connection, new).await? {
        return Ok(recorded);
    }
    let latest = find_latest(&mut *connection, new.table_id).await?;
    match latest {
        Some(latest) if latest.table_version > new.table_version || latest.schema == new.schema => Ok(latest),
        latest => insert(connection, new, latest.map_or(1, |latest| latest.number + 1)).await,
    }
}

pub(super) async fn find_latest(
    executor: impl AnyExecutor<'_>,
    table: TableId,
) -> Result<Option<SchemaVersion>, CatalogError> {
    let row: Option<SchemaRow> =
        sqlx::query_as("SELECT * FROM schema_versions WHERE table_id = $1 ORDER BY number DESC LIMIT 1")
            .bind(table.to_string())
            .fetch_optional(executor)
            .await?;
    row.map(SchemaVersion::try_from).transpose()
}

/// Insert, and read back before anything is committed: nesting is written to any depth, but read to a limited one.
async fn insert(
    connection: &mut AnyConnection,
    new: &NewSchemaVersion,
    next: i64,
) -> Result<SchemaVersion, CatalogError> {
    let inserted: Result<SchemaRow, sqlx::Error> = sqlx::query_as(
        "INSERT INTO schema_versions \
         (table_id, number, table_version, schema_json, upload_id, run_id, principal, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING *",
    )
    .bind(new.table_id.to_string())
    .bind(next)
    .bind(number("schema's table version", new.table_version)?)
    .bind(json("schema", &new.schema)?)
    .bind(new.upload_id.map(|id| id.to_string()))
    .bind(new.run_id.map(|id| id.to_string()))
    .bind(&new.principal)
    .bind(now())
    .fetch_one(&mut *connection)
    .await;
    let version = match inserted {
        Err(sqlx::Error::Database(error)) if error.is_foreign_key_violation() => return Err(not_found(new.table_id)),
        inserted => SchemaVersion::try_from(inserted?)?,
    };
    let table = match find_live_by_id(connection, new.table_id).await {
        Ok(table) => table,
        // Deleted in the meantime: nobody finds it until it is restored, and then by these columns.
        Err(CatalogError::TableNotFound { .. }) => return Ok(version),
        Err(error) => return Err(error),
    };
    search::index(connection, &table).await?;
    let body = serde_json::json!({
        "schema_version": version.number,
        "table_version": version.table_version,
        "upload_id": version.upload_id,
        "run_id": version.run_id.map(|id| id.to_string()),
        "principal": version.principal,
    });
    changes::record(connection, ChangedKind::SchemaChanged, &table.name, body).await?;
    Ok(version)
}
