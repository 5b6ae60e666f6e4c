//! What columns inherit: the steps between columns that flows tell of, walked from table to table.
//!
//! Invariant: of each transformation the newest flow that tells of columns is read: one of a run that has only begun, or
//! failed before it told, hides nothing.
//! Invariant: a walk is bounded in depth, datasets and steps, and says when a bound cut it off.

use std::collections::{BTreeMap, BTreeSet};

use sluice_domain::{
    Inheritance, Label, TableNotes, TableRef,
    lineage::{ColumnStep, Dataset, Influence},
};
use sqlx::AnyConnection;

use super::{annotations, assembled::Assembled, entries};
use crate::{CatalogError, FlowEnd, columns::read, discovery_rows::NamedNotesRow, lineage_rows::StepRow};

/// How many tables are gone through from one end to the other.
const MAX_DEPTH: u32 = 50;
/// How many datasets are looked at.
const MAX_DATASETS: usize = 2_000;
/// How many steps between columns are looked at.
const MAX_STEPS: usize = 50_000;
/// How many values go into one statement: the database counts its parameters.
const VALUES_PER_STATEMENT: usize = 500;

/// Steps between columns, as far as they were looked for.
#[derive(Default)]
struct Walked {
    steps: Vec<ColumnStep>,
    is_cut_off: bool,
}

/// Add to the notes of tables what their columns inherit.
pub(super) async fn add(
    connection: &mut AnyConnection,
    tables: &mut [(TableRef, &mut TableNotes)],
) -> Result<(), CatalogError> {
    let starts = tables.iter().map(|(name, _)| Dataset::of_table(name)).collect();
    let walked = walk(connection, starts, FlowEnd::Target).await?;
    if walked.steps.is_empty() {
        return Ok(());
    }
    let sources = walked.steps.iter().filter_map(|step| step.source.dataset.table()).collect();
    let said = said_of(connection, &sources).await?;
    let inheritance = Inheritance::new(&walked.steps, &said);
    for (name, notes) in tables {
        notes.inherited = inheritance.of_table(name);
        notes.is_cut_off = walked.is_cut_off;
    }
    Ok(())
}

/// The tables with a column that inherits this classification, and has none of its own.
pub(super) async fn heirs(connection: &mut AnyConnection, label: &Label) -> Result<BTreeSet<TableRef>, CatalogError> {
    let mut query = Assembled::new(
        "SELECT DISTINCT t.name FROM annotations a JOIN tables t ON t.id = a.table_id \
         WHERE t.state = 'active' AND a.classification = ",
    );
    query.push_bind(label.as_str()).push(" ORDER BY t.name LIMIT ").push_bind(MAX_DATASETS as i64);
    let names: Vec<String> = query.build_query_scalar().fetch_all(&mut *connection).await?;
    let named: BTreeSet<TableRef> = names.iter().map(|name| read("table name", name)).collect::<Result<_, _>>()?;
    let walked = walk(connection, named.iter().map(Dataset::of_table).collect(), FlowEnd::Source).await?;
    let ends = walked.steps.iter().flat_map(|step| [&step.source, &step.target]);
    let tables: BTreeSet<TableRef> = ends.filter_map(|node| node.dataset.table()).collect();
    let mut said = said_of(connection, &tables).await?;
    let inheritance = Inheritance::new(&walked.steps, &said);
    let inherited: Vec<_> = tables.into_iter().map(|table| (inheritance.of_table(&table), table)).collect();
    let has = |(inherited, table): (_, TableRef)| {
        let notes = TableNotes { inherited, ..said.remove(&table).unwrap_or_default() };
        let counts = notes.classifications().any(|other| other == label);
        counts.then_some(table)
    };
    Ok(inherited.into_iter().filter_map(has).collect())
}

/// The steps along which values go, from dataset to dataset.
async fn walk(connection: &mut AnyConnection, starts: BTreeSet<Dataset>, end: FlowEnd) -> Result<Walked, CatalogError> {
    let (mut walked, mut known, mut level) = (Walked::default(), starts.clone(), starts);
    for _ in 0..MAX_DEPTH {
        if level.is_empty() || walked.steps.len() >= MAX_STEPS {
            break;
        }
        let room = MAX_STEPS - walked.steps.len();
        let found = steps(connection, &level, (end, room)).await?;
        let beyond = found.iter().map(|step: &ColumnStep| match end {
            FlowEnd::Target => step.source.dataset.clone(),
            FlowEnd::Source => step.target.dataset.clone(),
        });
        let fresh: BTreeSet<Dataset> = beyond.filter(|dataset| !known.contains(dataset)).collect();
        let places = MAX_DATASETS.saturating_sub(known.len());
        walked.is_cut_off |= fresh.len() > places || found.len() >= room;
        walked.steps.extend(found);
        level = fresh.into_iter().take(places).collect();
        known.extend(level.iter().cloned());
    }
    walked.is_cut_off |= !level.is_empty();
    Ok(walked)
}

async fn steps(
    connection: &mut AnyConnection,
    datasets: &BTreeSet<Dataset>,
    (end, limit): (FlowEnd, usize),
) -> Result<Vec<ColumnStep>, CatalogError> {
    let keys: Vec<String> = datasets.iter().map(Dataset::key).collect();
    let direct = Influence::ALL.into_iter().filter(|influence| influence.is_direct()).map(Influence::as_str);
    let mut found: Vec<ColumnStep> = Vec::new();
    for keys in keys.chunks(VALUES_PER_STATEMENT) {
        let mut query = Assembled::new(
            "SELECT DISTINCT c.source, c.target, c.influence FROM lineage_flows f \
             JOIN lineage_columns c ON c.flow_id = f.id WHERE f.is_told = 1 AND ",
        );
        query.push(match end {
            FlowEnd::Source => "f.source IN (",
            FlowEnd::Target => "f.target IN (",
        });
        query.push_list(keys).push(") AND c.influence IN (").push_list(direct.clone());
        query.push(") LIMIT ").push_bind(limit.saturating_sub(found.len()) as i64);
        found.extend(entries::<StepRow, ColumnStep>(query.build_query_as().fetch_all(&mut *connection).await?)?);
    }
    Ok(found)
}

/// What is said of these tables, where they are active.
async fn said_of(
    connection: &mut AnyConnection,
    tables: &BTreeSet<TableRef>,
) -> Result<BTreeMap<TableRef, TableNotes>, CatalogError> {
    let names: Vec<String> = tables.iter().map(ToString::to_string).collect();
    let mut said: BTreeMap<TableRef, TableNotes> = BTreeMap::new();
    for names in names.chunks(VALUES_PER_STATEMENT) {
        let mut query = Assembled::new(
            "SELECT a.*, t.name FROM annotations a JOIN tables t ON t.id = a.table_id \
             WHERE t.state = 'active' AND t.name IN (",
        );
        query.push_list(names).push(")");
        for row in query.build_query_as::<NamedNotesRow>().fetch_all(&mut *connection).await? {
            annotations::add(said.entry(read("table name", &row.name)?).or_default(), row.notes)?;
        }
    }
    Ok(said)
}
