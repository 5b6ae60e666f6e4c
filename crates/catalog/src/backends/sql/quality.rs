//! Suites and their results.

use async_trait::async_trait;
use sluice_domain::{Page, PageRequest, QualityResult, QualitySubject, RunId, Suite, TableId, Verdict};
use sqlx::AnyConnection;

use super::{SqlBackend, entries, fetch_size, page_of, tables::not_found};
use crate::{
    CatalogError, JudgedResult, MAX_QUALITY_RESULTS, Quality, RecordedPlace,
    columns::{instant, json, now, number, read_json},
    quality_rows::{JudgedResultRow, QualityResultRow},
};

/// Sorts after every id.
const AFTER_EVERY_ID: &str = "~";
/// Results with the versions that the ledger tells of uploads.
const SELECT: &str = "SELECT q.id, q.upload_id, q.run_id, COALESCE(u.version, q.version) AS version, q.checked_at, q.validation \
     FROM quality_results q LEFT JOIN uploads u ON u.id = q.upload_id WHERE q.table_id = $1 ";

#[async_trait]
impl Quality for SqlBackend {
    async fn suite(&self, table: TableId) -> Result<Option<Suite>, CatalogError> {
        let suite: Option<String> = sqlx::query_scalar("SELECT suite FROM quality_suites WHERE table_id = $1")
            .bind(table.to_string())
            .fetch_optional(&self.readers)
            .await?;
        suite.map(|suite| read_json("quality suite", &suite)).transpose()
    }

    async fn set_suite(&self, table: TableId, suite: &Suite, principal: &str) -> Result<(), CatalogError> {
        let mut write = self.write().await?;
        let set = sqlx::query(
            "INSERT INTO quality_suites (table_id, suite, principal, updated_at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (table_id) DO UPDATE SET suite = $2, principal = $3, updated_at = $4",
        )
        .bind(table.to_string())
        .bind(json("quality suite", suite)?)
        .bind(principal)
        .bind(now())
        .execute(&mut *write)
        .await;
        match set {
            Err(sqlx::Error::Database(error)) if error.is_foreign_key_violation() => return Err(not_found(table)),
            set => set?,
        };
        Ok(write.commit().await?)
    }

    async fn record(&self, table: TableId, result: &QualityResult) -> Result<(), CatalogError> {
        let (upload, run, version) = match result.subject {
            QualitySubject::Upload(id) => (Some(id.to_string()), None, None),
            QualitySubject::Run(id) => (None, Some(id.to_string()), result.version),
            QualitySubject::Table(_) => (None, None, result.version),
        };
        let version = version.map(|version| number("quality result's version", version)).transpose()?;
        let mut write = self.write().await?;
        sqlx::query(
            "INSERT INTO quality_results \
             (id, table_id, upload_id, version, publishable, checked_at, validation, recorded_at, run_id) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
             ON CONFLICT (id) DO UPDATE SET publishable = $5, checked_at = $6, validation = $7, recorded_at = $8",
        )
        .bind(result.subject.id().to_string())
        .bind(table.to_string())
        .bind(upload)
        .bind(version)
        .bind(i64::from(result.validation.publishable))
        .bind(instant(result.checked_at))
        .bind(json("quality result", &result.validation)?)
        .bind(now())
        .bind(run)
        .execute(&mut *write)
        .await?;
        forget_old(&mut write, table).await?;
        Ok(write.commit().await?)
    }

    async fn publish(&self, run: RunId, version: u64) -> Result<(), CatalogError> {
        let mut write = self.write().await?;
        sqlx::query("UPDATE quality_results SET version = $1 WHERE id = $2 AND run_id IS NOT NULL")
            .bind(number("quality result's version", version)?)
            .bind(run.to_string())
            .execute(&mut *write)
            .await?;
        Ok(write.commit().await?)
    }

    async fn results(&self, table: TableId, page: &PageRequest) -> Result<Page<QualityResult>, CatalogError> {
        let before = page.token.as_ref().map_or(AFTER_EVERY_ID, |token| token.key());
        let select = format!("{SELECT} AND q.id < $2 ORDER BY q.id DESC LIMIT $3");
        let rows: Vec<QualityResultRow> = sqlx::query_as(sqlx::AssertSqlSafe(select))
            .bind(table.to_string())
            .bind(before)
            .bind(fetch_size(page))
            .fetch_all(&self.readers)
            .await?;
        page_of(rows, page, |result: &QualityResult| result.subject.id().to_string())
    }

