//! Notes on tables and columns.

use async_trait::async_trait;
use sluice_domain::{ChangedKind, Notes, NotesChange, TableId, TableNotes};
use sqlx::{AnyConnection, AnyExecutor};

use super::{SqlBackend, changes, inheritance, search, tables::find_live_by_id};
use crate::{
    Annotations, CatalogError,
    columns::{json, now, read},
    discovery_rows::NotesRow,
};

/// What stands for the table in the place of a column's name.
const OF_TABLE: &str = "";

#[async_trait]
impl Annotations for SqlBackend {
    async fn notes(&self, table: TableId) -> Result<TableNotes, CatalogError> {
        let mut connection = self.readers.acquire().await?;
        let mut notes = find(&mut *connection, table).await?;
        add_inherited(&mut connection, table, &mut notes).await?;
        Ok(notes)
    }

    async fn annotate(
        &self,
        table: TableId,
        column: &str,
        change: NotesChange,
        principal: &str,
    ) -> Result<TableNotes, CatalogError> {
        let mut write = self.write().await?;
        let entry = find_live_by_id(&mut write, table).await?;
        set(&mut write, table, (column, principal), change).await?;
        search::index(&mut write, &entry).await?;
        let body = serde_json::json!({"column": column, "principal": principal});
        changes::record(&mut write, ChangedKind::TableChanged, &entry.name, body).await?;
        let mut notes = find(&mut *write, table).await?;
        add_inherited(&mut write, table, &mut notes).await?;
        write.commit().await?;
        Ok(notes)
    }
}

/// Flows know tables by their names, those of deleted ones too.
async fn add_inherited(
    connection: &mut AnyConnection,
    table: TableId,
    notes: &mut TableNotes,
) -> Result<(), CatalogError> {
    let name: Option<String> = sqlx::query_scalar("SELECT name FROM tables WHERE id = $1")
        .bind(table.to_string())
        .fetch_optional(&mut *connection)
        .await?;
    let Some(name) = name else { return Ok(()) };
    inheritance::add(connection, &mut [(read("table name", &name)?, notes)]).await
}

/// Change the notes of a table, within a transaction.
pub(super) async fn set_of_table(
    connection: &mut AnyConnection,
    table: TableId,
    change: NotesChange,
    principal: &str,
) -> Result<(), CatalogError> {
    set(connection, table, (OF_TABLE, principal), change).await
}

async fn set(
    connection: &mut AnyConnection,
    table: TableId,
    (column, principal): (&str, &str),
    change: NotesChange,
) -> Result<(), CatalogError> {
    let row: Option<NotesRow> = sqlx::query_as("SELECT * FROM annotations WHERE table_id = $1 AND column_name = $2")
        .bind(table.to_string())
        .bind(column)
        .fetch_optional(&mut *connection)
        .await?;
    let notes = row.map(Notes::try_from).transpose()?.unwrap_or_default().changed(change);
    if notes.is_empty() {
        sqlx::query("DELETE FROM annotations WHERE table_id = $1 AND column_name = $2")
            .bind(table.to_string())
            .bind(column)
            .execute(connection)
            .await?;
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO annotations (table_id, column_name, description, tags, classification, principal, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (table_id, column_name) DO UPDATE SET \
         description = excluded.description, tags = excluded.tags, classification = excluded.classification, \
         principal = excluded.principal, updated_at = excluded.updated_at",
    )
    .bind(table.to_string())
    .bind(column)
    .bind(&notes.description)
    .bind(json("tags", &notes.tags)?)
    .bind(notes.classification.as_ref().map(ToString::to_string))
    .bind(principal)
    .bind(now())
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn find(executor: impl AnyExecutor<'_>, table: TableId) -> Result<TableNotes, CatalogError> {
    let rows: Vec<NotesRow> = sqlx::query_as("SELECT * FROM annotations WHERE table_id = $1")
        .bind(table.to_string())
        .fetch_all(executor)
        .await?;
    let mut notes = TableNotes::default();
    for row in rows {
        add(&mut notes, row)?;
    }
    Ok(notes)
}

/// Put a row where it belongs.
pub(super) fn add(notes: &mut TableNotes, row: NotesRow) -> Result<(), CatalogError> {
    let column = row.column_name.clone();
    let read = Notes::try_from(row)?;
    if column == OF_TABLE {
        notes.table = read;
    } else {
        notes.columns.insert(column, read);
    }
    Ok(())
}
