//! Declared schemas and contracts on the wire.

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use sluice_domain::{ChangeKind, ColumnChange, SchemaEffect, parse_type, type_name};
use sluice_ingest::{Compatibility, Declaration, DeclaredColumn, DoubtfulColumn};
use sluice_table::Description;
use utoipa::ToSchema;

use crate::problem::Problem;

/// The columns that a table is to have.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SchemaBody {
    /// The columns. Of a table that exists they are its own, with new ones among them.
    #[schema(min_items = 1, max_items = 10000)]
    columns: Vec<ColumnBody>,
    /// The columns to partition by; absent leaves a table that exists as it is.
    #[serde(default)]
    partition_by: Option<Vec<String>>,
    /// Whether texts in JSON are taken for the numbers, booleans and moments that columns want; absent leaves it as it
    /// is.
    #[serde(default)]
    coerce: Option<bool>,
}

/// A column that a table is to have.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ColumnBody {
    /// Its name.
    #[schema(min_length = 1, max_length = 255)]
    name: String,
    /// Its type by Delta's name (`long`, `decimal(10,2)`, `array<string>`, `struct<a:long>`) or a usual other one
    /// (`int64`, `bigint`, `str`, `bool`).
    #[serde(rename = "type")]
    #[schema(example = "long", max_length = 10000)]
    type_name: String,
    /// Whether values may be missing; where they may not, rows without one are bad. Default: true.
    #[serde(default)]
    nullable: Option<bool>,
    /// What it is.
    #[serde(default)]
    #[schema(max_length = 16384)]
    comment: Option<String>,
}

impl SchemaBody {
    /// What it declares, every name and type read.
    pub(crate) fn declaration(self) -> Result<Declaration, Problem> {
        let columns = self.columns.into_iter().map(ColumnBody::column).collect::<Result<_, _>>()?;
        Ok(Declaration { columns, partition_by: self.partition_by, coerce: self.coerce })
    }
}

impl ColumnBody {
    fn column(self) -> Result<DeclaredColumn, Problem> {
        let bad = |detail: String| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad-column", detail);
        let name = self.name.parse().map_err(|error: sluice_domain::NameError| bad(error.to_string()))?;
        let unknown = |error: sluice_domain::TypeNameError| bad(format!("column {}: {error}", self.name));
        let data_type = parse_type(&self.type_name).map_err(unknown)?;
        Ok(DeclaredColumn { name, data_type, nullable: self.nullable.unwrap_or(true), comment: self.comment })
    }
}

/// The columns of a table as they would be declared.
#[derive(Serialize, ToSchema)]
pub(crate) struct SchemaView {
    /// The columns, in order.
    columns: Vec<SchemaColumn>,
    /// The columns that the table is partitioned by.
    partition_by: Vec<String>,
    /// Whether texts in JSON are taken for what columns want.
    coerce: bool,
    /// The version of the schema, counted from 1; absent where none is recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    schema_version: Option<i64>,
    /// The newest version of the table.
    table_version: u64,
}

/// A column.
#[derive(Serialize, ToSchema)]
struct SchemaColumn {
    /// Its name.
    name: String,
    /// Its type, by Delta's name.
    #[serde(rename = "type")]
    #[schema(example = "long")]
    type_name: String,
    /// Whether values may be missing.
    nullable: bool,
    /// What it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<String>,
}

impl SchemaView {
    pub(crate) fn new(description: &Description, coerce: bool, schema_version: Option<i64>) -> Self {
        let columns = description.schema.fields().iter().map(|field| SchemaColumn {
            name: field.name().clone(),
            type_name: type_name(field.data_type()),
            nullable: field.is_nullable(),
            comment: field.metadata().get("comment").cloned(),
        });
        Self {
            columns: columns.collect(),
            partition_by: description.partition_by.clone(),
            coerce,
            schema_version,
            table_version: description.version,
        }
    }
}

/// What a schema has that the one before it had not.
#[derive(Serialize, ToSchema)]
pub(crate) struct SchemaChangesView {
    /// Columns that are new.
    added: Vec<AddedColumn>,
    /// Columns that hold more values than before.
    widened: Vec<WidenedColumn>,
}

/// What an upload meant for the schema of its table.
#[derive(Serialize, ToSchema)]
pub(crate) struct SchemaEffectView {
    /// What the table has since that it had not.
    changes: SchemaChangesView,
    /// Columns of the upload that were left out, as the contract says.
    discarded_columns: Vec<String>,
    /// Columns of the upload that the table does not have: rows with a value in one of them went to quarantine.
    quarantined_columns: Vec<String>,
    /// Columns of the table that the upload lacks: they have no value in its rows.
    missing_columns: Vec<String>,
    /// A missing column and a new one of like types: perhaps one column by two names. Nothing was renamed.
    possible_renames: Vec<RenameView>,
}

/// Two names that may be those of one column.
#[derive(Serialize, ToSchema)]
struct RenameView {
    /// The column of the table that the upload lacks.
    from: String,
    /// The column of the upload that the table lacked.
    to: String,
}

impl From<SchemaEffect> for SchemaEffectView {
    fn from(effect: SchemaEffect) -> Self {
        Self {
            changes: effect.changes.into(),
            discarded_columns: effect.discarded,
            quarantined_columns: effect.quarantined,
            missing_columns: effect.missing,
            possible_renames: effect.possible_renames.into_iter().map(|(from, to)| RenameView { from, to }).collect(),
        }
    }
}

