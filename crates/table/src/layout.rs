//! A table's layout as properties of the table, and what a layout asks of the table's columns.
//!
//! Invariant: a layout that was written as properties reads back as it was.

use std::collections::BTreeMap;

use arrow::datatypes::{DataType, Schema};
use sluice_domain::TableLayout;

use crate::Refusal;

/// The protocol's names.
const TARGET_FILE_SIZE: &str = "delta.targetFileSize";
pub(crate) const STATS_COLUMNS: &str = "delta.dataSkippingStatsColumns";
/// Names of this lake's, for what the protocol has no name for that readers do without.
const DERIVED: &str = "sluice.derivedColumns";
const SORT_BY: &str = "sluice.sortBy";
const BLOOM_FILTER: &str = "sluice.bloomFilter";
const ROW_GROUP_ROWS: &str = "sluice.rowGroupRows";
const ROW_GROUP_BYTES: &str = "sluice.rowGroupBytes";

/// How many columns rows can be sorted by.
const MAX_SORT_COLUMNS: usize = 8;
/// How many columns can have bloom filters: each takes memory in every file under construction.
const MAX_FILTERS: usize = 8;

/// The properties that keep a layout.
pub fn layout_properties(layout: &TableLayout) -> BTreeMap<String, String> {
    let list = |names: &[String]| (!names.is_empty()).then(|| serde_json::json!(names).to_string());
    let number = |number: Option<u64>| number.map(|number| number.to_string());
    let quoted: Vec<String> = layout.stats_columns.iter().map(|name| quoted(name)).collect();
    let properties = [
        (TARGET_FILE_SIZE, number(layout.target_file_bytes)),
        (STATS_COLUMNS, (!quoted.is_empty()).then(|| quoted.join(","))),
        (DERIVED, (!layout.derived.is_empty()).then(|| serde_json::json!(layout.derived).to_string())),
        (SORT_BY, list(&layout.sort_by)),
        (BLOOM_FILTER, list(&layout.bloom_filter)),
        (ROW_GROUP_ROWS, number(layout.row_group_rows)),
        (ROW_GROUP_BYTES, number(layout.row_group_bytes)),
    ];
    properties.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
}

/// The layout that properties keep. What cannot be read is as if it were not there: others may write properties, too.
pub fn layout_of<'p>(properties: impl IntoIterator<Item = (&'p String, &'p String)>) -> TableLayout {
    let mut layout = TableLayout::default();
    for (key, value) in properties {
        match key.as_str() {
            TARGET_FILE_SIZE => layout.target_file_bytes = value.parse().ok(),
            STATS_COLUMNS => layout.stats_columns = unquoted(value),
            DERIVED => layout.derived = serde_json::from_str(value).unwrap_or_default(),
            SORT_BY => layout.sort_by = serde_json::from_str(value).unwrap_or_default(),
            BLOOM_FILTER => layout.bloom_filter = serde_json::from_str(value).unwrap_or_default(),
            ROW_GROUP_ROWS => layout.row_group_rows = value.parse().ok(),
            ROW_GROUP_BYTES => layout.row_group_bytes = value.parse().ok(),
            _ => {}
        }
    }
    layout
}

/// A column's name as the protocol lists it: in backticks where it is not a plain word.
fn quoted(name: &str) -> String {
    let plain = name.chars().all(|character| character.is_alphanumeric() || character == '_' || character == '.');
    if plain { name.to_owned() } else { format!("`{}`", name.replace('`', "``")) }
}

/// The names of such a list.
fn unquoted(list: &str) -> Vec<String> {
    let (mut names, mut name, mut within) = (Vec::new(), String::new(), false);
    let mut characters = list.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '`' if within && characters.peek() == Some(&'`') => {
                characters.next();
                name.push('`');
            }
            '`' => within = !within,
            ',' if !within => names.push(std::mem::take(&mut name)),
            other => name.push(other),
        }
    }
    names.push(name);
    names.into_iter().map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect()
}

/// Check that files of these columns can be laid out so, and give the layout with the names as the schema spells them.
///
/// # Errors
/// [`Refusal::UnknownColumn`] and [`Refusal::BadProperty`], which name what cannot be.
pub fn check_layout(schema: &Schema, partition_by: &[String], layout: &TableLayout) -> Result<TableLayout, Refusal> {
    let sort_by = named(schema, partition_by, ("sort_by", &layout.sort_by), is_ordered)?;
    let bloom_filter = named(schema, partition_by, ("bloom_filter", &layout.bloom_filter), is_hashed)?;
    let stats_columns = named(schema, &[], ("stats_columns", &layout.stats_columns), |_| true)?;
    let refused = |key: &str, reason| Err(Refusal::BadProperty { key: key.to_owned(), reason });
    if sort_by.len() > MAX_SORT_COLUMNS {
        return refused("sort_by", "rows are sorted by no more than 8 columns");
    }
    if bloom_filter.len() > MAX_FILTERS {
        return refused("bloom_filter", "no more than 8 columns have filters");
    }
    Ok(TableLayout { sort_by, bloom_filter, stats_columns, ..layout.clone() })
}

