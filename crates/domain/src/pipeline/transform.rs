//! Steps of a pipeline that say what is to become of rows and columns, and not how: each is one `SELECT` over what is
//! before it.
//!
//! Names of columns are meant as they are written, capitals included.

mod check;
mod compile;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::word_set::words;

pub(super) use compile::compile;

words!(
    /// Which of the rows that are the same stay.
    Keep, "choice of rows to keep", {
        /// The one that comes first.
        First = "first",
        /// The one that comes last.
        Last = "last",
        /// Only those that have none like them.
        None = "none",
    }
);

words!(
    /// What becomes of a value that cannot be cast.
    CastErrors, "way with values that cannot be cast", {
        /// The run fails.
        Fail = "fail",
        /// NULL takes its place.
        Null = "null",
        /// Its row is left out.
        DropRow = "drop_row",
    }
);

words!(
    /// What a value is shown as.
    MaskKind, "kind of mask", {
        /// An address: the first and the last letter of the name, and the domain.
        Email = "email",
        /// A telephone: all but the last four digits.
        Phone = "phone",
        /// A card: the last four digits.
        CreditCard = "credit_card",
        /// A social security number: the last four digits.
        Ssn = "ssn",
        /// A salted hash.
        Hash = "hash",
    }
);

words!(
    /// What the values of a cell of a pivot come to.
    PivotAggregate, "aggregate of a pivot", {
        /// Their sum.
        Sum = "sum",
        /// Their mean.
        Avg = "avg",
        /// The least.
        Min = "min",
        /// The greatest.
        Max = "max",
        /// How many they are.
        Count = "count",
    }
);

/// What a step does with the rows before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transform {
    /// Of rows that are the same, one or none stays.
    Deduplicate(Deduplicate),
    /// Columns get other types.
    Cast(CastColumns),
    /// Values take the place of NULL, by column.
    FillNull(BTreeMap<String, Value>),
    /// Columns get other names, from the old to the new; they come last.
    Rename(BTreeMap<String, String>),
    /// Columns are left out.
    Drop(Vec<String>),
    /// These columns, in this order.
    Select(Vec<String>),
    /// The rows for which the condition is true.
    Filter(String),
    /// Columns become rows.
    Unpivot(Unpivot),
    /// Rows become columns.
    Pivot(Pivot),
    /// Values are masked.
    Mask(MaskColumns),
    /// Each row is told the stretch of time that it is in.
    TumblingWindow(TumblingWindow),
    /// Each row is told which session of its key it is in.
    SessionWindow(SessionWindow),
}

/// Which rows are the same, and which of them stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deduplicate {
    /// The columns by which rows are the same; none: all columns.
    #[serde(default)]
    pub keys: Vec<String>,
    /// Which one stays.
    #[serde(default = "Deduplicate::keep")]
    pub keep: Keep,
    /// The columns that say which is first and which is last; a NULL is neither where there is another value. A table
    /// has no order of its own.
    #[serde(default)]
    pub order_by: Vec<String>,
}

impl Deduplicate {
    fn keep() -> Keep {
        Keep::First
    }
}

/// New types of columns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CastColumns {
    /// The type of each column, by a name of [`crate::parse_type`].
    pub columns: BTreeMap<String, String>,
    /// What becomes of a value that does not fit.
    #[serde(default = "CastColumns::on_error")]
    pub on_error: CastErrors,
}

impl CastColumns {
    fn on_error() -> CastErrors {
        CastErrors::Fail
    }
}

/// Columns that become rows: one for each of them and each row, NULL or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unpivot {
    /// The columns.
    pub columns: Vec<String>,
    /// The column that tells which one it was.
    pub name_column: String,
    /// The column that has its value.
    pub value_column: String,
}

/// Values of one column that become columns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pivot {
    /// The columns that a row of the result is for.
    pub index: Vec<String>,
    /// The column whose values become columns.
    pub column: String,
    /// Those values: texts, numbers or booleans.
    pub values: Vec<Value>,
    /// The column that fills them.
    pub value: String,
    /// What several values of one cell come to.
    pub aggregate: PivotAggregate,
}

/// Masks of columns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaskColumns {
    /// The mask of each column.
    pub columns: BTreeMap<String, MaskKind>,
    /// What goes into a hash before the value; whoever sees the pipeline sees it.
    #[serde(default)]
    pub salt: Option<String>,
    /// How many hexadecimal digits of a hash are kept; all 64 without it.
    #[serde(default)]
    pub length: Option<u8>,
}

/// Stretches of time of one length, one after the other from 1970 on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TumblingWindow {
    /// The column with the moment of a row.
    pub time: String,
    /// How long each is.
    pub every_seconds: u32,
    /// The column that gets its beginning; `window_start` without it.
    #[serde(default, rename = "as")]
    pub name: Option<String>,
}

/// Rows of a key that follow each other closely.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionWindow {
    /// The column with the moment of a row.
    pub time: String,
    /// The longest pause within a session.
    pub gap_seconds: u32,
    /// The columns whose sessions are apart; none: all rows are of one.
    #[serde(default)]
    pub keys: Vec<String>,
    /// The column that gets the number of the session among those of its key, from 1; `session` without it.
    #[serde(default, rename = "as")]
    pub name: Option<String>,
}

impl Transform {
    /// Its name, as a field of a step.
    pub fn field(&self) -> &'static str {
        match self {
            Self::Deduplicate(_) => "deduplicate",
            Self::Cast(_) => "cast",
            Self::FillNull(_) => "fill_null",
            Self::Rename(_) => "rename",
            Self::Drop(_) => "drop",
            Self::Select(_) => "select",
            Self::Filter(_) => "filter",
            Self::Unpivot(_) => "unpivot",
            Self::Pivot(_) => "pivot",
            Self::Mask(_) => "mask",
            Self::TumblingWindow(_) => "tumbling_window",
            Self::SessionWindow(_) => "session_window",
        }
    }
}

#[cfg(test)]
mod tests;
