//! Suites, their results and profiles on the wire.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value, json};
use sluice_domain::{FailedRule, QualityResult, QualitySubject, QualitySummary, RowScore, TableRef, Verdict};
use sluice_quality::{ColumnProfile, NumericProfile, Profile, TextProfile, ViewFormat, view};
use utoipa::ToSchema;

/// A suite: ours, or one of Great Expectations.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "the variants are read by the document only")]
pub(crate) enum SuiteView {
    Ours(OurSuite),
    GreatExpectations(ExpectationSuite),
}

/// The rules that a table is held to.
#[derive(Serialize, ToSchema)]
pub(crate) struct OurSuite {
    /// What it is called.
    #[schema(min_length = 1, max_length = 1000, example = "sales_data_quality")]
    name: String,
    /// How much depends on the table: `medium` wants 90, `high` 95 and `critical` 99 of 100 rows valid before it is
    /// published.
    criticality: Option<String>,
    /// The same in a number: a share up to 1, above it of 100.
    #[schema(minimum = 0, maximum = 100)]
    minimum_score: Option<f64>,
    /// The rules.
    #[schema(max_items = 200)]
    rules: Vec<QualityRule>,
}

/// Something that rows, columns or the whole table must keep.
#[derive(Serialize, ToSchema)]
struct QualityRule {
    /// Its kind, by the name that Great Expectations gives it.
    #[schema(example = "expect_column_values_to_not_be_null")]
    kind: String,
    /// What is asked, under the names of Great Expectations.
    #[schema(value_type = Object, example = json!({"column": "order_id", "mostly": 0.95}))]
    kwargs: Value,
    /// How much it matters: `low`, `medium` (the default), `high` or `critical`.
    severity: Option<String>,
    /// What becomes of what breaks it: `warn` (the default), `quarantine` the rows, `reject` the upload, or `block` the
    /// table from being published.
    action: Option<String>,
    /// Of which rows it is asked, as a condition in SQL.
    row_condition: Option<String>,
    /// What it is for.
    description: Option<String>,
}

/// A suite as Great Expectations writes it.
#[derive(Serialize, ToSchema)]
pub(crate) struct ExpectationSuite {
    /// Its name, in the versions from 1 on.
    name: Option<String>,
    /// Its name, before.
    expectation_suite_name: Option<String>,
    /// The expectations, each with `type` or `expectation_type`, and `kwargs`.
    #[schema(value_type = Vec<Object>, max_items = 200)]
    expectations: Vec<Value>,
    /// What else there is to say.
    #[schema(value_type = Option<Object>)]
    meta: Option<Value>,
}

/// What came of a suite: in the shape of Great Expectations, or in the one that was asked for, with the scores beside it.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the fields are read by the document only")]
pub(crate) struct QualityResultView {
    /// Its id: that of the upload or of the run, where it is of one.
    result_id: String,
    /// The upload whose rows were asked of.
    upload_id: Option<String>,
    /// The run of a pipeline whose rows were asked of.
    run_id: Option<String>,
    /// The table version that has the rows; absent of an upload or a run that is not in the table.
    version: Option<u64>,
    /// When the suite was asked.
    checked_at: chrono::DateTime<chrono::Utc>,
    /// The scores.
    scores: ScoresView,
    /// Whether every rule was kept.
    success: Option<bool>,
    /// How many rules there are, and how many were kept.
    #[schema(value_type = Option<Object>)]
    statistics: Option<Value>,
    /// What came of each rule.
    #[schema(value_type = Option<Vec<Object>>)]
    results: Option<Vec<Value>>,
    /// Of an upload or a run: the kinds of rules that are asked of the whole table alone, by a check.
    not_asked: Option<Vec<String>>,
}

/// Scores, of 100.
#[derive(Serialize, ToSchema)]
pub(crate) struct ScoresView {
    /// Valid rows of all rows; absent where there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 95.0)]
    data_quality_score: Option<f64>,
    /// Rules that were kept of all rules.
    #[schema(example = 90.0)]
    check_score: f64,
    /// How many rows there were.
    rows_total: u64,
    /// How many of them broke no rule about single rows.
    rows_valid: u64,
    /// Whether the rows may be published.
    publishable: bool,
}

impl ScoresView {
    fn new(rows: RowScore, check_score: f64, publishable: bool) -> Self {
        let data_quality_score = rows.percent();
        Self { data_quality_score, check_score, rows_total: rows.total, rows_valid: rows.valid, publishable }
    }
}

/// A result, as it is shown.
pub(crate) fn result_view(result: &QualityResult, table: &TableRef, format: ViewFormat) -> Value {
    let mut shown = view(result, &table.to_string(), format).as_object().cloned().unwrap_or_default();
    let validation = &result.validation;
    let scores = ScoresView::new(validation.rows, validation.check_score(), validation.publishable);
    shown.insert("result_id".into(), result.subject.id().to_string().into());
    if let QualitySubject::Upload(id) = result.subject {
        shown.insert("upload_id".into(), id.to_string().into());
    }
    if let QualitySubject::Run(id) = result.subject {
        shown.insert("run_id".into(), id.to_string().into());
    }
    if let Some(version) = result.version {
        shown.insert("version".into(), version.into());
    }
    shown.insert("checked_at".into(), json!(result.checked_at));
    shown.insert("scores".into(), json!(scores));
    if !validation.not_asked.is_empty() {
        shown.insert("not_asked".into(), json!(validation.not_asked));
    }
    Value::Object(shown)
}

/// A page of results.
#[derive(Serialize, ToSchema)]
pub(crate) struct QualityResultPage {
    /// The results, newest first.
    #[schema(value_type = Vec<QualityResultView>)]
    pub(crate) items: Vec<Value>,
    /// Where the next page begins; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_page_token: Option<String>,
}

