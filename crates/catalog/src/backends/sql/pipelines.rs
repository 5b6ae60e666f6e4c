//! Pipelines.

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use sluice_domain::{
    NamespaceName, Page, PageRequest, Pipeline, PipelineDefinition, PipelineId, PipelineLink, PipelineName,
    PipelineSchedule, TableRef, find_cycle,
};
use sqlx::AnyConnection;
use uuid::Uuid;

use super::{SqlBackend, assembled::Assembled, entries, fetch_size, page_of, push_visible};
use crate::{
    CatalogError, NewPipeline, PipelineDefined, Pipelines,
    columns::{instant, json, now, read},
    pipeline_rows::PipelineRow,
};

const SELECT: &str = "SELECT p.* FROM pipelines p";
const IDLE: &str = " AND NOT EXISTS (SELECT 1 FROM curated_runs r WHERE r.pipeline_id = p.id AND r.status = 'RUNNING')";

#[async_trait]
impl Pipelines for SqlBackend {
    async fn define(&self, new: &NewPipeline, limit: u32) -> Result<PipelineDefined, CatalogError> {
        let mut write = self.write().await?;
        let rows: Vec<PipelineRow> = sqlx::query_as("SELECT p.* FROM pipelines p").fetch_all(&mut *write).await?;
        let known: Vec<Pipeline> = entries(rows)?;
        let present = known.iter().find(|known| known.name == new.name);
        if present.is_none() && known.len() >= limit as usize {
            return Ok(PipelineDefined::TooMany);
        }
        let definition = &new.definition;
        let is_taken = |known: &&Pipeline| known.name != new.name && known.definition.target == definition.target;
        if let Some(owner) = known.iter().find(is_taken) {
            return Ok(PipelineDefined::TargetTaken(owner.name.clone()));
        }
        let links: Vec<PipelineLink<'_>> = known.iter().map(|known| link(&known.name, &known.definition)).collect();
        if let Some(cycle) = find_cycle(link(&new.name, definition), &links) {
            return Ok(PipelineDefined::Cycle(cycle));
        }
        let next = match present {
            Some(present) if goes_on_as(&present.definition, definition) => present.next_run_at.map(instant),
            Some(present) => first_time(definition, last_start(&mut write, present.id).await?),
            None => first_time(definition, None),
        };
        put(&mut write, new, next).await?;
        let row: PipelineRow = sqlx::query_as("SELECT p.* FROM pipelines p WHERE p.name = $1")
            .bind(new.name.as_str())
            .fetch_one(&mut *write)
            .await?;
        let pipeline = Pipeline::try_from(row)?;
        if !new.is_trial {
            write.commit().await?;
        }
        Ok(match present {
            None => PipelineDefined::Made(pipeline),
            Some(_) => PipelineDefined::Changed(pipeline),
        })
    }

    async fn find(&self, name: &PipelineName) -> Result<Option<Pipeline>, CatalogError> {
        let row: Option<PipelineRow> = sqlx::query_as("SELECT p.* FROM pipelines p WHERE p.name = $1")
            .bind(name.as_str())
            .fetch_optional(&self.readers)
            .await?;
        row.map(Pipeline::try_from).transpose()
    }

    async fn find_by_target(&self, target: &TableRef) -> Result<Option<Pipeline>, CatalogError> {
        let row: Option<PipelineRow> = sqlx::query_as("SELECT p.* FROM pipelines p WHERE p.target = $1")
            .bind(target.to_string())
            .fetch_optional(&self.readers)
            .await?;
        row.map(Pipeline::try_from).transpose()
    }

    async fn list(
        &self,
        visible: Option<&[NamespaceName]>,
        page: &PageRequest,
    ) -> Result<Page<Pipeline>, CatalogError> {
        let mut query = Assembled::new(SELECT);
        query.push(" WHERE p.name > ").push_bind(page.after());
        push_visible(&mut query, "p.namespace", visible);
        query.push(" ORDER BY p.name LIMIT ").push_bind(fetch_size(page));
        let rows: Vec<PipelineRow> = query.build_query_as().fetch_all(&self.readers).await?;
        page_of(rows, page, |pipeline: &Pipeline| pipeline.name.to_string())
    }

    async fn due(&self, now: DateTime<Utc>, limit: u32) -> Result<Vec<Pipeline>, CatalogError> {
        let mut query = Assembled::new(SELECT);
        query.push(" WHERE p.next_run_at <= ").push_bind(instant(now)).push(IDLE);
        query.push(" ORDER BY p.next_run_at LIMIT ").push_bind(i64::from(limit));
        entries(query.build_query_as::<PipelineRow>().fetch_all(&self.readers).await?)
    }

