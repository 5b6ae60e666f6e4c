//! Spark: the format's own reader takes columns and partitions from the log, or is told them.

use super::{DdlError, DdlTable, Dialect, hive, no_type, quoted, ticked};
use crate::TableFormat;

pub(super) fn statement(table: &DdlTable<'_>) -> Result<String, DdlError> {
    let name = format!("{}.{}", ticked(table.name.namespace.as_str()), ticked(table.name.table.as_str()));
    let (guard, folder) = (table.guard(), quoted(&table.location_for(Dialect::Spark)));
    if table.format == TableFormat::Delta {
        return Ok(format!("CREATE TABLE {guard}{name}\nUSING DELTA\nLOCATION {folder};\n"));
    }
    let (files, partitions) = table.columns();
    let columns = [files, partitions.clone()].concat().into_iter().map(|field| {
        let type_name = hive::type_name(field.data_type());
        let type_name = type_name.ok_or_else(|| no_type(field, field.data_type(), Dialect::Spark))?;
        Ok(format!("{} {type_name}", ticked(field.name())))
    });
    let columns = columns.collect::<Result<Vec<_>, DdlError>>()?.join(",\n  ");
    let partitioned = match partitions.iter().map(|field| ticked(field.name())).collect::<Vec<_>>() {
        none if none.is_empty() => String::new(),
        names => format!("PARTITIONED BY ({})\n", names.join(", ")),
    };
    Ok(format!("CREATE TABLE {guard}{name} (\n  {columns}\n)\nUSING PARQUET\n{partitioned}LOCATION {folder};\n"))
}
