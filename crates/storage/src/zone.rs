//! One zone of the lake, and the folders in it.
//!
//! Invariant: a folder's stores cannot reach an object outside the folder.

use std::{path::PathBuf, sync::Arc};

use object_store::{ObjectStore, path::Path, prefix::PrefixStore};
use sluice_domain::ZoneName;
use url::Url;

use crate::{
    fence::Fenced,
    stores::{Opened, join},
};

/// A folder of a store, seen in the two ways that its users name objects.
#[derive(Debug, Clone)]
pub struct Folder {
    /// The folder's URL, which ends with `/`.
    pub url: Url,
    /// The store by whole paths, such as those of the objects' URLs; it shows this folder only.
    pub root: Arc<dyn ObjectStore>,
    /// The store by paths relative to the folder.
    pub store: Arc<dyn ObjectStore>,
    /// The folder's path in `root`.
    pub path: Path,
}

impl Folder {
    fn new(url: Url, root: Arc<dyn ObjectStore>, path: Path) -> Self {
        let root: Arc<dyn ObjectStore> = Arc::new(Fenced::new(root, vec![path.clone()]));
        let store = Arc::new(PrefixStore::new(Arc::clone(&root), path.clone()));
        Self { url, root, store, path }
    }

    fn below(&self, path: &Path) -> Self {
        let whole = self.path.parts().chain(path.parts()).collect();
        Self::new(join(&self.url, path, true), Arc::clone(&self.root), whole)
    }
}

/// A zone: a folder of a store with a name.
#[derive(Debug, Clone)]
pub struct Zone {
    name: ZoneName,
    folder: Folder,
}

impl Zone {
    /// The zone at an opened place.
    pub fn new(name: ZoneName, place: Opened) -> Self {
        Self { name, folder: Folder::new(place.url, place.root, place.path) }
    }

    /// Which zone it is.
    pub fn name(&self) -> ZoneName {
        self.name
    }

    /// Where it is; ends with `/`.
    pub fn url(&self) -> &Url {
        &self.folder.url
    }

    /// Its store, with paths relative to the zone.
    pub fn store(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.folder.store)
    }

    /// The folder at a plain path relative to the zone. What is not plain in the path is percent-encoded.
    pub fn folder(&self, path: &str) -> Folder {
        self.folder.below(&Path::from(path))
    }

    /// The URL of the object at a plain path relative to the zone.
    pub fn url_of(&self, path: &str) -> Url {
        join(&self.folder.url, &Path::from(path), false)
    }

    /// The key of the object at a plain path relative to the zone: that in its bucket, or below a folder of its name.
    pub fn key_of(&self, path: &str) -> String {
        let folder = match self.folder.url.scheme() {
            "s3" => self.folder.path.as_ref(),
            _ => self.name.as_str(),
        };
        if folder.is_empty() { path.to_owned() } else { format!("{folder}/{path}") }
    }

    /// The folder of this machine that it is, where it is one.
    pub(crate) fn local_folder(&self) -> Option<PathBuf> {
        // A bucket may be called `localhost`, and then its URL would name a folder too.
        (self.folder.url.scheme() == "file").then(|| self.folder.url.to_file_path().ok()).flatten()
    }

    /// Whether one of the two zones lies in the other.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        let (own, others) = (&self.folder, &other.folder);
        let same_store = own.url.scheme() == others.url.scheme() && own.url.host() == others.url.host();
        same_store && (own.path.prefix_matches(&others.path) || others.path.prefix_matches(&own.path))
    }
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt;
    use object_store::{Error, ObjectStoreExt, memory::InMemory};

    use super::*;

    fn zone(path: &str) -> Zone {
        let url = join(&Url::parse("s3://lake/").unwrap(), &Path::from(path), true);
        Zone::new(ZoneName::Raw, Opened { url, root: Arc::new(InMemory::new()), path: Path::from(path) })
    }

    #[tokio::test]
    async fn a_folder_names_one_object_in_three_ways() {
        for place in ["", "a b/raw"] {
            let zone = zone(place);
            let folder = zone.folder("tables/nyc/flights/1");
            folder.store.put(&Path::from("p=x/0.parquet"), "rows".into()).await.unwrap();
            let url = folder.url.join("p=x/0.parquet").unwrap();
            assert_eq!(url, zone.url_of("tables/nyc/flights/1/p=x/0.parquet"));
            folder.root.head(&Path::from_url_path(url.path()).unwrap()).await.unwrap();
            zone.store().head(&Path::from("tables/nyc/flights/1/p=x/0.parquet")).await.unwrap();
            let listed: Vec<_> = folder.store.list(None).try_collect().await.unwrap();
            assert_eq!(listed[0].location.as_ref(), "p=x/0.parquet");
        }
    }

    #[tokio::test]
    async fn a_folder_cannot_reach_its_neighbour() {
        let zone = zone("raw");
        let path = Path::from("tables/b/0.parquet");
        zone.store().put(&path, "rows".into()).await.unwrap();
        let folder = zone.folder("tables/a");
        let error = folder.root.get(&Path::from("raw/tables/b/0.parquet")).await.unwrap_err();
        assert!(matches!(error, Error::PermissionDenied { .. }), "{error:?}");
        let climb = Path::parse("%2e%2e/b/0.parquet").unwrap();
        let error = folder.store.get(&climb).await.unwrap_err();
        assert!(matches!(error, Error::PermissionDenied { .. }), "{error:?}");
    }

    #[test]
    fn a_path_that_is_not_plain_stays_in_the_zone() {
        let zone = zone("raw");
        assert!(zone.url_of("../../etc/passwd").as_str().starts_with("s3://lake/raw/"));
        assert!(zone.folder("..").path.prefix_matches(&Path::from("raw")));
    }
}
