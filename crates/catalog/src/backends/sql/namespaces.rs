//! Namespaces.

use async_trait::async_trait;
use sluice_domain::{Namespace, NamespaceName, Page, PageRequest};
use sqlx::AnyConnection;

use super::{SqlBackend, assembled::Assembled, fetch_size, page_of, push_visible};
use crate::{CatalogError, Namespaces, columns::now, rows::NamespaceRow};

#[async_trait]
impl Namespaces for SqlBackend {
    async fn list_namespaces(
        &self,
        visible: Option<&[NamespaceName]>,
        page: &PageRequest,
    ) -> Result<Page<Namespace>, CatalogError> {
        let mut query = Assembled::new("SELECT * FROM namespaces WHERE name > ");
        query.push_bind(page.after());
        push_visible(&mut query, "name", visible);
        query.push(" ORDER BY name LIMIT ").push_bind(fetch_size(page));
        let rows: Vec<NamespaceRow> = query.build_query_as().fetch_all(&self.readers).await?;
        page_of(rows, page, |namespace: &Namespace| namespace.name.to_string())
    }

    async fn find_namespace(&self, name: &NamespaceName) -> Result<Namespace, CatalogError> {
        let row: Option<NamespaceRow> = sqlx::query_as("SELECT * FROM namespaces WHERE name = $1")
            .bind(name.as_str())
            .fetch_optional(&self.readers)
            .await?;
        row.ok_or_else(|| CatalogError::NamespaceNotFound { name: name.clone() })?.try_into()
    }
}

/// Make the namespace if it is not there; the first to ask owns it.
pub(super) async fn ensure_namespace(
    connection: &mut AnyConnection,
    name: &NamespaceName,
    owner: &str,
) -> Result<(), CatalogError> {
    sqlx::query("INSERT INTO namespaces (name, owner, created_at) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING")
        .bind(name.as_str())
        .bind(owner)
        .bind(now())
        .execute(connection)
        .await?;
    Ok(())
}
