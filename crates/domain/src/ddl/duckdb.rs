//! DuckDB: a view over the files.

use arrow_schema::{DataType, Field};

use super::{DdlError, DdlTable, Dialect, no_type, quoted};
use crate::TableFormat;

pub(super) fn statement(table: &DdlTable<'_>) -> Result<String, DdlError> {
    let (schema, name) = (doubled(table.name.namespace.as_str()), doubled(table.name.table.as_str()));
    let guard = table.guard();
    let from = match table.format {
        TableFormat::Delta => format!("delta_scan({})", quoted(table.location)),
        TableFormat::Parquet => parquet(table)?,
    };
    Ok(format!("CREATE SCHEMA IF NOT EXISTS {schema};\nCREATE VIEW {guard}{schema}.{name} AS SELECT * FROM {from};\n"))
}

fn parquet(table: &DdlTable<'_>) -> Result<String, DdlError> {
    let (_, partitions) = table.columns();
    let path = table.location.strip_prefix("file://").unwrap_or(table.location);
    let files = quoted(&format!("{path}/**/*.parquet"));
    let types = partitions.iter().map(|field| Ok(format!("{}: {}", quoted(field.name()), type_name(field)?)));
    let types = types.collect::<Result<Vec<_>, DdlError>>()?;
    let hive = match types.as_slice() {
        [] => String::new(),
        types => format!(", hive_partitioning = true, hive_types = {{{}}}", types.join(", ")),
    };
    Ok(format!("read_parquet({files}{hive}, union_by_name = true)"))
}

/// DuckDB's name of the type of a partition column, which is never nested.
fn type_name(field: &Field) -> Result<String, DdlError> {
    Ok(match field.data_type() {
        DataType::Boolean => "BOOLEAN".into(),
        DataType::Int8 => "TINYINT".into(),
        DataType::Int16 => "SMALLINT".into(),
        DataType::Int32 => "INTEGER".into(),
        DataType::Int64 => "BIGINT".into(),
        DataType::Float32 => "FLOAT".into(),
        DataType::Float64 => "DOUBLE".into(),
        DataType::Decimal128(precision, scale) => format!("DECIMAL({precision},{scale})"),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "VARCHAR".into(),
        DataType::Date32 => "DATE".into(),
        DataType::Timestamp(_, Some(_)) => "TIMESTAMPTZ".into(),
        DataType::Timestamp(_, None) => "TIMESTAMP".into(),
        other => return Err(no_type(field, other, Dialect::DuckDb)),
    })
}

fn doubled(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
