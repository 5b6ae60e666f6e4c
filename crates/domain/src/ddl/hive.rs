//! Athena and Hive.

use arrow_schema::{DataType, Field};

use super::{DdlError, DdlTable, Dialect, no_type, quoted, ticked};
use crate::TableFormat;

pub(super) fn statement(table: &DdlTable<'_>, dialect: Dialect) -> Result<String, DdlError> {
    let (name, guard) = (ticked(table.name.table.as_str()), table.guard());
    let folder = quoted(&format!("{}/", table.location_for(dialect)));
    match (table.format, dialect) {
        // Athena takes the columns of a Delta table from its log, and refuses a statement that names them.
        (TableFormat::Delta, Dialect::Athena) => Ok(format!(
            "CREATE EXTERNAL TABLE {guard}{name}\nLOCATION {folder}\nTBLPROPERTIES ('table_type'='DELTA');\n"
        )),
        (TableFormat::Delta, _) => {
            let (files, partitions) = table.columns();
            let all = listed(&[files, partitions].concat(), dialect)?;
            let storage = "'io.delta.hive.DeltaStorageHandler'";
            Ok(format!("CREATE EXTERNAL TABLE {guard}{name} (\n  {all}\n)\nSTORED BY {storage}\nLOCATION {folder};\n"))
        }
        (TableFormat::Parquet, _) => {
            let (files, partitions) = table.columns();
            let columns = listed(&files, dialect)?;
            let partitioned = match listed(&partitions, dialect)? {
                none if none.is_empty() => String::new(),
                columns => format!("PARTITIONED BY (\n  {columns}\n)\n"),
            };
            Ok(format!(
                "CREATE EXTERNAL TABLE {guard}{name} (\n  {columns}\n)\n{partitioned}STORED AS PARQUET\n\
                 LOCATION {folder}\nTBLPROPERTIES ('has_encrypted_data'='false');\n"
            ))
        }
    }
}

fn listed(fields: &[&Field], dialect: Dialect) -> Result<String, DdlError> {
    let columns = fields.iter().map(|field| {
        let comment = field.metadata().get("comment").map(|text| format!(" COMMENT {}", escaped(text)));
        let name = type_name(field.data_type()).ok_or_else(|| no_type(field, field.data_type(), dialect))?;
        Ok(format!("{} {name}{}", ticked(field.name()), comment.unwrap_or_default()))
    });
    Ok(columns.collect::<Result<Vec<_>, DdlError>>()?.join(",\n  "))
}

/// A text as Hive reads it: quotes behind backslashes.
fn escaped(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'").replace('\n', "\\n"))
}

/// Hive's name of a type; none where it has none.
pub(super) fn type_name(data_type: &DataType) -> Option<String> {
    Some(match data_type {
        DataType::Boolean => "boolean".into(),
        DataType::Int8 => "tinyint".into(),
        DataType::Int16 | DataType::UInt8 => "smallint".into(),
        DataType::Int32 | DataType::UInt16 => "int".into(),
        DataType::Int64 | DataType::UInt32 => "bigint".into(),
        DataType::Float32 => "float".into(),
        DataType::Float64 => "double".into(),
        DataType::Decimal128(precision, scale) => format!("decimal({precision},{scale})"),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "string".into(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "binary".into(),
        DataType::Date32 => "date".into(),
        DataType::Timestamp(_, _) => "timestamp".into(),
        DataType::List(item) | DataType::LargeList(item) => format!("array<{}>", type_name(item.data_type())?),
        DataType::Map(entries, _) => {
            let DataType::Struct(pair) = entries.data_type() else { return None };
            format!("map<{},{}>", type_name(pair[0].data_type())?, type_name(pair[1].data_type())?)
        }
        DataType::Struct(fields) => {
            let fields =
                fields.iter().map(|field| Some(format!("{}:{}", plain(field.name()), type_name(field.data_type())?)));
            format!("struct<{}>", fields.collect::<Option<Vec<_>>>()?.join(","))
        }
        _ => return None,
    })
}

/// The name of a field within a type: between back ticks where it needs them.
fn plain(name: &str) -> String {
    let is_plain = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if is_plain { name.to_owned() } else { ticked(name) }
}
