//! What is said of columns, and what they inherit, on the wire.

use serde::Serialize;
use sluice_domain::{Caller, InheritedLabel, InheritedNotes, Label, TableNotes};
use sluice_table::{Column, Description, TableError, columns_of};
use utoipa::ToSchema;

/// The columns of a table, with what is said of them.
#[derive(Serialize, ToSchema)]
pub(crate) struct ColumnsView {
    /// What is said of the table, and what counts for it.
    #[serde(flatten)]
    labels: TableLabelsView,
    /// The columns, in order.
    columns: Vec<ColumnNotesView>,
}

/// How a table is labelled.
#[derive(Serialize, ToSchema)]
pub(crate) struct TableLabelsView {
    /// The tags of the table.
    tags: Vec<String>,
    /// How the table's values are to be treated.
    classification: Option<String>,
    /// The strictest classification that counts for the table and its columns: what columns inherit that have none of
    /// their own is among them.
    strictest_classification: Option<String>,
    /// Whether so much is upstream of the table that columns may inherit more than is told.
    inheritance_truncated: bool,
}

/// A column, with what is said of it.
#[derive(Serialize, ToSchema)]
pub(crate) struct ColumnNotesView {
    /// Its name.
    name: String,
    /// Its type as Delta names it.
    #[schema(example = "long")]
    delta_type: String,
    /// Whether values may be missing.
    nullable: bool,
    /// Whether the table is partitioned by it.
    partition: bool,
    /// What it is: what was said of it here, or where it was declared.
    description: Option<String>,
    /// Words to find it by.
    tags: Vec<String>,
    /// How its values are to be treated.
    classification: Option<String>,
    /// The classification that counts: its own, or the strictest that it inherits.
    effective_classification: Option<String>,
    /// What is said of the columns that its values come from, as lineage tells.
    inherited: InheritedView,
}

/// What a column inherits from those that its values come from: copied, computed or aggregated; masks and hashes
/// included. What only decides about rows passes nothing on.
#[derive(Serialize, ToSchema)]
pub(crate) struct InheritedView {
    /// Classifications, each once, the strictest first. A column with one of its own is classified by that alone, and
    /// passes only that on.
    classifications: Vec<InheritedLabelView>,
    /// Tags, each once.
    tags: Vec<InheritedLabelView>,
}

/// A label, and where it comes from.
#[derive(Serialize, ToSchema)]
pub(crate) struct InheritedLabelView {
    /// The label.
    #[schema(example = "pii")]
    label: String,
    /// The nearest column that it is said of, `namespace.table.column`, or the table that is so classified as a whole;
    /// absent where the caller does not see the namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "shop.orders.email")]
    from: Option<String>,
}

fn text(label: &Label) -> String {
    label.to_string()
}

impl From<&TableNotes> for TableLabelsView {
    fn from(notes: &TableNotes) -> Self {
        Self {
            tags: notes.table.tags.iter().map(text).collect(),
            classification: notes.table.classification.as_ref().map(text),
            strictest_classification: notes.strictest().map(text),
            inheritance_truncated: notes.is_cut_off,
        }
    }
}

impl InheritedView {
    fn new(inherited: Option<&InheritedNotes>, caller: &Caller) -> Self {
        let view = |inherited: &InheritedLabel| {
            let from = Some(&inherited.from).filter(|from| caller.sees(&from.table.namespace));
            InheritedLabelView { label: text(&inherited.label), from: from.map(ToString::to_string) }
        };
        let all = |labels: Option<&Vec<InheritedLabel>>| labels.into_iter().flatten().map(view).collect();
        Self {
            classifications: all(inherited.map(|inherited| &inherited.classifications)),
            tags: all(inherited.map(|inherited| &inherited.tags)),
        }
    }
}

impl ColumnsView {
    /// What a caller is told.
    pub(crate) fn new(description: &Description, notes: &TableNotes, caller: &Caller) -> Result<Self, TableError> {
        let columns = columns_of(&description.schema, &description.partition_by)?.into_iter();
        let view = |column: Column| {
            let Column { name, delta_type, nullable, partition, .. } = column;
            let said = notes.columns.get(&name);
            let comment = || description.schema.field_with_name(&name).ok()?.metadata().get("comment").cloned();
            ColumnNotesView {
                description: said.and_then(|said| said.description.clone()).or_else(comment),
                tags: said.iter().flat_map(|said| &said.tags).map(text).collect(),
                classification: said.and_then(|said| said.classification.as_ref()).map(text),
                effective_classification: notes.classification_of(&name).map(text),
                inherited: InheritedView::new(notes.inherited_by(&name), caller),
                name,
                delta_type,
                nullable,
                partition,
            }
        };
        Ok(Self { labels: notes.into(), columns: columns.map(view).collect() })
    }

    /// The column of this name.
    pub(crate) fn into_column(self, name: &str) -> Option<ColumnNotesView> {
        self.columns.into_iter().find(|column| column.name == name)
    }
}
