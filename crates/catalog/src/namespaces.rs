//! Namespaces: made by the first table in them.

use async_trait::async_trait;
use sluice_domain::{Namespace, NamespaceName, Page, PageRequest};

use crate::CatalogError;

/// The namespaces of the lake.
#[async_trait]
pub trait Namespaces: Send + Sync {
    /// The namespaces by name; only those in `visible`, where it is given. The token is the last name.
    async fn list_namespaces(
        &self,
        visible: Option<&[NamespaceName]>,
        page: &PageRequest,
    ) -> Result<Page<Namespace>, CatalogError>;

    /// One namespace; [`CatalogError::NamespaceNotFound`] without one.
    async fn find_namespace(&self, name: &NamespaceName) -> Result<Namespace, CatalogError>;
}
