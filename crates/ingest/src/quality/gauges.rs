//! What Prometheus is told of quality.
//!
//! Invariant: the series are bounded: further tables and columns are left out, and those that are there stay.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicU64},
};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, gauge::Gauge},
    registry::Registry,
};
use sluice_domain::{TableRef, Validation};

/// How many tables have a score, and how many columns a share of missing values.
const MAX_SERIES: usize = 1000;
/// The kinds that count missing values as what they are about.
const ABOUT_MISSING: &str = "expect_column_values_to_not_be_null";

type Gauges<L> = Family<L, Gauge<f64, AtomicU64>>;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TableLabels {
    table: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ColumnLabels {
    table: String,
    column: String,
}

/// Scores of tables, and shares of missing values of columns.
#[derive(Debug, Clone, Default)]
pub(crate) struct QualityGauges {
    scores: Gauges<TableLabels>,
    missing: Gauges<ColumnLabels>,
    known: Arc<Mutex<Known>>,
}

#[derive(Debug, Default)]
struct Known {
    tables: HashSet<TableLabels>,
    columns: HashSet<ColumnLabels>,
}

impl QualityGauges {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let gauges = Self::default();
        let help = "Valid rows of 100, when the suite of the table was asked last";
        registry.register("data_lake_quality_score", help, gauges.scores.clone());
        let help = "Rows of 100 without a value, when the suite of the table was asked last";
        registry.register("data_lake_null_percentage", help, gauges.missing.clone());
        gauges
    }

    /// Tell what came of a suite.
    pub(crate) fn set(&self, table: &TableRef, validation: &Validation) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let table = table.to_string();
        let labels = TableLabels { table: table.clone() };
        if let Some(score) = validation.rows.percent().filter(|_| is_room(&mut known.tables, &labels)) {
            self.scores.get_or_create(&labels).set(score);
        }
        for result in &validation.results {
            let (observed, kind) = (&result.observed, result.rule.kind.as_str());
            let missing = if kind == ABOUT_MISSING { observed.unexpected_count } else { observed.missing_count };
            let Some((column, missing)) = result.rule.column().zip(missing) else { continue };
            let labels = ColumnLabels { table: table.clone(), column: column.to_owned() };
            let rows = observed.element_count.filter(|rows| *rows > 0);
            if let Some(rows) = rows.filter(|_| is_room(&mut known.columns, &labels)) {
                self.missing.get_or_create(&labels).set(missing as f64 * 100.0 / rows as f64);
            }
        }
    }
}

/// Whether there is room for a series, or it is there.
fn is_room<L: Clone + Eq + std::hash::Hash>(known: &mut HashSet<L>, labels: &L) -> bool {
    known.contains(labels) || known.len() < MAX_SERIES && known.insert(labels.clone())
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;
    use sluice_domain::RowScore;

    use super::*;

    #[test]
    fn tables_beyond_the_limit_are_left_out_and_those_that_are_there_stay() {
        let mut registry = Registry::default();
        let gauges = QualityGauges::register(&mut registry);
        let judge = |table: usize, valid: u64| {
            let rows = RowScore { total: 4, valid };
            let validation =
                Validation { suite: "s".into(), rows, publishable: true, results: Vec::new(), not_asked: Vec::new() };
            gauges.set(&format!("a.t{table}").parse().unwrap(), &validation);
        };
        (0..=MAX_SERIES).for_each(|table| judge(table, 1));
        judge(0, 3);
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        assert_eq!(text.matches("data_lake_quality_score{").count(), MAX_SERIES);
        assert!(text.contains("data_lake_quality_score{table=\"a.t0\"} 75.0"), "{text:.300}");
    }
}
