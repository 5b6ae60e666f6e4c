//! What is expected of tables and pipelines.

use async_trait::async_trait;
use sluice_domain::{NamespaceName, Page, PageRequest, PipelineName, ServiceLevel, TableFreshness, TableId, TableRef};

use super::{SqlBackend, conditions::Conditions, entries, fetch_size, page_of, tables::not_found};
use crate::{
    CatalogError, Entry, FreshnessExpectations, ServiceLevels,
    columns::{json, now, number},
    monitoring_rows::{FreshnessRow, ServiceLevelRow},
};

/// Active tables with what is expected of them, and the commit of the newest upload in the order of the table's commits.
const TABLES: &str = "SELECT t.*, e.every_seconds, e.expected_since, (SELECT u.committed_at FROM uploads u \
     WHERE u.table_id = t.id AND u.state = 'committed' ORDER BY u.sequence DESC LIMIT 1) AS last_update, \
     (SELECT MAX(r.ended_at) FROM curated_runs r WHERE r.table_id = t.id AND r.status IN ('SUCCESS', 'WARNING')) AS last_run \
     FROM tables t LEFT JOIN freshness_expectations e ON e.table_id = t.id";
const EXPECTED_TABLES: &str = "SELECT t.*, e.every_seconds, e.expected_since, (SELECT u.committed_at FROM uploads u \
     WHERE u.table_id = t.id AND u.state = 'committed' ORDER BY u.sequence DESC LIMIT 1) AS last_update, \
     (SELECT MAX(r.ended_at) FROM curated_runs r WHERE r.table_id = t.id AND r.status IN ('SUCCESS', 'WARNING')) AS last_run \
     FROM freshness_expectations e JOIN tables t ON t.id = e.table_id";

#[async_trait]
impl FreshnessExpectations for SqlBackend {
    async fn expect(&self, table: TableId, every_seconds: u64, principal: &str) -> Result<bool, CatalogError> {
        let mut write = self.write().await?;
        let (before,): (i64,) = sqlx::query_as("SELECT COUNT(*) FROM freshness_expectations WHERE table_id = $1")
            .bind(table.to_string())
            .fetch_one(&mut *write)
            .await?;
        sqlx::query(
            "INSERT INTO freshness_expectations (table_id, every_seconds, principal, expected_since) \
             VALUES ($1, $2, $3, $4) ON CONFLICT (table_id) DO UPDATE SET every_seconds = excluded.every_seconds, \
             principal = excluded.principal, expected_since = excluded.expected_since",
        )
        .bind(table.to_string())
        .bind(number("table's expected frequency", every_seconds)?)
        .bind(principal)
        .bind(now())
        .execute(&mut *write)
        .await?;
        write.commit().await?;
        Ok(before == 0)
    }

    async fn forget(&self, table: TableId) -> Result<bool, CatalogError> {
        let mut write = self.write().await?;
        let done = sqlx::query("DELETE FROM freshness_expectations WHERE table_id = $1")
            .bind(table.to_string())
            .execute(&mut *write)
            .await?;
        write.commit().await?;
        Ok(done.rows_affected() > 0)
    }

    async fn find(&self, name: &TableRef) -> Result<TableFreshness, CatalogError> {
        let text = format!("{TABLES} WHERE t.name = $1 AND t.state = 'active'");
        let row: Option<FreshnessRow> =
            sqlx::query_as(sqlx::AssertSqlSafe(text)).bind(name.to_string()).fetch_optional(&self.readers).await?;
        row.ok_or_else(|| not_found(name))?.try_into()
    }

    async fn list(
        &self,
        visible: Option<&[NamespaceName]>,
        only_expected: bool,
        page: &PageRequest,
    ) -> Result<Page<TableFreshness>, CatalogError> {
        let select = if only_expected { EXPECTED_TABLES } else { TABLES };
        let mut conditions = Conditions::default();
        conditions.and("t.state = 'active'", []).and("t.name > {}", [page.after().to_owned()]);
        conditions.namespace_in("t.namespace", visible);
        let text = format!("{select} WHERE {} ORDER BY t.name LIMIT ${}", conditions.text(), conditions.next());
        let mut query = sqlx::query_as(sqlx::AssertSqlSafe(text));
        for value in conditions.values() {
            query = query.bind(value);
        }
        let rows: Vec<FreshnessRow> = query.bind(fetch_size(page)).fetch_all(&self.readers).await?;
        page_of(rows, page, |entry: &TableFreshness| entry.table.name.to_string())
    }
}

#[async_trait]
impl ServiceLevels for SqlBackend {
    async fn define(&self, level: &ServiceLevel, principal: &str, limit: u32) -> Result<Entry, CatalogError> {
        let mut write = self.write().await?;
        let (all, same): (i64, i64) =
            sqlx::query_as("SELECT COUNT(*), COUNT(CASE WHEN pipeline = $1 THEN 1 END) FROM service_levels")
                .bind(level.pipeline.as_str())
                .fetch_one(&mut *write)
                .await?;
        if same == 0 && all >= i64::from(limit) {
            return Ok(Entry::TooMany);
        }
        sqlx::query(
            "INSERT INTO service_levels (pipeline, targets, principal, updated_at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (pipeline) DO UPDATE SET targets = excluded.targets, principal = excluded.principal, \
             updated_at = excluded.updated_at",
        )
        .bind(level.pipeline.as_str())
        .bind(json("service level", &level.targets)?)
        .bind(principal)
        .bind(now())
        .execute(&mut *write)
        .await?;
        write.commit().await?;
        Ok(if same == 0 { Entry::Made } else { Entry::Changed })
    }

    async fn forget(&self, pipeline: &PipelineName) -> Result<bool, CatalogError> {
        let mut write = self.write().await?;
        let done = sqlx::query("DELETE FROM service_levels WHERE pipeline = $1")
            .bind(pipeline.as_str())
            .execute(&mut *write)
            .await?;
        write.commit().await?;
        Ok(done.rows_affected() > 0)
    }

    async fn list(&self) -> Result<Vec<ServiceLevel>, CatalogError> {
        let rows: Vec<ServiceLevelRow> =
            sqlx::query_as("SELECT pipeline, targets FROM service_levels ORDER BY pipeline")
                .fetch_all(&self.readers)
                .await?;
        entries(rows)
    }
}