    async fn watching(&self, limit: u32) -> Result<Vec<Pipeline>, CatalogError> {
        let mut query = Assembled::new(SELECT);
        query.push(" WHERE p.is_watching = 1").push(IDLE);
        query.push(" ORDER BY p.name LIMIT ").push_bind(i64::from(limit));
        entries(query.build_query_as::<PipelineRow>().fetch_all(&self.readers).await?)
    }

    async fn forget(&self, id: PipelineId) -> Result<bool, CatalogError> {
        let mut write = self.write().await?;
        let done = sqlx::query(
            "DELETE FROM pipelines WHERE id = $1 AND NOT EXISTS \
             (SELECT 1 FROM curated_runs r WHERE r.pipeline_id = $2 AND r.status = 'RUNNING')",
        )
        .bind(id.to_string())
        .bind(id.to_string())
        .execute(&mut *write)
        .await?;
        let is_forgotten = done.rows_affected() > 0;
        if is_forgotten {
            sqlx::query("DELETE FROM backfills WHERE pipeline_id = $1")
                .bind(id.to_string())
                .execute(&mut *write)
                .await?;
        }
        write.commit().await?;
        Ok(is_forgotten)
    }
}

fn link<'p>(name: &'p PipelineName, definition: &'p PipelineDefinition) -> PipelineLink<'p> {
    PipelineLink { name, inputs: &definition.inputs, below: &definition.below, target: &definition.target }
}

/// When the last run of a pipeline began.
async fn last_start(connection: &mut AnyConnection, id: PipelineId) -> Result<Option<DateTime<Utc>>, CatalogError> {
    let began: Option<String> = sqlx::query_scalar("SELECT MAX(started_at) FROM curated_runs WHERE pipeline_id = $1")
        .bind(id.to_string())
        .fetch_one(connection)
        .await?;
    began.map(|began| read("run's start", &began)).transpose()
}

async fn put(connection: &mut AnyConnection, new: &NewPipeline, next: Option<String>) -> Result<(), CatalogError> {
    let definition = &new.definition;
    let is_watching = definition.enabled && definition.schedule == Some(PipelineSchedule::OnNewData);
    sqlx::query(
        "INSERT INTO pipelines (id, name, namespace, target, definition, principal, created_at, updated_at, \
         last_sequence, seen, is_watching, next_run_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, '{}', $9, $10) \
         ON CONFLICT (name) DO UPDATE SET namespace = excluded.namespace, target = excluded.target, \
         definition = excluded.definition, principal = excluded.principal, updated_at = excluded.updated_at, \
         is_watching = excluded.is_watching, next_run_at = excluded.next_run_at",
    )
    .bind(Uuid::now_v7().to_string())
    .bind(new.name.as_str())
    .bind(definition.target.namespace.as_str())
    .bind(definition.target.to_string())
    .bind(json("pipeline", definition)?)
    .bind(&new.principal)
    .bind(now())
    .bind(now())
    .bind(i64::from(is_watching))
    .bind(next)
    .execute(connection)
    .await?;
    Ok(())
}

/// Whether a pipeline that is defined anew keeps the time that it waits for: one that has come is not to be lost.
fn goes_on_as(before: &PipelineDefinition, after: &PipelineDefinition) -> bool {
    before.schedule == after.schedule && before.enabled == after.enabled
}

/// When a pipeline that is said to go by the clock runs first, where its last run began then.
fn first_time(definition: &PipelineDefinition, began: Option<DateTime<Utc>>) -> Option<String> {
    match (&definition.schedule, began) {
        (Some(PipelineSchedule::EverySeconds(_)), Some(began)) => next_after(definition, began),
        // Nothing has to be waited for.
        (Some(PipelineSchedule::EverySeconds(_)), None) => definition.enabled.then(now),
        _ => next_after(definition, Utc::now()),
    }
}

/// When a pipeline runs by itself after a run that begins now.
pub(super) fn next_after(definition: &PipelineDefinition, began: DateTime<Utc>) -> Option<String> {
    let next = match definition.schedule.as_ref().filter(|_| definition.enabled)? {
        PipelineSchedule::EverySeconds(every) => began.checked_add_signed(TimeDelta::seconds((*every).into())),
        PipelineSchedule::OnNewData => None,
        PipelineSchedule::Cron(cron) => cron.next_after(began),
    };
    next.map(instant)
}
