//! Flows that are declared: by hand, or by the statement that makes the data.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::StatusCode;
use chrono::{SubsecRound as _, Utc};
use serde_json::{Map, Value, json};
use sluice_catalog::{Declared, NewFlow};
use sluice_domain::{
    Action, Caller, Resource,
    lineage::{
        ColumnNode, Dataset, Flow, FlowColumn, FlowOrigin, ReportedColumn, ReportedDataset, SqlInput, SqlLineage,
    },
};
use sluice_query::QueryRequest;

use crate::{App, problem::Problem};

/// The longest name of a transformation, in bytes.
const MAX_TRANSFORMATION_BYTES: usize = 256;
/// The longest metadata, in bytes.
const MAX_METADATA_BYTES: usize = 64 << 10;
/// The most dependences of columns of one declaration.
const MAX_COLUMNS: usize = 20_000;

/// What is declared.
pub(crate) struct Declaration {
    /// Where the data comes from; none where a statement tells.
    pub(crate) source: Option<Dataset>,
    /// Where it goes.
    pub(crate) target: Dataset,
    /// What moves it.
    pub(crate) transformation: String,
    /// Whatever else is said.
    pub(crate) metadata: Map<String, Value>,
    /// The statement that makes the data.
    pub(crate) sql: Option<String>,
    /// The version of the source that was read.
    pub(crate) source_version: Option<u64>,
    /// The version of the target that was made.
    pub(crate) target_version: Option<u64>,
}

fn invalid(code: &str, detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail)
}

/// Keep what is declared; says whether something of it was not there before.
pub(crate) async fn declare(
    app: &App,
    caller: &Caller,
    declaration: Declaration,
) -> Result<(Vec<Flow>, bool), Problem> {
    check(&declaration)?;
    check_access(caller, &declaration)?;
    let grant = caller.require(Action::Append, &Resource::Catalog)?;
    let principal = grant.principal();
    let flows = match (&declaration.source, &declaration.sql) {
        (Some(source), None) => vec![new_flow(&declaration, source.clone(), FlowOrigin::Manual, principal)],
        (None, Some(sql)) => {
            let told = app.queries.lineage(caller, QueryRequest::of(sql)).await?;
            of_statement(&declaration, &told, principal)?
        }
        _ => return Err(invalid("bad-lineage-edge", "source: an edge has either a source or the sql that reads them")),
    };
    match app.catalog.lineage().declare(&flows).await? {
        Declared::Made(flows) => Ok((flows, true)),
        Declared::Changed(flows) => Ok((flows, false)),
        Declared::Cycle => {
            let detail = format!("target: data would come back from {} to where it came from", declaration.target);
            Err(invalid("lineage-cycle", detail))
        }
        Declared::Unclear => {
            let detail = "target: too much comes from it to say whether the edge closes a cycle";
            Err(invalid("lineage-cycle", detail))
        }
    }
}

fn check(declaration: &Declaration) -> Result<(), Problem> {
    let name = &declaration.transformation;
    if name.is_empty() || name.len() > MAX_TRANSFORMATION_BYTES || name.chars().any(char::is_control) {
        let detail = format!(
            "transformation: it is empty, longer than {MAX_TRANSFORMATION_BYTES} bytes, or holds control characters"
        );
        return Err(invalid("bad-lineage-edge", detail));
    }
    if json!(declaration.metadata).to_string().len() > MAX_METADATA_BYTES {
        return Err(invalid("bad-lineage-edge", format!("metadata: it is longer than {MAX_METADATA_BYTES} bytes")));
    }
    let versions = [("source_version", declaration.source_version), ("target_version", declaration.target_version)];
    for (field, version) in versions {
        if version.is_some_and(|version| i64::try_from(version).is_err()) {
            return Err(invalid("bad-lineage-edge", format!("{field}: no table has such a version")));
        }
    }
    Ok(())
}

fn check_access(caller: &Caller, declaration: &Declaration) -> Result<(), Problem> {
    let tables: Vec<_> = declaration.source.iter().chain([&declaration.target]).filter_map(Dataset::table).collect();
    for table in &tables {
        caller.require(Action::Append, &Resource::Table(table.clone()))?;
    }
    if tables.is_empty() && declaration.sql.is_none() && caller.namespaces.is_some() {
        let detail = "neither source nor target is a table, and this key is confined to some namespaces";
        return Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", detail));
    }
    Ok(())
}

fn new_flow(declaration: &Declaration, source: Dataset, origin: FlowOrigin, principal: &str) -> NewFlow {
    NewFlow {
        source,
        target: declaration.target.clone(),
        transformation: declaration.transformation.clone(),
        origin,
        run: None,
        source_version: declaration.source_version,
        target_version: declaration.target_version,
        metadata: declaration.metadata.clone(),
        principal: principal.to_owned(),
        occurred_at: Utc::now().trunc_subsecs(6),
        columns: BTreeSet::new(),
    }
}

/// A flow from each table that a statement reads, with what it tells of their columns.
fn of_statement(declaration: &Declaration, told: &SqlLineage, principal: &str) -> Result<Vec<NewFlow>, Problem> {
    let mut columns = columns_of(&declaration.target, told)?;
    if columns.values().map(BTreeSet::len).sum::<usize>() > MAX_COLUMNS {
        return Err(invalid("bad-lineage-edge", format!("sql: its columns have more than {MAX_COLUMNS} dependences")));
    }
    if told.tables.is_empty() {
        return Err(invalid("bad-lineage-edge", "sql: it reads no table"));
    }
    let flow = |(table, version): &(_, u64)| {
        let source = Dataset::of_table(table);
        let columns = columns.remove(&source).unwrap_or_default();
        let flow = new_flow(declaration, source, FlowOrigin::Sql, principal);
        NewFlow { source_version: Some(*version), columns, ..flow }
    };
    Ok(told.tables.iter().map(flow).collect())
}

fn columns_of(target: &Dataset, told: &SqlLineage) -> Result<BTreeMap<Dataset, BTreeSet<FlowColumn>>, Problem> {
    let named = told.outputs.iter().flat_map(|output| output.inputs.iter().map(|input| (Some(&output.name), input)));
    let whole = told.influences.iter().map(|input| (None, input));
    let columns = named.chain(whole).map(|(name, input)| {
        let wrong = |error| invalid("bad-lineage-edge", format!("sql: {error}"));
        name.map_or(Ok(()), |name| ColumnNode::check(name)).map_err(wrong)?;
        let source = node(input).map_err(wrong)?;
        Ok(ReportedColumn { source, target: name.cloned(), influence: input.influence })
    });
    let columns: Vec<ReportedColumn> = columns.collect::<Result<_, Problem>>()?;
    let influences = told.influences.len().saturating_mul(told.outputs.len());
    if columns.len().saturating_add(influences) > 2 * MAX_COLUMNS {
        return Err(invalid("bad-lineage-edge", format!("sql: its columns have more than {MAX_COLUMNS} dependences")));
    }
    let dataset = target.clone();
    let output = ReportedDataset { dataset, aliases: Vec::new(), version: None, columns, facts: Map::new() };
    Ok(output.flow_columns())
}

fn node(input: &SqlInput) -> Result<ColumnNode, sluice_domain::lineage::DatasetError> {
    ColumnNode::new(Dataset::of_table(&input.table), &input.column)
}
