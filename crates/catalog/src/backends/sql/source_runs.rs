//! Runs of sources.

use async_trait::async_trait;
use chrono::{SubsecRound as _, Utc};
use sluice_domain::{Page, PageRequest, RunCause, RunId, RunOutcome, RunState, Source, SourceId, SourceRun};
use sqlx::AnyConnection;
use uuid::Uuid;

use super::{SqlBackend, entries, fetch_size, page_of, sources::next_after};
use crate::{
    Begun, CatalogError, SourceRuns,
    columns::{instant, json, now},
    source_rows::RunRow,
};

/// Sorts after every id.
const AFTER_EVERY_ID: &str = "~";
/// The watermark of the newest pull of a source whose rows are in the table.
const WATERMARK: &str = "(SELECT p.watermark FROM source_pulls p JOIN uploads u ON u.id = p.upload_id \
     WHERE p.source_id = $2 AND p.watermark IS NOT NULL AND u.state = 'committed' ORDER BY p.run_id DESC LIMIT 1)";

#[async_trait]
impl SourceRuns for SqlBackend {
    async fn begin(&self, source: &Source, cause: RunCause, key: Option<&str>) -> Result<Begun, CatalogError> {
        let mut write = self.write().await?;
        if let Some(known) = find_one(&mut write, "idempotency_key = $2", source.id, key).await? {
            return Ok(Begun::Known(known));
        }
        if let Some(running) = find_one(&mut write, "state = $2", source.id, Some("running")).await? {
            return Ok(Begun::Busy(running));
        }
        let began = Utc::now().trunc_subsecs(6);
        let insert = format!(
            "INSERT INTO source_runs (id, source_id, node, cause, idempotency_key, state, started_at, watermark_before) \
             VALUES ($1, $2, $3, $4, $5, 'running', $6, {WATERMARK}) RETURNING *"
        );
        let row: RunRow = sqlx::query_as(sqlx::AssertSqlSafe(insert))
            .bind(Uuid::now_v7().to_string())
            .bind(source.id.to_string())
            .bind(i64::from(self.node))
            .bind(cause.as_str())
            .bind(key)
            .bind(instant(began))
            .fetch_one(&mut *write)
            .await?;
        sqlx::query("UPDATE sources SET next_run_at = $1 WHERE id = $2")
            .bind(next_after(&source.definition, began))
            .bind(source.id.to_string())
            .execute(&mut *write)
            .await?;
        write.commit().await?;
        Ok(Begun::Started(row.try_into()?))
    }

    async fn find(&self, id: RunId) -> Result<Option<SourceRun>, CatalogError> {
        let row: Option<RunRow> = sqlx::query_as("SELECT * FROM source_runs WHERE id = $1")
            .bind(id.to_string())
            .fetch_optional(&self.readers)
            .await?;
        row.map(SourceRun::try_from).transpose()
    }

    async fn list(&self, source: SourceId, page: &PageRequest) -> Result<Page<SourceRun>, CatalogError> {
        let before = page.token.as_ref().map_or(AFTER_EVERY_ID, |token| token.key());
        let rows: Vec<RunRow> =
            sqlx::query_as("SELECT * FROM source_runs WHERE source_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3")
                .bind(source.to_string())
                .bind(before)
                .bind(fetch_size(page))
                .fetch_all(&self.readers)
                .await?;
        page_of(rows, page, |run: &SourceRun| run.id.to_string())
    }

    async fn unfinished(&self, limit: u32) -> Result<Vec<SourceRun>, CatalogError> {
        let rows: Vec<RunRow> =
            sqlx::query_as("SELECT * FROM source_runs WHERE state = 'running' AND node = $1 ORDER BY id LIMIT $2")
                .bind(i64::from(self.node))
                .bind(i64::from(limit))
                .fetch_all(&self.readers)
                .await?;
        entries(rows)
    }

    async fn finish(&self, id: RunId, outcome: &RunOutcome, keep: u32) -> Result<(), CatalogError> {
        let mut write = self.write().await?;
        let run: Option<(String,)> = sqlx::query_as("SELECT source_id FROM source_runs WHERE id = $1")
            .bind(id.to_string())
            .fetch_optional(&mut *write)
            .await?;
        let Some((source,)) = run else { return Ok(()) };
        let state = if outcome.failure.is_none() { RunState::Succeeded } else { RunState::Failed };
        let update = format!(
            "UPDATE source_runs SET state = $3, finished_at = $4, counts = $5, failure = $6, \
             watermark_after = {WATERMARK} WHERE id = $1 AND state = 'running'"
        );
        sqlx::query(sqlx::AssertSqlSafe(update))
            .bind(id.to_string())
            .bind(&source)
            .bind(state.as_str())
            .bind(now())
            .bind(json("run's counts", &outcome.counts)?)
            .bind(outcome.failure.as_ref().map(|failure| json("run's failure", failure)).transpose()?)
            .execute(&mut *write)
            .await?;
        sqlx::query(
            "DELETE FROM source_runs WHERE source_id = $1 AND state <> 'running' AND id NOT IN \
             (SELECT id FROM source_runs WHERE source_id = $1 ORDER BY id DESC LIMIT $2)",
        )
        .bind(&source)
        .bind(i64::from(keep))
        .execute(&mut *write)
        .await?;
        Ok(write.commit().await?)
    }
}

/// The run of a source for which this is true of the value; none without a value.
async fn find_one(
    connection: &mut AnyConnection,
    condition: &'static str,
    source: SourceId,
    value: Option<&str>,
) -> Result<Option<SourceRun>, CatalogError> {
    let Some(value) = value else { return Ok(None) };
    let select = format!("SELECT * FROM source_runs WHERE source_id = $1 AND {condition}");
    let row: Option<RunRow> = sqlx::query_as(sqlx::AssertSqlSafe(select))
        .bind(source.to_string())
        .bind(value)
        .fetch_optional(connection)
        .await?;
    row.map(SourceRun::try_from).transpose()
}
