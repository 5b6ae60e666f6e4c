//! The queries that suites ask of their whole tables, run as everybody's are: guarded, limited, and as the caller.

use std::collections::BTreeMap;

use async_trait::async_trait;
use sluice_domain::{Caller, ErrorKind, Failure as _, Suite, SuiteError, TableRef};
use sluice_ingest::AskTable;
use sluice_quality::{QueryAnswer, TableQuery, queries};
use sluice_query::{QueryError, QueryRequest, RowLimit};

use crate::{App, problem::Problem};

/// What is told where a query failed for a reason that is for the log.
const FAILED: &str = "the query could not be run";

/// Runs queries for a caller.
pub(crate) struct AsCaller<'a> {
    pub(crate) app: &'a App,
    pub(crate) caller: &'a Caller,
}

#[async_trait]
impl AskTable for AsCaller<'_> {
    async fn ask(&self, query: &TableQuery, table: &TableRef, version: u64) -> Result<QueryAnswer, String> {
        self.run(query, table, version).await.map_err(|error| match error.kind() {
            ErrorKind::Internal => {
                tracing::error!(%error, table.name = %table, "a query of a suite failed");
                FAILED.to_owned()
            }
            _ => error.to_string(),
        })
    }
}

impl AsCaller<'_> {
    async fn run(&self, query: &TableQuery, table: &TableRef, version: u64) -> Result<QueryAnswer, QueryError> {
        // Of a figure one row is wanted, and the second tells that there are more.
        let row_limit = if query.gives_value { RowLimit::AtMost(2) } else { RowLimit::None };
        let versions = BTreeMap::from([(table.clone(), version)]);
        let request = QueryRequest { sql: query.over(table), row_limit, versions, ..QueryRequest::default() };
        let mut run = self.app.queries.run(self.caller, request).await?;
        let mut answer = QueryAnswer::default();
        while let Some(rows) = run.next_batch().await? {
            answer.add(&rows);
        }
        Ok(answer)
    }

    /// Plan every query of a suite.
    ///
    /// # Errors
    /// A problem naming the place in the suite; the query service's own where it could not be asked.
    pub(crate) async fn plan_all(&self, suite: &Suite, table: &TableRef) -> Result<(), Problem> {
        for query in queries(suite) {
            let planned = self.app.queries.lineage(self.caller, QueryRequest::of(query.over(table))).await;
            let reason = match planned {
                Ok(planned) if query.gives_value && planned.outputs.len() != 1 => {
                    format!("it gives {} columns, where one is wanted", planned.outputs.len())
                }
                Ok(_) => continue,
                Err(error) if is_of_text(&error) => error.to_string(),
                Err(error) => return Err(error.into()),
            };
            return Err(SuiteError::new(query.field, reason).into());
        }
        Ok(())
    }
}

/// Whether another text would help.
fn is_of_text(error: &QueryError) -> bool {
    matches!(error.kind(), ErrorKind::Malformed | ErrorKind::Forbidden | ErrorKind::Invalid | ErrorKind::NotFound)
}
