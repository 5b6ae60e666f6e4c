//! A suite over the rows of an upload or a table, as they come.
//!
//! Invariant: of an upload, rules that set rows aside are asked of every row, all others of the rows that are left.

use arrow::{
    array::{BooleanArray, RecordBatch},
    buffer::BooleanBuffer,
    compute::filter_record_batch,
};
use sluice_domain::{Exception, QualityAction, RowScore, Rule, RuleResult, Suite, Validation};

use crate::{
    budget::{Budget, MAX_STATE_BYTES},
    expectation::{Finding, Monitor, Ready, RowTest, Tally, Totals},
    kinds::{Kind, Reach},
    setting::{RowCondition, Setting},
};

/// The longest text that a result tells of a rule, in characters.
const MAX_TOLD_CHARS: usize = 500;

/// Of what a suite is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Rows that come in: those that are set aside do not come to the others.
    Upload,
    /// Rows that come in and all stay, as others that are not there yet: queries over the whole table are not asked.
    Run,
    /// Rows that are there, and stay.
    Table,
}

/// A row that is set aside.
#[derive(Debug, Clone, PartialEq)]
pub struct SetAside {
    /// Its place in the batch.
    pub row: usize,
    /// The columns that the rule looks at.
    pub column: String,
    /// The kind of the first rule that it breaks.
    pub rule: String,
    /// What it is told.
    pub message: String,
}

/// A rule and what was seen of it.
struct Watched {
    rule: Rule,
    condition: Option<std::sync::Arc<dyn RowCondition>>,
    state: State,
}

enum State {
    Rows { test: Box<dyn RowTest>, mostly: f64, tally: Tally },
    Whole(Box<dyn Monitor>),
    Known(Finding),
    Thrown(String),
}

/// A suite over rows as they come.
pub struct Evaluation {
    suite: Suite,
    scope: Scope,
    watched: Vec<Watched>,
    budget: Budget,
    rows: u64,
    set_aside: u64,
    broken: u64,
    /// The kinds of rules that are left out.
    not_asked: Vec<String>,
}

impl Evaluation {
    /// Begin; a rule that cannot be asked is recorded as such.
    pub fn new(suite: &Suite, setting: &Setting, scope: Scope) -> Self {
        Self::within(suite, setting, scope, MAX_STATE_BYTES)
    }

    /// The same, with so much to remember.
    pub fn within(suite: &Suite, setting: &Setting, scope: Scope, state_bytes: usize) -> Self {
        let needs_table = |rule: &&Rule| Kind::find(&rule.kind).is_some_and(|kind| kind.reach == Reach::Query);
        let (left_out, asked): (Vec<&Rule>, Vec<&Rule>) =
            suite.rules.iter().partition(|rule| scope != Scope::Table && needs_table(rule));
        let watched = asked.into_iter().map(|rule| Watched::new(rule, setting)).collect();
        let not_asked = left_out.into_iter().map(|rule| rule.kind.clone()).collect();
        let (suite, budget) = (suite.clone(), Budget::new(state_bytes));
        Self { suite, scope, watched, budget, rows: 0, set_aside: 0, broken: 0, not_asked }
    }

    /// Leave out the rules that cannot be asked of these columns, and those about the columns themselves: the rows bring
    /// some of their table's columns alone.
    #[must_use]
    pub fn of_some_columns(mut self) -> Self {
        self.watched.retain(|watched| !matches!(watched.state, State::Thrown(_) | State::Known(_)));
        self
    }

    /// Rows came in that were bad before any rule could be asked of them.
    pub fn add_unreadable(&mut self, rows: u64) {
        self.rows += rows;
        self.set_aside += rows;
        self.broken += rows;
    }

    /// Look at rows; gives those that are set aside, in their order.
    pub fn look(&mut self, rows: &RecordBatch) -> Vec<SetAside> {
        let (aside, first) = self.set_aside(rows);
        let count = aside.count_set_bits();
        self.rows += rows.num_rows() as u64;
        self.set_aside += count as u64;
        let leaves_out = self.scope == Scope::Upload && count > 0;
        let left = leaves_out.then(|| filter_record_batch(rows, &BooleanArray::from(!&aside)));
        let broken = match left {
            // A batch that cannot be filtered is one whose columns differ in length, which none is.
            Some(Err(_)) | None => (&self.observe(rows) | &aside).count_set_bits(),
            Some(Ok(left)) => self.observe(&left).count_set_bits() + count,
        };
        self.broken += broken as u64;
        aside.set_indices().zip(first).map(|(row, rule)| self.watched[rule].set_aside(row)).collect()
    }

    /// The rows that are set aside, and for each the first rule that it breaks.
    fn set_aside(&mut self, rows: &RecordBatch) -> (BooleanBuffer, Vec<usize>) {
        let mut first: Vec<Option<usize>> = vec![None; rows.num_rows()];
        for (at, watched) in self.watched.iter_mut().enumerate() {
            if watched.rule.action != QualityAction::Quarantine {
                continue;
            }
            for row in watched.observe(rows, &mut self.budget).iter().flat_map(BooleanBuffer::set_indices) {
                first[row].get_or_insert(at);
            }
        }
        let aside = BooleanBuffer::collect_bool(first.len(), |row| first[row].is_some());
        (aside, first.into_iter().flatten().collect())
    }

