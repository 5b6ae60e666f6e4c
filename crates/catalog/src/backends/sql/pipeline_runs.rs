//! Runs of pipelines: four places, one order.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sluice_domain::{Page, PageRequest, PageToken, PipelineRun, PipelineTotals, RunId, RunStatus, TableRef};
use sqlx::{AnyConnection, FromRow, any::AnyRow};

use super::{SqlBackend, conditions::Conditions, entries, fetch_size, page_size};
use crate::{
    CatalogError, EndedPlace, PipelineRuns, RunBegun, RunFilter, RunLimits,
    columns::{instant, json},
    monitoring_rows::{ExternalRunRow, RunFigures, SourceRunRow, UploadRunRow},
    pipeline_rows::CuratedRunRow,
};

const CURATED: &str = "SELECT r.* FROM curated_runs r";
const EXTERNAL: &str = "SELECT r.* FROM pipeline_runs r";
const UPLOADS: &str = "SELECT r.id, r.table_name, r.principal, r.state, r.started_at, r.row_counts, r.failure, \
     COALESCE(r.committed_at, r.failed_at) AS ended_at FROM uploads r";
const SOURCES: &str = "SELECT r.id, s.name, s.definition, s.principal, r.state, r.started_at, r.finished_at AS ended_at, \
     r.counts, r.failure FROM source_runs r JOIN sources s ON s.id = r.source_id";
/// Rows that were set aside come as uploads of their own, which are part of another one.
const NO_QUARANTINE: &str = "r.table_name NOT LIKE '%!_!_quarantine' ESCAPE '!'";

#[async_trait]
impl PipelineRuns for SqlBackend {
    async fn begin(&self, run: &PipelineRun, key: Option<&str>, limits: RunLimits) -> Result<RunBegun, CatalogError> {
        let mut write = self.write().await?;
        if let Some(key) = key {
            let known: Option<ExternalRunRow> =
                sqlx::query_as("SELECT * FROM pipeline_runs WHERE principal = $1 AND idempotency_key = $2")
                    .bind(&run.principal)
                    .bind(key)
                    .fetch_optional(&mut *write)
                    .await?;
            if let Some(known) = known {
                return Ok(RunBegun::Known(known.try_into()?));
            }
        }
        if !has_room(&mut write, run, limits).await? {
            return Ok(RunBegun::TooMany);
        }
        insert(&mut write, run, key).await?;
        sqlx::query(
            "DELETE FROM pipeline_runs WHERE pipeline = $1 AND id <> $2 AND id <= \
             (SELECT id FROM pipeline_runs WHERE pipeline = $3 ORDER BY id DESC LIMIT 1 OFFSET $4)",
        )
        .bind(run.pipeline.as_str())
        .bind(run.id.to_string())
        .bind(run.pipeline.as_str())
        .bind(i64::from(limits.runs))
        .execute(&mut *write)
        .await?;
        write.commit().await?;
        Ok(RunBegun::Started(run.clone()))
    }

    async fn save(&self, run: &PipelineRun) -> Result<bool, CatalogError> {
        let mut write = self.write().await?;
        let done = sqlx::query(
            "UPDATE pipeline_runs SET status = $1, ended_at = $2, figures = $3, error = $4, revision = revision + 1 \
             WHERE id = $5 AND revision = $6",
        )
        .bind(run.status.as_str())
        .bind(run.ended_at.map(instant))
        .bind(json("run's figures", &RunFigures::from(run))?)
        .bind(&run.error)
        .bind(run.id.to_string())
        .bind(run.revision)
        .execute(&mut *write)
        .await?;
        write.commit().await?;
        Ok(done.rows_affected() > 0)
    }

    async fn find(&self, id: RunId) -> Result<Option<PipelineRun>, CatalogError> {
        let mut conditions = Conditions::default();
        conditions.and("r.id = {}", [id.to_string()]);
        self.newest([&conditions; 4], 1).await.map(|runs| runs.into_iter().next())
    }

    async fn list(&self, filter: &RunFilter, page: &PageRequest) -> Result<Page<PipelineRun>, CatalogError> {
        let before = page.token.as_ref().map(PageToken::key);
        // Runs of pipelines of the lake are asked for by the same columns as those that are reported.
        let reported = of_reported(filter, before);
        let (uploads, sources) = (of_uploads(filter, before), of_sources(filter, before));
        let runs = self.newest([&reported, &uploads, &sources, &reported], fetch_size(page)).await?;
        Ok(Page::from_overfetched(runs, page_size(page), |run| run.id.to_string()))
    }

