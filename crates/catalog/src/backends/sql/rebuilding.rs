//! A catalog made anew from what the lake tells.

use async_trait::async_trait;
use sluice_domain::{TableEntry, TableId, TableState};
use sqlx::AnyConnection;

use super::{
    SqlBackend, inventory,
    namespaces::ensure_namespace,
    schemas, search,
    tables::{activate, find_live},
    uploads,
};
use crate::{
    CatalogError, CommittedUpload, FoundTable, NewUpload, Rebuilding,
    columns::{instant, json, now, number},
};

#[async_trait]
impl Rebuilding for SqlBackend {
    async fn is_new(&self) -> Result<bool, CatalogError> {
        let held: i64 = sqlx::query_scalar("SELECT (SELECT COUNT(*) FROM tables) + (SELECT COUNT(*) FROM uploads)")
            .fetch_one(&self.readers)
            .await?;
        Ok(held == 0)
    }

    async fn enter_found(&self, found: &FoundTable) -> Result<(), CatalogError> {
        let (entry, mut write) = (&found.entry, self.write().await?);
        if find_live(&mut write, &entry.name).await?.is_some() {
            return Err(CatalogError::TableExists { name: entry.name.clone() });
        }
        ensure_namespace(&mut write, &entry.name.namespace, &entry.owner).await?;
        insert(&mut write, entry).await?;
        activate(&mut write, entry.id, &entry.partition_by).await?;
        for schema in &found.schemas {
            schemas::record(&mut write, schema).await?;
        }
        for (upload, committed) in &found.uploads {
            enter_upload(&mut write, entry.id, upload, committed).await?;
        }
        inventory::enter(&mut write, entry.id, &found.files).await?;
        for record in &found.log {
            inventory::enter_commit(&mut write, entry.id, record).await?;
        }
        if entry.state == TableState::Deleted {
            delete(&mut write, entry).await?;
        }
        Ok(write.commit().await?)
    }
}

/// Enter a table that nobody has made active yet, under the id that it had.
async fn insert(connection: &mut AnyConnection, entry: &TableEntry) -> Result<(), CatalogError> {
    sqlx::query(
        "INSERT INTO tables \
         (id, namespace, name, zone, path, format, partition_by, owner, state, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'reserved', $9, $10)",
    )
    .bind(entry.id.to_string())
    .bind(entry.name.namespace.as_str())
    .bind(entry.name.to_string())
    .bind(entry.zone.as_str())
    .bind(&entry.path)
    .bind(entry.format.as_str())
    .bind(json("table partitioning", &entry.partition_by)?)
    .bind(&entry.owner)
    .bind(instant(entry.created_at))
    .bind(now())
    .execute(connection)
    .await?;
    Ok(())
}

async fn enter_upload(
    connection: &mut AnyConnection,
    table: TableId,
    upload: &NewUpload,
    committed: &CommittedUpload,
) -> Result<(), CatalogError> {
    // No server works on it: which one is named does not matter.
    uploads::insert(&mut *connection, upload, 0).await?;
    sqlx::query(
        "UPDATE uploads SET state = 'committed', table_id = $1, version = $2, row_counts = $3, committed_at = $4 \
         WHERE id = $5",
    )
    .bind(table.to_string())
    .bind(number("upload's table version", committed.version)?)
    .bind(json("upload's row counts", &committed.rows)?)
    .bind(instant(committed.committed_at))
    .bind(upload.id.to_string())
    .execute(connection)
    .await?;
    Ok(())
}

async fn delete(connection: &mut AnyConnection, entry: &TableEntry) -> Result<(), CatalogError> {
    sqlx::query("UPDATE tables SET state = 'deleted', deleted_at = $1, updated_at = $1 WHERE id = $2")
        .bind(now())
        .bind(entry.id.to_string())
        .execute(&mut *connection)
        .await?;
    search::forget(connection, entry).await
}
