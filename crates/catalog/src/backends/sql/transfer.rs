//! Every row of every table, out and in.

use async_trait::async_trait;
use futures::TryStreamExt as _;
use serde_json::Value as Json;
use sqlx::{
    AnyConnection, AssertSqlSafe, Column as _, Row as _, ValueRef as _,
    any::{AnyRow, AnyTypeInfoKind},
};

use super::{
    SqlBackend, Turn,
    assembled::{Assembled, Value},
};
use crate::{
    CatalogError,
    backends::Transfer,
    transfer::{Row, RowSink, RowSource},
};

/// The tables, each after those that it refers to. The places of servers, and whose turn it is to watch, are of the
/// moment, and left out.
pub(super) const TABLES: &[&str] = &[
    "lakes",
    "namespaces",
    "tables",
    "table_descriptions",
    "schema_versions",
    "contracts",
    "quality_suites",
    "uploads",
    "quality_results",
    "data_files",
    "log_entries",
    "partial_uploads",
    "channels",
    "row_requests",
    "replayed_rows",
    "sources",
    "source_runs",
    "source_pulls",
    "annotations",
    "search_postings",
    "search_words",
    "search_slips",
    "table_reads",
    "changes",
    "change_webhooks",
    "lineage_runs",
    "lineage_events",
    "lineage_run_datasets",
    "lineage_flows",
    "lineage_columns",
    "pipeline_runs",
    "pipelines",
    "views",
    "curated_runs",
    "backfills",
    "freshness_expectations",
    "service_levels",
    "alert_rules",
    "alerts",
    "alert_deliveries",
    "lifecycle_rules",
    "lifecycle_plans",
    "lifecycle_items",
    "lifecycle_objects",
];

#[async_trait]
impl Transfer for SqlBackend {
    async fn dump(&self, sink: &mut RowSink<'_>) -> Result<(), CatalogError> {
        let begin = match self.turn {
            Turn::File => "BEGIN",
            Turn::Lease(_) => "BEGIN ISOLATION LEVEL REPEATABLE READ",
        };
        let mut snapshot = self.readers.begin_with(begin).await?;
        for table in TABLES {
            let mut rows =
                sqlx::query(AssertSqlSafe(format!("SELECT * FROM {table} ORDER BY 1, 2"))).fetch(&mut *snapshot);
            while let Some(row) = rows.try_next().await? {
                sink(table, read(&row)?)?;
            }
        }
        Ok(())
    }

    async fn load(&self, source: &mut RowSource<'_>) -> Result<u64, CatalogError> {
        let mut write = self.write().await?;
        for table in TABLES.iter().filter(|table| **table != "lakes") {
            let held: i64 = sqlx::query_scalar(AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}")))
                .fetch_one(&mut *write)
                .await?;
            if held > 0 {
                return Err(CatalogError::corrupt("import", "the catalog to import into is not a new one"));
            }
        }
        sqlx::query("DELETE FROM lakes").execute(&mut *write).await?;
        let mut rows = 0;
        while let Some((table, row)) = source()? {
            rows += 1;
            insert(&mut write, &table, row).await.map_err(|error| match error {
                CatalogError::Unavailable { source } => {
                    CatalogError::corrupt("import", format!("row {rows}: {source}"))
                }
                error => error,
            })?;
        }
        write.commit().await?;
        Ok(rows)
    }
}

async fn insert(connection: &mut AnyConnection, table: &str, mut row: Row) -> Result<(), CatalogError> {
    let Some(table) = TABLES.iter().find(|known| **known == table) else {
        return Err(CatalogError::corrupt("import", format!("there is no table {table:?}")));
    };
    // A column that is not named is null: of a null that is bound nobody knows the type.
    row.retain(|_, value| !value.is_null());
    let names: Vec<&str> = row.keys().map(String::as_str).collect();
    if let Some(name) =
        names.iter().find(|name| !name.bytes().all(|byte| byte.is_ascii_lowercase() || b"_0123456789".contains(&byte)))
    {
        return Err(CatalogError::corrupt("import", format!("there is no column {name:?}")));
    }
    let mut statement = Assembled::with_text(format!("INSERT INTO {table} ({}) ", names.join(", ")));
    let values = row.into_values().map(|value| match value {
        Json::String(text) => Ok(Value::Text(Some(text))),
        Json::Number(number) if number.is_i64() => Ok(Value::Number(number.as_i64())),
        other => Err(CatalogError::corrupt("import", format!("{other} is no value of a column"))),
    });
    statement.push_rows([values.collect::<Result<Vec<_>, _>>()?]);
    statement.build().execute(connection).await?;
    Ok(())
}

fn read(row: &AnyRow) -> Result<Row, CatalogError> {
    let columns = row.columns().iter().map(|column| {
        let value = row.try_get_raw(column.ordinal())?;
        let json = match value.type_info().kind() {
            _ if value.is_null() => Json::Null,
            AnyTypeInfoKind::Text => Json::from(row.try_get::<String, _>(column.ordinal())?),
            _ => Json::from(row.try_get::<i64, _>(column.ordinal())?),
        };
        Ok((column.name().to_owned(), json))
    });
    columns.collect()
}
