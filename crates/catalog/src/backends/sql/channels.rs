//! Channels.

use async_trait::async_trait;
use sluice_domain::{Channel, ChannelName, TableRef};
use sqlx::AnyConnection;
use uuid::Uuid;

use super::SqlBackend;
use crate::{CatalogError, Channels, columns::now, rows::ChannelRow};

#[async_trait]
impl Channels for SqlBackend {
    async fn open(
        &self,
        table: &TableRef,
        name: &ChannelName,
        principal: &str,
        limit: u32,
    ) -> Result<Option<Channel>, CatalogError> {
        let mut write = self.write().await?;
        let row: Option<ChannelRow> = sqlx::query_as(
            "UPDATE channels SET epoch = epoch + 1, principal = $1, opened_at = $2 \
             WHERE table_name = $3 AND name = $4 RETURNING *",
        )
        .bind(principal)
        .bind(now())
        .bind(table.to_string())
        .bind(name.as_str())
        .fetch_optional(&mut *write)
        .await?;
        let row = match row {
            Some(row) => row,
            None if count(&mut write, table).await? >= i64::from(limit) => return Ok(None),
            None => insert(&mut write, table, name, principal).await?,
        };
        write.commit().await?;
        row.try_into().map(Some)
    }

    async fn find(&self, table: &TableRef, name: &ChannelName) -> Result<Option<Channel>, CatalogError> {
        let row: Option<ChannelRow> = sqlx::query_as("SELECT * FROM channels WHERE table_name = $1 AND name = $2")
            .bind(table.to_string())
            .bind(name.as_str())
            .fetch_optional(&self.readers)
            .await?;
        row.map(Channel::try_from).transpose()
    }

    async fn drop(&self, table: &TableRef, name: &ChannelName) -> Result<bool, CatalogError> {
        let mut write = self.write().await?;
        let done = sqlx::query("DELETE FROM channels WHERE table_name = $1 AND name = $2")
            .bind(table.to_string())
            .bind(name.as_str())
            .execute(&mut *write)
            .await?;
        write.commit().await?;
        Ok(done.rows_affected() > 0)
    }
}

async fn count(connection: &mut AnyConnection, table: &TableRef) -> Result<i64, CatalogError> {
    let count = sqlx::query_scalar("SELECT COUNT(*) FROM channels WHERE table_name = $1")
        .bind(table.to_string())
        .fetch_one(connection)
        .await?;
    Ok(count)
}

async fn insert(
    connection: &mut AnyConnection,
    table: &TableRef,
    name: &ChannelName,
    principal: &str,
) -> Result<ChannelRow, CatalogError> {
    let row = sqlx::query_as(
        "INSERT INTO channels (id, table_name, name, epoch, principal, opened_at) VALUES ($1, $2, $3, 1, $4, $5) \
         RETURNING *",
    )
    .bind(Uuid::now_v7().to_string())
    .bind(table.to_string())
    .bind(name.as_str())
    .bind(principal)
    .bind(now())
    .fetch_one(connection)
    .await?;
    Ok(row)
}