    /// Ask all other rules; which rows break one of them.
    fn observe(&mut self, rows: &RecordBatch) -> BooleanBuffer {
        let mut broken = BooleanBuffer::new_unset(rows.num_rows());
        for watched in self.watched.iter_mut().filter(|watched| watched.rule.action != QualityAction::Quarantine) {
            if let Some(unexpected) = watched.observe(rows, &mut self.budget) {
                broken = &broken | &unexpected;
            }
        }
        broken
    }

    /// What came of it.
    pub fn finish(self) -> Validation {
        let totals = Totals { rows: self.rows, kept: self.rows - self.set_aside };
        let results: Vec<RuleResult> = self.watched.into_iter().map(|watched| watched.finish(totals)).collect();
        let rows = RowScore { total: self.rows, valid: self.rows - self.broken };
        let is_enough = self.suite.threshold().is_none_or(|least| least.is_reached_by(rows.valid, rows.total));
        let blocks = |result: &RuleResult| !result.success && result.rule.action == QualityAction::Block;
        let publishable = is_enough && !results.iter().any(blocks);
        Validation { suite: self.suite.name, rows, publishable, results, not_asked: self.not_asked }
    }
}

impl Watched {
    fn new(rule: &Rule, setting: &Setting) -> Self {
        let condition = rule.row_condition.as_ref().map(|text| setting.condition(text)).transpose();
        let bind = || -> Result<Ready, String> {
            let kind = Kind::find(&rule.kind).ok_or_else(|| format!("there is no kind {}", rule.kind))?;
            let binder = kind.read(&rule.kwargs).map_err(|error| format!("{}: {}", error.name, error.reason))?;
            binder(setting)
        };
        let state = match condition.clone().and_then(|_| bind()) {
            Ok(Ready::Rows { test, mostly }) => State::Rows { test, mostly, tally: Tally::default() },
            Ok(Ready::Whole(monitor)) => State::Whole(monitor),
            Ok(Ready::Known(finding)) => State::Known(finding),
            Err(reason) => State::Thrown(reason),
        };
        Self { rule: rule.clone(), condition: condition.ok().flatten(), state }
    }

    /// Ask the rule of more rows; which of them break it, where it is about single rows.
    fn observe(&mut self, rows: &RecordBatch, budget: &mut Budget) -> Option<BooleanBuffer> {
        let seen = self.ask(rows, budget);
        seen.unwrap_or_else(|reason| {
            self.state = State::Thrown(reason);
            None
        })
    }

    fn ask(&mut self, rows: &RecordBatch, budget: &mut Budget) -> Result<Option<BooleanBuffer>, String> {
        let condition = match &self.condition {
            Some(condition) if !matches!(self.state, State::Thrown(_)) => Some(condition.holds(rows)?),
            _ => None,
        };
        match &mut self.state {
            State::Rows { test, tally, .. } => {
                tally.ask(test.as_mut(), rows, condition.as_ref().map(BooleanArray::values)).map(Some)
            }
            State::Whole(monitor) => {
                let left = condition.map(|condition| filter_record_batch(rows, &condition)).transpose();
                let left = left.map_err(|error| error.to_string())?;
                monitor.observe(left.as_ref().unwrap_or(rows), budget).map(|()| None)
            }
            State::Known(_) | State::Thrown(_) => Ok(None),
        }
    }

    fn set_aside(&self, row: usize) -> SetAside {
        let message = match &self.state {
            State::Rows { test, .. } => self.rule.description.clone().unwrap_or_else(|| test.reason()),
            _ => String::new(),
        };
        let names = ["column", "column_A", "column_B"];
        let columns = names.iter().filter_map(|name| self.rule.kwargs.get(*name)?.as_str());
        let column = columns.collect::<Vec<_>>().join(", ");
        SetAside { row, column, rule: self.rule.kind.clone(), message }
    }

    fn finish(self, totals: Totals) -> RuleResult {
        let found = match self.state {
            State::Rows { test, mostly, tally } => Ok(tally.finish(test.as_ref(), mostly)),
            State::Whole(monitor) => monitor.finish(totals),
            State::Known(finding) => Ok(finding),
            State::Thrown(reason) => Err(reason),
        };
        let rule = self.rule;
        match found {
            Ok(Finding { success, observed, complaints }) => {
                let complaints = complaints.iter().map(|complaint| shortened(complaint)).collect();
                RuleResult { rule, success, observed, exception: None, complaints }
            }
            Err(reason) => RuleResult {
                rule,
                success: false,
                observed: sluice_domain::Observed::default(),
                complaints: vec![shortened(&reason)],
                exception: Some(Exception(shortened(&reason))),
            },
        }
    }
}

/// A text as results repeat it.
fn shortened(text: &str) -> String {
    text.chars().take(MAX_TOLD_CHARS).collect()
}
