//! Runs of pipelines of the lake.

use std::collections::BTreeSet;

use async_trait::async_trait;
use chrono::{DateTime, SubsecRound as _, Utc};
use sluice_domain::{
    CuratedOutcome, CuratedRun, FileRecord, Interval, Pipeline, PipelineId, PreparedRun, RunId, RunWish, TableId,
};
use sqlx::AnyConnection;
use uuid::Uuid;

use super::{SqlBackend, backfills, entries, inventory, pipelines::next_after};
use crate::{
    CatalogError, CuratedBegun, CuratedRuns, NewCuratedRun, Preparation,
    columns::{instant, json, now, read},
    pipeline_rows::{CuratedRunRow, PipelineRow},
};

#[async_trait]
impl CuratedRuns for SqlBackend {
    async fn begin_run(&self, new: &NewCuratedRun) -> Result<CuratedBegun, CatalogError> {
        let mut write = self.write().await?;
        if let Some(known) = find_of(&mut write, new.pipeline, "idempotency_key = $2", new.key.as_deref()).await? {
            return Ok(CuratedBegun::Known(known));
        }
        if let Some(running) = find_of(&mut write, new.pipeline, "status = $2", Some("RUNNING")).await? {
            return Ok(CuratedBegun::Busy(running));
        }
        if let Some(backfill) = new.wish.backfill
            && !backfills::is_next(&mut write, new.pipeline, (backfill, new.wish.interval)).await?
        {
            return Ok(CuratedBegun::Gone);
        }
        let row: Option<PipelineRow> = sqlx::query_as(
            "UPDATE pipelines SET last_sequence = last_sequence + 1, seen = $1 WHERE id = $2 RETURNING *",
        )
        .bind(json("run's inputs", &new.seen)?)
        .bind(new.pipeline.to_string())
        .fetch_optional(&mut *write)
        .await?;
        let Some(row) = row else { return Ok(CuratedBegun::Gone) };
        let run = self.insert_run(&mut write, &row.try_into()?, new).await?;
        write.commit().await?;
        Ok(CuratedBegun::Started(run))
    }

    async fn running(&self, pipeline: PipelineId) -> Result<Option<CuratedRun>, CatalogError> {
        let mut connection = self.readers.acquire().await?;
        find_of(&mut connection, pipeline, "status = $2", Some("RUNNING")).await
    }

    async fn find_run(&self, id: RunId) -> Result<Option<CuratedRun>, CatalogError> {
        let row: Option<CuratedRunRow> = sqlx::query_as("SELECT * FROM curated_runs WHERE id = $1")
            .bind(id.to_string())
            .fetch_optional(&self.readers)
            .await?;
        row.map(CuratedRun::try_from).transpose()
    }

    async fn unfinished_runs(&self, limit: u32) -> Result<Vec<CuratedRun>, CatalogError> {
        let rows: Vec<CuratedRunRow> =
            sqlx::query_as("SELECT * FROM curated_runs WHERE status = 'RUNNING' AND node = $1 ORDER BY id LIMIT $2")
                .bind(i64::from(self.node))
                .bind(i64::from(limit))
                .fetch_all(&self.readers)
                .await?;
        entries(rows)
    }

    async fn count_attempt(&self, id: RunId) -> Result<Option<u32>, CatalogError> {
        let mut write = self.write().await?;
        let attempts: Option<i64> = sqlx::query_scalar(
            "UPDATE curated_runs SET attempts = attempts + 1 WHERE id = $1 AND status = 'RUNNING' AND node = $2 \
             RETURNING attempts",
        )
        .bind(id.to_string())
        .bind(i64::from(self.node))
        .fetch_optional(&mut *write)
        .await?;
        write.commit().await?;
        attempts.map(u32::try_from).transpose().map_err(|error| CatalogError::corrupt("run's tries", error))
    }

