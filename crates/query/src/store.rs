//! What a query can reach: the folders of its tables, to read.
//!
//! The engine asks for stores by scheme and host, while each table brings a store that shows its own folder only.
//!
//! Invariant: a path that is in no open table's folder is refused, and so is every write.

use std::{fmt, ops::Range, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use datafusion::{
    error::{DataFusionError, Result as EngineResult},
    execution::object_store::ObjectStoreRegistry,
};
use futures::{StreamExt, stream, stream::BoxStream};
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, path::Path,
};
use tokio::runtime::Handle;
use url::Url;

use crate::OpenedTable;

/// A folder, and the store that serves it.
type Route = (Path, Arc<dyn ObjectStore>);

/// One store made of several, each of which answers for one folder; it can only be read.
///
/// Requests are made on the runtime given, so that connections live with the server and not with a query's threads.
#[derive(Debug, Clone)]
pub struct RoutedStore {
    routes: Vec<Route>,
    requests: Handle,
}

impl RoutedStore {
    /// A store of these folders; of two that hold a path, the deeper one answers.
    pub fn new(mut routes: Vec<Route>, requests: Handle) -> Self {
        routes.sort_by_key(|(folder, _)| std::cmp::Reverse(folder.parts_count()));
        Self { routes, requests }
    }

    fn route(&self, location: &Path) -> Result<Arc<dyn ObjectStore>> {
        self.routes
            .iter()
            .find(|(folder, _)| location.prefix_matches(folder))
            .map(|(_, store)| Arc::clone(store))
            .ok_or_else(|| refused(location, "it is in no folder of the query's tables"))
    }

    async fn request<T: Send + 'static>(&self, request: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
        self.requests.spawn(request).await?
    }
}

/// Why a request never came to a store.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct OutOfReach(&'static str);

fn refused(location: &Path, reason: &'static str) -> Error {
    Error::PermissionDenied { path: location.to_string(), source: Box::new(OutOfReach(reason)) }
}

fn read_only<T>(location: &Path) -> Result<T> {
    Err(refused(location, "queries only read"))
}

impl fmt::Display for RoutedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RoutedStore({} folders)", self.routes.len())
    }
}

#[async_trait]
impl ObjectStore for RoutedStore {
    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let (store, location) = (self.route(location)?, location.clone());
        self.request(async move { store.get_opts(&location, options).await }).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let (store, location, ranges) = (self.route(location)?, location.clone(), ranges.to_vec());
        self.request(async move { store.get_ranges(&location, &ranges).await }).await
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let prefix = prefix.cloned().unwrap_or_default();
        match self.route(&prefix) {
            Ok(store) => store.list(Some(&prefix)),
            Err(error) => stream::once(async { Err(error) }).boxed(),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let prefix = prefix.cloned().unwrap_or_default();
        let store = self.route(&prefix)?;
        self.request(async move { store.list_with_delimiter(Some(&prefix)).await }).await
    }

    async fn put_opts(&self, location: &Path, _: PutPayload, _: PutOptions) -> Result<PutResult> {
        read_only(location)
    }

    async fn put_multipart_opts(&self, location: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        read_only(location)
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        locations.map(|location| read_only(&location?)).boxed()
    }

    async fn copy_opts(&self, _: &Path, to: &Path, _: CopyOptions) -> Result<()> {
        read_only(to)
    }
}

/// The stores of one query, by scheme and host; there is no other.
#[derive(Debug)]
pub(crate) struct TableStores(Vec<(String, Arc<dyn ObjectStore>)>);

impl TableStores {
    /// Route each table's folder to the table's store.
    pub(crate) fn of<'a>(tables: impl Iterator<Item = &'a OpenedTable>, requests: &Handle) -> Self {
        let mut routes: Vec<(String, Vec<Route>)> = Vec::new();
        for table in tables {
            let (host, route) = (host(&table.store_url), (table.folder.clone(), Arc::clone(&table.root_store)));
            match routes.iter_mut().find(|(known, _)| *known == host) {
                Some((_, known)) => known.push(route),
                None => routes.push((host, vec![route])),
            }
        }
        let routed = |routes| Arc::new(RoutedStore::new(routes, requests.clone())) as Arc<dyn ObjectStore>;
        Self(routes.into_iter().map(|(host, routes)| (host, routed(routes))).collect())
    }
}

fn host(url: &Url) -> String {
    format!("{}://{}", url.scheme(), &url[url::Position::BeforeHost..url::Position::AfterPort])
}

impl ObjectStoreRegistry for TableStores {
    /// Nothing but the query's tables can be registered: the store is given back as if it had been there.
    fn register_store(&self, _: &Url, store: Arc<dyn ObjectStore>) -> Option<Arc<dyn ObjectStore>> {
        Some(store)
    }

    fn get_store(&self, url: &Url) -> EngineResult<Arc<dyn ObjectStore>> {
        let wanted = host(url);
        self.0
            .iter()
            .find(|(known, _)| *known == wanted)
            .map(|(_, store)| Arc::clone(store))
            .ok_or_else(|| DataFusionError::Internal("no store is open under this name".into()))
    }
}

#[cfg(test)]
mod tests {
    use object_store::{ObjectStoreExt, memory::InMemory};

    use super::*;

    async fn two_folders() -> RoutedStore {
        let (outer, inner) = (Arc::new(InMemory::new()), Arc::new(InMemory::new()));
        for (store, text) in [(&outer, "outer"), (&inner, "inner")] {
            for path in ["lake/a/x", "lake/a/deep/x", "lake/b/x"] {
                store.put(&path.into(), text.into()).await.unwrap();
            }
        }
        RoutedStore::new(vec![("lake/a".into(), outer), ("lake/a/deep".into(), inner)], Handle::current())
    }

    async fn text(store: &RoutedStore, path: &str) -> Result<Bytes> {
        store.get(&path.into()).await?.bytes().await
    }

    #[tokio::test]
    async fn the_deepest_folder_answers() {
        let store = two_folders().await;
        assert_eq!(text(&store, "lake/a/x").await.unwrap(), "outer");
        assert_eq!(text(&store, "lake/a/deep/x").await.unwrap(), "inner");
    }

    #[tokio::test]
    async fn paths_outside_the_folders_are_refused() {
        let store = two_folders().await;
        for path in ["lake/b/x", "lake/ab/x", "lake", ""] {
            assert!(matches!(text(&store, path).await, Err(Error::PermissionDenied { .. })), "{path} was read");
        }
        assert!(store.list(Some(&"lake".into())).next().await.unwrap().is_err());
        assert!(store.list(None).next().await.unwrap().is_err());
        assert!(store.list_with_delimiter(Some(&"lake/b".into())).await.is_err());
        assert_eq!(store.list(Some(&"lake/a/deep".into())).count().await, 1);
    }

    #[tokio::test]
    async fn nothing_can_be_written() {
        let store = two_folders().await;
        let (path, other) = (Path::from("lake/a/x"), Path::from("lake/a/y"));
        assert!(store.put(&other, "new".into()).await.is_err());
        assert!(store.put_multipart(&other).await.is_err());
        assert!(store.copy(&path, &other).await.is_err());
        assert!(store.rename(&path, &other).await.is_err());
        assert!(store.delete(&path).await.is_err());
        assert_eq!(text(&store, "lake/a/x").await.unwrap(), "outer");
    }
}
