//! Tables.

use async_trait::async_trait;
use serde_json::json;
use sluice_domain::{ChangedKind, NamespaceName, Page, PageRequest, TableEntry, TableId, TableRef, TableState};
use sqlx::AnyConnection;
use uuid::Uuid;

use super::{
    SqlBackend, annotations, assembled::Assembled, changes, fetch_size, namespaces::ensure_namespace, page_of,
    push_visible, search, views::check_no_view,
};
use crate::{
    CatalogError, NewTable, TableChange, Tables,
    columns::{json as column_json, now},
    rows::TableRow,
};

/// How many tables can have had one folder.
const MAX_FOLDERS: u32 = 10_000;

#[async_trait]
impl Tables for SqlBackend {
    async fn reserve(&self, new: &NewTable) -> Result<TableEntry, CatalogError> {
        let mut write = self.write().await?;
        let entry = match find_live(&mut write, &new.name).await? {
            None => {
                check_no_view(&mut write, &new.name).await?;
                ensure_namespace(&mut write, &new.name.namespace, &new.owner).await?;
                insert(&mut write, new).await?
            }
            Some(entry) if entry.state == TableState::Reserved && entry.format != new.format => {
                remove_unused(&mut write, &new.name).await?;
                match find_live(&mut write, &new.name).await? {
                    None => insert(&mut write, new).await?,
                    Some(entry) => entry,
                }
            }
            Some(entry) if entry.state == TableState::Reserved && entry.partition_by != new.partition_by => {
                set_live(&mut write, entry.id, TableState::Reserved, &new.partition_by).await?
            }
            Some(entry) => entry,
        };
        write.commit().await?;
        Ok(entry)
    }

    async fn activate(&self, id: TableId, partition_by: &[String]) -> Result<(), CatalogError> {
        let mut write = self.write().await?;
        activate(&mut write, id, partition_by).await?;
        Ok(write.commit().await?)
    }

    async fn find(&self, name: &TableRef) -> Result<TableEntry, CatalogError> {
        let row: Option<TableRow> = sqlx::query_as("SELECT * FROM tables WHERE name = $1 AND state = 'active'")
            .bind(name.to_string())
            .fetch_optional(&self.readers)
            .await?;
        row.ok_or_else(|| not_found(name))?.try_into()
    }

    async fn find_by_id(&self, id: TableId) -> Result<TableEntry, CatalogError> {
        let row: Option<TableRow> = sqlx::query_as("SELECT * FROM tables WHERE id = $1")
            .bind(id.to_string())
            .fetch_optional(&self.readers)
            .await?;
        row.ok_or_else(|| not_found(id))?.try_into()
    }

    async fn list(
        &self,
        namespace: Option<&NamespaceName>,
        visible: Option<&[NamespaceName]>,
        page: &PageRequest,
    ) -> Result<Page<TableEntry>, CatalogError> {
        let mut query = Assembled::new("SELECT * FROM tables WHERE state = 'active' AND name > ");
        query.push_bind(page.after());
        if let Some(namespace) = namespace {
            query.push(" AND namespace = ").push_bind(namespace.as_str());
        }
        push_visible(&mut query, "namespace", visible);
        query.push(" ORDER BY name LIMIT ").push_bind(fetch_size(page));
        let rows: Vec<TableRow> = query.build_query_as().fetch_all(&self.readers).await?;
        page_of(rows, page, |table: &TableEntry| table.name.to_string())
    }

    async fn change(&self, name: &TableRef, change: TableChange, principal: &str) -> Result<TableEntry, CatalogError> {
        if change == TableChange::default() {
            return self.find(name).await;
        }
        let mut write = self.write().await?;
        let row: Option<TableRow> = sqlx::query_as(
            "UPDATE tables SET description = CASE WHEN $1 = 1 THEN $2 ELSE description END, \
             owner = COALESCE($3, owner), updated_at = $4 WHERE name = $5 AND state = 'active' RETURNING *",
        )
        .bind(i64::from(change.description.is_some()))
        .bind(change.description.flatten())
        .bind(change.owner)
        .bind(now())
        .bind(name.to_string())
        .fetch_optional(&mut *write)
        .await?;
        let entry = TableEntry::try_from(row.ok_or_else(|| not_found(name))?)?;
        annotations::set_of_table(&mut write, entry.id, change.notes, principal).await?;
        search::index(&mut write, &entry).await?;
        changes::record(&mut write, ChangedKind::TableChanged, name, json!({ "principal": principal })).await?;
        write.commit().await?;
        Ok(entry)
    }

    async fn delete(&self, name: &TableRef) -> Result<TableEntry, CatalogError> {
        let mut write = self.write().await?;
        let row: Option<TableRow> = sqlx::query_as(
            "UPDATE tables SET state = 'deleted', deleted_at = $1, updated_at = $1 \
             WHERE name = $2 AND state = 'active' RETURNING *",
        )
        .bind(now())
        .bind(name.to_string())
        .fetch_optional(&mut *write)
        .await?;
        let entry = TableEntry::try_from(row.ok_or_else(|| not_found(name))?)?;
        search::forget(&mut write, &entry).await?;
        changes::record(&mut write, ChangedKind::TableDeleted, name, json!({})).await?;
        write.commit().await?;
        Ok(entry)
    }

