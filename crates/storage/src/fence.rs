//! A store that shows only some folders of another.
//!
//! A query engine takes paths from a table's log, and a hostile log names files of other tables.
//!
//! Invariant: no request for a path outside the allowed folders reaches the store behind.

use std::{fmt, ops::Range, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream, stream::BoxStream};
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result, path::Path,
};
use percent_encoding::percent_decode_str;

/// A store that refuses every path outside its allowed folders; inside them, paths are those of the store behind.
///
/// A refused path is answered with [`Error::PermissionDenied`].
#[derive(Debug, Clone)]
pub struct Fenced {
    inner: Arc<dyn ObjectStore>,
    allowed: Arc<[Path]>,
}

impl fmt::Display for Fenced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fenced({})", self.inner)
    }
}

impl Fenced {
    /// Show only the `allowed` folders of `inner`, each with everything below it.
    pub fn new(inner: Arc<dyn ObjectStore>, mut allowed: Vec<Path>) -> Self {
        // A folder inside another would be listed twice.
        allowed.sort();
        allowed.dedup_by(|later, earlier| later.prefix_matches(earlier));
        let nested = |path: &Path| allowed.iter().any(|other| other != path && path.prefix_matches(other));
        let allowed = allowed.iter().filter(|path| !nested(path)).cloned().collect();
        Self { inner, allowed }
    }

    fn check(&self, location: &Path) -> Result<()> {
        if is_allowed(&self.allowed, location) { Ok(()) } else { Err(refused(location)) }
    }

    /// The prefixes to list for `prefix`: itself when inside a folder, else the folders that it holds.
    fn listed(&self, prefix: Option<&Path>) -> Result<Vec<Path>> {
        let Some(prefix) = prefix else { return Ok(self.allowed.to_vec()) };
        if is_allowed(&self.allowed, prefix) {
            return Ok(vec![prefix.clone()]);
        }
        let held: Vec<Path> = self.allowed.iter().filter(|folder| folder.prefix_matches(prefix)).cloned().collect();
        if held.is_empty() { Err(refused(prefix)) } else { Ok(held) }
    }
}

fn is_allowed(allowed: &[Path], location: &Path) -> bool {
    allowed.iter().any(|folder| location.prefix_matches(folder)) && !location.parts().any(|part| climbs(part.as_ref()))
}

/// Whether something behind this store that decodes once more than it should would leave the folder.
fn climbs(part: &str) -> bool {
    let mut text = part.to_owned();
    loop {
        let first = text.split(['/', '\\']).next().unwrap_or_default();
        if first == "." || first == ".." {
            return true;
        }
        let decoded = percent_decode_str(&text).decode_utf8_lossy().into_owned();
        if decoded == text {
            return false;
        }
        text = decoded;
    }
}

fn refused(location: &Path) -> Error {
    Error::PermissionDenied { path: location.to_string(), source: "it is outside of the folders that are open".into() }
}

