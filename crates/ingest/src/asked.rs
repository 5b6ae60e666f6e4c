//! What an upload asks of a table that is there already: nothing, or what it is.

use sluice_domain::{DerivedColumn, ReadOptions, TableFormat, TableLayout};

use crate::IngestError;

/// Check the format of a table against what an upload asks for.
pub(crate) fn check_format(options: &ReadOptions, actual: TableFormat) -> Result<(), IngestError> {
    let (actual, asked) = (actual.as_str(), options.table_format.map(TableFormat::as_str));
    check("table_format", asked.is_none_or(|asked| asked == actual), actual, asked.unwrap_or_default())
}

/// Check partitioning and layout of a table against what an upload asks for.
pub(crate) fn check_asked(
    options: &ReadOptions,
    partition_by: &[String],
    layout: &TableLayout,
) -> Result<(), IngestError> {
    let asked = &options.layout;
    let derived = |name: &String, all: &[DerivedColumn]| {
        all.iter().find(|column| same(&column.name, name)).map_or_else(|| name.clone(), ToString::to_string)
    };
    let actual_partitions: Vec<String> = partition_by.iter().map(|name| derived(name, &layout.derived)).collect();
    let asked_partitions: Vec<String> = options.partition_by.iter().map(|name| derived(name, &asked.derived)).collect();
    // A derived column may be asked for by its derivation or by its name.
    let fits = asked.derived.iter().all(|asked| layout.derived.iter().any(|column| is_same(column, asked)))
        && same_list(&options.partition_by, partition_by);
    check(
        "partition_by",
        options.partition_by.is_empty() || fits,
        &list(&actual_partitions),
        &list(&asked_partitions),
    )?;
    let lists = [
        ("sort_by", &layout.sort_by, &asked.sort_by),
        ("bloom_filter", &layout.bloom_filter, &asked.bloom_filter),
        ("stats_columns", &layout.stats_columns, &asked.stats_columns),
    ];
    for (option, actual, asked) in lists {
        check(option, asked.is_empty() || same_list(asked, actual), &list(actual), &list(asked))?;
    }
    let numbers = [
        ("target_file_bytes", layout.target_file_bytes, asked.target_file_bytes),
        ("row_group_rows", layout.row_group_rows, asked.row_group_rows),
        ("row_group_bytes", layout.row_group_bytes, asked.row_group_bytes),
    ];
    for (option, actual, asked) in numbers {
        let text = |number: Option<u64>| number.map_or_else(|| "none".to_owned(), |number| number.to_string());
        check(option, asked.is_none() || asked == actual, &text(actual), &text(asked))?;
    }
    Ok(())
}

fn check(option: &'static str, fits: bool, actual: &str, asked: &str) -> Result<(), IngestError> {
    if fits {
        return Ok(());
    }
    Err(IngestError::OtherLayout { option, actual: actual.to_owned(), asked: asked.to_owned() })
}

fn same(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

fn same_list(one: &[String], other: &[String]) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
}

fn is_same(one: &DerivedColumn, other: &DerivedColumn) -> bool {
    one.part == other.part && same(&one.name, &other.name) && same(&one.source, &other.source)
}

fn list(names: &[String]) -> String {
    format!("[{}]", names.join(", "))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use sluice_domain::Format;

    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn options(partition_by: &[&str], layout: TableLayout) -> ReadOptions {
        ReadOptions { partition_by: names(partition_by), layout, ..ReadOptions::of(Format::Csv) }
    }

    fn by(derivation: &str) -> TableLayout {
        let derived = DerivedColumn::parse(derivation).unwrap().into_iter().collect();
        TableLayout { derived, ..TableLayout::default() }
    }

    fn sorted(sort_by: &[&str]) -> TableLayout {
        TableLayout { sort_by: names(sort_by), ..by("year(d)") }
    }

    #[rstest]
    #[case(&[], TableLayout::default(), None)]
    #[case(&["year"], TableLayout::default(), None)]
    #[case(&["YEAR"], by("Year(D) as YEAR"), None)]
    #[case(&["year"], by("year(other)"), Some("partition_by"))]
    #[case(&["month"], by("month(d)"), Some("partition_by"))]
    #[case(&["year"], sorted(&["A"]), None)]
    #[case(&["year"], sorted(&["b"]), Some("sort_by"))]
    #[case(&[], TableLayout { row_group_rows: Some(9), ..TableLayout::default() }, Some("row_group_rows"))]
    #[case(&[], TableLayout { target_file_bytes: Some(7), ..TableLayout::default() }, None)]
    fn a_table_stays_as_it_was_made(
        #[case] partition_by: &[&str],
        #[case] asked: TableLayout,
        #[case] refused: Option<&str>,
    ) {
        let layout = TableLayout { target_file_bytes: Some(7), ..sorted(&["a"]) };
        let found = check_asked(&options(partition_by, asked), &names(&["year"]), &layout);
        let option = found.err().map(|error| match error {
            IngestError::OtherLayout { option, .. } => option,
            other => panic!("{other:?}"),
        });
        assert_eq!(option, refused);
    }
}
