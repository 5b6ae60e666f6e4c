//! What a query cost.

use datafusion::{
    datasource::{physical_plan::FileScanConfig, source::DataSourceExec},
    physical_plan::ExecutionPlan,
};
use serde::{Deserialize, Serialize};

/// What a query read, answered and took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct QueryStats {
    /// The files of tables that were left after pruning by partitions and statistics.
    pub files_scanned: u64,
    /// The bytes that were read from them.
    pub bytes_scanned: u64,
    /// The rows that were answered.
    pub rows: u64,
    /// Whether there were more rows than the limit allows, or the reading ended early.
    pub truncated: bool,
    /// From the start of planning to the end of reading, in milliseconds.
    pub elapsed_ms: u64,
}

/// What the scans of a plan have read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Scanned {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
}

impl Scanned {
    /// Sum up over a plan that has run.
    pub(crate) fn of(plan: &dyn ExecutionPlan) -> Self {
        let mut scanned = Self::default();
        scanned.add(plan, false);
        scanned
    }

    /// `counted` where a node above has counted the files already: a Delta scan counts those of the scan below it.
    fn add(&mut self, plan: &dyn ExecutionPlan, counted: bool) {
        let metrics = plan.metrics().unwrap_or_default();
        let metric = |name| metrics.sum_by_name(name).map(|value| value.as_usize() as u64);
        let files = metric("count_files_scanned").or_else(|| planned_files(plan));
        self.bytes += metric("bytes_scanned").unwrap_or(0);
        if !counted {
            self.files += files.unwrap_or(0);
        }
        for child in plan.children() {
            self.add(child.as_ref(), counted || files.is_some());
        }
    }
}

fn planned_files(plan: &dyn ExecutionPlan) -> Option<u64> {
    let source = plan.downcast_ref::<DataSourceExec>()?;
    let scan = source.data_source().downcast_ref::<FileScanConfig>()?;
    Some(scan.file_groups.iter().map(|group| group.len() as u64).sum())
}