#[async_trait]
impl ObjectStore for Fenced {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        self.check(location)?;
        self.inner.put_opts(location, payload, opts).await
    }

    async fn put_multipart_opts(&self, location: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.check(location)?;
        self.inner.put_multipart_opts(location, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.check(location)?;
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.check(location)?;
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let allowed = Arc::clone(&self.allowed);
        let checked = locations.map(move |location| match location {
            Ok(location) if !is_allowed(&allowed, &location) => Err(refused(&location)),
            other => other,
        });
        self.inner.delete_stream(checked.boxed())
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.listed(prefix) {
            Ok(prefixes) => {
                let inner = Arc::clone(&self.inner);
                stream::iter(prefixes).flat_map(move |prefix| inner.list(Some(&prefix))).boxed()
            }
            Err(error) => stream::once(async { Err(error) }).boxed(),
        }
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.listed(prefix) {
            Ok(prefixes) => {
                let (inner, offset) = (Arc::clone(&self.inner), offset.clone());
                stream::iter(prefixes).flat_map(move |prefix| inner.list_with_offset(Some(&prefix), &offset)).boxed()
            }
            Err(error) => stream::once(async { Err(error) }).boxed(),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let prefix = prefix.cloned().unwrap_or_default();
        if is_allowed(&self.allowed, &prefix) {
            return self.inner.list_with_delimiter(Some(&prefix)).await;
        }
        let held = self.listed(Some(&prefix))?;
        let mut common_prefixes: Vec<Path> = held
            .iter()
            .filter_map(|folder| Some(prefix.parts().chain(folder.prefix_match(&prefix)?.take(1)).collect()))
            .collect();
        common_prefixes.dedup();
        Ok(ListResult { common_prefixes, objects: Vec::new() })
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.check(from)?;
        self.check(to)?;
        self.inner.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.check(from)?;
        self.check(to)?;
        self.inner.rename_opts(from, to, options).await
    }
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt;
    use object_store::{ObjectStoreExt, memory::InMemory};

    use super::*;

    async fn two_tables() -> (Arc<dyn ObjectStore>, Fenced) {
        let inner: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        for path in ["lake/t1/a", "lake/t1/p=a%2F..%2Fb/c", "lake/t10/b", "lake/t2/c", "top"] {
            inner.put(&Path::parse(path).unwrap(), path.to_owned().into()).await.unwrap();
        }
        let fenced = Fenced::new(Arc::clone(&inner), vec![Path::from("lake/t1")]);
        (inner, fenced)
    }

    async fn names(store: &dyn ObjectStore, prefix: Option<&str>) -> Result<Vec<String>> {
        let prefix = prefix.map(Path::from);
        let mut names: Vec<String> =
            store.list(prefix.as_ref()).map_ok(|meta| meta.location.to_string()).try_collect().await?;
        names.sort();
        Ok(names)
    }

    #[tokio::test]
    async fn a_path_outside_the_folder_is_refused_by_every_operation() {
        let (inner, fenced) = two_tables().await;
        let inside = Path::from("lake/t1/a");
        for outside in ["lake/t2/c", "lake/t10/b", "lake", "top", ""] {
            let outside = Path::from(outside);
            let errors = [
                fenced.get(&outside).await.err(),
                fenced.head(&outside).await.err(),
                fenced.get_range(&outside, 0..1).await.err(),
                fenced.put(&outside, "x".into()).await.err(),
                fenced.put_multipart(&outside).await.err(),
                fenced.delete(&outside).await.err(),
                fenced.copy(&inside, &outside).await.err(),
                fenced.copy(&outside, &inside).await.err(),
                fenced.rename(&outside, &inside).await.err(),
                fenced.rename_if_not_exists(&inside, &outside).await.err(),
            ];
            for (operation, error) in errors.into_iter().enumerate() {
                assert!(matches!(error, Some(Error::PermissionDenied { .. })), "{outside} {operation}: {error:?}");
            }
        }
        assert_eq!(names(&inner, None).await.unwrap().len(), 5);
    }

    #[tokio::test]
    async fn encoded_climbs_are_refused_and_encoded_partition_values_are_not() {
        let (_, fenced) = two_tables().await;
        for path in ["%2e%2e/t2/c", "%2E%2e%2Ft2/c", "%252e%252e/t2/c", "..%2ft2/c", "..%5ct2/c", "%2e/a"] {
            let path = Path::parse(format!("lake/t1/{path}")).unwrap();
            let error = fenced.get(&path).await.unwrap_err();
            assert!(matches!(error, Error::PermissionDenied { .. }), "{path}: {error:?}");
        }
        let value = Path::parse("lake/t1/p=a%2F..%2Fb/c").unwrap();
        fenced.get(&value).await.unwrap();
    }

    #[tokio::test]
    async fn a_list_shows_only_the_folder() {
        let (_, fenced) = two_tables().await;
        let all = names(&fenced, None).await.unwrap();
        assert_eq!(all, ["lake/t1/a", "lake/t1/p=a%2F..%2Fb/c"]);
        assert_eq!(names(&fenced, Some("lake")).await.unwrap(), all);
        assert_eq!(names(&fenced, Some("lake/t1")).await.unwrap(), all);
        assert!(names(&fenced, Some("lake/t2")).await.is_err());
        let offset = Path::from("lake/t1/a");
        assert_eq!(fenced.list_with_offset(None, &offset).count().await, 1);
    }

    #[tokio::test]
    async fn a_list_of_folders_shows_only_the_way_to_the_folder() {
        let (_, fenced) = two_tables().await;
        let top = fenced.list_with_delimiter(None).await.unwrap();
        assert_eq!((top.common_prefixes, top.objects.len()), (vec![Path::from("lake")], 0));
        let lake = fenced.list_with_delimiter(Some(&Path::from("lake"))).await.unwrap();
        assert_eq!((lake.common_prefixes, lake.objects.len()), (vec![Path::from("lake/t1")], 0));
        let table = fenced.list_with_delimiter(Some(&Path::from("lake/t1"))).await.unwrap();
        assert_eq!(table.objects.len(), 1);
        assert!(fenced.list_with_delimiter(Some(&Path::from("lake/t2"))).await.is_err());
    }

    #[tokio::test]
    async fn nested_and_repeated_folders_are_listed_once() {
        let (inner, _) = two_tables().await;
        let folders = ["lake/t1", "lake", "lake", "lake/t2"].map(Path::from).to_vec();
        assert_eq!(names(&Fenced::new(Arc::clone(&inner), folders), None).await.unwrap().len(), 4);
        assert!(names(&Fenced::new(inner, Vec::new()), None).await.unwrap().is_empty());
    }
}
