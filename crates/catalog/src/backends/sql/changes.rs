//! The feed of changes. Transactions that write are one after another, and so are their numbers.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde_json::Value;
use sluice_domain::{CatalogChange, ChangedKind, NamespaceName, TableRef};
use sqlx::AnyConnection;

use super::{SqlBackend, assembled::Assembled, entries, push_visible};
use crate::{
    CatalogError, Changes,
    columns::{instant, json, now},
    discovery_rows::ChangeRow,
};

#[async_trait]
impl Changes for SqlBackend {
    async fn since(
        &self,
        number: i64,
        visible: Option<&[NamespaceName]>,
        limit: u32,
    ) -> Result<(Vec<CatalogChange>, i64), CatalogError> {
        // What is committed while this is read must not be passed over: it is looked up to what is there now.
        let (_, newest) = self.range().await?;
        let mut query = Assembled::new("SELECT * FROM changes WHERE number > ");
        query.push_bind(number).push(" AND number <= ").push_bind(newest);
        push_visible(&mut query, "namespace", visible);
        query.push(" ORDER BY number LIMIT ").push_bind(i64::from(limit));
        let changes: Vec<CatalogChange> = entries(query.build_query_as::<ChangeRow>().fetch_all(&self.readers).await?)?;
        let is_full = changes.len() == limit as usize;
        let looked = changes.last().filter(|_| is_full).map_or(newest.max(number), |change| change.number);
        Ok((changes, looked))
    }

    async fn range(&self) -> Result<(i64, i64), CatalogError> {
        Ok(sqlx::query_as("SELECT COALESCE(MIN(number), 0), COALESCE(MAX(number), 0) FROM changes")
            .fetch_one(&self.readers)
            .await?)
    }

    async fn forget_changes(&self, before: DateTime<Utc>, limit: u32) -> Result<u64, CatalogError> {
        let mut write = self.write().await?;
        let done = sqlx::query(
            "DELETE FROM changes WHERE number IN (SELECT number FROM changes WHERE changed_at < $1 AND number < \
             (SELECT MAX(number) FROM changes) ORDER BY number LIMIT $2)",
        )
        .bind(instant(before))
        .bind(i64::from(limit))
        .execute(&mut *write)
        .await?;
        write.commit().await?;
        Ok(done.rows_affected())
    }
}

/// Tell of a change to a table, within its transaction.
pub(super) async fn record(
    connection: &mut AnyConnection,
    kind: ChangedKind,
    table: &TableRef,
    body: Value,
) -> Result<(), CatalogError> {
    sqlx::query(
        "INSERT INTO changes (number, kind, namespace, subject, body, changed_at) \
         VALUES ((SELECT COALESCE(MAX(number), 0) + 1 FROM changes), $1, $2, $3, $4, $5)",
    )
    .bind(kind.as_str())
    .bind(table.namespace.as_str())
    .bind(table.to_string())
    .bind(json("change", &body)?)
    .bind(now())
    .execute(connection)
    .await?;
    Ok(())
}
