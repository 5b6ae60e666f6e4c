//! The columns of a table and those of an upload, under the table's contract: what the table is to have.
//!
//! Invariant: the columns of the table keep their places and names, and every value that they hold.
//! Invariant: a column that is missing in the upload is never taken for one that is new in it; that they are alike is
//! told, and nothing else.

use std::{collections::HashSet, sync::Arc};

use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use sluice_domain::{ChangeKind, ChangePolicy, ColumnChange, Contract, Terms, column_changes, type_name};
use sluice_table::storable_type;

use super::ContractBreach;
use crate::columns::FieldIndex;

mod join;

use join::{Fit, Scope, fit};

/// What a table is.
#[derive(Debug, Clone, Copy)]
pub(super) struct TableColumns<'t> {
    /// Its columns.
    pub(super) schema: &'t Schema,
    /// Those that it is partitioned by: their types stay.
    pub(super) partition_by: &'t [String],
}

/// What an upload brings.
#[derive(Debug, Clone, Copy)]
pub(super) struct FileColumns<'f> {
    /// Its columns; [`DataType::Null`] where no row has a value.
    pub(super) schema: &'f Schema,
    /// Whether the types were guessed from texts: a guess is as wide as its kind, whatever the values.
    pub(super) guessed: bool,
}

/// What the table is to have, and what becomes of the upload's columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reconciled {
    /// The table's columns, with what is added at the end and what is widened.
    pub(super) schema: SchemaRef,
    /// What is new and wider, fields within others too.
    pub(super) changes: Vec<ColumnChange>,
    /// Columns of the upload that are left out.
    pub(super) discarded: Vec<String>,
    /// Those of them that the table has, as it spells them: they stay, without the upload's values.
    pub(super) emptied: Vec<String>,
    /// Columns of the upload that the table does not get: rows with a value in one of them go to quarantine.
    pub(super) quarantined: Vec<String>,
    /// Columns of the table that the upload lacks.
    pub(super) missing: Vec<String>,
    /// A missing column of the table and a new one of the upload, of like types: perhaps one column by two names.
    pub(super) possible_renames: Vec<(String, String)>,
}

/// What a table with these terms is to have once it takes in an upload.
///
/// A name is that of the column that is written exactly so, and of one of another case else. Values that do not fit
/// the type that a column has afterwards are the decoder's to find.
///
/// # Errors
/// [`ContractBreach::NewColumn`] and [`ContractBreach::OtherType`] where the contract freezes what would change,
/// [`ContractBreach::ColumnTwice`].
pub(super) fn reconcile(table: &TableColumns, file: &FileColumns, terms: &Terms) -> Result<Reconciled, ContractBreach> {
    let rules = Rules { guessed: file.guessed, terms };
    let mut sides = Sides::pair(table.schema.fields(), file.schema.fields())?;
    let mut columns = table.schema.fields().to_vec();
    let (mut discarded, mut emptied, mut quarantined) = (Vec::new(), Vec::new(), Vec::new());
    for (at, found) in &sides.shared {
        let stays = table.partition_by.contains(columns[*at].name());
        let (column, unplaced) = rules.column(&columns[*at], found, stays)?;
        match column {
            Some(column) => columns[*at] = column,
            None => {
                discarded.push(found.name().clone());
                emptied.push(columns[*at].name().clone());
            }
        }
        match terms.contract.columns {
            ChangePolicy::DiscardColumns => discarded.extend(unplaced),
            _ => quarantined.extend(unplaced),
        }
    }
    let possible_renames = sides.possible_renames(&columns);
    let missing = sides.missing.iter().map(|at| columns[*at].name().clone()).collect();
    for column in std::mem::take(&mut sides.new) {
        let name = column.name().clone();
        match terms.contract.columns {
            ChangePolicy::Evolve => columns.push(Arc::new(as_column(&column))),
            ChangePolicy::DiscardColumns => discarded.push(name),
            ChangePolicy::QuarantineRows => quarantined.push(name),
            ChangePolicy::Freeze => {
                let renamed = possible_renames.iter().find(|(_, new)| *new == name).map(|(old, _)| old.clone());
                return Err(ContractBreach::NewColumn { column: name, renamed });
            }
        }
    }
    let schema = Arc::new(Schema::new_with_metadata(columns, table.schema.metadata().clone()));
    let changes = column_changes(table.schema, &schema);
    Ok(Reconciled { schema, changes, discarded, emptied, quarantined, missing, possible_renames })
}

/// The type of a column that a table gets: the one that holds the values of the upload's.
fn as_column(found: &Field) -> Field {
    let data_type = storable_type(found.data_type()).unwrap_or_else(|| found.data_type().clone());
    Field::new(found.name(), data_type, true)
}

