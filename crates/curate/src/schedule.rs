//! The runs that begin by themselves, and those that another server left.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use chrono::Utc;
use sluice_domain::{Pipeline, PipelineCause, RunWish, TableRef};

use crate::{Curate, CurateError};

/// How many runs are taken up, or begun, in one pass.
pub(crate) const MAX_PER_PASS: u32 = 1000;

impl Curate {
    /// Take up the runs that were cut off, and begin those that are due from now on, until the server stops.
    pub fn start(&self) {
        let curate = self.clone();
        let pause = Duration::from_secs(self.inner.settings.poll_seconds.max(1));
        self.inner.tasks.spawn(async move {
            loop {
                if let Err(error) = curate.pass().await {
                    tracing::warn!(%error, "could not look for runs of pipelines");
                }
                if tokio::time::timeout(pause, curate.inner.stopping.cancelled()).await.is_ok() {
                    break;
                }
            }
        });
    }

    async fn pass(&self) -> Result<(), CurateError> {
        let pipelines = self.catalog().pipelines();
        for run in pipelines.unfinished_runs(MAX_PER_PASS).await? {
            self.spawn(run);
        }
        self.go_on_with_backfills().await?;
        for pipeline in pipelines.due(Utc::now(), MAX_PER_PASS).await? {
            self.begin_by_itself(&pipeline, PipelineCause::Schedule).await;
        }
        let watching = pipelines.watching(MAX_PER_PASS).await?;
        let inputs: BTreeSet<TableRef> = watching.iter().flat_map(|pipeline| pipeline.definition.sources()).collect();
        let inputs: Vec<TableRef> = inputs.into_iter().collect();
        let newest = self.newest_versions(&inputs).await?;
        for pipeline in watching.iter().filter(|pipeline| has_news(pipeline, &newest)) {
            self.begin_by_itself(pipeline, PipelineCause::NewData).await;
        }
        Ok(())
    }

    /// Begin a run that nobody waits for: what is in its way is told, and the others begin.
    async fn begin_by_itself(&self, pipeline: &Pipeline, cause: PipelineCause) {
        if let Err(error) = self.begin(pipeline, (cause, RunWish::default()), &pipeline.principal, None).await {
            tracing::warn!(pipeline.name = %pipeline.name, %error, "a run of a pipeline could not begin");
        }
    }

    /// The newest versions of tables that the catalog knows of.
    pub(crate) async fn newest_versions(&self, tables: &[TableRef]) -> Result<BTreeMap<TableRef, u64>, CurateError> {
        Ok(self.catalog().inventory().newest_commits(tables).await?)
    }
}

/// Whether an input has a version that the last run did not see.
fn has_news(pipeline: &Pipeline, newest: &BTreeMap<TableRef, u64>) -> bool {
    let sources = pipeline.definition.sources();
    sources
        .iter()
        .filter_map(|source| newest.get_key_value(source))
        .any(|(table, version)| pipeline.seen.get(table) != Some(version))
}
