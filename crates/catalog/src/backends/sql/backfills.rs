//! Backfills.

use async_trait::async_trait;
use chrono::Utc;
use sluice_domain::{Backfill, BackfillId, CuratedRun, Interval, PipelineId, RunStatus};
use sqlx::AnyConnection;
use uuid::Uuid;

use super::{SqlBackend, entries};
use crate::{
    BackfillBegun, Backfills, CatalogError, NewBackfill,
    backfills::{BackfillRow, Told},
    columns::{instant, json, now},
};

#[async_trait]
impl Backfills for SqlBackend {
    async fn begin_backfill(&self, new: &NewBackfill) -> Result<BackfillBegun, CatalogError> {
        let mut write = self.write().await?;
        if let Some(other) = find(&mut write, new.pipeline).await?.filter(|other| !other.status.has_ended()) {
            return Ok(BackfillBegun::Busy(other));
        }
        let name: Option<String> = sqlx::query_scalar("SELECT name FROM pipelines WHERE id = $1")
            .bind(new.pipeline.to_string())
            .fetch_optional(&mut *write)
            .await?;
        let Some(name) = name else { return Ok(BackfillBegun::Gone) };
        let told = Told { range: new.range, principal: new.principal.clone() };
        let row: BackfillRow = sqlx::query_as(
            "INSERT INTO backfills (pipeline_id, id, pipeline, told, next_start, status, created_at) \
             VALUES ($1, $2, $3, $4, $5, 'RUNNING', $6) ON CONFLICT (pipeline_id) DO UPDATE SET id = excluded.id, \
             pipeline = excluded.pipeline, told = excluded.told, next_start = excluded.next_start, \
             status = excluded.status, created_at = excluded.created_at, ended_at = NULL RETURNING *",
        )
        .bind(new.pipeline.to_string())
        .bind(Uuid::now_v7().to_string())
        .bind(name)
        .bind(json("backfill", &told)?)
        .bind(instant(new.range.whole.start))
        .bind(now())
        .fetch_one(&mut *write)
        .await?;
        write.commit().await?;
        row.try_into().map(BackfillBegun::Started)
    }

    async fn find_backfill(&self, pipeline: PipelineId) -> Result<Option<Backfill>, CatalogError> {
        find(&mut *self.readers.acquire().await?, pipeline).await
    }

    async fn idle_backfills(&self, limit: u32) -> Result<Vec<Backfill>, CatalogError> {
        let rows: Vec<BackfillRow> = sqlx::query_as(
            "SELECT b.* FROM backfills b WHERE b.status = 'RUNNING' AND NOT EXISTS (SELECT 1 FROM curated_runs r \
             WHERE r.pipeline_id = b.pipeline_id AND r.status = 'RUNNING') ORDER BY b.id LIMIT $1",
        )
        .bind(i64::from(limit))
        .fetch_all(&self.readers)
        .await?;
        entries(rows)
    }

    async fn cancel_backfill(&self, pipeline: PipelineId) -> Result<Option<Backfill>, CatalogError> {
        let mut write = self.write().await?;
        sqlx::query(
            "UPDATE backfills SET status = 'CANCELLED', ended_at = $1 WHERE pipeline_id = $2 AND status = 'RUNNING'",
        )
        .bind(now())
        .bind(pipeline.to_string())
        .execute(&mut *write)
        .await?;
        let found = find(&mut write, pipeline).await?;
        write.commit().await?;
        Ok(found)
    }
}

async fn find(connection: &mut AnyConnection, pipeline: PipelineId) -> Result<Option<Backfill>, CatalogError> {
    let row: Option<BackfillRow> = sqlx::query_as("SELECT * FROM backfills WHERE pipeline_id = $1")
        .bind(pipeline.to_string())
        .fetch_optional(connection)
        .await?;
    row.map(Backfill::try_from).transpose()
}

/// Whether the next part of a backfill is this one.
pub(super) async fn is_next(
    connection: &mut AnyConnection,
    pipeline: PipelineId,
    (id, part): (BackfillId, Option<Interval>),
) -> Result<bool, CatalogError> {
    let found = find(connection, pipeline).await?.filter(|found| found.id == id);
    Ok(found.is_some_and(|found| part.is_some() && found.next_part() == part))
}

/// Go on in the backfill that a run was for, which has ended so.
pub(super) async fn advance(
    connection: &mut AnyConnection,
    run: &CuratedRun,
    ended: RunStatus,
) -> Result<(), CatalogError> {
    let (Some(id), Some(part)) = (run.wish.backfill, run.wish.interval) else { return Ok(()) };
    let Some(found) = find(connection, run.pipeline).await?.filter(|found| found.id == id) else { return Ok(()) };
    let after = found.after(part, ended, Utc::now());
    sqlx::query("UPDATE backfills SET next_start = $1, status = $2, ended_at = $3 WHERE pipeline_id = $4 AND id = $5")
        .bind(instant(after.next))
        .bind(after.status.as_str())
        .bind(after.ended_at.map(instant))
        .bind(run.pipeline.to_string())
        .bind(id.to_string())
        .execute(connection)
        .await?;
    Ok(())
}
