//! From a statement and its open tables to something that can be run.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use datafusion::{
    common::{ScalarValue, TableReference, plan_err},
    error::Result,
    execution::context::{SQLOptions, TaskContext},
    logical_expr::{LogicalPlan, LogicalPlanBuilder},
    physical_plan::{ExecutionPlan, empty::EmptyExec},
    prelude::SessionContext,
};
use sluice_domain::TableRef;
use tokio::runtime::Handle;

use crate::{
    OpenedTable, QueryError, QuerySettings,
    executor::{Manner, Wish},
    increment,
    interruption::{Stop, interruptible},
    lineage,
    redaction::Redaction,
    session,
    statement::ReadOnly,
    views::{self, ParsedView},
};

/// A plan, and what it needs to run.
pub(crate) struct Planned {
    /// The plan; its metrics fill while it runs.
    pub(crate) plan: Arc<dyn ExecutionPlan>,
    /// The session's memory and stores.
    pub(crate) context: Arc<TaskContext>,
    /// What to hide from texts about it.
    pub(crate) redaction: Redaction,
    /// Whether the rows are a text about the plan.
    pub(crate) explains: bool,
    /// What ends it while it computes.
    pub(crate) stop: Stop,
}

/// What is planned with.
pub(crate) struct Planning {
    /// The statement.
    pub(crate) statement: ReadOnly,
    /// Its tables.
    pub(crate) tables: BTreeMap<TableRef, OpenedTable>,
    /// Those of which new rows alone must do.
    pub(crate) incremental: BTreeSet<TableRef>,
    /// How it is planned.
    pub(crate) manner: Manner,
    /// The views that it reads, each after those that it reads itself.
    pub(crate) views: Vec<ParsedView>,
    /// What is asked of it.
    pub(crate) wish: Wish,
    /// Where requests to stores are made.
    pub(crate) requests: Handle,
    /// What ends it.
    pub(crate) stop: Stop,
}

impl Planning {
    /// Make the plan.
    pub(crate) async fn plan(mut self, settings: &QuerySettings) -> Result<Planned, QueryError> {
        let redaction = Redaction::new(
            self.tables.iter().map(|(name, table)| (table.folder.to_string(), name.to_string())).collect(),
        );
        let (explains, stop) = (self.statement.explains, self.stop.clone());
        let views = std::mem::take(&mut self.views);
        let spellings = views.iter().map(|view| &view.statement).chain([&self.statement]);
        let names = spellings.flat_map(|statement| statement.tables.clone()).collect();
        let planning = |error| QueryError::planning(error, &redaction);
        let session = session::open((settings, &self.manner), &names, &self.tables, &self.requests);
        let session = session.map_err(planning)?;
        views::register(&session, views, &names).await.map_err(planning)?;
        let (wish, incremental) = (self.wish, std::mem::take(&mut self.incremental));
        let logical = self.logical(&session, &names).await.map_err(planning)?;
        increment::check(&logical, &incremental)?;
        let plan = session.state().create_physical_plan(&logical).await;
        let mut plan = plan.map_err(|error| QueryError::planning(error, &redaction))?;
        session::share_memory(&session, &plan, settings);
        if wish == Wish::Columns {
            plan = Arc::new(EmptyExec::new(plan.schema()));
        }
        let plan = interruptible(plan, &stop).map_err(|error| QueryError::planning(error, &redaction))?;
        Ok(Planned { plan, context: session.task_ctx(), redaction, explains, stop })
    }

    async fn logical(
        self,
        session: &SessionContext,
        names: &BTreeMap<TableReference, TableRef>,
    ) -> Result<LogicalPlan> {
        let mut plan = session.state().statement_to_plan(self.statement.statement).await?;
        if !self.manner.parameters.is_empty() {
            plan = plan.with_param_values(values(self.manner.parameters))?;
        }
        SQLOptions::new()
            .with_allow_ddl(false)
            .with_allow_dml(false)
            .with_allow_statements(false)
            .verify_plan(&plan)?;
        if self.statement.explains && self.wish == Wish::Columns {
            return plan_err!("EXPLAIN has no rows of tables");
        }
        if self.wish == Wish::Lineage {
            if self.statement.explains {
                return plan_err!("the lineage of EXPLAIN cannot be told, only that of its statement");
            }
            let rows = lineage::trace(&plan, names)?;
            return Ok(session.read_batch(rows)?.into_unoptimized_plan());
        }
        let Some(rows) = self.wish.row_limit().filter(|_| !self.statement.explains) else { return Ok(plan) };
        // One row more than is wanted tells whether there are more, and lets sorts keep only what is wanted.
        let fetch = usize::try_from(rows).unwrap_or(usize::MAX).saturating_add(1);
        LogicalPlanBuilder::from(plan).limit(0, Some(fetch))?.build()
    }
}

/// Moments as a table holds them.
fn values(parameters: BTreeMap<String, i64>) -> Vec<(String, ScalarValue)> {
    let value = |moment| ScalarValue::TimestampMicrosecond(Some(moment), Some(Arc::from("UTC")));
    parameters.into_iter().map(|(name, moment)| (name, value(moment))).collect()
}