/// A column that is new.
#[derive(Serialize, ToSchema)]
struct AddedColumn {
    /// Its name; of a field within others, theirs before it with dots between.
    column: String,
    /// Its type, by Delta's name.
    #[serde(rename = "type")]
    #[schema(example = "long")]
    type_name: String,
}

/// A column that holds more values than before.
#[derive(Serialize, ToSchema)]
struct WidenedColumn {
    /// Its name; of a field within others, theirs before it with dots between.
    column: String,
    /// The type that it had, by Delta's name.
    #[schema(example = "integer")]
    from: String,
    /// The type that it has, by Delta's name.
    #[schema(example = "long")]
    to: String,
}

impl From<Vec<ColumnChange>> for SchemaChangesView {
    fn from(changes: Vec<ColumnChange>) -> Self {
        let (mut added, mut widened) = (Vec::new(), Vec::new());
        for ColumnChange { column, kind } in changes {
            match kind {
                ChangeKind::Added { data_type } => {
                    added.push(AddedColumn { column, type_name: type_name(&data_type) });
                }
                ChangeKind::Widened { from, to } => {
                    widened.push(WidenedColumn { column, from: type_name(&from), to: type_name(&to) });
                }
            }
        }
        Self { added, widened }
    }
}

/// Whether columns would fit a table.
#[derive(Serialize, ToSchema)]
pub(crate) struct CompatibilityView {
    /// Whether every row of an upload with these columns would be in the table, with all its columns.
    compatible: bool,
    /// The version of the table that they were held against.
    table_version: u64,
    /// What would become of the columns; absent where the upload would be refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    effect: Option<SchemaEffectView>,
    /// Why the upload would be refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<String>,
    /// Columns whose values would go into the table only where they happen to fit its types.
    doubtful_columns: Vec<DoubtfulView>,
}

/// A column of a type that the table's does not hold.
#[derive(Serialize, ToSchema)]
struct DoubtfulView {
    /// Its name.
    column: String,
    /// The type in the table, by Delta's name.
    table_type: String,
    /// The type that was asked about.
    asked_type: String,
}

impl From<Compatibility> for CompatibilityView {
    fn from(found: Compatibility) -> Self {
        let compatible = found.is_compatible();
        let doubtful = found.doubtful.into_iter().map(|DoubtfulColumn { column, actual, found }| DoubtfulView {
            column,
            table_type: actual,
            asked_type: found,
        });
        let (effect, refusal) = match found.verdict {
            Ok(effect) => (Some(effect.into()), None),
            Err(breach) => (None, Some(breach.to_string())),
        };
        let doubtful_columns = doubtful.collect();
        Self { compatible, table_version: found.table_version, effect, refusal, doubtful_columns }
    }
}

/// What a table asks of its uploads. What is absent has its default.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the fields are read by the document only")]
pub(crate) struct ContractView {
    /// What becomes of an upload with columns that the table does not have. Default: `evolve`.
    columns: Option<ChangePolicyView>,
    /// What becomes of an upload with columns of other types than the table's. Default: `evolve`.
    types: Option<ChangePolicyView>,
    /// With more bad rows than this, an upload is refused as a whole.
    #[schema(format = "uint64", minimum = 0)]
    max_bad_rows: Option<u64>,
    /// With a larger share of bad rows than this, an upload is refused as a whole.
    #[schema(minimum = 0, maximum = 1)]
    max_bad_fraction: Option<f64>,
    /// What rows must keep; the first rule that a row breaks says what becomes of it.
    #[schema(max_items = 200)]
    rules: Option<Vec<RuleView>>,
}

/// What is done about an upload that would change the schema: the table changes with it, the upload is refused, the
/// columns are left out, or the rows go to quarantine.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "the variants are read by the document only")]
enum ChangePolicyView {
    Evolve,
    Freeze,
    DiscardColumns,
    QuarantineRows,
}

/// Something that every row must keep. Missing values keep every rule but `not_null`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the fields are read by the document only")]
struct RuleView {
    /// What it is called; no other rule of the contract is called so.
    #[schema(min_length = 1, max_length = 255)]
    name: String,
    /// The column that it looks at.
    #[schema(min_length = 1, max_length = 255)]
    column: String,
    /// What must be true of the value.
    check: CheckView,
    /// What a row that breaks it is told.
    #[schema(max_length = 1000)]
    message: Option<String>,
    /// What becomes of a row that breaks it: it goes to quarantine, or the whole upload is refused.
    action: Option<ActionView>,
}

/// What must be true of a value. Days and instants are texts.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "the variants are read by the document only")]
enum CheckView {
    /// It is there.
    NotNull,
    /// It is this or more.
    Minimum(RuleValueView),
    /// It is this or less.
    Maximum(RuleValueView),
    /// It is the first or more, and the second or less.
    Between(Vec<RuleValueView>),
    /// This regular expression is found in the text.
    Matches(String),
    /// It is one of these, 1 to 1000.
    OneOf(Vec<RuleValueView>),
    /// The text has no more characters than this.
    MaxLength(u64),
}

/// A value to compare with.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "the variants are read by the document only")]
enum RuleValueView {
    Boolean(bool),
    Number(f64),
    Text(String),
}

/// What becomes of a row that breaks a rule.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "the variants are read by the document only")]
enum ActionView {
    Quarantine,
    Reject,
}
