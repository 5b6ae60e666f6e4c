//! Backfills: a pipeline runs for the parts of a range of time, one after the other.
//!
//! Invariant: the catalog tells which part is next, and moves on with the end of the run for it: whenever a server ends,
//! the next one goes on with the part that has not gone through.

use sluice_catalog::{BackfillBegun, NewBackfill};
use sluice_domain::{
    Backfill, BackfillRange, Grant, Pipeline, PipelineCause, PipelineMode, PipelineSettingsError, RunWish,
};

use crate::{Curate, CurateError, intervals::check_takes_intervals, schedule::MAX_PER_PASS};

impl Curate {
    /// Have a pipeline run for the parts of a range.
    ///
    /// # Errors
    /// [`CurateError::State`] while another backfill of it goes on, or where it is not enabled;
    /// [`CurateError::Settings`] where it cannot run for a time that somebody says.
    pub async fn begin_backfill(
        &self,
        grant: &Grant,
        pipeline: &Pipeline,
        range: BackfillRange,
    ) -> Result<Backfill, CurateError> {
        if !pipeline.definition.enabled {
            return Err(CurateError::disabled(&pipeline.name));
        }
        check_takes_intervals(&pipeline.definition)?;
        if pipeline.definition.mode == PipelineMode::Overwrite {
            let reason = "of a pipeline with the mode overwrite only the rows of the last interval would be left";
            return Err(PipelineSettingsError::new("mode", reason).into());
        }
        let new = NewBackfill { pipeline: pipeline.id, range, principal: grant.principal().to_owned() };
        match self.catalog().pipelines().begin_backfill(&new).await? {
            BackfillBegun::Started(backfill) => Ok(backfill),
            BackfillBegun::Busy(_) => {
                let reason = format!("a backfill of {} goes on; wait for its end, or cancel it", pipeline.name);
                Err(CurateError::State { code: "backfill-in-progress", reason })
            }
            BackfillBegun::Gone => Err(CurateError::NotFound { name: pipeline.name.clone() }),
        }
    }

    /// The newest backfill of a pipeline.
    ///
    /// # Errors
    /// [`CurateError::NoBackfill`], or the catalog's.
    pub async fn find_backfill(&self, pipeline: &Pipeline) -> Result<Backfill, CurateError> {
        let found = self.catalog().pipelines().find_backfill(pipeline.id).await?;
        found.ok_or_else(|| CurateError::NoBackfill { name: pipeline.name.clone() })
    }

    /// End a backfill, and the run that goes on for it. One that has ended stays as it is.
    ///
    /// # Errors
    /// [`CurateError::NoBackfill`], or the catalog's.
    pub async fn cancel_backfill(&self, grant: &Grant, pipeline: &Pipeline) -> Result<Backfill, CurateError> {
        let cancelled = self.catalog().pipelines().cancel_backfill(pipeline.id).await?;
        let cancelled = cancelled.ok_or_else(|| CurateError::NoBackfill { name: pipeline.name.clone() })?;
        if let Some(run) = self.catalog().pipelines().running(pipeline.id).await?
            && run.wish.backfill == Some(cancelled.id)
        {
            match self.cancel(grant, run.id).await {
                // It ended meanwhile.
                Ok(_) | Err(CurateError::State { .. } | CurateError::RunNotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(cancelled)
    }

    /// Begin the runs for the next parts of backfills whose pipelines do not run.
    pub(crate) async fn go_on_with_backfills(&self) -> Result<(), CurateError> {
        for backfill in self.catalog().pipelines().idle_backfills(MAX_PER_PASS).await? {
            let Some(part) = backfill.next_part() else { continue };
            let pipeline = match self.find(&backfill.name).await {
                Ok(pipeline) if pipeline.id == backfill.pipeline && pipeline.definition.enabled => pipeline,
                // One that is enabled again goes on.
                Ok(_) | Err(CurateError::NotFound { .. }) => continue,
                Err(error) => return Err(error),
            };
            let wish = RunWish { interval: Some(part), backfill: Some(backfill.id), ..RunWish::default() };
            let begun = self.begin(&pipeline, (PipelineCause::Backfill, wish), &backfill.principal, None).await;
            if let Err(error) = begun {
                tracing::warn!(pipeline.name = %pipeline.name, %error, "a run of a backfill could not begin");
            }
        }
        Ok(())
    }
}
