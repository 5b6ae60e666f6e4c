//! Views on the wire.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sluice_domain::{TableRef, View, ViewColumn, ViewDefinition};
use utoipa::ToSchema;

/// What a view is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ViewBody {
    /// One `SELECT` over tables and other views.
    #[schema(min_length = 1, max_length = 65536, example = "SELECT id, amount FROM raw.orders WHERE amount > 0")]
    sql: String,
    /// What it is for.
    #[serde(default)]
    #[schema(max_length = 4096)]
    description: Option<String>,
}

impl From<ViewBody> for ViewDefinition {
    fn from(body: ViewBody) -> Self {
        Self { sql: body.sql, description: body.description }
    }
}

/// A view.
#[derive(Serialize, ToSchema)]
pub(crate) struct ViewView {
    /// The name.
    #[schema(example = "curated.paid_orders")]
    name: String,
    /// Its statement.
    sql: String,
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    /// The tables and views that its statement names.
    reads: Vec<String>,
    /// Its columns, as they were when it was defined.
    columns: Vec<ViewColumnView>,
    /// Who defined it last: with their rights it reads.
    principal: String,
    /// When it was made.
    created_at: DateTime<Utc>,
    /// When it was defined last.
    updated_at: DateTime<Utc>,
}

/// A column of a view.
#[derive(Serialize, ToSchema)]
pub(crate) struct ViewColumnView {
    /// The name.
    name: String,
    /// The type.
    #[serde(rename = "type")]
    #[schema(example = "long")]
    data_type: String,
}

impl From<View> for ViewView {
    fn from(view: View) -> Self {
        let column = |ViewColumn { name, data_type }| ViewColumnView { name, data_type };
        Self {
            name: view.name.to_string(),
            sql: view.definition.sql,
            description: view.definition.description,
            reads: view.reads.iter().map(TableRef::to_string).collect(),
            columns: view.columns.into_iter().map(column).collect(),
            principal: view.principal,
            created_at: view.created_at,
            updated_at: view.updated_at,
        }
    }
}

/// A page of views.
#[derive(Serialize, ToSchema)]
pub(crate) struct ViewPage {
    /// The views, by name.
    pub(crate) items: Vec<ViewView>,
    /// Where the next page begins; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_page_token: Option<String>,
}