/// Which columns of a table and an upload belong together.
struct Sides {
    /// The place in the table, and the column of the upload.
    shared: Vec<(usize, FieldRef)>,
    new: Vec<FieldRef>,
    /// The places in the table.
    missing: Vec<usize>,
}

impl Sides {
    fn pair(table: &Fields, file: &Fields) -> Result<Self, ContractBreach> {
        let index = FieldIndex::of(table.iter().map(|field| field.name()));
        let (mut taken, mut names) = (HashSet::new(), HashSet::new());
        let (mut shared, mut new) = (Vec::new(), Vec::new());
        for field in file {
            let is_first = match index.find(field.name()) {
                Some(at) => {
                    shared.push((at, Arc::clone(field)));
                    taken.insert(at)
                }
                None => {
                    new.push(Arc::clone(field));
                    names.insert(field.name().to_lowercase())
                }
            };
            if !is_first {
                return Err(ContractBreach::ColumnTwice { column: field.name().clone() });
            }
        }
        let missing = (0..table.len()).filter(|at| !taken.contains(at)).collect();
        Ok(Self { shared, new, missing })
    }

    /// Missing and new columns of like types, each in one pair at the most.
    fn possible_renames(&self, columns: &[FieldRef]) -> Vec<(String, String)> {
        let mut paired = HashSet::new();
        let mut pairs = Vec::new();
        for at in &self.missing {
            let old = &columns[*at];
            let alike = |new: &&FieldRef| {
                !paired.contains(new.name())
                    && *new.data_type() != DataType::Null
                    && storable_type(new.data_type()).is_some_and(|data_type| data_type == *old.data_type())
            };
            if let Some(new) = self.new.iter().find(alike) {
                paired.insert(new.name().clone());
                pairs.push((old.name().clone(), new.name().clone()));
            }
        }
        pairs
    }
}

/// What becomes of columns that both have.
struct Rules<'t> {
    guessed: bool,
    terms: &'t Terms,
}

impl Rules<'_> {
    /// The column as it is to be, none where the upload's is left out; and the fields within it that the table does not
    /// have.
    fn column(
        &self,
        column: &FieldRef,
        found: &Field,
        stays: bool,
    ) -> Result<(Option<FieldRef>, Vec<String>), ContractBreach> {
        let Contract { columns, types, .. } = self.terms.contract;
        let fitted = |adds: bool, widens: bool| {
            fit(column.data_type(), found.data_type(), &Scope { guessed: self.guessed, adds, widens })
        };
        let whole = fitted(true, !stays);
        let (wider, changes) = self.changes(column, whole);
        let is_coerced = self.terms.coerce && is_text(found.data_type()) && !column.data_type().is_nested();
        let is_widened = changes.iter().any(|change| matches!(change.kind, ChangeKind::Widened { .. }));
        if is_widened || wider.is_none() && !is_coerced {
            match types {
                ChangePolicy::Freeze => return Err(frozen(column, found)),
                ChangePolicy::DiscardColumns => return Ok((None, Vec::new())),
                ChangePolicy::Evolve | ChangePolicy::QuarantineRows => {}
            }
        }
        let added = changes.into_iter().filter(|change| matches!(change.kind, ChangeKind::Added { .. }));
        let added: Vec<String> = added.map(|change| change.column).collect();
        if let (ChangePolicy::Freeze, Some(first)) = (columns, added.first()) {
            return Err(ContractBreach::NewColumn { column: first.clone(), renamed: None });
        }
        let adds = columns == ChangePolicy::Evolve;
        let data_type = match fitted(adds, types == ChangePolicy::Evolve && !stays) {
            Fit::Wider(wider) => wider,
            Fit::Always | Fit::ByValue | Fit::Never => column.data_type().clone(),
        };
        let column = Arc::new(column.as_ref().clone().with_data_type(data_type));
        Ok((Some(column), if adds { Vec::new() } else { added }))
    }

    /// The type that would hold everything, none where there is none, and what changes with it.
    fn changes(&self, column: &FieldRef, whole: Fit) -> (Option<DataType>, Vec<ColumnChange>) {
        let wider = match whole {
            Fit::Never => return (None, Vec::new()),
            Fit::Always | Fit::ByValue => column.data_type().clone(),
            Fit::Wider(wider) => wider,
        };
        let one = |field: Field| Schema::new(vec![field]);
        let field = column.as_ref().clone();
        let changes = column_changes(&one(field.clone()), &one(field.with_data_type(wider.clone())));
        (Some(wider), changes)
    }
}

fn frozen(column: &Field, found: &Field) -> ContractBreach {
    ContractBreach::OtherType {
        column: column.name().clone(),
        actual: type_name(column.data_type()),
        found: type_name(found.data_type()),
    }
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

#[cfg(test)]
mod tests;