    async fn prepare_run(
        &self,
        id: RunId,
        table: TableId,
        prepared: &PreparedRun,
        files: &[FileRecord],
    ) -> Result<Preparation, CatalogError> {
        let mut write = self.write().await?;
        let Some(run) = find_own(&mut write, id, self.node).await? else { return Ok(Preparation::Lost) };
        if run.cancel_asked {
            return Ok(Preparation::Cancelled);
        }
        let mut prepared = prepared.clone();
        prepared.files.extend(run.prepared.into_iter().flat_map(|before| before.files));
        prepared.files.sort_unstable();
        prepared.files.dedup();
        inventory::enter(&mut write, table, files).await?;
        sqlx::query("UPDATE curated_runs SET prepared = $1, table_id = $2 WHERE id = $3")
            .bind(json("run's commit", &prepared)?)
            .bind(table.to_string())
            .bind(id.to_string())
            .execute(&mut *write)
            .await?;
        write.commit().await?;
        Ok(Preparation::Entered)
    }

    async fn skip_run_sequence(&self, id: RunId, newest: i64) -> Result<i64, CatalogError> {
        let next =
            newest.checked_add(1).ok_or_else(|| CatalogError::corrupt("run's sequence", "no number comes after it"))?;
        let mut write = self.write().await?;
        for statement in [
            "UPDATE pipelines SET last_sequence = CASE WHEN last_sequence < $1 THEN $1 ELSE last_sequence END \
             WHERE id = (SELECT pipeline_id FROM curated_runs WHERE id = $2)",
            "UPDATE curated_runs SET sequence = $1 WHERE id = $2 AND status = 'RUNNING'",
        ] {
            sqlx::query(statement).bind(next).bind(id.to_string()).execute(&mut *write).await?;
        }
        write.commit().await?;
        Ok(next)
    }

    async fn cancel_run(&self, id: RunId) -> Result<Option<CuratedRun>, CatalogError> {
        let mut write = self.write().await?;
        sqlx::query("UPDATE curated_runs SET cancel_asked = 1 WHERE id = $1 AND status = 'RUNNING'")
            .bind(id.to_string())
            .execute(&mut *write)
            .await?;
        let row: Option<CuratedRunRow> = sqlx::query_as("SELECT * FROM curated_runs WHERE id = $1")
            .bind(id.to_string())
            .fetch_optional(&mut *write)
            .await?;
        write.commit().await?;
        row.map(CuratedRun::try_from).transpose()
    }

    async fn finish_run(
        &self,
        id: RunId,
        outcome: &CuratedOutcome,
        live: &BTreeSet<String>,
        keep: u32,
    ) -> Result<(), CatalogError> {
        let mut write = self.write().await?;
        if let Some(run) = find_own(&mut write, id, self.node).await? {
            forget_files(&mut write, run.prepared.as_ref(), live).await?;
            backfills::advance(&mut write, &run, outcome.status).await?;
        }
        let pipeline: Option<String> = sqlx::query_scalar(
            "UPDATE curated_runs SET status = $1, ended_at = $2, figures = $3, failure = $4 \
             WHERE id = $5 AND status = 'RUNNING' RETURNING pipeline_id",
        )
        .bind(outcome.status.as_str())
        .bind(now())
        .bind(json("run's figures", &outcome.figures)?)
        .bind(outcome.failure.as_ref().map(|failure| json("run's failure", failure)).transpose()?)
        .bind(id.to_string())
        .fetch_optional(&mut *write)
        .await?;
        if let Some(pipeline) = pipeline {
            sqlx::query(
                "DELETE FROM curated_runs WHERE pipeline_id = $1 AND status <> 'RUNNING' AND id <= \
                 (SELECT id FROM curated_runs WHERE pipeline_id = $2 ORDER BY id DESC LIMIT 1 OFFSET $3)",
            )
            .bind(&pipeline)
            .bind(&pipeline)
            .bind(i64::from(keep))
            .execute(&mut *write)
            .await?;
        }
        Ok(write.commit().await?)
    }
}

