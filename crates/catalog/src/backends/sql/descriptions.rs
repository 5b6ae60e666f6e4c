//! The descriptions of tables.

use async_trait::async_trait;
use sluice_domain::TableId;

use super::SqlBackend;
use crate::{
    CatalogError, Descriptions, KeptDescription,
    columns::{instant, number, read, read_number},
};

#[derive(sqlx::FromRow)]
struct Row {
    version: i64,
    body: String,
    kept_at: String,
}

#[async_trait]
impl Descriptions for SqlBackend {
    async fn find(&self, table: TableId) -> Result<Option<KeptDescription>, CatalogError> {
        let row: Option<Row> =
            sqlx::query_as("SELECT version, body, kept_at FROM table_descriptions WHERE table_id = $1")
                .bind(table.to_string())
                .fetch_optional(&self.readers)
                .await?;
        let Some(Row { version, body, kept_at }) = row else { return Ok(None) };
        let version = read_number("description's version", version)?;
        Ok(Some(KeptDescription { table, version, body, kept_at: read("description's time", &kept_at)? }))
    }

    async fn keep(&self, descriptions: &[KeptDescription]) -> Result<(), CatalogError> {
        let mut write = self.write().await?;
        for kept in descriptions {
            sqlx::query(
                "INSERT INTO table_descriptions (table_id, version, body, kept_at) \
                 SELECT id, CAST($2 AS BIGINT), $3, $4 FROM tables WHERE id = $1 \
                 ON CONFLICT (table_id) DO UPDATE \
                 SET version = excluded.version, body = excluded.body, kept_at = excluded.kept_at \
                 WHERE excluded.version >= table_descriptions.version",
            )
            .bind(kept.table.to_string())
            .bind(number("description's version", kept.version)?)
            .bind(&kept.body)
            .bind(instant(kept.kept_at))
            .execute(&mut *write)
            .await?;
        }
        Ok(write.commit().await?)
    }
}
