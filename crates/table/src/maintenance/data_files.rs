//! The data files below a table's folder: which objects they are, and removing them.

use std::collections::HashSet;

use futures::{StreamExt, TryStreamExt, stream};
use object_store::{Error, ObjectMeta, ObjectStore, ObjectStoreExt, path::Path};
use percent_encoding::percent_decode_str;
use url::Url;

use super::MaintenanceError;

/// How many objects are asked for at a time.
const REQUESTS: usize = 8;

/// Whether an object may be a data file: Parquet, and nothing on the way to it hidden.
pub(super) fn is_data_file(location: &Path) -> bool {
    let hidden = |name: &str| name.starts_with(['_', '.']);
    let location = location.as_ref();
    location.ends_with(".parquet") && !location.split('/').any(hidden)
}

/// The names of data files, in every form in which a list of the store may have them.
#[derive(Default)]
pub(super) struct Names(HashSet<String>);

impl Names {
    /// Keep a path as a log writes it: URL-encoded, relative to the table or whole.
    pub(super) fn insert(&mut self, path: &str, table: &Url) {
        let relative = path.strip_prefix(table.as_str()).unwrap_or(path);
        let decoded = percent_decode_str(relative).decode_utf8_lossy();
        // Some writers do not encode; a name too many keeps a file too many, and no more.
        for name in [relative, decoded.as_ref()] {
            let plain = name.split('/').filter(|part| !part.is_empty() && *part != ".");
            let plain = plain.collect::<Vec<_>>().join("/");
            if !self.0.contains(&plain) {
                self.0.insert(plain);
            }
        }
    }

    pub(super) fn contains(&self, location: &Path) -> bool {
        self.0.contains(location.as_ref())
    }
}

/// Leave out the objects that were written anew or removed since they were listed.
pub(super) async fn keep_unchanged(
    store: &dyn ObjectStore,
    listed: Vec<ObjectMeta>,
) -> Result<Vec<ObjectMeta>, MaintenanceError> {
    let looked_at = stream::iter(listed).map(async |meta| match store.head(&meta.location).await {
        Ok(found) => Ok((found.last_modified == meta.last_modified && found.size == meta.size).then_some(meta)),
        Err(Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    });
    let kept: Vec<_> = looked_at.buffered(REQUESTS).try_collect().await?;
    Ok(kept.into_iter().flatten().collect())
}

/// Remove objects; those that are gone already are no error.
pub(super) async fn delete_all(store: &dyn ObjectStore, paths: Vec<Path>) -> Result<(), MaintenanceError> {
    let paths = stream::iter(paths.into_iter().map(Ok)).boxed();
    let mut outcomes = store.delete_stream(paths);
    let mut failed = None;
    while let Some(outcome) = outcomes.next().await {
        match outcome {
            Ok(_) | Err(Error::NotFound { .. }) => {}
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    failed.map_or(Ok(()), |error| Err(error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hidden_is_no_data_file() {
        for path in
            ["a.parquet", "k=x/a.parquet", "k=_x/k2=.y/part-0.zstd.parquet", "k=__HIVE_DEFAULT_PARTITION__/a.parquet"]
        {
            assert!(is_data_file(&Path::from(path)), "{path}");
        }
        for path in [
            "_delta_log/00000000000000000001.checkpoint.parquet",
            "_sluice/aside/a.parquet",
            "_change_data/a.parquet",
            "_k=1/a.parquet",
            ".hidden/a.parquet",
            "k=x/.a.parquet",
            "k=x/_a.parquet",
            "deletion_vector_1.bin",
            "a.csv",
        ] {
            assert!(!is_data_file(&Path::from(path)), "{path}");
        }
    }

    #[test]
    fn an_encoded_path_names_the_object_that_it_decodes_to() {
        let table = Url::parse("s3://lake/raw/tables/1/").unwrap();
        for (written, object) in [
            ("k=x%252Fy/a.parquet", "k=x%2Fy/a.parquet"),
            ("k=x%20y/a.parquet", "k=x y/a.parquet"),
            ("k=50%25/a.parquet", "k=50%/a.parquet"),
            ("k=%C3%BC/a.parquet", "k=ü/a.parquet"),
            ("k=a b/a.parquet", "k=a b/a.parquet"),
            ("./k=1//a.parquet", "k=1/a.parquet"),
            ("s3://lake/raw/tables/1/k=1/a.parquet", "k=1/a.parquet"),
        ] {
            let mut names = Names::default();
            names.insert(written, &table);
            assert!(names.contains(&Path::parse(object).unwrap()), "{written}");
            assert!(!names.contains(&Path::from("b.parquet")));
        }
    }
}