    async fn totals(&self, filter: &RunFilter) -> Result<Vec<PipelineTotals>, CatalogError> {
        self.run_totals(filter).await
    }

    async fn ended_after(&self, place: &EndedPlace, limit: u32) -> Result<Vec<PipelineRun>, CatalogError> {
        let mut runs = Vec::new();
        for (select, column) in [(UPLOADS, "r.committed_at"), (UPLOADS, "r.failed_at")] {
            let mut conditions = after(column, place);
            conditions.and(NO_QUARANTINE, []);
            runs.extend(
                self.fetch::<UploadRunRow>(select, &conditions, &format!("{column}, r.id"), limit.into()).await?,
            );
        }
        let (sources, reported) = (after("r.finished_at", place), after("r.ended_at", place));
        runs.extend(self.fetch::<SourceRunRow>(SOURCES, &sources, "r.finished_at, r.id", limit.into()).await?);
        runs.extend(self.fetch::<ExternalRunRow>(EXTERNAL, &reported, "r.ended_at, r.id", limit.into()).await?);
        runs.extend(self.fetch::<CuratedRunRow>(CURATED, &reported, "r.ended_at, r.id", limit.into()).await?);
        runs.sort_by_key(|run| (run.ended_at, run.id));
        runs.truncate(limit as usize);
        Ok(runs)
    }
}

impl SqlBackend {
    /// The newest of the four kinds, in one order.
    async fn newest(
        &self,
        [external, uploads, sources, curated]: [&Conditions; 4],
        limit: i64,
    ) -> Result<Vec<PipelineRun>, CatalogError> {
        let mut runs = self.fetch::<ExternalRunRow>(EXTERNAL, external, "r.id DESC", limit).await?;
        runs.extend(self.fetch::<UploadRunRow>(UPLOADS, uploads, "r.id DESC", limit).await?);
        runs.extend(self.fetch::<SourceRunRow>(SOURCES, sources, "r.id DESC", limit).await?);
        runs.extend(self.fetch::<CuratedRunRow>(CURATED, curated, "r.id DESC", limit).await?);
        runs.sort_by_key(|run| std::cmp::Reverse(run.id));
        runs.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(runs)
    }

    async fn fetch<R>(
        &self,
        select: &str,
        conditions: &Conditions,
        order: &str,
        limit: i64,
    ) -> Result<Vec<PipelineRun>, CatalogError>
    where
        R: for<'r> FromRow<'r, AnyRow> + Send + Unpin,
        PipelineRun: TryFrom<R, Error = CatalogError>,
    {
        let text = format!("{select} WHERE {} ORDER BY {order} LIMIT ${}", conditions.text(), conditions.next());
        let mut query = sqlx::query_as(sqlx::AssertSqlSafe(text));
        for value in conditions.values() {
            query = query.bind(value);
        }
        let rows: Vec<R> = query.bind(limit).fetch_all(&self.readers).await?;
        entries(rows)
    }
}

/// Whether the pipeline is there, or there are fewer than there can be.
async fn has_room(connection: &mut AnyConnection, run: &PipelineRun, limits: RunLimits) -> Result<bool, CatalogError> {
    let (known,): (i64,) = sqlx::query_as("SELECT COUNT(*) FROM pipeline_runs WHERE pipeline = $1")
        .bind(run.pipeline.as_str())
        .fetch_one(&mut *connection)
        .await?;
    if known > 0 {
        return Ok(true);
    }
    let (pipelines,): (i64,) =
        sqlx::query_as("SELECT COUNT(DISTINCT pipeline) FROM pipeline_runs").fetch_one(connection).await?;
    Ok(pipelines < i64::from(limits.pipelines))
}

