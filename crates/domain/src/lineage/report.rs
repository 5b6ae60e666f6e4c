//! What an OpenLineage event tells, in the lake's own terms.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{ColumnNode, Dataset, FlowColumn, Influence, RunProgress};

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub struct LineageReport {
    /// When it happened.
    pub event_time: DateTime<Utc>,
    /// The run; none for events about jobs and datasets as such.
    pub run: Option<ReportedRun>,
    /// The job; none for events about datasets as such.
    pub job: Option<ReportedJob>,
    /// What was read.
    pub inputs: Vec<ReportedDataset>,
    /// What was written.
    pub outputs: Vec<ReportedDataset>,
}

/// A run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportedRun {
    /// Its id.
    pub id: Uuid,
    /// What happened to it.
    pub progress: RunProgress,
}

/// A job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportedJob {
    /// Where its name is looked up.
    pub namespace: String,
    /// Its name there.
    pub name: String,
}

/// A dataset that was read or written.
#[derive(Debug, Clone, PartialEq)]
pub struct ReportedDataset {
    /// The dataset.
    pub dataset: Dataset,
    /// Its other names: the first of them that is a table of the lake is what it is.
    pub aliases: Vec<Dataset>,
    /// Its version, where that is a number.
    pub version: Option<u64>,
    /// What its columns depend on.
    pub columns: Vec<ReportedColumn>,
    /// Facts that its facets tell: owner, count of rows.
    pub facts: Map<String, Value>,
}

/// One dependence of a column of an output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportedColumn {
    /// The column that it depends on.
    pub source: ColumnNode,
    /// The column of the output; all of them without it.
    pub target: Option<String>,
    /// How it depends.
    pub influence: Influence,
}

impl LineageReport {
    /// Every dataset that the event names, under all its names.
    pub fn datasets(&self) -> BTreeSet<&Dataset> {
        let sides = self.inputs.iter().chain(&self.outputs);
        sides.flat_map(ReportedDataset::names).collect()
    }

    /// The same event, with these datasets under the names of the tables that they are.
    #[must_use]
    pub fn resolved(mut self, tables: &BTreeMap<Dataset, Dataset>) -> Self {
        for dataset in self.inputs.iter_mut().chain(&mut self.outputs) {
            dataset.resolve(tables);
        }
        self
    }
}

impl ReportedDataset {
    fn names(&self) -> impl Iterator<Item = &Dataset> {
        let columns = self.columns.iter().map(|column| &column.source.dataset);
        [&self.dataset].into_iter().chain(&self.aliases).chain(columns)
    }

    fn resolve(&mut self, tables: &BTreeMap<Dataset, Dataset>) {
        let of_aliases = || self.aliases.iter().find_map(|name| tables.get(name));
        if let Some(table) = tables.get(&self.dataset).or_else(of_aliases).cloned() {
            self.dataset = table;
        }
        for column in &mut self.columns {
            if let Some(table) = tables.get(&column.source.dataset) {
                column.source.dataset = table.clone();
            }
        }
    }

    /// What its columns depend on, by the dataset that they come from. What decides about all rows is told of each of
    /// the columns, and of the dataset as a whole where none is named.
    pub fn flow_columns(&self) -> BTreeMap<Dataset, BTreeSet<FlowColumn>> {
        let named: BTreeSet<&str> = self.columns.iter().filter_map(|column| column.target.as_deref()).collect();
        let mut flows: BTreeMap<Dataset, BTreeSet<FlowColumn>> = BTreeMap::new();
        for column in &self.columns {
            let targets: Vec<Option<&str>> = match &column.target {
                None if !named.is_empty() => named.iter().copied().map(Some).collect(),
                target => vec![target.as_deref()],
            };
            let edges = targets.into_iter().map(|target| FlowColumn {
                source: column.source.clone(),
                target: ColumnNode { dataset: self.dataset.clone(), column: target.map(str::to_owned) },
                influence: column.influence,
            });
            flows.entry(column.source.dataset.clone()).or_default().extend(edges);
        }
        flows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(source: &str, target: Option<&str>, influence: Influence) -> ReportedColumn {
        let source = ColumnNode::new("a.source".parse().unwrap(), source).unwrap();
        ReportedColumn { source, target: target.map(str::to_owned), influence }
    }

    fn output(columns: Vec<ReportedColumn>) -> ReportedDataset {
        let dataset = Dataset::new("s3://lake", "t").unwrap();
        ReportedDataset { dataset, aliases: Vec::new(), version: None, columns, facts: Map::new() }
    }

    #[test]
    fn what_decides_about_all_rows_is_told_of_each_column() {
        let whole = || column("day", None, Influence::Filter);
        let named = |name| column("amount", Some(name), Influence::Identity);
        let edges = output(vec![named("x"), named("y"), whole()]).flow_columns();
        let edges: Vec<_> = edges.values().flatten().collect();
        assert_eq!(edges.len(), 4);
        assert_eq!(edges.iter().filter(|edge| edge.influence == Influence::Filter).count(), 2);
        let alone = output(vec![whole()]).flow_columns();
        assert_eq!(alone.values().flatten().map(|edge| edge.target.column.clone()).collect::<Vec<_>>(), [None]);
    }

    #[test]
    fn a_dataset_is_the_table_that_any_of_its_names_means() {
        let table = Dataset::of_table(&"shop.orders".parse().unwrap());
        let mut dataset = output(vec![column("day", None, Influence::Filter)]);
        let location = dataset.dataset.clone();
        let source = dataset.columns[0].source.dataset.clone();
        dataset.resolve(&[(location.clone(), table.clone()), (source, table.clone())].into());
        assert_eq!((&dataset.dataset, &dataset.columns[0].source.dataset), (&table, &table));
        let mut linked = output(Vec::new());
        linked.dataset = Dataset::new("hive", "x").unwrap();
        linked.aliases = vec![location.clone()];
        linked.resolve(&[(location, table.clone())].into());
        assert_eq!(linked.dataset, table);
    }
}
