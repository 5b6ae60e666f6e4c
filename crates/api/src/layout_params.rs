//! How a new table's files are to be laid out, from an upload's parameters.

use std::ops::RangeInclusive;

use sluice_domain::{ColumnName, DerivedColumn, TableFormat};

use crate::{problem::Problem, read_options::bad};

/// How many columns an option can name.
const MAX_COLUMNS: usize = 16;
/// How large files and row groups can be asked for.
pub(crate) const BYTES: RangeInclusive<u64> = 1 << 16..=1 << 40;
/// How many rows of a row group can be asked for.
pub(crate) const ROWS: RangeInclusive<u64> = 100..=100_000_000;

/// The format of a new table.
pub(crate) fn table_format(text: Option<&str>) -> Result<Option<TableFormat>, Problem> {
    text.map(str::parse).transpose().map_err(|error: String| bad("table_format", &error))
}

/// The columns to partition by, and those of them that are computed.
pub(crate) fn partitioning(text: Option<&str>) -> Result<(Vec<String>, Vec<DerivedColumn>), Problem> {
    let (mut names, mut derived) = (Vec::new(), Vec::new());
    for part in split("partition_by", text)? {
        match DerivedColumn::parse(part).map_err(|error| bad("partition_by", &error.to_string()))? {
            Some(column) => {
                names.push(column.name.clone());
                derived.push(column);
            }
            None => names.push(column("partition_by", part)?),
        }
    }
    Ok((names, derived))
}

/// The columns that an option names.
pub(crate) fn column_list(option: &'static str, text: Option<&str>) -> Result<Vec<String>, Problem> {
    split(option, text)?.into_iter().map(|name| column(option, name)).collect()
}

/// A number that an option can have.
pub(crate) fn within(
    option: &'static str,
    number: Option<u64>,
    range: RangeInclusive<u64>,
) -> Result<Option<u64>, Problem> {
    match number {
        Some(number) if !range.contains(&number) => {
            Err(bad(option, &format!("it is not between {} and {}", range.start(), range.end())))
        }
        number => Ok(number),
    }
}

fn split<'t>(option: &'static str, text: Option<&'t str>) -> Result<Vec<&'t str>, Problem> {
    let text = text.filter(|text| !text.is_empty());
    let parts: Vec<&str> = text.map(|text| text.split(',').map(str::trim).collect()).unwrap_or_default();
    if parts.len() > MAX_COLUMNS {
        return Err(bad(option, &format!("there are more than {MAX_COLUMNS} columns")));
    }
    Ok(parts)
}

fn column(option: &'static str, name: &str) -> Result<String, Problem> {
    let name: ColumnName = name.parse().map_err(|error: sluice_domain::NameError| bad(option, &error.to_string()))?;
    Ok(name.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partitioning_mixes_columns_and_functions_of_them() {
        let (names, derived) = partitioning(Some("region, year(order_date),hour(ts) as h")).unwrap();
        assert_eq!(names, ["region", "year", "h"]);
        assert_eq!(derived.iter().map(ToString::to_string).collect::<Vec<_>>(), ["year(order_date)", "hour(ts) as h"]);
        assert_eq!(partitioning(None).unwrap(), (Vec::new(), Vec::new()));
    }

    #[test]
    fn what_is_out_of_bounds_or_no_column_is_refused() {
        for text in ["a,,b", "week(d)", "year(d", "a\nb"] {
            partitioning(Some(text)).unwrap_err();
        }
        partitioning(Some(&["a"; MAX_COLUMNS + 1].join(","))).unwrap_err();
        within("row_group_rows", Some(1), ROWS).unwrap_err();
        assert_eq!(within("row_group_rows", Some(100), ROWS).unwrap(), Some(100));
        table_format(Some("iceberg")).unwrap_err();
        assert_eq!(table_format(Some("parquet")).unwrap(), Some(TableFormat::Parquet));
    }
}
