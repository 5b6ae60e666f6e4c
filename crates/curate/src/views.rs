//! Views, as they are saved: planned against the tables of the moment, with their lineage.

use std::collections::BTreeSet;

use chrono::{SubsecRound as _, Utc};
use serde_json::{Map, Value, json};
use sluice_catalog::{NewFlow, NewView, ViewDefined};
use sluice_domain::{
    Caller, CompiledStatement, ErrorKind, Failure as _, Grant, TableRef, View, ViewColumn, ViewDefinition, ViewError,
    lineage::{Dataset, FlowOrigin, SqlLineage},
    type_name,
};
use sluice_query::QueryRequest;

use crate::{Curate, CurateError, flows::columns};

/// How many views there can be.
const MAX_VIEWS: u32 = 1000;

impl Curate {
    /// Make a view, or say anew what it is; says whether it was made. Its statement is planned as the caller's.
    ///
    /// # Errors
    /// Why it cannot be: [`CurateError::View`], [`CurateError::Statement`], [`CurateError::State`] where the name is a
    /// table's; what the query service and the catalog say.
    pub async fn define_view(
        &self,
        caller: &Caller,
        grant: &Grant,
        name: TableRef,
        definition: ViewDefinition,
    ) -> Result<(View, bool), CurateError> {
        definition.check()?;
        let statement = CompiledStatement::of_text("sql", &definition.sql);
        let of_statement = |error| CurateError::of_statement(&statement, error);
        let queries = &self.inner.lake.queries;
        let described =
            queries.describe(caller, QueryRequest::of(statement.sql.clone())).await.map_err(of_statement)?;
        let columns = columns_of(&described.schema)?;
        let reads: Vec<TableRef> = queries.named(&statement.sql).await.map_err(of_statement)?.into_iter().collect();
        let definition = ViewDefinition { sql: statement.sql.trim().to_owned(), ..definition };
        let new = NewView { name, definition, reads, columns, principal: grant.principal().to_owned() };
        let (view, is_made) = match self.catalog().views().define(&new, MAX_VIEWS).await? {
            ViewDefined::Made(view) => (view, true),
            ViewDefined::Changed(view) => (view, false),
            ViewDefined::TooMany => {
                let reason = format!("there are {MAX_VIEWS} views already; delete one first");
                return Err(CurateError::Graph { code: "too-many-views", reason });
            }
            ViewDefined::NameTaken => {
                let reason = format!("{} is a table: a view cannot have its name", new.name);
                return Err(CurateError::State { code: "table-exists", reason });
            }
            ViewDefined::Refused(error) => return Err(error.into()),
        };
        if let Err(error) = self.declare_view(caller, &view, &described.tables).await {
            // The view is saved: that its lineage is not told must not look as if it were not.
            tracing::warn!(view.name = %view.name, %error, "the lineage of a view could not be declared");
        }
        Ok((view, is_made))
    }

    /// The view of this name.
    ///
    /// # Errors
    /// [`CurateError::ViewNotFound`], or the catalog's.
    pub async fn find_view(&self, name: &TableRef) -> Result<View, CurateError> {
        let found = self.catalog().views().find(name).await?;
        found.ok_or_else(|| CurateError::ViewNotFound { name: name.clone() })
    }

    /// Forget a view. What reads it cannot be read any more.
    ///
    /// # Errors
    /// [`CurateError::ViewNotFound`], or the catalog's.
    pub async fn delete_view(&self, _: &Grant, name: &TableRef) -> Result<(), CurateError> {
        match self.catalog().views().forget(name).await? {
            true => Ok(()),
            false => Err(CurateError::ViewNotFound { name: name.clone() }),
        }
    }

    /// Declare the flow into a view from each table that it reads in the end.
    async fn declare_view(&self, caller: &Caller, view: &View, tables: &[(TableRef, u64)]) -> Result<(), CurateError> {
        let sql = &view.definition.sql;
        let told = match self.inner.lake.queries.lineage(caller, QueryRequest::of(sql.clone())).await {
            Ok(told) => told,
            // Not every statement that can be run tells its columns.
            Err(error) if matches!(error.kind(), ErrorKind::Invalid | ErrorKind::NotFound) => SqlLineage::default(),
            Err(error) => return Err(error.into()),
        };
        let target = Dataset::of_table(&view.name);
        let flows = tables.iter().map(|(table, _)| NewFlow {
            source: Dataset::of_table(table),
            target: target.clone(),
            transformation: format!("view {}", view.name),
            origin: FlowOrigin::Sql,
            run: None,
            source_version: None,
            target_version: None,
            metadata: metadata(view),
            principal: view.principal.clone(),
            occurred_at: Utc::now().trunc_subsecs(6),
            columns: columns(&told, &Dataset::of_table(table), &target),
        });
        let flows: Vec<NewFlow> = flows.collect();
        if !flows.is_empty() {
            self.catalog().lineage().declare(&flows).await?;
        }
        Ok(())
    }
}

fn metadata(view: &View) -> Map<String, Value> {
    let value = json!({
        "business": {"data_owner": view.principal, "purpose": view.definition.description},
        "transformation": view.definition.sql,
    });
    match value {
        Value::Object(metadata) => metadata,
        _ => Map::new(),
    }
}

/// The columns of a view: each has a name of its own.
fn columns_of(schema: &arrow::datatypes::Schema) -> Result<Vec<ViewColumn>, ViewError> {
    let mut names = BTreeSet::new();
    let column = |field: &std::sync::Arc<arrow::datatypes::Field>| {
        if !names.insert(field.name().to_lowercase()) {
            let reason = format!("the result has two columns {}: name one of them otherwise with AS", field.name());
            return Err(ViewError::new("sql", reason));
        }
        Ok(ViewColumn { name: field.name().clone(), data_type: type_name(field.data_type()) })
    };
    schema.fields().iter().map(column).collect()
}