    async fn recorded_after(&self, place: &RecordedPlace, limit: u32) -> Result<Vec<JudgedResult>, CatalogError> {
        let rows: Vec<JudgedResultRow> = sqlx::query_as(
            "SELECT q.id, q.upload_id, q.run_id, COALESCE(u.version, q.version) AS version, q.checked_at, q.validation, \
             q.recorded_at, t.name AS table_name, a.tags FROM quality_results q \
             JOIN tables t ON t.id = q.table_id AND t.state = 'active' \
             LEFT JOIN annotations a ON a.table_id = t.id AND a.column_name = '' \
             LEFT JOIN uploads u ON u.id = q.upload_id \
             WHERE q.recorded_at >= $1 AND (q.recorded_at > $2 OR q.id > $3) ORDER BY q.recorded_at, q.id LIMIT $4",
        )
        .bind(instant(place.at))
        .bind(instant(place.at))
        .bind(place.id.map(|id| id.to_string()).unwrap_or_default())
        .bind(i64::from(limit))
        .fetch_all(&self.readers)
        .await?;
        entries(rows)
    }

    async fn verdict(&self, table: TableId) -> Result<Verdict, CatalogError> {
        let against = "AND q.publishable = 0 AND (u.state = 'committed' OR q.run_id IS NOT NULL AND q.version IS NOT NULL) \
             ORDER BY COALESCE(u.version, q.version) DESC LIMIT 1";
        let newest_check = "AND q.upload_id IS NULL AND q.run_id IS NULL ORDER BY q.version DESC, q.id DESC LIMIT 1";
        let against = self.find_result(table, against).await?;
        let checked = self.find_result(table, newest_check).await?;
        // A check sees the rows of every upload up to its version.
        let because = match (against, checked) {
            (Some(against), Some(checked)) if against.version > checked.version => Some(against),
            (against, None) => against,
            (_, checked) => checked,
        };
        let publishable = because.as_ref().is_none_or(|because| because.validation.publishable);
        Ok(Verdict { publishable, because })
    }
}

impl SqlBackend {
    async fn find_result(&self, table: TableId, which: &str) -> Result<Option<QualityResult>, CatalogError> {
        let row: Option<QualityResultRow> = sqlx::query_as(sqlx::AssertSqlSafe(format!("{SELECT} {which}")))
            .bind(table.to_string())
            .fetch_optional(&self.readers)
            .await?;
        row.map(QualityResult::try_from).transpose()
    }
}

/// Forget results that are too many; not those on which the verdict rests, nor those of uploads under way.
async fn forget_old(write: &mut AnyConnection, table: TableId) -> Result<(), CatalogError> {
    sqlx::query(
        "DELETE FROM quality_results WHERE table_id = $1 AND id < COALESCE((SELECT MIN(kept.id) FROM \
             (SELECT id FROM quality_results WHERE table_id = $1 ORDER BY id DESC LIMIT $2) kept), '') \
         AND id NOT IN (SELECT newest.id FROM (SELECT id FROM quality_results \
             WHERE table_id = $1 AND upload_id IS NULL AND run_id IS NULL ORDER BY version DESC, id DESC LIMIT 1) newest) \
         AND id NOT IN (SELECT against.id FROM (SELECT q.id FROM quality_results q \
             LEFT JOIN uploads u ON u.id = q.upload_id WHERE q.table_id = $1 AND q.publishable = 0 \
             AND (u.state = 'committed' OR q.run_id IS NOT NULL AND q.version IS NOT NULL) \
             ORDER BY COALESCE(u.version, q.version) DESC LIMIT 1) against) \
         AND id NOT IN (SELECT q.id FROM quality_results q JOIN uploads u ON u.id = q.upload_id \
             WHERE q.table_id = $1 AND u.state IN ('landed', 'committing')) \
         AND id NOT IN (SELECT id FROM curated_runs WHERE status = 'RUNNING')",
    )
    .bind(table.to_string())
    .bind(i64::from(MAX_QUALITY_RESULTS))
    .execute(write)
    .await?;
    Ok(())
}
