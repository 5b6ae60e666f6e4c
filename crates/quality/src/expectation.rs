//! What every kind of rule has in common.

use arrow::{array::RecordBatch, buffer::BooleanBuffer};
use serde_json::{Map, Value, json};
use sluice_domain::Observed;

use crate::{
    budget::Budget,
    cells::{columns, shown},
    setting::Setting,
};

/// How many values that break a rule a result repeats.
const MAX_UNEXPECTED: usize = 20;

/// What was seen of a rule, and whether that keeps it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Finding {
    pub(crate) success: bool,
    pub(crate) observed: Observed,
    /// What to tell where it was not kept.
    pub(crate) complaints: Vec<String>,
}

impl Finding {
    /// About one figure, or a list.
    pub(crate) fn of_value(success: bool, value: Value, complaint: impl Into<String>) -> Self {
        let complaints = if success { Vec::new() } else { vec![complaint.into()] };
        Self { success, observed: Observed { value: Some(value), ..Observed::default() }, complaints }
    }

    pub(crate) fn with_elements(mut self, element_count: u64, missing_count: u64) -> Self {
        self.observed.element_count = Some(element_count);
        self.observed.missing_count = Some(missing_count);
        self
    }
}

/// Of which rows of a batch a rule can be asked, and which of them break it.
#[derive(Debug, Clone)]
pub(crate) struct Looked {
    pub(crate) considered: BooleanBuffer,
    pub(crate) unexpected: BooleanBuffer,
}

/// A rule that is asked of each row by itself.
pub(crate) trait RowTest: Send {
    /// Look at rows.
    fn look(&mut self, rows: &RecordBatch) -> Result<Looked, String>;

    /// The places of the columns whose values are shown.
    fn columns(&self) -> &[usize];

    /// What to tell where rows break it, one for each way to break it.
    fn complaints(&self) -> Vec<String>;

    /// What a row that breaks it is told.
    fn reason(&self) -> String {
        self.complaints().join("; ")
    }

    /// Whether rows that it cannot be asked of are told of.
    fn counts_missing(&self) -> bool {
        true
    }

    /// What else there is to say, of so many rows.
    fn details(&self, _rows: u64) -> Map<String, Value> {
        Map::new()
    }
}

/// How many rows an evaluation saw, when it ends.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Totals {
    /// All that came in.
    pub(crate) rows: u64,
    /// Those of them that were not set aside.
    pub(crate) kept: u64,
}

/// A rule that is asked of all rows together.
pub(crate) trait Monitor: Send {
    /// Look at more rows.
    fn observe(&mut self, rows: &RecordBatch, budget: &mut Budget) -> Result<(), String>;

    /// What came of it.
    fn finish(self: Box<Self>, totals: Totals) -> Result<Finding, String>;
}

/// A rule that is ready for rows.
pub(crate) enum Ready {
    /// About each row by itself; this share of those that have values must keep it.
    Rows { test: Box<dyn RowTest>, mostly: f64 },
    /// About all rows together.
    Whole(Box<dyn Monitor>),
    /// About the columns: the rows change nothing.
    Known(Finding),
}

impl Ready {
    pub(crate) fn rows(test: impl RowTest + 'static, mostly: f64) -> Self {
        Self::Rows { test: Box::new(test), mostly }
    }

    pub(crate) fn whole(monitor: impl Monitor + 'static) -> Self {
        Self::Whole(Box::new(monitor))
    }
}

/// Makes a rule, whose parameters were read, ready for rows of some columns.
pub(crate) type Binder = Box<dyn Fn(&Setting) -> Result<Ready, String>>;

/// Counts the rows that break a rule.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    elements: u64,
    considered: u64,
    unexpected: u64,
    shown: Vec<Value>,
}

impl Tally {
    /// Ask rows, those alone for which the condition is true; which of them break the rule.
    pub(crate) fn ask(
        &mut self,
        test: &mut dyn RowTest,
        rows: &RecordBatch,
        condition: Option<&BooleanBuffer>,
    ) -> Result<BooleanBuffer, String> {
        let Looked { mut considered, mut unexpected } = test.look(rows)?;
        self.elements += condition.map_or(rows.num_rows(), BooleanBuffer::count_set_bits) as u64;
        if let Some(condition) = condition {
            considered = &considered & condition;
            unexpected = &unexpected & condition;
        }
        self.considered += considered.count_set_bits() as u64;
        self.unexpected += unexpected.count_set_bits() as u64;
        let room = MAX_UNEXPECTED - self.shown.len();
        if room > 0 {
            let columns = columns(rows, test.columns());
            let value = |row: usize| match columns.as_slice() {
                [one] => shown(one, row),
                several => several.iter().map(|column| shown(column, row)).collect(),
            };
            self.shown.extend(unexpected.set_indices().take(room).map(value));
        }
        Ok(unexpected)
    }

    /// What came of it, where this share of the rows must keep the rule.
    pub(crate) fn finish(self, test: &dyn RowTest, mostly: f64) -> Finding {
        let Self { elements, considered, unexpected, shown } = self;
        let success = considered == 0 || (considered - unexpected) as f64 / considered as f64 >= mostly;
        let observed = Observed {
            value: None,
            element_count: Some(elements),
            missing_count: test.counts_missing().then_some(elements - considered),
            unexpected_count: Some(unexpected),
            unexpected: shown,
            details: test.details(elements),
        };
        Finding { success, observed, complaints: if success { Vec::new() } else { test.complaints() } }
    }
}

/// So many of so many in the shape that ranges are told in.
pub(crate) fn count_of(count: u64, rows: u64) -> Value {
    let percentage = if rows == 0 { 0.0 } else { count as f64 * 100.0 / rows as f64 };
    json!({"count": count, "percentage": percentage})
}