impl SqlBackend {
    async fn insert_run(
        &self,
        connection: &mut AnyConnection,
        pipeline: &Pipeline,
        new: &NewCuratedRun,
    ) -> Result<CuratedRun, CatalogError> {
        let began = Utc::now().trunc_subsecs(6);
        let (wish, interval_end) = for_interval(connection, pipeline.id, (new.wish, began)).await?;
        let row: CuratedRunRow = sqlx::query_as(
            "INSERT INTO curated_runs (id, pipeline_id, pipeline, table_name, definition, principal, cause, \
             idempotency_key, node, sequence, status, started_at, attempts, cancel_asked, wish, \
             interval_end) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, \
             (SELECT last_sequence FROM pipelines WHERE id = $10), 'RUNNING', $11, 0, 0, $12, $13) RETURNING *",
        )
        .bind(Uuid::now_v7().to_string())
        .bind(pipeline.id.to_string())
        .bind(pipeline.name.as_str())
        .bind(pipeline.definition.target.to_string())
        .bind(json("run's pipeline", &pipeline.definition)?)
        .bind(&new.principal)
        .bind(new.cause.as_str())
        .bind(&new.key)
        .bind(i64::from(self.node))
        .bind(pipeline.id.to_string())
        .bind(instant(began))
        .bind(json("run's wish", &wish)?)
        .bind(interval_end.map(instant))
        .fetch_one(&mut *connection)
        .await?;
        sqlx::query("UPDATE pipelines SET next_run_at = $1 WHERE id = $2")
            .bind(next_after(&pipeline.definition, began))
            .bind(pipeline.id.to_string())
            .execute(connection)
            .await?;
        row.try_into()
    }
}

/// A wish with the time that its run is for; and the end of that time, where the next run goes on from it.
async fn for_interval(
    connection: &mut AnyConnection,
    pipeline: PipelineId,
    (wish, began): (RunWish, DateTime<Utc>),
) -> Result<(RunWish, Option<DateTime<Utc>>), CatalogError> {
    if wish.interval.is_some() {
        return Ok((wish, None));
    }
    let last: Option<String> = sqlx::query_scalar(
        "SELECT MAX(interval_end) FROM curated_runs WHERE pipeline_id = $1 AND status IN ('SUCCESS', 'WARNING')",
    )
    .bind(pipeline.to_string())
    .fetch_one(connection)
    .await?;
    let last: Option<DateTime<Utc>> = last.map(|last| read("run's interval", &last)).transpose()?;
    // A clock may have been set back.
    let start = last.filter(|last| !wish.full_refresh && *last < began);
    let interval = start.map_or(Interval::until(began), |start| Interval { start, end: began });
    Ok((RunWish { interval: Some(interval), ..wish }, Some(began)))
}

/// The run of a pipeline for which this is true of the value; none without a value.
async fn find_of(
    connection: &mut AnyConnection,
    pipeline: PipelineId,
    condition: &'static str,
    value: Option<&str>,
) -> Result<Option<CuratedRun>, CatalogError> {
    let Some(value) = value else { return Ok(None) };
    let select = format!("SELECT * FROM curated_runs WHERE pipeline_id = $1 AND {condition}");
    let row: Option<CuratedRunRow> = sqlx::query_as(sqlx::AssertSqlSafe(select))
        .bind(pipeline.to_string())
        .bind(value)
        .fetch_optional(connection)
        .await?;
    row.map(CuratedRun::try_from).transpose()
}

/// A run that goes on, as one of the server of this place.
async fn find_own(connection: &mut AnyConnection, id: RunId, node: u32) -> Result<Option<CuratedRun>, CatalogError> {
    let row: Option<CuratedRunRow> =
        sqlx::query_as("SELECT * FROM curated_runs WHERE id = $1 AND status = 'RUNNING' AND node = $2")
            .bind(id.to_string())
            .bind(i64::from(node))
            .fetch_optional(connection)
            .await?;
    row.map(CuratedRun::try_from).transpose()
}

/// Strike out the files that were prepared and are in no commit.
async fn forget_files(
    connection: &mut AnyConnection,
    prepared: Option<&PreparedRun>,
    live: &BTreeSet<String>,
) -> Result<(), CatalogError> {
    for path in prepared.iter().flat_map(|prepared| &prepared.files).filter(|path| !live.contains(*path)) {
        sqlx::query("DELETE FROM data_files WHERE table_id = $1 AND path = $2")
            .bind(prepared.map(|prepared| prepared.table.as_str()))
            .bind(path)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}