/// Whether a table may be published.
#[derive(Serialize, ToSchema)]
pub(crate) struct VerdictView {
    /// Whether nothing stands against it.
    publishable: bool,
    /// The result that stands against it, or the newest check that found nothing; absent where there is neither.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<QualityResultView>)]
    because: Option<Value>,
}

impl VerdictView {
    pub(crate) fn new(verdict: &Verdict, table: &TableRef) -> Self {
        let because = verdict.because.as_ref().map(|because| result_view(because, table, ViewFormat::default()));
        Self { publishable: verdict.publishable, because }
    }
}

/// What came of the table's suite, in short.
#[derive(Serialize, ToSchema)]
pub(crate) struct QualitySummaryView {
    /// The suite's name.
    suite: String,
    /// The scores.
    scores: ScoresView,
    /// The rules that were not kept.
    failed_rules: Vec<FailedRuleView>,
}

/// A rule that was not kept.
#[derive(Serialize, ToSchema)]
pub(crate) struct FailedRuleView {
    /// Its kind.
    #[schema(example = "expect_column_values_to_not_be_null")]
    kind: String,
    /// The column that it looks at.
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<String>,
    /// How much it matters.
    severity: &'static str,
    /// What becomes of what breaks it.
    action: &'static str,
    /// How many rows broke it, where that is counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    unexpected_count: Option<u64>,
    /// What is wrong.
    message: String,
}

impl From<FailedRule> for FailedRuleView {
    fn from(failed: FailedRule) -> Self {
        let FailedRule { kind, column, severity, action, unexpected_count, message } = failed;
        Self { kind, column, severity: severity.as_str(), action: action.as_str(), unexpected_count, message }
    }
}

impl From<QualitySummary> for QualitySummaryView {
    fn from(summary: QualitySummary) -> Self {
        let QualitySummary { suite, rows, rules, passed, publishable, failed } = summary;
        let check_score = if rules == 0 { 0.0 } else { passed as f64 * 100.0 / rules as f64 };
        let scores = ScoresView::new(rows, check_score, publishable);
        Self { suite, scores, failed_rules: failed.into_iter().map(Into::into).collect() }
    }
}

/// What a table holds, column by column.
#[derive(Serialize, ToSchema)]
pub(crate) struct ProfileView {
    /// The version that was looked at.
    version: u64,
    /// How many rows it has.
    rows: u64,
    /// How many columns.
    column_count: usize,
    /// How many columns there are of each type, by the names of pandas.
    dtypes: BTreeMap<String, u64>,
    /// The columns, in their order.
    columns: Vec<ColumnProfileView>,
}

/// What a column holds.
#[derive(Serialize, ToSchema)]
struct ColumnProfileView {
    /// Its name.
    name: String,
    /// Its type.
    #[serde(rename = "type")]
    data_type: String,
    /// What pandas calls its type.
    #[schema(example = "int64")]
    dtype: String,
    /// Rows without a value in it: `count`, and `percentage` of 100.
    #[schema(value_type = Object)]
    missing: Value,
    /// Of numbers: `mean`, `std`, `min`, `max`, `median`, `q25`, `q75`, `unique`, `zero`, and whether the quantiles are
    /// `quantiles_exact`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    numeric: Option<Value>,
    /// Of all others: `unique`, `most_frequent`, `most_frequent_count`, the `top` ten values, `min` and `max`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    categorical: Option<Value>,
    /// Whether `unique` and the frequent values were counted, or estimated from a part of the values.
    values_exact: bool,
}

impl ProfileView {
    pub(crate) fn new(version: u64, profile: Profile) -> Self {
        let mut dtypes = BTreeMap::new();
        profile.columns.iter().for_each(|column| *dtypes.entry(column.dtype.clone()).or_default() += 1);
        let (rows, column_count) = (profile.rows, profile.columns.len());
        Self { version, rows, column_count, dtypes, columns: profile.columns.into_iter().map(Into::into).collect() }
    }
}

impl From<ColumnProfile> for ColumnProfileView {
    fn from(column: ColumnProfile) -> Self {
        let numeric = column.numeric.as_ref().map(|numeric| numbers(&column, numeric));
        let categorical = column.categorical.as_ref().map(|categorical| texts(&column, categorical));
        Self {
            missing: json!({"count": column.missing, "percentage": column.missing_percent}),
            name: column.name,
            data_type: column.data_type,
            dtype: column.dtype,
            numeric,
            categorical,
            values_exact: column.values_are_exact,
        }
    }
}

fn numbers(column: &ColumnProfile, numeric: &NumericProfile) -> Value {
    let NumericProfile { mean, std, median, q25, q75, zero, quantiles_are_exact } = numeric;
    json!({"mean": mean, "std": std, "min": column.min, "max": column.max, "median": median, "q25": q25, "q75": q75,
        "unique": column.unique, "zero": zero, "quantiles_exact": quantiles_are_exact})
}

fn texts(column: &ColumnProfile, categorical: &TextProfile) -> Value {
    let first = categorical.top.first();
    let top = categorical.top.iter().map(|one| json!({"value": one.value, "count": one.count}));
    let mut shown = Map::new();
    shown.insert("unique".into(), column.unique.into());
    shown.insert("most_frequent".into(), json!(first.map(|first| &first.value)));
    shown.insert("most_frequent_count".into(), json!(first.map_or(0, |first| first.count)));
    shown.insert("top".into(), top.collect());
    shown.insert("min".into(), column.min.clone());
    shown.insert("max".into(), column.max.clone());
    Value::Object(shown)
}
