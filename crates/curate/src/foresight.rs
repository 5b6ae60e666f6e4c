//! Statements planned over tables that are not there yet, but will be once other pipelines have run.

use arrow::datatypes::SchemaRef;
use futures::{FutureExt as _, future::BoxFuture};
use sluice_domain::{Action, Caller, ErrorKind, Resource, TableRef};
use sluice_query::{Described, QueryError, QueryRequest};

use crate::{Curate, intervals::planned, rows::reader_for, shape::Shape};

/// The longest chain of pipelines of which none has run.
const MAX_DEPTH: usize = 20;

impl Curate {
    /// What a statement would answer with. Tables that pipelines will make have the columns that they will have.
    pub(crate) fn described<'a>(
        &'a self,
        caller: &'a Caller,
        mut request: QueryRequest,
        depth: usize,
    ) -> BoxFuture<'a, Result<Described, QueryError>> {
        async move {
            loop {
                let error = match self.inner.lake.queries.describe(caller, request.clone()).await {
                    Ok(described) => return Ok(described),
                    Err(error) => error,
                };
                let missing = match &error {
                    QueryError::Table { table, failure } if failure.kind() == ErrorKind::NotFound => table.clone(),
                    _ => return Err(error),
                };
                if request.assumed.contains_key(&missing) {
                    return Err(error);
                }
                let Some(columns) = self.columns_to_be(caller, &missing, depth).await else { return Err(error) };
                request.assumed.insert(missing, columns);
            }
        }
        .boxed()
    }

    /// The columns of the table that a pipeline will make, as far as that can be told.
    async fn columns_to_be(&self, caller: &Caller, table: &TableRef, depth: usize) -> Option<SchemaRef> {
        if depth == MAX_DEPTH || caller.require(Action::Read, &Resource::Table(table.clone())).is_err() {
            return None;
        }
        let pipeline = self.catalog().pipelines().find_by_target(table).await.ok()??;
        let definition = &pipeline.definition;
        let request = planned(definition, &definition.check().ok()?);
        let reader = reader_for(definition, &pipeline.principal);
        let described = self.described(&reader, request, depth + 1).await.ok()?;
        Shape::plan(definition, &described.schema, None).ok().map(|shape| shape.after)
    }
}
