//! What the tables' folders should hold.

use std::collections::BTreeMap;

use async_trait::async_trait;
use sluice_domain::{FileRecord, LogRecord, TableId, TableRef};
use sqlx::AnyConnection;

use super::{SqlBackend, assembled::Assembled, entries};
use crate::{
    CatalogError, Inventory,
    columns::{number, read, read_number},
    rows::{FileRow, LogRow},
};

/// How many files go into one statement: the database counts its parameters.
const FILES_PER_STATEMENT: usize = 1000;
/// How many tables one statement asks for, for the same reason.
const TABLES_PER_STATEMENT: usize = 1000;

#[async_trait]
impl Inventory for SqlBackend {
    async fn enter_files(&self, table: TableId, files: &[FileRecord]) -> Result<(), CatalogError> {
        let mut write = self.write().await?;
        enter(&mut write, table, files).await?;
        Ok(write.commit().await?)
    }

    async fn files(&self, table: TableId, after: Option<&str>, limit: u32) -> Result<Vec<FileRecord>, CatalogError> {
        let rows: Vec<FileRow> =
            sqlx::query_as("SELECT * FROM data_files WHERE table_id = $1 AND path > $2 ORDER BY path LIMIT $3")
                .bind(table.to_string())
                .bind(after.unwrap_or_default())
                .bind(i64::from(limit))
                .fetch_all(&self.readers)
                .await?;
        entries(rows)
    }

    async fn file(&self, table: TableId, path: &str) -> Result<Option<FileRecord>, CatalogError> {
        let row: Option<FileRow> = sqlx::query_as("SELECT * FROM data_files WHERE table_id = $1 AND path = $2")
            .bind(table.to_string())
            .bind(path)
            .fetch_optional(&self.readers)
            .await?;
        row.map(FileRecord::try_from).transpose()
    }

    async fn forget_files(&self, table: TableId, paths: &[String]) -> Result<(), CatalogError> {
        let mut write = self.write().await?;
        for path in paths {
            sqlx::query("DELETE FROM data_files WHERE table_id = $1 AND path = $2")
                .bind(table.to_string())
                .bind(path)
                .execute(&mut *write)
                .await?;
        }
        Ok(write.commit().await?)
    }

    async fn enter_commit(&self, table: TableId, entry: &LogRecord) -> Result<(), CatalogError> {
        let mut write = self.write().await?;
        enter_commit(&mut write, table, entry).await?;
        Ok(write.commit().await?)
    }

    async fn commits(&self, table: TableId, from: u64, limit: u32) -> Result<Vec<LogRecord>, CatalogError> {
        let rows: Vec<LogRow> =
            sqlx::query_as("SELECT * FROM log_entries WHERE table_id = $1 AND version >= $2 ORDER BY version LIMIT $3")
                .bind(table.to_string())
                .bind(number("version", from)?)
                .bind(i64::from(limit))
                .fetch_all(&self.readers)
                .await?;
        entries(rows)
    }

    async fn newest_commit(&self, table: TableId) -> Result<Option<u64>, CatalogError> {
        let newest: Option<i64> = sqlx::query_scalar("SELECT MAX(version) FROM log_entries WHERE table_id = $1")
            .bind(table.to_string())
            .fetch_one(&self.readers)
            .await?;
        newest.map(|version| read_number("version", version)).transpose()
    }

    async fn newest_commits(&self, tables: &[TableRef]) -> Result<BTreeMap<TableRef, u64>, CatalogError> {
        let mut newest = BTreeMap::new();
        for some in tables.chunks(TABLES_PER_STATEMENT) {
            let mut query = Assembled::new(
                "SELECT n.name, n.version FROM (SELECT t.name, (SELECT MAX(l.version) FROM log_entries l \
                 WHERE l.table_id = t.id) AS version FROM tables t WHERE t.state = 'active' AND t.name IN (",
            );
            query.push_list(some.iter().map(TableRef::to_string)).push(")) n WHERE n.version IS NOT NULL");
            let rows: Vec<(String, i64)> = query.build_query_as().fetch_all(&self.readers).await?;
            for (name, version) in rows {
                newest.insert(read("table name", &name)?, read_number("version", version)?);
            }
        }
        Ok(newest)
    }

    async fn forget_commits(&self, table: TableId, below: u64) -> Result<(), CatalogError> {
        let mut write = self.write().await?;
        sqlx::query("DELETE FROM log_entries WHERE table_id = $1 AND version < $2")
            .bind(table.to_string())
            .bind(number("version", below)?)
            .execute(&mut *write)
            .await?;
        Ok(write.commit().await?)
    }
}

/// Enter data files within a transaction.
pub(super) async fn enter(
    connection: &mut AnyConnection,
    table: TableId,
    files: &[FileRecord],
) -> Result<(), CatalogError> {
    for files in files.chunks(FILES_PER_STATEMENT) {
        let rows: Vec<(&FileRecord, i64, i64)> = files
            .iter()
            .map(|file| Ok((file, number("file's size", file.size_bytes)?, number("file's rows", file.rows)?)))
            .collect::<Result<_, CatalogError>>()?;
        let mut insert =
            Assembled::new("INSERT INTO data_files (table_id, path, size_bytes, sha256, row_count, upload_id) ");
        insert.push_rows(rows.into_iter().map(|(file, size_bytes, row_count)| {
            [
                table.to_string().into(),
                (&file.path).into(),
                size_bytes.into(),
                (&file.sha256).into(),
                row_count.into(),
                file.upload.map(|upload| upload.to_string()).into(),
            ]
        }));
        insert.push(
            " ON CONFLICT (table_id, path) DO UPDATE SET size_bytes = excluded.size_bytes, \
             sha256 = excluded.sha256, row_count = excluded.row_count, upload_id = excluded.upload_id",
        );
        insert.build().execute(&mut *connection).await?;
    }
    Ok(())
}

/// Enter a log entry within a transaction.
pub(super) async fn enter_commit(
    connection: &mut AnyConnection,
    table: TableId,
    entry: &LogRecord,
) -> Result<(), CatalogError> {
    sqlx::query("INSERT INTO log_entries (table_id, version, content) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING")
        .bind(table.to_string())
        .bind(number("version", entry.version)?)
        .bind(&entry.content)
        .execute(connection)
        .await?;
    Ok(())
}
