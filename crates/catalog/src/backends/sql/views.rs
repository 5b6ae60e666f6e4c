//! Views.

use std::collections::BTreeMap;

use async_trait::async_trait;
use sluice_domain::{NamespaceName, Page, PageRequest, TableRef, View, ViewDefinition, check_view_graph};
use sqlx::{AnyConnection, FromRow};

use super::{
    SqlBackend,
    assembled::Assembled,
    entries, fetch_size,
    namespaces::ensure_namespace,
    page_of, push_visible,
    tables::{find_live, remove_unused},
};
use crate::{
    CatalogError, NewView, ViewDefined, Views,
    columns::{json, now, read, read_json},
};

#[derive(FromRow)]
struct ViewRow {
    name: String,
    statement: String,
    description: Option<String>,
    is_read: String,
    column_types: String,
    principal: String,
    created_at: String,
    updated_at: String,
}

impl TryFrom<ViewRow> for View {
    type Error = CatalogError;
    fn try_from(row: ViewRow) -> Result<Self, CatalogError> {
        Ok(Self {
            name: read("view name", &row.name)?,
            definition: ViewDefinition { sql: row.statement, description: row.description },
            reads: read_json("view's tables", &row.is_read)?,
            columns: read_json("view's columns", &row.column_types)?,
            principal: row.principal,
            created_at: read("view creation time", &row.created_at)?,
            updated_at: read("view change time", &row.updated_at)?,
        })
    }
}

#[async_trait]
impl Views for SqlBackend {
    async fn define(&self, new: &NewView, limit: u32) -> Result<ViewDefined, CatalogError> {
        let mut write = self.write().await?;
        let rows: Vec<ViewRow> = sqlx::query_as("SELECT * FROM views").fetch_all(&mut *write).await?;
        let known: Vec<View> = entries(rows)?;
        let is_known = known.iter().any(|known| known.name == new.name);
        if !is_known && known.len() >= limit as usize {
            return Ok(ViewDefined::TooMany);
        }
        remove_unused(&mut write, &new.name).await?;
        if find_live(&mut write, &new.name).await?.is_some() {
            return Ok(ViewDefined::NameTaken);
        }
        let others: BTreeMap<TableRef, Vec<TableRef>> =
            known.into_iter().map(|known| (known.name, known.reads)).collect();
        if let Err(error) = check_view_graph(&new.name, &new.reads, &others) {
            return Ok(ViewDefined::Refused(error));
        }
        ensure_namespace(&mut write, &new.name.namespace, &new.principal).await?;
        let view = put(&mut write, new).await?;
        write.commit().await?;
        Ok(if is_known { ViewDefined::Changed(view) } else { ViewDefined::Made(view) })
    }

    async fn find(&self, name: &TableRef) -> Result<Option<View>, CatalogError> {
        let row: Option<ViewRow> = sqlx::query_as("SELECT * FROM views WHERE name = $1")
            .bind(name.to_string())
            .fetch_optional(&self.readers)
            .await?;
        row.map(View::try_from).transpose()
    }

    async fn list(&self, visible: Option<&[NamespaceName]>, page: &PageRequest) -> Result<Page<View>, CatalogError> {
        let mut query = Assembled::new("SELECT * FROM views WHERE name > ");
        query.push_bind(page.after());
        push_visible(&mut query, "namespace", visible);
        query.push(" ORDER BY name LIMIT ").push_bind(fetch_size(page));
        let rows: Vec<ViewRow> = query.build_query_as().fetch_all(&self.readers).await?;
        page_of(rows, page, |view: &View| view.name.to_string())
    }

    async fn forget(&self, name: &TableRef) -> Result<bool, CatalogError> {
        let mut write = self.write().await?;
        let done = sqlx::query("DELETE FROM views WHERE name = $1").bind(name.to_string()).execute(&mut *write).await?;
        write.commit().await?;
        Ok(done.rows_affected() > 0)
    }
}

async fn put(connection: &mut AnyConnection, new: &NewView) -> Result<View, CatalogError> {
    let row: ViewRow = sqlx::query_as(
        "INSERT INTO views (name, namespace, statement, description, is_read, column_types, principal, created_at, \
         updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (name) DO UPDATE SET \
         statement = excluded.statement, description = excluded.description, is_read = excluded.is_read, \
         column_types = excluded.column_types, principal = excluded.principal, updated_at = excluded.updated_at \
         RETURNING *",
    )
    .bind(new.name.to_string())
    .bind(new.name.namespace.as_str())
    .bind(&new.definition.sql)
    .bind(new.definition.description.as_ref())
    .bind(json("view's tables", &new.reads)?)
    .bind(json("view's columns", &new.columns)?)
    .bind(&new.principal)
    .bind(now())
    .bind(now())
    .fetch_one(connection)
    .await?;
    row.try_into()
}

/// Refuse the name of a view to a table.
pub(super) async fn check_no_view(connection: &mut AnyConnection, name: &TableRef) -> Result<(), CatalogError> {
    let taken: Option<String> = sqlx::query_scalar("SELECT name FROM views WHERE name = $1")
        .bind(name.to_string())
        .fetch_optional(connection)
        .await?;
    match taken {
        Some(_) => Err(CatalogError::ViewExists { name: name.clone() }),
        None => Ok(()),
    }
}