    async fn restore(&self, name: &TableRef) -> Result<TableEntry, CatalogError> {
        let mut write = self.write().await?;
        remove_unused(&mut write, name).await?;
        if find_live(&mut write, name).await?.is_some() {
            return Err(CatalogError::TableExists { name: name.clone() });
        }
        check_no_view(&mut write, name).await?;
        let row: Option<TableRow> = sqlx::query_as(
            "UPDATE tables SET state = 'active', deleted_at = NULL, updated_at = $1 WHERE id = \
             (SELECT id FROM tables WHERE name = $2 AND state = 'deleted' AND purged_at IS NULL ORDER BY deleted_at DESC, id DESC LIMIT 1) \
             RETURNING *",
        )
        .bind(now())
        .bind(name.to_string())
        .fetch_optional(&mut *write)
        .await?;
        let entry = TableEntry::try_from(row.ok_or_else(|| not_found(name))?)?;
        search::index(&mut write, &entry).await?;
        changes::record(&mut write, ChangedKind::TableRestored, name, json!({})).await?;
        write.commit().await?;
        Ok(entry)
    }
}

pub(super) fn not_found(name: impl ToString) -> CatalogError {
    CatalogError::TableNotFound { name: name.to_string() }
}

/// The table that has the name: reserved or active.
pub(super) async fn find_live(
    connection: &mut AnyConnection,
    name: &TableRef,
) -> Result<Option<TableEntry>, CatalogError> {
    let row: Option<TableRow> = sqlx::query_as("SELECT * FROM tables WHERE name = $1 AND state <> 'deleted'")
        .bind(name.to_string())
        .fetch_optional(connection)
        .await?;
    row.map(TableEntry::try_from).transpose()
}

/// The table of this id, if it is not deleted.
pub(super) async fn find_live_by_id(connection: &mut AnyConnection, id: TableId) -> Result<TableEntry, CatalogError> {
    let row: Option<TableRow> = sqlx::query_as("SELECT * FROM tables WHERE id = $1 AND state <> 'deleted'")
        .bind(id.to_string())
        .fetch_optional(connection)
        .await?;
    row.ok_or_else(|| not_found(id))?.try_into()
}

/// Remove a reservation for which no commit was ever begun: it has no version, and no upload refers to it.
pub(super) async fn remove_unused(connection: &mut AnyConnection, name: &TableRef) -> Result<(), CatalogError> {
    sqlx::query("DELETE FROM tables WHERE name = $1 AND state = 'reserved' AND last_sequence = 0")
        .bind(name.to_string())
        .execute(connection)
        .await?;
    Ok(())
}

/// The folder, with a number where another table has or had it: what lies there is not this table's.
async fn free_folder(connection: &mut AnyConnection, new: &NewTable, folder: &str) -> Result<String, CatalogError> {
    for number in 1..=MAX_FOLDERS {
        let path = if number == 1 { folder.to_owned() } else { format!("{folder}.{number}") };
        let taken: Option<i64> = sqlx::query_scalar("SELECT COUNT(*) FROM tables WHERE path = $1 HAVING COUNT(*) > 0")
            .bind(&path)
            .fetch_optional(&mut *connection)
            .await?;
        if taken.is_none() {
            return Ok(path);
        }
    }
    Err(CatalogError::TableExists { name: new.name.clone() })
}

async fn insert(connection: &mut AnyConnection, new: &NewTable) -> Result<TableEntry, CatalogError> {
    let id = Uuid::now_v7().to_string();
    let TableRef { namespace, table } = &new.name;
    let path = match &new.folder {
        Some(folder) => free_folder(&mut *connection, new, folder).await?,
        None => format!("tables/{namespace}/{table}/{id}"),
    };
    let row: TableRow = sqlx::query_as(
        "INSERT INTO tables \
         (id, namespace, name, zone, path, format, partition_by, owner, state, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'reserved', $9, $9) RETURNING *",
    )
    .bind(&id)
    .bind(namespace.as_str())
    .bind(new.name.to_string())
    .bind(new.zone.as_str())
    .bind(path)
    .bind(new.format.as_str())
    .bind(column_json("table partitioning", &new.partition_by)?)
    .bind(&new.owner)
    .bind(now())
    .fetch_one(connection)
    .await?;
    row.try_into()
}

/// Say that a table that is not deleted is active, partitioned like this.
pub(super) async fn activate(
    connection: &mut AnyConnection,
    id: TableId,
    partition_by: &[String],
) -> Result<(), CatalogError> {
    let before = find_live_by_id(connection, id).await?;
    if before.state == TableState::Active && before.partition_by == partition_by {
        return Ok(());
    }
    let entry = set_live(connection, id, TableState::Active, partition_by).await?;
    if before.state == TableState::Active {
        return Ok(());
    }
    search::index(connection, &entry).await?;
    let body = json!({"principal": entry.owner, "zone": entry.zone, "format": entry.format});
    changes::record(connection, ChangedKind::TableCreated, &entry.name, body).await
}

/// Set state and partitioning of a table that is not deleted.
async fn set_live(
    connection: &mut AnyConnection,
    id: TableId,
    state: TableState,
    partition_by: &[String],
) -> Result<TableEntry, CatalogError> {
    let row: Option<TableRow> = sqlx::query_as(
        "UPDATE tables SET state = $1, partition_by = $2, updated_at = $3 \
         WHERE id = $4 AND state <> 'deleted' RETURNING *",
    )
    .bind(state.as_str())
    .bind(column_json("table partitioning", partition_by)?)
    .bind(now())
    .bind(id.to_string())
    .fetch_optional(connection)
    .await?;
    row.ok_or_else(|| not_found(id))?.try_into()
}
