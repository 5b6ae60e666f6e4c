//! Columns by name, without regard to case.

use std::{borrow::Cow, collections::HashMap};

use arrow::{array::ArrayRef, datatypes::Fields as ArrowFields, error::ArrowError};

use super::{
    builder::{Cells, ColumnBuilder, Refused},
    value::Value,
};

/// Where a column of a name is: of exactly that name first, of another case else.
#[derive(Debug, Clone, Default)]
pub(crate) struct FieldIndex {
    exact: HashMap<String, usize>,
    folded: HashMap<String, usize>,
}

impl FieldIndex {
    /// The index of these names, in their order.
    pub(crate) fn of<'n>(names: impl IntoIterator<Item = &'n String>) -> Self {
        let mut index = Self::default();
        for (at, name) in names.into_iter().enumerate() {
            index.insert(name, at);
        }
        index
    }

    /// Add a name; the first of several that differ by case alone is found for the others.
    pub(crate) fn insert(&mut self, name: &str, at: usize) {
        self.exact.insert(name.to_owned(), at);
        self.folded.entry(name.to_lowercase()).or_insert(at);
    }

    /// Where the column is.
    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        self.exact.get(name).or_else(|| self.folded.get(&name.to_lowercase())).copied()
    }
}

/// The columns of a table, or the fields of a struct.
pub(crate) struct Fields {
    index: FieldIndex,
    pub(crate) columns: Vec<ColumnBuilder>,
}

impl Fields {
    pub(crate) fn new(fields: &ArrowFields) -> Self {
        Self {
            index: FieldIndex::of(fields.iter().map(|field| field.name())),
            columns: fields.iter().map(|field| ColumnBuilder::new(field)).collect(),
        }
    }

    /// Take texts for what the columns want.
    pub(crate) fn coerce(&mut self) {
        self.columns.iter_mut().for_each(ColumnBuilder::coerce);
    }

    /// How many arrays there are below.
    pub(crate) fn width(&self) -> usize {
        self.columns.iter().map(ColumnBuilder::width).sum()
    }

    /// Add one object; keys that it does not have are missing values.
    pub(crate) fn append(&mut self, entries: &[(Cow<str>, Value)], cells: &mut Cells) -> Result<(), Refused> {
        let length = self.columns.first().map_or(0, ColumnBuilder::len);
        for (key, value) in entries {
            let column = self.index.find(key).and_then(|at| self.columns.get_mut(at));
            let column = column.ok_or_else(|| Refused::Unknown { path: key.to_string() })?;
            if column.len() > length {
                return Err(Refused::Twice { path: key.to_string() });
            }
            column.append_value(value, cells)?;
        }
        for column in self.columns.iter_mut().filter(|column| column.len() == length) {
            cells.spend(column.width())?;
            column.append_null()?;
        }
        Ok(())
    }

    /// Add a place that nobody looks at, below a missing struct.
    pub(crate) fn append_gap(&mut self) {
        self.columns.iter_mut().for_each(ColumnBuilder::append_gap);
    }

    /// Give every column this many values, whatever a row that broke off left in them.
    pub(crate) fn end_at(&mut self, length: usize) {
        self.columns.iter_mut().for_each(|column| column.end_at(length));
    }

    /// How many values the longest column has.
    pub(super) fn longest(&self) -> usize {
        self.columns.iter().map(ColumnBuilder::longest).max().unwrap_or_default()
    }

    pub(crate) fn finish(&mut self) -> Result<Vec<ArrayRef>, ArrowError> {
        self.columns.iter_mut().map(ColumnBuilder::finish).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_exactly_first_and_in_any_case_then() {
        let index = FieldIndex::of(&["Id".to_owned(), "id".to_owned(), "Größe".to_owned()]);
        assert_eq!(index.find("id"), Some(1));
        assert_eq!(index.find("ID"), Some(0));
        assert_eq!(index.find("GRÖßE"), Some(2));
        assert_eq!(index.find("ids"), None);
    }
}