async fn insert(connection: &mut AnyConnection, run: &PipelineRun, key: Option<&str>) -> Result<(), CatalogError> {
    sqlx::query(
        "INSERT INTO pipeline_runs (id, pipeline, table_name, principal, idempotency_key, status, started_at, \
         ended_at, figures, error, revision) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(run.id.to_string())
    .bind(run.pipeline.as_str())
    .bind(run.table.as_ref().map(TableRef::to_string))
    .bind(&run.principal)
    .bind(key)
    .bind(run.status.as_str())
    .bind(instant(run.started_at))
    .bind(run.ended_at.map(instant))
    .bind(json("run's figures", &RunFigures::from(run))?)
    .bind(&run.error)
    .bind(run.revision)
    .execute(connection)
    .await?;
    Ok(())
}

/// Behind a place in the order of ends.
fn after(column: &str, place: &EndedPlace) -> Conditions {
    let mut conditions = Conditions::default();
    let (at, run) = (instant(place.at), place.run.map(|run| run.to_string()).unwrap_or_default());
    conditions.and(&format!("{column} >= {{}}"), [at.clone()]);
    conditions.and(&format!("({column} > {{}} OR r.id > {{}})"), [at, run]);
    conditions
}

/// What all places can be asked.
fn of_all(filter: &RunFilter, before: Option<&str>) -> Conditions {
    let mut conditions = Conditions::default();
    if let Some(before) = before {
        conditions.and("r.id < {}", [before.to_owned()]);
    }
    if let Some(since) = filter.since {
        conditions.and("r.id >= {}", [first_id(since)]);
    }
    conditions
}

/// Of those that are reported, and of those of pipelines of the lake.
pub(super) fn of_reported(filter: &RunFilter, before: Option<&str>) -> Conditions {
    let mut conditions = of_all(filter, before);
    if let Some(pipeline) = &filter.pipeline {
        conditions.and("r.pipeline = {}", [pipeline.to_string()]);
    }
    if let Some(table) = &filter.table {
        conditions.and("r.table_name = {}", [table.to_string()]);
    }
    if let Some(status) = filter.status {
        conditions.and("r.status = {}", [status.to_string()]);
    }
    conditions.table_within("r.table_name", filter.visible.as_deref());
    conditions
}

pub(super) fn of_uploads(filter: &RunFilter, before: Option<&str>) -> Conditions {
    let mut conditions = of_all(filter, before);
    conditions.and(NO_QUARANTINE, []);
    if let Some(pipeline) = &filter.pipeline {
        conditions.and("r.table_name = {}", [pipeline.to_string()]);
    }
    if let Some(table) = &filter.table {
        conditions.and("r.table_name = {}", [table.to_string()]);
    }
    if let Some(status) = filter.status {
        let condition = match status {
            RunStatus::Running => "r.state IN ('landed', 'committing')",
            RunStatus::Failed => "r.state = 'failed'",
            RunStatus::Success => "r.state = 'committed' AND r.row_counts LIKE '%\"quarantined\":0,%'",
            RunStatus::Warning => "r.state = 'committed' AND r.row_counts NOT LIKE '%\"quarantined\":0,%'",
            RunStatus::Cancelled => "1 = 0",
        };
        conditions.and(condition, []);
    }
    conditions.table_within("r.table_name", filter.visible.as_deref());
    conditions
}

pub(super) fn of_sources(filter: &RunFilter, before: Option<&str>) -> Conditions {
    let mut conditions = of_all(filter, before);
    if let Some(pipeline) = &filter.pipeline {
        conditions.and("s.name = {}", [pipeline.to_string()]);
    }
    if let Some(table) = &filter.table {
        // The table is what a stored definition begins with; a dash sorts right behind the comma that follows it.
        let beginning = format!("{{\"table\":\"{table}\"");
        conditions.and("s.definition >= {}", [format!("{beginning},")]);
        conditions.and("s.definition < {}", [format!("{beginning}-")]);
    }
    if let Some(status) = filter.status {
        const WHOLE: &str = "r.counts LIKE '%\"files_failed\":0,%' AND r.counts LIKE '%\"quarantined\":0,%'";
        let condition = match status {
            RunStatus::Running => "r.state = 'running'".to_owned(),
            RunStatus::Failed => "r.state = 'failed'".to_owned(),
            RunStatus::Success => format!("r.state = 'succeeded' AND {WHOLE}"),
            RunStatus::Warning => format!("r.state = 'succeeded' AND NOT ({WHOLE})"),
            RunStatus::Cancelled => "1 = 0".to_owned(),
        };
        conditions.and(&condition, []);
    }
    conditions.namespace_in("s.namespace", filter.visible.as_deref());
    conditions
}

/// No id that was given out at this moment or later sorts before this.
fn first_id(at: DateTime<Utc>) -> String {
    let milliseconds = at.timestamp_millis().max(0);
    format!("{:08x}-{:04x}", milliseconds >> 16, milliseconds & 0xffff)
}