/// The columns of one option, as the schema spells them.
fn named(
    schema: &Schema,
    partition_by: &[String],
    (option, names): (&str, &[String]),
    fits: fn(&DataType) -> bool,
) -> Result<Vec<String>, Refusal> {
    let refused = |reason| Err(Refusal::BadProperty { key: option.to_owned(), reason });
    let mut found = Vec::with_capacity(names.len());
    for name in names {
        let Some(field) = spelled(schema, name) else { return Err(Refusal::unknown(name)) };
        if partition_by.contains(field.name()) {
            return refused("all rows of a file have the same value in a partition column");
        }
        if !fits(field.data_type()) {
            return refused("the type of one of its columns does not allow it");
        }
        if found.contains(field.name()) {
            return refused("a column is named twice");
        }
        found.push(field.name().clone());
    }
    Ok(found)
}

/// The field of this name, or of the same in other cases.
pub fn spelled<'s>(schema: &'s Schema, name: &str) -> Option<&'s arrow::datatypes::Field> {
    let same = |field: &&std::sync::Arc<arrow::datatypes::Field>| field.name().eq_ignore_ascii_case(name);
    schema.field_with_name(name).ok().or_else(|| schema.fields().iter().find(same).map(AsRef::as_ref))
}

fn is_ordered(data_type: &DataType) -> bool {
    !data_type.is_nested()
}

fn is_hashed(data_type: &DataType) -> bool {
    !data_type.is_nested() && *data_type != DataType::Boolean
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::Field;
    use rstest::rstest;
    use sluice_domain::DerivedColumn;

    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_layout_reads_back_as_it_was_written() {
        let layout = TableLayout {
            derived: vec![DerivedColumn::parse("year(order date) as y").unwrap().unwrap()],
            sort_by: names(&["a,b", "c"]),
            bloom_filter: names(&["\"quoted\""]),
            stats_columns: names(&["a.b", "two words", "back`tick", "com,ma"]),
            target_file_bytes: Some(1 << 20),
            row_group_rows: Some(1000),
            row_group_bytes: None,
        };
        let properties = layout_properties(&layout);
        assert_eq!(layout_of(&properties), layout);
        assert_eq!(properties["delta.targetFileSize"], "1048576");
        assert_eq!(properties["delta.dataSkippingStatsColumns"], "a.b,`two words`,`back``tick`,`com,ma`");
        assert!(layout_properties(&TableLayout::default()).is_empty());
    }

    fn check(option: fn(Vec<String>) -> TableLayout, columns: &[&str]) -> Result<TableLayout, Refusal> {
        let list = DataType::List(std::sync::Arc::new(Field::new("element", DataType::Int64, true)));
        let fields = [("Id", DataType::Int64), ("flag", DataType::Boolean), ("l", list), ("p", DataType::Utf8)];
        let schema = Schema::new(fields.map(|(name, of)| Field::new(name, of, true)).to_vec());
        check_layout(&schema, &names(&["p"]), &option(names(columns)))
    }

    fn sort_by(sort_by: Vec<String>) -> TableLayout {
        TableLayout { sort_by, ..TableLayout::default() }
    }

    fn bloom_filter(bloom_filter: Vec<String>) -> TableLayout {
        TableLayout { bloom_filter, ..TableLayout::default() }
    }

    #[rstest]
    #[case(sort_by, &["x"])]
    #[case(sort_by, &["l"])]
    #[case(sort_by, &["p"])]
    #[case(sort_by, &["id", "Id"])]
    #[case(bloom_filter, &["flag"])]
    #[case(bloom_filter, &["l"])]
    #[case(bloom_filter, &["p"])]
    fn a_layout_that_columns_do_not_allow_is_refused(
        #[case] option: fn(Vec<String>) -> TableLayout,
        #[case] columns: &[&str],
    ) {
        check(option, columns).unwrap_err();
    }

    #[test]
    fn columns_are_spelled_as_in_the_schema() {
        assert_eq!(check(sort_by, &["ID", "flag"]).unwrap().sort_by, ["Id", "flag"]);
    }
}
